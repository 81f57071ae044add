//! Which hosts want to be left alone, and until when: one list for all instances of the process,
//! because a `Retry-After` is the host's word to all of them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use once_cell::sync::Lazy;

use crate::api::Origin;

static HOLDS: Lazy<Mutex<HashMap<Origin, Duration>>> = Lazy::new(Mutex::default);

/// Leaves a host alone until a moment of the process's monotonic clock.
pub(super) fn hold(origin: &Origin, until: Duration, now: Duration) {
    let mut holds = HOLDS.lock().unwrap_or_else(PoisonError::into_inner);
    holds.retain(|_, until| *until > now);
    let held = holds.entry(origin.clone()).or_default();
    *held = until.max(*held);
}

/// Until when a host is to be left alone; zero if it is not.
pub(super) fn until(origin: &Origin) -> Duration {
    let holds = HOLDS.lock().unwrap_or_else(PoisonError::into_inner);
    holds.get(origin).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_hold_of_a_host_counts_and_others_are_free() {
        let origin = |text: &str| Origin::of(&url::Url::parse(text).unwrap()).unwrap();
        let (held, free) = (origin("https://held.example"), origin("https://free.example"));
        let second = Duration::from_secs(1);
        hold(&held, second * 9, second);
        hold(&held, second * 5, second);
        assert_eq!((until(&held), until(&free)), (second * 9, Duration::ZERO));
    }
}
