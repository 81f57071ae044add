//! Running counts and levels, for metrics and heartbeats.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::Timestamp;

/// What the metrics show.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// New records.
    pub records: u64,
    /// Records that were known.
    pub duplicates: u64,
    /// New records that the window had missed.
    pub late: u64,
    /// Events that were not as the definition says.
    pub rejected: u64,
    /// Walks and polls, by kind and result.
    pub polls: BTreeMap<(&'static str, &'static str), u64>,
    /// Requests, by status (`error` where there was no answer).
    pub requests: BTreeMap<String, u64>,
    /// Requests that were throttled.
    pub throttled: u64,
    /// Bytes received over the wire.
    pub received_bytes: u64,
    /// API drift at the last live poll.
    pub drift: Duration,
    /// Lateness at first sight in seconds: median, 90th, 99th percentile.
    pub lateness: [f64; 3],
    /// What live polls read now.
    pub window: Duration,
    /// How long the last live poll took.
    pub poll_duration: Duration,
    /// When the last live poll was complete.
    pub last_success: Option<Timestamp>,
    /// How old the oldest moment not yet read completely is.
    pub behind: Duration,
    /// Ids in the state.
    pub state_ids: u64,
    /// Records handed over, not yet committed.
    pub pending_records: u64,
}

/// The quantiles of [`Stats::lateness`].
pub const QUANTILES: [(&str, f64); 3] = [("0.5", 0.5), ("0.9", 0.9), ("0.99", 0.99)];

impl Stats {
    /// The same of a node that does not read the source: counts stay, levels are those of nothing.
    pub fn standing_by(&self) -> Self {
        Self {
            records: self.records,
            duplicates: self.duplicates,
            late: self.late,
            rejected: self.rejected,
            polls: self.polls.clone(),
            requests: self.requests.clone(),
            throttled: self.throttled,
            received_bytes: self.received_bytes,
            ..Self::default()
        }
    }

    /// Counts a request.
    pub fn request(&mut self, status: u16) {
        let status = if status == 0 { "error".to_owned() } else { status.to_string() };
        *self.requests.entry(status).or_default() += 1;
    }

    /// Counts a poll.
    pub fn poll(&mut self, kind: &'static str, result: &'static str) {
        *self.polls.entry((kind, result)).or_default() += 1;
    }
}
