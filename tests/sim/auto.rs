//! `window: auto`: what it reads, and how it follows an API that becomes later and recovers.

use std::time::Duration;

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

/// What happens in an outage of three hours shows up late: all at the end, or with what is new by then.
fn delivery_outage(properties: &[(&str, &str)], stall: bool) {
    let mut run = Run::new(properties, 6, &Lateness::up_to(MINUTE, MINUTE * 3));
    let (from, to) = (run.begin() + DAY * 2, run.begin() + DAY * 2 + HOUR * 3);
    if stall {
        event::stall(&mut run.events, from, to);
    } else {
        // Every other event is held back for up to three hours.
        let held = |event: &&mut Happening| from <= event.happened && event.happened < to;
        let late = run.events.iter_mut().filter(held).step_by(2);
        late.for_each(|event| event.visible = to + (event.happened - from) / 10);
    }
    run.until(DAY * 2);
    let usual = run.window();
    assert!(usual <= MINUTE * 20, "{usual:?}");
    let before = run.windows().len();
    run.until(DAY * 2 + HOUR * 30);
    let end = DAY * 2 + HOUR * 3;
    println!("{properties:?}, {stall}: usual {usual:?}, then {:?}", &run.windows()[before..]);
    let widest = run.windows()[before..].iter().map(|(_, window)| *window).max();
    assert!(widest >= Some(HOUR * 3), "{widest:?}");
    let since = |at: Duration| at.saturating_sub(end);
    let adapted = run.windows()[before..]
        .iter()
        .find(|(at, window)| *at >= end && *window >= HOUR * 3)
        .map(|(at, _)| since(*at));
    println!("adapted after {adapted:?}");
    let last = run.windows().last().map(|(at, _)| since(*at));
    println!("last change {last:?}, now {:?}", run.window());
    assert!(run.window() <= usual.mul_f64(1.6), "{:?}", run.window());
    run.until(DAY * 6);
    run.check();
}

#[test]
fn x_outages() {
    delivery_outage(&[("sweeps", "6h/1h, 48h/12h")], true);
    delivery_outage(&[("sweeps", "6h/1h, 48h/12h"), ("widen", "off")], true);
    delivery_outage(&[("sweeps", "6h/1h, 48h/12h")], false);
}
