//! What an error of the state means: whether to wait, to begin a new file, or to ask for another path.

use std::time::Duration;

use rusqlite::ErrorCode;

use super::postgres::DatabaseError;

/// Why the state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// SQLite's own word for it.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The file, its directory, or the lock file beside it.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The lock file is there, and the system does not lock it.
    #[error("its lock file cannot be locked: {0}")]
    Lock(std::io::Error),
    /// There is no file yet, and none can be made there.
    #[error("{0}")]
    NoPlace(String),
    /// Its path leads to a directory.
    #[error("it is a directory")]
    Directory,
    /// A file that lookback has not made, as far as can be seen.
    #[error("it is a file of something else")]
    Foreign,
    /// Written by a version that this one does not know.
    #[error("its format is version {found}, this version of lookback knows up to {known}")]
    Newer {
        /// In the file.
        found: i64,
        /// The newest that is known here.
        known: i64,
    },
    /// The file that was opened is not at its path any more.
    #[error("the file is no longer at its path: someone has deleted, moved or replaced it")]
    Moved,
    /// Another source is making the file, or replacing it.
    #[error("another source is making a new file there")]
    UnderWay,
    /// There is a log beside it, which cannot be read without its index.
    #[error("there is a log beside it but no -shm")]
    NoIndex,
    /// The host stopped what was under way.
    #[error("stopped before it was complete")]
    Stopped,
    /// What is stored cannot be written as text.
    #[error("the progress cannot be stored: {0}")]
    Progress(#[from] serde_json::Error),
    /// Another instance has the source.
    #[error("another running instance has the source '{0}'")]
    Taken(String),
    /// The shared database's own word for it, or what became of the connection to it.
    #[error("{0}")]
    Database(DatabaseError),
    /// The shared database did not answer in time.
    #[error("the database has not answered within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// Another node has the source by now, and what this one wanted to store is not stored.
    #[error("another node has taken over the source")]
    Fenced,
}

/// What an error means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The file is damaged, or not there any more: another one must be begun.
    Lost,
    /// It may be had later.
    Passing,
    /// Waiting does not help: someone must set another path, or another source.
    Wrong,
}

impl StateError {
    /// What it means.
    pub fn trouble(&self) -> Trouble {
        match self {
            Self::Moved => Trouble::Lost,
            Self::Database(error) if error.is_loss() => Trouble::Lost,
            Self::Sqlite(error) if is_damage(error) => Trouble::Lost,
            // The file is sound, and does not hold what ours do.
            Self::Sqlite(error) if code(error) == Some(ErrorCode::Unknown) => Trouble::Wrong,
            Self::Sqlite(_)
            | Self::Io(_)
            | Self::Lock(_)
            | Self::UnderWay
            | Self::NoIndex
            | Self::Stopped
            | Self::Progress(_)
            | Self::Database(_)
            | Self::TimedOut(_)
            | Self::Fenced => Trouble::Passing,
            Self::NoPlace(_)
            | Self::Directory
            | Self::Foreign
            | Self::Newer { .. }
            | Self::Taken(_) => Trouble::Wrong,
        }
    }

    /// What to do about it.
    pub fn mend(&self) -> &'static str {
        match self {
            Self::Taken(_) => "stop it, or give this one a source of its own",
            Self::Newer { .. } => "run that version, or set another path to begin anew",
            Self::Lock(_) => "set a path on a local disk if it stays so",
            Self::Directory | Self::Foreign => "set the path of a file of its own",
            Self::Sqlite(error) => match code(error) {
                Some(ErrorCode::DatabaseBusy | ErrorCode::FileLockingProtocolFailed) => {
                    "see which process holds it; if none does, its file system has no locks: set a path on a local disk"
                }
                Some(ErrorCode::DiskFull) => "make room on its disk",
                Some(ErrorCode::SystemIoFailure) => "look at its disk",
                _ => "let the file and its directory be read and written",
            },
            Self::NoIndex => "copy all three; or start the plugin once, if it died here",
            Self::UnderWay | Self::Stopped | Self::Fenced => "wait; it is tried again",
            Self::Database(error) => error.mend(),
            Self::TimedOut(_) => "see that the database runs, and that this machine can reach it",
            Self::Io(_) | Self::Progress(_) => "let the file and its directory be read and written",
            Self::NoPlace(_) | Self::Moved => {
                "set a path in a directory that exists and is writable"
            }
        }
    }
}

/// SQLite's own code.
pub(super) fn code(error: &rusqlite::Error) -> Option<ErrorCode> {
    match error {
        rusqlite::Error::SqlInputError { error, .. } => Some(error.code),
        error => error.sqlite_error_code(),
    }
}

/// Whether what a file holds cannot be right.
fn is_damage(error: &rusqlite::Error) -> bool {
    match code(error) {
        Some(code) => matches!(code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase),
        // Not SQLite's own: a value of another type or length than any that we store.
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    fn sqlite(code: i32) -> StateError {
        rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None).into()
    }

    #[test]
    fn what_passes_is_waited_for_what_is_lost_is_begun_anew_and_what_is_wrong_refuses() {
        use rusqlite::ffi;
        let io = |kind: ErrorKind| StateError::Io(kind.into());
        let cases = [
            (sqlite(ffi::SQLITE_CORRUPT), Trouble::Lost),
            (sqlite(ffi::SQLITE_CORRUPT_INDEX), Trouble::Lost),
            (sqlite(ffi::SQLITE_NOTADB), Trouble::Lost),
            (rusqlite::Error::QueryReturnedNoRows.into(), Trouble::Lost),
            (StateError::Moved, Trouble::Lost),
            (sqlite(ffi::SQLITE_FULL), Trouble::Passing),
            (sqlite(ffi::SQLITE_READONLY), Trouble::Passing),
            (sqlite(ffi::SQLITE_READONLY_DIRECTORY), Trouble::Passing),
            (sqlite(ffi::SQLITE_IOERR_WRITE), Trouble::Passing),
            (sqlite(ffi::SQLITE_IOERR_SHMMAP), Trouble::Passing),
            (sqlite(ffi::SQLITE_BUSY), Trouble::Passing),
            (sqlite(ffi::SQLITE_LOCKED), Trouble::Passing),
            (sqlite(ffi::SQLITE_PROTOCOL), Trouble::Passing),
            (sqlite(ffi::SQLITE_CANTOPEN), Trouble::Passing),
            (sqlite(ffi::SQLITE_NOMEM), Trouble::Passing),
            (io(ErrorKind::StorageFull), Trouble::Passing),
            (io(ErrorKind::ReadOnlyFilesystem), Trouble::Passing),
            (StateError::Lock(ErrorKind::Other.into()), Trouble::Passing),
            (sqlite(ffi::SQLITE_ERROR), Trouble::Wrong),
            (StateError::NoPlace(String::new()), Trouble::Wrong),
            (StateError::Directory, Trouble::Wrong),
            (StateError::Foreign, Trouble::Wrong),
            (StateError::Newer { found: 2, known: 1 }, Trouble::Wrong),
            (StateError::Taken(String::new()), Trouble::Wrong),
        ];
        for (error, expected) in cases {
            assert_eq!(error.trouble(), expected, "{error:?}");
        }
    }
}
