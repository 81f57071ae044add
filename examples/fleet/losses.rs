//! When a node may have lost its leases without having been able to say so, and what that explains.

use std::time::Duration;

use super::args::Args;
use super::clock::{Moment, Standstills};
use super::run::{Log, Trouble, What};

/// The journal's grain, and that of arrivals.
pub(crate) const GRAIN: Duration = Duration::from_secs(1);

/// A look around of the plugin's thread before it commits, and one more try.
const LOOKS: Duration = Duration::from_secs(2);

/// What the host took before it was frozen stands in its journal soon after it goes on.
const THAWED: Duration = Duration::from_secs(2);

/// Leases are renewed in time: no node loses one in less than this much of it.
const HOLDS: f64 = 0.8;

/// A node may have lost its leases.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Loss {
    pub(crate) node: usize,
    pub(crate) what: What,
    pub(crate) from: Moment,
    /// When it was started again, or could go on.
    pub(crate) to: Moment,
}

/// What can be judged of a run's faults.
pub(crate) struct Losses {
    pub(crate) all: Vec<Loss>,
    /// When a node could not commit.
    idle: Vec<Standstills>,
    lease: Duration,
    slack: Duration,
    /// How long after a hand-over its commit is done, if nothing is in the way.
    committed: Duration,
}

impl Losses {
    pub(crate) fn new(log: &Log, args: &Args) -> Self {
        let (lease, slack) = (args.lease, args.slack());
        let committed = args.commit_delay + LOOKS + GRAIN + args.patience;
        let (mut all, mut idle) = (Vec::new(), Vec::new());
        for node in 0..args.nodes as usize {
            let own = log.troubles.iter().filter(|trouble| trouble.node == node).copied();
            let (ends, spans): (Vec<Trouble>, Vec<Trouble>) = own.partition(|it| it.what.ends());
            let mut still = log.busy.clone();
            let unreachable =
                spans.iter().map(|it| (it.from, it.to)).chain(log.away.iter().copied());
            unreachable.for_each(|(from, to)| still.add(from, to));
            idle.push(still);
            let dead = ends.into_iter().filter(|it| it.what != What::Left);
            all.extend(dead.map(|it| Loss { node, what: it.what, from: it.from, to: it.to }));
            all.extend(out_of_touch(&spans, log, lease.mul_f64(HOLDS)));
        }
        all.sort_by_key(|loss| loss.from);
        Self { all, idle, lease, slack, committed }
    }

    /// The loss that explains why what this node was handed at `first` was handed over again at `second`; and how long
    /// before it, of the time in which the node could commit, the first was.
    pub(crate) fn explains(
        &self,
        node: usize,
        first: Moment,
        second: Moment,
    ) -> Option<(What, Duration)> {
        let own = self.all.iter().filter(|loss| loss.node == node);
        let explained = own.filter_map(|loss| {
            let until = match loss.what {
                // What it reads while it may believe in its lease, it hands over.
                What::CutOff => (loss.from + self.lease).min(loss.to),
                _ => loss.from,
            };
            let thawed = loss.what == What::Frozen
                && (loss.to..=loss.to + THAWED).contains(&(first + GRAIN));
            let before = self.idle[node].free(first.min(loss.from), loss.from);
            let fits =
                (first <= until + GRAIN + self.slack || thawed) && second + GRAIN >= loss.from;
            (fits && before <= self.committed).then_some((loss.what, before))
        });
        explained.min_by_key(|(_, before)| *before)
    }

    /// Whether this node was there for all of that time.
    pub(crate) fn is_sound(&self, log: &Log, node: usize, from: Moment, to: Moment) -> bool {
        let mut own = log.troubles.iter().filter(|trouble| trouble.node == node);
        !own.any(|trouble| trouble.from < to && from < trouble.to)
    }
}

impl What {
    /// Whether the process ended.
    pub(crate) fn ends(self) -> bool {
        matches!(self, Self::Killed | Self::Left | Self::LeftUnheard)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Left => "left",
            Self::LeftUnheard => "left while it could not reach the database",
            Self::Frozen => "frozen",
            Self::CutOff => "cut off",
        }
    }
}

/// Spans of `holds` and more in which a node could not renew, and others could: that is, of those in which the database was
/// away for all, only what goes on with a trouble of its own.
fn out_of_touch(spans: &[Trouble], log: &Log, holds: Duration) -> Vec<Loss> {
    let mut all: Vec<Trouble> = spans.to_vec();
    let node = spans.first().map_or(0, |it| it.node);
    let away = log.away.iter().filter(|_| !spans.is_empty());
    all.extend(away.map(|(from, to)| Trouble { node, what: What::Left, from: *from, to: *to }));
    all.sort_by_key(|it| it.from);
    let mut merged: Vec<Loss> = Vec::new();
    for Trouble { what, from, to, .. } in all {
        match merged.last_mut().filter(|last| from <= last.to) {
            Some(last) => {
                last.to = last.to.max(to);
                if last.what == What::Left {
                    last.what = what;
                }
            }
            None => merged.push(Loss { node, what, from, to }),
        }
    }
    merged.retain(|loss| loss.what != What::Left && loss.to - loss.from >= holds);
    merged
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn second(at: u64) -> Duration {
        Duration::from_secs(at)
    }

    fn losses(troubles: &[(What, u64, u64)], away: &[(u64, u64)]) -> Losses {
        let trouble = |(what, from, to): &(What, u64, u64)| Trouble {
            node: 0,
            what: *what,
            from: second(*from),
            to: second(*to),
        };
        let log = Log {
            troubles: troubles.iter().map(trouble).collect(),
            away: away.iter().map(|(from, to)| (second(*from), second(*to))).collect(),
            ..Log::default()
        };
        Losses::new(
            &log,
            &Args::parse_from("fleet --nodes 2 --lease 10s --commit-delay 5s".split(' ')),
        )
    }

    #[test]
    fn a_kill_explains_what_was_handed_over_shortly_before_it_and_again_after_it() {
        let losses = losses(&[(What::Killed, 100, 120)], &[]);
        let explains = |first, again| losses.explains(0, second(first), second(again)).is_some();
        assert!(explains(95, 115));
        assert!(!explains(80, 115), "that had long been committed");
        assert!(!explains(95, 98), "that came again before");
        assert!(!explains(105, 115), "it was dead then");
        assert!(losses.explains(1, second(95), second(115)).is_none(), "another node");
    }

    #[test]
    fn a_database_that_is_away_for_all_explains_nothing_and_clean_ends_neither() {
        for (troubles, away) in [(&[][..], &[(90, 130)][..]), (&[(What::Left, 100, 120)][..], &[])]
        {
            assert_eq!(losses(troubles, away).all, []);
        }
    }

    #[test]
    fn what_could_not_be_committed_while_the_database_was_away_may_come_again_after_a_kill() {
        let losses = losses(&[(What::Killed, 100, 120)], &[(80, 99)]);
        assert!(losses.explains(0, second(85), second(115)).is_some());
    }

    #[test]
    fn a_node_that_is_cut_off_loses_its_lease_only_if_that_lasts() {
        assert_eq!(losses(&[(What::CutOff, 100, 104)], &[]).all, []);
        let long = losses(&[(What::CutOff, 100, 120)], &[]);
        assert!(long.explains(0, second(109), second(115)).is_some(), "it had its lease still");
        assert!(long.explains(0, second(113), second(115)).is_none(), "it had none");
    }
}
