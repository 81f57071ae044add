//! Where a state is, what it holds, and why it cannot be had: a file, or a database that several machines share.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use in_lookback::config::Db;
use in_lookback::config::database::Database;
use in_lookback::state::look::{self, Source};
use in_lookback::state::postgres::look::{self as shared, Holder};
use in_lookback::state::{StateError, Trouble};

/// As long as anybody waits for an answer on a terminal.
const LIMIT: Duration = Duration::from_secs(30);

/// Where it is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    File(PathBuf),
    Shared(Box<Database>),
}

/// What it holds.
pub(crate) struct Found {
    pub(crate) sources: Vec<Source>,
    /// Who leads which source, or did so last; nothing if it is a file, whose sources have no leaders.
    pub(crate) leaders: Option<BTreeMap<String, Holder>>,
}

impl Place {
    /// As `db` names it.
    pub(crate) fn parse(db: &Path) -> Result<Self, String> {
        let Some(url) = db.to_str().filter(|text| Db::is_shared(text)) else {
            return Ok(Self::File(db.to_owned()));
        };
        let database = Database::parse(url);
        let database = database
            .map_err(|error| format!("the database's URL {}; {}", error.problem, error.mend))?;
        Ok(Self::Shared(Box::new(database)))
    }

    /// All of it but for the ids; of a database the ledger of the source `of` alone, hour by hour.
    pub(crate) fn look(&self, of: Option<&str>) -> Result<Found, String> {
        match self {
            Self::File(path) => {
                let sources = look::look(path).map_err(|error| of_file(path, &error))?;
                Ok(Found { sources, leaders: None })
            }
            Self::Shared(database) => {
                let found = shared::look(database, of, LIMIT);
                let found = found.map_err(|error| of_database(database, &error))?;
                let led = |it: &shared::Shared| Some((it.source.name.clone(), it.holder.clone()?));
                let leaders = Some(found.iter().filter_map(led).collect());
                Ok(Found { sources: found.into_iter().map(|it| it.source).collect(), leaders })
            }
        }
    }
}

/// Without a password.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Shared(database) => database.fmt(f),
        }
    }
}

/// What is wrong with the database, and what to do.
fn of_database(database: &Database, error: &StateError) -> String {
    match error {
        StateError::Foreign => format!(
            "{database}: it has no tables of lookback that this user sees; give the URL that the input's 'db' names, or start the plugin once"
        ),
        StateError::Newer { .. } => {
            format!("{database}: {error}; run that version's 'lookback state'")
        }
        error => format!("{database}: {error}; {}", error.mend()),
    }
}

/// What is wrong with the file, and what to do.
fn of_file(db: &Path, error: &StateError) -> String {
    let path = db.display();
    if is_denied(db, error) {
        return format!("{path}: permission denied; run it as the user of Fluent Bit");
    }
    match error {
        StateError::Io(io) if io.kind() == io::ErrorKind::NotFound => {
            format!("{path}: there is no such file; give the path that the input's 'db' names")
        }
        StateError::Directory => {
            format!("{path}: is a directory; give the path that the input's 'db' names")
        }
        StateError::Foreign => format!(
            "{path}: is no state file of lookback; give the path that the input's 'db' names"
        ),
        StateError::NoIndex => format!("{path}: {error}: {}", error.mend()),
        StateError::Newer { .. } => format!("{path}: {error}; run that version's 'lookback state'"),
        StateError::UnderWay => format!("{path}: it changes all the time; try again"),
        error if error.trouble() == Trouble::Lost => format!(
            "{path}: it is damaged, or not of lookback ({error}); a damaged one is set aside, and what can be read of it carried over, when the plugin next opens it"
        ),
        error => format!(
            "{path}: {error}; let the user who runs this read the file and what lies beside it, or start the plugin once if it did not end well"
        ),
    }
}

/// Whether someone else's file is in the way, or one beside it: SQLite does not say why it cannot open one.
fn is_denied(db: &Path, error: &StateError) -> bool {
    let is_denial = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
    let is_open_to_us = |suffix: &str| {
        let mut path = db.as_os_str().to_owned();
        path.push(suffix);
        !File::open(path).is_err_and(|error| is_denial(&error))
    };
    match error {
        StateError::Io(error) => is_denial(error),
        StateError::Sqlite(_) => !["", "-wal", "-shm"].into_iter().all(is_open_to_us),
        _ => false,
    }
}
