//! Several nodes with one source: whatever happens to them, to the database and between, nothing is lost, at most one may
//! hand over at a time, and what comes twice is only what a node that lost the source had handed over and not committed.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use in_lookback::config::Plan;
use in_lookback::state::memory::MemoryState;

use crate::api::{Api, Fault, Trouble};
use crate::clock::{Clock, DAY, HOUR, MINUTE, SECOND};
use crate::database::Database;
use crate::event::{self, Happening, Lateness};
use crate::fuse::Fuse;
use crate::host::{Habits, Host};
use crate::ledger::Ledger;
use crate::node::Node;
use crate::plans::{self, Style};
use crate::random::{Dice, Naming, number};
use crate::shell::World;
use crate::sim;

const SEEDS: u64 = 100;

/// How long an incident may wait for the worst moment.
const SLY_WAIT: Duration = Duration::from_secs(1_800);

/// What happens to a node, or to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Incident {
    Crash {
        down: Duration,
    },
    Stop {
        down: Duration,
        tells: bool,
    },
    Freeze {
        span: Duration,
    },
    Pause,
    Resume,
    /// It cannot reach the database any more.
    Cut,
    Mend,
    /// It cannot begin to read.
    Unable,
    Able,
    /// Nobody can.
    Away,
    Back,
}

struct Scenario {
    plan: Arc<Plan>,
    events: Rc<[Happening]>,
    nodes: Vec<Node>,
    database: Database,
    begin: Duration,
    end: Duration,
    /// In the order of time: when, to which node, what.
    incidents: Vec<(Duration, usize, Incident)>,
    lease: Duration,
}

/// How a run went.
struct Outcome {
    ledger: Ledger,
    /// The longest that nobody read the source though some node could have.
    unled_max: Duration,
    /// How often a node began to read.
    runs: u32,
}

struct Fleet {
    plan: Arc<Plan>,
    nodes: Vec<Node>,
    world: World,
    database: Database,
    /// How many processes there have been.
    serial: i64,
    /// Since when nobody reads, and since when each node could.
    unled_since: Duration,
    fit_since: Vec<Option<Duration>>,
    unled_max: Duration,
}

fn run(scenario: Scenario) -> Outcome {
    let Scenario { plan, events, nodes, database, begin, end, incidents, .. } = scenario;
    let ledger = Ledger::new(&events, &plan, true);
    let api = Api::new(events.clone(), 1, 1, 0);
    let mut fleet = Fleet {
        fit_since: vec![None; nodes.len()],
        nodes,
        database,
        world: World {
            events,
            clock: Clock::new(begin),
            api,
            state: MemoryState::default(),
            ledger,
            fuse: Fuse::default(),
            fenced: false,
        },
        plan,
        serial: 0,
        unled_since: begin,
        unled_max: Duration::ZERO,
    };
    let mut incidents = incidents.into_iter().peekable();
    let (mut due, mut time) = (Vec::new(), begin);
    while time < end {
        due.extend(std::iter::from_fn(|| incidents.next_if(|(at, ..)| *at <= time)));
        let ripe: Vec<_> = due.extract_if(.., |it| fleet.is_moment_for(it, time)).collect();
        for (_, node, incident) in ripe {
            fleet.happen(node, incident, time);
        }
        for node in 0..fleet.nodes.len() {
            if fleet.nodes[node].next() <= time {
                fleet.seen_by(node, time, |it, world, database, plan, serial| {
                    it.turn(plan, world, database, serial);
                });
            }
        }
        fleet.check(time);
        let next = fleet.nodes.iter().map(Node::next).min().unwrap_or(end);
        let incident = incidents.peek().map_or(end, |(at, ..)| *at);
        time = next.min(incident).max(time + Duration::from_nanos(1));
    }
    fleet.outcome()
}

impl Fleet {
    /// Lets a node act in the world as it sees it: by its own clocks, over its own way to the API and to the database.
    fn seen_by(
        &mut self,
        number: usize,
        time: Duration,
        act: impl FnOnce(&mut Node, &mut World, &mut Database, &Arc<Plan>, &mut i64),
    ) {
        let Self { plan, nodes, world, database, serial, .. } = self;
        let node = &mut nodes[number];
        node.clock.time = time;
        world.state.broken = node.cut || database.away;
        (world.ledger.node, world.ledger.free_since) = (number, node.free_since);
        let swap = |node: &mut Node, world: &mut World| {
            std::mem::swap(&mut node.clock, &mut world.clock);
            std::mem::swap(&mut node.api, &mut world.api);
        };
        swap(node, world);
        act(node, world, database, plan, serial);
        swap(node, world);
    }

    /// Whether an incident happens now. Every other crash or freeze waits a while for the worst moment: when a node has
    /// handed something over that is not committed, or is about to.
    fn is_moment_for(
        &self,
        (at, node, incident): &(Duration, usize, Incident),
        time: Duration,
    ) -> bool {
        let hits = matches!(incident, Incident::Crash { .. } | Incident::Freeze { .. });
        let sly = hits && at.subsec_nanos() % 2 == 0;
        !sly || self.nodes[*node].is_exposed() || time > *at + SLY_WAIT
    }

    fn happen(&mut self, number: usize, incident: Incident, time: Duration) {
        self.seen_by(number, time, |node, world, database, _, _| {
            let (mono, frozen) = (world.clock.now().mono, time < node.frozen_until);
            match incident {
                Incident::Crash { down } => node.crash(world, down),
                Incident::Stop { down, tells } if !frozen => {
                    node.stop(world, database, down, tells);
                }
                Incident::Stop { .. } => {}
                Incident::Freeze { span } => node.frozen_until = node.frozen_until.max(time + span),
                Incident::Pause => node.pause(mono),
                Incident::Resume => node.resume(time, mono),
                Incident::Cut => node.cut = true,
                Incident::Mend => node.cut = false,
                Incident::Unable => node.unable = true,
                Incident::Able => node.unable = false,
                Incident::Away => database.away = true,
                Incident::Back => database.away = false,
            }
        });
        let of_all = matches!(incident, Incident::Away | Incident::Back);
        for node in self.nodes.iter_mut().filter(|node| of_all || node.number == number) {
            node.free_since = node.free_since.max(time).max(node.frozen_until) + SECOND;
        }
    }

    /// At most one may hand over; and one does, if some node can.
    fn check(&mut self, time: Duration) {
        for (node, fit_since) in self.nodes.iter_mut().zip(&mut self.fit_since) {
            node.clock.time = time;
            let fit = node.is_up() && !node.cut && !node.unable && !self.database.away;
            *fit_since = fit.then(|| fit_since.unwrap_or(time));
        }
        assert!(self.nodes.iter().filter(|node| node.leads()).count() <= 1, "two lead");
        if self.nodes.iter().any(|node| node.is_up() && node.reads()) {
            self.unled_since = time;
        }
        if let Some(fit_since) = self.fit_since.iter().flatten().min() {
            let unled = time - self.unled_since.max(*fit_since);
            self.unled_max = self.unled_max.max(unled);
        }
    }

    fn outcome(self) -> Outcome {
        let Self { mut world, nodes, unled_max, .. } = self;
        world.state.broken = false;
        let progress = world.state.open(|_| unreachable!("it has a progress"));
        let (progress, _) = progress.expect("a state that can be read");
        world.ledger.check_books(&world.state.ledger, &progress);
        Outcome { ledger: world.ledger, unled_max, runs: nodes.iter().map(|node| node.runs).sum() }
    }
}

fn scenario(seed: u64) -> Scenario {
    let mut dice = Dice(fastrand::Rng::with_seed(seed));
    let lease = SECOND * dice.one_of(&[5, 10, 30, 60]);
    let small = dice.0.bool();
    let properties = [
        ("interval", dice.one_of(&["1m", "3m"])),
        ("window", dice.one_of(&["7m", "20m"])),
        ("sweeps", dice.one_of(&["off", "1h/20m", "2h/30m"])),
        ("start", "30m"),
        ("widen", "off"),
        ("commit_delay", dice.one_of(&["1s", "5s", "20s"])),
        ("batch_size", if small { "4k" } else { "2M" }),
        ("tick_bytes", if small { "8k" } else { "16M" }),
        ("rate_limit", "120"),
    ];
    let plan = plans::plan_of(Style::Ranges, dice.0.bool(), &properties);
    let (depth, every) = sim::deepest(&plan);
    let begin = DAY * 40;
    let calm = begin + HOUR * 4;
    let end = calm + every * 2 + HOUR * 2;
    let lateness = Lateness::up_to(plan.schedule.window, depth - every);
    let count = dice.0.usize(300..1_500);
    let events = event::happenings(count, begin - HOUR * 2, end, &lateness, &mut dice.0);
    let events: Rc<[_]> = events.into();
    let flaky = dice.spans(6.0, begin, calm, MINUTE * 20);
    let fault = |(from, to)| Fault { from, to, trouble: Trouble::Flaky(0.3) };
    let faults: Vec<Fault> = flaky.into_iter().map(fault).collect();
    let page = dice.one_of(&[5, 20, 1_000]);
    let habits = Habits { lots_max: dice.one_of(&[1, 3, 1_000]), refuses: 0.1 };
    let nodes = dice.one_of(&[2, 2, 3]);
    let node = |number: usize| {
        let rate = plan.schedule.rate_limit;
        let api = Api::new(events.clone(), page, rate, seed).with_faults(faults.clone());
        let mut node = Node::new(number, lease, begin, api, Host::new(habits, seed));
        // They do not all come at once.
        node.starts_at = begin + MINUTE * 10 * u32::try_from(number).expect("few");
        node
    };
    Scenario {
        nodes: (0..nodes).map(node).collect(),
        database: Database::new(dice.within(Duration::ZERO, DAY), true),
        incidents: incidents(&mut dice, nodes, lease, begin, calm),
        plan,
        events,
        begin,
        end,
        lease,
    }
}

fn incidents(
    dice: &mut Dice,
    nodes: usize,
    lease: Duration,
    from: Duration,
    to: Duration,
) -> Vec<(Duration, usize, Incident)> {
    let mut all = Vec::new();
    let rate = 24.0;
    let of = |dice: &mut Dice| dice.0.usize(..nodes);
    for (at, _) in dice.spans(rate, from, to, MINUTE) {
        let down = dice.span(SECOND, MINUTE * 20);
        all.push((at, of(dice), Incident::Crash { down }));
    }
    for (at, _) in dice.spans(rate, from, to, MINUTE) {
        let (down, tells) = (dice.span(SECOND, MINUTE * 20), dice.0.u8(..5) > 0);
        all.push((at, of(dice), Incident::Stop { down, tells }));
    }
    for (at, _) in dice.spans(rate * 2.0, from, to, MINUTE) {
        // Some wake when another has just taken over.
        let span = match dice.0.bool() {
            true => lease.mul_f64(0.9 + dice.0.f64()),
            false => dice.span(SECOND, MINUTE * 20),
        };
        all.push((at, of(dice), Incident::Freeze { span }));
    }
    let spans = [
        (Incident::Pause, Incident::Resume),
        (Incident::Cut, Incident::Mend),
        (Incident::Away, Incident::Back),
    ];
    for (begins, ends) in spans {
        for (begin, end) in dice.spans(rate, from, to, MINUTE * 20) {
            let node = of(dice);
            all.extend([(begin, node, begins), (end, node, ends)]);
        }
        all.extend((0..nodes).map(|node| (to, node, ends)));
    }
    for (begin, end) in dice.spans(rate, from, to, MINUTE * 20) {
        all.extend([(begin, 0, Incident::Unable), (end, 0, Incident::Able)]);
    }
    all.push((to, 0, Incident::Able));
    all.sort_by_key(|(at, ..)| *at);
    all
}

fn check(seed: u64, scenario: Scenario) -> Outcome {
    let naming = Naming(seed);
    if number("LOOKBACK_SIM_SEED").is_some() {
        eprintln!("{}\n{:#?}", scenario.plan.summary(), scenario.incidents);
    }
    let events = scenario.events.clone();
    let most = scenario.lease + scenario.plan.schedule.interval;
    let Scenario { begin, end, .. } = scenario;
    let required = sim::required(&scenario.plan, begin, end, Duration::ZERO);
    let outcome = run(scenario);
    outcome.ledger.check(&events, required);
    outcome.ledger.check_commits();
    assert!(outcome.unled_max <= most, "nobody read for {:?}", outcome.unled_max);
    drop(naming);
    outcome
}

fn check_share(part: u64, of: u64) {
    if let Some(seed) = number("LOOKBACK_SIM_SEED") {
        check(seed, scenario(seed));
        return;
    }
    let seeds = number("LOOKBACK_SIM_SEEDS").unwrap_or(SEEDS);
    let seeds = (0..seeds).filter(|seed| seed % of == part);
    let runs: u32 = seeds.map(|seed| check(seed, scenario(seed)).runs).sum();
    assert!(runs > 200, "only {runs} times did a node begin to read");
}

#[test]
fn a_fleet_keeps_its_promises_whatever_happens_1() {
    check_share(0, 2);
}

#[test]
fn a_fleet_keeps_its_promises_whatever_happens_2() {
    check_share(1, 2);
}

/// How many of some seeds are found to break a promise, if the nodes and the database are made worse.
fn found(
    worse: impl Fn(&mut Scenario) + std::panic::UnwindSafe + std::panic::RefUnwindSafe,
) -> usize {
    let fails = |seed: &u64| {
        let run = || {
            let mut scenario = scenario(*seed);
            worse(&mut scenario);
            check(*seed, scenario);
        };
        std::panic::catch_unwind(run).is_err()
    };
    (0..20).filter(fails).count()
}

#[test]
fn the_simulation_finds_a_database_that_does_not_fence() {
    assert!(found(|scenario| scenario.database.fences = false) > 0);
}

#[test]
fn the_simulation_finds_a_node_that_hands_over_without_a_lease() {
    let worse =
        |scenario: &mut Scenario| scenario.nodes.iter_mut().for_each(|it| it.ungated = true);
    assert!(found(worse) > 0);
}
