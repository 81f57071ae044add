//! `lookback simulate`: the log APIs on loopback, with lateness, throttling and faults.
//!
//! ```text
//! args ─> Options ─> server ── request, time ──> world ──> Reply ── wire ──> client
//!                      │                          │
//!                   control     feed, walk, index, blobs, fault, login, limit, record
//! ```
//!
//! `world` and what is below it do no input or output and read no clock: tests hand them the time.
//! `server` is the thread with the socket, `wire` the place where connections break, `clock` the
//! only file that reads the time. Nothing is stored of an event (see `feed`), but for the order of
//! showing where an API needs it (see `index`), nor of a walk over pages (see `walk`).

use std::{
    io::{self, Write as _},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

mod allowance;
mod api;
mod args;
mod ask;
mod assertion;
mod blobs;
mod chance;
mod clock;
mod control;
mod fault;
mod feed;
mod filter;
mod identity;
mod index;
mod kind;
mod lateness;
mod limit;
mod login;
mod record;
mod refusal;
mod reply;
mod seal;
mod server;
mod stats;
mod truth;
mod units;
mod walk;
mod wire;
mod world;

#[cfg(test)]
pub(crate) use self::clock::ManualClock;
#[cfg(test)]
#[allow(unused_imports, reason = "for the tests of the plugin")]
pub(crate) use self::record::STATES;
pub(crate) use self::{
    args::SimulateArgs,
    clock::{Clock, SystemClock},
    fault::FaultOptions,
    feed::FeedOptions,
    login::LoginOptions,
    server::Simulator,
    stats::Stats,
    truth::Truth,
    world::ListingOptions,
};
#[allow(unused_imports, reason = "for the demo and for tests")]
pub(crate) use self::{assertion::Certificate, blobs::BlobOptions};

/// What a simulator is like. The default listens on a free port and has no faults.
pub(crate) struct Options {
    /// Port on 127.0.0.1; 0 takes a free one.
    pub(crate) port: u16,
    /// The events.
    pub(crate) feed: FeedOptions,
    /// The listings.
    pub(crate) listing: ListingOptions,
    /// The login service.
    pub(crate) login: LoginOptions,
    /// What goes wrong.
    pub(crate) faults: FaultOptions,
    /// A file to append the truth to.
    pub(crate) truth: Option<PathBuf>,
    /// Whether to print a line for each request to stderr.
    pub(crate) access_log: bool,
    /// Whether something in front of it ends TLS, so that its links lead to https.
    pub(crate) behind_tls: bool,
    /// Tells the time.
    pub(crate) clock: Arc<dyn Clock>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            feed: FeedOptions::default(),
            listing: ListingOptions::default(),
            login: LoginOptions::default(),
            faults: FaultOptions::default(),
            truth: None,
            access_log: false,
            behind_tls: false,
            clock: Arc::new(SystemClock),
        }
    }
}

/// Why `lookback simulate` could not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SimulateError {
    /// It could not begin.
    #[error("cannot start the simulator: {0}")]
    Start(#[source] io::Error),
    /// It could not wait for signals, or print.
    #[error("cannot run: {0}")]
    Run(#[source] io::Error),
    /// The end of the truth is missing from its file.
    #[error("cannot complete the truth file: {0}")]
    Truth(#[source] io::Error),
}

/// Runs the simulator until a signal, or until its time is over.
pub(crate) fn run(args: SimulateArgs) -> Result<(), SimulateError> {
    let duration = args.duration;
    let simulator = Simulator::start(args.into_options()).map_err(SimulateError::Start)?;
    announce_and_wait(&simulator, duration).map_err(SimulateError::Run)?;
    let stats = simulator.stop().map_err(SimulateError::Truth)?;
    // The reader may be gone by now.
    let _ = writeln!(io::stderr(), "{}", serde_json::json!(stats));
    Ok(())
}

/// Says where it listens, then waits for SIGINT, SIGTERM, or the end of `duration`.
fn announce_and_wait(simulator: &Simulator, duration: Option<Duration>) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Before the announcement, as who reads it may send a signal at once.
        let mut interrupted = signal(SignalKind::interrupt())?;
        let mut terminated = signal(SignalKind::terminate())?;
        announce(simulator)?;
        let time_is_over = async {
            match duration {
                Some(duration) => tokio::time::sleep(duration).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
            () = time_is_over => {}
        }
        Ok(())
    })
}

fn announce(simulator: &Simulator) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening on {}", simulator.url())?;
    out.flush()
}
