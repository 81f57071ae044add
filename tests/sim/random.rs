//! Scenarios with everything at random. A seed that fails is named, and can be run again alone:
//! `LOOKBACK_SIM_SEED=17`; `LOOKBACK_SIM_SEEDS=5000` runs more of them.

use std::time::Duration;

use in_lookback::poll::report::Field;

use crate::api::{Api, Fault, Trouble};
use crate::clock::{DAY, HOUR, MINUTE, SECOND, moment};
use crate::event::{self, Happening, Lateness};
use crate::host::Habits;
use crate::plans::{self, Style};
use crate::sim::{self, Incident, Scenario};

const SEEDS: u64 = 200;

/// The clock is wrong by this much at most.
const CLOCK_STEP: i64 = 3_600;

const SWEEPS: [&str; 6] =
    ["off", "off", "2h/30m", "3h/1h, 20h/5h", "6h/2h, 24h/6h", "4h/1h, 12h/6h, 30h/12h"];

/// Chance, in the words that scenarios need.
pub(crate) struct Dice(pub(crate) fastrand::Rng);

impl Dice {
    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.0.usize(..choices.len())]
    }

    pub(crate) fn within(&mut self, from: Duration, to: Duration) -> Duration {
        from + (to - from).mul_f64(self.0.f64())
    }

    /// Mostly short, now and then very long.
    pub(crate) fn span(&mut self, least: Duration, most: Duration) -> Duration {
        let octaves = (most.as_secs_f64() / least.as_secs_f64()).log2();
        least.mul_f64((octaves * self.0.f64()).exp2())
    }

    /// Spans of trouble, `per_day` of them on average.
    pub(crate) fn spans(
        &mut self,
        per_day: f64,
        from: Duration,
        to: Duration,
        most: Duration,
    ) -> Vec<(Duration, Duration)> {
        let count = (per_day * 2.0 * self.0.f64() * (to - from).as_secs_f64() / 86_400.0).round();
        let span = |_| {
            let begin = self.within(from, to);
            (begin, (begin + self.span(SECOND * 20, most)).min(to))
        };
        (0..count as usize).map(span).collect()
    }
}

/// Whether events change, and what becomes of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Changes {
    /// They do not, and only their ids matter.
    Never,
    /// They do, and come again.
    Matter,
    /// They do, and it matters to some processes.
    MatterAtTimes,
}

fn scenario(style: Style, changes: Changes, seed: u64) -> Scenario {
    let mut dice = Dice(fastrand::Rng::with_seed(seed));
    let interval = dice.one_of(&[1, 3, 3, 5, 15]);
    let window = interval * dice.0.u32(2..=8);
    let sweeps = dice.one_of(&SWEEPS);
    let commit_delay = dice.one_of(&["1s", "5s", "5s", "20s"]);
    let small = dice.0.bool();
    let rate = dice.one_of(&["30", "120", "600"]);
    // Not by the dice, so that a seed is still what it was before windows could follow the lateness.
    let follows = matches!(seed % 5, 1 | 4) && sweeps != "off";
    let window = if follows { "auto".to_owned() } else { format!("{window}m") };
    let properties = [
        ("interval", &*format!("{interval}m")),
        ("window", &window),
        ("sweeps", sweeps),
        ("start", dice.one_of(&["10m", "6h", "2d"])),
        ("widen", dice.one_of(&["on", "off"])),
        ("heartbeat", dice.one_of(&["5m", "1h", "off"])),
        ("commit_delay", commit_delay),
        ("batch_size", if small { "4k" } else { "2M" }),
        ("tick_bytes", if small { "8k" } else { "16M" }),
        ("rate_limit", rate),
        ("dedup_on", if changes == Changes::Never { "id" } else { "content" }),
    ];
    let plan = plans::plan_of(style, dice.0.bool(), &properties);
    let (depth, every) = sim::deepest(&plan);

    let begin = DAY * 40;
    let calm = begin + DAY.mul_f64(1.0 + 2.0 * dice.0.f64());
    let end = calm + every * 2 + HOUR * 3;
    let lateness = Lateness::up_to(plan.schedule.window, depth - every);
    let count = dice.0.usize(300..3_000);
    let mut events = event::happenings(count, begin - DAY * 2, end, &lateness, &mut dice.0);
    for (from, to) in dice.spans(0.3, begin, calm, HOUR * 2) {
        event::stall(&mut events, from, to);
    }
    if style == Style::Blobs {
        event::into_blobs(&mut events, MINUTE * 5, &lateness, &mut dice.0);
    }
    if changes != Changes::Never {
        // Of its own, so that all else is as it is without changes.
        let mut rng = fastrand::Rng::with_seed(seed);
        event::change(&mut events, depth * 2, &mut rng);
    }
    let events: std::rc::Rc<[_]> = events.into();
    let page = if style == Style::Endless { 50 } else { dice.one_of(&[20, 50, 1_000]) };
    let faults = faults(&mut dice, begin, calm);
    let latency = dice.span(SECOND / 20, SECOND * 3);
    Scenario {
        api: Api::new(events.clone(), page, plan.schedule.rate_limit, seed)
            .with_faults(faults)
            .with_latency(latency),
        incidents: incidents(&mut dice, begin, calm),
        habits: Habits {
            lots_max: dice.one_of(&[1, 3, 1_000]),
            refuses: dice.one_of(&[0.0, 0.0, 0.3]),
        },
        plan,
        events,
        begin,
        end,
        burns_at: None,
        id_at_times: changes == Changes::MatterAtTimes,
        seed,
    }
}

fn faults(dice: &mut Dice, from: Duration, to: Duration) -> Vec<Fault> {
    let mut faults = Vec::new();
    let often = [(0.5, HOUR * 10), (0.5, HOUR), (1.0, HOUR), (2.0, HOUR * 6), (1.0, HOUR)];
    for (kind, (per_day, most)) in often.into_iter().enumerate() {
        for (from, to) in dice.spans(per_day, from, to, most) {
            let trouble = match kind {
                0 => Trouble::Down,
                1 => Trouble::NoLogin,
                2 => Trouble::Throttled(dice.span(SECOND, MINUTE * 20)),
                3 => Trouble::Flaky(0.4 * dice.0.f64()),
                _ => Trouble::Slow(dice.span(SECOND, SECOND * 50)),
            };
            faults.push(Fault { from, to, trouble });
        }
    }
    faults
}

fn incidents(dice: &mut Dice, from: Duration, to: Duration) -> Vec<(Duration, Incident)> {
    let mut all = Vec::new();
    let downs = |dice: &mut Dice, at| dice.span(SECOND, HOUR * 12).min(to - at);
    for (at, _) in dice.spans(2.0, from, to, SECOND * 30) {
        all.push((at, Incident::Crash { down: downs(dice, at) }));
    }
    for (at, _) in dice.spans(2.0, from, to, SECOND * 30) {
        let tells = dice.0.u8(..5) > 0;
        all.push((at, Incident::Stop { down: downs(dice, at), tells }));
    }
    for (begin, end) in dice.spans(2.0, from, to, HOUR * 2) {
        all.extend([(begin, Incident::Pause), (end, Incident::Resume)]);
    }
    for (begin, end) in dice.spans(1.0, from, to, HOUR * 2) {
        all.extend([(begin, Incident::StateBreaks), (end, Incident::StateMends)]);
    }
    for (begin, end) in dice.spans(1.0, from, to, HOUR) {
        all.push((begin, Incident::Freeze { span: end - begin }));
    }
    for (at, _) in dice.spans(0.7, from, to, SECOND * 30) {
        let readable_percent = dice.one_of(&[0, 90, 100]);
        let lost = Incident::StateDamaged { readable_percent, with_hint: dice.0.u8(..3) > 0 };
        // Found by the process that runs, or by the next one.
        let crash = dice.0.bool().then_some((at, Incident::Crash { down: downs(dice, at) }));
        all.extend(crash.into_iter().chain([(at, lost)]));
    }
    if dice.0.bool() {
        let by = dice.one_of(&[CLOCK_STEP, -CLOCK_STEP]);
        let (begin, end) = (dice.within(from, to), to);
        let back = dice.within(begin, end);
        all.extend([(begin, Incident::ClockSteps(by)), (back, Incident::ClockSteps(-by))]);
    }
    // Nothing lasts beyond the end, even where spans overlap.
    all.extend([(to, Incident::Resume), (to, Incident::StateMends)]);
    all.sort_by_key(|(at, _)| *at);
    all
}

/// Names the seed if its run panics.
pub(crate) struct Naming(pub(crate) u64);

impl Drop for Naming {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to run it again: LOOKBACK_SIM_SEED={}", self.0);
        }
    }
}

fn check(style: Style, changes: Changes, seed: u64) {
    let naming = Naming(seed);
    let scenario = scenario(style, changes, seed);
    if number("LOOKBACK_SIM_SEED").is_some() {
        eprintln!("{}\n{:#?}", scenario.plan.summary(), scenario.incidents);
    }
    let (plan, events) = (scenario.plan.clone(), scenario.events.clone());
    let stepped = |(_, incident): &(_, Incident)| matches!(incident, Incident::ClockSteps(_));
    let clocks_off = if scenario.incidents.iter().any(stepped) { HOUR } else { Duration::ZERO };
    let required = sim::required(&plan, scenario.begin, scenario.end, clocks_off);
    let follows = plan.definition.follow && plan.schedule.sweeps.is_empty();
    let outcome = sim::run(scenario);
    // A blob that stays away is reported with the moment at which it was made.
    let gaps = outcome.reports.iter().filter(|report| report.event == "gap");
    let gaps: Vec<&Field> =
        gaps.flat_map(|report| &report.fields).map(|(_, moment)| moment).collect();
    let reported = |event: &Happening| {
        style == Style::Blobs && gaps.contains(&&Field::Text(moment(event.selected).to_string()))
    };
    outcome.ledger.check(&events, |event| required(event) && !reported(event));
    // A blob says what it says for ever, in whichever order they are fetched; an endless link shows nothing twice.
    if changes == Changes::Matter && style == Style::Blobs {
        outcome.ledger.check_each(&events, |event| required(event) && !reported(event));
    } else if changes == Changes::Matter && !follows {
        outcome.ledger.check_last(&events, |event| {
            // A change that comes as late as an event may is found like one.
            let visible = event.last_change().unwrap_or(event.visible);
            required(&Happening { visible, ..*event })
        });
    }
    outcome.ledger.check_books(&outcome.books, &outcome.progress);
    drop(naming);
}

pub(crate) fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Every `of`-th seed: one test a core.
fn check_share(style: Style, changes: Changes, part: u64, of: u64) {
    if let Some(seed) = number("LOOKBACK_SIM_SEED") {
        return check(style, changes, seed);
    }
    let seeds = number("LOOKBACK_SIM_SEEDS").unwrap_or(SEEDS);
    (0..seeds).filter(|seed| seed % of == part).for_each(|seed| check(style, changes, seed));
}

#[test]
fn promises_hold_whatever_happens_1() {
    check_share(Style::Ranges, Changes::Never, 0, 2);
}

#[test]
fn promises_hold_whatever_happens_2() {
    check_share(Style::Ranges, Changes::Never, 1, 2);
}

#[test]
fn promises_hold_for_blobs_whatever_happens() {
    check_share(Style::Blobs, Changes::Never, 0, 2);
}

#[test]
fn promises_hold_for_an_endless_link_whatever_happens() {
    check_share(Style::Endless, Changes::Never, 0, 2);
}

#[test]
fn every_change_that_can_be_seen_is_handed_over_and_nothing_unchanged_comes_twice() {
    check_share(Style::Ranges, Changes::Matter, 0, 2);
}

#[test]
fn changes_in_blobs_are_handed_over_and_nothing_unchanged_comes_twice() {
    check_share(Style::Blobs, Changes::Matter, 0, 4);
}

#[test]
fn changes_behind_an_endless_link_are_handed_over_and_nothing_unchanged_comes_twice() {
    check_share(Style::Endless, Changes::Matter, 0, 4);
}

#[test]
fn processes_to_which_changes_matter_and_others_take_turns_and_nothing_unchanged_comes_twice() {
    check_share(Style::Ranges, Changes::MatterAtTimes, 1, 4);
}

/// Seeds that have found something, so that it is not found again only by chance.
#[test]
fn promises_hold_where_they_once_did_not() {
    // A clock an hour back while the state failed: what was to be read again was forgotten first.
    [5_293, 5_792].into_iter().for_each(|seed| check(Style::Ranges, Changes::Never, seed));
}
