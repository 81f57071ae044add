//! This process as a member of a fleet, and the seats of its sources.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::lease::Left;
use super::link::Link;
use super::looks;
use super::source::Held;
use crate::clock::Clock;
use crate::config::database::{Database, Fleet};
use crate::fleet::{Duty, Leader, Me, Seat, Standing, Term};
use crate::state::StateError;

/// What giving sources back may take at the end, all together: hosts grant seconds, and a lease ends by itself.
pub(super) const LEAVE_MAX: Duration = Duration::from_secs(1);

/// The memberships of this process: one, unless its instances are of several fleets.
static MEMBERS: Mutex<Vec<(Fleet, Weak<Member>)>> = Mutex::new(Vec::new());

/// This process in a fleet. Dropping the last handle gives back what it still has, and ends its task, and the link with it.
struct Member {
    database: Database,
    link: Arc<Link>,
    desk: Arc<Desk>,
    task: AbortHandle,
    /// Ends when the task does.
    done: Mutex<Receiver<()>>,
}

/// What the task and the workers share.
pub(super) struct Desk {
    pub(super) me: Me,
    sources: Mutex<BTreeMap<String, Arc<Entry>>>,
    trouble: Mutex<Option<Trouble>>,
    /// The sources that have ended here, which the database does not know yet.
    left: Mutex<Vec<Left>>,
    /// Wakes the task.
    pub(super) nudge: Notify,
    closing: AtomicBool,
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
    /// Whether its worker has ended: a look that is under way must not take the source for it.
    pub(super) is_gone: bool,
    /// Whether the source has been seen with a state, by a look or by its worker.
    pub(super) had_state: bool,
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

/// A source's seat in this process, as its worker has it. Dropping it gives the source back, at the next look;
/// the last of a process waits a moment for that.
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
        let entry = Arc::new(Entry::new(wake));
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

    /// Whether this process has seen a state of the source, whoever had it then: one that is missing now is lost.
    pub fn had_state(&self) -> bool {
        self.entry.own().had_state
    }

    /// The worker has opened a state of the source.
    pub fn has_state(&self) {
        self.entry.own().had_state = true;
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

    /// The worker cannot read in this epoch: another process is to have the source, if there is one.
    pub fn stands_back(&self, epoch: i64) {
        self.entry.own().seat.stands_back(epoch, Clock::start().now().mono);
        self.member.desk.nudge.notify_one();
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
        // Before another instance can have the source: what it makes known is not to be undone.
        let mut sources = desk.sources();
        let mut own = self.entry.own();
        own.is_gone = true;
        desk.left().extend(own.left());
        drop(own);
        sources.remove(&self.source);
        drop(sources);
        desk.nudge.notify_one();
    }
}

impl Member {
    fn new(fleet: &Fleet) -> Result<Self, StateError> {
        let link = Link::to(&fleet.database, fleet.lease)?;
        let process = fastrand::i64(1..);
        let me = Me { process, node: fleet.node.clone(), lease: fleet.lease };
        let desk = Arc::new(Desk::new(me));
        let (ends, done) = channel();
        let looks = looks::keep(Arc::clone(&desk), link.pool());
        let task = link.spawn(async move {
            looks.await;
            drop(ends);
        });
        let (database, task) = (fleet.database.clone(), task.abort_handle());
        Ok(Self { database, link, desk, task, done: Mutex::new(done) })
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.desk.closing.store(true, Ordering::Release);
        self.desk.nudge.notify_one();
        let done = self.done.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Nothing is ever sent.
        let _ = done.recv_timeout(LEAVE_MAX);
        self.task.abort();
    }
}

impl Desk {
    pub(super) fn new(me: Me) -> Self {
        Self {
            me,
            sources: Mutex::default(),
            trouble: Mutex::default(),
            left: Mutex::default(),
            nudge: Notify::new(),
            closing: AtomicBool::new(false),
        }
    }

    pub(super) fn sources(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Entry>>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn trouble(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn left(&self) -> MutexGuard<'_, Vec<Left>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the process has no more sources, nor will have any.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }
}

impl Entry {
    /// Of a worker that has just come.
    pub(super) fn new(wake: Arc<Notify>) -> Self {
        let seat = Seat::new(Clock::start().now().mono);
        let own = Own { seat, id: None, is_gone: false, had_state: false };
        Self { own: Mutex::new(own), wake }
    }

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

    /// What the database is to be told once the worker has ended, if it knows the source.
    pub(super) fn left(&self) -> Option<Left> {
        Some(Left { source: self.id?, epoch: self.epoch() })
    }
}
