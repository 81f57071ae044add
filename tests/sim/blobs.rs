//! Listings of blobs, and what must be switched on first. The engine driven by hand.

use std::time::Duration;

use in_lookback::api::page::{Failure, FailureKind};
use in_lookback::api::request::Ticket;
use url::Url;

use crate::api::failure;
use crate::clock::{HOUR, MINUTE, SECOND};
use crate::hand::Hand;
use crate::plans::{self, Style};

/// When the blobs were made: a moment before the engine starts.
const MADE: Duration = Duration::from_secs(100_000 * 60 - 120);

const QUIET: [(&str, &str); 3] = [("heartbeat", "off"), ("rate_limit", "6000"), ("sweeps", "off")];

fn hand() -> Hand {
    Hand::new(&plans::plan_of(Style::Blobs, false, &QUIET))
}

fn gone() -> Failure {
    failure(FailureKind::Gone, 400)
}

/// Asks for the listings of both kinds: blobs of these numbers, and none.
fn list(hand: &mut Hand, numbers: std::ops::Range<usize>) {
    assert_eq!(hand.ask().path(), "/list");
    let blobs: Vec<_> = numbers.map(|number| (number, MADE)).collect();
    hand.list(&blobs, None);
}

/// The numbers of the blobs that are asked for now, and the listings answered with nothing.
fn blobs_asked(hand: &mut Hand) -> Vec<(Ticket, usize)> {
    let number = |url: &Url| url.query().and_then(|query| query.strip_prefix("n="))?.parse().ok();
    let mut blobs = Vec::new();
    for (ticket, url) in hand.ask_all() {
        match number(&url) {
            Some(number) => blobs.push((ticket, number)),
            None => {
                hand.ticket = ticket;
                hand.list(&[], None);
            }
        }
    }
    blobs
}

#[test]
fn nothing_counts_as_read_before_the_last_blob_is_in_and_none_is_fetched_twice() {
    let mut hand = hand();
    list(&mut hand, 0..2);
    let asked = blobs_asked(&mut hand);
    assert_eq!(asked.iter().map(|(_, number)| *number).collect::<Vec<_>>(), [0, 1]);
    for (ticket, _) in asked {
        assert_eq!(hand.progress.live_until, None);
        hand.ticket = ticket;
        let time = hand.ago(MINUTE * 3);
        hand.page(&[time], None);
    }
    assert!(hand.progress.live_until.is_some());
    hand.restart();
    list(&mut hand, 0..2);
    assert!(blobs_asked(&mut hand).is_empty(), "after a restart neither");
    assert!(hand.events(&["empty_result"]).is_empty(), "a listing of known blobs is not empty");
}

#[test]
fn blobs_are_fetched_side_by_side_and_one_that_fails_holds_up_none() {
    let mut hand = hand();
    list(&mut hand, 0..9);
    let first: Vec<_> = hand.ask_all();
    assert_eq!(first.len(), 5, "four and the live poll's own");
    let mut read = 0;
    let mut asked = first;
    for _ in 0..200 {
        for (ticket, url) in std::mem::take(&mut asked) {
            hand.ticket = ticket;
            match url.query() {
                Some("n=3") => hand.fail(&failure(FailureKind::Transient, 500)),
                Some(query) if query.starts_with("n=") => {
                    read += 1;
                    let time = hand.ago(MINUTE * 3);
                    hand.page(&[time], None);
                }
                _ => hand.list(&[], None),
            }
        }
        hand.pass(Duration::from_millis(500));
        asked = hand.ask_all();
    }
    assert_eq!(read, 8);
    assert_eq!(hand.progress.live_until, None);
    assert_eq!(hand.events(&["fetch_failed", "fetch_recovered", "gap"]), ["fetch_failed"]);
}

#[test]
fn a_blob_that_stays_away_is_reported_as_a_gap_once_and_asked_for_again_while_it_is_listed() {
    let mut hand = hand();
    for poll in 0..3 {
        list(&mut hand, 0..1);
        let mut tries = 0;
        for _ in 0..100 {
            for (ticket, _) in blobs_asked(&mut hand) {
                hand.ticket = ticket;
                hand.fail(&gone());
                tries += 1;
            }
            hand.pass(Duration::from_millis(500));
        }
        assert_eq!(tries, if poll == 0 { 4 } else { 2 });
        assert_eq!(hand.events(&["gap"]).len(), 1);
        assert!(hand.progress.live_until.is_some(), "it does not stand in the way");
    }
    list(&mut hand, 0..1);
    let asked = blobs_asked(&mut hand);
    hand.ticket = asked[0].0;
    let time = hand.ago(MINUTE * 3);
    assert_eq!(hand.page(&[time], None).len(), 1, "it is there after all");
}

#[test]
fn what_is_off_is_switched_on_first_and_again_when_the_api_says_so() {
    let mut hand = Hand::new(&plans::plan_with_subscriptions());
    assert_eq!(hand.ask().path(), "/subscriptions");
    hand.fail(&failure(FailureKind::Transient, 500));
    assert_eq!(
        hand.ask_within(SECOND).map(|url| url.path().to_owned()).as_deref(),
        Some("/subscriptions")
    );
    hand.engine.subscriptions(hand.ticket, &["even".to_owned()]);
    assert_eq!(hand.ask().as_str(), "https://api.example/subscribe?kind=odd");
    hand.engine.subscribed(hand.ticket);
    assert_eq!(hand.ask().path(), "/e");
    hand.fail(&failure(FailureKind::Unsubscribed, 400));
    assert_eq!(hand.ask().path(), "/subscriptions");
    assert_eq!(
        hand.events(&["fetch_failed", "fetch_recovered"]),
        ["fetch_failed", "fetch_recovered", "fetch_failed"]
    );
}

/// An engine whose catch-up and live poll both list the same blobs.
#[test]
fn a_slice_is_not_read_while_another_lane_still_fetches_what_it_lists() {
    let mut hand = hand();
    hand.ask();
    hand.list(&[], None);
    hand.ask();
    hand.list(&[], None);
    hand.pass(HOUR * 9);
    hand.restart();
    let hole = |hand: &Hand| hand.progress.holes.len();
    // The live poll lists a blob, and asks for it; the answer takes long.
    list(&mut hand, 0..1);
    let asked = hand.ask_all();
    let (blob, rest): (Vec<_>, Vec<_>) =
        asked.into_iter().partition(|(_, url)| url.path() == "/blob");
    for (ticket, _) in rest {
        hand.ticket = ticket;
        hand.list(&[(0, MADE)], None);
    }
    let before = hole(&hand);
    for _ in 0..20 {
        hand.pass(Duration::from_millis(600));
        for (ticket, url) in hand.ask_all() {
            hand.ticket = ticket;
            match url.path() {
                "/blob" => panic!("asked for twice at once"),
                _ => hand.list(&[(0, MADE)], None),
            }
        }
    }
    assert!(hole(&hand) >= before, "nothing of it counts as read");
    hand.ticket = blob[0].0;
    let time = hand.ago(HOUR * 10);
    hand.page(&[time], None);
    assert!(hand.progress.live_until.is_some());
}

#[test]
fn a_part_that_is_denied_does_not_hold_up_the_others() {
    let mut hand = hand();
    let kind = |url: &Url| url.query().unwrap_or_default().contains("kind=even");
    let mut odd = 0;
    for _ in 0..40 {
        for (ticket, url) in hand.ask_all() {
            hand.ticket = ticket;
            if kind(&url) {
                hand.fail(&failure(FailureKind::Refused, 403));
            } else {
                odd += 1;
                hand.list(&[], None);
            }
        }
        hand.pass(SECOND);
    }
    assert!(odd >= 1, "the other part was read");
    assert_eq!(hand.progress.live_until, None, "nothing moves before all of it is in");
    assert_eq!(hand.events(&["fetch_failed", "fetch_recovered"]), ["fetch_failed"]);
}

#[test]
fn what_may_not_be_started_does_not_hold_up_the_rest() {
    let mut hand = Hand::new(&plans::plan_with_subscriptions());
    hand.ask();
    hand.engine.subscriptions(hand.ticket, &[]);
    let mut read = 0;
    for _ in 0..100 {
        let Some(url) = hand.ask_within(MINUTE * 5) else { break };
        match (url.path(), url.query()) {
            ("/subscribe", Some("kind=odd")) => hand.fail(&failure(FailureKind::Refused, 403)),
            ("/subscribe", _) => hand.engine.subscribed(hand.ticket),
            ("/subscriptions", _) => hand.engine.subscriptions(hand.ticket, &["even".to_owned()]),
            _ => {
                read += 1;
                hand.empty();
            }
        }
    }
    assert!(read > 2, "{read}");
}

#[test]
fn what_fails_together_is_one_failure() {
    let mut hand = hand();
    list(&mut hand, 0..9);
    for (ticket, _) in hand.ask_all() {
        hand.ticket = ticket;
        hand.fail(&failure(FailureKind::Transient, 500));
    }
    assert!(hand.ask_within(SECOND).is_some(), "the first wait is short");
}
