//! What the API can bear, and what its refusals mean.

use std::time::Duration;

use serde::Deserialize;

use super::values::duration;

/// What an error's code means, where its status does not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorMeaning {
    /// No error at all: what was asked for is so already.
    Ok,
    /// Wait.
    Throttled,
    /// The token does not do.
    Unauthorized,
    /// The link died: the walk begins again.
    Restart,
    /// What was asked for is not there, or no longer.
    Gone,
    /// A subscription is missing.
    Subscribe,
    /// It may pass.
    Retry,
}

/// The headers that tell what is left of the request budget.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// The whole budget.
    #[serde(default)]
    pub limit: Option<String>,
    /// What is left.
    pub remaining: String,
    /// When it is whole again.
    pub reset: String,
    /// How that is written.
    #[serde(default)]
    pub reset_as: Reset,
    /// So many percent of the budget are left to others; one request at least.
    #[serde(default = "reserve")]
    pub reserve_percent: u8,
}

/// How the end of a budget's period is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reset {
    /// Seconds since 1970.
    #[default]
    Epoch,
    /// Seconds from now.
    Seconds,
}

fn reserve() -> u8 {
    10
}

/// What the API can bear.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Events a page.
    pub page: u32,
    /// The longest range one walk may ask for.
    #[serde(deserialize_with = "duration")]
    pub range: Duration,
    /// How far back the API answers.
    #[serde(deserialize_with = "duration")]
    pub reach: Duration,
    /// Requests a minute.
    pub requests_per_minute: u32,
}
