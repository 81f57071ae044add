//! Adjacent slices: at every interval what has happened since the last poll, and never again.

use in_lookback::model::{TimeRange, Timestamp};

use super::{Rule, Verdict};

/// Remembers how far it has read.
pub(crate) struct Adjacent {
    until: Timestamp,
}

impl Adjacent {
    /// The first slice begins at `from`.
    pub(crate) fn new(from: Timestamp) -> Self {
        Self { until: from.floor_secs() }
    }
}

impl Rule for Adjacent {
    /// Whole seconds, as the API's filters are written, so that slices meet and do not overlap.
    fn range(&self, now: Timestamp) -> TimeRange {
        TimeRange::new(self.until, now.floor_secs().max(self.until))
    }

    fn read(&mut self, range: TimeRange, ids: Vec<String>) -> Verdict {
        self.until = range.to;
        Verdict { send: ids, again: false }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_secs(1_000) + Duration::from_millis(millis)
    }

    #[test]
    fn each_slice_begins_where_the_last_one_ended() {
        let mut rule = Adjacent::new(at(300));
        for (now, from, to) in [(1_700, 0, 1_000), (2_800, 1_000, 2_000), (9_100, 2_000, 9_000)] {
            let range = rule.range(at(now));
            assert_eq!(range, TimeRange::new(at(from), at(to)));
            rule.read(range, Vec::new());
        }
    }

    #[test]
    fn a_slice_that_was_not_read_is_asked_for_again() {
        let rule = Adjacent::new(at(0));
        assert_eq!(rule.range(at(1_000)).from, rule.range(at(5_000)).from);
    }

    #[test]
    fn everything_in_a_slice_is_sent() {
        let mut rule = Adjacent::new(at(0));
        let ids = vec!["a".to_owned(), "b".to_owned()];
        let sent = rule.read(rule.range(at(1_000)), ids.clone());
        assert_eq!(sent, Verdict { send: ids, again: false });
    }
}
