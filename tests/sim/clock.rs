//! Virtual time: the true time that the API lives by, and a collector's clocks, which may be wrong.

use std::time::Duration;

use in_lookback::model::{Now, Timestamp};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// True time is counted from here; simulations begin well after it.
const EPOCH: Timestamp = Timestamp::from_secs(1_767_225_600);

/// The moment of a true time.
pub(crate) fn moment(time: Duration) -> Timestamp {
    EPOCH + time
}

/// The true time of a moment.
pub(crate) fn time(moment: Timestamp) -> Duration {
    moment.since(EPOCH)
}

/// The clocks of the machine that collects.
#[derive(Debug)]
pub(crate) struct Clock {
    /// True time.
    pub(crate) time: Duration,
    /// How far the wall clock is ahead of it, in seconds.
    pub(crate) ahead: i64,
    /// When the process began, by true time: its monotonic clock starts there.
    pub(crate) began: Duration,
}

impl Clock {
    pub(crate) fn new(time: Duration) -> Self {
        Self { time, ahead: 0, began: time }
    }

    /// Both clocks as the process reads them.
    pub(crate) fn now(&self) -> Now {
        let off = Duration::from_secs(self.ahead.unsigned_abs());
        let wall = moment(self.time);
        Now {
            wall: if self.ahead < 0 { wall - off } else { wall + off },
            mono: self.time - self.began,
        }
    }

    /// When the monotonic clock will show this.
    pub(crate) fn at(&self, mono: Duration) -> Duration {
        self.began.saturating_add(mono)
    }
}
