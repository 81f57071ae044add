//! `window: auto`: how far back live polls read, by how late records are at first sight.
//!
//! Twice the lateness that one record in ten exceeds always goes in. Of the latest few, what goes in is twice the
//! 99.9th percentile, as far as reading each record again and again for them is worth it ([`Bounds::tail_max`]):
//! beyond that, they are what sweeps are for. It grows at once, and shrinks slowly.

use std::time::Duration;

use super::lateness::Lateness;
use crate::config::auto::Bounds;

/// Room for lateness to grow before it is noticed.
const ROOM: f64 = 2.0;

/// The share of records that the window is to show, as far as that is not too dear.
const TAIL: f64 = 0.999;

/// The share of records that it is to show at any price.
const BULK: f64 = 0.9;

/// Less than a day, so that it comes back from an outage within a day. Of one in ten records it goes by the newest
/// two epochs, so that a window as wide as an outage was long does not last.
const EPOCH: Duration = Duration::from_secs(1_800);
const EPOCHS: usize = 40;

/// Fewer records say nothing of one in ten: then older ones have a say.
const BULK_RECORDS_MIN: u64 = 20;

/// Fewer records say nothing of one in a thousand that would let the window go below what it began with.
const TAIL_RECORDS_MIN: u64 = 1_000;

/// A window that is short by less is left as it is: that is what the room is for.
const SHORT: f64 = 1.3;

/// One that is too long by less is left as well.
const LONG_BY: f64 = 1.6;

/// It must have been too long for so long, or for as long as it is, or for a few polls.
const CALM_MAX: Duration = Duration::from_secs(1_800);
const CALM_POLLS: u32 = 3;

/// What made a window change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Why {
    /// Nearly all records show within this.
    Tail(Duration),
    /// Nine in ten records show within this.
    Bulk(Duration),
    /// Too few records have shown how late they are.
    Unknown,
    /// Polls take too long that read so far back.
    TooDear,
}

/// What saw a record first.
#[derive(Clone, Copy, Debug)]
pub enum Found {
    /// A live poll.
    ByPoll,
    /// A sweep, which has found so many new ones of so many that it has read.
    BySweep {
        /// New ones.
        found: u64,
        /// All of them.
        of: u64,
    },
}

/// The window, and what it goes by.
#[derive(Clone, Debug)]
pub struct AutoWindow {
    bounds: Bounds,
    interval: Duration,
    window: Duration,
    /// Of all records.
    tail: Lateness,
    /// The same without the few that sweeps find: those are never one in ten, however quiet it is by then.
    bulk: Lateness,
    /// How far back a live poll can read in half an interval, as the last one went; nothing before the first.
    affordable: Option<Duration>,
    /// Whether the last one took longer than an interval.
    overrun: bool,
    /// Since when it has been too long, and the longest that was wanted since.
    calm: Option<(Duration, Duration)>,
}

impl AutoWindow {
    /// One that goes on from `window`, if it was known before.
    pub fn new(bounds: Bounds, interval: Duration, window: Option<Duration>) -> Self {
        Self {
            bounds,
            interval,
            window: window.unwrap_or(bounds.first).clamp(bounds.least, bounds.max),
            tail: Lateness::over(EPOCHS, EPOCH),
            bulk: Lateness::over(EPOCHS, EPOCH),
            affordable: None,
            overrun: false,
            calm: None,
        }
    }

    /// How far back live polls read.
    pub fn window(&self) -> Duration {
        self.window
    }

    /// A record was seen for the first time, so late.
    pub fn saw(&mut self, late_by: Duration, found: Found, now: Duration) {
        self.tail.add(late_by, now);
        let counts = match found {
            Found::ByPoll => true,
            Found::BySweep { found, of } => {
                found >= BULK_RECORDS_MIN && found as f64 >= of as f64 * (1.0 - BULK)
            }
        };
        if counts {
            self.bulk.add(late_by, now);
        }
    }

    /// A live poll that read so much took so long.
    pub fn polled(&mut self, read: Duration, took: Duration) {
        let share = (self.interval / 2).as_secs_f64() / took.as_secs_f64().max(1e-3);
        let longest = self.bounds.max.as_secs_f64();
        let affordable = (read.as_secs_f64() * share).min(longest);
        self.affordable = Some(Duration::from_secs_f64(affordable));
        self.overrun = took > self.interval;
    }

    /// At the end of a live poll or a sweep: the new window, if it changes, and why.
    pub fn judge(&mut self, now: Duration) -> Option<(Duration, Why)> {
        let (wanted, why) = self.wanted(now);
        let too_dear = self.overrun && self.window > self.bounds.tail_max.max(wanted);
        let (next, why) = if too_dear {
            (wanted, Why::TooDear)
        } else if wanted > self.window.mul_f64(SHORT) {
            (wanted, why)
        } else if wanted.mul_f64(LONG_BY) < self.window {
            let most = self.calmed(wanted, now)?;
            (self.shorter(most), why)
        } else {
            self.calm = None;
            return None;
        };
        self.calm = None;
        let next = self.round(next);
        let changes = next != self.window;
        self.window = next;
        changes.then_some((next, why))
    }

    /// What it should be now.
    fn wanted(&mut self, now: Duration) -> (Duration, Why) {
        self.tail.turn(now);
        self.bulk.turn(now);
        let Bounds { least, first, tail_max, max } = self.bounds;
        // It does not go below what it began with, and does not grow to that either.
        let few = self.tail.records() < TAIL_RECORDS_MIN;
        let floor = if few { first.min(self.window) } else { least };
        let tail = Duration::from_secs_f64(self.tail.quantile(TAIL));
        let bulk = self.bulk.recent_quantile(BULK_RECORDS_MIN, BULK);
        let bulk = Duration::from_secs_f64(bulk);
        let affordable = self.affordable.unwrap_or(self.window).max(tail_max).min(max);
        let all = [
            (floor, Why::Unknown),
            (tail.mul_f64(ROOM).min(tail_max), Why::Tail(tail)),
            (bulk.mul_f64(ROOM).min(affordable), Why::Bulk(bulk)),
        ];
        all.into_iter()
            .fold((least, Why::Tail(tail)), |most, it| if it.0 > most.0 { it } else { most })
    }

    /// The longest that was wanted while it was too long, once that has lasted.
    fn calmed(&mut self, wanted: Duration, now: Duration) -> Option<Duration> {
        let (since, most) = self.calm.unwrap_or((now, wanted));
        let most = most.max(wanted);
        self.calm = Some((since, most));
        let lasts = self.window.min(CALM_MAX).max(self.interval * CALM_POLLS);
        (now >= since + lasts).then_some(most)
    }

    /// By half, and all the way if little is left of it then.
    fn shorter(&self, wanted: Duration) -> Duration {
        let half = self.window / 2;
        if wanted.mul_f64(LONG_BY) < half { half } else { wanted }
    }

    /// Up to what people like to read, within the bounds.
    fn round(&self, window: Duration) -> Duration {
        let seconds = window.as_secs_f64().ceil() as u64;
        let grain = match seconds {
            ..60 => 1,
            60..300 => 10,
            300..3_600 => 60,
            3_600..43_200 => 600,
            _ => 3_600,
        };
        let rounded = Duration::from_secs(seconds.div_ceil(grain) * grain);
        rounded.clamp(self.bounds.least, self.bounds.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3_600);
    const BOUNDS: Bounds = Bounds {
        least: Duration::from_secs(6 * 60),
        first: Duration::from_secs(20 * 60),
        tail_max: Duration::from_secs(11 * 60),
        max: Duration::from_secs(24 * 3_600),
    };
    const INTERVAL: Duration = Duration::from_secs(180);

    /// A window, and polls that come on time.
    struct Polls {
        auto: AutoWindow,
        now: Duration,
        changes: Vec<(Duration, Why)>,
    }

    impl Polls {
        fn new(known: Option<Duration>) -> Self {
            let auto = AutoWindow::new(BOUNDS, INTERVAL, known);
            Self { auto, now: Duration::ZERO, changes: Vec::new() }
        }

        /// A poll that sees records so late for the first time.
        fn poll(&mut self, late_by: impl IntoIterator<Item = Duration>) {
            self.now += INTERVAL;
            late_by.into_iter().for_each(|by| self.auto.saw(by, Found::ByPoll, self.now));
            self.auto.polled(self.auto.window(), SECOND / 10);
            let before = self.auto.window();
            let change = self.auto.judge(self.now);
            assert_eq!(change.is_some(), before != self.auto.window());
            self.changes.extend(change);
        }

        fn polls(&mut self, span: Duration, mut late_by: impl FnMut() -> Vec<Duration>) {
            let end = self.now + span;
            while self.now < end {
                self.poll(late_by());
            }
        }
    }

    fn exponential(rng: &mut fastrand::Rng, mean: Duration) -> Duration {
        mean.mul_f64(-(1.0 - rng.f64()).ln())
    }

    #[test]
    fn it_follows_twice_the_99_9th_percentile_and_stays_above_twice_interval() {
        let mut polls = Polls::new(Some(MINUTE * 6));
        polls.polls(HOUR * 5, || (1..=100).map(|n| SECOND * 290 * n / 100).collect());
        let window = polls.auto.window();
        assert_eq!(window, MINUTE * 10, "twice 290 s");
        polls.polls(HOUR * 30, || vec![SECOND; 100]);
        assert_eq!(polls.auto.window(), BOUNDS.least);
    }

    #[test]
    fn the_latest_few_make_it_no_longer_than_reads_allow_and_one_in_ten_does() {
        let mut polls = Polls::new(Some(MINUTE * 6));
        let mixed = |late: usize| [vec![SECOND; 1_000 - late], vec![HOUR * 5; late]].concat();
        polls.poll(mixed(5));
        assert_eq!(polls.auto.window(), BOUNDS.tail_max);
        polls.poll(mixed(300));
        let window = polls.auto.window();
        assert!((HOUR * 9..=HOUR * 11).contains(&window), "{window:?}");
        polls.poll(vec![HOUR * 200; 10_000]);
        assert_eq!(polls.auto.window(), BOUNDS.max);
    }

    #[test]
    fn after_an_outage_it_comes_back_within_a_day() {
        let mut polls = Polls::new(None);
        polls.polls(HOUR * 24, || vec![MINUTE; 8]);
        let usual = polls.auto.window();
        polls.poll(vec![HOUR * 9; 1_500]);
        assert!(polls.auto.window() >= HOUR * 17, "{:?}", polls.auto.window());
        polls.polls(HOUR * 4, || vec![MINUTE; 8]);
        assert!(polls.auto.window() <= HOUR * 2, "{:?}", polls.auto.window());
        polls.polls(HOUR * 20, || vec![MINUTE; 8]);
        assert_eq!(polls.auto.window(), usual);
    }

    #[test]
    fn what_a_sweep_finds_counts_fully_among_the_latest_and_as_usual_if_it_is_one_in_ten() {
        for (of, expected) in [(10_000, BOUNDS.tail_max), (500, BOUNDS.max)] {
            let mut polls = Polls::new(Some(MINUTE * 6));
            polls.polls(HOUR * 3, || vec![SECOND; 5]);
            for found in 1..=100 {
                polls.auto.saw(HOUR * 20, Found::BySweep { found, of }, polls.now);
            }
            polls.poll(vec![SECOND; 5]);
            assert_eq!(polls.auto.window(), expected, "100 of {of}");
        }
    }

    #[test]
    fn while_few_records_are_known_it_stays_at_what_it_began_with() {
        for (known, expected) in [(None, 20), (Some(MINUTE * 8), 8), (Some(HOUR * 18), 20)] {
            let mut polls = Polls::new(known);
            polls.polls(HOUR * 24, Vec::new);
            assert_eq!(polls.auto.window(), MINUTE * expected, "{known:?}");
            assert!(polls.changes.iter().all(|(_, why)| *why == Why::Unknown));
        }
    }

    #[test]
    fn it_grows_no_further_than_polls_can_read_and_is_cut_back_if_they_cannot() {
        let mut auto = AutoWindow::new(BOUNDS, INTERVAL, None);
        (0..1_000).for_each(|_| auto.saw(HOUR * 5, Found::ByPoll, SECOND));
        // Half an interval is nine times as long as the poll of 20 minutes took.
        auto.polled(MINUTE * 20, SECOND * 10);
        assert_eq!(auto.judge(SECOND).map(|(window, _)| window), Some(HOUR * 3));
        auto.polled(HOUR * 3, INTERVAL * 2);
        assert_eq!(auto.judge(SECOND * 2), Some((MINUTE * 45, Why::TooDear)));
        auto.polled(MINUTE * 45, INTERVAL * 10);
        assert_eq!(auto.judge(SECOND * 3), Some((BOUNDS.tail_max, Why::TooDear)));
    }

    #[test]
    fn steady_lateness_moves_it_but_seldom() {
        for mean in [SECOND * 40, MINUTE * 30] {
            let mut rng = fastrand::Rng::with_seed(7);
            let mut polls = Polls::new(None);
            polls.polls(HOUR * 48, || (0..8).map(|_| exponential(&mut rng, mean)).collect());
            polls.changes.clear();
            polls.polls(HOUR * 24 * 7, || (0..8).map(|_| exponential(&mut rng, mean)).collect());
            let changes = polls.changes.len();
            println!("{mean:?}: {changes} in a week, now {:?}", polls.auto.window());
            assert!(changes <= 7, "{mean:?}: {:?}", polls.changes);
        }
    }

    #[test]
    fn what_it_goes_by_is_less_than_a_day_old_however_seldom_it_polls() {
        for minutes in [3, 20, 29, 50] {
            let interval = MINUTE * minutes;
            let mut auto = AutoWindow::new(BOUNDS, interval, None);
            (0..5_000).for_each(|_| auto.saw(HOUR * 5, Found::ByPoll, Duration::ZERO));
            let polls = (1..).map(|nth| interval * nth);
            let forgets = |now: &Duration| {
                auto.judge(*now);
                auto.tail.records() == 0
            };
            let forgotten = polls.into_iter().find(forgets);
            assert!(forgotten.is_some_and(|at| at <= HOUR * 22), "{minutes}: {forgotten:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(50))]

        #[test]
        fn it_stays_within_its_bounds_and_later_records_never_make_it_shorter(
            known in proptest::option::of(0u64..200_000),
            steps in proptest::collection::vec((0u64..200_000, 0usize..60, 0u64..40_000, 0u64..400), 1..20),
        ) {
            let known = known.map(Duration::from_secs);
            let mut now = Duration::ZERO;
            let mut auto = AutoWindow::new(BOUNDS, INTERVAL, known);
            for (late_by, count, passed, took) in steps {
                now += Duration::from_secs(passed);
                (0..count).for_each(|_| auto.saw(Duration::from_secs(late_by), Found::ByPoll, now));
                let mut later = auto.clone();
                (0..count).for_each(|_| {
                    auto.saw(Duration::from_secs(late_by / 2), Found::ByPoll, now);
                    later.saw(Duration::from_secs(late_by), Found::ByPoll, now);
                });
                for auto in [&mut auto, &mut later] {
                    auto.polled(auto.window(), Duration::from_secs(took));
                    let change = auto.judge(now);
                    prop_assert!(change.is_none_or(|(window, _)| window == auto.window()));
                    prop_assert!(auto.window() >= BOUNDS.least && auto.window() <= BOUNDS.max);
                    prop_assert_eq!(auto.window().subsec_nanos(), 0);
                }
                prop_assert!(later.window() >= auto.window());
            }
        }
    }
}
