//! `depth/every` pairs: how deep to look back for late records, and how often.

use std::fmt;
use std::time::Duration;

use super::units;

/// At most this many sweeps.
const SWEEPS_MAX: usize = 16;

/// One deeper re-read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// How far back it reads.
    pub depth: Duration,
    /// From the start of one to the start of the next.
    pub every: Duration,
}

impl fmt::Display for Sweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", units::show(self.depth), units::show(self.every))
    }
}

/// Reads `6h/30m, 24h/6h` or `off`; the shallowest comes first.
///
/// # Errors
/// What was expected, and which part was not it.
pub fn parse(text: &str) -> Result<Vec<Sweep>, String> {
    if matches!(text.trim().to_ascii_lowercase().as_str(), "off" | "no" | "false" | "") {
        return Ok(Vec::new());
    }
    let mut sweeps = text.split(',').map(parse_one).collect::<Result<Vec<_>, _>>()?;
    if sweeps.len() > SWEEPS_MAX {
        return Err(format!("expected at most {SWEEPS_MAX} pairs"));
    }
    sweeps.sort_by_key(|sweep| sweep.depth);
    if sweeps.windows(2).any(|pair| pair[0].depth == pair[1].depth) {
        return Err("expected each depth once".to_owned());
    }
    Ok(sweeps)
}

fn parse_one(pair: &str) -> Result<Sweep, String> {
    let expected =
        || format!("expected depth/every pairs such as '6h/30m, 24h/6h', not '{}'", pair.trim());
    let (depth, every) = pair.split_once('/').ok_or_else(expected)?;
    let depth = units::duration(depth).map_err(|_| expected())?;
    let every = units::duration(every).map_err(|_| expected())?;
    if every.is_zero() || depth <= every {
        return Err(format!("in '{}', the depth must be longer than the interval", pair.trim()));
    }
    Ok(Sweep { depth, every })
}

/// Prints sweeps the way [`parse`] reads them.
pub fn show(sweeps: &[Sweep]) -> String {
    if sweeps.is_empty() {
        return "off".to_owned();
    }
    sweeps.iter().map(Sweep::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_and_sorted_by_depth() {
        assert_eq!(show(&parse("7d/24h, 6h/30m").unwrap()), "6h/30m, 7d/1d");
        assert_eq!(parse("off"), Ok(vec![]));
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for text in ["6h", "6h/x", "30m/6h", "1h/0s", "6h/1h, 6h/2h"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
