//! What one look at the API says of its lateness: the drift, and the window that it would advise.

use std::time::Duration;

use in_lookback::config::Plan;
use in_lookback::model::Timestamp;

use super::attempt::Tried;
use super::report::count;
use super::schedule::about;

/// With fewer events, nothing can be said about how often they come.
const EVENTS_MIN: usize = 10;

/// So many times the usual wait for an event without one is no chance.
const GAPS_MANY: u32 = 10;

/// No API is called late for less.
const LATE_MIN: Duration = Duration::from_secs(60);

/// Advice is a multiple of this.
const GRAIN: Duration = Duration::from_secs(300);

/// A rate is not taken from less.
const RATE_SPAN_MIN: Duration = Duration::from_secs(600);

/// Drift, and the window to set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Advice {
    /// How old the newest event is.
    pub(crate) drift: Option<Duration>,
    /// Whether events come often enough for that to be lateness, and not calm.
    pub(crate) is_lateness: bool,
    pub(crate) window: Duration,
    /// What it goes by.
    pub(crate) basis: String,
}

/// Judges what was found. One look cannot show that events are never later, so it advises no less than the
/// definition's window and twice `interval`.
pub(crate) fn advise(plan: &Plan, tried: &Tried) -> Advice {
    let least = plan.definition.window.max(plan.schedule.interval * 2);
    let drift = tried.times.first().map(|newest| tried.now.since(*newest));
    let Some(age) = drift else {
        let basis = match tried.span.is_zero() {
            true => "the definition's window: there is nothing to go by yet".to_owned(),
            false => format!(
                "the definition's window: there is no event in the last {} to go by",
                about(tried.span)
            ),
        };
        return Advice { drift, is_lateness: false, window: least, basis };
    };
    let Some(gap) = gap(&tried.times) else {
        let basis = format!(
            "the definition's window: {} in the last {} are too few to go by",
            count(tried.times.len() as u64, "event"),
            about(tried.span)
        );
        return Advice { drift, is_lateness: false, window: least, basis };
    };
    let every = match gap.as_secs() {
        0 => "several a second".to_owned(),
        _ => format!("one every {}", about(gap)),
    };
    if age <= (gap * GAPS_MANY).max(LATE_MIN) {
        let basis = format!(
            "the definition's window: the newest event is no older than calm explains (events come {every})"
        );
        return Advice { drift, is_lateness: false, window: least, basis };
    }
    let window = least.max(up(age * 2)).min(plan.schedule.reach);
    let lateness = format!("events come {every}, so {} without one is lateness", about(age));
    let basis = match window > least {
        true => format!("twice the newest event's age: {lateness}"),
        false => {
            format!("the definition's window, more than twice the newest event's age: {lateness}")
        }
    };
    Advice { drift, is_lateness: true, window, basis }
}

/// Events an hour, as far as was read: not more than a burst of minutes shows.
pub(crate) fn events_an_hour(tried: &Tried) -> Option<f64> {
    let oldest = tried.times.last().filter(|_| tried.times.len() >= EVENTS_MIN)?;
    let span = tried.now.since(*oldest).max(RATE_SPAN_MIN);
    Some(tried.times.len() as f64 * 3_600.0 / span.as_secs_f64())
}

/// From one event to the next, on the average.
fn gap(times: &[Timestamp]) -> Option<Duration> {
    let (newest, oldest) = (times.first()?, times.last()?);
    let gaps = u32::try_from(times.len() - 1).ok()?;
    (times.len() >= EVENTS_MIN).then(|| newest.since(*oldest) / gaps)
}

fn up(span: Duration) -> Duration {
    let grain = GRAIN.as_secs();
    Duration::from_secs(span.as_secs().div_ceil(grain) * grain)
}
