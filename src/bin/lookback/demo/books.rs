//! What happened, by the simulator's word, against what was delivered.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::embedded::Record;
use crate::simulate::{Stats, Truth};

/// One delivered sign-in, as the screen shows it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SignIn {
    pub(crate) time: Timestamp,
    pub(crate) user: String,
    pub(crate) app: String,
    /// Entra's code; 0 is success.
    pub(crate) code: u64,
    /// From the event to its delivery.
    pub(crate) took: Duration,
}

/// Sign-ins delivered together.
#[derive(Debug, Default)]
pub(crate) struct Lot {
    /// How many happened before the demo began.
    pub(crate) history: usize,
    /// What showed in time for a live poll.
    pub(crate) prompt: Vec<SignIn>,
    /// What showed too late for it.
    pub(crate) late: Vec<SignIn>,
}

/// The delivered ids, and how often each was.
pub(crate) struct Books {
    began: Timestamp,
    window: Duration,
    delivered: HashMap<String, u64>,
}

/// The bottom line.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) happened: u64,
    pub(crate) visible: u64,
    pub(crate) delivered: u64,
    /// Read again and dropped, as it should be.
    pub(crate) dropped: u64,
    pub(crate) swept: u64,
    /// Visible, but not delivered.
    pub(crate) lost: u64,
    pub(crate) twice: u64,
    /// Delivered, but never happened.
    pub(crate) unknown: u64,
    /// Whether all that happened had its time to come through.
    pub(crate) waited: bool,
    pub(crate) stats: Stats,
    pub(crate) breaches: Vec<String>,
}

impl Totals {
    pub(crate) fn is_clean(&self) -> bool {
        self.lost == 0 && self.twice == 0 && self.unknown == 0 && self.breaches.is_empty()
    }

    /// Answers that told us to go away.
    pub(crate) fn throttled(&self) -> u64 {
        ["429", "503"].iter().filter_map(|status| self.stats.requests_by_status.get(*status)).sum()
    }

    /// Answers broken in other ways.
    pub(crate) fn broken(&self) -> u64 {
        self.stats.faults.values().sum::<u64>().saturating_sub(self.throttled())
    }
}

impl Books {
    pub(crate) fn new(began: Timestamp, window: Duration) -> Self {
        Self { began, window, delivered: HashMap::new() }
    }

    /// Enters delivered records.
    pub(crate) fn enter(&mut self, records: &[Record], truth: &[Truth], now: Timestamp) -> Lot {
        let mut lot = Lot::default();
        if records.is_empty() {
            return lot;
        }
        let showed: HashMap<&str, &Truth> =
            truth.iter().map(|event| (event.id.as_str(), event)).collect();
        for record in records {
            let body = serde_json::from_str(&record.body_json()).unwrap_or(Value::Null);
            let id = text(&body, "/id");
            let event = showed.get(id.as_str());
            *self.delivered.entry(id).or_default() += 1;
            let time = event.map_or(now, |event| event.time);
            if time < self.began {
                lot.history += 1;
                continue;
            }
            let sign_in = SignIn {
                time,
                user: text(&body, "/userDisplayName"),
                app: text(&body, "/appDisplayName"),
                code: body.pointer("/status/errorCode").and_then(Value::as_u64).unwrap_or(0),
                took: span(time, now),
            };
            match event {
                Some(event) if span(event.time, event.visible_at) > self.window => {
                    lot.late.push(sign_in);
                }
                _ => lot.prompt.push(sign_in),
            }
        }
        lot.prompt.sort_by_key(|sign_in| sign_in.time);
        lot.late.sort_by_key(|sign_in| sign_in.time);
        lot
    }

    /// What was not delivered.
    pub(crate) fn missing<'t>(&self, truth: &'t [Truth]) -> Vec<&'t Truth> {
        truth.iter().filter(|event| !self.delivered.contains_key(&event.id)).collect()
    }

    /// Only what was visible by `now` can be lost.
    pub(crate) fn balance(&self, truth: &[Truth], now: Timestamp) -> Totals {
        let visible = |event: &&Truth| event.visible_at <= now;
        let missing = self.missing(truth);
        Totals {
            happened: truth.len() as u64,
            visible: truth.iter().filter(visible).count() as u64,
            delivered: self.delivered.values().sum(),
            lost: missing.iter().filter(|event| visible(event)).count() as u64,
            twice: self.delivered.values().map(|times| times - 1).sum(),
            unknown: (self.delivered.len() - (truth.len() - missing.len())) as u64,
            ..Totals::default()
        }
    }
}

fn text(body: &Value, pointer: &str) -> String {
    body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn span(from: Timestamp, to: Timestamp) -> Duration {
    to.duration_since(from).max(SignedDuration::ZERO).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(id: &str, seconds: i64, late: i64) -> Truth {
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
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    fn record(id: &str) -> Record {
        let mut body = vec![0x81, 0xa2, b'i', b'd', 0xa1];
        body.extend(id.bytes());
        Record {
            instance: String::new(),
            tag: String::new(),
            seconds: 0,
            nanoseconds: 0,
            metadata: vec![0x80],
            body,
        }
    }

    #[test]
    fn the_books_tell_lost_twice_and_unknown() {
        let truth = [truth("a", 0, 1), truth("b", 1, 1), truth("c", 2, 100), truth("d", 3, 9)];
        let mut books = Books::new(at(1), Duration::from_secs(4));
        let lot = books.enter(&["a", "d", "d", "x"].map(record), &truth, at(20));
        assert_eq!((lot.history, lot.late.len(), lot.prompt.len()), (1, 2, 1));
        let totals = books.balance(&truth, at(20));
        assert_eq!((totals.happened, totals.visible, totals.delivered), (4, 3, 4));
        assert_eq!((totals.lost, totals.twice, totals.unknown), (1, 1, 1));
        assert!(!totals.is_clean());
    }

    #[test]
    fn what_has_not_shown_is_not_lost() {
        let truth = [truth("a", 0, 1), truth("b", 1, 100)];
        let mut books = Books::new(at(0), Duration::from_secs(4));
        books.enter(&[record("a")], &truth, at(2));
        assert!(books.balance(&truth, at(20)).is_clean());
        assert!(!books.balance(&truth, at(200)).is_clean());
    }
}
