//! The only file that reads time.

use std::time::Instant;

use crate::model::{Now, Timestamp};

/// The machine's two clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// A clock whose monotonic side starts at zero.
    #[allow(clippy::disallowed_methods, reason = "this is the file that may")]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// Both clocks, now.
    #[allow(clippy::disallowed_methods, reason = "this is the file that may")]
    pub fn now(&self) -> Now {
        let since_1970 =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let nanos = i64::try_from(since_1970.as_nanos()).unwrap_or(i64::MAX);
        Now { wall: Timestamp::from_nanos(nanos), mono: self.started.elapsed() }
    }
}
