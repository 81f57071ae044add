//! How late records are at first sight, as quantiles over the last while, in fixed memory.

use std::collections::VecDeque;
use std::time::Duration;

/// Eight steps an octave: quantiles are right within 9 %.
const STEPS_PER_OCTAVE: f64 = 8.0;
const STEPS: usize = 200;

type Histogram = [u32; STEPS];

/// A histogram for each of the last few epochs: what is older is forgotten.
#[derive(Debug, Clone)]
pub struct Lateness {
    /// The present epoch last.
    epochs: VecDeque<Histogram>,
    epochs_max: usize,
    length: Duration,
    /// When the present epoch began.
    turned: Duration,
}

impl Lateness {
    /// Remembers so many epochs of a length, the present one among them.
    pub fn over(epochs_max: usize, length: Duration) -> Self {
        let epochs = vec![[0; STEPS]; epochs_max.min(2)].into();
        Self { epochs, epochs_max, length, turned: Duration::ZERO }
    }

    /// Counts a record.
    pub fn add(&mut self, late_by: Duration, now: Duration) {
        self.turn(now);
        let octaves = (late_by.as_secs_f64() + 1.0).log2();
        let step = (octaves * STEPS_PER_OCTAVE) as usize;
        if let Some(present) = self.epochs.back_mut() {
            let count = &mut present[step.min(STEPS - 1)];
            *count = count.saturating_add(1);
        }
    }

    /// Forgets what is too old by now.
    pub fn turn(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.turned).as_nanos() / self.length.as_nanos().max(1);
        if passed == 0 {
            return;
        }
        let passed = usize::try_from(passed).unwrap_or(usize::MAX);
        for _ in 0..passed.min(self.epochs_max) {
            self.epochs.push_back([0; STEPS]);
        }
        let too_many = self.epochs.len().saturating_sub(self.epochs_max);
        self.epochs.drain(..too_many);
        self.turned =
            if passed < self.epochs_max { self.turned + self.length * passed as u32 } else { now };
    }

    /// How many records are remembered.
    pub fn records(&self) -> u64 {
        self.epochs.iter().map(total).sum()
    }

    /// The lateness in seconds that a share `q` of the records stayed under; zero if there were none.
    pub fn quantile(&self, q: f64) -> f64 {
        self.quantile_of_newest(self.epochs.len(), q)
    }

    /// The same of the newest epochs: of two, or of as many as hold so many records. Zero if all hold fewer.
    pub fn recent_quantile(&self, records_min: u64, q: f64) -> f64 {
        let mut records = 0;
        for (before, epoch) in self.epochs.iter().rev().enumerate() {
            records += total(epoch);
            if before > 0 && records >= records_min {
                return self.quantile_of_newest(before + 1, q);
            }
        }
        0.0
    }

    fn quantile_of_newest(&self, epochs: usize, q: f64) -> f64 {
        let newest = self.epochs.iter().rev().take(epochs);
        let wanted = q * newest.clone().map(total).sum::<u64>() as f64;
        let (mut below, mut found) = (0, 0.0);
        for step in 0..STEPS {
            let count: u64 = newest.clone().map(|epoch| u64::from(epoch[step])).sum();
            if count > 0 {
                below += count;
                found = ((step as f64 + 0.5) / STEPS_PER_OCTAVE).exp2() - 1.0;
                if below as f64 >= wanted {
                    break;
                }
            }
        }
        found
    }
}

fn total(histogram: &Histogram) -> u64 {
    histogram.iter().map(|count| u64::from(*count)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn quantiles_are_right_within_a_tenth() {
        let mut lateness = Lateness::over(2, HOUR);
        for seconds in 1..=1_000 {
            lateness.add(Duration::from_secs(seconds), Duration::ZERO);
        }
        for (q, expected) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0)] {
            let found = lateness.quantile(q);
            assert!((found / expected - 1.0).abs() < 0.1, "{q}: {found}");
        }
    }

    #[test]
    fn what_is_older_than_its_epochs_is_forgotten() {
        let mut lateness = Lateness::over(2, HOUR);
        lateness.add(Duration::from_secs(86_400), Duration::ZERO);
        lateness.add(Duration::from_secs(1), HOUR);
        assert!(lateness.quantile(1.0) > 80_000.0);
        lateness.add(Duration::from_secs(1), HOUR * 2);
        assert!(lateness.quantile(1.0) < 2.0);
        lateness.turn(HOUR * 1_000);
        assert_eq!((lateness.records(), lateness.quantile(1.0)), (0, 0.0));
    }

    #[test]
    fn the_newest_are_of_two_epochs_or_of_as_many_as_hold_enough() {
        let mut lateness = Lateness::over(5, HOUR);
        for (hour, records) in [(0, 50), (1, 9), (2, 9), (3, 3)] {
            let by = Duration::from_secs(1 << (10 - hour));
            (0..records).for_each(|_| lateness.add(by, HOUR * hour));
        }
        let about = |found: f64, expected: f64| (found / expected - 1.0).abs() < 0.1;
        assert!(about(lateness.recent_quantile(10, 1.0), 256.0));
        assert!(about(lateness.recent_quantile(20, 1.0), 512.0));
        assert!(about(lateness.recent_quantile(22, 1.0), 1_024.0));
        assert_eq!(lateness.recent_quantile(72, 1.0), 0.0);
    }
}
