//! What is wrong with a configuration, and the mend.

use serde::Serialize;

use in_lookback::config::ConfigError;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// It does not start, or does not do what it says.
    Error,
    /// It can lose records.
    Loss,
    /// It works, and could be better.
    Warning,
}

impl Severity {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Loss => "loss",
            Self::Warning => "warning",
        }
    }

    /// Whether nobody should go on with it as it is.
    pub(crate) fn is_serious(self) -> bool {
        self != Self::Warning
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    /// File and line.
    pub(crate) place: String,
    /// What was found (never a secret's value).
    pub(crate) problem: String,
    /// What to do.
    pub(crate) mend: String,
}

impl Finding {
    pub(crate) fn new(
        severity: Severity,
        place: impl ToString,
        problem: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { severity, place: place.to_string(), problem: problem.into(), mend: mend.into() }
    }

    /// What the plugin itself refuses, in its own words.
    pub(crate) fn refusal(place: impl ToString, error: &ConfigError) -> Self {
        let problem = format!("property '{}': {}", error.property, error.problem);
        Self::new(Severity::Error, place, problem, error.mend.clone())
    }

    /// A sentence of the plugin's own log, whose mend stands behind the last semicolon.
    pub(crate) fn warning(place: impl ToString, sentence: &str) -> Self {
        let (problem, mend) = sentence.rsplit_once("; ").unwrap_or((sentence, "see the README"));
        Self::new(Severity::Warning, place, problem, mend)
    }
}
