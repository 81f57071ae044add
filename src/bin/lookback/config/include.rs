//! Include patterns: relative to the including file, `*` in the file's name.

use std::fs;
use std::path::{Path, PathBuf};

use super::{ConfigError, Place};

/// The files that a pattern names, sorted. A plain path names one, whether it exists or not.
pub(super) fn resolve(pattern: &str, place: &Place) -> Result<Vec<PathBuf>, ConfigError> {
    let base = place.file.parent().unwrap_or(Path::new(""));
    let path = base.join(pattern);
    if !pattern.contains('*') {
        return Ok(vec![path]);
    }
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(place.error(format!("`{pattern}` names no file")));
    };
    if dir.to_string_lossy().contains('*') {
        return Err(place.error(format!("`{pattern}`: expected `*` in the file's name only")));
    }
    let cannot = |cause| place.error(format!("cannot list {}: {cause}", dir.display()));
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        if matches(&name.to_string_lossy(), &entry.file_name().to_string_lossy()) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a pattern, in which `*` stands for any characters, fits a whole name: of files, and of tags as well.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(rest) = name.strip_prefix(before) else {
        return false;
    };
    let mut starts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    starts.any(|at| matches(after, &rest[at..]))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars() {
        for (pattern, name, expected) in [
            ("a.conf", "a.conf", true),
            ("*.conf", "a.conf", true),
            ("in_*_*.conf", "in_a_b.conf", true),
            ("*.conf", "a.yaml", false),
            ("*", "é", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
