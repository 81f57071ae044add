//! What counts as a complete read of an hour, and what does not. The engine driven by hand.

use in_lookback::api::page::FailureKind;
use in_lookback::model::{TimeRange, Timestamp};
use in_lookback::poll::ledger::{Hour, Row};

use crate::api::{failure, range};
use crate::clock::{HOUR, MINUTE, SECOND, moment, time};
use crate::hand::Hand;
use crate::plans::{self, Style};

/// Each hour that live polls have passed since the first, and its row.
fn hours(hand: &Hand) -> Vec<(Hour, Row)> {
    let from = Hour::first_from(hand.progress.origin);
    let until = hand.progress.live_until.expect("a live poll");
    let row = |hour| hand.ledger.rows().find(|(found, _)| *found == hour).map(|(_, row)| *row);
    let all = (0..).map(|nth| from.plus(nth)).take_while(|hour| hour.end() <= until);
    all.map(|hour| (hour, row(hour).unwrap_or_default())).collect()
}

/// Answers everything for so long, with nothing; what is before `keeps` is refused.
fn answer(hand: &mut Hand, span: std::time::Duration, keeps: Option<Timestamp>) {
    let end = hand.wall() + span;
    while hand.wall() < end
        && let Some(url) = hand.ask_within(MINUTE * 5)
    {
        match keeps.filter(|keeps| range(&url).0 < *keeps) {
            Some(_) => hand.fail(&failure(FailureKind::Refused, 400)),
            None => hand.empty(),
        }
        hand.pass(SECOND);
    }
}

#[test]
fn a_slice_that_was_refused_for_good_was_not_read_until_a_later_read_mends_it() {
    let properties =
        [("sweeps", "90h/12h"), ("widen", "off"), ("heartbeat", "off"), ("rate_limit", "6000")];
    let mut hand = Hand::new(&plans::plan(&properties));
    answer(&mut hand, MINUTE, None);
    hand.pass(HOUR * 60);
    hand.restart();
    let keeps = hand.wall() - HOUR * 36;
    answer(&mut hand, HOUR * 6, Some(keeps));
    let hours_then = hours(&hand);
    assert!(!hand.progress.gaps.is_empty() && hand.progress.holes.is_empty());
    for (hour, row) in &hours_then {
        let is_gap = hand.progress.gaps.iter().any(|gap| hour.touches(gap));
        assert_eq!(row.gap.is_some(), is_gap, "{hour:?} {row:?}");
        assert!(hour.start() >= keeps || row.first.is_none(), "{hour:?} {row:?}");
        assert!(is_gap || row.first.is_some(), "{hour:?} {row:?}");
    }
    let refused = hours_then.iter().filter(|(_, row)| row.gap.is_some()).count();
    assert!((20..40).contains(&refused), "{refused} hours");

    answer(&mut hand, HOUR * 13, None);
    let mended = |gap: &TimeRange| gap.to <= hand.progress.origin;
    assert!(hand.progress.gaps.iter().all(mended), "{:?}", hand.progress.gaps);
    for (hour, row) in hours(&hand) {
        let last = row.last.expect("read by now");
        assert!(row.gap.is_none_or(|gap| gap < last.at && last.by == "sweep"), "{hour:?} {row:?}");
    }
}

/// Answers until `end`: one blob, made at a moment, is listed, and cannot be had before it is `back`.
fn answer_with_a_blob(hand: &mut Hand, made: Timestamp, back: Timestamp, end: Timestamp) {
    while hand.wall() < end {
        for (ticket, url) in hand.ask_all() {
            hand.ticket = ticket;
            let (is_listing, now) = (url.path() == "/list", hand.wall());
            let shows = || {
                let (from, to) = range(&url);
                from <= made && made <= to && now >= made
            };
            if is_listing && shows() {
                hand.list(&[(7, time(made))], None);
            } else if is_listing {
                hand.list(&[], None);
            } else if now < back {
                hand.fail(&failure(FailureKind::Gone, 404));
            } else {
                hand.page(&[time(made)], None);
            }
        }
        hand.pass(SECOND * 20);
    }
}

#[test]
fn an_hour_whose_blob_stays_away_was_not_read() {
    let properties = [("sweeps", "off"), ("heartbeat", "off"), ("rate_limit", "6000")];
    let mut hand = Hand::new(&plans::plan_of(Style::Blobs, false, &properties));
    let missing = Hour::first_from(hand.wall());
    let made = missing.start() + MINUTE * 30;
    let end = missing.plus(3).start();
    answer_with_a_blob(&mut hand, made, end, end);
    let found: Vec<_> = hours(&hand)
        .into_iter()
        .map(|(hour, row)| (hour.since(missing), row.first.is_some(), row.gap.is_some()))
        .filter(|(hour, ..)| (0..3).contains(hour))
        .collect();
    assert_eq!(found[..2], [(0, false, true), (1, true, false)]);
}

#[test]
fn an_endless_link_that_was_followed_to_its_end_has_shown_the_hours_before() {
    let properties = [("sweeps", "off"), ("heartbeat", "off"), ("rate_limit", "6000")];
    let mut hand = Hand::new(&plans::plan_of(Style::Endless, false, &properties));
    let end = hand.wall() + HOUR * 4;
    while hand.wall() < end {
        hand.ask();
        hand.show(&[], Some("/log?after=7"));
    }
    let by = |(_, row): &(Hour, Row)| row.first.map(|read| read.by);
    let found: Vec<_> = hours(&hand).iter().map(by).collect();
    assert!(found.len() >= 3 && found.iter().all(|by| *by == Some("live")), "{found:?}");
}

#[test]
fn hours_that_a_clock_which_was_ahead_called_read_are_not() {
    let properties =
        [("sweeps", "4h/1h"), ("widen", "off"), ("heartbeat", "off"), ("rate_limit", "6000")];
    let mut hand = Hand::new(&plans::plan(&properties));
    answer(&mut hand, HOUR * 2, None);
    hand.now.wall = hand.now.wall + HOUR * 5;
    answer(&mut hand, MINUTE * 30, None);
    let ahead = hours(&hand).len();
    hand.now.wall = hand.now.wall - HOUR * 5;
    let now = hand.wall();
    let late = |row: &Row, now: Timestamp| row.last.is_some_and(|last| last.at > now + MINUTE);
    assert!(hand.ledger.rows().any(|(_, row)| late(row, now)), "{ahead} hours");
    answer(&mut hand, MINUTE * 10, None);
    let now = hand.wall();
    for (hour, row) in hand.ledger.rows() {
        assert!(!late(row, now), "{row:?}");
        assert!(hour.end() <= now + MINUTE || row.last.is_none(), "{hour:?} {row:?}");
    }
    assert!(hours(&hand).iter().all(|(_, row)| row.last.is_some()));
}

#[test]
fn what_a_sweep_finds_late_is_counted_so_and_not_what_live_polls_have_not_come_to() {
    let properties =
        [("sweeps", "4h/1h"), ("widen", "off"), ("heartbeat", "off"), ("rate_limit", "6000")];
    let mut hand = Hand::new(&plans::plan(&properties));
    answer(&mut hand, HOUR * 2, None);
    let last_live = hand.progress.live_until.expect("a live poll");
    hand.pass(HOUR * 3);
    // The live poll fails, and the sweep goes ahead of it.
    hand.ask();
    hand.fail(&failure(FailureKind::Transient, 500));
    let (from, to) = range(&hand.ask_within(SECOND / 4).expect("the sweep"));
    assert!(from < last_live && last_live < to && hand.progress.live_until == Some(last_live));
    let (not_yet, late) = (hand.ago(HOUR), time(last_live) - HOUR);
    hand.page(&[late, not_yet], None);
    let counts = |at| {
        let hour = Hour::of(moment(at));
        let row = hand.ledger.rows().find(|(found, _)| *found == hour).expect("a row").1;
        (row.counts.records, row.counts.late)
    };
    assert_eq!((counts(not_yet), counts(late)), ((1, 0), (1, 1)));
}

/// Whether something of an hour was found to be missing, and has not been read since.
fn is_gap(row: &Row) -> bool {
    row.gap.is_some_and(|gap| row.last.is_none_or(|last| last.at <= gap))
}

const DEEP: [(&str, &str); 4] =
    [("sweeps", "4h/1h, 240h/24h"), ("widen", "off"), ("heartbeat", "off"), ("rate_limit", "6000")];

#[test]
fn an_hour_that_was_read_stays_read_though_a_sweep_is_refused_that_goes_deeper_than_the_api_keeps()
{
    let mut hand = Hand::new(&plans::plan(&DEEP));
    for _ in 0..14 {
        let keeps = hand.wall() - HOUR * 24 * 6;
        answer(&mut hand, HOUR * 24, Some(keeps));
    }
    let all = hours(&hand);
    assert!(all.len() > 13 * 24 && all.iter().all(|(_, row)| row.first.is_some() && !is_gap(row)));
    assert_eq!(hand.progress.gaps, []);
}

#[test]
fn a_clock_that_was_further_ahead_than_the_api_keeps_its_events_leaves_no_gaps_behind() {
    for ahead in [HOUR * 24 * 40, HOUR * 24 * 365] {
        let mut hand = Hand::new(&plans::plan(&DEEP));
        answer(&mut hand, HOUR * 24 * 3, None);
        hand.now.wall = hand.now.wall + ahead;
        answer(&mut hand, MINUTE * 5, None);
        hand.now.wall = hand.now.wall - ahead;
        answer(&mut hand, HOUR * 24 * 2, None);
        assert_eq!(hand.progress.gaps, []);
        assert!(hours(&hand).iter().all(|(_, row)| row.last.is_some() && !is_gap(row)));
        let latest = Hour::of(hand.wall()).plus(1);
        assert!(hand.ledger.rows().all(|(hour, _)| hour <= latest), "no rows of what is to come");
    }
}

#[test]
fn a_clock_that_is_behind_for_a_moment_takes_nothing_from_hours_that_had_ended_by_then() {
    let mut hand = Hand::new(&plans::plan(&DEEP));
    answer(&mut hand, HOUR * 24 * 20, None);
    let back = HOUR * 24 * 12;
    let then = hand.wall() - back;
    hand.now.wall = hand.now.wall - back;
    answer(&mut hand, MINUTE * 5, None);
    hand.now.wall = hand.now.wall + back;
    answer(&mut hand, HOUR, None);
    let before: Vec<_> = hours(&hand).into_iter().filter(|(hour, _)| hour.end() <= then).collect();
    assert!(before.len() > 7 * 24);
    for (hour, row) in before {
        assert!(
            row.first.is_some_and(|read| read.at < hand.wall()) && !is_gap(&row),
            "{hour:?} {row:?}"
        );
    }
}

#[test]
fn an_hour_is_whole_once_its_blob_has_come_back() {
    let properties =
        [("sweeps", "off"), ("heartbeat", "off"), ("rate_limit", "6000"), ("window", "60m")];
    let mut hand = Hand::new(&plans::plan_of(Style::Blobs, false, &properties));
    let missing = Hour::first_from(hand.wall());
    let made = missing.start() + MINUTE * 50;
    let back = missing.end() + MINUTE * 10;
    answer_with_a_blob(&mut hand, made, back, missing.plus(3).start());
    let all = hours(&hand);
    let (_, row) = all.iter().find(|(hour, _)| *hour == missing).expect("a row");
    assert!(row.gap.is_some() && row.first.is_some() && !is_gap(row), "{row:?}");
    assert_eq!(hand.progress.gaps, []);
}

#[test]
fn an_endless_link_mends_no_gap_for_it_reads_none() {
    let properties =
        [("sweeps", "off"), ("heartbeat", "off"), ("rate_limit", "6000"), ("window", "72h")];
    let mut hand = Hand::new(&plans::plan_of(Style::Endless, false, &properties));
    hand.ask();
    hand.show(&[], Some("/log?after=7"));
    let gap = TimeRange::new(hand.wall() - HOUR * 30, hand.wall() - HOUR * 29);
    hand.progress.gaps.push(gap);
    hand.restart();
    for _ in 0..3 {
        hand.ask();
        hand.show(&[], Some("/log?after=7"));
    }
    assert_eq!(hand.progress.gaps, [gap]);
}
