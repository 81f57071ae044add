//! The database's errors: a code, a text without secrets, and what to do.

use std::error::Error as _;

use tokio_postgres::error::SqlState;

use super::tls;
use crate::config::Secret;
use crate::state::StateError;

/// So much of what a server says is shown.
const SHOWN_MAX: usize = 300;

/// What the database says, or what became of the connection to it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct DatabaseError {
    code: Option<SqlState>,
    text: String,
    mend: &'static str,
    /// Whether the database has lost commits that it had confirmed.
    is_rollback: bool,
}

impl DatabaseError {
    /// Of the connection: what is wrong, and what to do.
    pub(super) fn new(text: impl Into<String>, mend: &'static str) -> Self {
        Self { code: None, text: text.into(), mend, is_rollback: false }
    }

    /// Commits that the database had confirmed are gone.
    pub(super) fn rollback(lost: i64) -> Self {
        let text = format!(
            "the database lacks the last {lost} commits of this source, which it had confirmed"
        );
        let mend = "let it confirm a commit once a replica has it: see synchronous_commit";
        Self { is_rollback: true, ..Self::new(text, mend) }
    }

    /// Whether it is that.
    pub(super) fn is_rollback(&self) -> bool {
        self.is_rollback
    }

    /// What to do about it.
    pub(in crate::state) fn mend(&self) -> &'static str {
        let Some(code) = self.code.as_ref().map(SqlState::code) else { return self.mend };
        match code {
            "28P01" => "set the user and the password that the database knows",
            "28000" => {
                "let this user in from this machine: see the database's pg_hba.conf, and what it asks for of encryption (sslmode) and certificates (sslcert)"
            }
            "3D000" => "create the database, or set another",
            "42501" => {
                "grant the user CREATE and USAGE on the first schema of its search_path, and the tables in it"
            }
            "3F000" => "create the schema that the search_path names first",
            "53300" => "raise max_connections of the database",
            "53100" => "make room on the disk of the database",
            "42P01" | "42703" => {
                "restore the tables whose names begin with lookback_, or drop all of them to begin anew"
            }
            "25006" => "name the host that takes writes: this one is a replica",
            _ => "wait; it is tried again. If it stays so, look into the database's log",
        }
    }

    /// Whether tables are missing that were there, or commits.
    pub(in crate::state) fn is_loss(&self) -> bool {
        self.is_rollback
            || matches!(self.code, Some(SqlState::UNDEFINED_TABLE | SqlState::UNDEFINED_COLUMN))
    }

    /// Whether the connection is at fault, and others that are open may be as well.
    pub(super) fn is_of_connection(&self) -> bool {
        self.code.as_ref().is_none_or(|code| {
            let code = code.code();
            code.starts_with("08") || code.starts_with("57P") || code == "25006"
        })
    }

    /// Whether the database says this.
    pub(super) fn is(&self, code: &SqlState) -> bool {
        self.code.as_ref() == Some(code)
    }

    /// The same about one of several places that were tried.
    pub(super) fn at(mut self, place: &str) -> Self {
        self.text = format!("{place}: {}", self.text);
        self
    }

    /// The same, with what another place said.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.text = format!("{}; {}", self.text, other.text);
        Self { code: self.code.or(other.code), ..self }
    }

    /// The same without a password that the server has sent back.
    pub(super) fn without(self, secret: Option<&Secret>) -> Self {
        let is_quoted = secret.is_some_and(|secret| secret.is_quoted_in(&self.text));
        let text = "its answer quotes the password, and is not shown".to_owned();
        if is_quoted { Self { text, ..self } } else { self }
    }
}

impl From<tokio_postgres::Error> for DatabaseError {
    fn from(error: tokio_postgres::Error) -> Self {
        let mend = "see that the database runs, and that this machine can reach it";
        if let Some(said) = error.as_db_error() {
            let code = said.code().clone();
            let text = format!("{} (SQLSTATE {})", shown(said.message()), code.code());
            return Self { code: Some(code), ..Self::new(text, mend) };
        }
        let mend = tls::mend(&error).unwrap_or(mend);
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            text = format!("{text}: {inner}");
            cause = inner.source();
        }
        Self::new(shown(&text), mend)
    }
}

impl From<tokio_postgres::Error> for StateError {
    fn from(error: tokio_postgres::Error) -> Self {
        DatabaseError::from(error).into()
    }
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(SHOWN_MAX).collect()
}
