//! Health reports: what happened, in the contract's words. How they look on the wire is `encode::health`.

use std::time::Duration;

use super::auto_window::Why;
use crate::config::units;
use crate::model::{TimeRange, Timestamp};

/// A longer text of a report is cut: part of it may be a server's own words, or its links.
const TEXT_CHARS_MAX: usize = 1_000;

/// One health report.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The event's name in the contract.
    pub event: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// A sentence for people.
    pub message: String,
    /// The event's own fields.
    pub fields: Vec<(&'static str, Field)>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Nothing to do.
    Info,
    /// Someone should look.
    Warning,
    /// Records do not flow.
    Error,
}

impl Severity {
    /// Its name in a health record.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A field's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    /// A count, or a status.
    Count(u64),
    /// A duration, in seconds.
    Seconds(f64),
    /// Text.
    Text(String),
    /// Nothing.
    Null,
}

use Severity::{Error, Info, Warning};

fn report(
    event: &'static str,
    severity: Severity,
    message: String,
    mut fields: Vec<(&'static str, Field)>,
) -> Report {
    for (_, field) in &mut fields {
        if let Field::Text(text) = field {
            *text = cut(std::mem::take(text));
        }
    }
    Report { event, severity, message: cut(message), fields }
}

fn cut(mut text: String) -> String {
    if let Some((at, _)) = text.char_indices().nth(TEXT_CHARS_MAX) {
        text.truncate(at);
        text.push('…');
    }
    text
}

fn seconds(span: Duration) -> Field {
    Field::Seconds(span.as_secs_f64())
}

fn text(text: impl ToString) -> Field {
    Field::Text(text.to_string())
}

fn from_to(range: TimeRange) -> Vec<(&'static str, Field)> {
    vec![("from", text(range.from)), ("to", text(range.to))]
}

fn own_place(node: &str, epoch: i64) -> Vec<(&'static str, Field)> {
    vec![("node", text(node)), ("epoch", Field::Count(u64::try_from(epoch).unwrap_or_default()))]
}

fn auth(message: String, status: u16, error: &str) -> Report {
    let fields = vec![("status", Field::Count(status.into())), ("error", text(error))];
    report("auth_failed", Error, message, fields)
}

fn fetch(
    severity: Severity,
    message: String,
    status: u16,
    error: &str,
    url: &str,
    attempt: u32,
) -> Report {
    let fields = vec![
        ("status", Field::Count(status.into())),
        ("error", text(error)),
        ("url", text(url)),
        ("attempt", Field::Count(attempt.into())),
    ];
    report("fetch_failed", severity, message, fields)
}

/// What a heartbeat carries.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pulse {
    /// New records since the last one.
    pub records: u64,
    /// Duplicates since the last one.
    pub duplicates: u64,
    /// Late records since the last one.
    pub late: u64,
    /// API drift now.
    pub drift: Duration,
    /// The 99th percentile of lateness now, in seconds.
    pub lateness_p99: f64,
    /// How old the oldest moment not yet read completely is.
    pub behind: Duration,
}

impl Report {
    /// The instance came up.
    pub fn started(
        window: Duration,
        interval: Duration,
        sweeps: String,
        resumed_from: Option<Timestamp>,
    ) -> Self {
        let from =
            resumed_from.map_or("from the start".to_owned(), |at| format!("resuming from {at}"));
        report(
            "started",
            Info,
            format!("lookback {} came up, {from}", env!("CARGO_PKG_VERSION")),
            vec![
                ("version", text(env!("CARGO_PKG_VERSION"))),
                ("window_seconds", seconds(window)),
                ("interval_seconds", seconds(interval)),
                ("sweeps", Field::Text(sweeps)),
                ("resumed_from", resumed_from.map_or(Field::Null, text)),
            ],
        )
    }

    /// The instance came up on a node of a fleet: how far the source is read is known to whoever leads it.
    pub fn joined(node: &str, window: Duration, interval: Duration, sweeps: String) -> Self {
        let mut started = Self::started(window, interval, sweeps, None);
        started.message = cut(format!(
            "lookback {} came up as node '{node}'; it reads the source when it leads it",
            env!("CARGO_PKG_VERSION")
        ));
        started
    }

    /// A sign of life.
    pub fn heartbeat(pulse: Pulse) -> Self {
        let message = format!(
            "{} records, {} duplicates, {} late",
            pulse.records, pulse.duplicates, pulse.late
        );
        report(
            "heartbeat",
            Info,
            message,
            vec![
                ("records", Field::Count(pulse.records)),
                ("duplicates", Field::Count(pulse.duplicates)),
                ("late", Field::Count(pulse.late)),
                ("drift_seconds", seconds(pulse.drift)),
                ("lateness_p99_seconds", Field::Seconds(pulse.lateness_p99)),
                ("behind_seconds", seconds(pulse.behind)),
            ],
        )
    }

    /// No token.
    pub fn auth_failed(status: u16, error: &str) -> Self {
        auth(
            format!("no token: {}; asking again with back-off", cause(status, error)),
            status,
            error,
        )
    }

    /// There was a token, and the API refused it.
    pub fn token_refused(status: u16, error: &str) -> Self {
        let cause = cause(status, error);
        auth(
            format!("the API refused the token: {cause}; trying again with back-off"),
            status,
            error,
        )
    }

    /// A token again.
    pub fn auth_recovered() -> Self {
        report("auth_recovered", Info, "the token was accepted again".to_owned(), vec![])
    }

    /// A page could not be had.
    pub fn fetch_failed(status: u16, error: &str, url: &str, attempt: u32) -> Self {
        let message = format!(
            "a page could not be had: {}; trying again with back-off",
            cause(status, error)
        );
        fetch(Error, message, status, error, url, attempt)
    }

    /// A full page named no next one, and none ever has: the definition may look in the wrong place.
    pub fn no_next_page(events: usize, url: &str) -> Self {
        let error = "a full page without a next one; is the definition's 'next' right?";
        let message =
            format!("{error} The page had {events} events, and no page has named a next one yet");
        fetch(Warning, message, 200, error, url, 1)
    }

    /// The page is in.
    pub fn fetch_recovered() -> Self {
        report("fetch_recovered", Info, "pages come in again".to_owned(), vec![])
    }

    /// The server wants us to wait.
    pub fn throttled(status: u16, wait: Duration) -> Self {
        let message = format!(
            "the server throttles (HTTP {status}); waiting {} s",
            wait.as_secs_f64().ceil()
        );
        report("throttled", Warning, message, vec![("wait_seconds", seconds(wait))])
    }

    /// A live poll had no records.
    pub fn empty_result(window: Duration) -> Self {
        let message =
            format!("the last {} hold no records; is the API delivering?", units::show(window));
        report("empty_result", Warning, message, vec![("window_seconds", seconds(window))])
    }

    /// The window was widened or narrowed.
    pub fn window(widened: bool, window: Duration) -> Self {
        let (event, severity) =
            if widened { ("window_widened", Warning) } else { ("window_narrowed", Info) };
        let message = format!("live polls now read the last {}", units::show(window));
        report(event, severity, message, vec![("window_seconds", seconds(window))])
    }

    /// The window follows the lateness.
    pub fn window_follows(longer: bool, window: Duration, why: Why) -> Self {
        let event = if longer { "window_widened" } else { "window_narrowed" };
        let shown = units::show(window);
        let why = match why {
            Why::Tail(within) => {
                format!("all but one record in a thousand show within {}", about(within))
            }
            Why::Bulk(within) => format!("nine records in ten show within {}", about(within)),
            Why::Unknown => "too few records have shown how late they are".to_owned(),
            Why::TooDear => "polls that read further back take longer than interval".to_owned(),
        };
        let message = format!("live polls read the last {shown} from now on: {why}");
        report(event, Info, message, vec![("window_seconds", seconds(window))])
    }

    /// The newest record is too old, or no longer.
    pub fn drift(high: bool, drift: Duration) -> Self {
        let (event, severity) = if high { ("drift_high", Warning) } else { ("drift_normal", Info) };
        let message = format!("the newest record is {:.0} s old", drift.as_secs_f64());
        report(event, severity, message, vec![("drift_seconds", seconds(drift))])
    }

    /// A sweep found what the window had missed.
    pub fn late_records(count: u64, latest_by: Duration) -> Self {
        let message = format!(
            "a sweep found {count} records that the window had missed; the latest came {:.0} s late",
            latest_by.as_secs_f64()
        );
        report(
            "late_records",
            Warning,
            message,
            vec![("count", Field::Count(count)), ("latest_by_seconds", seconds(latest_by))],
        )
    }

    /// A live poll took longer than the interval.
    pub fn poll_overrun(duration: Duration) -> Self {
        let message =
            format!("a live poll took {:.0} s, longer than the interval", duration.as_secs_f64());
        report("poll_overrun", Warning, message, vec![("duration_seconds", seconds(duration))])
    }

    /// A catch-up began or ended.
    pub fn catchup(finished: bool, range: TimeRange) -> Self {
        let (event, verb) = if finished {
            ("catchup_finished", "caught up on")
        } else {
            ("catchup_started", "catching up on")
        };
        report(event, Info, format!("{verb} {range}"), from_to(range))
    }

    /// A blob that the API lists is not there.
    pub fn missing_blob(made: Timestamp) -> Self {
        let message = format!(
            "a blob of {made} that the API lists cannot be had; it is tried again as long as it is listed"
        );
        report("gap", Error, message, from_to(TimeRange::new(made, made)))
    }

    /// A range can no longer be had.
    pub fn gap(range: TimeRange) -> Self {
        let message = format!("{range} is past the API's retention and can no longer be read");
        report("gap", Error, message, from_to(range))
    }

    /// Events that are not as the definition says.
    pub fn record_rejected(count: u64, reason: &str) -> Self {
        report(
            "record_rejected",
            Warning,
            format!("{count} events {reason}"),
            vec![("reason", text(reason)), ("count", Field::Count(count))],
        )
    }

    /// The state cannot be read or written.
    pub fn state_failed(error: &str) -> Self {
        let message = format!("the state cannot be read or written: {error}; trying again");
        report("state_failed", Error, message, vec![("error", text(error))])
    }

    /// The state cannot be opened, so that nothing can be read.
    pub fn state_closed(error: &str, mend: &str) -> Self {
        let message = format!(
            "the state {error}; nothing is read until it can be, and everything since the last poll then. Trying again; {mend}"
        );
        report("state_failed", Error, message, vec![("error", text(error))])
    }

    /// The database cannot be read or written, by the node that leads the source.
    pub fn state_away(error: &str, mend: &str) -> Self {
        let message = format!(
            "the state cannot be read or written: {error}; this node reads on while its lease lasts, and waits then. Trying again; {mend}"
        );
        report("state_failed", Error, message, vec![("error", text(error))])
    }

    /// The database does not answer a node that does not lead: another may read the source all the same.
    pub fn state_unknown(error: &str, mend: &str) -> Self {
        let message = format!(
            "the database does not answer: {error}; this node cannot tell who reads the source, and does not read it. Trying again; {mend}"
        );
        report("state_failed", Warning, message, vec![("error", text(error))])
    }

    /// Something of the state was lost.
    pub fn state_lost(what: &str) -> Self {
        let message = format!("of the state something was lost: {what}");
        report("state_failed", Error, message, vec![("error", text(what))])
    }

    /// This node reads the source from now on.
    pub fn leader(node: &str, epoch: i64, resumed_from: Option<Timestamp>) -> Self {
        let from =
            resumed_from.map_or("from the start".to_owned(), |at| format!("resuming from {at}"));
        let message = format!("node '{node}' reads the source from now on, {from}");
        report("leader", Info, message, own_place(node, epoch))
    }

    /// This node does not read the source: `leader` does, or did until just now; or it was this one itself.
    pub fn standby(node: &str, leader: Option<&str>, epoch: i64) -> Self {
        let why = match leader {
            None => "it has given the source back".to_owned(),
            Some(leader) if leader == node => {
                "an earlier process of this node, or another node of the same name, has the source"
                    .to_owned()
            }
            Some(leader) => format!("'{leader}' has the source"),
        };
        let message = format!("node '{node}' stands by: {why}");
        report("standby", Info, message, own_place(node, epoch))
    }

    /// The state can be read and written again.
    pub fn state_recovered() -> Self {
        report(
            "state_recovered",
            Info,
            "the state is readable and writable again".to_owned(),
            vec![],
        )
    }
}

/// A duration as people say it: `4m`, not `259s`.
fn about(span: Duration) -> String {
    match span.as_secs() {
        s if s < 120 => format!("{s}s"),
        s if s < 7_200 => format!("{}m", s / 60),
        s => format!("{}h", s / 3_600),
    }
}

fn cause(status: u16, error: &str) -> String {
    match (status, error) {
        (0, error) => error.to_owned(),
        (status, "") => format!("HTTP {status}"),
        (status, error) => format!("HTTP {status}, {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stands_by_says_who_has_the_source() {
        let said = |leader| Report::standby("n1", leader, 5).message;
        assert!(said(Some("n2")).ends_with(": 'n2' has the source"));
        assert!(said(Some("n1")).contains("another node of the same name"));
        assert!(said(None).contains("given the source back"));
    }

    #[test]
    fn a_servers_words_do_not_make_a_report_long() {
        let long = "ü".repeat(1 << 20);
        let report = Report::fetch_failed(500, &long, &long, 1);
        assert_eq!(report.message.chars().count(), TEXT_CHARS_MAX + 1);
        let texts = report.fields.iter().filter_map(|(_, field)| match field {
            Field::Text(text) => Some(text.chars().count()),
            _ => None,
        });
        assert_eq!(texts.collect::<Vec<_>>(), [TEXT_CHARS_MAX + 1; 2]);
    }
}
