//! The plugin's log lines: levels, and where they go.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::tz::TimeZone;

/// The host's levels, by its own numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Off = 0,
    Error = 1,
    Warn = 2,
    Info = 3,
    Debug = 4,
    Trace = 5,
}

impl Level {
    /// The host's own spelling; anything else is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "off" => Self::Off,
            "error" => Self::Error,
            "warn" | "warning" => Self::Warn,
            "info" => Self::Info,
            "debug" => Self::Debug,
            "trace" => Self::Trace,
            _ => return None,
        })
    }

    fn from_number(number: i32) -> Option<Self> {
        Some(match number {
            1 => Self::Error,
            2 => Self::Warn,
            3 => Self::Info,
            4 => Self::Debug,
            5 => Self::Trace,
            _ => return None,
        })
    }

    fn title(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// Takes a level and a line without its line end.
pub(crate) type LogSink = Arc<dyn Fn(Level, &str) + Send + Sync>;

/// Where lines of threads go that are no instance's: the newest host's sink.
static FALLBACK: Mutex<Option<LogSink>> = Mutex::new(None);

thread_local! {
    /// The sink of the host that runs this instance thread.
    static OWN: RefCell<Option<LogSink>> = const { RefCell::new(None) };
}

/// Prints to stderr, in the host's look.
pub(crate) fn to_stderr() -> LogSink {
    Arc::new(|level, line| eprintln!("{}", format_line(jiff::Timestamp::now(), level, line)))
}

pub(crate) fn adopt_thread(sink: LogSink) {
    OWN.with_borrow_mut(|own| *own = Some(sink));
}

pub(crate) fn set_fallback(sink: LogSink) {
    *FALLBACK.lock().unwrap_or_else(PoisonError::into_inner) = Some(sink);
}

/// What `log_print` does: no check of the level, as in the host.
pub(crate) fn print(level: i32, line: &str) {
    let level = Level::from_number(level).unwrap_or(Level::Error);
    let own = OWN.with_borrow(Clone::clone);
    let fallback = || FALLBACK.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match own.or_else(fallback) {
        Some(sink) => sink(level, line),
        None => eprintln!("{line}"),
    }
}

fn format_line(now: jiff::Timestamp, level: Level, line: &str) -> String {
    let now = now.to_zoned(TimeZone::UTC);
    format!("[{}] [{:>5}] {line}", now.strftime("%Y/%m/%d %H:%M:%S"), level.title())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_look_like_the_hosts() {
        let at = jiff::Timestamp::from_second(1_795_293_513).unwrap();
        assert_eq!(
            format_line(at, Level::Info, "[input:lookback:lookback.0] ready"),
            "[2026/11/21 20:38:33] [ info] [input:lookback:lookback.0] ready"
        );
    }
}
