//! How late events show: a small language of distributions.
//!
//! `fixed:5s`, `exp:60s` (a mean), `uniform:2m-30m`, or a mix with weights:
//! `95%exp:60s,4%uniform:2m-30m,0.8%uniform:30m-6h`. Weights are relative to their sum.

use std::{str::FromStr, time::Duration};

use super::units::parse_duration;

/// A distribution of the time between an event and its showing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lateness {
    /// Weights and what they choose; never empty.
    parts: Vec<(f64, Shape)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Fixed(Duration),
    Exponential(Duration),
    Uniform(Duration, Duration),
}

impl Lateness {
    /// Always the same.
    pub(crate) fn fixed(by: Duration) -> Self {
        Self { parts: vec![(100.0, Shape::Fixed(by))] }
    }

    /// One draw.
    pub(crate) fn sample(&self, rng: &mut fastrand::Rng) -> Duration {
        let total: f64 = self.parts.iter().map(|(weight, _)| weight).sum();
        let mut left = rng.f64() * total;
        for (weight, shape) in &self.parts {
            if left < *weight {
                return shape.sample(rng);
            }
            left -= weight;
        }
        // Rounding can leave a crumb past the last weight.
        self.parts.last().map_or(Duration::ZERO, |(_, shape)| shape.sample(rng))
    }
}

impl Shape {
    fn sample(self, rng: &mut fastrand::Rng) -> Duration {
        match self {
            Shape::Fixed(by) => by,
            // 1 - [0, 1) is never 0; the longest draw is about 37 times the mean.
            Shape::Exponential(mean) => mean.mul_f64(-(1.0 - rng.f64()).ln()),
            Shape::Uniform(from, to) => from + (to - from).mul_f64(rng.f64()),
        }
    }
}

impl Default for Lateness {
    /// Mild: `90%exp:2s,10%uniform:2s-20s`.
    fn default() -> Self {
        Self {
            parts: vec![
                (90.0, Shape::Exponential(Duration::from_secs(2))),
                (10.0, Shape::Uniform(Duration::from_secs(2), Duration::from_secs(20))),
            ],
        }
    }
}

impl FromStr for Lateness {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(parse_part).collect::<Result<Vec<_>, _>>()?;
        let unweighted = parts.iter().filter(|(weight, _)| weight.is_none()).count();
        if unweighted > 0 && parts.len() > 1 {
            return Err(format!(
                "`{text}`: in a mix every part needs its weight, as in 95%exp:60s"
            ));
        }
        let parts: Vec<_> =
            parts.into_iter().map(|(weight, shape)| (weight.unwrap_or(100.0), shape)).collect();
        if parts.iter().all(|(weight, _)| *weight == 0.0) {
            return Err(format!("`{text}`: every weight is 0"));
        }
        Ok(Self { parts })
    }
}

fn parse_part(part: &str) -> Result<(Option<f64>, Shape), String> {
    let part = part.trim();
    let (weight, shape) = match part.split_once('%') {
        None => (None, part),
        Some((weight, shape)) => match weight.trim().parse::<f64>() {
            Ok(weight) if weight.is_finite() && weight >= 0.0 => (Some(weight), shape.trim()),
            _ => return Err(format!("`{part}`: `{weight}` is no weight")),
        },
    };
    Ok((weight, parse_shape(shape)?))
}

fn parse_shape(shape: &str) -> Result<Shape, String> {
    match shape.split_once(':') {
        Some(("fixed", by)) => Ok(Shape::Fixed(parse_duration(by)?)),
        Some(("exp", mean)) => Ok(Shape::Exponential(parse_duration(mean)?)),
        Some(("uniform", range)) => {
            let (from, to) =
                range.split_once('-').ok_or_else(|| format!("`{shape}`: write uniform:2m-30m"))?;
            let (from, to) = (parse_duration(from)?, parse_duration(to)?);
            if from > to {
                return Err(format!("`{shape}`: its end is before its beginning"));
            }
            Ok(Shape::Uniform(from, to))
        }
        _ => Err(format!("`{shape}`: write exp:60s, uniform:2m-30m or fixed:5s")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(text: &str) -> Vec<f64> {
        let lateness: Lateness = text.parse().unwrap();
        let mut rng = fastrand::Rng::with_seed(7);
        (0..20_000).map(|_| lateness.sample(&mut rng).as_secs_f64()).collect()
    }

    #[test]
    fn shapes_have_their_means() {
        let mean = |text| {
            let all = samples(text);
            all.iter().sum::<f64>() / all.len() as f64
        };
        assert_eq!(mean("fixed:5s"), 5.0);
        assert!((mean("exp:60s") - 60.0).abs() < 2.0);
        assert!((mean("uniform:2m-30m") - 960.0).abs() < 15.0);
    }

    #[test]
    fn a_mix_keeps_its_weights() {
        let late = samples("95%fixed:1s,5%uniform:30m-6h")
            .into_iter()
            .filter(|seconds| *seconds > 60.0)
            .count();
        assert!((800..1200).contains(&late), "{late} of 20000");
    }

    #[test]
    fn the_default_is_what_the_help_says() {
        assert_eq!(Ok(Lateness::default()), "90%exp:2s,10%uniform:2s-20s".parse());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (bad, word) in [
            ("", "write exp"),
            ("exp", "write exp"),
            ("normal:5s", "normal"),
            ("exp:5s,fixed:1s", "weight"),
            ("x%exp:5s", "weight"),
            ("0%exp:5s", "weight"),
            ("uniform:5m-2m", "before"),
            ("uniform:5m", "uniform:2m-30m"),
            ("exp:5", "duration"),
        ] {
            let error = bad.parse::<Lateness>().unwrap_err();
            assert!(error.contains(word), "{bad}: {error}");
        }
    }
}
