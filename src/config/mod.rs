//! From the strings of a Fluent Bit config to a validated [`Plan`]. Pure but for [`load`].

mod access;
pub mod auto;
pub mod cloud;
pub mod database;
mod database_url;
mod hosts;
pub mod keys;
pub mod load;
pub mod plan;
mod property;
pub mod raw;
pub mod secret;
pub mod sweeps;
pub mod units;
mod validate;
mod values;

pub use database::Db;
pub use plan::Plan;
pub use raw::Raw;
pub use secret::Secret;

/// Why an instance refuses to start: which property, what is wrong with it, and the mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("property '{property}': {problem}; {mend}")]
pub struct ConfigError {
    /// The property's name.
    pub property: String,
    /// What was found (never a secret's value).
    pub problem: String,
    /// What to do.
    pub mend: String,
}

impl ConfigError {
    /// An error about one property.
    pub fn new(property: &str, problem: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { property: property.to_owned(), problem: problem.into(), mend: mend.into() }
    }
}
