//! Where a connection's password comes from. Files are read again for every connection, so that a password can be changed without a restart.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use zeroize::Zeroizing;

use super::error::DatabaseError;
use crate::config::Secret;
use crate::config::database::{Database, Host};

/// A larger file holds no passwords.
const FILE_BYTES_MAX: usize = 64 * 1024;

/// The password for a host: the config's own, or of its files, or else the environment's `PGPASSWORD`. There need be none: some servers ask for a
/// certificate, or trust.
pub(super) fn find(
    database: &Database,
    host: &Host,
    port: u16,
) -> Result<Option<Secret>, DatabaseError> {
    if database.password.is_some() {
        return Ok(database.password.clone());
    }
    if let Some(path) = &database.password_file {
        let text = read("password_file", path)?;
        return Ok(Some(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned())));
    }
    if let Some(path) = &database.passfile {
        let host = match host {
            Host::Name(name) => name.clone(),
            Host::Socket(dir) => dir.display().to_string(),
        };
        let asked = [&host, &port.to_string(), &database.name, &database.user];
        let text = read("passfile", path)?;
        if let Some(found) = text.lines().find_map(|line| password_of(line, asked)) {
            return Ok(Some(found));
        }
    }
    Ok(std::env::var("PGPASSWORD").ok().filter(|text| !text.is_empty()).map(Secret::new))
}

/// The password of a line of libpq's form, `host:port:database:user:password`, if the line is about what is asked for.
fn password_of(line: &str, asked: [&String; 4]) -> Option<Secret> {
    let mut rest = line;
    if rest.starts_with('#') {
        return None;
    }
    for value in asked {
        let (field, after) = field(rest);
        if *field != "*" && *field != *value {
            return None;
        }
        rest = after?;
    }
    let (password, _) = field(rest);
    Some(Secret::new(password.to_string()))
}

/// A line's first field, and what follows its colon. A backslash stands before a colon or a backslash that is meant.
fn field(line: &str) -> (Zeroizing<String>, Option<&str>) {
    let mut found = Zeroizing::new(String::with_capacity(line.len()));
    let mut chars = line.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            ':' => return (found, Some(&line[at + 1..])),
            '\\' => found.extend(chars.next().map(|(_, c)| c)),
            c => found.push(c),
        }
    }
    (found, None)
}

fn read(parameter: &str, path: &Path) -> Result<Zeroizing<String>, DatabaseError> {
    let bad = |problem: String, mend| {
        DatabaseError::new(format!("{parameter} '{}' {problem}", path.display()), mend)
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX + 1));
    let file = File::open(path);
    let read = file.and_then(|it| it.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes));
    let len = read.map_err(|error| {
        bad(format!("cannot be read: {error}"), "set the path of a readable file")
    })?;
    if len > FILE_BYTES_MAX {
        let problem = format!("is larger than {FILE_BYTES_MAX} bytes");
        return Err(bad(problem, "set the path of a file of passwords"));
    }
    let text = std::str::from_utf8(&bytes).map(|text| Zeroizing::new(text.to_owned()));
    text.map_err(|_| bad("is no text".to_owned(), "set the path of a file of passwords"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_passfile_answers_for_what_it_names() {
        let asked = ["db.example", "5432", "logs", "look:back"].map(str::to_owned);
        for (line, password) in [
            (r"db.example:5432:logs:look\:back:hunter2", Some("hunter2")),
            (r"*:*:*:*:a\:b\\c", Some(r"a:b\c")),
            (r"*:*:*:look\:back:two:words", Some("two")),
            (r"*:*:*:*:", Some("")),
            (r"other:5432:logs:look\:back:hunter2", None),
            (r"*:5433:*:*:hunter2", None),
            (r"#*:*:*:*:hunter2", None),
            (r"*:*:*:*", None),
            ("", None),
        ] {
            let found = password_of(line, asked.each_ref());
            assert_eq!(found.as_ref().map(Secret::expose), password, "{line}");
        }
    }
}
