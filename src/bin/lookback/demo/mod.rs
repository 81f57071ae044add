//! `lookback demo`: one simulated API, three collectors side by side, and in the end the books are balanced.
//!
//! | module | idea |
//! |---|---|
//! | this one | the course of it: start, acts, end |
//! | [`story`] | what happens when |
//! | [`rivals`] | the two other ways to collect |
//! | [`books`] | what happened against what was delivered |
//! | [`view`] | the same as lines for people |
//! | [`screen`] | where they are shown |

#![allow(clippy::disallowed_methods, reason = "a demo has a real clock")]

mod books;
mod rivals;
mod screen;
mod story;
mod view;

use std::collections::VecDeque;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use in_lookback::clock::Clock;
use in_lookback::config::{Plan, load, units};
use in_lookback::model::Timestamp;
use serde_json::Value;

use self::books::{Tally, id_of};
use self::rivals::Rival;
use self::rivals::adjacent::Adjacent;
use self::rivals::script::Script;
use self::screen::Screen;
use self::story::Act;
use self::view::{View, Word};
use crate::embedded::signals::{self, Signal};
use crate::embedded::{Host, HostOptions, InputSpec, Instance, Output, Record};
use crate::run;
use crate::simulate::{Simulator, Truth};

const HEALTH_TAG: &str = "lookback.health";
/// How long the end may take until everything has shown and come through.
const END_MAX: Duration = Duration::from_secs(60);
/// So often it is asked how everybody stands.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Shorter, and nothing happens; longer, and what happened fills the memory.
const DURATION_MIN: Duration = Duration::from_secs(5);
const DURATION_MAX: Duration = Duration::from_mins(10);

/// Watch it work: no credentials, no Fluent Bit, ends by itself in about a minute.
///
/// Starts a simulated sign-in log that shows events late, throttles, breaks off and goes down, and lets three
/// collectors ask it side by side: adjacent slices of time, the rule of a published script, and the built plugin.
/// In the end what happened is compared with what each delivered. All of it stays on this machine.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes:
  0  lookback lost nothing and doubled nothing
  1  it did, or broke the rules of its host
  2  could not tell: it could not start, was interrupted, or nobody read what it prints")]
pub(crate) struct DemoArgs {
    /// How long events go on happening, 5s to 10m; the whole story takes 30s
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    duration: Duration,

    /// Events a second
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,

    /// The same seed tells the same events; what is made of them depends on the moment
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
        Ok(Word::Kept) => ExitCode::SUCCESS,
        Ok(Word::Broken) => ExitCode::FAILURE,
        Ok(Word::Open) => ExitCode::from(2),
        Err(error) => {
            // If who read it is gone, nobody is to be told.
            if !is_broken_pipe(&*error) {
                eprintln!("lookback: {error}");
            }
            ExitCode::from(2)
        }
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration = units::duration(text)?;
    if (DURATION_MIN..=DURATION_MAX).contains(&duration) {
        return Ok(duration);
    }
    Err(format!("expected {} to {}", units::show(DURATION_MIN), units::show(DURATION_MAX)))
}

fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|it| it.kind() == io::ErrorKind::BrokenPipe)
}

fn try_run(
    args: &DemoArgs,
    signals: &Receiver<Signal>,
) -> Result<Word, Box<dyn std::error::Error>> {
    let plugin = match &args.plugin {
        Some(path) => path.clone(),
        None => run::beside([])?,
    };
    let dir = StateDir::create()?;
    let screen = Screen::of_stdout();
    screen.open(args.rate)?;
    let simulator = Simulator::start(story::options(args.seed, args.rate))?;
    let (start, began) = (Instant::now(), Clock::start().now().wall);
    let input = input(&simulator, &dir.0);
    let rivals = [
        Rival::start(plan(&input)?, Adjacent::new(began))?,
        Rival::start(plan(&input)?, Script::new())?,
    ];
    let (say, heard) = mpsc::channel();
    let host = host(&plugin, input, say)?;
    let mut demo = Demo {
        simulator,
        plugin: host.instances().cloned().collect(),
        rivals,
        heard,
        screen,
        start,
        began,
        expected: (args.duration.as_secs_f64() * f64::from(args.rate)) as u64,
        tally: Tally::default(),
        truth: Vec::new(),
        view: View::default(),
        look_due: Duration::ZERO,
        newest: VecDeque::new(),
    };
    let settled = demo.play(args.duration, signals)? && demo.settle(signals)?;
    // Nobody asks any more when the balance is struck.
    demo.rivals.iter_mut().for_each(Rival::stop);
    let report = host.stop();
    demo.end(settled, &report.breaches)
}

/// What the plugin is to do.
fn input(simulator: &Simulator, dir: &Path) -> InputSpec {
    let sweep = [story::SWEEP_DEPTH, story::SWEEP_EVERY].map(units::show).join("/");
    InputSpec::new("lookback.0")
        .tag("entra.signins")
        .set("api", "entra_signins")
        .set("tenant", "contoso.example")
        .set("client_id", "simulator")
        .set("client_secret", "simulator-secret")
        .set("base_url", simulator.url())
        .set("token_url", format!("{}/contoso.example/oauth2/v2.0/token", simulator.url()))
        .set("interval", units::show(story::INTERVAL))
        .set("window", units::show(story::WINDOW))
        .set("widen", "off")
        .set("sweeps", sweep)
        .set("rate_limit", "600")
        .set("heartbeat", "20s")
        .set("commit_delay", "1s")
        .set("health_tag", HEALTH_TAG)
        .set("db", dir.join("lookback.db").display())
}

/// The same for the rivals, who ask as it does but for when and for what.
fn plan(input: &InputSpec) -> Result<Plan, Box<dyn std::error::Error>> {
    let of = |key: &str| input.properties.iter().find(|(it, _)| it == key);
    Ok(load::plan(|key| of(key).map(|(_, value)| value.clone()))?)
}

/// Starts the plugin; if it refuses, its log says why.
fn host(
    plugin: &Path,
    input: InputSpec,
    say: Sender<Record>,
) -> Result<Host, Box<dyn std::error::Error>> {
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
    /// Its metrics can be read after its end.
    plugin: Vec<Arc<Instance>>,
    rivals: [Rival; 2],
    heard: Receiver<Record>,
    screen: Screen,
    start: Instant,
    /// What happened before is no part of the story.
    began: Timestamp,
    expected: u64,
    /// lookback's.
    tally: Tally,
    /// What has happened up to the last look.
    truth: Vec<Truth>,
    /// How everybody stood then, and when to look again.
    view: View,
    look_due: Duration,
    /// lookback's newest records, as lines.
    newest: VecDeque<String>,
}

impl Demo {
    /// Lets it happen, act by act. False: interrupted.
    fn play(&mut self, duration: Duration, signals: &Receiver<Signal>) -> io::Result<bool> {
        let mut acts = story::acts(duration).into_iter().peekable();
        while self.start.elapsed() < duration {
            while let Some(act) = acts.next_if(|act| act.at <= self.start.elapsed()) {
                self.act(&act)?;
            }
            if signals.try_recv().is_ok() {
                return Ok(false);
            }
            self.go_on()?;
        }
        // Of the last moment: what has begun is to end.
        for act in acts {
            self.act(&act)?;
        }
        self.simulator.pause();
        self.announce(duration, "night falls, nothing happens; what is late is still to show")?;
        Ok(true)
    }

    /// Waits until everything has shown, and each collector has delivered or lost it. False: interrupted.
    fn settle(&mut self, signals: &Receiver<Signal>) -> io::Result<bool> {
        let dusk = Instant::now();
        loop {
            let view = &self.view;
            let open = view.standings.iter().any(|standing| standing.waiting > 0);
            let over = dusk.elapsed() >= story::NIGHT && view.visible == view.happened && !open;
            if over || dusk.elapsed() >= END_MAX {
                return Ok(true);
            }
            if signals.try_recv().is_ok() {
                return Ok(false);
            }
            self.go_on()?;
        }
    }

    fn act(&self, act: &Act) -> io::Result<()> {
        if let Some(patch) = &act.patch {
            self.simulator.change_faults(patch).expect("the simulator's own names");
        }
        self.announce(act.at, act.says)
    }

    fn announce(&self, at: Duration, says: &str) -> io::Result<()> {
        let paint = self.screen.paint;
        self.screen.tell(&format!("{}  {}", view::clock(at), paint.bold(says)))
    }

    /// Takes what came within a moment; from time to time looks how things stand, and shows it.
    fn go_on(&mut self) -> io::Result<()> {
        match self.heard.recv_timeout(Duration::from_millis(100)) {
            Ok(record) => self.take(&record)?,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        while let Ok(record) = self.heard.try_recv() {
            self.take(&record)?;
        }
        let elapsed = self.start.elapsed();
        if elapsed >= self.look_due {
            self.look_due = elapsed + LOOK_EVERY;
            let now = Clock::start().now().wall;
            self.tally.reach = now - (story::SWEEP_DEPTH + story::SWEEP_EVERY);
            self.look(now);
            self.screen.show(elapsed, &self.view)?;
        }
        Ok(())
    }

    fn take(&mut self, record: &Record) -> io::Result<()> {
        let body: Value = serde_json::from_str(&record.body_json()).unwrap_or(Value::Null);
        if record.tag == HEALTH_TAG {
            let Screen { paint, .. } = self.screen;
            return self.screen.tell(&view::health(&body, self.screen.width(), paint));
        }
        self.tally.enter([id_of(&body)]);
        let happened = body["createdDateTime"].as_str().unwrap_or_default();
        let took = Timestamp::parse(happened).map(|time| Clock::start().now().wall.since(time));
        self.newest.push_back(view::sign_in(&body, took.unwrap_or_default(), self.screen.paint));
        if self.newest.len() > view::RECORDS {
            self.newest.pop_front();
        }
        Ok(())
    }

    /// How everybody stands at `now`.
    fn look(&mut self, now: Timestamp) {
        let metric = |name: &str| -> u64 {
            self.plugin.iter().filter_map(|it| it.metrics.sum(name, &[])).sum::<f64>() as u64
        };
        self.tally.read = metric("lookback_records_total") + metric("lookback_duplicates_total");
        self.tally.requests = metric("lookback_requests_total");
        self.truth.extend(self.simulator.truth_after(self.truth.len()));
        let stand = |tally: &Tally| tally.stand(&self.truth, self.began, now);
        let [adjacent, script] = &self.rivals;
        let (happened, visible) = books::happened(&self.truth, self.began, now);
        self.view = View {
            happened,
            visible,
            expected: self.expected,
            standings: [stand(&adjacent.tally()), stand(&script.tally()), stand(&self.tally)],
            newest: self.newest.iter().cloned().collect(),
        };
    }

    /// Strikes the balance, when nobody asks any more.
    fn end(
        mut self,
        settled: bool,
        breaches: &[String],
    ) -> Result<Word, Box<dyn std::error::Error>> {
        for record in self.heard.try_iter().filter(|record| record.tag != HEALTH_TAG) {
            self.tally.enter([id_of(&serde_json::from_str(&record.body_json())?)]);
        }
        let now = Clock::start().now().wall;
        if settled {
            // What was not found by now is lost.
            self.tally.reach = now;
            self.rivals.iter().for_each(|rival| rival.tally().reach = now);
        }
        self.look(now);
        let Self { simulator, view, screen, .. } = self;
        let word = Word::of(&view.standings[2], settled, breaches);
        screen.end(&view::verdict(&view, &simulator.stop()?, word, breaches, screen.paint))?;
        Ok(word)
    }
}

/// A directory of our own, gone in the end.
struct StateDir(PathBuf);

impl StateDir {
    fn create() -> Result<Self, String> {
        let name = format!("lookback-demo-{}-{:08x}", std::process::id(), fastrand::u32(..));
        let parent = std::env::temp_dir();
        let path = parent.join(name);
        DirBuilder::new().mode(0o700).create(&path).map_err(|error| {
            let parent = parent.display();
            format!("no directory can be made in {parent} ({error}): set TMPDIR to one that can be written to")
        })?;
        Ok(Self(path))
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        // What is left behind lies where such things are cleaned up.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_is_neither_empty_nor_endless() {
        for (text, expected) in [("4s", false), ("5s", true), ("10m", true), ("11m", false)] {
            assert_eq!(parse_duration(text).is_ok(), expected, "{text}");
        }
        assert_eq!(parse_duration("0s").unwrap_err(), "expected 5s to 10m");
    }
}
