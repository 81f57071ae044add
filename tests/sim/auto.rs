//! `window: auto`: what it reads, and how it follows an API that becomes later and recovers.

use std::time::Duration;

use in_lookback::api::page::FailureKind;
use in_lookback::poll::report::{Field, Report};

use crate::clock::{DAY, HOUR, MINUTE, SECOND, time};
use crate::event::{self, Happening, Lateness};
use crate::hand::Hand;
use crate::plans::plan;

const QUIET: [(&str, &str); 3] = [("window", "auto"), ("heartbeat", "off"), ("rate_limit", "6000")];

/// An engine with `window: auto`, and an API that shows these events.
struct Run {
    hand: Hand,
    events: Vec<Happening>,
    seen: usize,
}

impl Run {
    fn new(properties: &[(&str, &str)], days: u32, lateness: &Lateness) -> Self {
        let hand = Hand::new(&plan(&[QUIET.as_slice(), properties].concat()));
        let begin = hand.ago(Duration::ZERO);
        let mut rng = fastrand::Rng::with_seed(3);
        let count = 5_000 * days as usize;
        let events = event::happenings(count, begin, begin + DAY * days, lateness, &mut rng);
        Self { hand, events, seen: 0 }
    }

    fn begin(&self) -> Duration {
        self.events[0].happened
    }

    /// Answers what is asked until so long after the first event.
    fn until(&mut self, span: Duration) {
        let end = self.begin() + span;
        while self.hand.ago(Duration::ZERO) < end {
            let (from, to) = crate::api::range(&self.hand.ask());
            let now = self.hand.ago(Duration::ZERO);
            let first = self.events.partition_point(|event| event.happened < time(from));
            let last = self.events.partition_point(|event| event.happened <= time(to));
            let visible = (first..last).filter(|index| self.events[*index].visible <= now);
            let page: Vec<_> =
                visible.map(|index| event::shown(index, &self.events[index])).collect();
            self.seen += self.hand.show(&page, None);
            self.hand.pass(SECOND / 5);
        }
    }

    /// How far back live polls read, as health records tell.
    fn windows(&self) -> Vec<(Duration, Duration)> {
        let reports = self.hand.reports(&["started", "window_widened", "window_narrowed"]);
        reports.into_iter().map(|(at, report)| (at, window(report))).collect()
    }

    fn window(&mut self) -> Duration {
        self.hand.engine.stats(self.hand.now).window
    }

    /// All that the API has shown by now has been handed over once.
    fn check(&self) {
        let now = self.hand.ago(Duration::ZERO);
        let passed = |event: &&Happening| event.visible + DAY * 3 < now;
        let passed = self.events.iter().filter(passed).count();
        assert!(self.seen >= passed && self.seen <= self.events.len(), "{} {passed}", self.seen);
    }
}

fn window(report: &Report) -> Duration {
    let field = report.fields.iter().find(|(name, _)| *name == "window_seconds");
    match field.expect("a window").1 {
        Field::Seconds(seconds) => Duration::from_secs_f64(seconds),
        _ => panic!("{field:?}"),
    }
}

/// An outage of the API's log delivery.
#[derive(Clone, Copy, Debug)]
enum Outage {
    /// Nothing new is shown, and all of it at the end.
    Stalls,
    /// Half of what happens meanwhile is held back, and shown within minutes of the end.
    HoldsHalf,
}

const OUTAGE: Duration = Duration::from_secs(3 * 3_600);
const SWEEPS: (&str, &str) = ("sweeps", "6h/1h, 48h/12h");

/// The engine after two days of an API that is a minute or two late, an outage, and thirty hours more.
fn through(outage: Outage) -> (Run, Duration, usize) {
    let mut run = Run::new(&[SWEEPS], 5, &Lateness::up_to(MINUTE, MINUTE * 3));
    let from = run.begin() + DAY * 2;
    let to = from + OUTAGE;
    match outage {
        Outage::Stalls => event::stall(&mut run.events, from, to),
        Outage::HoldsHalf => {
            let held = |event: &&mut Happening| from <= event.happened && event.happened < to;
            let late = run.events.iter_mut().filter(held).step_by(2);
            late.for_each(|event| event.visible = to + (event.happened - from) / 10);
        }
    }
    run.until(DAY * 2);
    let (usual, before) = (run.window(), run.windows().len());
    run.until(DAY * 2 + OUTAGE + HOUR * 24);
    (run, usual, before)
}

#[test]
fn after_an_outage_of_the_delivery_the_window_adapts_within_three_polls_and_is_back_within_a_day() {
    // Live polls are widened by then, and see what is late at the end. Else the next sweep does.
    for (outage, first_seen) in [(Outage::Stalls, MINUTE * 3), (Outage::HoldsHalf, HOUR)] {
        let (mut run, usual, before) = through(outage);
        let windows = &run.windows()[before..];
        let (end, polls) = (DAY * 2 + OUTAGE, MINUTE * 9);
        let wide = windows.iter().find(|(at, window)| *at >= end && *window >= OUTAGE);
        let (at, window) = *wide.unwrap_or_else(|| panic!("{outage:?}: {windows:?}"));
        println!("{outage:?}: {usual:?}, then {window:?} {:?} after the end", at - end);
        assert!(at - end <= first_seen + polls, "{outage:?}: {windows:?}");
        assert!(run.window() < usual.mul_f64(1.6), "{outage:?}: {usual:?}, {windows:?}");
        run.until(DAY * 5);
        run.check();
    }
}

#[test]
fn the_window_goes_on_after_a_restart_where_it_was() {
    let (mut run, usual, _) = through(Outage::HoldsHalf);
    run.hand.restart();
    assert_eq!(run.window(), usual.max(run.window()));
    let known = run.hand.progress.window_seconds.map(Duration::from_secs);
    assert_eq!(known, Some(run.window()));
    let span = run.hand.ask_range().span();
    assert!(span >= run.window() && span <= run.window() + MINUTE * 6, "{span:?}");
}

#[test]
fn what_only_sweeps_find_widens_the_window_as_far_as_reads_allow_and_no_further() {
    let properties = [("sweeps", "4h/1h, 48h/16h"), ("widen", "off")];
    let mut run = Run::new(&properties, 6, &Lateness::up_to(MINUTE, MINUTE * 3));
    run.events.iter_mut().step_by(200).for_each(|event| event.visible += HOUR * 5);
    run.until(DAY * 2);
    let plan = plan(&[QUIET.as_slice(), &properties].concat());
    let most = plan.schedule.auto.expect("bounds").tail_max;
    let window = run.window();
    assert!(window <= most && window.mul_f64(1.6) > most, "{window:?} of {most:?}");
    let changes = run.windows().len();
    run.until(DAY * 6);
    run.check();
    assert!(run.windows().len() - changes <= 4, "{:?}", &run.windows()[changes..]);
    assert!(run.windows().iter().all(|(_, window)| *window <= most));
}

#[test]
fn what_a_throttled_poll_sees_after_a_long_wait_says_nothing_of_the_api() {
    let mut run = Run::new(&[("sweeps", "48h/16h")], 2, &Lateness::up_to(MINUTE, MINUTE * 3));
    run.until(HOUR * 6);
    let before = run.window();
    let (from, to) = crate::api::range(&run.hand.ask());
    let next = format!("/e?from={from}&to={to}&second=1");
    run.seen += run.hand.show(&[], Some(&next));
    run.hand.ask();
    let throttled = FailureKind::Throttled(Some(HOUR * 2));
    run.hand.fail(&crate::api::failure(throttled, 429));
    run.until(HOUR * 12);
    assert_eq!(run.window(), before, "{:?}", run.windows());
}
