//! The looks at the database: at every tick, one task renews the leases of all sources of the process and sees who else is there. What to
//! do about it is decided by `fleet`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::lease::{self, Epoch, Request, View};
use super::link::Pool;
use super::member::{Desk, Entry, LEAVE_MAX, Trouble};
use crate::clock::Clock;
use crate::config::database::look_limit;
use crate::fleet::{Act, Candidate, Contact, Lease, Standing};
use crate::model::Now;
use crate::state::StateError;

/// One that failed is tried again so much later.
const AGAIN: Duration = Duration::from_millis(500);

/// One that was asked for waits so long for others that ask as well.
const TOGETHER: Duration = Duration::from_millis(20);

/// Looks for as long as the process has sources in the fleet.
pub(super) async fn keep(desk: Arc<Desk>, pool: Arc<Pool>) {
    let mut looks = Looks::default();
    while !desk.is_closing() {
        looks.look(&desk, &pool).await;
        let soon = if looks.failed == 0 { looks.soonest } else { Some(AGAIN) };
        let pause = soon.unwrap_or(Duration::MAX).min(desk.me.tick());
        let _ = timeout(pause, desk.nudge.notified()).await;
        sleep(TOGETHER).await;
    }
    // Where the database is away, or was never seen, leases end by themselves.
    if looks.failed == 0 && looks.contact.is_made() {
        let _ =
            pool.run_first(LEAVE_MAX, async |client| lease::leave(client, &desk.me).await).await;
    }
}

/// What is remembered from one look to the next.
#[derive(Default)]
struct Looks {
    contact: Contact,
    /// Which processes have a source; when that was asked; and who lived then.
    candidates: HashMap<i64, Vec<i64>>,
    asked: Option<Duration>,
    alive: Vec<i64>,
    /// When the first of all leases ends, unless it is renewed.
    soonest: Option<Duration>,
    /// How many looks have failed since the last that did not.
    failed: u32,
}

type Sources = BTreeMap<String, Arc<Entry>>;

impl Looks {
    async fn look(&mut self, desk: &Desk, pool: &Pool) {
        let (me, clock) = (&desk.me, Clock::start());
        let sources = desk.sources().clone();
        if sources.is_empty() && desk.left().is_empty() {
            return;
        }
        let limit = look_limit(me.lease);
        let sent = clock.now();
        let request = self.request(desk, &sources, sent);
        let seen = pool.run_first(limit, async |client| lease::look(client, me, &request).await);
        let view = match seen.await {
            Ok(view) => view,
            Err(error) => {
                desk.left().extend(request.left);
                self.soonest = None;
                return self.failed(desk, &error);
            }
        };
        let now = clock.now();
        self.failed = 0;
        *desk.trouble() = None;
        self.contact.answered(sent.mono, now.mono, me.lease);
        self.soonest = view.soonest;
        self.remember(&view, now.mono);
        renewed(desk, &sources, &request, &view, Lease::of(sent, me.lease));
        let free = self.decide(desk, &sources, &view, now.mono);
        if free.is_empty() {
            return;
        }
        let (seen, sent): (Vec<Epoch>, _) = (free.keys().copied().collect(), clock.now());
        let taken = pool.run_first(limit, async |client| lease::take(client, me, &seen).await);
        // What was taken without an answer is seen at the next look.
        for (id, epoch) in taken.await.unwrap_or_default() {
            let Some(entry) = free.get(&(id, epoch - 1)) else { continue };
            let mut own = entry.own();
            own.seat.taken(epoch, Lease::of(sent, me.lease));
            if own.is_gone {
                // Its worker has ended meanwhile.
                desk.left().extend(own.left());
                desk.nudge.notify_one();
            }
            entry.wake.notify_one();
        }
    }

    fn request(&self, desk: &Desk, sources: &Sources, now: Now) -> Request {
        // Before a source is looked at: one that has ended and come again is to be made known, not forgotten.
        let mut request = Request { left: std::mem::take(&mut *desk.left()), ..Request::default() };
        let mut introduces = self.asked.is_none_or(|asked| now.mono >= asked + desk.me.lease);
        for (name, entry) in sources {
            let own = entry.own();
            if own.is_gone {
                continue;
            }
            request.names.push(name.clone());
            let Some(id) = own.id else {
                introduces = true;
                continue;
            };
            request.renews.extend(own.seat.renews(&desk.me, now).map(|epoch| (id, epoch)));
            if let Standing::Leaves { epoch } = own.seat.standing() {
                request.leaves.push((id, epoch));
            }
        }
        request.introduces = introduces;
        request
    }

    /// The database did not answer. Once is no trouble yet: a connection may have been cut.
    fn failed(&mut self, desk: &Desk, error: &StateError) {
        self.failed += 1;
        if self.failed > 1 {
            *desk.trouble() = Some(Trouble::of(error));
        }
    }

    fn remember(&mut self, view: &View, now: Duration) {
        let alive: Vec<i64> = view.alive.iter().map(|it| it.process).collect();
        match &view.candidates {
            Some(candidates) => {
                self.asked = Some(now);
                self.candidates.clear();
                for (source, process) in candidates {
                    self.candidates.entry(*source).or_default().push(*process);
                }
            }
            // Who has come may have brought sources, who has gone has left some.
            None if alive != self.alive => self.asked = None,
            None => {}
        }
        self.alive = alive;
    }

    /// What to do about each source; returns those to be taken, by the epoch that they were seen in.
    fn decide(
        &self,
        desk: &Desk,
        sources: &Sources,
        view: &View,
        now: Duration,
    ) -> BTreeMap<Epoch, Arc<Entry>> {
        let is_moving = |entry: &&Arc<Entry>| entry.own().seat.is_moving();
        let leads = sources.values().filter(|entry| entry.own().epoch().is_some()).count();
        let mut moving = sources.values().filter(is_moving).count();
        let mut free = BTreeMap::new();
        for (name, entry) in sources {
            let Some((id, row)) = view.rows.get(name) else { continue };
            let candidates = self.candidates_of(*id, view);
            let mut own = entry.own();
            if own.is_gone {
                continue;
            }
            let before = own.seat.standing();
            let act = own.seat.see(name, row, &candidates, &desk.me, &self.contact, now);
            if own.seat.standing() != before {
                entry.wake.notify_one();
            }
            match act {
                Act::Take => {
                    free.insert((*id, row.epoch), Arc::clone(entry));
                }
                Act::Recall if moving < desk.me.recalls(leads) => {
                    moving += 1;
                    own.seat.recall(now);
                    entry.wake.notify_one();
                }
                Act::Recall | Act::Nothing => {}
            }
        }
        free
    }

    fn candidates_of(&self, id: i64, view: &View) -> Vec<Candidate> {
        let processes = self.candidates.get(&id).map_or(&[][..], Vec::as_slice);
        let alive = view.alive.iter().filter(|it| processes.contains(&it.process));
        alive.cloned().collect()
    }
}

/// What has come of renewing.
fn renewed(desk: &Desk, sources: &Sources, request: &Request, view: &View, lease: Lease) {
    let epochs: HashMap<i64, i64> = request.renews.iter().copied().collect();
    let renewed = view.renewed.iter().filter_map(|id| Some((*id, *epochs.get(id)?)));
    let renewed: HashMap<i64, i64> = renewed.collect();
    for (name, entry) in sources {
        let mut own = entry.own();
        let id = view.rows.get(name).map(|(id, _)| *id);
        if own.id != id {
            // The tables are not those that were there.
            if let (Some(_), Some(epoch)) = (own.id, own.epoch()) {
                own.seat.ended(epoch);
            }
            own.id = id;
            if own.is_gone {
                // It has been made known since.
                desk.left().extend(own.left());
                desk.nudge.notify_one();
            }
        }
        let Some(id) = id else { continue };
        own.had_state |= view.stateful.contains(&id);
        if let Some(epoch) = renewed.get(&id) {
            own.seat.renewed(*epoch, lease);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Notify;

    use super::*;
    use crate::fleet::{Me, Row};

    #[test]
    fn a_source_whose_worker_ends_while_a_look_is_under_way_is_not_taken_for_it() {
        let me = Me { process: 1, node: "n1".to_owned(), lease: Duration::from_secs(30) };
        let desk = Desk::new(me);
        let entry = Arc::new(Entry::new(Arc::new(Notify::new())));
        let sources = Sources::from([("s".to_owned(), Arc::clone(&entry))]);
        let row = Row { epoch: 5, holder: None, node: None, over: Some(Duration::ZERO) };
        let view = View { rows: [("s".to_owned(), (7, row))].into(), ..View::default() };
        let now = Clock::start().now();
        let (looks, request) = (Looks::default(), Request::default());
        let free = || looks.decide(&desk, &sources, &view, now.mono).len();
        assert_eq!(free(), 1);
        entry.own().is_gone = true;
        assert_eq!(free(), 0);
        // That it was made known meanwhile is taken back.
        renewed(&desk, &sources, &request, &view, Lease::of(now, desk.me.lease));
        assert_eq!(desk.left().iter().map(|it| it.source).collect::<Vec<_>>(), [7]);
    }
}
