//! Axes: round steps that people count in.

use in_lookback::model::Timestamp;

/// From values to places along an axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    from: f64,
    to: f64,
    start: f64,
    end: f64,
}

impl Scale {
    /// Values `from` to `to` lie from `start` to `end`.
    pub(super) fn new((from, to): (f64, f64), (start, end): (f64, f64)) -> Self {
        let to = if to > from { to } else { from + 1.0 };
        Self { from, to, start, end }
    }

    pub(super) fn at(self, value: f64) -> f64 {
        self.start + (value - self.from) / (self.to - self.from) * (self.end - self.start)
    }
}

/// Round values from 0 to `max` or a little beyond, about so many.
pub(super) fn ticks(max: f64, about: f64) -> Vec<f64> {
    let rough = (max / about).max(f64::MIN_POSITIVE);
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|it| it * power).into_iter().find(|it| *it >= rough);
    let step = step.unwrap_or(rough);
    let last = (max / step).ceil().max(1.0) as u32;
    (0..=last).map(|index| f64::from(index) * step).collect()
}

/// The same for seconds, in the steps of clocks.
pub(super) fn time_ticks(max: f64, about: f64) -> Vec<f64> {
    const STEPS: [f64; 17] = [
        1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0,
        28_800.0, 43_200.0, 86_400.0, 172_800.0,
    ];
    match STEPS.into_iter().find(|step| max / step <= about) {
        Some(step) => {
            (0..=(max / step).ceil().max(1.0) as u32).map(|it| f64::from(it) * step).collect()
        }
        None => ticks(max, about),
    }
}

const HOUR: i64 = 3_600;

/// How many hours one bar stands for, so that there are at most `bars` of them.
pub(super) fn hours_a_bar(hours: i64, bars: i64) -> i64 {
    const STEPS: [i64; 8] = [1, 2, 3, 6, 12, 24, 48, 168];
    STEPS.into_iter().find(|step| hours / step <= bars).unwrap_or((hours / bars).max(1))
}

/// Moments to name on an axis of time, about so many, and what to call them.
pub(super) fn moments(from: Timestamp, to: Timestamp, about: i64) -> Vec<(Timestamp, String)> {
    const STEPS: [i64; 13] = [
        60,
        300,
        900,
        1_800,
        HOUR,
        2 * HOUR,
        3 * HOUR,
        6 * HOUR,
        12 * HOUR,
        24 * HOUR,
        48 * HOUR,
        168 * HOUR,
        720 * HOUR,
    ];
    let span = to.as_secs() - from.as_secs();
    let step = STEPS.into_iter().find(|step| span / step <= about).unwrap_or((span / about).max(1));
    let first = from.as_secs().div_euclid(step) * step;
    let all = (0..).map(|index| first + index * step).take_while(|at| *at <= to.as_secs());
    let within = all.filter(|at| *at >= from.as_secs()).map(Timestamp::from_secs);
    within
        .map(|at| {
            let text = minute(at);
            let midnight = text.ends_with("00:00");
            // A day is named by its date, an hour by its time.
            let name = if midnight { text.get(5..10) } else { text.get(11..16) };
            (at, name.unwrap_or_default().to_owned())
        })
        .collect()
}

/// A moment to the minute: `2026-01-31 08:00`.
pub(super) fn minute(at: Timestamp) -> String {
    at.to_string().replace('T', " ").chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_reach_the_top() {
        for (max, expected) in [
            (0.0, vec![0.0, f64::MIN_POSITIVE]),
            (7.0, vec![0.0, 2.0, 4.0, 6.0, 8.0]),
            (41_667.0, vec![0.0, 20_000.0, 40_000.0, 60_000.0]),
            (100.0, vec![0.0, 25.0, 50.0, 75.0, 100.0]),
        ] {
            let ticks = ticks(max, 4.0);
            assert!(ticks.len() >= 2 && *ticks.last().unwrap() >= max, "{max}: {ticks:?}");
            if max > 0.0 {
                assert_eq!(ticks, expected)
            }
        }
        assert_eq!(time_ticks(400.0, 4.0), [0.0, 120.0, 240.0, 360.0, 480.0]);
    }

    #[test]
    fn moments_are_named_by_the_hour_and_at_midnight_by_the_date() {
        let at = |text: &str| Timestamp::parse(text).unwrap();
        let named = moments(at("2026-01-30T20:30:00Z"), at("2026-01-31T04:00:00Z"), 8);
        let names: Vec<&str> = named.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["21:00", "22:00", "23:00", "01-31", "01:00", "02:00", "03:00", "04:00"]);
    }

    #[test]
    fn a_bar_stands_for_as_many_hours_as_it_takes() {
        for (hours, expected) in [(24, 1), (168, 2), (720, 6), (8_760, 168)] {
            assert_eq!(hours_a_bar(hours, 120), expected, "{hours}");
        }
    }
}
