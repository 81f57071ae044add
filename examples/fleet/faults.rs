//! What can be broken, for how long, in leases; and the schedule that a seed makes of it.

use std::str::FromStr;
use std::time::Duration;

use super::args::Args;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Kill,
    Freeze,
    Cut,
    Stall,
    DbRestart,
    DbFreeze,
    Join,
    Rolling,
}

struct Row {
    kind: Kind,
    name: &'static str,
    /// In leases, evenly distributed.
    lasts: (f64, f64),
    /// One in four lasts this long instead.
    sometimes: Option<(f64, f64)>,
    what: &'static str,
}

/// So short that the lease holds.
const SHORT: Option<(f64, f64)> = Some((0.1, 0.4));

/// So long that it does not.
const LONG: (f64, f64) = (1.4, 2.5);

const fn row(
    kind: Kind,
    name: &'static str,
    lasts: (f64, f64),
    sometimes: Option<(f64, f64)>,
    what: &'static str,
) -> Row {
    Row { kind, name, lasts, sometimes, what }
}

const TABLE: [Row; 8] = [
    row(Kind::Kill, "kill", (0.3, 2.5), None, "kill -9 of a node, started again after a while"),
    row(Kind::Freeze, "freeze", LONG, SHORT, "SIGSTOP of a node, then SIGCONT"),
    row(
        Kind::Cut,
        "cut",
        LONG,
        SHORT,
        "a node's connections to the database reset, new ones refused",
    ),
    row(Kind::Stall, "stall", LONG, SHORT, "a node's connections to the database pass no byte on"),
    row(
        Kind::DbRestart,
        "db-restart",
        (0.0, 0.0),
        None,
        "PostgreSQL restarted, in order or by a crash",
    ),
    row(Kind::DbFreeze, "db-freeze", LONG, SHORT, "SIGSTOP of PostgreSQL, then SIGCONT"),
    row(
        Kind::Join,
        "join",
        (1.5, 2.5),
        None,
        "a node leaves by SIGTERM, and joins again after a while",
    ),
    row(Kind::Rolling, "rolling", (0.0, 0.0), None, "SIGTERM and a start of all nodes, one by one"),
];

impl Kind {
    /// All of them, in the order of their declaration.
    pub(crate) const ALL: [Kind; TABLE.len()] = {
        let mut all = [Kind::Kill; TABLE.len()];
        let mut at = 0;
        while at < TABLE.len() {
            all[at] = TABLE[at].kind;
            at += 1;
        }
        all
    };

    pub(crate) fn name(self) -> &'static str {
        TABLE[self as usize].name
    }

    /// Whether it is done to the database rather than to a node.
    pub(crate) fn needs_own_database(self) -> bool {
        matches!(self, Self::DbRestart | Self::DbFreeze)
    }

    /// The table, for `--help`.
    pub(crate) fn help() -> String {
        let rows = TABLE.iter().map(|row| format!("  {:<11} {}\n", row.name, row.what));
        format!("Faults:\n{}", rows.collect::<String>())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|kind| kind.name()).collect();
            format!("`{text}` is no fault; there are {}", names.join(", "))
        })
    }
}

/// One fault of the schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    /// Since the start.
    pub(crate) at: Duration,
    pub(crate) lasts: Duration,
    /// The node that it hits, if it hits one.
    pub(crate) node: usize,
    /// Which form of it, for kinds that have two.
    pub(crate) form: bool,
}

impl Fault {
    pub(crate) fn ends(&self) -> Duration {
        self.at + self.lasts
    }
}

/// The faults of a run, in order.
pub(crate) fn schedule(args: &Args, seed: u64) -> Vec<Fault> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut faults = Vec::new();
    let kinds = args.kinds();
    if args.once {
        return kinds.iter().map(|kind| fault(*kind, Duration::ZERO, args, &mut rng)).collect();
    }
    let mut at = Duration::ZERO;
    while !kinds.is_empty() {
        // The time to the next of events that come at random is exponentially distributed.
        at += args.every.mul_f64(-(1.0 - rng.f64()).ln());
        if at >= args.duration {
            break;
        }
        let kind = kinds[rng.usize(0..kinds.len())];
        faults.push(fault(kind, at, args, &mut rng));
    }
    if let Some(every) = args.kill_every {
        let kills = (1..).map(|nth| every * nth).take_while(|at| *at < args.duration);
        faults.extend(kills.map(|at| fault(Kind::Kill, at, args, &mut rng)));
    }
    faults.sort_by_key(|fault| fault.at);
    faults
}

/// A fault by the draws of `rng`. Where each comes once, it lasts as long as it may.
fn fault(kind: Kind, at: Duration, args: &Args, rng: &mut fastrand::Rng) -> Fault {
    let row = &TABLE[kind as usize];
    let (min, max) = match row.sometimes {
        Some(lasts) if !args.once && rng.u32(0..4) == 0 => lasts,
        _ => row.lasts,
    };
    let share = if args.once { 1.0 } else { rng.f64() };
    let lasts = args.lease.mul_f64(min + (max - min) * share);
    Fault { kind, at, lasts, node: rng.usize(0..args.nodes as usize), form: rng.bool() }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_kinds() {
        for (at, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, at, "{}", kind.name());
        }
    }

    #[test]
    fn a_node_is_killed_every_minute_and_nothing_else_is_done() {
        let args = Args::parse_from("fleet --duration 10m --kill-every 60s".split(' '));
        let faults = schedule(&args, 7);
        let minutes: Vec<u64> = faults.iter().map(|fault| fault.at.as_secs() / 60).collect();
        assert_eq!(minutes, (1..10).collect::<Vec<_>>());
        assert!(faults.iter().all(|fault| fault.kind == Kind::Kill));
    }
}
