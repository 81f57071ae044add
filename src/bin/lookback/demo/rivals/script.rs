//! The rule of the script in Mihalow's paper (SANS, 2018): at every interval a window far longer than it; sent is
//! what the last run did not show. A run that shows nothing is followed by one with a longer window.

use std::collections::HashSet;
use std::time::Duration;

use in_lookback::model::{TimeRange, Timestamp};

use super::{Rule, Verdict};
use crate::demo::story::{SCRIPT_STEP, SCRIPT_WINDOW, SCRIPT_WINDOW_MAX};

/// Remembers the ids of one run.
pub(crate) struct Script {
    window: Duration,
    last: HashSet<String>,
}

impl Script {
    pub(crate) fn new() -> Self {
        Self { window: SCRIPT_WINDOW, last: HashSet::new() }
    }
}

impl Rule for Script {
    fn range(&self, now: Timestamp) -> TimeRange {
        TimeRange::new(now - self.window, now)
    }

    fn read(&mut self, _: TimeRange, ids: Vec<String>) -> Verdict {
        let send = ids.iter().filter(|id| !self.last.contains(*id)).cloned().collect();
        let again = ids.is_empty() && self.window < SCRIPT_WINDOW_MAX;
        self.window = match ids.is_empty() {
            true => (self.window + SCRIPT_STEP).min(SCRIPT_WINDOW_MAX),
            false => SCRIPT_WINDOW,
        };
        self.last = ids.into_iter().collect();
        Verdict { send, again }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    fn run(rule: &mut Script, ids: &[&str]) -> (Vec<String>, bool) {
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        let Verdict { send, again } = rule.read(rule.range(NOW), ids);
        (send, again)
    }

    #[test]
    fn what_the_last_run_showed_is_not_sent_again() {
        let mut rule = Script::new();
        assert_eq!(run(&mut rule, &["a", "b"]).0, ["a", "b"]);
        assert_eq!(run(&mut rule, &["a", "b", "c"]).0, ["c"]);
        assert_eq!(run(&mut rule, &["b", "c", "late"]).0, ["late"]);
    }

    #[test]
    fn an_empty_run_forgets_all_ids_and_lengthens_the_window_until_something_shows() {
        let mut rule = Script::new();
        assert_eq!(run(&mut rule, &["a"]), (vec!["a".to_owned()], false));
        assert_eq!(run(&mut rule, &[]), (Vec::new(), true));
        assert_eq!(rule.range(NOW).span(), SCRIPT_WINDOW + SCRIPT_STEP);
        assert_eq!(run(&mut rule, &["a"]), (vec!["a".to_owned()], false), "sent twice");
        assert_eq!(rule.range(NOW).span(), SCRIPT_WINDOW);
    }

    #[test]
    fn the_window_has_an_end_where_the_script_waits() {
        let mut rule = Script::new();
        let asked = (1..100).take_while(|_| run(&mut rule, &[]).1).count();
        assert!(asked < 99);
        assert_eq!(rule.range(NOW).span(), SCRIPT_WINDOW_MAX);
    }
}
