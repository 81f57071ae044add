//! One running instance a source: a lock file beside the state, held as long as the state is open.
//!
//! The file holds the source's name once the source has had a state: who finds the lock file and not
//! the state knows that the state was lost.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::hash::Hasher;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use siphasher::sip::SipHasher24;

use super::StateError;

/// The lock files that this process holds: what tells its instances apart where nothing can be locked.
static HELD: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Which file stands at a path: its device and number.
pub(super) fn identity(path: &Path) -> Option<(u64, u64)> {
    path.metadata().ok().map(|data| (data.dev(), data.ino()))
}

/// A path's name with something behind it.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Held while it lives; the system releases it when the process ends, however it ends.
#[derive(Debug)]
pub struct SourceLock {
    file: File,
    identity: Option<(u64, u64)>,
    entry: Entry,
    db: PathBuf,
    source: String,
    /// Why other processes do not see it, if they do not.
    pub unseen: Option<String>,
}

/// A place among those that this process holds.
#[derive(Debug)]
struct Entry(PathBuf);

impl Entry {
    fn take(path: PathBuf) -> Option<Self> {
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        held.insert(path.clone()).then(|| Self(path))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        HELD.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

impl SourceLock {
    /// Takes the lock of a source.
    ///
    /// # Errors
    /// If another instance has it, or the lock file cannot be made or locked.
    pub fn take(db: &Path, source: &str) -> Result<Self, StateError> {
        let mut hasher = SipHasher24::new();
        hasher.write(source.as_bytes());
        let path = beside(&resolved(db)?, &format!(".lock-{:016x}", hasher.finish()));
        let taken = || StateError::Taken(source.to_owned());
        let entry = Entry::take(path).ok_or_else(taken)?;
        let (file, unseen) = lock(&entry.0, db, source)?;
        let identity = identity(&entry.0);
        let (db, source) = (db.to_owned(), source.to_owned());
        Ok(Self { file, identity, entry, db, source, unseen })
    }

    /// Whether the source has had a state here before.
    pub fn had_state(&self) -> bool {
        self.file.metadata().is_ok_and(|data| data.len() > 0)
    }

    /// Notes that the source has a state.
    pub fn has_state(&self) {
        if !self.had_state() {
            // What cannot be noted cannot be told later; nothing else depends on it.
            let _ = (&self.file).write_all(format!("{}\n", self.source).as_bytes());
        }
    }

    /// Takes it again if its file is gone or is another one.
    ///
    /// # Errors
    /// As [`SourceLock::take`].
    pub fn retake(&mut self) -> Result<(), StateError> {
        if self.identity.is_none() || identity(&self.entry.0) != self.identity {
            let (file, unseen) = lock(&self.entry.0, &self.db, &self.source)?;
            (self.file, self.unseen) = (file, unseen);
            self.identity = identity(&self.entry.0);
        }
        Ok(())
    }
}

/// The path, told from others that lead to the same place.
pub(super) fn resolved(db: &Path) -> Result<PathBuf, StateError> {
    let parent = db.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = parent.unwrap_or(Path::new(".")).canonicalize();
    let directory = directory.map_err(|error| at_first(db, error))?;
    Ok(directory.join(db.file_name().ok_or(StateError::Directory)?))
}

fn lock(path: &Path, db: &Path, source: &str) -> Result<(File, Option<String>), StateError> {
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).mode(0o600).open(path);
    let file = file.map_err(|error| at_first(db, error))?;
    match file.try_lock() {
        Ok(()) => Ok((file, None)),
        Err(TryLockError::WouldBlock) => Err(StateError::Taken(source.to_owned())),
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
            let unseen = format!(
                "'{}' cannot be locked ({error}): a second process with the source '{source}' would not be noticed; set db to a path on a local disk",
                path.display()
            );
            Ok((file, Some(unseen)))
        }
        Err(TryLockError::Error(error)) => Err(StateError::Lock(error)),
    }
}

/// What keeps a file from being made: where none has ever been, the path is wrong; else it may be had again.
fn at_first(db: &Path, error: std::io::Error) -> StateError {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => StateError::NoPlace(error.to_string()),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem if !db.exists() => {
            StateError::NoPlace(error.to_string())
        }
        _ => StateError::Io(error),
    }
}

/// Whether any source has had a state in this file.
pub(super) fn is_ours(db: &Path) -> bool {
    let Ok(path) = resolved(db) else { return false };
    let prefix = format!("{}.lock-", path.file_name().unwrap_or_default().to_string_lossy());
    let Some(Ok(entries)) = path.parent().map(Path::read_dir) else { return false };
    entries.flatten().any(|entry| {
        entry.file_name().to_string_lossy().starts_with(&prefix)
            && entry.metadata().is_ok_and(|data| data.len() > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_locked_once_others_are_free() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("x.db");
        let first = SourceLock::take(&db, "a").unwrap();
        assert!(matches!(SourceLock::take(&db, "a"), Err(StateError::Taken(_))));
        let roundabout = dir.path().join(".").join("x.db");
        assert!(matches!(SourceLock::take(&roundabout, "a"), Err(StateError::Taken(_))));
        assert!(SourceLock::take(&db, "b").is_ok());
        drop(first);
        assert!(SourceLock::take(&db, "a").is_ok());
    }

    #[test]
    fn a_lock_whose_file_was_deleted_is_taken_again_unless_another_was_faster() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("x.db");
        let mut lock = SourceLock::take(&db, "a").unwrap();
        let path = lock.entry.0.clone();
        std::fs::remove_file(&path).unwrap();
        lock.retake().unwrap();
        assert_eq!(identity(&path), lock.identity);

        std::fs::remove_file(&path).unwrap();
        let other = File::create(&path).unwrap();
        other.try_lock().unwrap();
        assert!(matches!(lock.retake(), Err(StateError::Taken(_))));
    }

    #[test]
    fn a_lock_remembers_that_its_source_had_a_state() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("x.db");
        let lock = SourceLock::take(&db, "a").unwrap();
        assert!(!lock.had_state() && !is_ours(&db));
        lock.has_state();
        lock.has_state();
        drop(lock);
        assert!(SourceLock::take(&db, "a").unwrap().had_state() && is_ours(&db));
        assert!(!SourceLock::take(&db, "b").unwrap().had_state());
        assert_eq!(SourceLock::take(&db, "a").unwrap().file.metadata().unwrap().len(), 2);
    }
}
