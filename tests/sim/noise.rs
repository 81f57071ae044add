//! What is said while a state lasts, and what is remembered for how long. The engine driven by hand.

use std::time::Duration;

use in_lookback::api::page::FailureKind;
use in_lookback::poll::report::Report;

use crate::api::failure;
use crate::clock::{DAY, HOUR, MINUTE, SECOND};
use crate::event::{self, Happening};
use crate::hand::Hand;
use crate::plans::plan;

/// When reports of a kind came, in minutes.
fn minutes(hand: &Hand, kind: &str) -> Vec<u64> {
    hand.reports(&[kind]).into_iter().map(|(at, _)| at.as_secs() / 60).collect()
}

fn near(found: &[u64], expected: &[u64]) {
    let close = |(found, expected): (&u64, &u64)| found.abs_diff(*expected) <= 2;
    assert!(
        found.len() == expected.len() && found.iter().zip(expected).all(close),
        "{found:?}, expected about {expected:?}"
    );
}

#[test]
fn failures_are_reported_when_they_begin_every_quarter_of_an_hour_and_when_they_end() {
    let mut hand = Hand::new(&plan(&[("sweeps", "off"), ("heartbeat", "off")]));
    hand.pass(MINUTE * 10);
    while hand.now.mono < MINUTE * 60 {
        hand.ask();
        hand.fail(&failure(FailureKind::Transient, 500));
    }
    hand.ask();
    hand.empty();
    near(&minutes(&hand, "fetch_failed"), &[10, 25, 40, 55]);
    near(&minutes(&hand, "fetch_recovered"), &[60]);
}

#[test]
fn throttling_is_reported_again_while_it_lasts() {
    let mut hand = Hand::new(&plan(&[("sweeps", "off"), ("heartbeat", "off")]));
    while hand.now.mono < MINUTE * 40 {
        hand.ask();
        hand.fail(&failure(FailureKind::Throttled(Some(SECOND * 50)), 429));
    }
    near(&minutes(&hand, "throttled"), &[0, 15, 30]);
}

#[test]
fn empty_results_and_drift_are_reported_while_they_last() {
    let properties = [("sweeps", "off"), ("heartbeat", "off"), ("widen", "off")];
    let mut hand = Hand::new(&plan(&properties));
    hand.ask();
    let newest = hand.ago(MINUTE);
    hand.page(&[newest], None);
    while hand.now.mono < MINUTE * 100 {
        hand.ask();
        hand.empty();
    }
    near(&minutes(&hand, "empty_result"), &[3, 18, 33, 48, 63, 78, 93]);
    near(&minutes(&hand, "drift_high"), &[45, 60, 75, 90]);
    hand.ask();
    let newest = hand.ago(MINUTE);
    hand.page(&[newest], None);
    assert_eq!(hand.events(&["drift_high", "drift_normal"]).last(), Some(&"drift_normal"));
}

#[test]
fn a_broken_state_is_reported_until_it_is_mended() {
    let mut hand = Hand::new(&plan(&[("sweeps", "off"), ("heartbeat", "off")]));
    while hand.now.mono < MINUTE * 40 {
        hand.engine.state_failed(Report::state_failed("disk full"), hand.now);
        hand.pass(SECOND);
    }
    hand.ask();
    hand.empty();
    near(&minutes(&hand, "state_failed"), &[40, 40, 40]);
    assert_eq!(hand.events(&["state_recovered"]).len(), 1);
}

#[test]
fn a_heartbeat_comes_in_its_time_whatever_the_api_does() {
    let mut hand = Hand::new(&plan(&[("heartbeat", "5m")]));
    while hand.now.mono < HOUR {
        if hand.ask_within(HOUR - hand.now.mono).is_some() {
            hand.fail(&failure(FailureKind::Throttled(Some(MINUTE * 30)), 429));
        }
    }
    let expected: Vec<u64> = (1..=12).map(|nth| nth * 5).collect();
    near(&minutes(&hand, "heartbeat"), &expected);
}

/// Two weeks of an event a minute, each shown again whenever a read could return it.
#[test]
fn ids_are_kept_while_a_read_can_return_them_and_no_longer() {
    let properties = [("sweeps", "1d/6h"), ("heartbeat", "off"), ("widen", "off")];
    let mut hand = Hand::new(&plan(&properties));
    let begin = hand.ago(Duration::ZERO);
    let end = begin + DAY * 14;
    let events: Vec<Happening> = (0..14 * 24 * 60)
        .map(|minute| begin + MINUTE * minute)
        .map(|happened| Happening::new(happened, happened))
        .collect();
    let (mut handed_over, mut shown, mut most) = (0, 0, 0);
    let mut restarted = false;
    while hand.ago(Duration::ZERO) < end {
        let (from, to) = crate::api::range(&hand.ask());
        let now = hand.ago(Duration::ZERO);
        let (from, to) = (crate::clock::time(from), crate::clock::time(to).min(now));
        let first = events.partition_point(|event| event.happened < from);
        let last = events.partition_point(|event| event.happened <= to);
        let page: Vec<_> = (first..last).map(|index| event::shown(index, &events[index])).collect();
        shown += page.len();
        handed_over += hand.show(&page, None);
        most = most.max(hand.ids.len());
        if !restarted && now > begin + DAY * 5 {
            // Long enough for a sweep that is due, and late, to read further back.
            hand.pass(HOUR * 40);
            hand.restart();
            restarted = true;
        }
    }
    assert!(shown > events.len() * 4, "{shown}");
    let passed = events.iter().filter(|event| event.happened + MINUTE * 10 < end).count();
    assert!(handed_over >= passed && handed_over <= events.len(), "{handed_over} of {passed}");
    // A sweep reads a day, and after the 40 hours as much more as it was late.
    assert!(most <= (24 + 40 + 2) * 60, "{most} ids");
    assert!(hand.ids.len() <= (24 + 2 + 6) * 60, "{} ids at the end", hand.ids.len());
}

/// An API may show what it was not asked for, poll after poll.
#[test]
fn an_event_far_older_than_what_was_asked_for_comes_once() {
    let mut hand = Hand::new(&plan(&[("sweeps", "off"), ("heartbeat", "off"), ("widen", "off")]));
    let happened = hand.ago(DAY * 20);
    let old = Happening::new(happened, happened);
    let mut handed_over = 0;
    for poll in 0..100 {
        hand.ask();
        handed_over += hand.show(&[event::shown(0, &old)], None);
        if poll % 10 == 9 {
            hand.restart();
        }
    }
    assert_eq!(handed_over, 1);
}

#[test]
fn a_full_page_without_a_next_one_is_remarked_upon_unless_there_has_been_one() {
    for with_next in [false, true] {
        let mut hand = Hand::new(&plan(&[("heartbeat", "off"), ("sweeps", "off")]));
        let times = |hand: &Hand| -> Vec<_> { (0..1_000).map(|_| hand.ago(MINUTE)).collect() };
        if with_next {
            hand.ask();
            hand.page(&times(&hand), Some("/next?p=2"));
            hand.ask();
            hand.empty();
        }
        hand.ask();
        hand.page(&times(&hand), None);
        hand.ask();
        hand.page(&times(&hand), None);
        assert_eq!(hand.events(&["fetch_failed"]).len(), usize::from(!with_next));
    }
}

#[test]
fn times_far_off_the_range_that_was_asked_for_are_remarked_upon() {
    let mut hand = Hand::new(&plan(&[("heartbeat", "off"), ("sweeps", "off")]));
    hand.ask();
    hand.page(&[MINUTE, MINUTE * 2], None);
    let [(_, report)] = hand.reports(&["record_rejected"])[..] else { panic!("one report") };
    assert!(report.message.contains("2 events whose time at '/time'"), "{}", report.message);
}
