//! Metrics in the host's own registry, and what its registry says about us.

use std::ffi::{CString, c_char, c_int, c_void};

use super::abi;
use super::services::{Services, symbol};
use crate::model::Timestamp;
use crate::poll::stats::{QUANTILES, Stats};

/// The host's own count of the records that it has stored.
const STORED_METRIC: &str = "fluentbit_input_records_total";

/// One sample: values of the extra labels, and the value.
type Samples = Vec<(Vec<String>, f64)>;

/// One metric of the contract.
struct Row {
    name: &'static str,
    help: &'static str,
    counter: bool,
    labels: &'static [&'static str],
    samples: fn(&Stats) -> Samples,
}

fn one(value: f64) -> Samples {
    vec![(Vec::new(), value)]
}

const fn counter(name: &'static str, help: &'static str, samples: fn(&Stats) -> Samples) -> Row {
    Row { name, help, counter: true, labels: &[], samples }
}

const fn gauge(name: &'static str, help: &'static str, samples: fn(&Stats) -> Samples) -> Row {
    Row { name, help, counter: false, labels: &[], samples }
}

const ROWS: &[Row] = &[
    counter("records_total", "New records.", |s| one(s.records as f64)),
    counter("duplicates_total", "Records that were known already.", |s| one(s.duplicates as f64)),
    counter("late_records_total", "Records that a sweep saw first.", |s| one(s.late as f64)),
    counter("rejected_total", "Events that were not as the definition says.", |s| {
        one(s.rejected as f64)
    }),
    Row {
        labels: &["kind", "result"],
        ..counter("polls_total", "Polls, by kind and result.", |s| {
            let sample = |((kind, result), count): (&(&str, &str), &u64)| {
                (vec![(*kind).to_owned(), (*result).to_owned()], *count as f64)
            };
            s.polls.iter().map(sample).collect()
        })
    },
    Row {
        labels: &["status"],
        ..counter("requests_total", "Requests to the API, by HTTP status.", |s| {
            s.requests.iter().map(|(status, n)| (vec![status.clone()], *n as f64)).collect()
        })
    },
    counter("throttled_total", "Requests that the API throttled.", |s| one(s.throttled as f64)),
    counter("received_bytes_total", "Bytes of bodies, as received.", |s| {
        one(s.received_bytes as f64)
    }),
    gauge("api_drift_seconds", "Age of the newest record at the last live poll.", |s| {
        one(s.drift.as_secs_f64())
    }),
    Row {
        labels: &["quantile"],
        ..gauge("lateness_seconds", "Age of records at first sight.", |s| {
            QUANTILES.iter().zip(s.lateness).map(|((q, _), v)| (vec![(*q).to_owned()], v)).collect()
        })
    },
    gauge("window_seconds", "How far back live polls read.", |s| one(s.window.as_secs_f64())),
    gauge("poll_duration_seconds", "How long the last live poll took.", |s| {
        one(s.poll_duration.as_secs_f64())
    }),
    gauge("last_success_timestamp_seconds", "When the last live poll was complete.", |s| {
        one(s.last_success.map_or(0.0, Timestamp::as_secs_f64))
    }),
    gauge("behind_seconds", "Age of the oldest moment not yet read completely.", |s| {
        one(s.behind.as_secs_f64())
    }),
    gauge("state_ids", "Ids in the state.", |s| one(s.state_ids as f64)),
    gauge("pending_records", "Records handed over, not yet committed.", |s| {
        one(s.pending_records as f64)
    }),
];

/// The metrics of one instance.
pub(super) struct Metrics {
    context: *mut c_void,
    counter_set: unsafe extern "C" fn(*mut c_void, u64, f64, c_int, *mut *const c_char) -> c_int,
    gauge_set: unsafe extern "C" fn(*mut c_void, u64, f64, c_int, *mut *const c_char) -> c_int,
    /// In the order of [`ROWS`].
    metrics: Vec<*mut c_void>,
    name: CString,
    source: CString,
}

impl Metrics {
    /// Registers all metrics; nothing if the host has none, or lacks a symbol.
    pub(super) fn register(services: &Services, source: &str) -> Option<Self> {
        let context = services.metrics_context()?;
        // SAFETY: the symbols, where they exist, have these signatures in every supported version.
        let (counter_create, counter_set, gauge_create, gauge_set) = unsafe {
            (
                symbol::<abi::lookback_metric_create_fn>(c"cmt_counter_create")?,
                symbol::<abi::lookback_metric_set_fn>(c"cmt_counter_set")?,
                symbol::<abi::lookback_metric_create_fn>(c"cmt_gauge_create")?,
                symbol::<abi::lookback_metric_set_fn>(c"cmt_gauge_set")?,
            )
        };
        let mut metrics = Vec::with_capacity(ROWS.len());
        for row in ROWS {
            let create = if row.counter { counter_create } else { gauge_create };
            let strings = [row.name, row.help].map(|text| CString::new(text).unwrap_or_default());
            let labels: Vec<CString> = ["name", "source"]
                .iter()
                .chain(row.labels)
                .map(|label| CString::new(*label).unwrap_or_default())
                .collect();
            let mut keys: Vec<*const c_char> = labels.iter().map(|label| label.as_ptr()).collect();
            let count = c_int::try_from(keys.len()).ok()?;
            // SAFETY: the context is this instance's own; all strings and the array of keys are
            // valid during the call, and the host keeps copies only.
            let metric = unsafe {
                create(
                    context,
                    c"lookback".as_ptr(),
                    c"".as_ptr(),
                    strings[0].as_ptr(),
                    strings[1].as_ptr(),
                    count,
                    keys.as_mut_ptr(),
                )
            };
            metrics.push(metric);
        }
        let name = CString::new(services.name()).unwrap_or_default();
        let source = CString::new(source.replace('\0', " ")).unwrap_or_default();
        Some(Self { context, counter_set, gauge_set, metrics, name, source })
    }

    /// Shows counts and levels as of `now`.
    pub(super) fn show(&self, stats: &Stats, now: Timestamp) {
        let now = u64::try_from(now.as_nanos()).unwrap_or(0);
        for (row, metric) in ROWS.iter().zip(&self.metrics) {
            for (labels, value) in (row.samples)(stats) {
                self.set(row, *metric, &labels, value, now);
            }
        }
    }

    fn set(&self, row: &Row, metric: *mut c_void, labels: &[String], value: f64, now: u64) {
        if metric.is_null() {
            return;
        }
        let labels: Vec<CString> =
            labels.iter().map(|label| CString::new(label.as_str()).unwrap_or_default()).collect();
        let mut values: Vec<*const c_char> = [&self.name, &self.source]
            .into_iter()
            .chain(&labels)
            .map(|label| label.as_ptr())
            .collect();
        let Ok(count) = c_int::try_from(values.len()) else { return };
        let set = if row.counter { self.counter_set } else { self.gauge_set };
        // SAFETY: the metric was created in this instance's context, which lives; it has as many
        // labels as are passed; the strings are valid during the call and copied by the host.
        unsafe { set(metric, now, value, count, values.as_mut_ptr()) };
    }

    /// How many records of this instance the host has stored, by its own count.
    ///
    /// Only to be called while the instance exits: the engine's thread, which counts, waits for
    /// this thread to end, so that nothing changes the registry meanwhile.
    pub(super) fn stored_records(&self) -> Option<u64> {
        // SAFETY: the symbols, where they exist, have these signatures in every supported version.
        let (encode, destroy) = unsafe {
            (
                symbol::<abi::lookback_metrics_text_fn>(c"cmt_encode_text_create")?,
                symbol::<abi::lookback_metrics_text_free_fn>(c"cmt_encode_text_destroy")?,
            )
        };
        // SAFETY: the context is this instance's own, and nobody else touches it now; the text is
        // a C string of the host's that is given back once it was copied.
        let shown = unsafe {
            let shown = encode(self.context);
            let copy = whole_text(shown);
            if !shown.is_null() {
                destroy(shown);
            }
            copy
        };
        let name = self.name.to_str().ok()?;
        Some(stored_in(&shown?, name))
    }
}

/// A copy of a text of the host's, of any length.
///
/// # Safety
/// Null or a C string.
unsafe fn whole_text(shown: *const c_char) -> Option<String> {
    // SAFETY: by the contract of this function.
    (!shown.is_null())
        .then(|| unsafe { std::ffi::CStr::from_ptr(shown) }.to_string_lossy().into_owned())
}

/// The count in the host's metrics text; zero if nothing was counted yet.
fn stored_in(shown: &str, name: &str) -> u64 {
    let wanted = format!("{STORED_METRIC}{{name=\"{name}\"}} = ");
    let value = shown.lines().find_map(|line| line.split_once(&wanted).map(|(_, value)| value));
    value.and_then(|value| value.trim().parse::<f64>().ok()).map_or(0, |value| value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_count_is_found_in_its_text() {
        let shown = "2026-11-21T20:00:00.000000000Z fluentbit_input_bytes_total{name=\"a\"} = 10\n\
                     2026-11-21T20:00:00.000000000Z fluentbit_input_records_total{name=\"a\"} = 42\n";
        assert_eq!(stored_in(shown, "a"), 42);
        assert_eq!(stored_in(shown, "b"), 0);
    }
}
