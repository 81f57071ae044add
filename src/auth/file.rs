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

/// What is wrong with a file's permissions, if others than its owner and group may read it.
pub(super) fn exposed(property: &str, path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;

    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    let path = path.display();
    (mode & 0o004 != 0).then(|| {
        format!("property '{property}': '{path}' can be read by everybody on this machine (mode {mode:o}); run chmod 640 on it")
    })
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
