//! How a host runs: its times, sizes and habits.

use std::sync::Arc;
use std::time::Duration;

use super::habits::Habits;
use super::log::{self, LogSink};

/// How large the host's definition struct is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DefSize {
    /// Up to 4.0: ends after `description`, 32 bytes.
    Old,
    /// 5.1 on: `event_type` and `config_map` follow, 48 bytes.
    New,
}

impl DefSize {
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Old => 32,
            Self::New => 48,
        }
    }
}

#[derive(Clone)]
pub(crate) struct HostOptions {
    /// From callback to callback.
    pub(crate) tick: Duration,
    /// From fetch to fetch of the rings.
    pub(crate) fetch: Duration,
    /// How long a shutdown waits for rings and output at most, and at least.
    pub(crate) grace: Duration,
    pub(crate) grace_min: Duration,
    pub(crate) ring_capacity: usize,
    /// How long an append waits for room in the ring.
    pub(crate) append_wait: Duration,
    pub(crate) def_size: DefSize,
    pub(crate) hot_reload: bool,
    pub(crate) log: LogSink,
    pub(crate) habits: Arc<Habits>,
}

impl Default for HostOptions {
    /// The real host's values.
    fn default() -> Self {
        Self {
            tick: Duration::from_secs(1),
            fetch: Duration::from_millis(250),
            grace: Duration::from_secs(5),
            grace_min: Duration::from_secs(1),
            ring_capacity: 1024,
            append_wait: Duration::from_secs(1),
            def_size: DefSize::New,
            hot_reload: true,
            log: log::to_stderr(),
            habits: Arc::default(),
        }
    }
}

impl HostOptions {
    /// The same, some fifty times as fast.
    pub(crate) fn fast() -> Self {
        Self {
            tick: Duration::from_millis(20),
            fetch: Duration::from_millis(5),
            grace: Duration::from_millis(500),
            grace_min: Duration::from_millis(40),
            append_wait: Duration::from_millis(50),
            ..Self::default()
        }
    }
}
