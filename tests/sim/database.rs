//! The database that the nodes of a fleet share, as far as it says who reads the source: what the statements do to
//! its rows, by its own clock. Each statement is done in one moment.

use std::collections::BTreeMap;
use std::time::Duration;

use in_lookback::fleet::{Candidate, Me, Row};

/// A process that said that it lives.
#[derive(Debug)]
struct Process {
    node: String,
    since: Duration,
    alive_until: Duration,
}

/// The rows. All times are the database's.
#[derive(Debug)]
pub(crate) struct Database {
    epoch: i64,
    holder: Option<(i64, String)>,
    lease_until: Duration,
    processes: BTreeMap<i64, Process>,
    /// How far its clock is ahead of true time.
    pub(crate) ahead: Duration,
    /// Whether nobody can reach it.
    pub(crate) away: bool,
    /// Whether it refuses what a node writes that is not the source's leader.
    pub(crate) fences: bool,
}

impl Database {
    /// A database with an empty row for the source.
    pub(crate) fn new(ahead: Duration, fences: bool) -> Self {
        Self {
            epoch: 0,
            holder: None,
            lease_until: Duration::ZERO,
            processes: BTreeMap::new(),
            ahead,
            away: false,
            fences,
        }
    }

    /// The process lives, and has the source in its configuration.
    pub(crate) fn beat(&mut self, me: &Me, time: Duration) {
        let now = time + self.ahead;
        let new = || Process { node: me.node.clone(), since: now, alive_until: now };
        self.processes.entry(me.process).or_insert_with(new).alive_until = now + me.lease;
    }

    /// Renews the lease of an epoch; says whether it did.
    pub(crate) fn renew(&mut self, me: &Me, epoch: i64, time: Duration) -> bool {
        let holds = self.holds(me, epoch);
        if holds {
            self.lease_until = time + self.ahead + me.lease;
        }
        holds
    }

    /// The source's row, and who lives.
    pub(crate) fn view(&self, time: Duration) -> (Row, Vec<Candidate>) {
        let now = time + self.ahead;
        let row = Row {
            epoch: self.epoch,
            holder: self.holder.as_ref().map(|(process, _)| *process),
            node: self.holder.as_ref().map(|(_, node)| node.clone()),
            over: now.checked_sub(self.lease_until),
        };
        let alive = self.processes.iter().filter(|(_, it)| it.alive_until > now);
        let candidate = |(process, it): (&i64, &Process)| Candidate {
            process: *process,
            node: it.node.clone(),
            up: now - it.since,
        };
        (row, alive.map(candidate).collect())
    }

    /// Takes the source, if nothing has happened to its row since it was seen; the new epoch.
    pub(crate) fn take(&mut self, me: &Me, seen: i64, time: Duration) -> Option<i64> {
        let now = time + self.ahead;
        let is_own = self.holder.as_ref().is_some_and(|(process, _)| *process == me.process);
        if self.epoch != seen || (now < self.lease_until && !is_own) {
            return None;
        }
        self.epoch += 1;
        self.holder = Some((me.process, me.node.clone()));
        self.lease_until = now + me.lease;
        Some(self.epoch)
    }

    /// Gives the source back; says whether it was this one's.
    pub(crate) fn release(&mut self, me: &Me, epoch: i64, time: Duration) -> bool {
        let holds = self.holds(me, epoch);
        if holds {
            self.holder = None;
            self.lease_until = time + self.ahead;
        }
        holds
    }

    /// The process ends, and has nothing any more.
    pub(crate) fn leave(&mut self, me: &Me, time: Duration) {
        self.processes.remove(&me.process);
        if self.holder.as_ref().is_some_and(|(process, _)| *process == me.process) {
            self.release(me, self.epoch, time);
        }
    }

    /// Whether what a process writes in an epoch is refused.
    pub(crate) fn refuses(&self, me: &Me, epoch: i64) -> bool {
        self.fences && !self.holds(me, epoch)
    }

    fn holds(&self, me: &Me, epoch: i64) -> bool {
        let holder = self.holder.as_ref().map(|(process, _)| *process);
        (self.epoch, holder) == (epoch, Some(me.process))
    }
}
