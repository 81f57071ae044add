//! Lints of a plan that would start: what it would miss, or not be able to keep up with.

use std::time::Duration;

use in_lookback::config::plan::{Plan, Start};
use in_lookback::config::units::show;
use in_lookback::model::Timestamp;

use super::Input;
use super::advice::{self, Advice};
use super::attempt::Tried;
use super::budget::Budget;
use super::finding::{Finding, Severity};

pub(crate) fn lint(input: &Input<'_>, plan: &Plan, now: Timestamp, findings: &mut Vec<Finding>) {
    let schedule = &plan.schedule;
    let mut add = |property: &str, severity, problem: String, mend: &str| {
        findings.push(Finding::new(severity, input.place_of(property), problem, mend));
    };
    let (window, interval) = (schedule.window, schedule.interval);
    if window < interval * 2 {
        let problem = format!(
            "window ({}) is hardly longer than interval ({}): an event that shows more than {} late is \
             in no live poll",
            show(window),
            show(interval),
            show(window - interval)
        );
        let mend = format!("raise window to {} or more", show(interval * 2));
        add("window", Severity::Warning, problem, &mend);
    }
    if schedule.sweeps.is_empty() {
        let problem =
            format!("no sweeps: an event that shows later than window ({}) is lost", show(window));
        let mend = "set sweeps, as in `6h/1h, 24h/12h`";
        add("sweeps", Severity::Warning, problem, mend);
    }
    let back = match schedule.start {
        Start::Back(back) => back,
        Start::At(moment) => now.since(moment),
    };
    if back > schedule.reach {
        let problem = format!(
            "start lies further back than the API answers ({}): what is before that is a gap",
            show(schedule.reach)
        );
        add("start", Severity::Warning, problem, "lower it, and get what is older elsewhere");
    }
    if plan.health_tag.is_none() {
        let problem = "health is off: the SIEM cannot tell calm from trouble".to_owned();
        add("health", Severity::Warning, problem, "set it on");
    } else if schedule.heartbeat.is_none() {
        let problem = "heartbeat is off: the SIEM cannot tell silence from calm".to_owned();
        add("heartbeat", Severity::Warning, problem, "set it to 5m");
    }
    let limits = &plan.definition.limits;
    if schedule.rate_limit > limits.requests_per_minute {
        let problem = format!(
            "rate_limit ({} a minute) is more than the API can bear by its definition ({})",
            schedule.rate_limit, limits.requests_per_minute
        );
        add("rate_limit", Severity::Warning, problem, "lower it, or expect to be throttled");
    }
    findings.extend(over_budget(input, plan, None));
}

/// Whether there are requests enough for what is planned, given how many events an hour there are.
pub(crate) fn over_budget(
    input: &Input<'_>,
    plan: &Plan,
    events_an_hour: Option<f64>,
) -> Option<Finding> {
    let budget = Budget::of(plan, events_an_hour);
    let (severity, verdict) = match budget.used() {
        used if used > 1.0 => (Severity::Loss, "it falls behind, for good"),
        used if used > 0.5 => (Severity::Warning, "little is left to catch up with"),
        _ => return None,
    };
    // A look of minutes is no proof of what a day brings.
    let (severity, basis) = match events_an_hour {
        None => (severity, String::new()),
        Some(events) => {
            (Severity::Warning, format!(" if events go on as now, {events:.0} an hour"))
        }
    };
    let problem =
        format!("the plan needs {budget}{basis}: {verdict}. Most of it is for {}", budget.dearest);
    let mend = match plan.schedule.rate_limit < plan.definition.limits.requests_per_minute {
        true => format!(
            "raise rate_limit (the API bears {} a minute), raise interval, or sweep less often",
            plan.definition.limits.requests_per_minute
        ),
        false => "raise interval, or sweep less often or less deep".to_owned(),
    };
    let property = if budget.dearest.starts_with("live") { "interval" } else { "sweeps" };
    Some(Finding::new(severity, input.place_of(property), problem, mend))
}

/// What the trial shows of the plan.
pub(crate) fn in_practice(
    input: &Input<'_>,
    plan: &Plan,
    tried: &Tried,
    advice: &Advice,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |property: &str, problem: String, mend: String| {
        findings.push(Finding::new(Severity::Warning, input.place_of(property), problem, mend));
    };
    let window = plan.schedule.window;
    // One that follows the lateness finds out for itself.
    if plan.schedule.auto.is_none() && window < advice.window {
        let problem =
            format!("window ({}) is shorter than advised: {}", show(window), advice.basis);
        let or_auto = match plan.schedule.sweeps.is_empty() {
            true => "",
            false => ", or auto",
        };
        add("window", problem, format!("set window: {}{or_auto}", show(advice.window)));
    }
    if let Some(drift) = advice.drift.filter(|drift| *drift > plan.schedule.drift_alert)
        && advice.is_lateness
    {
        let problem = format!("the API is {} late now: so will every alert be", about(drift));
        add("drift_alert", problem, "ask the vendor's service health".to_owned());
    }
    if tried.odd > 0 {
        let problem =
            format!("{} events are not as the definition says (no id or no time)", tried.odd);
        add(
            "api",
            problem,
            "see whether the API has changed; they are delivered all the same".to_owned(),
        );
    }
    if !tried.off.is_empty() {
        let problem = format!("not subscribed to: {}", tried.off.join(", "));
        let mend =
            "nothing: lookback subscribes when it starts, and the first events may take hours";
        add("api", problem, mend.to_owned());
    }
    if over_budget(input, plan, None).is_none() {
        findings.extend(over_budget(input, plan, advice::events_an_hour(tried)));
    }
    findings
}

/// One source is one instance's: with one state the second does not start, with two all comes twice.
pub(crate) fn one_source_each(inputs: &[Input<'_>], findings: &mut Vec<Finding>) {
    let plans = || inputs.iter().filter_map(|input| Some((input, input.plan.as_ref().ok()?)));
    for (i, (input, plan)) in plans().enumerate() {
        let Some((first, other)) = plans().take(i).find(|(_, other)| other.source == plan.source)
        else {
            continue;
        };
        let place = input.place_of("source");
        let (severity, problem) = match other.db.is_same(&plan.db) {
            true => (Severity::Error, "the second one refuses to start"),
            false => (Severity::Warning, "with a db of its own each, all its records come twice"),
        };
        let problem = format!(
            "'{}' at {} has the same source, {}: {problem}",
            first.name, first.section.place, plan.source
        );
        let mend = "remove one of them, or set another `source` if they read different things";
        findings.push(Finding::new(severity, place, problem, mend));
    }
}

/// A duration as people say it: `4m`, not `4m 12s`.
pub(crate) fn about(span: Duration) -> String {
    match span.as_secs() {
        s if s < 120 => format!("{s}s"),
        s if s < 2 * 3_600 => format!("{}m", s / 60),
        s if s < 2 * 86_400 => format!("{}h", s / 3_600),
        s => format!("{}d", s / 86_400),
    }
}
