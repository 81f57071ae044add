//! What an audit found out: all that its reports tell.

use std::collections::BTreeMap;
use std::time::Duration;

use in_lookback::model::{TimeRange, Timestamp};

use super::books::Balance;
use super::fetch::Reading;
use crate::text::{count, plain};

/// Events that are listed in a report, of each kind.
pub(crate) const LISTED_MAX: usize = 1_000;
/// Characters that are shown of an event's bytes, and of an id.
const BYTES_CHARS_MAX: usize = 400;
const ID_CHARS_MAX: usize = 200;
/// The grain in which what had been received is told.
const DRIFT_SECONDS: i64 = 60;

/// One event, for people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Listed {
    pub(crate) time: Option<Timestamp>,
    pub(crate) id: String,
    /// Its JSON, shortened; nothing if only its id is known.
    pub(crate) bytes: Option<String>,
}

impl Listed {
    pub(crate) fn new(time: Option<Timestamp>, id: &str, bytes: Option<&str>) -> Self {
        let bytes = bytes.map(|bytes| plain(bytes, BYTES_CHARS_MAX));
        Self { time, id: plain(id, ID_CHARS_MAX), bytes }
    }
}

/// Events for people, as many as a report can bear.
#[derive(Debug, Default)]
pub(crate) struct List {
    pub(crate) listed: Vec<Listed>,
    /// How many more there are.
    pub(crate) unlisted: u64,
}

impl List {
    pub(crate) fn add(&mut self, entry: impl FnOnce() -> Listed) {
        if self.listed.len() < LISTED_MAX { self.listed.push(entry()) } else { self.unlisted += 1 }
    }

    pub(crate) fn sorted(mut self) -> Self {
        self.listed.sort();
        self
    }
}

/// What the export turned out to hold.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Documents, whatever they are.
    pub(crate) documents: u64,
    /// Of these: records of the range.
    pub(crate) records: u64,
    /// Records of other times.
    pub(crate) outside: u64,
    /// Health records of the pipeline.
    pub(crate) health: u64,
    /// Without the id that was looked for; the line of the first one.
    pub(crate) unidentified: u64,
    pub(crate) unidentified_at: Option<u64>,
    /// No JSON; the line of the first one, and what is wrong with it.
    pub(crate) unreadable: u64,
    pub(crate) unreadable_at: Option<(u64, String)>,
}

/// How late records were.
#[derive(Debug, Default)]
pub(crate) struct Lateness {
    /// In seconds, in ascending order once it is complete.
    pub(crate) seconds: Vec<f32>,
    /// The newest event by the time of receipt, in steps of [`DRIFT_SECONDS`].
    newest: BTreeMap<i64, i64>,
    /// What the pipeline itself has told of its drift, by the second.
    told: BTreeMap<i64, f64>,
}

impl Lateness {
    /// A record was received so long after its event.
    pub(crate) fn add(&mut self, happened: Timestamp, received: Timestamp) {
        self.seconds.push(received.since(happened).as_secs_f64() as f32);
        let step = received.as_secs().div_euclid(DRIFT_SECONDS);
        let newest = self.newest.entry(step).or_insert(i64::MIN);
        *newest = happened.as_secs().max(*newest);
    }

    /// The pipeline said so.
    pub(crate) fn told(&mut self, at: Timestamp, drift: Duration) {
        let told = self.told.entry(at.as_secs()).or_default();
        *told = told.max(drift.as_secs_f64());
    }

    pub(crate) fn sort(&mut self) {
        self.seconds.sort_by(f32::total_cmp);
    }

    /// The lateness that a part `q` of the records does not exceed.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        let last = self.seconds.len().checked_sub(1)?;
        let rank = (q * self.seconds.len() as f64).ceil() as usize;
        Some(f64::from(self.seconds[rank.saturating_sub(1).min(last)]))
    }

    /// How old the newest record was, by time, within the range: as the pipeline told it, else by what had been
    /// received until then.
    pub(crate) fn drift(&self, range: TimeRange) -> Vec<(Timestamp, f64)> {
        let within = |(at, _): &(Timestamp, f64)| range.contains(*at);
        if !self.told.is_empty() {
            let told = self.told.iter().map(|(secs, told)| (Timestamp::from_secs(*secs), *told));
            return told.filter(within).collect();
        }
        let end = |step: i64| Timestamp::from_secs((step + 1) * DRIFT_SECONDS);
        let (Some(first), Some(last)) = (self.newest.keys().next(), self.newest.keys().last())
        else {
            return Vec::new();
        };
        let first = (*first).max(range.from.as_secs().div_euclid(DRIFT_SECONDS));
        let last = (*last).min(range.to.as_secs().div_euclid(DRIFT_SECONDS));
        let before = self.newest.range(..first).map(|(_, newest)| *newest).max();
        let mut newest = before.unwrap_or(i64::MIN);
        let mut drift = Vec::new();
        for step in first..=last {
            newest = newest.max(self.newest.get(&step).copied().unwrap_or(i64::MIN));
            if newest > i64::MIN {
                drift
                    .push((end(step), end(step).since(Timestamp::from_secs(newest)).as_secs_f64()));
            }
        }
        drift.into_iter().filter(within).collect()
    }
}

/// The quantiles that are told, and their names.
pub(crate) const QUANTILES: [(&str, f64); 5] =
    [("50 %", 0.5), ("90 %", 0.9), ("99 %", 0.99), ("99.9 %", 0.999), ("all", 1.0)];

/// All of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) source: String,
    pub(crate) title: String,
    pub(crate) export: String,
    pub(crate) range: TimeRange,
    pub(crate) made: Timestamp,
    pub(crate) tally: Tally,
    pub(crate) balance: Balance,
    pub(crate) missing: List,
    pub(crate) doubled: List,
    pub(crate) unknown: List,
    pub(crate) lateness: Lateness,
    pub(crate) reading: Reading,
    /// Events without an id that cannot be found in an export whose records have none either.
    pub(crate) undecided: u64,
    /// How long after an event its record may still come.
    pub(crate) deepest: Duration,
}

/// What it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Complete,
    Missing,
    CouldNotTell,
}

impl Verdict {
    /// The process's exit code.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::Missing => 1,
            Self::CouldNotTell => 2,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Missing => "missing",
            Self::CouldNotTell => "could_not_tell",
        }
    }
}

impl Outcome {
    pub(crate) fn verdict(&self) -> Verdict {
        if self.balance.total().missing > 0 {
            Verdict::Missing
        } else if self.doubts().is_empty() {
            Verdict::Complete
        } else {
            Verdict::CouldNotTell
        }
    }

    /// The verdict in a sentence.
    pub(crate) fn sentence(&self) -> String {
        let total = self.balance.total();
        match self.verdict() {
            Verdict::Complete => format!(
                "Complete: the SIEM holds every one of the {} events that the API shows.",
                count(total.api)
            ),
            Verdict::Missing => format!(
                "Not complete: of {} events that the API shows, the SIEM lacks {}.",
                count(total.api),
                count(total.missing)
            ),
            Verdict::CouldNotTell => format!(
                "Could not tell: nothing is missing of the {} events that were read, but not all could be compared.",
                count(total.api)
            ),
        }
    }

    /// Why it cannot be said that nothing is missing.
    pub(crate) fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if let Some(why) = &self.reading.given_up {
            doubts.push(format!("reading the API was given up: {}", plain(why, 300)));
        }
        for range in &self.reading.unread {
            doubts.push(format!("not read to its end: {range}"));
        }
        doubts.extend(self.reading.gaps.iter().map(|(_, gap)| plain(gap, 300)));
        if self.undecided > 0 {
            doubts.push(format!(
                "{} events have no id, and {} records of the export have none either: export them in raw form, \
                 or say by --id where an id is",
                count(self.undecided),
                count(self.tally.unidentified),
            ));
        }
        doubts
    }

    /// What else should be known before the figures are believed.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let tally = &self.tally;
        if let Some((line, error)) = &tally.unreadable_at {
            notes.push(format!(
                "{} lines of the export are no JSON, the first of them line {line} ({}): what they hold may be \
                 among the missing",
                count(tally.unreadable),
                plain(error, 100),
            ));
        }
        if let Some(line) = tally.unidentified_at {
            notes.push(format!(
                "{} records of the export have no id where it was looked for, the first of them in line {line}; \
                 --id says where else",
                count(tally.unidentified),
            ));
        }
        let young = self.made.since(self.range.to) < self.deepest;
        if self.balance.total().missing > 0 && young {
            notes.push(format!(
                "the range ends less than {} ago, which is how deep sweeps read: some of what is missing may \
                 yet come",
                in_lookback::config::units::show(self.deepest),
            ));
        }
        if self.balance.untimed.unknown > 0 {
            notes.push(format!(
                "{} ids of unknown time in the export, which the API does not show: they may be of another time",
                count(self.balance.untimed.unknown),
            ));
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn quantiles_are_those_of_the_records() {
        let mut lateness = Lateness::default();
        assert_eq!(lateness.quantile(0.5), None);
        for late in [4, 1, 3, 2, 100] {
            lateness.add(at(1_000), at(1_000 + late));
        }
        lateness.sort();
        let quantiles = [0.0, 0.5, 0.8, 0.9, 1.0].map(|q| lateness.quantile(q).unwrap());
        assert_eq!(quantiles, [1.0, 3.0, 4.0, 100.0, 100.0]);
    }

    #[test]
    fn drift_is_the_age_of_the_newest_record_that_had_been_received() {
        let mut lateness = Lateness::default();
        // A minute each: the second one brings nothing but an old record, the third nothing at all.
        for (happened, received) in [(50, 55), (10, 70), (230, 235)] {
            lateness.add(at(happened), at(received));
        }
        let range = TimeRange::new(at(0), at(240));
        let expected = [(at(60), 10.0), (at(120), 70.0), (at(180), 130.0), (at(240), 10.0)];
        assert_eq!(lateness.drift(range), expected);
        lateness.told(at(65), Duration::from_secs(9));
        assert_eq!(lateness.drift(range), [(at(65), 9.0)], "the pipeline's own word goes first");
    }
}
