//! The run: starts all of it, injects the faults of the schedule, heals, and waits for the last record.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::args::Args;
use super::certificate;
use super::clock::{BusyMachine, Moment, Standstills, now};
use super::disk::Disk;
use super::faults::{Fault, Kind};
use super::host::Host;
use super::nameserver;
use super::receiver::{self, Receivers};
use super::relay::{self, Relay};
use super::simulator::{Event, Simulator};
use super::source::SOURCES;
use super::sources;
use super::timeline::Timeline;

/// The driver looks around this often.
const STEP: Duration = Duration::from_millis(50);
/// A line of progress comes this often.
const PROGRESS: Duration = Duration::from_secs(10);
/// A host that ended by itself is started again after this long, as a supervisor would.
const SUPERVISE: Duration = Duration::from_secs(1);
/// Nothing that was missing has come for this long: it is lost. Back-offs, retries and time-outs of plugin and
/// host are all shorter.
const LOST: Duration = Duration::from_secs(180);
/// A duplicate would come with the next polls and sweeps; less where these come at a faster pace.
const AFTERWARDS: Duration = Duration::from_secs(15);
/// A state that has healed is written by then.
const HEALED: Duration = Duration::from_secs(2);
/// How long after a SIGHUP the old instances are gone for sure, if the machine is not at a standstill.
const RELOADED: Duration = Duration::from_secs(15);

/// All that is running.
pub(crate) struct Run {
    pub(crate) simulators: Vec<Simulator>,
    pub(crate) relays: Vec<Relay>,
    pub(crate) receivers: Receivers,
    pub(crate) names: Option<watch::Sender<nameserver::Mode>>,
    pub(crate) disk: Disk,
    pub(crate) host: Host,
    pub(crate) log: Log,
    busy: BusyMachine,
    applied: Applied,
    start_at: Option<Moment>,
    last_line: Moment,
    pace: u32,
}

/// What the verdict has to know of the run.
pub(crate) struct Log {
    pub(crate) timeline: Timeline,
    pub(crate) ends: Vec<End>,
    /// When a commit could not have happened.
    pub(crate) standstills: Standstills,
    /// How often each fault hit something.
    pub(crate) injected: BTreeMap<Kind, u32>,
    /// When the host was up and could run, from, to.
    pub(crate) up: Vec<(Moment, Moment)>,
    /// When each fault held, from, to.
    pub(crate) held: Vec<(Kind, Moment, Moment)>,
    /// How long shutdowns took.
    pub(crate) shutdowns: Vec<Duration>,
    /// When the state was damaged.
    pub(crate) damages: Vec<Moment>,
    /// How often the host gave up, its state being unusable.
    pub(crate) gave_up: u32,
    /// What should never happen, whatever is broken.
    pub(crate) failures: Vec<String>,
    pub(crate) truth: Vec<HashMap<String, Event>>,
    pub(crate) stats: Vec<Value>,
}

/// When a host ended, or what it had of the plugin did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    /// When it was told to, and when it was over.
    pub(crate) told: Moment,
    pub(crate) over: Moment,
    /// It could not say goodbye: a crash, or a state that could not be written.
    pub(crate) is_crash: bool,
}

/// What was last told to whom, and since when.
#[derive(Default)]
struct Applied {
    patches: Vec<Value>,
    full: bool,
    read_only: bool,
    broken_since: Option<Moment>,
    broken_until: Moment,
    up_since: Option<Moment>,
    stopped_since: Option<Moment>,
}

impl Run {
    pub(crate) fn new(
        simulators: Vec<Simulator>,
        relays: Vec<Relay>,
        receivers: Receivers,
        names: Option<watch::Sender<nameserver::Mode>>,
        disk: Disk,
        host: Host,
        pace: u32,
    ) -> Self {
        let log = Log {
            timeline: Timeline::default(),
            ends: Vec::new(),
            standstills: Standstills::default(),
            injected: BTreeMap::new(),
            up: Vec::new(),
            held: Vec::new(),
            shutdowns: Vec::new(),
            damages: Vec::new(),
            gave_up: 0,
            failures: Vec::new(),
            truth: Vec::new(),
            stats: Vec::new(),
        };
        let applied =
            Applied { patches: vec![Value::Null; simulators.len()], ..Applied::default() };
        let (busy, last_line) = (BusyMachine::watch(), now());
        Self {
            simulators,
            relays,
            receivers,
            names,
            disk,
            host,
            log,
            busy,
            applied,
            start_at: None,
            last_line,
            pace,
        }
    }

    /// Injects the faults, heals everything, waits for what is missing, and ends the host.
    pub(crate) fn go(&mut self, faults: &[Fault], length: Duration) -> Result<(), String> {
        let began = now();
        let mut active = BTreeSet::new();
        let mut next = 0;
        self.apply(&[])?;
        while now() < began + length {
            let since = now().saturating_sub(began);
            let ended: Vec<usize> =
                active.iter().copied().filter(|at: &usize| faults[*at].ends() <= since).collect();
            for at in &ended {
                active.remove(at);
                self.log.timeline.note(format!("end of {}", faults[*at].kind.name()));
            }
            let mut begun = false;
            while let Some(fault) = faults.get(next).filter(|fault| fault.at <= since) {
                self.begin(fault)?;
                active.insert(next);
                next += 1;
                begun = true;
            }
            if begun || !ended.is_empty() {
                let active: Vec<&Fault> = active.iter().map(|at| &faults[*at]).collect();
                self.apply(&active)?;
            }
            self.supervise()?;
            self.progress(&format!("{} of {} s", since.as_secs(), length.as_secs()));
            std::thread::sleep(STEP);
        }
        self.log.timeline.note("all is healed");
        self.apply(&[])?;
        self.wait_for_all()?;
        self.end()
    }

    /// What happens once, at a fault's beginning.
    fn begin(&mut self, fault: &Fault) -> Result<(), String> {
        let target = fault.source.map_or(String::new(), |at| format!(", {} only", SOURCES[at].api));
        let kind = fault.kind;
        self.log.timeline.note(format!(
            "{}, {:.1} s, form {}{target}",
            kind.name(),
            fault.lasts.as_secs_f64(),
            fault.form
        ));
        let needs_host = matches!(kind, Kind::Kill | Kind::Terminate | Kind::Stop | Kind::Reload);
        if needs_host && !self.host.is_up() {
            self.log.timeline.note("… but the host is down");
            return Ok(());
        }
        *self.log.injected.entry(kind).or_default() += 1;
        self.log.held.push((kind, now(), now() + fault.lasts));
        match kind {
            Kind::Kill => {
                let told = now();
                self.host.kill();
                self.log.ends.push(End { told, over: now(), is_crash: true });
                self.down(told);
            }
            Kind::Terminate => self.terminate(),
            Kind::Reload => {
                self.resume();
                let told = now();
                self.host.reload();
                let is_crash = self.is_state_broken();
                self.log.ends.push(End { told, over: told + RELOADED, is_crash });
            }
            Kind::ReadOnly if !self.applied.read_only => {
                self.terminate();
                match self.disk.write_protect(true) {
                    Ok(()) => self.applied.read_only = true,
                    Err(error) => self.log.timeline.note(format!("not read-only: {error}")),
                }
            }
            Kind::Damage => {
                let what = self.disk.damage(fault.form).unwrap_or("not there");
                self.log.timeline.note(format!("the state was {what}"));
                self.log.damages.push(now());
            }
            _ => {}
        }
        Ok(())
    }

    /// Makes everything as the active faults want it.
    fn apply(&mut self, active: &[&Fault]) -> Result<(), String> {
        let is_on = |kind| active.iter().any(|fault| fault.kind == kind);
        for (at, relay) in self.relays.iter().enumerate() {
            let mut mode =
                active.iter().filter(|fault| fault.hits(at)).filter_map(|it| relay_mode(it));
            relay.set(mode.next_back().unwrap_or_default());
        }
        for (at, simulator) in self.simulators.iter().enumerate() {
            let patch = patch(active.iter().copied().filter(|fault| fault.hits(at)));
            if self.applied.patches[at] != patch {
                simulator.change(&patch)?;
                self.applied.patches[at] = patch;
            }
        }
        let mut receiver = active.iter().filter_map(|fault| match fault.kind {
            Kind::ReceiverDown => Some(receiver::Mode::Down),
            Kind::ReceiverReset => Some(receiver::Mode::Reset),
            _ => None,
        });
        self.receivers.set(receiver.next_back().unwrap_or_default());
        if let Some(names) = &self.names {
            let dns = active.iter().rfind(|fault| fault.kind == Kind::Dns);
            names.send_replace(dns.map_or_else(Default::default, |fault| match fault.form % 3 {
                0 => nameserver::Mode::Refuse,
                1 => nameserver::Mode::ServFail,
                _ => nameserver::Mode::Silent,
            }));
        }
        self.apply_to_disk(is_on(Kind::DiskFull), is_on(Kind::ReadOnly))?;
        self.apply_to_host(is_on(Kind::Kill) || is_on(Kind::Terminate), is_on(Kind::Stop))
    }

    fn apply_to_disk(&mut self, full: bool, read_only: bool) -> Result<(), String> {
        if self.applied.read_only && !read_only {
            self.disk.write_protect(false)?;
            self.applied.read_only = false;
        }
        if self.applied.full != full && !self.applied.read_only {
            let changed = if full { self.disk.fill() } else { self.disk.empty() };
            changed.map_err(|error| format!("the state's disk: {error}"))?;
            self.applied.full = full;
        }
        let broken = self.applied.read_only || self.applied.full;
        match self.applied.broken_since {
            None if broken => self.applied.broken_since = Some(now()),
            Some(since) if !broken => {
                self.applied.broken_since = None;
                self.applied.broken_until = now() + HEALED;
                self.log.standstills.add(since, now() + HEALED);
            }
            _ => {}
        }
        Ok(())
    }

    fn apply_to_host(&mut self, down: bool, stopped: bool) -> Result<(), String> {
        if down {
            self.start_at = None;
        } else if !self.host.is_up() && self.start_at.is_none() {
            self.start_at = Some(now());
        }
        if !stopped {
            self.resume();
        } else if self.host.is_up() && self.applied.stopped_since.is_none() {
            self.host.stop(true);
            self.applied.stopped_since = Some(now());
            self.no_longer_up(now());
        }
        Ok(())
    }

    /// Ends a SIGSTOP.
    fn resume(&mut self) {
        self.host.stop(false);
        if let Some(since) = self.applied.stopped_since.take() {
            self.log.standstills.add(since, now());
            if self.host.is_up() {
                self.applied.up_since = Some(now());
            }
        }
    }

    fn terminate(&mut self) {
        if !self.host.is_up() {
            return;
        }
        self.resume();
        let told = now();
        let is_crash = self.is_state_broken();
        match self.host.terminate() {
            Some((_, status)) => {
                let mut standstills = self.busy.standstills();
                standstills.extend(&self.log.standstills);
                let took = standstills.free(told, now());
                self.log.shutdowns.push(took);
                self.log
                    .timeline
                    .note(format!("terminated after {:.1} s: {status}", took.as_secs_f64()));
                if !status.success() {
                    let tail = self.host.log_tail(15);
                    self.log.failures.push(format!("the host was terminated: {status}\n{tail}"));
                }
            }
            None => {
                let tail = self.host.log_tail(40);
                self.log.failures.push(format!("the host did not end when it was told to\n{tail}"));
            }
        }
        self.log.ends.push(End { told, over: now(), is_crash });
        self.down(told);
    }

    /// Starts a host that is to be up; notices one that has ended by itself.
    fn supervise(&mut self) -> Result<(), String> {
        if let Some(status) = self.host.ended() {
            let broken = self.is_state_broken();
            self.log.timeline.note(format!("the host ended by itself: {status}"));
            if broken && status.code().is_some() {
                self.log.gave_up += 1;
            } else {
                let tail = self.host.log_tail(40);
                self.log.failures.push(format!("the host ended by itself: {status}\n{tail}"));
            }
            self.log.ends.push(End { told: now(), over: now(), is_crash: true });
            self.down(now());
            self.start_at = Some(now() + SUPERVISE);
        }
        if self.start_at.is_some_and(|at| at <= now()) {
            self.start_at = None;
            self.log.timeline.note("the host is started");
            self.host.start()?;
            self.applied.up_since = Some(now());
        }
        self.host.look();
        Ok(())
    }

    fn down(&mut self, since: Moment) {
        if let Some(stopped) = self.applied.stopped_since.take() {
            self.log.standstills.add(stopped, since);
        }
        self.no_longer_up(since);
    }

    fn no_longer_up(&mut self, since: Moment) {
        if let Some(from) = self.applied.up_since.take() {
            self.log.up.push((from, since));
        }
    }

    fn is_state_broken(&self) -> bool {
        self.applied.broken_since.is_some() || now() < self.applied.broken_until
    }

    fn wait_for_all(&mut self) -> Result<(), String> {
        for (source, simulator) in SOURCES.iter().zip(&self.simulators) {
            simulator.pause()?;
            self.log.truth.push(simulator.truth(source.truth)?);
        }
        let shown = self.log.truth.iter().flat_map(HashMap::values).map(|event| event.visible);
        let shown = shown.max().unwrap_or_default();
        let (mut fewest, mut since) = (usize::MAX, now());
        loop {
            let missing = self.missing();
            if missing < fewest || now() < shown {
                (fewest, since) = (missing.min(fewest), now());
            }
            if missing == 0 || now() > since + LOST {
                break;
            }
            self.progress(&format!("healed; {missing} records are missing"));
            self.supervise()?;
            std::thread::sleep(STEP * 4);
        }
        let until = now() + AFTERWARDS / self.pace;
        while now() < until {
            self.supervise()?;
            self.progress("all is here; waiting for what should not come");
            std::thread::sleep(STEP * 4);
        }
        Ok(())
    }

    /// How many records have not arrived everywhere.
    fn missing(&self) -> usize {
        let arrivals = self.receivers.books.lock();
        let acknowledged = self.host.journal().is_some();
        let is_missing = |id: &&String| {
            !arrivals.quiet.contains_key(*id)
                || acknowledged && !arrivals.disturbed.contains_key(*id)
        };
        self.log.truth.iter().flat_map(HashMap::keys).filter(is_missing).count()
    }

    fn end(&mut self) -> Result<(), String> {
        self.terminate();
        let busy = self.busy.standstills();
        self.log.standstills.extend(&busy);
        self.log.stats = self.simulators.iter().map(Simulator::stats).collect::<Result<_, _>>()?;
        Ok(())
    }

    fn progress(&mut self, state: &str) {
        if now() < self.last_line + PROGRESS {
            return;
        }
        self.last_line = now();
        let arrivals = self.receivers.books.lock();
        let faults: u32 = self.log.injected.values().sum();
        let (came, mib) = (arrivals.quiet.len(), self.host.peak_kib / 1024);
        eprintln!("{state}: {faults} faults, {came} records, {mib} MiB at most");
    }
}

/// What a fault makes of the relay to a source that it hits.
fn relay_mode(fault: &Fault) -> Option<relay::Mode> {
    match fault.kind {
        // The other half of them answers 503.
        Kind::ApiDown if fault.form.is_multiple_of(2) => Some(relay::Mode::Down),
        Kind::ApiStall => Some(relay::Mode::Stall),
        Kind::ApiSlow => Some(relay::Mode::Slow),
        Kind::ApiReset => Some(relay::Mode::Reset),
        _ => None,
    }
}

/// What faults make of a simulator that they hit. Without any, what it was started with.
fn patch<'f>(active: impl Iterator<Item = &'f Fault>) -> Value {
    let mut patch = json!({
        "outage": false, "login_outage": false, "unauthorized": 0.005,
        "throttle": 0.01, "truncate": 0.01, "garbage": 0.01, "error": 0.01,
    });
    for fault in active {
        match fault.kind {
            Kind::ApiDown if !fault.form.is_multiple_of(2) => patch["outage"] = json!(true),
            Kind::LoginDown => patch["login_outage"] = json!(true),
            Kind::Unauthorized => patch["unauthorized"] = json!(0.5),
            Kind::Throttle => patch["throttle"] = json!(0.8),
            Kind::Bodies => {
                for (name, chance) in [("truncate", 0.3), ("garbage", 0.3), ("error", 0.1)] {
                    patch[name] = json!(chance);
                }
            }
            _ => {}
        }
    }
    patch
}

/// Starts a simulator and a relay for each source.
pub(crate) fn services(
    tool: &Path,
    args: &Args,
    seed: u64,
    serving: &Handle,
    by_name: bool,
) -> Result<(Vec<Simulator>, Vec<Relay>), String> {
    let (mut simulators, mut relays) = (Vec::new(), Vec::new());
    for (at, source) in SOURCES.iter().enumerate() {
        let tls = (by_name && source.by_name).then(certificate::acceptor).transpose()?;
        let seed = seed.wrapping_mul(16) + at as u64;
        let options = sources::simulation(args, seed, tls.is_some());
        let simulator = Simulator::start(tool, &options)?;
        let relay = serving.block_on(Relay::start(simulator.addr(), tls, || {}));
        relays.push(relay.map_err(|error| format!("a relay: {error}"))?);
        simulators.push(simulator);
    }
    Ok((simulators, relays))
}
