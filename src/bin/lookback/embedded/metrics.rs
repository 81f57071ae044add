//! A metrics context: counters and gauges with labels, and their text forms.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::journal::Owner;
use super::registry::{Handle, Registry};

pub(super) static CONTEXTS: Registry<Metrics> = Registry::new();
pub(super) static FAMILIES: Registry<Family> = Registry::new();

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Counter,
    Gauge,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// One instance's context.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(super) handle: Handle,
    /// A real context is not safe to share between threads.
    owner: Arc<Owner>,
    families: Mutex<Vec<Arc<Family>>>,
}

/// One metric with all its label values.
#[derive(Debug)]
pub(crate) struct Family {
    pub(super) handle: Handle,
    pub(super) owner: Arc<Owner>,
    kind: Kind,
    name: String,
    help: String,
    labels: Vec<String>,
    series: Mutex<Vec<Series>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Series {
    labels: Vec<String>,
    timestamp: u64,
    value: f64,
}

/// A counter was set to less than it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WouldReset;

impl Metrics {
    /// A new context, known by its handle until [`Metrics::retire`].
    pub(super) fn register(owner: Arc<Owner>) -> Arc<Self> {
        let metrics = Arc::new(Self { handle: Handle::fresh(), owner, families: Mutex::default() });
        CONTEXTS.insert(metrics.handle, Arc::clone(&metrics));
        metrics
    }

    /// Makes the context's handles, and those of its metrics, invalid. Values can still be read.
    pub(super) fn retire(&self) {
        CONTEXTS.remove(self.handle);
        for family in lock(&self.families).iter() {
            FAMILIES.remove(family.handle);
        }
    }

    pub(super) fn create(
        &self,
        kind: Kind,
        name: String,
        help: String,
        labels: Vec<String>,
    ) -> Arc<Family> {
        let series = Mutex::default();
        let family = Arc::new(Family {
            handle: Handle::fresh(),
            owner: Arc::clone(&self.owner),
            kind,
            name,
            help,
            labels,
            series,
        });
        if family.labels.is_empty() {
            lock(&family.series).push(Series { labels: Vec::new(), timestamp: 0, value: 0.0 });
        }
        lock(&self.families).push(Arc::clone(&family));
        FAMILIES.insert(family.handle, Arc::clone(&family));
        family
    }

    /// The sum over all series of `name` that have these label values. None: no such series.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let families = lock(&self.families);
        let values: Vec<f64> = families
            .iter()
            .filter(|family| family.name == name)
            .flat_map(|family| family.matching(labels))
            .collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// The form of `cmt_encode_text_create`: `TIME name{label="value"} = value`, counters first.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        for kind in [Kind::Counter, Kind::Gauge] {
            for family in lock(&self.families).iter().filter(|family| family.kind == kind) {
                family.write_text(&mut text);
            }
        }
        text
    }
}

/// The Prometheus form, with a metric's instances together.
pub(crate) fn to_prometheus<'a>(contexts: impl IntoIterator<Item = &'a Metrics>) -> String {
    let mut families: Vec<Arc<Family>> = Vec::new();
    for context in contexts {
        families.extend(lock(&context.families).iter().cloned());
    }
    families.sort_by(|a, b| a.name.cmp(&b.name));
    let mut text = String::new();
    let mut last = "";
    for family in &families {
        let Family { name, help, kind, .. } = family.as_ref();
        if name != last {
            let help = help.replace('\\', "\\\\").replace('\n', "\\n");
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {}", kind.name());
        }
        last = name;
        for series in lock(&family.series).iter() {
            let _ = writeln!(text, "{name}{} {}", family.braces(series), series.value);
        }
    }
    text
}

impl Family {
    pub(super) fn label_count(&self) -> usize {
        self.labels.len()
    }

    pub(super) fn set(
        &self,
        timestamp: u64,
        value: f64,
        labels: &[String],
    ) -> Result<(), WouldReset> {
        let kind = self.kind;
        self.update(timestamp, labels, |old| match kind {
            Kind::Counter if old > value => Err(WouldReset),
            _ => Ok(value),
        })
    }

    pub(super) fn add(&self, timestamp: u64, value: f64, labels: &[String]) {
        let _ = self.update(timestamp, labels, |old| Ok(old + value));
    }

    fn update(
        &self,
        timestamp: u64,
        labels: &[String],
        change: impl FnOnce(f64) -> Result<f64, WouldReset>,
    ) -> Result<(), WouldReset> {
        let mut all = lock(&self.series);
        let at = all.iter().position(|series| series.labels == labels).unwrap_or_else(|| {
            all.push(Series { labels: labels.to_vec(), timestamp, value: 0.0 });
            all.len() - 1
        });
        all[at].value = change(all[at].value)?;
        all[at].timestamp = timestamp;
        Ok(())
    }

    fn matching(&self, wanted: &[(&str, &str)]) -> Vec<f64> {
        let has = |series: &Series, (label, value): &(&str, &str)| {
            let at = self.labels.iter().position(|name| name == label);
            at.is_some_and(|at| series.labels.get(at).is_some_and(|found| found == value))
        };
        let series = lock(&self.series);
        let matching = series.iter().filter(|series| wanted.iter().all(|pair| has(series, pair)));
        matching.map(|series| series.value).collect()
    }

    fn write_text(&self, text: &mut String) {
        for series in lock(&self.series).iter() {
            let time =
                jiff::Timestamp::from_nanosecond(series.timestamp.into()).unwrap_or_default();
            let labels = self.braces(series);
            let value = format_g17(series.value);
            let _ = writeln!(text, "{time:.9} {}{labels} = {value}", self.name);
        }
    }

    fn braces(&self, series: &Series) -> String {
        if series.labels.is_empty() {
            return String::new();
        }
        let pairs = self.labels.iter().zip(&series.labels);
        let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        format!("{{{}}}", pairs.join(","))
    }
}

/// C's `%.17g`.
fn format_g17(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string().to_ascii_lowercase();
    }
    let scientific = format!("{value:.16e}");
    let (digits, exponent) = scientific.split_once('e').expect("Rust writes an exponent");
    let exponent: i32 = exponent.parse().expect("Rust writes a number");
    if (-4..17).contains(&exponent) {
        let decimals = usize::try_from(16 - exponent).expect("under 17");
        return trim_zeros(&format!("{value:.decimals$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim_zeros(digits), exponent.abs())
}

fn trim_zeros(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> (Arc<Metrics>, Arc<Family>) {
        let metrics = Metrics::register(Arc::default());
        let labels = vec!["name".to_owned(), "kind".to_owned()];
        let family = metrics.create(Kind::Counter, "x_total".into(), "All x.".into(), labels);
        (metrics, family)
    }

    fn labels(kind: &str) -> Vec<String> {
        vec!["lookback.0".to_owned(), kind.to_owned()]
    }

    #[test]
    fn text_forms() {
        let (metrics, family) = context();
        family.add(1_700_000_000_000_000_001, 3.0, &labels("live"));
        assert_eq!(
            metrics.to_text(),
            "2023-11-14T22:13:20.000000001Z x_total{name=\"lookback.0\",kind=\"live\"} = 3\n"
        );
        assert_eq!(
            to_prometheus([metrics.as_ref()]),
            "# HELP x_total All x.\n# TYPE x_total counter\n\
             x_total{name=\"lookback.0\",kind=\"live\"} 3\n"
        );
    }

    #[test]
    fn sums_by_label() {
        let (metrics, family) = context();
        family.add(1, 3.0, &labels("live"));
        family.add(1, 4.0, &labels("sweep"));
        assert_eq!(metrics.sum("x_total", &[]), Some(7.0));
        assert_eq!(metrics.sum("x_total", &[("kind", "live")]), Some(3.0));
        assert_eq!(metrics.sum("x_total", &[("kind", "none")]), None);
    }

    #[test]
    fn counters_do_not_fall() {
        let (_metrics, family) = context();
        assert_eq!(family.set(1, 5.0, &labels("live")), Ok(()));
        assert_eq!(family.set(2, 4.0, &labels("live")), Err(WouldReset));
    }

    #[test]
    fn numbers_as_c_prints_them() {
        for (value, text) in [
            (0.0, "0"),
            (123.0, "123"),
            (0.1, "0.10000000000000001"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (-2.5e-7, "-2.4999999999999999e-07"),
        ] {
            assert_eq!(format_g17(value), text);
        }
    }
}
