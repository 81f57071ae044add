//! One at a time makes a file of the state, or puts another in its place: of the sources of this process, and of all
//! processes. Else one would move away what another has just made.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::StateError;
use super::lock::{beside, resolved};

/// How long to wait for another source of this process that does.
const WAIT: Duration = Duration::from_secs(1);

/// The files that this process is making or replacing.
static UNDER_WAY: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
static ENDED: Condvar = Condvar::new();

/// Held while a file is made or replaced.
#[derive(Debug)]
pub(super) struct Turn {
    path: PathBuf,
    /// What tells other processes, if the file system can.
    _lock: Option<File>,
}

impl Turn {
    /// # Errors
    /// If another one is at it: it will have ended later.
    pub(super) fn begin(db: &Path) -> Result<Self, StateError> {
        let path = resolved(db)?;
        let under_way = UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = ENDED.wait_timeout_while(under_way, WAIT, |all| all.contains(&path));
        let (mut under_way, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if !under_way.insert(path.clone()) {
            return Err(StateError::UnderWay);
        }
        drop(under_way);
        // From here on, its end takes the path out again.
        let mut turn = Self { path, _lock: None };
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).mode(0o600);
        let file = file.open(beside(&turn.path, ".lock"))?;
        match file.try_lock() {
            Ok(()) => turn._lock = Some(file),
            Err(TryLockError::WouldBlock) => return Err(StateError::UnderWay),
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(StateError::Lock(error)),
        }
        Ok(turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.path);
        ENDED.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_replaces_a_file_and_others_are_free() {
        let dir = tempfile::tempdir().unwrap();
        let first = Turn::begin(&dir.path().join("x.db")).unwrap();
        let second = Turn::begin(&dir.path().join("./x.db"));
        assert!(matches!(second, Err(StateError::UnderWay)));
        Turn::begin(&dir.path().join("y.db")).unwrap();
        drop(first);
        Turn::begin(&dir.path().join("x.db")).unwrap();
    }
}
