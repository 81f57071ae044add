//! The only file that reads time.

use std::time::Instant;

use once_cell::sync::Lazy;

use crate::model::{Now, Timestamp};

/// Where the monotonic clock of the whole process begins.
#[allow(clippy::disallowed_methods, reason = "this is the file that may")]
static ZERO: Lazy<Instant> = Lazy::new(Instant::now);

/// The machine's two clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    zero: Instant,
}

impl Clock {
    /// The process's clock; all of them agree.
    pub fn start() -> Self {
        Self { zero: *ZERO }
    }

    /// Both clocks, now.
    #[allow(clippy::disallowed_methods, reason = "this is the file that may")]
    pub fn now(&self) -> Now {
        let since_1970 =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let nanos = i64::try_from(since_1970.as_nanos()).unwrap_or(i64::MAX);
        Now { wall: Timestamp::from_nanos(nanos), mono: self.zero.elapsed() }
    }
}
