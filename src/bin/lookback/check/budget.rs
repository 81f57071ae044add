//! How many requests an hour a plan needs, and how many it may make.

use std::fmt;
use std::time::Duration;

use in_lookback::config::Plan;
use in_lookback::config::plan::Schedule;

const HOUR: f64 = 3_600.0;

/// What is needed and allowed, in requests an hour.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Budget {
    /// At least so many: a range with more events has more pages, and blobs come on top.
    pub(crate) needed: f64,
    pub(crate) allowed: f64,
    /// What needs most of them.
    pub(crate) dearest: String,
}

impl Budget {
    /// Of a plan, with so many events an hour if that is known; else as if there were none.
    pub(crate) fn of(plan: &Plan, events_an_hour: Option<f64>) -> Self {
        let page = f64::from(plan.definition.limits.page.max(1));
        let walk = |span: Duration| {
            let pages = events_an_hour.unwrap_or(0.0) * span.as_secs_f64() / HOUR / page;
            requests(&plan.schedule, plan.parts.len(), span, pages)
        };
        let schedule = &plan.schedule;
        // An endless link is followed from where it ended: the window is not read again.
        let live = if plan.definition.follow { schedule.interval } else { schedule.window };
        let an_hour = |every: Duration| HOUR / every.as_secs_f64().max(1.0);
        let live = ("live polls".to_owned(), an_hour(schedule.interval) * walk(live));
        let sweep = |sweep: &in_lookback::config::sweeps::Sweep| {
            (format!("the sweep {sweep}"), an_hour(sweep.every) * walk(sweep.depth))
        };
        let rows: Vec<(String, f64)> =
            [live].into_iter().chain(schedule.sweeps.iter().map(sweep)).collect();
        let dearest = rows.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        Self {
            needed: rows.iter().map(|(_, requests)| requests).sum(),
            allowed: f64::from(schedule.rate_limit) * 60.0,
            dearest: dearest.map_or_else(String::new, |(name, n)| format!("{name} ({n:.0})")),
        }
    }

    /// What part of the allowed is needed.
    pub(crate) fn used(&self) -> f64 {
        self.needed / self.allowed
    }
}

/// Requests for one read of a span: a page for each slice and part, or all the pages that there are.
fn requests(schedule: &Schedule, parts: usize, span: Duration, pages: f64) -> f64 {
    let slices = (span.as_secs_f64() / schedule.range_max.as_secs_f64().max(1.0)).ceil();
    (slices.max(1.0) * parts as f64).max(pages)
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "at least {:.0} requests an hour, and may make {:.0}",
            self.needed.ceil(),
            self.allowed
        )
    }
}
