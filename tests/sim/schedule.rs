//! What is asked for and when: windows, slices, holes, back-off. The engine driven by hand.

use std::time::Duration;

use in_lookback::api::page::{Failure, FailureKind};
use in_lookback::model::{Now, TimeRange};
use in_lookback::poll::engine;
use in_lookback::poll::progress::{Beginning, Loss, Progress, SweepProgress};
use in_lookback::poll::report::Field;

use crate::api::{failure, range};
use crate::clock::{DAY, HOUR, MINUTE, SECOND, moment};
use crate::hand::Hand;
use crate::plans::{plan, plan_with_reach};

const QUIET: [(&str, &str); 2] = [("heartbeat", "off"), ("rate_limit", "6000")];

fn transient() -> Failure {
    failure(FailureKind::Transient, 500)
}

fn refused() -> Failure {
    failure(FailureKind::Refused, 410)
}

#[test]
fn an_empty_result_widens_the_window_and_old_records_keep_it_as_wide_as_they_need() {
    let mut hand = Hand::new(&plan(&[QUIET.as_slice(), &[("sweeps", "off")]].concat()));
    let minutes = |hand: &mut Hand| hand.ask_range().span().as_secs() / 60;
    let mut spans = Vec::new();
    for _ in 0..60 {
        spans.push(minutes(&mut hand));
        hand.empty();
    }
    assert_eq!(spans[..4], [20, 50, 80, 110]);
    assert_eq!(spans[59], 24 * 60, "it ends at widen_max");
    minutes(&mut hand);
    let old = hand.ago(MINUTE * 70);
    hand.page(&[old], None);
    assert_eq!(minutes(&mut hand), 80, "as far as the newest record");
    let new = hand.ago(MINUTE);
    hand.page(&[new], None);
    assert_eq!(minutes(&mut hand), 20);
    hand.empty();
    let events = hand.events(&["window_widened", "window_narrowed"]);
    assert_eq!(
        events[events.len() - 3..],
        ["window_narrowed", "window_narrowed", "window_widened"]
    );
}

/// The fresh end of the live poll that goes on after the host took nothing for so long.
fn goes_on_after(held_up: Duration) -> (Hand, Option<in_lookback::model::Timestamp>) {
    let mut hand = Hand::new(&plan(&[QUIET.as_slice(), &[("sweeps", "off")]].concat()));
    hand.ask();
    let fresh = hand.ago(SECOND);
    hand.page(&[fresh], Some("/e?at=1&end=9&shown=0"));
    hand.engine.next(hand.now, false);
    hand.pass(held_up);
    hand.engine.next(hand.now, false);
    let url = hand.ask();
    let is_planned = url.query_pairs().any(|(name, _)| name == "to");
    let to = is_planned.then(|| range(&url).1);
    (hand, to)
}

#[test]
fn a_live_poll_that_the_host_held_up_for_an_interval_is_planned_anew() {
    let (_, to) = goes_on_after(MINUTE * 2);
    assert_eq!(to, None, "it goes on with its next page");
    let (hand, to) = goes_on_after(HOUR);
    assert_eq!(to, Some(hand.wall()));
    assert_eq!(hand.progress.live_until, None, "the first one is not complete");
}

#[test]
fn what_is_past_the_apis_reach_is_reported_as_a_gap_and_the_rest_is_read() {
    let properties = [QUIET.as_slice(), &[("sweeps", "off"), ("widen", "off")]].concat();
    let mut hand = Hand::new(&plan_with_reach("4h", &properties));
    let last = hand.ask_range().to;
    hand.empty();
    hand.pass(HOUR * 9);
    hand.restart();
    hand.ask();
    hand.empty();
    let mut oldest = hand.wall();
    while let Some(url) = hand.ask_within(SECOND) {
        oldest = range(&url).0;
        hand.empty();
    }
    let limit = hand.wall() - HOUR * 4;
    assert!(oldest >= limit && oldest <= limit + MINUTE * 2, "{oldest}");
    let [(_, gap)] = hand.reports(&["gap"])[..] else { panic!("one gap") };
    let text = |moment: in_lookback::model::Timestamp| Field::Text(moment.to_string());
    let expected = [("from", text(last - MINUTE * 20)), ("to", text(oldest))];
    assert_eq!(gap.fields, expected);
    assert_eq!(hand.events(&["catchup_started", "catchup_finished"]).len(), 2);
    assert!(hand.progress.holes.is_empty());
}

#[test]
fn a_catch_up_that_takes_longer_than_the_api_keeps_reports_what_it_was_too_late_for() {
    let properties = [QUIET.as_slice(), &[("sweeps", "off"), ("widen", "off")]].concat();
    let mut hand = Hand::new(&plan_with_reach("4h", &properties));
    hand.ask();
    hand.empty();
    hand.pass(HOUR * 3);
    hand.ask();
    hand.empty();
    let first = hand.ask_range();
    hand.empty();
    hand.pass(HOUR * 2);
    let mut asked = Vec::new();
    while let Some(url) = hand.ask_within(SECOND) {
        let (from, to) = range(&url);
        asked.push(TimeRange::new(from, to));
        hand.empty();
    }
    let limit = hand.wall() - HOUR * 4;
    assert!(asked.iter().all(|range| range.from >= limit), "{first} {asked:?}");
    assert_eq!(hand.events(&["gap"]).len(), 1);
    assert!(hand.progress.holes.is_empty());
}

#[test]
fn a_sweep_and_a_catch_up_go_on_after_a_restart_where_they_were() {
    let properties = [QUIET.as_slice(), &[("sweeps", "12h/6h"), ("widen", "off")]].concat();
    let mut hand = Hand::new(&plan(&[properties.as_slice(), &[("start", "12h")]].concat()));
    hand.ask();
    hand.empty();
    let mut asked = Vec::new();
    while let Some(url) = hand.ask_within(SECOND) {
        asked.push(range(&url));
        hand.empty();
        hand.restart();
        // A restart polls at once, and first.
        let (from, to) = range(&hand.ask());
        assert_eq!(to, hand.wall(), "{from}");
        hand.empty();
    }
    let meeting = |pair: &[(_, _)]| pair[0].0 == pair[1].1;
    assert!(asked.len() > 3 && asked.windows(2).all(meeting), "a catch-up: {asked:?}");

    hand.pass(HOUR * 6 - MINUTE);
    hand.ask();
    hand.empty();
    hand.pass(MINUTE);
    asked.clear();
    while let Some(url) = hand.ask_within(SECOND) {
        asked.push(range(&url));
        hand.empty();
        hand.restart();
        hand.ask();
        hand.empty();
    }
    let sweep: Vec<_> = asked.iter().rev().copied().collect();
    let first = sweep.first().expect("a sweep").0;
    assert!(hand.wall().since(first) >= HOUR * 12, "{sweep:?}");
    let meeting = |pair: &[(in_lookback::model::Timestamp, _)]| pair[1].0 <= pair[0].1;
    assert!(sweep.len() > 3 && sweep.windows(2).all(meeting), "{sweep:?}");
}

#[test]
fn no_request_goes_out_while_a_retry_after_runs() {
    let mut hand = Hand::new(&plan(&[("heartbeat", "off"), ("start", "10h")]));
    hand.ask();
    hand.empty();
    hand.ask();
    hand.fail(&failure(FailureKind::Throttled(Some(HOUR)), 429));
    assert_eq!(hand.ask_within(HOUR - SECOND), None, "neither a poll nor the catch-up");
    assert!(hand.ask_within(SECOND).is_some());
    assert_eq!(hand.events(&["throttled"]), ["throttled"]);
}

#[test]
fn a_link_that_repeats_begins_the_walk_again() {
    let mut hand = Hand::new(&plan(&QUIET));
    let first = hand.ask();
    let event = hand.ago(MINUTE);
    hand.page(&[event], Some("/next?p=2"));
    assert_eq!(hand.ask().path(), "/next");
    hand.show(&[], Some("/next?p=2"));
    assert_eq!(hand.ask(), first);
    hand.empty();
    assert_eq!(
        hand.events(&["fetch_failed", "fetch_recovered"]),
        ["fetch_failed", "fetch_recovered"]
    );
}

#[test]
fn a_link_to_another_host_is_never_asked_for() {
    let mut hand = Hand::new(&plan(&QUIET));
    hand.ask();
    hand.show(&[], Some("https://evil.example/next"));
    for _ in 0..5 {
        let url = hand.ask();
        assert_eq!(url.host_str(), Some("api.example"));
        hand.show(&[], Some("https://evil.example/next"));
    }
}

#[test]
fn a_link_that_died_begins_the_walk_again_and_an_error_does_not() {
    let mut hand = Hand::new(&plan(&QUIET));
    let first = hand.ask();
    let event = hand.ago(MINUTE);
    hand.page(&[event], Some("/next?p=2"));
    let second = hand.ask();
    hand.fail(&transient());
    assert_eq!(hand.ask(), second);
    hand.fail(&refused());
    assert_eq!(hand.ask(), first);
}

#[test]
fn a_walk_that_never_ends_is_ended() {
    let mut hand = Hand::new(&plan(&[("heartbeat", "off"), ("rate_limit", "60000")]));
    let first = hand.ask();
    let pages = in_lookback::poll::walk::PAGES_MAX;
    for page in 0..pages {
        assert_eq!(hand.events(&["fetch_failed"]).len(), 0, "page {page}");
        hand.show(&[], Some(&format!("/next?p={page}")));
        assert_eq!(hand.ask().path() == first.path(), page + 1 == pages, "page {page}");
    }
    assert_eq!(hand.events(&["fetch_failed"]).len(), 1);
}

#[test]
fn a_live_poll_that_is_due_is_asked_for_after_at_most_one_more_page() {
    let properties = [("heartbeat", "off"), ("rate_limit", "600"), ("start", "20d")];
    let mut hand = Hand::new(&plan(&properties));
    hand.ask();
    hand.empty();
    let mut live_at = Duration::ZERO;
    let mut polls = 0;
    for page in 0..5_000 {
        let due = hand.now.mono >= live_at + MINUTE * 3;
        let url = hand.ask_within(SECOND).expect("the catch-up has pages without end");
        let live = url.path() == "/e" && range(&url).1 >= hand.wall();
        assert!(live || !due, "page {page}: a live poll was due, {url} was asked for");
        if live {
            polls += 1;
            live_at = hand.now.mono;
        }
        hand.pass(SECOND * 7);
        let next = format!("/next?p={page}");
        hand.show(&[], (!live).then_some(&*next));
    }
    assert!(polls > 150, "{polls}");
}

#[test]
fn a_late_sweep_reads_as_much_further_back_as_it_is_late() {
    let properties = [("sweeps", "10h/2h"), ("start", "3d"), ("widen", "off")];
    let mut hand = Hand::new(&plan(&[QUIET.as_slice(), &properties].concat()));
    let begin = hand.wall();
    while hand.ask_within(SECOND).is_some() {
        hand.empty();
    }
    hand.pass(HOUR * 20);
    hand.restart();
    let mut oldest = hand.wall();
    while let Some(url) = hand.ask_within(SECOND) {
        oldest = oldest.min(range(&url).0);
        hand.empty();
    }
    assert_eq!(oldest, begin + HOUR * 2 - HOUR * 10, "as if it had begun when it was due");
}

/// A walk that takes longer than the interval, with a failure at every page, comes to its end.
#[test]
fn a_slow_live_poll_that_comes_on_is_not_begun_again() {
    let properties = [QUIET.as_slice(), &[("sweeps", "off"), ("widen", "off")]].concat();
    let mut hand = Hand::new(&plan(&properties));
    let first = hand.ask_range();
    let at = hand.ago(MINUTE);
    hand.page(&[at], Some("/next?page=1"));
    for page in 2..20 {
        hand.ask();
        hand.fail(&transient());
        hand.pass(MINUTE);
        hand.ask();
        hand.page(&[at], Some(&format!("/next?page={page}")));
    }
    hand.ask();
    hand.page(&[at], None);
    assert_eq!(hand.progress.live_until, Some(first.to));
}

#[test]
fn a_walk_that_is_refused_at_the_same_page_again_and_again_waits_longer_and_longer() {
    let mut hand = Hand::new(&plan(&[QUIET.as_slice(), &[("sweeps", "off")]].concat()));
    let mut asked = 0;
    let end = hand.now.mono + MINUTE * 2;
    while hand.now.mono < end && hand.ask_within(MINUTE).is_some() {
        asked += 1;
        hand.show(&[], Some("/next?p=2"));
        if hand.ask_within(MINUTE).is_some() {
            hand.fail(&refused());
        }
    }
    assert!(asked < 15, "{asked} times in two minutes");
    assert_eq!(hand.events(&["fetch_failed", "fetch_recovered"]), ["fetch_failed"]);
}

#[test]
fn an_old_slice_that_the_api_refuses_for_good_is_reported_as_a_gap() {
    let properties = [QUIET.as_slice(), &[("sweeps", "off"), ("widen", "off")]].concat();
    let mut hand = Hand::new(&plan(&properties));
    hand.ask();
    hand.empty();
    hand.pass(HOUR * 72);
    hand.restart();
    let keeps = hand.wall() - HOUR * 36;
    hand.ask();
    hand.empty();
    for _ in 0..4_000 {
        if hand.progress.holes.is_empty() {
            break;
        }
        let Some(url) = hand.ask_within(MINUTE * 5) else { break };
        match range(&url).0 < keeps {
            true => hand.fail(&failure(FailureKind::Refused, 400)),
            false => hand.empty(),
        }
    }
    assert!(hand.progress.holes.is_empty(), "{:?}", hand.progress.holes);
    assert!(!hand.reports(&["gap"]).is_empty());
}

#[test]
fn an_interrupted_sweep_is_followed_from_when_it_began() {
    let mut hand = Hand::new(&plan(&[QUIET.as_slice(), &[("sweeps", "20h/5h")]].concat()));
    while hand.progress.sweeps.iter().all(|sweep| sweep.unread.is_empty()) {
        hand.ask();
        hand.empty();
    }
    let began = hand.progress.sweeps[0].began;
    hand.pass(HOUR * 3);
    hand.restart();
    while !hand.progress.sweeps[0].unread.is_empty() {
        hand.ask();
        hand.empty();
    }
    assert_eq!(hand.progress.sweeps[0].began, began);
}

#[test]
fn a_source_whose_progress_was_lost_is_read_again_as_deep_as_anything_is_read() {
    let now = Now { wall: moment(DAY * 100), mono: Duration::ZERO };
    let ago = |span| moment(DAY * 100) - span;
    let sweep = SweepProgress { depth_seconds: 3_600, began: ago(HOUR * 7), unread: Vec::new() };
    let known = Progress { live_until: Some(ago(HOUR * 5)), ..Progress::new(ago(DAY * 9)) };
    let swept = Progress { sweeps: vec![sweep], ..known.clone() };
    let future = Progress { live_until: Some(now.wall + DAY), ..known.clone() };
    let bounded = moment(DAY * 100 - HOUR * 2).to_string();
    let cases = [
        ("10m", None, None, HOUR * 24),
        ("10m", Some(HOUR * 30), None, HOUR * 54),
        ("10m", None, Some(known.clone()), HOUR * 29),
        ("10m", Some(HOUR), Some(known), HOUR * 29),
        ("10m", None, Some(swept), HOUR * 31),
        ("10m", None, Some(future), HOUR * 24),
        (&bounded, Some(HOUR * 30), None, HOUR * 2),
    ];
    for (start, written, progress, back) in cases {
        let plan = plan(&[("sweeps", "6h/2h, 24h/6h"), ("start", start)]);
        let loss = Loss { written: written.map(ago), progress };
        let begun = engine::begin(&plan.schedule, &Beginning::Lost(loss.clone()), now);
        assert_eq!(begun.origin, ago(back), "start {start}, {loss:?}");
        assert_eq!(begun.live_until, None);
    }
}

#[test]
fn an_engine_that_follows_another_counts_on_and_its_heartbeat_tells_only_of_its_own() {
    let mut hand = Hand::new(&plan(&[("heartbeat", "5m"), ("sweeps", "off")]));
    hand.ask();
    let event = hand.ago(MINUTE);
    hand.page(&[event], None);
    let before = hand.engine.stats(hand.now).clone();
    hand.restart();
    hand.engine.count_on(&before);
    hand.pass(MINUTE * 5);
    hand.ask();
    hand.empty();
    assert_eq!(hand.engine.stats(hand.now).records, 1);
    let [(_, heartbeat)] = hand.reports(&["heartbeat"])[..] else { panic!("one heartbeat") };
    assert!(heartbeat.fields.contains(&("records", Field::Count(0))), "{heartbeat:?}");
}
