//! An endless link: kept, resumed, replaced when it dies. The engine driven by hand.

use in_lookback::api::page::FailureKind;

use crate::api::{failure, range};
use crate::clock::{DAY, HOUR, MINUTE, SECOND};
use crate::hand::Hand;
use crate::plans::{self, Style};

fn hand() -> Hand {
    let quiet = [("heartbeat", "off"), ("rate_limit", "6000"), ("sweeps", "off")];
    Hand::new(&plans::plan_of(Style::Endless, false, &quiet))
}

#[test]
fn the_first_poll_asks_from_a_time_without_an_end_and_the_next_one_follows_the_link() {
    let mut hand = hand();
    let url = hand.ask();
    assert!(url.query().is_some_and(|query| query.contains("from=") && !query.contains("to=")));
    let time = hand.ago(MINUTE);
    hand.page(&[time], Some("/log?after=7"));
    assert!(hand.progress.live_until.is_some(), "a page that is not full ends the poll");
    assert_eq!(hand.ask_within(MINUTE), None, "until the next interval");
    assert_eq!(hand.ask().query(), Some("after=7"));
}

#[test]
fn the_link_survives_a_restart_however_long_and_a_full_page_is_followed_at_once() {
    let mut hand = hand();
    hand.ask();
    hand.show(&[], Some("/log?after=7"));
    hand.pass(DAY * 3);
    hand.restart();
    assert_eq!(hand.ask().query(), Some("after=7"));
    let times: Vec<_> = (0..50).map(|n| hand.ago(DAY * 2 + MINUTE * n)).collect();
    hand.page(&times, Some("/log?after=57"));
    hand.restart();
    assert_eq!(hand.ask().query(), Some("after=57"), "what was read is not read again");
    assert!(hand.progress.holes.is_empty());
}

#[test]
fn after_a_link_that_died_reading_resumes_by_time() {
    let mut hand = hand();
    let first = hand.wall();
    hand.ask();
    hand.show(&[], Some("/log?after=7"));
    hand.pass(HOUR * 9);
    hand.restart();
    assert_eq!(hand.ask().query(), Some("after=7"));
    hand.fail(&failure(FailureKind::Refused, 410));
    let url = hand.ask();
    assert!(url.query().is_some_and(|query| query.contains("from=") && !query.contains("to=")));
    hand.show(&[], Some("/log?after=9"));
    let (from, to) = range(&hand.ask());
    assert!(to > from, "the rest is caught up in ranges");
    assert_eq!(hand.progress.follow.as_deref(), Some("https://api.example/log?after=9"));
    assert!(hand.progress.holes[0].from <= first);
}

#[test]
fn calm_is_no_empty_result_until_it_lasts_for_a_window() {
    let mut hand = hand();
    hand.ask();
    let time = hand.ago(MINUTE);
    hand.page(&[time], Some("/log?after=1"));
    let mut polls = 0;
    while hand.events(&["empty_result"]).is_empty() {
        hand.ask();
        hand.show(&[], Some("/log?after=1"));
        polls += 1;
    }
    assert_eq!(polls, 7, "20 minutes of 3 each");
    assert!(hand.events(&["window_widened"]).is_empty());
}

#[test]
fn the_hole_of_an_outage_is_kept_from_the_first_page_on() {
    let mut hand = hand();
    hand.ask();
    hand.show(&[], Some("/log?after=7"));
    hand.pass(HOUR * 9);
    hand.restart();
    hand.ask();
    hand.fail(&failure(FailureKind::Refused, 410));
    hand.ask();
    let times: Vec<_> = (0..50).map(|n| hand.ago(MINUTE + SECOND * n)).collect();
    hand.page(&times, Some("/log?after=57"));
    hand.restart();
    assert_eq!(hand.ask().query(), Some("after=57"));
    hand.show(&[], Some("/log?after=57"));
    assert!(!hand.progress.holes.is_empty(), "a crash after the first page forgets nothing");
}
