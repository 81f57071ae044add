//! Which of a vendor's clouds: separate hosts for login and API.

use std::fmt;

use serde::Deserialize;

/// A cloud, by the contract's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cloud {
    /// Everybody's.
    #[default]
    Global,
    /// For government agencies, on the global login.
    Gcc,
    /// For government agencies, apart.
    GccHigh,
    /// For defence.
    Dod,
    /// In China.
    China,
}

const NAMES: [(&str, Cloud); 5] = [
    ("global", Cloud::Global),
    ("gcc", Cloud::Gcc),
    ("gcc_high", Cloud::GccHigh),
    ("dod", Cloud::Dod),
    ("china", Cloud::China),
];

impl Cloud {
    /// Reads a cloud's name.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(name, _)| *name == text).map(|(_, cloud)| *cloud);
        found.ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            format!("expected one of {}", names.join(", "))
        })
    }
}

impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, cloud)| cloud == self).map_or("global", |(name, _)| name);
        f.write_str(name)
    }
}
