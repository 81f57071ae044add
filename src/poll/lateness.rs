//! How late records are at first sight, as quantiles over the last hour or two, in fixed memory.

use std::time::Duration;

/// Eight steps an octave: quantiles are right within 9 %.
const STEPS_PER_OCTAVE: f64 = 8.0;
const STEPS: usize = 200;
const EPOCH: Duration = Duration::from_secs(3_600);

/// Two histograms, of this hour and the one before.
#[derive(Debug, Clone)]
pub struct Lateness {
    current: [u32; STEPS],
    previous: [u32; STEPS],
    turned: Duration,
}

impl Default for Lateness {
    fn default() -> Self {
        Self { current: [0; STEPS], previous: [0; STEPS], turned: Duration::ZERO }
    }
}

impl Lateness {
    /// Counts a record.
    pub fn add(&mut self, late_by: Duration, now: Duration) {
        if now >= self.turned + EPOCH {
            self.previous = std::mem::replace(&mut self.current, [0; STEPS]);
            self.turned = now;
        }
        let octaves = (late_by.as_secs_f64() + 1.0).log2();
        let step = (octaves * STEPS_PER_OCTAVE) as usize;
        self.current[step.min(STEPS - 1)] += 1;
    }

    /// The lateness in seconds that a share `q` of the records stayed under; zero if there were none.
    pub fn quantile(&self, q: f64) -> f64 {
        let count = |step: usize| u64::from(self.current[step]) + u64::from(self.previous[step]);
        let total: u64 = (0..STEPS).map(count).sum();
        let mut below = 0;
        for step in 0..STEPS {
            below += count(step);
            if total > 0 && below as f64 >= q * total as f64 {
                return ((step as f64 + 0.5) / STEPS_PER_OCTAVE).exp2() - 1.0;
            }
        }
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_within_a_tenth() {
        let mut lateness = Lateness::default();
        for seconds in 1..=1_000 {
            lateness.add(Duration::from_secs(seconds), Duration::ZERO);
        }
        for (q, expected) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0)] {
            let found = lateness.quantile(q);
            assert!((found / expected - 1.0).abs() < 0.1, "{q}: {found}");
        }
    }

    #[test]
    fn what_is_two_hours_old_is_forgotten() {
        let mut lateness = Lateness::default();
        lateness.add(Duration::from_secs(86_400), Duration::ZERO);
        lateness.add(Duration::from_secs(1), EPOCH);
        lateness.add(Duration::from_secs(1), EPOCH * 2);
        assert!(lateness.quantile(1.0) < 2.0);
    }
}
