//! A place for files.

use std::path::Path;

/// A directory that goes when it is dropped; in memory, if the machine has such a place, because the
/// state syncs every commit.
///
/// # Panics
/// If there is no room.
pub fn directory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    dir.expect("a directory")
}
