//! Properties as strings, exactly as the host or the command line gave them. Interprets nothing.

use std::collections::BTreeMap;
use std::fmt;

use super::{ConfigError, Db, keys};

/// The longest value that is read.
const VALUE_BYTES_MAX: usize = 64 * 1024;

/// The properties that were set.
#[derive(Clone, Default)]
pub struct Raw {
    values: BTreeMap<String, String>,
}

impl Raw {
    /// Asks `lookup` for every property of the table, then for the ones named in `more`.
    ///
    /// # Errors
    /// A value that is too long.
    pub fn collect<'n>(
        more: impl IntoIterator<Item = &'n str>,
        mut lookup: impl FnMut(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let table = keys::KEYS.iter().map(|key| key.name);
        let mut values = BTreeMap::new();
        for name in table.chain(more) {
            if let Some(value) = lookup(name) {
                if value.len() > VALUE_BYTES_MAX {
                    let (found, mend) = (value.len(), "write less than 64 KB");
                    return Err(ConfigError::new(name, format!("is {found} bytes long"), mend));
                }
                values.insert(name.to_owned(), value);
            }
        }
        Ok(Self { values })
    }

    /// What was set, if it was and is not blank.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// Sets a property.
    pub fn set(&mut self, name: &str, value: &str) {
        self.values.insert(name.to_owned(), value.to_owned());
    }

    /// What was set, else the table's default, else nothing.
    pub fn get_or_default(&self, name: &str) -> Option<&str> {
        let default = || keys::find(name).map(|key| key.default).filter(|d| !d.is_empty());
        self.get(name).or_else(default)
    }

    /// The properties and values that were set, secrets masked.
    pub fn masked(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| {
            let is_url = name == "db" && Db::is_shared(value);
            let hidden = is_url || keys::find(name).is_none_or(|key| key.secret);
            (name.as_str(), if hidden { "***" } else { value.as_str() })
        })
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.masked()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_unknown_values_are_masked() {
        let mut raw = Raw::default();
        raw.set("client_secret", "hunter2");
        raw.set("token", "hunter3");
        raw.set("tenant", "contoso");
        raw.set("db", "postgresql:me:hunter2@x");
        let shown = format!("{raw:?}");
        assert!(!shown.contains("hunter"), "{shown}");
        assert!(shown.contains("contoso"), "{shown}");
    }

    #[test]
    fn a_value_that_is_too_long_is_refused_and_not_passed_over() {
        let value = |len: usize| move |name: &str| (name == "token").then(|| "x".repeat(len));
        assert!(Raw::collect([], value(VALUE_BYTES_MAX)).is_ok());
        let error = Raw::collect([], value(VALUE_BYTES_MAX + 1)).unwrap_err().to_string();
        assert!(error.contains("token") && error.len() < 200, "{error}");
    }

    #[test]
    fn a_blank_value_counts_as_not_set() {
        let mut raw = Raw::default();
        raw.set("interval", "  ");
        assert_eq!(raw.get_or_default("interval"), Some("3m"));
    }
}
