//! The engine of one source: says what to ask next, and takes what came of it.
//!
//! The shell calls [`Engine::next`] until it says [`Step::Wait`], does what it says, and hands the
//! outcome to [`Engine::page`], [`Engine::listing`], [`Engine::failed`] or [`Engine::logged_in`]; then
//! it collects [`Engine::take_marks`] and [`Engine::take_reports`]. At most one request is under way,
//! so that whoever is freshest goes first at every page; only blobs are fetched several at a time.

mod finish;
mod outcome;
mod schedule;
mod setup;
mod trouble;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use self::setup::Setup;
use super::auto_window::AutoWindow;
use super::condition::Condition;
use super::dedup::Dedup;
use super::job::{Kind, Lane};
use super::lateness::Lateness;
use super::ledger::Ledger;
use super::planner::{self, SliceLength};
use super::progress::{Beginning, Commit, Kept, Loss, Mark, Progress, SweepProgress};
use super::rate::RateLimit;
use super::report::{Pulse, Report};
use super::stats::{QUANTILES, Stats};
use super::tokens::Tokens;
use super::walk::Blob;
use crate::api::request::{RequestSpec, Ticket};
use crate::config::plan::{Schedule, Start};
use crate::config::sweeps;
use crate::config::{Plan, Secret};
use crate::model::{Bucket, EventKey, Fault, Known, Now, TimeRange, Timestamp, Version};

/// Kept beyond what any read can ask for: APIs and clocks are not exact.
const MARGIN: Duration = Duration::from_secs(3_600);

/// The first slices of a catch-up or a sweep are this long.
const SLICE_FIRST: Duration = Duration::from_secs(3_600);

/// What `lookback_lateness_seconds` is about: this hour and the one before.
const LATENESS: (usize, Duration) = (2, Duration::from_secs(3_600));

/// What the shell is to do.
#[derive(Debug)]
pub enum Step {
    /// Ask the login service for a token.
    Login,
    /// Send this to the API.
    Fetch(Box<Fetch>),
    /// Nothing until this moment of the monotonic clock, or until something happens.
    Wait(Duration),
}

/// A request to the API.
#[derive(Debug)]
pub struct Fetch {
    /// Tells its answer from others.
    pub ticket: Ticket,
    /// What to send.
    pub spec: RequestSpec,
    /// What to read the answer as.
    pub reads: Reads,
}

/// What an answer is to be read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// A page of events.
    Page,
    /// A page of links to blobs.
    Listing,
    /// A blob of events, made at this moment.
    Blob(Timestamp),
    /// The list of subscriptions.
    Subscriptions,
    /// Nothing: that there is an answer says that a subscription has been started.
    Started,
}

/// A request under way.
#[derive(Debug)]
struct Asked {
    /// Which lane asked, and for which of its jobs.
    lane: usize,
    job: u64,
    /// Which token it carries, and that token.
    token: u64,
    secret: Option<Secret>,
    /// Its URL, as it may be shown.
    url: String,
    what: What,
}

#[derive(Debug)]
enum What {
    Page,
    Blob(Blob),
    Setup,
}

/// The engine of one source.
pub struct Engine {
    plan: Arc<Plan>,
    rng: fastrand::Rng,
    /// How far reading has come, records still on their way to the host included.
    progress: Progress,
    /// How far it has come for good.
    durable: Progress,
    /// In the order in which they may ask: live polls, catch-up, sweeps.
    lanes: Vec<Lane>,
    next_live: Duration,
    /// Since when there is no room for more records.
    held_up: Option<Duration>,
    asked: HashMap<Ticket, Asked>,
    last_ticket: u64,
    last_job: u64,
    logging_in: bool,
    setup: Setup,
    /// Blobs that were given up, so that each is reported once.
    given_up: HashSet<EventKey>,
    tokens: Tokens,
    rate: RateLimit,
    /// No request to the API before this: its `Retry-After` runs.
    hold: Duration,
    /// How far back live polls read.
    window: Duration,
    /// What says so, where it follows the lateness.
    auto: Option<AutoWindow>,
    /// How far back they read now: further, if an empty result has widened the window.
    widened: Duration,
    /// Whether a page has ever named a next one, or its silence has been remarked upon.
    next_seen: bool,
    /// When a live poll was last complete.
    last_live: Option<Duration>,
    slices: SliceLength,
    dedup: Dedup,
    /// Events that the state holds without knowing what they said, and what they say.
    adopted: Vec<Version>,
    /// Events of which another version is about to be handed over.
    unsure: Vec<EventKey>,
    newest: Option<Timestamp>,
    lateness: Lateness,
    stats: Stats,
    conditions: Conditions,
    catching_up: Option<TimeRange>,
    /// Events that were not as the definition says, since a poll last ended.
    faults: BTreeMap<Fault, u64>,
    next_pulse: Duration,
    last_pulse: Pulse,
    /// What the next commit adds to the ledger.
    ledger: Ledger,
    /// Late events that are not committed yet, so that after a crash they are counted once.
    late: HashSet<EventKey>,
    marks: Vec<Mark>,
    reports: Vec<Report>,
}

#[derive(Debug, Default)]
struct Conditions {
    fetch: Condition,
    throttled: Condition,
    empty: Condition,
    drift: Condition,
    state: Condition,
}

/// The progress of a source that has none.
///
/// A source whose progress was lost is read again as deep as anything is ever read, from when it was last read
/// by whatever hint there is: a `start` counts from a first start that nobody remembers.
pub fn begin(schedule: &Schedule, beginning: &Beginning, now: Now) -> Progress {
    let mut progress = Progress::new(match (beginning, schedule.start) {
        (Beginning::First, Start::Back(span)) => now.wall - span,
        (Beginning::First, Start::At(moment)) => moment.min(now.wall),
        (Beginning::Lost(loss), Start::Back(_)) => back_to(schedule, loss, now.wall),
        (Beginning::Lost(loss), Start::At(moment)) => {
            back_to(schedule, loss, now.wall).max(moment.min(now.wall))
        }
    });
    add_sweeps(&mut progress, schedule, now);
    progress
}

/// A sweep that the state does not know yet is due one interval from now.
fn add_sweeps(progress: &mut Progress, schedule: &Schedule, now: Now) -> Vec<Mark> {
    let unknown = schedule.sweeps.iter().filter(|sweep| progress.sweep(sweep.depth).is_none());
    let mark = |sweep: &sweeps::Sweep| {
        let depth_seconds = sweep.depth.as_secs();
        Mark::Sweep(SweepProgress { depth_seconds, began: now.wall, unread: Vec::new() })
    };
    let marks: Vec<Mark> = unknown.map(mark).collect();
    marks.iter().for_each(|mark| progress.apply(mark));
    marks
}

/// How far back anything is ever read while all goes well.
fn deepest(schedule: &Schedule) -> Duration {
    let widened = schedule.widen.map(|widen| widen.max);
    let follows = schedule.auto.map(|bounds| bounds.max);
    let swept = schedule.sweeps.last().map(|sweep| sweep.depth);
    [widened, follows, swept].into_iter().flatten().fold(schedule.window, Duration::max)
}

/// Before this, a source whose progress was lost had read all that it would ever have read.
fn back_to(schedule: &Schedule, loss: &Loss, now: Timestamp) -> Timestamp {
    let sweeps = || loss.progress.iter().flat_map(|progress| &progress.sweeps);
    let read_until = loss.progress.as_ref().map(Progress::read_until);
    let began = sweeps().map(|sweep| sweep.began);
    let last = began.chain(read_until).chain(loss.written).fold(now, Timestamp::min);
    let unread = sweeps().flat_map(|sweep| &sweep.unread).map(|range| range.from);
    unread.fold(last - deepest(schedule), Timestamp::min)
}

/// From this bucket on, a start loads the ids into memory: it is where live polls read. A window that follows the
/// lateness may have been longer by then: for what lies before, the state is asked.
pub fn horizon(schedule: &Schedule, now: Timestamp) -> Bucket {
    read_by(schedule.window, schedule.interval, now)
}

/// The first bucket that live polls with a window read which end soon before `moment`.
fn read_by(window: Duration, interval: Duration, moment: Timestamp) -> Bucket {
    Bucket::of(moment - window - interval * 2)
}

impl Engine {
    /// An engine that goes on from `progress`; `dedup` knows the state's ids from [`horizon`] on.
    pub fn new(plan: Arc<Plan>, mut progress: Progress, dedup: Dedup, seed: u64, now: Now) -> Self {
        // A state from before there was a ledger.
        progress.ledger_from.get_or_insert(progress.live_until.unwrap_or(progress.origin));
        let schedule = &plan.schedule;
        let resumed_from = progress.live_until;
        progress.window_seconds = progress.window_seconds.filter(|_| schedule.auto.is_some());
        let auto = schedule.auto.map(|bounds| {
            let known = progress.window_seconds.map(Duration::from_secs);
            AutoWindow::new(bounds, schedule.interval, known)
        });
        let window = auto.as_ref().map_or(schedule.window, AutoWindow::window);
        let report = Report::started(
            window,
            schedule.interval,
            sweeps::show(&schedule.sweeps),
            resumed_from,
        );
        let sweeps = (0..schedule.sweeps.len()).map(Kind::Sweep);
        let mut working = progress.clone();
        let marks = add_sweeps(&mut working, schedule, now);
        Self {
            rng: fastrand::Rng::with_seed(seed),
            newest: working.newest,
            progress: working,
            durable: progress,
            lanes: [Kind::Live, Kind::CatchUp].into_iter().chain(sweeps).map(Lane::new).collect(),
            next_live: now.mono,
            held_up: None,
            asked: HashMap::new(),
            last_ticket: 0,
            last_job: 0,
            logging_in: false,
            setup: Setup::new(&plan.definition),
            given_up: HashSet::new(),
            tokens: Tokens::default(),
            rate: RateLimit::new(schedule.rate_limit),
            hold: Duration::ZERO,
            window,
            auto,
            widened: window,
            next_seen: false,
            last_live: None,
            slices: SliceLength::new(SLICE_FIRST, schedule.range_max),
            dedup,
            adopted: Vec::new(),
            unsure: Vec::new(),
            lateness: Lateness::over(LATENESS.0, LATENESS.1),
            stats: Stats { window, ..Stats::default() },
            conditions: Conditions::default(),
            catching_up: None,
            faults: BTreeMap::new(),
            next_pulse: schedule.heartbeat.map_or(Duration::MAX, |every| now.mono + every),
            last_pulse: Pulse::default(),
            ledger: Ledger::default(),
            late: HashSet::new(),
            marks,
            reports: vec![report],
            plan,
        }
    }

    /// An engine that reads one range to its end and then has nothing more to do: no live polls, no sweeps.
    /// It keeps all ids in memory, so that no state need be asked.
    pub fn once(plan: Arc<Plan>, range: TimeRange, seed: u64, now: Now) -> Self {
        let mut progress = Progress::new(range.from);
        progress.apply(&Mark::Hole(range));
        let mut engine = Self::new(plan, progress, Dedup::new(Bucket::UNTIMED), seed, now);
        engine.lanes.retain(|lane| lane.kind == Kind::CatchUp);
        engine.next_pulse = Duration::MAX;
        engine
    }

    /// What an outage left unread, or [`Engine::once`] has not read yet, oldest first.
    pub fn unread(&self) -> &[TimeRange] {
        &self.progress.holes
    }

    /// The progress made since the last call, in order.
    pub fn take_marks(&mut self) -> Vec<Mark> {
        std::mem::take(&mut self.marks)
    }

    /// Events that changed, since the last call. Before these versions are handed over, the state must be told: after a
    /// crash, none of them may be taken for the last that was handed over.
    pub fn take_unsure(&mut self) -> Vec<EventKey> {
        std::mem::take(&mut self.unsure)
    }

    /// The reports since the last call, in order.
    pub fn take_reports(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.reports)
    }

    /// What is to become durable when these marks and keys do.
    pub fn commit(&mut self, marks: &[Mark], mut keys: Vec<Version>, now: Now) -> Commit {
        self.dedup.settle(&keys);
        let mut ledger = std::mem::take(&mut self.ledger);
        for version in &keys {
            let late = !self.late.is_empty() && self.late.remove(&version.key());
            ledger.record(version.bucket, late, now.wall);
        }
        keys.extend(marks.iter().filter_map(Mark::fetched).map(Version::from));
        let mut progress = self.durable.clone();
        for mark in marks {
            ledger.take(mark, progress.live_until, now.wall);
            progress.apply(mark);
        }
        // Not by a clock alone that may be ahead.
        ledger.expire(self.durable.live_until.map_or(now.wall, |until| until.min(now.wall)));
        let expire_before = self.expire_before(&progress, now.wall);
        let adopted = std::mem::take(&mut self.adopted);
        Commit { keys, adopted, progress, expire_before, ledger }
    }

    /// Is to see a commit right before every attempt to write it: what has changed since is in doubt.
    pub fn doubt(&self, commit: &mut Commit) {
        self.dedup.doubt(&mut commit.keys);
    }

    /// Whether something has been counted since the last commit.
    pub fn has_counted(&self) -> bool {
        !self.ledger.is_empty()
    }

    /// The commit is durable; the state now holds `ids`.
    pub fn committed(&mut self, commit: Commit, ids: u64, now: Now) {
        self.dedup.committed(&commit.keys);
        self.dedup.forget_before(read_by(self.window, self.plan.schedule.interval, now.wall));
        self.durable = commit.progress;
        self.stats.state_ids = ids;
        if self.conditions.state.end() {
            self.reports.push(Report::state_recovered());
        }
    }

    /// The state could not be read or written, as `report` says if it is worth one.
    pub fn state_failed(&mut self, report: Report, now: Now) {
        if self.conditions.state.hold(now.mono) {
            self.reports.push(report);
        }
    }

    /// Whether the state has failed, and its recovery is still to be told.
    pub fn state_trouble(&self) -> Condition {
        self.conditions.state
    }

    /// What memory keeps of a state whose file is lost; `pending` are the events that do not yet count as
    /// handed over.
    pub fn kept(&self, pending: &HashSet<EventKey>) -> Kept {
        let fetched: HashSet<EventKey> = self.marks.iter().filter_map(Mark::fetched).collect();
        let counts = |key: EventKey| !pending.contains(&key) && !fetched.contains(&key);
        let keys = self.dedup.versions().filter(|version| counts(version.key())).collect();
        Kept { progress: self.durable.clone(), keys }
    }

    /// What the ledger held of the past is lost: it begins where live polls have come to.
    pub fn ledger_lost(&mut self) {
        for progress in [&mut self.durable, &mut self.progress] {
            progress.ledger_from = Some(progress.live_until.unwrap_or(progress.origin));
        }
    }

    /// The state was lost, and has been begun anew.
    pub fn state_lost(&mut self, what: &str, now: Now) {
        self.conditions.state.hold(now.mono);
        self.reports.push(Report::state_lost(what));
    }

    /// Goes on counting where the engine before it was.
    pub fn count_on(&mut self, before: &Stats) {
        let window = self.stats.window;
        self.stats = Stats { window, ..before.standing_by() };
        self.last_pulse = self.pulse_from();
    }

    /// What the next heartbeat counts from.
    fn pulse_from(&self) -> Pulse {
        let Stats { records, duplicates, late, .. } = self.stats;
        Pulse { records, duplicates, late, ..Pulse::default() }
    }

    /// Counts and levels as of now.
    pub fn stats(&mut self, now: Now) -> &mut Stats {
        self.stats.behind = now.wall.since(self.durable.read_until());
        self.stats.window = self.widened;
        self.stats.lateness = QUANTILES.map(|(_, q)| self.lateness.quantile(q));
        &mut self.stats
    }

    /// Ids before this bucket can be dropped: nothing that is planned reads that far back.
    ///
    /// Before the first complete live poll nothing is: only then is it known what the API shows.
    fn expire_before(&self, progress: &Progress, now: Timestamp) -> Bucket {
        if self.stats.last_success.is_none() {
            return Bucket::UNTIMED;
        }
        let schedule = &self.plan.schedule;
        let follows = progress.window_seconds.filter(|_| self.auto.is_some());
        let window = follows.map_or(self.window, Duration::from_secs).max(self.window);
        let resume = progress.live_until.unwrap_or(progress.origin) - window;
        // An endless link shows what has been stored since it stood there, however old: what ranges
        // have shown meanwhile must be known when it gets there.
        let until = match self.plan.definition.follow {
            true => progress.live_until.unwrap_or(progress.origin).min(now),
            false => now,
        };
        // What is still to be read, by what is to be committed and by what is known since.
        let known = [progress, &self.progress];
        let holes = known.iter().filter_map(|known| Some(known.holes.first()?.from));
        let jobs = self.lanes.iter().filter_map(|lane| lane.job.as_ref()).map(|job| job.oldest());
        let both = schedule.sweeps.iter().flat_map(|sweep| known.map(|known| (sweep, known)));
        let sweeps = both.filter_map(|(sweep, known)| {
            let last = known.sweep(sweep.depth)?;
            let next = planner::sweep_from(*sweep, last.began, now);
            Some(last.unread.first().map_or(next, |range| range.from.min(next)))
        });
        let shown = self.lanes.iter().filter_map(|lane| lane.oldest_shown);
        // Where windows do not run on the event's own time, an event may come again as long as the
        // API lists what holds it, however old it was at first.
        let again = self.plan.definition.window_on.as_ref().map(|_| now - schedule.reach * 2);
        let oldest = jobs
            .chain(holes)
            .chain(again)
            .chain(shown)
            .chain(sweeps)
            .chain([resume, until - deepest(schedule)])
            .min();
        Bucket::of(oldest.unwrap_or(resume) - MARGIN)
    }

    /// A heartbeat, if one is due.
    fn pulse(&mut self, now: Now) {
        let Some(every) = self.plan.schedule.heartbeat else { return };
        if now.mono < self.next_pulse {
            return;
        }
        self.next_pulse = now.mono + every;
        let last = self.last_pulse;
        let stats = self.stats(now).clone();
        self.last_pulse = self.pulse_from();
        self.reports.push(Report::heartbeat(Pulse {
            records: stats.records - last.records,
            duplicates: stats.duplicates - last.duplicates,
            late: stats.late - last.late,
            drift: stats.drift,
            lateness_p99: stats.lateness[2],
            behind: stats.behind,
        }));
    }

    /// The keys among `keys` that the state must be asked for before the page can be judged.
    pub fn lookups<'e>(
        &self,
        keys: impl Iterator<Item = &'e EventKey>,
    ) -> HashMap<EventKey, Known> {
        keys.filter(|key| self.dedup.must_ask(**key)).map(|key| (*key, Known::No)).collect()
    }
}
