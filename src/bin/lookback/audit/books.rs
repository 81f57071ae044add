//! The comparison: what the SIEM holds against what the API shows, by id. Pure.
//!
//! The SIEM's side is entered first, so that of each event that the API shows it is known at once whether it is
//! missing, while its bytes are still at hand. An id takes 24 bytes, however large its event is.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use in_lookback::model::{TimeRange, Timestamp};

use super::identity::Id;

/// What happened in another hour than any: of unknown time.
const UNTIMED: i32 = i32::MIN;
/// Not in the range, but so near to it that the API's word for its time may differ.
const NEAR: i32 = i32::MIN + 1;

/// A record so far off the range is none of its events: clocks and roundings do not differ by more.
const NEAR_BY: Duration = Duration::from_secs(3_600);

const HOUR_SECONDS: i64 = 3_600;

/// One id of the SIEM.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Since 1970, or one of the words above.
    hour: i32,
    /// How many records of the SIEM, and how many events of the API, have it.
    siem: u16,
    api: u16,
}

/// One hour of event time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hour {
    /// Events that the API shows.
    pub(crate) api: u64,
    /// Different ids that the SIEM holds.
    pub(crate) siem: u64,
    /// Events that the SIEM does not hold.
    pub(crate) missing: u64,
    /// Records that are in the SIEM once more than they should.
    pub(crate) doubled: u64,
    /// Ids of the SIEM that the API does not show.
    pub(crate) unknown: u64,
}

impl Hour {
    pub(crate) fn add(&mut self, other: &Self) {
        self.api += other.api;
        self.siem += other.siem;
        self.missing += other.missing;
        self.doubled += other.doubled;
        self.unknown += other.unknown;
    }
}

/// What a record of the SIEM is to the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entered {
    First,
    /// Its id was there before.
    Again,
    /// It happened outside of the range.
    Outside,
}

/// The result.
#[derive(Debug, Default)]
pub(crate) struct Balance {
    /// By the first moment of the hour.
    pub(crate) hours: BTreeMap<Timestamp, Hour>,
    /// What has no time.
    pub(crate) untimed: Hour,
}

impl Balance {
    pub(crate) fn total(&self) -> Hour {
        let mut total = self.untimed;
        self.hours.values().for_each(|hour| total.add(hour));
        total
    }
}

pub(crate) struct Books {
    ids: HashMap<Id, Entry>,
    from: Option<Timestamp>,
    to: Timestamp,
    oldest: Option<Timestamp>,
    /// The API's side.
    hours: BTreeMap<i32, Hour>,
    /// What of it could not be read.
    blind: Vec<TimeRange>,
}

impl Books {
    /// Books over what happened from `from` on, and before `to`.
    pub(crate) fn new(from: Option<Timestamp>, to: Timestamp) -> Self {
        Self {
            ids: HashMap::new(),
            from,
            to,
            oldest: None,
            hours: BTreeMap::new(),
            blind: Vec::new(),
        }
    }

    /// The oldest record of the SIEM that was entered.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.oldest
    }

    /// Enters a record of the SIEM.
    pub(crate) fn exported(&mut self, id: Id, time: Option<Timestamp>) -> Entered {
        let hour = match time {
            None => UNTIMED,
            Some(time) if self.is_in(time) => hour_of(time),
            Some(time) if self.is_near(time) => NEAR,
            Some(_) => return Entered::Outside,
        };
        if let Some(time) = time.filter(|_| hour != NEAR) {
            self.oldest = Some(self.oldest.map_or(time, |oldest| oldest.min(time)));
        }
        let entry = self.ids.entry(id).or_insert(Entry { hour, siem: 0, api: 0 });
        entry.siem = entry.siem.saturating_add(1);
        match (entry.siem > 1, hour) {
            (_, NEAR) => Entered::Outside,
            (true, _) => Entered::Again,
            (false, _) => Entered::First,
        }
    }

    /// Enters an event that the API shows, once each. True if the SIEM does not hold it.
    pub(crate) fn shown(&mut self, id: Id, time: Option<Timestamp>) -> bool {
        let hour = time.map_or(UNTIMED, hour_of);
        let row = self.hours.entry(hour).or_default();
        row.api += 1;
        match self.ids.get_mut(&id).filter(|entry| entry.api < entry.siem) {
            Some(entry) => {
                entry.api += 1;
                // The API's word for when it happened is the one to go by.
                entry.hour = hour;
                false
            }
            None => {
                row.missing += 1;
                true
            }
        }
    }

    /// The API shows this id as well, but by its word the event happened outside of the range: the SIEM's record is
    /// neither wanted nor unknown.
    pub(crate) fn shown_outside(&mut self, id: &Id) {
        if let Some(entry) = self.ids.get_mut(id).filter(|entry| entry.api == 0) {
            entry.hour = NEAR;
        }
    }

    /// Whether the SIEM has a record of this id.
    pub(crate) fn holds(&self, id: &Id) -> bool {
        self.ids.contains_key(id)
    }

    /// What of the API's side could not be read: what the SIEM holds of these hours is not unknown.
    pub(crate) fn blind_to(&mut self, ranges: Vec<TimeRange>) {
        self.blind = ranges;
    }

    /// Whether the API has shown no event of this id, though it should have.
    pub(crate) fn is_unknown(&self, id: &Id) -> bool {
        self.ids.get(id).is_some_and(|entry| self.lacks(entry))
    }

    fn lacks(&self, entry: &Entry) -> bool {
        let unread = || match entry.hour {
            UNTIMED => !self.blind.is_empty(),
            hour => self.blind.iter().any(|range| {
                start_of(hour) <= range.to && range.from < start_of(hour.saturating_add(1))
            }),
        };
        entry.api == 0 && entry.hour != NEAR && !unread()
    }

    /// The result so far.
    pub(crate) fn balance(&self) -> Balance {
        let mut hours = self.hours.clone();
        for entry in self.ids.values().filter(|entry| entry.hour != NEAR) {
            let row = hours.entry(entry.hour).or_default();
            row.siem += 1;
            row.doubled += u64::from(entry.siem.saturating_sub(entry.api.max(1)));
            row.unknown += u64::from(self.lacks(entry));
        }
        let untimed = hours.remove(&UNTIMED).unwrap_or_default();
        Balance {
            hours: hours.into_iter().map(|(hour, row)| (start_of(hour), row)).collect(),
            untimed,
        }
    }

    fn is_in(&self, time: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= time) && time < self.to
    }

    fn is_near(&self, time: Timestamp) -> bool {
        self.from.is_none_or(|from| from - NEAR_BY <= time) && time < self.to + NEAR_BY
    }
}

/// When an hour begins.
fn start_of(hour: i32) -> Timestamp {
    Timestamp::from_secs(i64::from(hour) * HOUR_SECONDS)
}

/// The hour of a moment, since 1970: every moment that there is fits.
fn hour_of(time: Timestamp) -> i32 {
    i32::try_from(time.as_secs().div_euclid(HOUR_SECONDS)).unwrap_or(UNTIMED)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::super::identity::Identity;
    use super::*;

    fn id(name: u64) -> Id {
        Identity::new([7; 16]).of_bytes(&name.to_string())
    }

    fn at(secs: i64) -> Option<Timestamp> {
        Some(Timestamp::from_secs(secs))
    }

    fn books() -> Books {
        Books::new(at(0), Timestamp::from_secs(7_200))
    }

    #[test]
    fn what_only_one_side_has_is_missing_or_unknown_in_its_hour() {
        let mut books = books();
        for (name, secs) in [(1, 10), (2, 20), (3, 4_000), (3, 4_000)] {
            books.exported(id(name), at(secs));
        }
        assert!(!books.shown(id(1), at(10)));
        assert!(books.shown(id(9), at(3_700)), "missing");
        assert!(!books.shown(id(3), at(4_000)));
        assert!(books.is_unknown(&id(2)) && !books.is_unknown(&id(1)));
        let hours: Vec<Hour> = books.balance().hours.into_values().collect();
        let first = Hour { api: 1, siem: 2, unknown: 1, ..Hour::default() };
        let second = Hour { api: 2, siem: 1, missing: 1, doubled: 1, ..Hour::default() };
        assert_eq!(hours, [first, second]);
    }

    #[test]
    fn only_what_happened_in_the_range_counts_and_the_apis_word_for_the_time_is_believed() {
        let mut books = books();
        let cases = [
            (1, at(-10_000), Entered::Outside),
            (2, at(-5), Entered::Outside),
            (3, at(7_200), Entered::Outside),
            (4, at(7_199), Entered::First),
            (5, None, Entered::First),
            (4, at(7_199), Entered::Again),
        ];
        for (name, time, expected) in cases {
            assert_eq!(books.exported(id(name), time), expected, "{name}");
        }
        assert!(!books.shown(id(2), at(0)), "it is there, with another time");
        let total = books.balance().total();
        assert_eq!((total.api, total.siem, total.missing, total.unknown), (1, 3, 0, 2));
        assert_eq!(books.balance().untimed.siem, 1);
    }

    #[test]
    fn a_record_that_is_in_the_range_by_its_own_word_only_does_not_count() {
        let mut books = books();
        books.exported(id(1), at(0));
        assert!(books.is_unknown(&id(1)));
        books.shown_outside(&id(1));
        assert!(!books.is_unknown(&id(1)));
        assert_eq!(books.balance().total(), Hour::default());
    }

    #[test]
    fn nothing_is_unknown_in_hours_that_could_not_be_read() {
        let mut books = books();
        books.exported(id(1), at(3_599));
        books.exported(id(2), at(3_600));
        books.exported(id(3), None);
        let unknown = |books: &Books| [1, 2, 3].map(|name| books.is_unknown(&id(name)));
        assert_eq!(unknown(&books), [true, true, true]);
        let second_hour = TimeRange::new(Timestamp::from_secs(3_601), Timestamp::from_secs(9_000));
        books.blind_to(vec![second_hour]);
        assert_eq!(unknown(&books), [true, false, false]);
        assert_eq!(books.balance().total().unknown, 1);
    }

    #[test]
    fn an_id_that_the_api_shows_twice_at_different_times_is_wanted_twice() {
        let mut books = books();
        books.exported(id(1), at(5));
        assert!(!books.shown(id(1), at(5)));
        assert!(books.shown(id(1), at(5_000)), "the second one is missing");
    }

    proptest! {
        #[test]
        fn missing_doubled_and_unknown_are_set_arithmetic(
            siem in proptest::collection::vec(0u64..60, 0..120),
            api in proptest::collection::hash_set(0u64..60, 0..60),
        ) {
            let mut books = books();
            let time = |name: u64| at(i64::try_from(name).unwrap() * 120);
            for name in &siem { books.exported(id(*name), time(*name)); }
            let missing: HashSet<u64> =
                api.iter().copied().filter(|name| books.shown(id(*name), time(*name))).collect();
            let held: HashSet<u64> = siem.iter().copied().collect();
            let expected: HashSet<u64> = api.difference(&held).copied().collect();
            prop_assert_eq!(&missing, &expected);
            let balance = books.balance();
            let total = balance.total();
            prop_assert_eq!(total.api, api.len() as u64);
            prop_assert_eq!(total.siem, held.len() as u64);
            prop_assert_eq!(total.missing, missing.len() as u64);
            prop_assert_eq!(total.doubled, (siem.len() - held.len()) as u64);
            prop_assert_eq!(total.unknown, held.difference(&api).count() as u64);
            for (start, hour) in balance.hours {
                let within = |name: &&u64| time(**name).unwrap().as_secs().div_euclid(3_600) == start.as_secs() / 3_600;
                prop_assert_eq!(hour.missing, missing.iter().filter(within).count() as u64);
            }
        }
    }
}
