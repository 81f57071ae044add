//! What was done when.

use std::fmt;

use super::clock::{Moment, now};

#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    pub(crate) began: Moment,
    entries: Vec<(Moment, String)>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { began: now(), entries: Vec::new() }
    }
}

impl Timeline {
    pub(crate) fn note(&mut self, what: impl Into<String>) {
        self.entries.push((now(), what.into()));
    }

    /// A moment as seconds since the start.
    pub(crate) fn at(&self, moment: Moment) -> String {
        format!("{:.1} s", moment.as_secs_f64() - self.began.as_secs_f64())
    }

    /// The entries between two moments.
    pub(crate) fn between(&self, from: Moment, to: Moment) -> Self {
        let within = |(at, _): &&(Moment, String)| from <= *at && *at <= to;
        Self { began: self.began, entries: self.entries.iter().filter(within).cloned().collect() }
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, what) in &self.entries {
            writeln!(f, "    {:>9}  {what}", self.at(*at))?;
        }
        Ok(())
    }
}
