//! What can be broken, how often and for how long; and the schedule that a seed makes of it.

use std::time::Duration;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Kill,
    Terminate,
    Stop,
    Reload,
    ReceiverDown,
    ReceiverReset,
    ApiDown,
    ApiStall,
    ApiSlow,
    ApiReset,
    LoginDown,
    Unauthorized,
    Throttle,
    Bodies,
    DiskFull,
    ReadOnly,
    Dns,
    Damage,
}

/// How often a minute a fault begins unless told, how long it lasts, and what it is.
struct Row {
    kind: Kind,
    name: &'static str,
    per_minute: f64,
    /// Seconds, evenly distributed.
    lasts: (f64, f64),
    /// One in so many lasts this long instead.
    sometimes: Option<(u32, (f64, f64))>,
    what: &'static str,
}

const fn row(
    kind: Kind,
    name: &'static str,
    per_minute: f64,
    lasts: (f64, f64),
    sometimes: Option<(u32, (f64, f64))>,
    what: &'static str,
) -> Row {
    Row { kind, name, per_minute, lasts, sometimes, what }
}

/// Longer than the window, which makes holes for the catch-up.
const LONG: Option<(u32, (f64, f64))> = Some((6, (35.0, 60.0)));

/// Longer than what the state's log of changes has room for already.
const FULL: Option<(u32, (f64, f64))> = Some((4, (65.0, 80.0)));

const TABLE: [Row; 18] = [
    row(Kind::Kill, "kill", 0.8, (0.0, 3.0), LONG, "kill -9, started again after a while"),
    row(Kind::Terminate, "terminate", 0.3, (0.0, 3.0), LONG, "SIGTERM, started again"),
    row(Kind::Stop, "stop", 0.4, (1.0, 12.0), LONG, "SIGSTOP, then SIGCONT"),
    row(Kind::Reload, "reload", 0.4, (0.0, 0.0), None, "hot reload (SIGHUP)"),
    row(Kind::ReceiverDown, "receiver-down", 0.3, (3.0, 20.0), LONG, "the SIEM refuses"),
    row(
        Kind::ReceiverReset,
        "receiver-reset",
        0.4,
        (3.0, 15.0),
        None,
        "the SIEM resets connections",
    ),
    row(Kind::ApiDown, "api-down", 0.5, (3.0, 20.0), LONG, "connections refused, or 503"),
    row(Kind::ApiStall, "api-stall", 0.4, (3.0, 20.0), LONG, "accepts, and sends no byte"),
    row(Kind::ApiSlow, "api-slow", 0.3, (3.0, 20.0), None, "an answer byte by byte"),
    row(Kind::ApiReset, "api-reset", 0.4, (3.0, 15.0), None, "connections reset amid answers"),
    row(Kind::LoginDown, "login-down", 0.4, (5.0, 40.0), None, "the login service answers 503"),
    row(Kind::Unauthorized, "unauthorized", 0.4, (3.0, 15.0), None, "tokens refused in mid-walk"),
    row(Kind::Throttle, "throttle", 0.4, (5.0, 20.0), None, "a storm of 429"),
    row(Kind::Bodies, "bodies", 0.4, (3.0, 20.0), None, "bodies cut off, or no JSON"),
    row(Kind::DiskFull, "disk-full", 0.3, (5.0, 40.0), FULL, "the state's disk is full"),
    row(
        Kind::ReadOnly,
        "read-only",
        0.2,
        (5.0, 20.0),
        None,
        "SIGTERM, started with a read-only state",
    ),
    row(Kind::Dns, "dns", 0.4, (5.0, 30.0), None, "names: refused, SERVFAIL, or silence"),
    row(Kind::Damage, "damage", 0.0, (0.0, 0.0), None, "the state file deleted, cut or garbled"),
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

    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    pub(crate) fn name(self) -> &'static str {
        self.row().name
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether it cannot be injected without namespaces of the test's own.
    pub(crate) fn needs_namespace(self) -> bool {
        matches!(self, Kind::DiskFull | Kind::ReadOnly | Kind::Dns)
    }

    /// Whether it hits one source or all of them, rather than the host.
    fn has_target(self) -> bool {
        use Kind::*;
        matches!(
            self,
            ApiDown | ApiStall | ApiSlow | ApiReset | LoginDown | Unauthorized | Throttle | Bodies
        )
    }

    /// The table, for `--help`.
    pub(crate) fn help() -> String {
        let mut text =
            "Faults, how often a minute they begin unless told, and what they are:\n".to_owned();
        for row in &TABLE {
            text += &format!("  {:<15} {:<4} {}\n", row.name, row.per_minute, row.what);
        }
        text + "What needs a file system or a name server of its own (disk-full, read-only, dns) runs in \
                namespaces (`unshare`), and is left out where the system does not permit them."
    }
}

/// How often a minute each kind begins.
#[derive(Clone, Debug)]
pub(crate) struct Rates([f64; Kind::ALL.len()]);

impl Default for Rates {
    fn default() -> Self {
        Self(Kind::ALL.map(|kind| kind.row().per_minute))
    }
}

impl Rates {
    pub(crate) fn set(&mut self, kind: Kind, per_minute: f64) {
        self.0[kind as usize] = per_minute;
    }

    pub(crate) fn of(&self, kind: Kind) -> f64 {
        self.0[kind as usize]
    }
}

/// One fault of the schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    /// Since the start.
    pub(crate) at: Duration,
    pub(crate) lasts: Duration,
    /// The source that it hits; all of them if there is none.
    pub(crate) source: Option<usize>,
    /// Which form of it, for kinds that have several.
    pub(crate) form: u32,
}

impl Fault {
    pub(crate) fn hits(&self, source: usize) -> bool {
        self.source.is_none_or(|hit| hit == source)
    }

    pub(crate) fn ends(&self) -> Duration {
        self.at + self.lasts
    }
}

/// The faults of a run, in order.
pub(crate) fn schedule(
    seed: u64,
    length: Duration,
    pace: u32,
    rates: &Rates,
    sources: usize,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    for kind in Kind::ALL {
        // Each kind has draws of its own, so that switching one off leaves the others as they are.
        let mut rng = fastrand::Rng::with_seed(seed ^ ((kind as u64 + 1) << 32));
        let mut at = 0.0;
        while rates.of(kind) > 0.0 {
            // The time to the next of events that come at random is exponentially distributed.
            at += -(1.0 - rng.f64()).ln() * 60.0 / rates.of(kind);
            if at >= length.as_secs_f64() {
                break;
            }
            let (min, max) = match kind.row().sometimes {
                Some((one_in, lasts)) if rng.u32(0..one_in) == 0 => lasts,
                _ => kind.row().lasts,
            };
            let one = rng.usize(0..sources);
            faults.push(Fault {
                kind,
                at: Duration::from_secs_f64(at),
                lasts: Duration::from_secs_f64(min + (max - min) * rng.f64()) / pace,
                source: (kind.has_target() && rng.u32(0..3) > 0).then_some(one),
                form: rng.u32(0..12),
            });
        }
    }
    faults.sort_by_key(|fault| fault.at);
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_kinds() {
        for (at, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, at, "{}", kind.name());
        }
    }

    #[test]
    fn a_seed_makes_the_same_schedule_and_a_kind_does_not_change_the_others() {
        let hour = Duration::from_secs(3600);
        let of = |rates: &Rates| schedule(7, hour, 1, rates, 3);
        let all = of(&Rates::default());
        assert_eq!(all, of(&Rates::default()));
        let mut rates = Rates::default();
        rates.set(Kind::Kill, 0.0);
        let others: Vec<_> = all.iter().filter(|it| it.kind != Kind::Kill).copied().collect();
        assert_eq!(of(&rates), others);
        let expected = 60.0 * Rates::default().of(Kind::Kill);
        let kills = (all.len() - others.len()) as f64;
        assert!((expected * 0.5..expected * 1.5).contains(&kills), "{kills} of {expected}");
    }
}
