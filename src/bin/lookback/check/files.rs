//! What of the machine a configuration names: the state's place, certificates, files with secrets.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use in_lookback::api::page::PageReader;
use in_lookback::auth;
use in_lookback::config::plan::Plan;
use in_lookback::config::{ConfigError, Db};
use in_lookback::http::Http;

use super::finding::{Finding, Severity};
use super::{Input, fleet};

/// How an SQLite file begins.
const SQLITE: &[u8] = b"SQLite format 3\0";

pub(crate) fn lint(input: &Input<'_>, plan: &Plan, findings: &mut Vec<Finding>) {
    let refused = [tools(plan), plan.access.as_ref().map_or(Ok(()), |it| auth::check(&it.login))];
    for error in refused.into_iter().filter_map(Result::err) {
        findings.push(Finding::refusal(input.place_of(&error.property), &error));
    }
    let exposed = auth::exposed(plan).into_iter();
    let exposed = exposed.chain(plan.http.warning()).chain(plan.db.warning());
    for sentence in exposed {
        let property = sentence.split('\'').nth(1).unwrap_or_default();
        findings.push(Finding::warning(input.place_of(property), &sentence));
    }
    let place = input.place_of("db");
    let db = match &plan.db {
        Db::File(path) => path,
        Db::Shared(fleet) => {
            let unreadable = fleet::unreadable(&fleet.database).into_iter();
            findings.extend(
                unreadable
                    .map(|(problem, mend)| Finding::new(Severity::Error, place, problem, mend)),
            );
            return;
        }
    };
    if let Err((problem, mend)) = state(db) {
        findings.push(Finding::new(Severity::Error, place, problem, mend));
    }
    if db.is_relative() {
        let problem = format!(
            "db '{}' is relative: where it is depends on the directory that Fluent Bit is started in",
            db.display()
        );
        findings.push(Finding::new(Severity::Warning, place, problem, "set an absolute path"));
    }
}

/// What else the plugin refuses at a start.
fn tools(plan: &Plan) -> Result<(), ConfigError> {
    PageReader::new(&plan.definition, [0; 16])
        .map_err(|error| ConfigError::new("api", error, "mend the definition"))?;
    Http::new(&plan.http, Arc::default()).map(drop)
}

/// Whether the state can be had: problem and mend if not. A file that is there is not written to.
fn state(db: &Path) -> Result<(), (String, String)> {
    let shown = db.display();
    let dir = db.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !dir.is_dir() {
        let problem = format!("db '{shown}': the directory {} is not there", dir.display());
        let mend = "make it, for the user that Fluent Bit runs as (lookback does not: it may be a mount that is missing)";
        return Err((problem, mend.to_owned()));
    }
    match db.metadata() {
        Ok(found) if found.is_dir() => {
            return Err((
                format!("db '{shown}' is a directory"),
                "set the path of a file".to_owned(),
            ));
        }
        Ok(found) if found.permissions().mode() & 0o222 == 0 => {
            let mend = "run chmod u+w on it".to_owned();
            return Err((format!("db '{shown}' is read-only"), mend));
        }
        Ok(_) => look(db)?,
        Err(_) => {}
    }
    probe(dir).map_err(|error| {
        let problem = format!("db '{shown}': nothing can be written in {}: {error}", dir.display());
        let mend = "let the user that Fluent Bit runs as write there, and run this as that user";
        (problem, mend.to_owned())
    })
}

/// Whether what is there may be a state; reads a few bytes.
fn look(db: &Path) -> Result<(), (String, String)> {
    let mut begins = Vec::new();
    let read = File::open(db).and_then(|it| it.take(SQLITE.len() as u64).read_to_end(&mut begins));
    let shown = db.display();
    match read {
        Err(error) => {
            let mend = "run this as the user that Fluent Bit runs as";
            Err((format!("db '{shown}' cannot be read: {error}"), mend.to_owned()))
        }
        Ok(_) if begins.is_empty() || begins == SQLITE => Ok(()),
        Ok(_) => {
            let mend = "set another path, or move that file away";
            Err((
                format!("db '{shown}' is no state of lookback's, and no SQLite file"),
                mend.to_owned(),
            ))
        }
    }
}

/// Makes a file in a directory, and removes it.
fn probe(dir: &Path) -> io::Result<()> {
    let path = dir.join(format!(".lookback-check-{}", std::process::id()));
    OpenOptions::new().write(true).create_new(true).open(&path)?;
    fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_cannot_be_had_is_told_and_one_that_is_there_is_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("good.db"), [SQLITE, b"more"].concat()).unwrap();
        fs::write(at("empty.db"), "").unwrap();
        fs::write(at("other.db"), "a diary, say").unwrap();
        fs::write(at("closed.db"), SQLITE).unwrap();
        fs::set_permissions(at("closed.db"), fs::Permissions::from_mode(0o400)).unwrap();
        for (name, word) in [
            ("good.db", None),
            ("empty.db", None),
            ("new.db", None),
            ("other.db", Some("no SQLite file")),
            ("closed.db", Some("read-only")),
            ("", Some("is a directory")),
            ("none/new.db", Some("is not there")),
        ] {
            let found = state(&at(name)).err().map(|(problem, _)| problem);
            let fits = match (&found, word) {
                (Some(problem), Some(word)) => problem.contains(word),
                (found, word) => found.is_none() && word.is_none(),
            };
            assert!(fits, "{name}: {found:?}");
        }
        assert_eq!(fs::read(at("other.db")).unwrap(), b"a diary, say");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4, "nothing is left behind");
    }
}
