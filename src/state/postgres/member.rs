//! This process as a member of a fleet, and the seats of its sources.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::link::Link;
use super::source::Held;
use super::{lease, looks};
use crate::clock::Clock;
use crate::config::database::{Database, Fleet};
use crate::fleet::{Duty, Leader, Me, Seat, Standing, Term};
use crate::state::StateError;

/// What giving a source back may take at the end: hosts grant seconds, and a lease ends by itself.
const LEAVE_MAX: Duration = Duration::from_secs(1);

/// The memberships of this process: one, unless its instances are of several fleets.
static MEMBERS: Mutex<Vec<(Fleet, Weak<Member>)>> = Mutex::new(Vec::new());

/// This process in a fleet. Dropping the last handle ends its task, and the link with it.
struct Member {
    database: Database,
    link: Arc<Link>,
    desk: Arc<Desk>,
    task: AbortHandle,
}

/// What the task and the workers share.
pub(super) struct Desk {
    pub(super) me: Me,
    sources: Mutex<BTreeMap<String, Arc<Entry>>>,
    trouble: Mutex<Option<Trouble>>,
    /// Wakes the task.
    pub(super) nudge: Notify,
}

/// One source.
pub(super) struct Entry {
    own: Mutex<Own>,
    /// Wakes its worker.
    pub(super) wake: Arc<Notify>,
}

/// What this process knows of a source.
pub(super) struct Own {
    pub(super) seat: Seat,
    /// The number of its row, once that is known.
    pub(super) id: Option<i64>,
}

/// Why the database does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What it is.
    pub error: String,
    /// What to do about it.
    pub mend: &'static str,
}

impl Trouble {
    pub(super) fn of(error: &StateError) -> Self {
        Self { error: error.to_string(), mend: error.mend() }
    }
}

/// A source's seat in this process, as its worker has it. Dropping it gives the source back; it waits for that only a moment.
pub struct Place {
    member: Arc<Member>,
    entry: Arc<Entry>,
    source: String,
}

impl Place {
    /// Takes a source's seat. Goes nowhere yet: the first look at the database follows at once, by another thread. `wake` is
    /// notified when something changes.
    ///
    /// # Errors
    /// If another instance of this process has the source; or the system has no thread left.
    pub fn take(fleet: &Fleet, source: &str, wake: Arc<Notify>) -> Result<Self, StateError> {
        let mut members = MEMBERS.lock().unwrap_or_else(PoisonError::into_inner);
        members.retain(|(_, member)| member.strong_count() > 0);
        let alive: Vec<Arc<Member>> = members.iter().filter_map(|(_, it)| it.upgrade()).collect();
        let of_database = alive.iter().filter(|member| member.database == fleet.database);
        if of_database.into_iter().any(|member| member.desk.sources().contains_key(source)) {
            return Err(StateError::Taken(source.to_owned()));
        }
        let same = members.iter().find(|(of, _)| of == fleet);
        let member = match same.and_then(|(_, member)| member.upgrade()) {
            Some(member) => member,
            None => {
                let member = Arc::new(Member::new(fleet)?);
                members.push((fleet.clone(), Arc::downgrade(&member)));
                member
            }
        };
        let own = Own { seat: Seat::new(Clock::start().now().mono), id: None };
        let entry = Arc::new(Entry { own: Mutex::new(own), wake });
        member.desk.sources().insert(source.to_owned(), Arc::clone(&entry));
        member.desk.nudge.notify_one();
        Ok(Self { member, entry, source: source.to_owned() })
    }

    /// This node's name.
    pub fn node(&self) -> &str {
        &self.member.desk.me.node
    }

    /// How often the worker must be heard of.
    pub fn lease(&self) -> Duration {
        self.member.desk.me.lease
    }

    /// The way to the database.
    pub fn link(&self) -> &Arc<Link> {
        &self.member.link
    }

    /// The worker is alive.
    pub fn hear(&self) {
        self.entry.own().seat.heard(Clock::start().now().mono);
    }

    /// What this process holds of the source, if it reads it.
    pub fn held(&self) -> Option<Held> {
        let own = self.entry.own();
        let Standing::Leads { epoch, .. } = own.seat.standing() else { return None };
        let source = own.id?;
        Some(Held { source, epoch, holder: self.member.desk.me.process })
    }

    /// Who reads the source, as far as is known.
    pub fn leader(&self) -> Option<Leader> {
        self.entry.own().seat.leader().cloned()
    }

    /// What the worker is to do in its term.
    pub fn duty(&self, term: &mut Term, owes: bool) -> Duty {
        let duty = term.duty(&mut self.entry.own().seat, owes, Clock::start().now());
        if duty == Duty::Over {
            // What may go to another node goes at once.
            self.member.desk.nudge.notify_one();
        }
        duty
    }

    /// A write of this epoch was refused: another process has the source.
    pub fn ended(&self, epoch: i64) {
        self.entry.own().seat.ended(epoch);
    }

    /// Why the database does not answer, if it does not.
    pub fn trouble(&self) -> Option<Trouble> {
        self.member.desk.trouble().clone()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let desk = &self.member.desk;
        let last = {
            let mut sources = desk.sources();
            sources.remove(&self.source);
            sources.is_empty()
        };
        let (id, epoch) = {
            let own = self.entry.own();
            (own.id, own.epoch())
        };
        // Where the database is away, the lease ends by itself.
        if let Some(id) = id
            && self.trouble().is_none()
        {
            let left = self.member.link.run(LEAVE_MAX, &|| true, async |client| {
                lease::leave(client, &desk.me, id, epoch, last).await
            });
            if let Err(error) = left {
                // The sources that end next need not find out for themselves: a host that stops grants seconds for all.
                *desk.trouble() = Some(Trouble::of(&error));
            }
        }
    }
}

impl Member {
    fn new(fleet: &Fleet) -> Result<Self, StateError> {
        let link = Link::to(&fleet.database, fleet.lease)?;
        let process = fastrand::i64(1..);
        let desk = Arc::new(Desk {
            me: Me { process, node: fleet.node.clone(), lease: fleet.lease },
            sources: Mutex::default(),
            trouble: Mutex::default(),
            nudge: Notify::new(),
        });
        let task = link.spawn(looks::keep(Arc::clone(&desk), link.pool())).abort_handle();
        Ok(Self { database: fleet.database.clone(), link, desk, task })
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Desk {
    pub(super) fn sources(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Entry>>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn trouble(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    pub(super) fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Own {
    /// The epoch that the process still answers for.
    pub(super) fn epoch(&self) -> Option<i64> {
        match self.seat.standing() {
            Standing::Leads { epoch, .. } | Standing::Leaves { epoch } => Some(epoch),
            Standing::By => None,
        }
    }
}
