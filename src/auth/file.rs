//! Files that hold a secret: read whenever they are needed, so that they can be exchanged.

use std::io::Read;
use std::path::Path;

use zeroize::Zeroizing;

use crate::config::plan::SecretSource;
use crate::config::{ConfigError, Secret};

/// A larger file holds no secret.
const FILE_BYTES_MAX: usize = 64 * 1024;

/// A secret from where it is; `property` names its file.
///
/// # Errors
/// If the file cannot be read, is blank, or is too large.
pub(super) fn secret(property: &str, source: &SecretSource) -> Result<Secret, ConfigError> {
    match source {
        SecretSource::Value(secret) => Ok(secret.clone()),
        SecretSource::File(path) => Ok(Secret::new(read(property, path)?.trim().to_owned())),
    }
}

/// What others than a file's owner and group may do with it.
const READ: u32 = 0o004;
const WRITE: u32 = 0o002;

/// What is wrong with the permissions of a file with a secret, if others than its owner and group may
/// read or write it.
pub(super) fn exposed(property: &str, path: &Path) -> Option<String> {
    open_to_others(property, path, READ | WRITE, "640")
}

/// What is wrong with the permissions of a file that says where credentials go, if others than its owner
/// and group may write it.
pub(super) fn writable(property: &str, path: &Path) -> Option<String> {
    open_to_others(property, path, WRITE, "644")
}

fn open_to_others(property: &str, path: &Path, but: u32, mend: &str) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;

    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    let verb = match mode & but {
        0 => return None,
        open if open & WRITE != 0 => "written",
        _ => "read",
    };
    let path = path.display();
    Some(format!(
        "property '{property}': '{path}' can be {verb} by everybody on this machine (mode {mode:o}); run chmod {mend} on it"
    ))
}

/// The text of a file.
///
/// # Errors
/// If it cannot be read, is blank, or is too large.
pub(super) fn read(property: &str, path: &Path) -> Result<Zeroizing<String>, ConfigError> {
    // Room for all of it at once: a text that moves as it grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES_MAX + 1));
    let limit = FILE_BYTES_MAX as u64 + 1;
    let read = std::fs::File::open(path).and_then(|it| it.take(limit).read_to_string(&mut text));
    let bad = |problem: String, mend: &str| {
        let problem = format!("'{}' {problem}", path.display());
        Err(ConfigError::new(property, problem, mend))
    };
    match read {
        Err(error) => bad(format!("cannot be read: {error}"), "set the path of a readable file"),
        Ok(bytes) if bytes > FILE_BYTES_MAX => {
            bad(format!("is larger than {FILE_BYTES_MAX} bytes"), "set the path of a smaller file")
        }
        Ok(_) if text.trim().is_empty() => bad("is empty".to_owned(), "put it there"),
        Ok(_) => Ok(text),
    }
}
