//! What goes wrong, and when: seeded chances, scheduled outages, switches and a queue for tests.

use std::{collections::VecDeque, time::Duration};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    chance::{Purpose, draws},
    units::{Quota, Span, parse_duration},
};

/// A thing that goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 429: with seconds, with an HTTP date, or with no Retry-After.
    Throttle,
    /// 503 with a Retry-After.
    Unavailable,
    /// 500, or 502 with a page of HTML.
    Error,
    /// The connection is reset, before the answer or amid its body.
    Reset,
    /// The connection is closed amid the body.
    Truncate,
    /// 200 with a body that is no JSON.
    Garbage,
    /// Silence, before the answer or amid its body.
    Stall,
    /// The next link has died.
    ExpireLink,
    /// 401 in mid-walk, whatever the token.
    Unauthorized,
    /// An empty page that has a next link.
    EmptyPage,
    /// A next link that leads to the page it stands on.
    RepeatLink,
    /// A blob that is there is said to be gone.
    BlobGone,
    /// The login service fails.
    AuthFail,
}

/// What a fault makes of a page, where it leaves one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// As it should be.
    Sound,
    /// Without events, but with a next link.
    Empty,
    /// With a next link that leads to itself.
    Repeating,
}

impl Fault {
    /// All of them, in the order in which they are tried.
    pub(crate) const ALL: [Fault; 13] = [
        Fault::Throttle,
        Fault::Unavailable,
        Fault::Error,
        Fault::Reset,
        Fault::Truncate,
        Fault::Garbage,
        Fault::Stall,
        Fault::ExpireLink,
        Fault::Unauthorized,
        Fault::EmptyPage,
        Fault::RepeatLink,
        Fault::BlobGone,
        Fault::AuthFail,
    ];

    /// Its name in options' places: control requests and statistics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Fault::Throttle => "throttle",
            Fault::Unavailable => "unavailable",
            Fault::Error => "error",
            Fault::Reset => "reset",
            Fault::Truncate => "truncate",
            Fault::Garbage => "garbage",
            Fault::Stall => "stall",
            Fault::ExpireLink => "expire_link",
            Fault::Unauthorized => "unauthorized",
            Fault::EmptyPage => "empty_page",
            Fault::RepeatLink => "repeat_link",
            Fault::BlobGone => "blob_gone",
            Fault::AuthFail => "auth_fail",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Fault::ALL.into_iter().find(|fault| fault.name() == name)
    }
}

/// How likely each fault is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rates([f64; Fault::ALL.len()]);

impl Rates {
    /// How likely `fault` is.
    pub(crate) fn of(&self, fault: Fault) -> f64 {
        self.0[fault as usize]
    }

    /// Says how likely `fault` is.
    pub(crate) fn set(&mut self, fault: Fault, probability: f64) {
        self.0[fault as usize] = probability;
    }
}

/// What may go wrong.
#[derive(Clone, Debug)]
pub(crate) struct FaultOptions {
    /// How likely each fault is.
    pub(crate) rates: Rates,
    /// The wait that a Retry-After asks for.
    pub(crate) retry_after: Duration,
    /// How long a stall is.
    pub(crate) stall_for: Duration,
    /// When the API is down.
    pub(crate) outages: Vec<Span>,
    /// A rate limit.
    pub(crate) quota: Option<Quota>,
}

impl Default for FaultOptions {
    fn default() -> Self {
        Self {
            rates: Rates::default(),
            retry_after: Duration::from_secs(2),
            stall_for: Duration::from_secs(30),
            outages: Vec::new(),
            quota: None,
        }
    }
}

/// A step of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Pass,
    Fail(Fault),
}

/// The faults as they stand.
#[derive(Debug)]
pub(crate) struct Faults {
    /// What may go wrong by chance.
    pub(crate) options: FaultOptions,
    start: Timestamp,
    outage: bool,
    login_outage: bool,
    queue: VecDeque<Step>,
    rng: fastrand::Rng,
}

impl Faults {
    /// Faults of a simulator started at `start`.
    pub(crate) fn new(options: FaultOptions, seed: u64, start: Timestamp) -> Self {
        Self {
            options,
            start,
            outage: false,
            login_outage: false,
            queue: VecDeque::new(),
            rng: draws(seed, 0, Purpose::Faults),
        }
    }

    /// Whether the API is down, by schedule or by switch.
    pub(crate) fn api_is_down(&self, now: Timestamp) -> bool {
        self.outage || self.options.outages.iter().any(|span| span.holds(self.start, now))
    }

    /// Whether the login service is switched off.
    pub(crate) fn login_is_down(&self) -> bool {
        self.login_outage
    }

    /// What goes wrong with a request to which the `possible` faults can happen.
    ///
    /// The queue goes first: a queued fault waits for the first request it can happen to.
    pub(crate) fn decide(&mut self, possible: &[Fault]) -> Option<Fault> {
        match self.queue.front() {
            Some(Step::Fail(fault)) if possible.contains(fault) => {
                let fault = *fault;
                self.queue.pop_front();
                return Some(fault);
            }
            // A pass is for a listing; the login before it takes none.
            Some(Step::Pass) if possible != [Fault::AuthFail] => {
                self.queue.pop_front();
                return None;
            }
            Some(Step::Pass) => return None,
            Some(Step::Fail(_)) => return None,
            None => {}
        }
        Fault::ALL.into_iter().filter(|fault| possible.contains(fault)).find(|fault| {
            let probability = self.options.rates.of(*fault);
            probability > 0.0 && self.rng.f64() < probability
        })
    }

    /// A choice among `n` forms of a fault.
    pub(crate) fn form(&mut self, n: usize) -> usize {
        self.rng.usize(..n)
    }

    /// A share of a body, neither none of it nor all.
    pub(crate) fn share(&mut self) -> f64 {
        0.1 + 0.8 * self.rng.f64()
    }

    /// Changes what `patch` names, all of it or, if something is wrong, nothing.
    pub(crate) fn change(&mut self, patch: &Map<String, Value>) -> Result<(), String> {
        let mut options = self.options.clone();
        let (mut outage, mut login_outage) = (self.outage, self.login_outage);
        let mut queue = self.queue.clone();
        for (key, value) in patch {
            match key.as_str() {
                "outage" => outage = switch(key, value)?,
                "login_outage" => login_outage = switch(key, value)?,
                "retry_after" => options.retry_after = duration(key, value)?,
                "stall_for" => options.stall_for = duration(key, value)?,
                "quota" => options.quota = quota(value)?,
                "next" => queue = steps(value)?,
                name => {
                    let fault =
                        Fault::named(name).ok_or_else(|| format!("`{name}` is no fault"))?;
                    options.rates.set(fault, probability(key, value)?);
                }
            }
        }
        self.options = options;
        (self.outage, self.login_outage) = (outage, login_outage);
        self.queue = queue;
        Ok(())
    }

    /// The faults as they stand, in the form that `change` takes.
    pub(crate) fn to_json(&self) -> Value {
        let millis = |duration: Duration| format!("{}ms", duration.as_millis());
        let mut map = Map::new();
        for fault in Fault::ALL {
            map.insert(fault.name().to_owned(), self.options.rates.of(fault).into());
        }
        map.insert("outage".to_owned(), self.outage.into());
        map.insert("login_outage".to_owned(), self.login_outage.into());
        map.insert("retry_after".to_owned(), millis(self.options.retry_after).into());
        map.insert("stall_for".to_owned(), millis(self.options.stall_for).into());
        map.insert("quota".to_owned(), json!(self.options.quota.map(|quota| quota.to_string())));
        let name = |step: &Step| match step {
            Step::Pass => "pass",
            Step::Fail(fault) => fault.name(),
        };
        map.insert("next".to_owned(), self.queue.iter().map(name).collect());
        Value::Object(map)
    }
}

fn switch(key: &str, value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("`{key}` is true or false"))
}

fn probability(key: &str, value: &Value) -> Result<f64, String> {
    value
        .as_f64()
        .filter(|p| (0.0..=1.0).contains(p))
        .ok_or_else(|| format!("`{key}` is a probability, a number from 0 to 1"))
}

fn duration(key: &str, value: &Value) -> Result<Duration, String> {
    parse_duration(value.as_str().ok_or_else(|| format!("`{key}` is a duration, as in \"2s\""))?)
}

fn quota(value: &Value) -> Result<Option<Quota>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => text.parse().map(Some),
        _ => Err("`quota` is a text, as in \"5/10s\", or null".to_owned()),
    }
}

fn steps(value: &Value) -> Result<VecDeque<Step>, String> {
    let step = |value: &Value| match value.as_str() {
        Some("pass") => Ok(Step::Pass),
        Some(name) => {
            Fault::named(name).map(Step::Fail).ok_or_else(|| format!("`{name}` is no fault"))
        }
        None => Err("`next` is a list of names".to_owned()),
    };
    value.as_array().ok_or("`next` is a list of names")?.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults() -> Faults {
        Faults::new(FaultOptions::default(), 1, Timestamp::UNIX_EPOCH)
    }

    fn change(faults: &mut Faults, patch: Value) -> Result<(), String> {
        faults.change(patch.as_object().unwrap())
    }

    #[test]
    fn chances_are_kept() {
        let mut faults = faults();
        change(&mut faults, json!({"throttle": 0.2, "stall": 1.0})).unwrap();
        let decided: Vec<_> =
            (0..5000).map(|_| faults.decide(&[Fault::Throttle, Fault::Reset])).collect();
        let throttled = decided.iter().filter(|fault| **fault == Some(Fault::Throttle)).count();
        assert!((850..1150).contains(&throttled), "{throttled}");
        assert!(
            decided.iter().flatten().all(|fault| *fault == Fault::Throttle),
            "stall was not possible"
        );
    }

    #[test]
    fn the_queue_goes_first_and_waits_for_its_request() {
        let mut faults = faults();
        change(&mut faults, json!({"reset": 1.0, "next": ["throttle", "pass", "expire_link"]}))
            .unwrap();
        let page = [Fault::Throttle, Fault::Reset];
        assert_eq!(faults.decide(&page), Some(Fault::Throttle));
        assert_eq!(faults.decide(&page), None);
        assert_eq!(faults.decide(&page), None, "no link to expire");
        assert_eq!(faults.decide(&[Fault::ExpireLink]), Some(Fault::ExpireLink));
        assert_eq!(faults.decide(&page), Some(Fault::Reset));
    }

    #[test]
    fn a_wrong_change_changes_nothing() {
        let mut faults = faults();
        let before = faults.to_json();
        for bad in [
            json!({"outage": true, "throttle": 2}),
            json!({"outage": true, "thrott": 0.5}),
            json!({"outage": "yes"}),
            json!({"next": ["nonsense"]}),
            json!({"quota": "5"}),
            json!({"retry_after": 5}),
        ] {
            assert!(change(&mut faults, bad.clone()).is_err(), "{bad}");
            assert_eq!(faults.to_json(), before);
        }
        change(&mut faults, json!({"outage": true, "quota": "5/10s"})).unwrap();
        assert!(faults.api_is_down(Timestamp::UNIX_EPOCH));
        let now = faults.to_json();
        change(&mut faults, now.clone()).unwrap();
        assert_eq!(faults.to_json(), now);
    }
}
