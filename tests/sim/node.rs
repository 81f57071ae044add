//! A node of a fleet: its clocks, its host, and a process with the real engine, hand-over and seat. What the tick and the
//! worker do with the seat is in the order of `state::postgres::member` and of `worker::run`.

use std::sync::Arc;
use std::time::Duration;

use in_lookback::config::Plan;
use in_lookback::fleet::{Act, Contact, Duty, Lease, Me, Seat, Standing, Term};
use in_lookback::handoff::{Handoff, Lending};
use in_lookback::model::Now;

use crate::api::Api;
use crate::clock::{Clock, SECOND};
use crate::database::Database;
use crate::host::Host;
use crate::shell::{Shell, World};

/// The worker looks around at least this often.
const ROUND: Duration = SECOND;

/// A run that could not begin is tried again so much later.
const REST: Duration = Duration::from_secs(5);

pub(crate) struct Node {
    pub(crate) number: usize,
    name: String,
    lease: Duration,
    rng: fastrand::Rng,
    pub(crate) clock: Clock,
    pub(crate) api: Api,
    pub(crate) host: Host,
    pub(crate) process: Option<Process>,
    /// When the next process begins, if there is none.
    pub(crate) starts_at: Duration,
    pub(crate) frozen_until: Duration,
    /// Whether it cannot reach the database.
    pub(crate) cut: bool,
    /// Whether no run can begin here.
    pub(crate) unable: bool,
    /// Whether it may hand over records without a lease: to show that the oracle sees it.
    pub(crate) ungated: bool,
    pub(crate) free_since: Duration,
    /// How often it began to read.
    pub(crate) runs: u32,
}

/// A running process.
pub(crate) struct Process {
    me: Me,
    seat: Seat,
    contact: Contact,
    handoff: Handoff,
    /// Its run, while it leads.
    run: Option<(Shell, Term)>,
    /// Whether it was given the source, and the answer was lost.
    given: bool,
    /// How many could not begin, in a row.
    failures: u32,
    wakes_at: Duration,
    tick_at: Duration,
    /// A look at the database that is under way.
    look: Option<Look>,
}

/// A look at the database, which takes a while on one of its ways.
struct Look {
    sent: Now,
    renews: Option<i64>,
    leaves: Option<i64>,
    /// What came of it, if it was done at once.
    done: Option<Answer>,
    arrives: Duration,
}

struct Answer {
    renewed: bool,
    row: in_lookback::fleet::Row,
    alive: Vec<in_lookback::fleet::Candidate>,
}

impl Node {
    pub(crate) fn new(
        number: usize,
        lease: Duration,
        begin: Duration,
        api: Api,
        host: Host,
    ) -> Self {
        Self {
            number,
            name: format!("node-{number}"),
            lease,
            rng: fastrand::Rng::with_seed(number as u64),
            clock: Clock::new(begin),
            api,
            host,
            process: None,
            starts_at: begin,
            frozen_until: Duration::ZERO,
            cut: false,
            unable: false,
            ungated: false,
            free_since: Duration::ZERO,
            runs: 0,
        }
    }

    /// When something happens here next.
    pub(crate) fn next(&self) -> Duration {
        let Some(process) = &self.process else { return self.starts_at };
        let handoff = process.run.as_ref().map_or(&process.handoff, |(shell, _)| &shell.handoff);
        let look = process.look.as_ref().map_or(process.tick_at, |look| look.arrives);
        let host = self.host.wake(handoff, self.clock.now());
        process.wakes_at.min(host).min(look).max(self.frozen_until)
    }

    /// Whether its process can do something.
    pub(crate) fn is_up(&self) -> bool {
        self.process.is_some() && self.clock.time >= self.frozen_until
    }

    /// Whether it may hand records over, by its own clocks.
    pub(crate) fn leads(&self) -> bool {
        let standing = self.process.as_ref().map(|process| process.seat.standing());
        matches!(standing, Some(Standing::Leads { lease, .. }) if lease.holds(self.clock.now()))
    }

    /// Whether the source is in good hands: it reads, or is about to.
    pub(crate) fn reads(&self) -> bool {
        let Some(process) = &self.process else { return false };
        (self.leads() || process.given) && (!self.unable || process.run.is_some())
    }

    /// Whether a record is on its way into or through its host.
    pub(crate) fn is_exposed(&self) -> bool {
        let run = self.process.as_ref().and_then(|process| process.run.as_ref());
        run.is_some_and(|(shell, _)| shell.handoff.unsettled().0 > 0)
    }

    /// Does what is due. `serial` tells processes apart, `world` is as this node sees it.
    pub(crate) fn turn(
        &mut self,
        plan: &Arc<Plan>,
        world: &mut World,
        database: &mut Database,
        serial: &mut i64,
    ) {
        let now = world.clock.time;
        if self.process.is_none() && now >= self.starts_at {
            *serial += 1;
            world.clock.began = now;
            self.process = Some(self.start(*serial, now));
        }
        if self.process.is_none() || now < self.frozen_until {
            return;
        }
        // Whichever of its threads comes first: after a freeze that matters.
        let mut order = [0, 1, 2];
        self.rng.shuffle(&mut order);
        for part in order {
            match part {
                0 => self.hand_over(world),
                1 => self.tick(world, database),
                _ => self.work(plan, world, database),
            }
        }
    }

    fn start(&self, serial: i64, now: Duration) -> Process {
        let me = Me { process: serial, node: self.name.clone(), lease: self.lease };
        Process {
            me,
            seat: Seat::new(Duration::ZERO),
            contact: Contact::default(),
            handoff: Handoff::default(),
            run: None,
            given: false,
            failures: 0,
            wakes_at: now,
            tick_at: now,
            look: None,
        }
    }

    fn hand_over(&mut self, world: &mut World) {
        let Some(process) = &mut self.process else { return };
        let World { clock, ledger, fuse, .. } = world;
        let (time, now, handoff) = (clock.time, clock.now(), process.handoff());
        if self.host.wake(handoff, now) <= time {
            self.host.turn(handoff, time, now, ledger, fuse).expect("nothing burns");
            process.wakes_at = time;
        }
    }

    /// The looks at the database: one begins, or is answered.
    fn tick(&mut self, world: &mut World, database: &mut Database) {
        let Some(process) = &mut self.process else { return };
        let (time, now, reachable) = (world.clock.time, world.clock.now(), !world.state.broken);
        if process.look.is_none() && time >= process.tick_at {
            process.tick_at = time + process.me.tick();
            process.seat.heard(now.mono);
            let renews = process.seat.renews(&process.me, now);
            let leaves = match process.seat.standing() {
                Standing::Leaves { epoch } => Some(epoch),
                _ => None,
            };
            let mut look = Look { sent: now, renews, leaves, done: None, arrives: time };
            // What is under way takes its time before it is done, or after.
            if reachable && self.rng.bool() {
                look.be_done(&process.me, world, database);
            }
            let most = if self.rng.u8(..20) == 0 { self.lease / 4 } else { SECOND / 10 };
            look.arrives += most.mul_f64(self.rng.f64());
            process.look = Some(look);
        }
        if process.look.as_ref().is_none_or(|look| time < look.arrives) {
            return;
        }
        let Some(mut look) = process.look.take() else { return };
        if reachable && look.done.is_none() {
            look.be_done(&process.me, world, database);
        }
        let Some(answer) = look.done.filter(|_| reachable) else { return };
        let Process { me, seat, contact, given, .. } = process;
        *given = false;
        contact.answered(look.sent.mono, now.mono, me.lease);
        if let Some(epoch) = look.leaves {
            seat.ended(epoch);
        }
        if let Some(epoch) = look.renews.filter(|_| answer.renewed) {
            seat.renewed(epoch, Lease::of(look.sent, me.lease));
        }
        match seat.see("s", &answer.row, &answer.alive, me, contact, now.mono) {
            Act::Recall => seat.recall(now.mono),
            Act::Take => {
                if let Some(epoch) = database.take(me, answer.row.epoch, time) {
                    // Now and then the answer is lost.
                    *given = self.rng.u8(..5) == 0;
                    if !*given {
                        seat.taken(epoch, Lease::of(now, me.lease));
                    }
                    replace(answer.row.node.as_deref(), world);
                }
            }
            Act::Nothing => {}
        }
        process.wakes_at = process.wakes_at.min(time + ROUND.mul_f64(self.rng.f64()));
    }

    /// A round of the worker.
    fn work(&mut self, plan: &Arc<Plan>, world: &mut World, database: &Database) {
        let Some(process) = &mut self.process else { return };
        let (time, now) = (world.clock.time, world.clock.now());
        if time < process.wakes_at {
            return;
        }
        process.wakes_at = Duration::MAX;
        if process.run.is_none() {
            let Standing::Leads { epoch, .. } = process.seat.standing() else { return };
            if world.state.broken {
                process.wakes_at = time + REST;
                return;
            }
            if self.unable {
                process.wakes_at = time + REST;
                process.failures += 1;
                if process.failures == 2 {
                    process.failures = 0;
                    process.seat.stands_back(epoch, now.mono);
                }
                return;
            }
            process.failures = 0;
            let mut shell = Shell::start(plan, world, self.rng.u64(..));
            std::mem::swap(&mut shell.handoff, &mut process.handoff);
            process.run = Some((shell, Term::new(epoch, plan.commit_delay)));
            self.free_since = time;
            self.runs += 1;
        }
        let Some((shell, term)) = &mut process.run else { return };
        let owes = shell.owes();
        let lending = match term.duty(&mut process.seat, owes, now) {
            Duty::Read(lease) => {
                shell.reads = lease.holds(now);
                if self.ungated { Lending::Always } else { Lending::While(lease) }
            }
            Duty::Finish => {
                shell.reads = false;
                Lending::Never
            }
            Duty::Over => {
                self.end_run();
                return;
            }
        };
        shell.handoff.lends(lending);
        world.fenced = database.refuses(&process.me, term.epoch());
        let until = shell.turn(world).expect("nothing burns");
        process.wakes_at = if shell.reads { until } else { until.min(time + ROUND) };
        if shell.fenced {
            process.seat.ended(term.epoch());
            process.wakes_at = time;
        }
    }

    /// What the worker had in memory is gone; the process goes on, and may lead again at once.
    fn end_run(&mut self) {
        let Some(process) = &mut self.process else { return };
        let Some((mut shell, _)) = process.run.take() else { return };
        shell.handoff.clear();
        shell.handoff.lends(Lending::Never);
        process.handoff = shell.handoff;
        process.wakes_at = self.clock.time;
        self.api.forget_client();
    }

    /// The host is short of memory, and stores nothing.
    pub(crate) fn pause(&mut self, mono: Duration) {
        if let Some(process) = &mut self.process {
            self.host.paused = true;
            process.handoff().pause(mono);
        }
    }

    /// It stores again.
    pub(crate) fn resume(&mut self, time: Duration, mono: Duration) {
        self.host.resume(time);
        if let Some(process) = &mut self.process {
            process.handoff().resume(mono);
        }
    }

    /// `kill -9`. Whether nothing stood in the way of commits.
    pub(crate) fn crash(&mut self, world: &mut World, down: Duration) {
        let now = world.clock.time;
        if self.process.is_some() {
            let free = !self.host.paused && !world.state.broken && now >= self.frozen_until;
            world.ledger.crashed(now, free);
        }
        self.end_process(now + down);
    }

    /// A clean stop: the last commit, then the lease is given back.
    pub(crate) fn stop(
        &mut self,
        world: &mut World,
        database: &mut Database,
        down: Duration,
        tells: bool,
    ) {
        let now = world.clock.time;
        let Some(mut process) = self.process.take() else { return };
        if let Some((shell, term)) = &mut process.run {
            shell.handoff.pause(world.clock.now().mono);
            let stored = self.host.stop(&mut world.ledger);
            world.fenced = database.refuses(&process.me, term.epoch());
            if shell.last_commit(tells.then_some(stored), world).unwrap_or(false) {
                world.ledger.stopped();
            } else {
                world.ledger.crashed(now, false);
            }
        }
        if !world.state.broken {
            database.leave(&process.me, now);
        }
        self.process = Some(process);
        self.end_process(now + down);
    }

    fn end_process(&mut self, starts_at: Duration) {
        if self.process.take().is_some() {
            self.starts_at = starts_at;
        }
        self.host.restart();
        self.frozen_until = Duration::ZERO;
        self.api.forget_client();
    }
}

impl Process {
    fn handoff(&mut self) -> &mut Handoff {
        self.run.as_mut().map_or(&mut self.handoff, |(shell, _)| &mut shell.handoff)
    }
}

impl Look {
    fn be_done(&mut self, me: &Me, world: &mut World, database: &mut Database) {
        let time = world.clock.time;
        if self.leaves.is_some_and(|epoch| database.release(me, epoch, time)) {
            // An orderly release leaves nothing that could come twice.
            world.ledger.stopped();
        }
        database.beat(me, time);
        let renewed = self.renews.is_some_and(|epoch| database.renew(me, epoch, time));
        let (row, alive) = database.view(time);
        self.done = Some(Answer { renewed, row, alive });
    }
}

/// A node's source was taken: what it handed over until now may come once more, and nothing later.
fn replace(node: Option<&str>, world: &mut World) {
    let Some(number) = node.and_then(|name| name.strip_prefix("node-")) else { return };
    let taker = std::mem::replace(&mut world.ledger.node, number.parse().expect("a number"));
    world.ledger.replaced(world.clock.time);
    world.ledger.node = taker;
}
