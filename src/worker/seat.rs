//! A source's thread in a fleet: the state that it opens when it leads, what it may do in a run, and what it says of that.

use std::sync::Arc;
use std::time::Duration;

use super::shared::Shared;
use crate::config::database::Fleet;
use crate::config::plan::Schedule;
use crate::config::sweeps;
use crate::fleet::{Duty, Leader, Lease, Term};
use crate::handoff::Lending;
use crate::model::{Bucket, Now, Timestamp};
use crate::poll::Report;
use crate::poll::condition::Condition;
use crate::poll::progress::{Beginning, Progress};
use crate::state::postgres::{self, Place, Stop, Trouble};
use crate::state::{Opened, State, StateError};

/// What the thread keeps from one run to the next.
pub(super) struct Seat {
    place: Arc<Place>,
    standby: Condition,
    /// The epoch that was reported last.
    led: Option<i64>,
}

/// Why this node does not read the source.
pub(super) enum Idle {
    /// Another does, or may.
    StandingBy,
    /// Nobody knows: the database does not answer.
    Away(Trouble),
}

impl Seat {
    /// Takes the source's seat in this process, without a word to the database yet.
    pub(super) fn take(fleet: &Fleet, source: &str, shared: &Shared) -> Result<Self, StateError> {
        let place = Arc::new(Place::take(fleet, source, Arc::clone(&shared.wake))?);
        Ok(Self { place, standby: Condition::default(), led: None })
    }

    /// Opens the state, for a run in the epoch that begins.
    pub(super) fn open(
        &self,
        shared: &Arc<Shared>,
        from: Bucket,
        begin: impl Fn(&Beginning) -> Progress,
    ) -> Result<Opened<Box<dyn State>>, StateError> {
        let held = self.place.held().ok_or(StateError::Fenced)?;
        let (place, shared) = (Arc::clone(&self.place), Arc::clone(shared));
        // It is asked every now and then while the database is waited for.
        let stop: Stop = Arc::new(move || {
            place.hear();
            shared.stopping()
        });
        let had_state = self.place.had_state();
        let opened = postgres::open(self.place.link(), held, from, begin, had_state, stop);
        match opened {
            Ok(opened) => {
                self.place.has_state();
                Ok(opened.boxed())
            }
            Err(error) => {
                if matches!(error, StateError::Fenced) {
                    self.place.ended(held.epoch);
                }
                Err(error)
            }
        }
    }

    /// What a run may do in the epoch that this process leads in, if it does.
    pub(super) fn turn(&self, commit_delay: Duration) -> Result<Turn, Idle> {
        self.place.hear();
        let Some(held) = self.place.held() else {
            return Err(self.place.trouble().map_or(Idle::StandingBy, Idle::Away));
        };
        let (place, term) = (Arc::clone(&self.place), Term::new(held.epoch, commit_delay));
        Ok(Turn { place, term, lease: None, troubled: false })
    }

    /// A run begins: says so if it is the first of its epoch.
    pub(super) fn begins(&mut self, epoch: i64, resumed: Option<Timestamp>) -> Option<Report> {
        self.standby.end();
        let is_new = self.led.replace(epoch) != Some(epoch);
        is_new.then(|| Report::leader(self.place.node(), epoch, resumed))
    }

    /// This node stands by: says so if another is known to have the source, or this one had it, and it is time to.
    pub(super) fn stands_by(&mut self, now: Now) -> Option<Report> {
        let Leader { node, epoch } = self.place.leader()?;
        let due = (node.is_some() || self.led.is_some()) && self.standby.hold(now.mono);
        due.then(|| Report::standby(self.place.node(), node.as_deref(), epoch))
    }

    /// This node came up.
    pub(super) fn came_up(&self, schedule: &Schedule) -> Report {
        let sweeps = sweeps::show(&schedule.sweeps);
        Report::joined(self.place.node(), schedule.window, schedule.interval, sweeps)
    }

    /// No run can begin: another node is to have the source, if it can be given back now.
    pub(super) fn stands_back(&self) {
        if let Some(held) = self.place.held() {
            self.place.stands_back(held.epoch);
        }
    }

    /// The thread is alive.
    pub(super) fn hear(&self) {
        self.place.hear();
    }

    /// How long the thread may sleep without being taken for dead.
    pub(super) fn rest(&self) -> Duration {
        self.place.lease() / 4
    }
}

/// A run's time as the source's leader.
pub(super) struct Turn {
    place: Arc<Place>,
    term: Term,
    /// While it holds, records may be asked for.
    lease: Option<Lease>,
    /// Whether the database did not answer lately.
    troubled: bool,
}

impl Turn {
    /// Which time it is that the source is led.
    pub(super) fn epoch(&self) -> i64 {
        self.term.epoch()
    }

    /// Looks whether the run goes on, and says when records may be lent; nothing if it is over. `owes` says whether something
    /// is still to be committed.
    pub(super) fn look(&mut self, owes: bool) -> Option<Lending> {
        let duty = self.place.duty(&mut self.term, owes);
        self.lease = match duty {
            Duty::Read(lease) => Some(lease),
            Duty::Finish | Duty::Over => None,
        };
        match duty {
            Duty::Read(lease) => Some(Lending::While(lease)),
            Duty::Finish => Some(Lending::Never),
            Duty::Over => None,
        }
    }

    /// Whether records may be asked for.
    pub(super) fn may_read(&self, now: Now) -> bool {
        self.lease.is_some_and(|lease| lease.holds(now))
    }

    /// Whether the run is to finish.
    pub(super) fn finishes(&self) -> bool {
        self.term.finishes()
    }

    /// A write was refused: another process has the source.
    pub(super) fn fenced(&self) {
        self.place.ended(self.term.epoch());
    }

    /// Why the database does not answer, if it does not.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.place.trouble()
    }

    /// Whether the database answers again, since this was last asked.
    pub(super) fn recovers(&mut self, troubled: bool) -> bool {
        std::mem::replace(&mut self.troubled, troubled) && !troubled
    }
}
