//! What happened, by the simulator's word, against what each collector delivered.

use std::collections::HashMap;

use in_lookback::model::Timestamp;
use serde_json::Value;

use crate::simulate::Truth;

/// What one collector did.
#[derive(Debug)]
pub(crate) struct Tally {
    /// The delivered ids, and how often each was.
    delivered: HashMap<String, u64>,
    /// Records that the API gave it.
    pub(crate) read: u64,
    /// Requests for pages.
    pub(crate) requests: u64,
    /// By its own rules it never again asks for what lies before this.
    pub(crate) reach: Timestamp,
}

impl Default for Tally {
    fn default() -> Self {
        Self { delivered: HashMap::new(), read: 0, requests: 0, reach: Timestamp::from_secs(0) }
    }
}

/// How a collector stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Standing {
    /// Events that it delivered, once or more.
    pub(crate) delivered: u64,
    /// Visible, not delivered, and it may still read them.
    pub(crate) waiting: u64,
    /// Visible, not delivered, and it never asks for them again.
    pub(crate) lost: u64,
    /// Deliveries of what it had delivered before.
    pub(crate) doubled: u64,
    /// Ids that it delivered, but of nothing that happened.
    pub(crate) unknown: u64,
    /// Records read for each that was delivered.
    pub(crate) reads: f64,
    pub(crate) requests: u64,
}

impl Standing {
    /// Whether each event was delivered once, as far as it could be.
    pub(crate) fn is_clean(&self) -> bool {
        self.lost + self.doubled + self.unknown == 0
    }
}

impl Tally {
    /// Enters delivered ids.
    pub(crate) fn enter(&mut self, ids: impl IntoIterator<Item = String>) {
        for id in ids {
            *self.delivered.entry(id).or_default() += 1;
        }
    }

    /// Strikes the balance at `now`: of what happened from `began` on, but what came of before is no mistake.
    pub(crate) fn stand(&self, truth: &[Truth], began: Timestamp, now: Timestamp) -> Standing {
        let mut standing = Standing {
            reads: self.read as f64 / self.delivered.len().max(1) as f64,
            requests: self.requests,
            ..Standing::default()
        };
        let mut known = 0;
        for event in truth {
            let times = self.delivered.get(&event.id).copied().unwrap_or(0);
            known += usize::from(times > 0);
            let time = moment(event.time);
            match times {
                _ if time < began => {}
                1.. => {
                    standing.delivered += 1;
                    standing.doubled += times - 1;
                }
                0 if moment(event.visible_at) > now => {}
                0 if time < self.reach => standing.lost += 1,
                0 => standing.waiting += 1,
            }
        }
        standing.unknown = (self.delivered.len() - known) as u64;
        standing
    }
}

/// How many events of the story have happened, and how many of them show at `now`.
pub(crate) fn happened(truth: &[Truth], began: Timestamp, now: Timestamp) -> (u64, u64) {
    let ours = truth.iter().filter(|event| moment(event.time) >= began);
    ours.fold((0, 0), |(all, visible), event| {
        (all + 1, visible + u64::from(moment(event.visible_at) <= now))
    })
}

/// A record's id.
pub(crate) fn id_of(record: &Value) -> String {
    record["id"].as_str().unwrap_or_default().to_owned()
}

/// The simulator's time in the library's words.
pub(crate) fn moment(time: jiff::Timestamp) -> Timestamp {
    Timestamp::from_nanos(i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(id: &str, seconds: i64, late: i64) -> Truth {
        let at = |seconds| jiff::Timestamp::from_second(seconds).unwrap();
        Truth {
            changes: Vec::new(),
            id: id.into(),
            time: at(seconds),
            visible_at: at(seconds + late),
            sign_in_type: "interactiveUser",
            content_type: "Audit.General",
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    fn tally(ids: &[&str], reach: i64) -> Tally {
        let mut tally = Tally { reach: at(reach), read: 10, ..Tally::default() };
        tally.enter(ids.iter().map(|id| (*id).to_owned()));
        tally
    }

    #[test]
    fn the_books_tell_delivered_waiting_lost_doubled_and_unknown() {
        let truth = [
            truth("before", 0, 1),
            truth("missed before", 1, 1),
            truth("a", 10, 1),
            truth("lost", 11, 5),
            truth("waits", 15, 1),
            truth("unseen", 12, 100),
        ];
        let standing =
            tally(&["before", "before", "a", "a", "never"], 15).stand(&truth, at(10), at(20));
        let expected = Standing {
            delivered: 1,
            waiting: 1,
            lost: 1,
            doubled: 1,
            unknown: 1,
            reads: 10.0 / 3.0,
            requests: 0,
        };
        assert_eq!(standing, expected);
        assert_eq!(happened(&truth, at(10), at(20)), (4, 3));
    }

    #[test]
    fn what_is_within_reach_is_not_lost_yet() {
        let truth = [truth("a", 10, 1)];
        assert!(tally(&[], 10).stand(&truth, at(0), at(20)).is_clean());
        assert!(!tally(&[], 11).stand(&truth, at(0), at(20)).is_clean());
    }
}
