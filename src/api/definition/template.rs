//! A template and where it stands.

use serde::Deserialize;

use super::{DefinitionError, Place, Placed};
use crate::api::template::{self, Values};

/// A template of a definition.
#[derive(Clone, Debug)]
pub struct Template {
    text: String,
    place: Place,
}

impl Template {
    /// A template that stands at a place.
    ///
    /// # Errors
    /// If a brace has no partner.
    pub fn new(text: String, place: Place) -> Result<Self, String> {
        template::check(&text)?;
        Ok(Self { text, place })
    }

    /// The names that it mentions.
    pub fn names(&self) -> Vec<&str> {
        template::names(&self.text)
    }

    /// Whether it mentions a name.
    pub fn mentions(&self, name: &str) -> bool {
        self.names().contains(&name)
    }

    /// Puts the values in, each passed through `escape`.
    ///
    /// # Errors
    /// The name that has no value.
    pub fn fill(&self, values: &Values, escape: fn(&str) -> String) -> Result<String, String> {
        template::fill(&self.text, values, escape)
    }

    /// A mistake in it.
    pub fn error(&self, problem: impl Into<String>) -> DefinitionError {
        DefinitionError::at(self.place, problem)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Placed { value, place } = Placed::<String>::deserialize(from)?;
        Self::new(value, place).map_err(serde::de::Error::custom)
    }
}
