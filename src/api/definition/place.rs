//! Where in a definition something stands, so that a mistake can be shown there.

use std::fmt;

use serde::{Deserialize, Deserializer};

/// Line and column, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    line: u64,
    column: u64,
}

/// A mistake in a definition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct DefinitionError {
    place: Option<Place>,
    problem: String,
}

impl DefinitionError {
    /// A mistake that stands nowhere in particular: a part that is missing.
    pub fn new(problem: impl Into<String>) -> Self {
        Self { place: None, problem: one_line(&problem.into()) }
    }

    /// A mistake at a place.
    pub fn at(place: Place, problem: impl Into<String>) -> Self {
        Self { place: Some(place), problem: one_line(&problem.into()) }
    }

    pub(super) fn from_yaml(error: &serde_saphyr::Error) -> Self {
        let place = error.location().map(|at| Place { line: at.line(), column: at.column() });
        let text = error.without_snippet().to_string();
        // The place stands before the message already.
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        let problem = match text.strip_prefix("line ").and_then(|rest| rest.split_once(": ")) {
            Some((_, problem)) => problem,
            None => text,
        };
        let problem = problem.rsplit_once(" at line ").map_or(problem, |(problem, _)| problem);
        // The library's advice to programmers, and its terse word for a brace that should be quoted.
        let problem = problem.split(", set DuplicateKeyPolicy").next().unwrap_or(problem);
        let problem = match problem {
            "expected string scalar" => "expected a text; quote one that begins with a brace",
            other => other,
        };
        Self { place, problem: one_line(problem) }
    }
}

/// A refusal is one line, whatever it quotes.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some(Place { line, column }) => {
                write!(f, "line {line}, column {column}: {}", self.problem)
            }
            None => f.write_str(&self.problem),
        }
    }
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Placed<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let spanned = serde_saphyr::Spanned::<T>::deserialize(from)?;
        let at = spanned.referenced;
        Ok(Self { value: spanned.value, place: Place { line: at.line(), column: at.column() } })
    }
}
