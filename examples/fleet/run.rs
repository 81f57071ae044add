//! The run: injects the faults, heals, and waits for the last record.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::args::Args;
use super::books::Books;
use super::clock::{BusyMachine, Moment, Standstills, now};
use super::database::Database;
use super::faults::{Fault, Kind};
use super::node::Node;
use super::relay::Mode;
use super::requests::Requests;
use super::simulator::{Event, Simulator};
use super::source::SOURCES;
use super::timeline::Timeline;

/// The driver looks around this often.
const STEP: Duration = Duration::from_millis(50);
/// A line of progress comes this often.
const PROGRESS: Duration = Duration::from_secs(10);
/// A host that ended by itself is started again after this long, as a supervisor would.
const SUPERVISE: Duration = Duration::from_secs(1);
/// What has not happened for this long will not: back-offs, retries, leases and time-outs are all shorter.
const LOST: Duration = Duration::from_secs(180);
/// A duplicate would come with the polls and sweeps of so many intervals.
const AFTERWARDS: u32 = 6;
/// A database that is back is found by then.
const FOUND: Duration = Duration::from_secs(2);

/// All that is running.
pub(crate) struct Run {
    pub(crate) args: Args,
    pub(crate) nodes: Vec<Node>,
    pub(crate) database: Database,
    pub(crate) simulator: Simulator,
    pub(crate) requests: Requests,
    pub(crate) books: Books,
    pub(crate) log: Log,
    busy: BusyMachine,
    open: Open,
    /// A rolling restart: which node is next, and when.
    rolling: Option<(usize, Moment)>,
    last_line: Moment,
}

/// What the verdict has to know of the run.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) timeline: Timeline,
    pub(crate) troubles: Vec<Trouble>,
    /// When the database was away, for all nodes.
    pub(crate) away: Vec<(Moment, Moment)>,
    /// When the machine was too busy for anyone to get on.
    pub(crate) busy: Standstills,
    pub(crate) injected: BTreeMap<Kind, u32>,
    /// How long shutdowns took.
    pub(crate) shutdowns: Vec<Duration>,
    /// What should never happen, whatever is broken.
    pub(crate) failures: Vec<String>,
    /// What happened, by kind of source.
    pub(crate) truth: Vec<HashMap<String, Event>>,
}

/// What a node had to bear, and when.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Trouble {
    pub(crate) node: usize,
    pub(crate) what: What,
    pub(crate) from: Moment,
    /// When it was started again, or could go on.
    pub(crate) to: Moment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum What {
    Killed,
    /// By SIGTERM, while it had the database.
    Left,
    /// By SIGTERM, while it had none: it could not say goodbye.
    LeftUnheard,
    Frozen,
    /// It could not reach the database.
    CutOff,
}

/// What goes on now, by node, and since when.
#[derive(Default)]
struct Open {
    down: BTreeMap<usize, (What, Moment)>,
    frozen: BTreeMap<usize, Moment>,
    cut: BTreeMap<usize, Moment>,
    away: Option<Moment>,
    back: Moment,
}

impl Run {
    pub(crate) fn new(
        args: Args,
        nodes: Vec<Node>,
        database: Database,
        simulator: Simulator,
        requests: Requests,
        books: Books,
    ) -> Self {
        Self {
            args,
            nodes,
            database,
            simulator,
            requests,
            books,
            log: Log::default(),
            busy: BusyMachine::watch(),
            open: Open::default(),
            rolling: None,
            last_line: now(),
        }
    }

    /// Starts the nodes, injects the faults, heals everything, waits for what is missing, and ends the nodes.
    pub(crate) fn go(&mut self, faults: &[Fault]) -> Result<(), String> {
        for at in 0..self.nodes.len() {
            self.start(at)?;
        }
        self.wait_for_calm("after the start", false)?;
        if self.args.once {
            for fault in faults {
                // Whoever has most to lose.
                let node = self.shares().into_iter().max_by_key(|(_, sources)| *sources);
                self.one(&Fault { node: node.map_or(fault.node, |(node, _)| node), ..*fault })?;
                let joins = fault.kind == Kind::Join;
                self.wait_for_calm(&format!("after {}", fault.kind.name()), joins)?;
            }
        } else {
            self.by_schedule(faults)?;
        }
        self.log.timeline.note("all is healed");
        self.apply(&[])?;
        self.wait_for_all()?;
        for at in 0..self.nodes.len() {
            self.terminate(at);
        }
        self.log.busy = self.busy.standstills();
        Ok(())
    }

    fn by_schedule(&mut self, faults: &[Fault]) -> Result<(), String> {
        let began = now();
        let (mut active, mut next) = (BTreeSet::new(), 0);
        while now() < began + self.args.duration {
            let since = now().saturating_sub(began);
            let ended: Vec<usize> =
                active.iter().copied().filter(|at: &usize| faults[*at].ends() <= since).collect();
            for at in &ended {
                active.remove(at);
                self.log.timeline.note(format!("end of {}", faults[*at].kind.name()));
            }
            let before = next;
            while let Some(fault) = faults.get(next).filter(|fault| fault.at <= since) {
                self.begin(fault);
                active.insert(next);
                next += 1;
            }
            if next > before || !ended.is_empty() {
                let active: Vec<&Fault> = active.iter().map(|at| &faults[*at]).collect();
                self.apply(&active)?;
            }
            self.supervise()?;
            self.progress(&format!("{} of {} s", since.as_secs(), self.args.duration.as_secs()));
            std::thread::sleep(STEP);
        }
        Ok(())
    }

    /// One fault from its beginning to its end.
    fn one(&mut self, fault: &Fault) -> Result<(), String> {
        let until = now() + fault.lasts;
        self.begin(fault);
        self.apply(&[fault])?;
        while now() < until || self.rolling.is_some() {
            self.supervise()?;
            std::thread::sleep(STEP);
        }
        self.log.timeline.note(format!("end of {}", fault.kind.name()));
        self.apply(&[])
    }

    /// What happens once, at a fault's beginning.
    fn begin(&mut self, fault: &Fault) {
        let (kind, name) = (fault.kind, &self.nodes[fault.node].name);
        let of = match kind {
            Kind::DbRestart | Kind::DbFreeze => "the database",
            Kind::Rolling => "all nodes",
            _ => name,
        };
        self.log.timeline.note(format!("{} {of}, {:.1} s", kind.name(), fault.lasts.as_secs_f64()));
        *self.log.injected.entry(kind).or_default() += 1;
        match kind {
            Kind::Kill if self.nodes[fault.node].host.is_up() => {
                let told = now();
                self.nodes[fault.node].host.kill();
                self.down(fault.node, What::Killed, told);
            }
            Kind::Join => self.terminate(fault.node),
            Kind::Rolling if self.rolling.is_none() => self.rolling = Some((0, now())),
            Kind::DbRestart => {
                let began = now();
                self.away(true);
                self.database.restart(fault.form);
                self.away(false);
                let how = if fault.form { "a crash" } else { "a stop in order" };
                let took = now().saturating_sub(began).as_secs_f64();
                self.log.timeline.note(format!("the database is back after {how} and {took:.1} s"));
            }
            _ => {}
        }
    }

    /// Makes everything as the active faults want it.
    fn apply(&mut self, active: &[&Fault]) -> Result<(), String> {
        let freeze = active.iter().any(|fault| fault.kind == Kind::DbFreeze);
        self.database.freeze(freeze);
        self.away(freeze);
        for at in 0..self.nodes.len() {
            let has = |kind| active.iter().any(|fault| fault.kind == kind && fault.node == at);
            let mode = match (has(Kind::Cut), has(Kind::Stall)) {
                (true, _) => Mode::Down,
                (_, true) => Mode::Stall,
                _ => Mode::Pass,
            };
            self.nodes[at].link.set(mode);
            self.cut(at, mode != Mode::Pass);
            if has(Kind::Kill) || has(Kind::Join) {
                self.nodes[at].start_at = None;
            } else if !self.nodes[at].host.is_up() && self.nodes[at].start_at.is_none() {
                self.nodes[at].start_at = Some(now());
            }
            self.freeze(at, has(Kind::Freeze));
        }
        Ok(())
    }

    fn away(&mut self, away: bool) {
        match self.open.away {
            None if away => self.open.away = Some(now()),
            Some(since) if !away => {
                self.open.away = None;
                self.open.back = now() + FOUND;
                self.log.away.push((since, now() + FOUND));
            }
            _ => {}
        }
    }

    fn cut(&mut self, at: usize, cut: bool) {
        if cut {
            self.open.cut.entry(at).or_insert_with(now);
        } else if let Some(from) = self.open.cut.remove(&at) {
            self.trouble(at, What::CutOff, from, now() + FOUND);
        }
    }

    fn freeze(&mut self, at: usize, freeze: bool) {
        if freeze && self.nodes[at].host.is_up() {
            self.nodes[at].host.stop(true);
            self.open.frozen.entry(at).or_insert_with(now);
        } else if let Some(from) = self.open.frozen.remove(&at) {
            self.nodes[at].host.stop(false);
            self.trouble(at, What::Frozen, from, now());
        }
    }

    fn down(&mut self, at: usize, what: What, told: Moment) {
        if let Some(from) = self.open.frozen.remove(&at) {
            self.trouble(at, What::Frozen, from, told);
        }
        self.open.down.insert(at, (what, told));
    }

    fn trouble(&mut self, node: usize, what: What, from: Moment, to: Moment) {
        self.log.troubles.push(Trouble { node, what, from, to });
    }

    fn start(&mut self, at: usize) -> Result<(), String> {
        self.nodes[at].start_at = None;
        self.log.timeline.note(format!("{} is started", self.nodes[at].name));
        self.nodes[at].host.start()?;
        if let Some((what, from)) = self.open.down.remove(&at) {
            self.trouble(at, what, from, now());
        }
        Ok(())
    }

    /// SIGTERM.
    fn terminate(&mut self, at: usize) {
        if !self.nodes[at].host.is_up() {
            return;
        }
        self.freeze(at, false);
        let unheard =
            self.open.away.is_some() || now() < self.open.back || self.open.cut.contains_key(&at);
        let what = if unheard { What::LeftUnheard } else { What::Left };
        let (told, name) = (now(), self.nodes[at].name.clone());
        match self.nodes[at].host.terminate() {
            Some((took, status)) => {
                self.log.shutdowns.push(took);
                let took = took.as_secs_f64();
                self.log.timeline.note(format!("{name} terminated after {took:.1} s: {status}"));
                if !status.success() {
                    let tail = self.nodes[at].host.log_tail(15);
                    self.log.failures.push(format!("{name} was terminated: {status}\n{tail}"));
                }
            }
            None => {
                let tail = self.nodes[at].host.log_tail(40);
                self.log.failures.push(format!("{name} did not end when it was told to\n{tail}"));
            }
        }
        self.down(at, what, told);
    }

    /// Starts nodes that are to be up; notices one that has ended by itself; goes on with a rolling restart.
    fn supervise(&mut self) -> Result<(), String> {
        for at in 0..self.nodes.len() {
            if let Some(status) = self.nodes[at].host.ended() {
                let name = &self.nodes[at].name;
                let tail = self.nodes[at].host.log_tail(40);
                self.log.failures.push(format!("{name} ended by itself: {status}\n{tail}"));
                self.down(at, What::Killed, now());
                self.nodes[at].start_at = Some(now() + SUPERVISE);
            }
            if self.nodes[at].start_at.is_some_and(|at| at <= now()) {
                self.start(at)?;
            }
            self.nodes[at].host.look();
        }
        if let Some((next, _)) = self.rolling.filter(|(_, at)| *at <= now()) {
            self.terminate(next);
            self.start(next)?;
            let after = next + 1;
            let pause = self.args.lease / 2;
            self.rolling = (after < self.nodes.len()).then(|| (after, now() + pause));
        }
        Ok(())
    }

    /// Waits until all nodes are up, and each source is asked for by one of them, and that for a while; and, where all are to
    /// have a share, until each node asks for some.
    fn wait_for_calm(&mut self, when: &str, all_share: bool) -> Result<(), String> {
        let deadline = now() + LOST + self.args.patience;
        let mut calm_since = now();
        while now() < calm_since + self.settled() {
            if !self.is_calm(all_share) {
                calm_since = now();
            }
            if now() > deadline {
                let asks = self.asks();
                return Err(format!("{when} all is not calm; who asks, by source: {asks:?}"));
            }
            self.supervise()?;
            self.progress(&format!("{when}: not calm yet"));
            std::thread::sleep(STEP * 4);
        }
        self.log.timeline.note(format!("{when} all is calm"));
        Ok(())
    }

    /// Who asks for a source has asked within this time.
    fn settled(&self) -> Duration {
        self.args.interval * 2 + Duration::from_secs(1)
    }

    /// Who asks now, by source.
    fn asks(&self) -> BTreeMap<usize, BTreeSet<usize>> {
        self.requests.nodes_since(now().saturating_sub(self.settled()))
    }

    /// How many sources each node asks for.
    fn shares(&self) -> BTreeMap<usize, usize> {
        let mut shares = BTreeMap::new();
        for node in self.asks().into_values().flatten() {
            *shares.entry(node).or_default() += 1;
        }
        shares
    }

    fn is_calm(&self, all_share: bool) -> bool {
        let asks = self.asks();
        self.nodes.iter().all(|node| node.host.is_up())
            && asks.len() == self.args.sources as usize
            && asks.values().all(|nodes| nodes.len() == 1)
            && (!all_share || self.shares().len() == self.nodes.len())
    }

    fn wait_for_all(&mut self) -> Result<(), String> {
        self.simulator.pause()?;
        for source in SOURCES {
            self.log.truth.push(self.simulator.truth(source.truth)?);
        }
        let shown = self.log.truth.iter().flat_map(HashMap::values).map(|event| event.visible);
        let shown = shown.max().unwrap_or_default();
        let (mut fewest, mut since) = (usize::MAX, now());
        loop {
            let missing = self.missing();
            if missing < fewest || now() < shown {
                (fewest, since) = (missing.min(fewest), now());
            }
            if missing == 0 && self.rolling.is_none() || now() > since + LOST {
                break;
            }
            self.progress(&format!("healed; {missing} records are missing"));
            self.supervise()?;
            std::thread::sleep(STEP * 4);
        }
        let until = now() + self.args.interval * AFTERWARDS;
        while now() < until {
            self.supervise()?;
            std::thread::sleep(STEP * 4);
        }
        Ok(())
    }

    /// How many records have not arrived.
    fn missing(&self) -> usize {
        let arrivals = self.books.lock();
        let sources = 0..self.args.sources as usize;
        let of = |source: usize| {
            let truth = &self.log.truth[source % SOURCES.len()];
            truth
                .keys()
                .filter(|id| !arrivals.records.contains_key(&(source, (*id).clone())))
                .count()
        };
        sources.map(of).sum()
    }

    fn progress(&mut self, state: &str) {
        if now() < self.last_line + PROGRESS {
            return;
        }
        self.last_line = now();
        let faults: u32 = self.log.injected.values().sum();
        let mib = self.nodes.iter().map(|node| node.host.peak_kib).max().unwrap_or(0) / 1024;
        let came = self.books.lock().records.len();
        eprintln!("{state}: {faults} faults, {came} records, {mib} MiB at most");
    }
}
