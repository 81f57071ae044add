//! `lookback demo`: simulator, plugin and host in one process; then the books are balanced.
//!
//! | module | idea |
//! |---|---|
//! | this one | the course of it: start, faults, end |
//! | [`books`] | what happened against what was delivered |
//! | [`screen`] | lines for people |

#![allow(clippy::disallowed_methods, reason = "a demo has a real clock")]

mod books;
mod screen;

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use in_lookback::config::units;
use serde_json::json;

use self::books::{Books, Totals};
use self::screen::Screen;
use crate::embedded::signals::{self, Signal};
use crate::embedded::{Host, HostOptions, InputSpec, Output, Record};
use crate::run;
use crate::simulate::{FeedOptions, Options, Simulator};

/// How far back live polls read: what shows later than this is for the sweeps.
const WINDOW: Duration = Duration::from_secs(4);
/// One event in ten shows later than that.
const LATENESS: &str = "70%exp:500ms,20%uniform:1s-3s,10%uniform:6s-11s";
const BACKFILL: Duration = Duration::from_secs(300);
const HEALTH_TAG: &str = "lookback.health";
/// What goes wrong, one after the other, evenly over the time.
const FAULTS: [&str; 4] = ["throttle", "truncate", "unavailable", "error"];
/// Records that come within this belong to one poll.
const GATHER: Duration = Duration::from_millis(300);
/// How long the end may take until everything has shown and come through.
const END_MAX: Duration = Duration::from_secs(45);

/// Watch it work: no credentials, no Fluent Bit, ends by itself.
///
/// Starts a simulated sign-in log that shows one event in ten too late for the polls, throttles, and breaks
/// off in mid-answer. Loads the built plugin, polls, and in the end compares what happened with what was
/// delivered. Exit code 0: nothing lost, nothing twice. All of it stays on this machine.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// How long events go on happening
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = units::duration)]
    duration: Duration,

    /// Events a second
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,

    /// The same seed tells the same events
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// The plugin's library, rather than the one beside this program
    #[arg(long, value_name = "PATH")]
    plugin: Option<PathBuf>,
}

pub(crate) fn run(args: &DemoArgs) -> ExitCode {
    // Before any thread is started.
    let signals = signals::listen();
    match try_run(args, &signals) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Who read it is gone.
        Err(error) if is_broken_pipe(&*error) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("lookback: {error}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|it| it.kind() == io::ErrorKind::BrokenPipe)
}

/// True if the books balance.
fn try_run(
    args: &DemoArgs,
    signals: &Receiver<Signal>,
) -> Result<bool, Box<dyn std::error::Error>> {
    let plugin = match &args.plugin {
        Some(path) => path.clone(),
        None => run::beside([])?,
    };
    let dir = StateDir::create()?;
    let simulator = Simulator::start(options(args))?;
    let screen = Screen::of_stdout();
    screen.opening(args.rate, args.duration, WINDOW)?;
    let (say, heard) = mpsc::channel();
    let host = host(&plugin, &simulator, &dir.0, say)?;
    let mut demo =
        Demo { simulator, host, heard, screen, books: Books::new(jiff::Timestamp::now(), WINDOW) };
    let waited = demo.play(args.duration, signals)? && demo.wait_for_the_rest(signals)?;
    demo.end(waited)
}

fn options(args: &DemoArgs) -> Options {
    let feed = FeedOptions {
        seed: args.seed,
        rate: args.rate.into(),
        backfill: BACKFILL,
        lateness: LATENESS.parse().expect("the simulator's own language"),
        ..FeedOptions::default()
    };
    Options { feed, ..Options::default() }
}

/// Starts the plugin; if it refuses, its log says why.
fn host(
    plugin: &Path,
    simulator: &Simulator,
    dir: &Path,
    say: Sender<Record>,
) -> Result<Host, Box<dyn std::error::Error>> {
    let input = InputSpec::new("lookback.0")
        .tag("entra.signins")
        .set("api", "entra_signins")
        .set("tenant", "contoso.example")
        .set("client_id", "simulator")
        .set("client_secret", "simulator-secret")
        .set("base_url", simulator.url())
        .set("token_url", format!("{}/contoso.example/oauth2/v2.0/token", simulator.url()))
        .set("interval", "2s")
        .set("window", units::show(WINDOW))
        .set("widen", "off")
        .set("sweeps", "15s/3s, 5m/20s")
        .set("start", units::show(BACKFILL + Duration::from_secs(1)))
        .set("rate_limit", "600")
        .set("heartbeat", "10s")
        .set("commit_delay", "1s")
        .set("health_tag", HEALTH_TAG)
        .set("db", dir.join("lookback.db").display());
    let log = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&log);
    let options = HostOptions {
        // Health records say the same; only a refusal to start is told by the log alone.
        log: Arc::new(move |_, line| {
            lines.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
        }),
        ..HostOptions::default()
    };
    Host::start(plugin, vec![input], Box::new(Outlet(say)), options).map_err(|error| {
        let log = log.lock().unwrap_or_else(PoisonError::into_inner).join("\n  ");
        if log.is_empty() { error.into() } else { format!("{error}:\n  {log}").into() }
    })
}

/// Passes records on to the thread that prints.
struct Outlet(Sender<Record>);

impl Output for Outlet {
    fn write(&mut self, record: &Record) -> io::Result<()> {
        self.0.send(record.clone()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

struct Demo {
    simulator: Simulator,
    host: Host,
    heard: Receiver<Record>,
    screen: Screen,
    books: Books,
}

impl Demo {
    /// Shows what comes, and makes things go wrong. False: interrupted.
    fn play(&mut self, duration: Duration, signals: &Receiver<Signal>) -> io::Result<bool> {
        let start = Instant::now();
        let pause = duration / (FAULTS.len() as u32 + 1);
        let mut faults = FAULTS.iter().zip(1..).peekable();
        while start.elapsed() < duration {
            if let Some((fault, _)) = faults.next_if(|(_, i)| start.elapsed() >= pause * *i) {
                let queued = self.simulator.change_faults(&json!({"next": [fault]}));
                queued.expect("the simulator's own names");
            }
            if signals.try_recv().is_ok() {
                self.simulator.pause();
                return Ok(false);
            }
            self.show_what_came()?;
        }
        self.simulator.pause();
        Ok(true)
    }

    /// Waits until everything that happened has shown and has been delivered. False: interrupted.
    fn wait_for_the_rest(&mut self, signals: &Receiver<Signal>) -> io::Result<bool> {
        let truth = self.simulator.truth();
        self.screen.note(&format!(
            "no more events; {} are still to show or to be found",
            screen::thousands(self.books.missing(&truth).len())
        ))?;
        let start = Instant::now();
        while !self.books.missing(&truth).is_empty() && start.elapsed() < END_MAX {
            if signals.try_recv().is_ok() {
                return Ok(false);
            }
            self.show_what_came()?;
        }
        Ok(true)
    }

    /// Gathers a moment's records, and shows them.
    fn show_what_came(&mut self) -> io::Result<()> {
        let first = match self.heard.recv_timeout(Duration::from_millis(100)) {
            Ok(record) => record,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(()),
        };
        let mut came = vec![first];
        while let Ok(record) = self.heard.recv_timeout(GATHER) {
            came.push(record);
        }
        self.take(came)
    }

    fn take(&mut self, came: Vec<Record>) -> io::Result<()> {
        let (health, events): (Vec<Record>, Vec<Record>) =
            came.into_iter().partition(|record| record.tag == HEALTH_TAG);
        let now = jiff::Timestamp::now();
        let lot = self.books.enter(&events, &self.simulator.truth(), now);
        self.screen.lot(&lot)?;
        for record in &health {
            self.screen.health(record)?;
        }
        Ok(())
    }

    /// Shuts down in order and balances the books. True if they do.
    fn end(self, waited: bool) -> Result<bool, Box<dyn std::error::Error>> {
        self.screen.note("shutting down")?;
        let metric = |name: &str| self.host.metric(name, &[]).unwrap_or(0.0) as u64;
        let (duplicates, late) =
            (metric("lookback_duplicates_total"), metric("lookback_late_records_total"));
        let Self { simulator, host, heard, screen, mut books } = self;
        let report = host.stop();
        let rest: Vec<Record> =
            heard.try_iter().filter(|record| record.tag != HEALTH_TAG).collect();
        let truth = simulator.truth();
        let now = jiff::Timestamp::now();
        books.enter(&rest, &truth, now);
        let totals = Totals {
            waited,
            dropped: duplicates,
            swept: late,
            stats: simulator.stop()?,
            breaches: report.breaches,
            ..books.balance(&truth, now)
        };
        screen.summary(&totals)?;
        Ok(waited && totals.is_clean())
    }
}

/// A directory of our own, gone in the end.
struct StateDir(PathBuf);

impl StateDir {
    fn create() -> io::Result<Self> {
        let name = format!("lookback-demo-{}-{:08x}", std::process::id(), fastrand::u32(..));
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        // What is left behind lies where such things are cleaned up.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
