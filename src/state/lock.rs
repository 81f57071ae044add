//! One running instance a source: a lock file beside the state, held as long as the process lives.

use std::fs::{File, OpenOptions, TryLockError};
use std::hash::Hasher;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use siphasher::sip::SipHasher24;

use super::StateError;

/// Held while it lives; the system releases it when the process ends, however it ends.
#[derive(Debug)]
pub struct SourceLock {
    _file: File,
}

impl SourceLock {
    /// Takes the lock of a source.
    ///
    /// # Errors
    /// If another instance has it, or the lock file cannot be created.
    pub fn take(db: &Path, source: &str) -> Result<Self, StateError> {
        let mut hasher = SipHasher24::new();
        hasher.write(source.as_bytes());
        let mut path = db.as_os_str().to_owned();
        path.push(format!(".lock-{:016x}", hasher.finish()));
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StateError::Taken(source.to_owned())),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }
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
        assert!(SourceLock::take(&db, "b").is_ok());
        drop(first);
        assert!(SourceLock::take(&db, "a").is_ok());
    }
}
