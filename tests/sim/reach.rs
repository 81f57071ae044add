//! An API that refuses what is past its reach, and a collector that was away for longer than that.

use std::rc::Rc;

use in_lookback::model::Timestamp;
use in_lookback::poll::report::{Field, Report};

use crate::api::Api;
use crate::clock::{DAY, HOUR, MINUTE, SECOND, time};
use crate::event::{self, Happening, Lateness};
use crate::host::Habits;
use crate::plans;
use crate::sim::{self, Incident, Scenario};

/// Whether a gap was reported that an event lies in.
fn excused(gap: &Report, event: &Happening) -> bool {
    let bound = |nth: usize| match &gap.fields[nth].1 {
        Field::Text(text) => time(Timestamp::parse(text).expect("a moment")),
        other => panic!("a gap's bound is {other:?}"),
    };
    bound(0) <= event.happened && event.happened <= bound(1)
}

#[test]
fn what_is_lost_is_within_a_reported_gap() {
    for seed in 0..50 {
        let properties = [("sweeps", "3h/1h"), ("heartbeat", "off"), ("rate_limit", "600")];
        let plan = plans::plan_with_reach("8h", &properties);
        let begin = DAY * 40;
        let end = begin + DAY * 2;
        let mut rng = fastrand::Rng::with_seed(seed);
        // Late events apart, which no gap can tell of: the API shows these at once.
        let lateness = Lateness::up_to(SECOND * 30, SECOND * 60);
        let events: Rc<[_]> =
            event::happenings(4_000, begin - HOUR, end, &lateness, &mut rng).into();
        let down = HOUR * 5 + HOUR.mul_f64(rng.f64() * 10.0);
        let required = sim::required(&plan, begin, end, Default::default());
        let api = Api::new(events.clone(), 20, plan.schedule.rate_limit, seed);
        let outcome = sim::run(Scenario {
            api: api.with_reach(plan.schedule.reach),
            plan: plan.clone(),
            events: events.clone(),
            habits: Habits { lots_max: 10, refuses: 0.0 },
            begin,
            end,
            incidents: vec![(begin + HOUR * 12, Incident::Crash { down })],
            burns_at: None,
            id_at_times: false,
            seed,
        });
        let gaps: Vec<_> = outcome.reports.iter().filter(|report| report.event == "gap").collect();
        // The window before the last poll would be asked for again.
        let back = down + plan.schedule.window;
        assert!(!gaps.is_empty() || back <= HOUR * 8, "seed {seed}: {down:?}");
        assert!(gaps.is_empty() || back + MINUTE * 5 >= HOUR * 8, "seed {seed}: {down:?}");
        let excused = |event: &Happening| gaps.iter().any(|gap| excused(gap, event));
        outcome.ledger.check(&events, |event| required(event) && !excused(event));
        let failed = outcome.reports.iter().any(|report| report.event == "fetch_failed");
        assert!(!failed, "seed {seed}: asked for what is past the reach");
    }
}
