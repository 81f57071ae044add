//! A crash after every single step of a short run, one run a step.

use std::rc::Rc;

use crate::api::{Api, Fault, Trouble};
use crate::clock::{DAY, HOUR, MINUTE, SECOND};
use crate::event::{self, Lateness};
use crate::host::Habits;
use crate::plans;
use crate::sim::{self, Incident, Scenario};

/// Half an hour with live polls, a catch-up after a crash, sweeps, a pause, a broken state, an API
/// that fails at times, a clean stop, and a state that is damaged.
fn scenario(burns_at: Option<u64>) -> Scenario {
    let plan = plans::plan(&[
        ("interval", "1m"),
        ("window", "4m"),
        ("sweeps", "20m/10m"),
        ("start", "20m"),
        ("commit_delay", "2s"),
        ("batch_size", "4k"),
        ("rate_limit", "600"),
        ("heartbeat", "off"),
    ]);
    let begin = DAY * 40;
    let end = begin + HOUR * 2;
    let mut rng = fastrand::Rng::with_seed(1);
    let lateness = Lateness::up_to(MINUTE * 4, MINUTE * 10);
    let events: Rc<[_]> = event::happenings(600, begin - HOUR, end, &lateness, &mut rng).into();
    let flaky =
        Fault { from: begin + MINUTE * 3, to: begin + MINUTE * 6, trouble: Trouble::Flaky(0.3) };
    let at = |minutes: u32, incident| (begin + MINUTE * minutes + SECOND * 2, incident);
    Scenario {
        api: Api::new(events.clone(), 20, plan.schedule.rate_limit, 1).with_faults(vec![flaky]),
        plan,
        events,
        habits: Habits { lots_max: 2, refuses: 0.1 },
        begin,
        end,
        incidents: vec![
            at(8, Incident::Pause),
            at(9, Incident::Resume),
            at(12, Incident::Crash { down: MINUTE * 15 }),
            at(30, Incident::StateBreaks),
            at(31, Incident::StateMends),
            at(33, Incident::Stop { down: SECOND * 5, tells: true }),
            at(36, Incident::StateDamaged { readable_percent: 50, with_hint: true }),
        ],
        burns_at,
        id_at_times: false,
        seed: 1,
    }
}

fn check(burns_at: Option<u64>) -> u64 {
    let scenario = scenario(burns_at);
    let events = scenario.events.clone();
    let required =
        sim::required(&scenario.plan, scenario.begin, scenario.end - HOUR, Default::default());
    let outcome = sim::run(scenario);
    outcome.ledger.check(&events, |event| required(event));
    outcome.steps
}

#[test]
fn a_crash_after_any_step_loses_nothing_and_repeats_only_the_last() {
    let steps = check(None);
    assert!(steps > 500, "{steps} steps are too few to mean anything");
    for step in 1..=steps {
        eprintln!("crash after step {step} of {steps}");
        check(Some(step));
    }
}
