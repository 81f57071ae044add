//! One source's thread, and the handle by which the host's thread drives it. Makes no decisions.

mod batch;
pub mod exchange;
mod holds;
mod run;
mod seat;
mod shared;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::auth;
use crate::clock::Clock;
use crate::config::{ConfigError, Db, Plan, load};
use crate::handoff::Lending;
use crate::model::Now;
use crate::poll::condition::Condition;
use crate::poll::progress::Beginning;
use crate::poll::stats::Stats;
use crate::poll::{Report, engine};
use crate::state::{Opened, State, StateError, Trouble, sqlite};
use seat::{Idle, Seat, Turn};
pub use shared::Level;
use shared::Shared;

/// A node whose runs fail so often in a row lets others have the source. One that dies later than this has been one.
const FAILURES_MAX: u32 = 2;
const LASTS: Duration = Duration::from_secs(60);

/// What became of a hand-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Append {
    /// The host took it.
    Taken,
    /// The host refused it: it is offered again at the next tick.
    Refused,
}

/// A running source. Dropping it stops and joins its thread.
pub struct Worker {
    plan: Arc<Plan>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What a source's thread needs to live, and to come back to life after a panic or a lost state.
struct Setup {
    plan: Arc<Plan>,
    shared: Arc<Shared>,
    clock: Clock,
    /// Its seat, in a fleet.
    seat: Option<Seat>,
    /// Whether there has been a run.
    came_up: bool,
}

/// Why there can be no run now.
enum NotReady {
    Idle(Idle),
    State(StateError),
    Config(ConfigError),
}

impl Worker {
    /// Starts a source from the properties that `lookup` gives.
    ///
    /// # Errors
    /// The first property that is missing or bad, a state whose path cannot be right, or a source that
    /// another instance has. A state that may be had later is no error: the thread waits for it.
    pub fn start(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let plan = Arc::new(load::plan(lookup)?);
        if let Some(access) = &plan.access {
            auth::check(&access.login)?;
        }
        let clock = Clock::start();
        let shared = Arc::new(Shared::new(clock));
        let mut setup = Setup {
            plan: Arc::clone(&plan),
            shared: Arc::clone(&shared),
            clock,
            seat: None,
            came_up: false,
        };
        let first = match &plan.db {
            Db::File(_) => setup.first_run()?,
            Db::Shared(fleet) => {
                let seat = Seat::take(fleet, &plan.source, &shared);
                setup.seat = Some(seat.map_err(|error| refusal(&plan, &error))?);
                run::check(&setup)?;
                // The host does not wait for the network.
                None
            }
        };
        let warnings = auth::exposed(&plan).into_iter();
        let warnings = warnings.chain(plan.http.warning()).chain(plan.db.warning());
        warnings.for_each(|warning| shared.log(Level::Warn, warning));
        shared.log(Level::Info, format!("effective configuration: {}", plan.summary()));
        let thread = std::thread::Builder::new()
            .name("lookback".to_owned())
            .spawn(move || setup.live(first))
            .map_err(|error| {
                let problem = format!("no thread for '{}': {error}", plan.source);
                ConfigError::new("source", problem, "raise the limit of threads")
            })?;
        Ok(Self { plan, shared, thread: Some(thread) })
    }

    /// The source's name.
    pub fn source(&self) -> &str {
        &self.plan.source
    }

    /// Offers what is ready to the host, up to `tick_bytes`; stops at the first refusal.
    pub fn drain(&self, mut append: impl FnMut(Option<&str>, &[u8]) -> Append) {
        let mut left = self.plan.tick_bytes;
        while let Some((tag, bytes)) = self.lend_within(left) {
            left = left.saturating_sub(bytes.len());
            let answer = append(tag.as_deref(), &bytes);
            self.answer(bytes, answer);
            if answer == Append::Refused {
                break;
            }
        }
    }

    /// Lends the next lot, for a host that takes it when the callback returns.
    pub fn lend(&self) -> Option<(Option<Arc<str>>, Vec<u8>)> {
        self.lend_within(usize::MAX)
    }

    fn lend_within(&self, left: usize) -> Option<(Option<Arc<str>>, Vec<u8>)> {
        self.shared.call();
        let mut handoff = self.shared.handoff();
        let now = self.shared.now();
        let fits = |len: usize| len <= left || left == self.plan.tick_bytes;
        handoff.peek(now).filter(|len| fits(*len))?;
        handoff.lend(now)
    }

    /// Says what became of what was lent.
    pub fn answer(&self, bytes: Vec<u8>, answer: Append) {
        let now = self.shared.now().mono;
        let mut handoff = self.shared.handoff();
        match answer {
            Append::Taken => handoff.taken(bytes, now),
            Append::Refused => handoff.refused(bytes),
        }
        drop(handoff);
        self.shared.wake.notify_one();
    }

    /// The host stores nothing from now on.
    pub fn pause(&self) {
        let now = self.shared.now().mono;
        self.shared.handoff().pause(now);
    }

    /// The host stores again.
    pub fn resume(&self) {
        let now = self.shared.now().mono;
        self.shared.handoff().resume(now);
        self.shared.wake.notify_one();
    }

    /// The log lines since the last call.
    pub fn take_logs(&self) -> Vec<(Level, String)> {
        self.shared.take_logs()
    }

    /// Counts and levels, as of a moment ago.
    pub fn stats(&self) -> Stats {
        self.shared.stats().clone()
    }

    /// The time.
    pub fn now(&self) -> Now {
        self.shared.now()
    }

    /// Stops and joins the thread. `stored` is how many records the host has stored in all, if it
    /// can be known: they are committed, whatever is beyond them is not.
    pub fn stop(&mut self, stored: Option<u64>) {
        let Some(thread) = self.thread.take() else { return };
        if let Some(stored) = stored {
            self.shared.stored.store(stored, Ordering::Release);
        }
        self.shared.stop.store(true, Ordering::Release);
        self.shared.wake.notify_one();
        if thread.join().is_err() {
            self.shared.log(Level::Error, "the fetch thread ended by a panic".to_owned());
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop(None);
    }
}

fn refusal(plan: &Plan, error: &StateError) -> ConfigError {
    match error {
        StateError::Taken(_) => ConfigError::new("source", error.to_string(), error.mend()),
        error => ConfigError::new("db", unopened(plan, error), error.mend()),
    }
}

fn unopened(plan: &Plan, error: impl std::fmt::Display) -> String {
    format!("'{}' cannot be opened: {error}", plan.db)
}

impl Setup {
    fn open(&self, go_on: Option<&dyn Fn() -> bool>) -> Result<Opened<Box<dyn State>>, StateError> {
        let now = self.clock.now();
        let schedule = &self.plan.schedule;
        let begin = |beginning: &Beginning| engine::begin(schedule, beginning, now);
        let from = engine::horizon(schedule, now.wall);
        match (&self.plan.db, &self.seat) {
            (Db::File(path), _) => {
                let opened = sqlite::open(path, &self.plan.source, from, begin, now.wall, go_on)?;
                Ok(opened.boxed())
            }
            (Db::Shared(_), Some(seat)) => seat.open(&self.shared, from, begin),
            (Db::Shared(_), None) => Err(StateError::Fenced),
        }
    }

    /// The run that a source with a file begins with, if it can be had at once.
    fn first_run(&self) -> Result<Option<Result<run::Run, NotReady>>, ConfigError> {
        match self.open(None) {
            Err(error) if error.trouble() == Trouble::Wrong => Err(refusal(&self.plan, &error)),
            // What else may be wrong refuses to start all the same.
            Err(error) => {
                run::check(self)?;
                // What is lost is begun anew by the thread: the host does not wait for that.
                Ok((error.trouble() != Trouble::Lost).then(|| Err(NotReady::State(error))))
            }
            Ok(opened) => Ok(Some(Ok(run::Run::new(self, opened, None)?))),
        }
    }

    fn prepare(&mut self) -> Result<run::Run, NotReady> {
        let shared = Arc::clone(&self.shared);
        let turn = match &self.seat {
            None => None,
            // A host that cannot start an input's callbacks may run on without them.
            Some(_) if !shared.was_called() => return Err(NotReady::Idle(Idle::StandingBy)),
            Some(seat) => Some(seat.turn(self.plan.commit_delay).map_err(NotReady::Idle)?),
        };
        let opened = self.open(Some(&|| !shared.stopping())).map_err(NotReady::State)?;
        let (epoch, resumed) = (turn.as_ref().map(Turn::epoch), opened.progress.live_until);
        let run = run::Run::new(self, opened, turn).map_err(NotReady::Config)?;
        let leads = self.seat.as_mut().zip(epoch);
        if let Some(report) = leads.and_then(|(seat, epoch)| seat.begins(epoch, resumed)) {
            run::report(&self.plan, &self.shared, &report);
        }
        Ok(run)
    }

    /// The thread's life: a panic ends one run, is logged, and the next goes on from the state, as after a state
    /// that memory does not fit. While the state cannot be opened, or another node reads the source, there is no run.
    fn live(mut self, mut next: Option<Result<run::Run, NotReady>>) {
        let (mut closed, mut unready) = (Condition::default(), Condition::default());
        // Runs in a row that could not begin, or died soon.
        let mut failures = 0;
        if let Some(seat) = &self.seat {
            run::report(&self.plan, &self.shared, &seat.came_up(&self.plan.schedule));
        }
        while !self.shared.stopping() {
            let now = self.clock.now();
            let report = match next.take().unwrap_or_else(|| self.prepare()) {
                Ok(mut run) => {
                    if closed.end() {
                        run::report(&self.plan, &self.shared, &Report::state_recovered());
                    }
                    unready.end();
                    let ended =
                        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.run()));
                    if matches!(ended, Ok(run::End::Stopped)) {
                        return;
                    }
                    self.forget();
                    self.came_up = true;
                    // It lasts until the next one begins, or stands by with a database that answers.
                    closed = run.state_trouble();
                    let lasted = self.clock.now().mono.saturating_sub(now.mono);
                    if ended.is_ok() || lasted >= LASTS {
                        failures = 0;
                    }
                    match ended {
                        Ok(_) => continue,
                        Err(panic) => {
                            failures += 1;
                            let trouble = format!("internal error: {}", panic_text(&*panic));
                            Some(Report::fetch_failed(0, &trouble, "", 1))
                        }
                    }
                }
                Err(NotReady::Idle(Idle::StandingBy)) => {
                    let recovered = closed.end().then(Report::state_recovered);
                    let standby = self.seat.as_mut().and_then(|seat| seat.stands_by(now));
                    for report in recovered.into_iter().chain(standby) {
                        run::report(&self.plan, &self.shared, &report);
                    }
                    self.rest();
                    continue;
                }
                // It is seen to stand by.
                Err(NotReady::State(StateError::Fenced)) => continue,
                // Whether another node reads the source is not known, and nothing was asked.
                Err(NotReady::Idle(Idle::Away(trouble))) => {
                    failures = 0;
                    if closed.hold(now.mono) {
                        let report = Report::state_unknown(&trouble.error, trouble.mend);
                        run::report(&self.plan, &self.shared, &report);
                    }
                    self.rest();
                    continue;
                }
                Err(NotReady::State(error)) => {
                    failures += 1;
                    let due = closed.hold(now.mono);
                    due.then(|| Report::state_closed(&unopened(&self.plan, &error), error.mend()))
                }
                Err(NotReady::Config(error)) => {
                    failures += 1;
                    let due = unready.hold(now.mono);
                    due.then(|| Report::fetch_failed(0, &error.to_string(), "", 1))
                }
            };
            if let Some(report) = report {
                run::report(&self.plan, &self.shared, &report);
            }
            self.shared.stats().poll("live", "failed");
            if let Some(seat) = &self.seat
                && failures >= FAILURES_MAX
            {
                failures = 0;
                seat.stands_back();
            }
            self.rest_long();
        }
    }

    /// What a run had in memory is void.
    fn forget(&self) {
        let mut handoff = self.shared.handoff();
        handoff.clear();
        if self.seat.is_some() {
            handoff.lends(Lending::Never);
            let mut stats = self.shared.stats();
            *stats = stats.standing_by();
        }
    }

    /// A pause while another node has the source, or may, until something changes.
    fn rest(&self) {
        if let Some(seat) = &self.seat {
            run::wait(&self.shared, seat.rest());
        }
    }

    /// A pause after a run that could not begin, or died, which nothing but a stop ends. The thread stays known to be alive.
    fn rest_long(&self) {
        let seat = self.seat.as_ref();
        let each = seat.map_or(run::REST, Seat::rest);
        run::rest(&self.shared, each, || seat.into_iter().for_each(Seat::hear));
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic")
}
