//! A whole run: processes that come and go, a host, and everything that goes wrong, in virtual time.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use in_lookback::config::Plan;
use in_lookback::config::plan::{DedupOn, Start};
use in_lookback::poll::Progress;
use in_lookback::poll::ledger;
use in_lookback::poll::report::Report;
use in_lookback::state::memory::MemoryState;

use crate::api::Api;
use crate::clock::{Clock, HOUR, SECOND};
use crate::event::Happening;
use crate::fuse::{Crash, Fuse};
use crate::host::{Habits, Host};
use crate::ledger::Ledger;
use crate::shell::{Shell, World};

/// How long an incident may wait for the worst moment.
const SLY_WAIT: Duration = Duration::from_secs(1_800);

/// What happens to the machine that collects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Incident {
    /// `kill -9`, and a new process after a while.
    Crash {
        down: Duration,
    },
    /// A clean stop, and a new process after a while; whether the host tells what it has stored.
    Stop {
        down: Duration,
        tells: bool,
    },
    /// The host is short of memory.
    Pause,
    Resume,
    /// The disk of the state fails.
    StateBreaks,
    StateMends,
    /// The state is damaged: this share of its ids can still be read, and of its progress a hint,
    /// or nothing. A process that runs finds out when it writes or asks; else the next one does.
    StateDamaged {
        readable_percent: u8,
        with_hint: bool,
    },
    /// The process does nothing for a while, and the world goes on.
    Freeze {
        span: Duration,
    },
    /// The wall clock steps by so many seconds.
    ClockSteps(i64),
}

impl Incident {
    /// Whether it matters to it what the host is doing.
    fn hits_host(self) -> bool {
        matches!(self, Self::Crash { .. } | Self::Stop { .. } | Self::Pause)
    }
}

/// A run, as it is planned.
pub(crate) struct Scenario {
    pub(crate) plan: Arc<Plan>,
    pub(crate) events: Rc<[Happening]>,
    pub(crate) api: Api,
    pub(crate) habits: Habits,
    pub(crate) begin: Duration,
    pub(crate) end: Duration,
    /// In the order of time.
    pub(crate) incidents: Vec<(Duration, Incident)>,
    /// The step at which the process dies.
    pub(crate) burns_at: Option<u64>,
    /// Whether about every other process looks at ids only, whatever the plan says.
    pub(crate) id_at_times: bool,
    pub(crate) seed: u64,
}

/// How a run went.
pub(crate) struct Outcome {
    pub(crate) ledger: Ledger,
    /// The ledger of the state, and its progress.
    pub(crate) books: ledger::Ledger,
    pub(crate) progress: Progress,
    pub(crate) steps: u64,
    /// Records that the API served.
    pub(crate) served: u64,
    pub(crate) reports: Vec<Report>,
}

pub(crate) struct Sim {
    plan: Arc<Plan>,
    world: World,
    host: Host,
    process: Option<Shell>,
    /// When the next process begins, if there is none.
    starts_at: Duration,
    /// When the process wants to go on.
    wakes_at: Duration,
    /// Until when it does nothing.
    frozen_until: Duration,
    incidents: std::vec::IntoIter<(Duration, Incident)>,
    end: Duration,
    id_at_times: bool,
    seed: u64,
    reports: Vec<Report>,
}

/// Runs a scenario to its end.
pub(crate) fn run(scenario: Scenario) -> Outcome {
    let steps = |(_, incident): &(_, Incident)| matches!(incident, Incident::ClockSteps(_));
    let clock_is_right = !scenario.incidents.iter().any(steps);
    let ledger = Ledger::new(&scenario.events, &scenario.plan, clock_is_right);
    let fuse = Fuse { burns_at: scenario.burns_at, ..Fuse::default() };
    let mut sim = Sim {
        world: World {
            events: scenario.events,
            clock: Clock::new(scenario.begin),
            api: scenario.api,
            state: MemoryState::default(),
            ledger,
            fuse,
            fenced: false,
        },
        host: Host::new(scenario.habits, scenario.seed),
        process: None,
        starts_at: scenario.begin,
        wakes_at: Duration::ZERO,
        frozen_until: Duration::ZERO,
        incidents: scenario.incidents.into_iter(),
        end: scenario.end,
        id_at_times: scenario.id_at_times,
        seed: scenario.seed,
        reports: Vec::new(),
        plan: scenario.plan,
    };
    sim.run();
    sim.outcome()
}

impl Sim {
    fn run(&mut self) {
        while self.advance() {
            self.incidents();
            self.start();
            if self.turn().is_err() {
                self.crash(SECOND);
            }
        }
    }

    /// Steps to the next moment at which something happens; false at the end.
    fn advance(&mut self) -> bool {
        let process = match &self.process {
            None => self.starts_at,
            Some(shell) => {
                let host = self.host.wake(&shell.handoff, self.world.clock.now());
                self.wakes_at.min(host).max(self.frozen_until)
            }
        };
        let incident = self.next_incident().unwrap_or(Duration::MAX);
        let next = process.min(incident).max(self.world.clock.time);
        self.world.clock.time = next.min(self.end);
        next < self.end
    }

    fn turn(&mut self) -> Result<(), Crash> {
        let Some(shell) = &mut self.process else { return Ok(()) };
        if self.world.clock.time < self.frozen_until {
            return Ok(());
        }
        let World { clock, ledger, fuse, .. } = &mut self.world;
        self.host.turn(&mut shell.handoff, clock.time, clock.now(), ledger, fuse)?;
        self.wakes_at = shell.turn(&mut self.world)?;
        Ok(())
    }

    fn start(&mut self) {
        let now = self.world.clock.time;
        if self.process.is_some() || now < self.starts_at {
            return;
        }
        if self.world.state.broken {
            self.starts_at = now + SECOND * 5;
            return;
        }
        self.seed = self.seed.wrapping_add(1);
        self.world.clock.began = now;
        self.world.ledger.free_since = now;
        let mut plan = Arc::clone(&self.plan);
        if self.id_at_times && fastrand::Rng::with_seed(self.seed).bool() {
            Arc::make_mut(&mut plan).dedup_on = DedupOn::Id;
        }
        self.process = Some(Shell::start(&plan, &mut self.world, self.seed));
        self.wakes_at = now;
    }

    /// When the next incident happens. Every other one waits a while for the worst moment: when the
    /// host has taken what it has not stored.
    fn next_incident(&self) -> Option<Duration> {
        let (at, incident) = *self.incidents.as_slice().first()?;
        let sly = at.subsec_nanos() % 2 == 0 && incident.hits_host();
        let wait = if sly && !self.host.holds_something() { SLY_WAIT } else { Duration::ZERO };
        Some(at + wait)
    }

    fn incidents(&mut self) {
        while self.next_incident().is_some_and(|at| at <= self.world.clock.time) {
            let Some((_, incident)) = self.incidents.next() else { return };
            self.happen(incident);
        }
    }

    fn happen(&mut self, incident: Incident) {
        let now = self.world.clock.now();
        match incident {
            Incident::Crash { down } => self.crash(down),
            Incident::Stop { down, tells } => self.stop(down, tells),
            Incident::StateBreaks => self.world.state.broken = true,
            Incident::StateMends => {
                self.world.state.broken = false;
                self.free();
            }
            Incident::StateDamaged { readable_percent, with_hint } => {
                let mut rng = fastrand::Rng::with_seed(self.seed);
                self.world.state.damage(|_| rng.u8(..100) < readable_percent, with_hint);
            }
            Incident::Freeze { span } => {
                if self.process.is_some() {
                    self.frozen_until = self.frozen_until.max(self.world.clock.time + span);
                    self.free();
                }
            }
            Incident::ClockSteps(by) => self.world.clock.ahead += by,
            Incident::Pause => {
                if let Some(shell) = &mut self.process {
                    self.host.paused = true;
                    shell.handoff.pause(now.mono);
                }
            }
            Incident::Resume => {
                self.host.resume(self.world.clock.time);
                if let Some(shell) = &mut self.process {
                    shell.handoff.resume(now.mono);
                }
                self.free();
            }
        }
        self.wakes_at = self.world.clock.time;
    }

    /// Commits can go on, after they have waited for as long as they wait between attempts.
    fn free(&mut self) {
        self.world.ledger.free_since = self.world.clock.time.max(self.frozen_until) + SECOND;
    }

    fn crash(&mut self, down: Duration) {
        let now = self.world.clock.time;
        if self.process.is_some() {
            let free = !self.host.paused && !self.world.state.broken;
            self.world.ledger.crashed(now, free);
        }
        self.end_process(down);
    }

    fn stop(&mut self, down: Duration, tells: bool) {
        let Some(mut shell) = self.process.take() else { return };
        shell.handoff.pause(self.world.clock.now().mono);
        let stored = self.host.stop(&mut self.world.ledger);
        if shell.last_commit(tells.then_some(stored), &mut self.world).unwrap_or(false) {
            self.world.ledger.stopped();
        } else {
            // Nobody could tell, nothing could be committed, or it died in the middle: that is no better than a crash.
            self.world.ledger.crashed(self.world.clock.time, false);
        }
        self.process = Some(shell);
        self.end_process(down);
    }

    fn end_process(&mut self, down: Duration) {
        if let Some(shell) = self.process.take() {
            self.reports.extend(shell.reports);
            self.starts_at = self.world.clock.time + down;
        }
        self.host.restart();
        self.frozen_until = Duration::ZERO;
        self.world.api.forget_client();
    }

    fn outcome(mut self) -> Outcome {
        self.reports.extend(self.process.take().into_iter().flat_map(|shell| shell.reports));
        let progress = self.world.state.open(|_| unreachable!("it has a progress"));
        Outcome {
            ledger: self.world.ledger,
            progress: progress.expect("a state that can be read").0,
            books: self.world.state.ledger,
            steps: self.world.fuse.steps,
            served: self.world.api.served,
            reports: self.reports,
        }
    }
}

/// The deepest re-read of a plan: how deep, and how often.
pub(crate) fn deepest(plan: &Plan) -> (Duration, Duration) {
    let schedule = &plan.schedule;
    let live = (schedule.window, schedule.interval);
    schedule.sweeps.last().map_or(live, |sweep| (sweep.depth, sweep.every))
}

/// Whether promise 1 covers an event of a run: the API shows it within the deepest re-read's reach,
/// and early enough for a last one. `clocks_off` is how wrong the clock was at most.
pub(crate) fn required(
    plan: &Plan,
    begin: Duration,
    end: Duration,
    clocks_off: Duration,
) -> impl Fn(&Happening) -> bool + use<> {
    let (depth, every) = deepest(plan);
    let origin = match plan.schedule.start {
        Start::Back(span) => begin - span,
        Start::At(moment) => crate::clock::time(moment),
    };
    let late_max = depth.saturating_sub(every + clocks_off * 2);
    move |event| {
        event.selected >= origin
            && event.late_by() <= late_max
            && event.visible + every + HOUR <= end
    }
}
