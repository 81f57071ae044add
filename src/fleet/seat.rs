//! A source's place in this process: what the looks at the database make of it, and what its worker says.

use std::time::Duration;

use super::Me;
use super::lease::{Contact, Lease};
use super::rank::{self, Candidate};
use crate::model::Now;

/// A source that was sent on its way to another node stays for so many leases if it comes back; one that a process cannot
/// read is left to others for as many.
const STAYS: u32 = 10;

/// A source's row, as seen by the database's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// How many leaders it has had.
    pub epoch: i64,
    /// The process that took it last and has not released it.
    pub holder: Option<i64>,
    /// That process's node.
    pub node: Option<String>,
    /// For how long its lease has been over; nothing while it runs.
    pub over: Option<Duration>,
}

/// Whether this process reads a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does not.
    By,
    /// It does, in this epoch, while the lease holds.
    Leads {
        /// Stands in every write.
        epoch: i64,
        /// Until when records may be asked for, and handed over.
        lease: Lease,
    },
    /// It did, and all that the host has is committed: others may have it.
    Leaves {
        /// The epoch that ends.
        epoch: i64,
    },
}

/// Who reads a source, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Its node; nothing if nobody does, or this process.
    pub node: Option<String>,
    /// The epoch.
    pub epoch: i64,
}

/// What is to be done about a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Nothing.
    Nothing,
    /// It belongs to another node: its worker is to finish, and to let go of it.
    Recall,
    /// Nobody has it: it is this one's turn.
    Take,
}

/// A source's place in this process.
#[derive(Debug)]
pub struct Seat {
    standing: Standing,
    leader: Option<Leader>,
    /// When its worker was last heard of.
    heard: Duration,
    /// Whether its worker is to finish.
    recalled: bool,
    /// When it was last sent on its way.
    sent_away: Option<Duration>,
    /// When it was last found that this process cannot read it.
    stood_back: Option<Duration>,
}

impl Seat {
    /// Of a worker that has just come.
    pub fn new(now: Duration) -> Self {
        Self {
            standing: Standing::By,
            leader: None,
            heard: now,
            recalled: false,
            sent_away: None,
            stood_back: None,
        }
    }

    /// Whether this process reads the source.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Who read it when the database was last seen; nothing if this process has let go of it since.
    pub fn leader(&self) -> Option<&Leader> {
        self.leader.as_ref()
    }

    /// The worker is alive.
    pub fn heard(&mut self, now: Duration) {
        self.heard = now;
    }

    /// Whether the worker is to finish.
    pub fn is_recalled(&self) -> bool {
        self.recalled
    }

    /// Whether it is on its way to another node.
    pub fn is_moving(&self) -> bool {
        self.recalled || matches!(self.standing, Standing::Leaves { .. })
    }

    /// The worker could not finish in time: the source stays.
    pub fn stays(&mut self) {
        self.recalled = false;
    }

    /// The worker of this epoch has nothing more that is not committed: others may have the source.
    pub fn leaves(&mut self, epoch: i64) {
        if self.leads(epoch) {
            (self.recalled, self.leader) = (false, None);
            self.standing = Standing::Leaves { epoch };
        }
    }

    /// The worker cannot read in this epoch: others are to have the source, which may be able to.
    pub fn stands_back(&mut self, epoch: i64, now: Duration) {
        self.leaves(epoch);
        self.stood_back = Some(now);
    }

    /// This epoch is over: another process has taken the source, or it was released.
    pub fn ended(&mut self, epoch: i64) {
        if self.leads(epoch) || self.standing == (Standing::Leaves { epoch }) {
            (self.recalled, self.leader) = (false, None);
            self.standing = Standing::By;
        }
    }

    /// The epoch whose lease is to be renewed: when a quarter of it has passed, since ten thousand sources are as many rows to
    /// write; and not for a worker that nobody has heard of for a lease.
    pub fn renews(&self, me: &Me, now: Now) -> Option<i64> {
        let Standing::Leads { epoch, lease } = self.standing else { return None };
        let is_fresh = lease.holds(now) && lease.until() >= now.mono + me.lease * 3 / 4;
        (!is_fresh && self.is_heard(me, now.mono)).then_some(epoch)
    }

    /// The lease of this epoch was renewed.
    pub fn renewed(&mut self, epoch: i64, renewed: Lease) {
        if let Standing::Leads { epoch: own, lease } = &mut self.standing
            && *own == epoch
        {
            *lease = renewed;
        }
    }

    /// The source was taken.
    pub fn taken(&mut self, epoch: i64, lease: Lease) {
        self.recalled = false;
        self.standing = Standing::Leads { epoch, lease };
    }

    /// What is to be done, now that the source's row was seen. `contact` is this process's with the database.
    pub fn see(
        &mut self,
        source: &str,
        row: &Row,
        candidates: &[Candidate],
        me: &Me,
        contact: &Contact,
        now: Duration,
    ) -> Act {
        if let Standing::Leads { epoch, .. } | Standing::Leaves { epoch } = self.standing
            && (row.epoch, row.holder) != (epoch, Some(me.process))
        {
            self.ended(epoch);
        }
        let is_others = row.holder.is_some_and(|holder| holder != me.process);
        let node = row.node.clone().filter(|_| is_others);
        self.leader = Some(Leader { node, epoch: row.epoch });
        match self.standing {
            Standing::Leads { .. } if self.belongs_elsewhere(source, candidates, me, now) => {
                Act::Recall
            }
            Standing::By if self.is_heard(me, now) => {
                // A process may seem to live on for some time after it let its lease lapse.
                let is_gone =
                    |it: &&Candidate| row.over.is_some() && row.holder == Some(it.process);
                let rest = candidates.iter().filter(|it| !is_gone(it)).cloned();
                let place = rank::place(source, &rest.collect::<Vec<_>>(), &me.node, me.process);
                if self.is_left_to_others(row, candidates, me, now) {
                    Act::Nothing
                } else if may_take(row, place, me, contact.is_steady(now, me.lease)) {
                    Act::Take
                } else {
                    Act::Nothing
                }
            }
            _ => Act::Nothing,
        }
    }

    /// The worker is to finish.
    pub fn recall(&mut self, now: Duration) {
        self.recalled = true;
        self.sent_away = Some(now);
    }

    fn belongs_elsewhere(
        &self,
        source: &str,
        candidates: &[Candidate],
        me: &Me,
        now: Duration,
    ) -> bool {
        let lately = self.sent_away.is_some_and(|at| now < at + me.lease * STAYS);
        let own = rank::place(source, candidates, &me.node, me.process) == 0;
        let first = rank::first(source, candidates);
        !self.recalled && !lately && !own && first.is_some_and(|it| it.up >= me.lease)
    }

    /// Whether this process could not read it lately, and another is there that may take it; unless none has, for a lease.
    fn is_left_to_others(
        &self,
        row: &Row,
        candidates: &[Candidate],
        me: &Me,
        now: Duration,
    ) -> bool {
        self.stood_back.is_some_and(|at| now < at + me.lease * STAYS)
            && candidates.iter().any(|it| it.process != me.process)
            && row.over.is_none_or(|over| over < me.lease)
    }

    fn is_heard(&self, me: &Me, now: Duration) -> bool {
        now < self.heard + me.lease
    }

    fn leads(&self, wanted: i64) -> bool {
        matches!(self.standing, Standing::Leads { epoch, .. } if epoch == wanted)
    }
}

/// Whether a process that does not lead may take a source: at once if it comes first, else two ticks later for each
/// that comes before it.
fn may_take(row: &Row, place: u32, me: &Me, steady: bool) -> bool {
    match (row.holder, row.over) {
        // It was given to this one, and the answer was lost.
        (Some(holder), _) if holder == me.process => true,
        (_, None) => false,
        (Some(_), Some(_)) if !steady => false,
        (_, Some(over)) => over >= me.tick() * 2 * place,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    const SECOND: Duration = Duration::from_secs(1);
    const LEASE: Duration = Duration::from_secs(30);

    fn at(seconds: u32) -> Now {
        Now { mono: SECOND * seconds, wall: Timestamp::from_secs(i64::from(seconds)) }
    }

    fn me(process: i64) -> Me {
        Me { process, node: format!("n{process}"), lease: LEASE }
    }

    /// Two nodes that have been up for so long; the first of them comes first for the source `s`.
    fn two(up: u32) -> [Candidate; 2] {
        let candidate = |process| Candidate { process, node: me(process).node, up: SECOND * up };
        let both = [candidate(1), candidate(2)];
        let [one, two] = &both;
        let in_order = rank::first("s", &both) == Some(one);
        if in_order { both } else { [two.clone(), one.clone()] }
    }

    fn steady() -> Contact {
        let mut contact = Contact::default();
        contact.answered(Duration::ZERO, Duration::ZERO, LEASE);
        contact
    }

    fn row(epoch: i64, holder: Option<i64>, over: Option<u32>) -> Row {
        let node = holder.map(|process| me(process).node);
        Row { epoch, holder, node, over: over.map(|seconds| SECOND * seconds) }
    }

    /// What a process does, standing by, whose worker was heard a second ago.
    fn standing_by(row: &Row, process: i64, contact: &Contact) -> Act {
        let mut seat = Seat::new(SECOND * 99);
        seat.see("s", row, &two(1_000), &me(process), contact, SECOND * 100)
    }

    #[test]
    fn a_source_is_taken_once_its_lease_is_over_by_the_first_and_a_little_later_by_the_next() {
        let [first, second] = two(1_000).map(|it| it.process);
        let cases = [
            (row(4, Some(9), None), Act::Nothing, Act::Nothing),
            (row(4, Some(9), Some(0)), Act::Take, Act::Nothing),
            (row(4, Some(9), Some(5)), Act::Take, Act::Nothing),
            (row(4, Some(9), Some(6)), Act::Take, Act::Take),
            (row(4, None, Some(0)), Act::Take, Act::Nothing),
        ];
        for (row, by_first, by_second) in cases {
            assert_eq!(standing_by(&row, first, &steady()), by_first, "{row:?}");
            assert_eq!(standing_by(&row, second, &steady()), by_second, "{row:?}");
        }
    }

    #[test]
    fn whoever_let_a_lease_lapse_keeps_the_next_one_waiting_no_longer() {
        let [first, second] = two(1_000).map(|it| it.process);
        let act = |over| standing_by(&row(4, Some(first), over), second, &steady());
        assert_eq!([act(None), act(Some(0))], [Act::Nothing, Act::Take]);
    }

    #[test]
    fn after_an_outage_of_the_database_only_what_was_released_is_taken_at_once() {
        let first = two(0)[0].process;
        let mut back = Contact::default();
        back.answered(SECOND * 95, SECOND * 95, LEASE);
        assert_eq!(standing_by(&row(4, Some(9), Some(500)), first, &back), Act::Nothing);
        assert_eq!(standing_by(&row(4, None, Some(500)), first, &back), Act::Take);
    }

    #[test]
    fn a_source_that_was_given_to_a_process_whose_answer_got_lost_is_taken_anew() {
        let [_, second] = two(1_000).map(|it| it.process);
        let given = row(5, Some(second), None);
        assert_eq!(standing_by(&given, second, &Contact::default()), Act::Take);
    }

    #[test]
    fn nothing_is_taken_or_renewed_for_a_worker_that_fell_silent() {
        let first = me(two(0)[0].process);
        let free = row(4, None, Some(500));
        let mut seat = Seat::new(SECOND * 70);
        let see = |seat: &mut Seat| seat.see("s", &free, &[], &first, &steady(), SECOND * 100);
        assert_eq!(see(&mut seat), Act::Nothing);
        seat.heard(SECOND * 71);
        assert_eq!(see(&mut seat), Act::Take);
        seat.taken(5, Lease::of(at(80), LEASE));
        assert_eq!(seat.renews(&first, at(100)), Some(5));
        assert_eq!(seat.renews(&first, at(101)), None);
    }

    #[test]
    fn a_lease_is_renewed_once_a_quarter_of_it_has_passed_or_it_does_not_hold() {
        let mut seat = Seat::new(SECOND * 99);
        seat.taken(5, Lease::of(at(100), LEASE));
        for (now, renews) in [(at(107), None), (at(108), Some(5)), (at(128), Some(5))] {
            assert_eq!(seat.renews(&me(1), now), renews, "{now:?}");
        }
        let slept = Now { wall: at(5_000).wall, ..at(101) };
        assert_eq!(seat.renews(&me(1), slept), Some(5));
    }

    #[test]
    fn a_source_goes_to_the_node_that_it_belongs_to_once_that_has_been_up_for_a_lease() {
        let second = me(two(0)[1].process);
        let mut seat = Seat::new(SECOND * 99);
        seat.taken(5, Lease::of(at(99), LEASE));
        let held = row(5, Some(second.process), None);
        let see = |seat: &mut Seat, up, now| {
            seat.see("s", &held, &two(up), &second, &steady(), SECOND * now)
        };
        assert_eq!(see(&mut seat, 29, 100), Act::Nothing);
        assert_eq!(see(&mut seat, 30, 100), Act::Recall);
        seat.recall(SECOND * 100);
        assert_eq!(see(&mut seat, 31, 101), Act::Nothing, "once is enough");
        seat.stays();
        assert_eq!(see(&mut seat, 300, 399), Act::Nothing, "it could not be let go of");
        assert_eq!(see(&mut seat, 301, 400), Act::Recall);
    }

    #[test]
    fn a_source_that_cannot_be_read_here_is_left_to_others_unless_none_takes_it() {
        let all = two(1_000);
        let first = me(all[0].process);
        let mut seat = Seat::new(SECOND * 99);
        seat.taken(5, Lease::of(at(99), LEASE));
        seat.stands_back(5, SECOND * 100);
        assert_eq!(seat.standing(), Standing::Leaves { epoch: 5 });
        let mut see = |candidates: &[Candidate], over, now| {
            seat.heard(SECOND * now);
            let row = row(5, None, Some(over));
            seat.see("s", &row, candidates, &first, &steady(), SECOND * now)
        };
        assert_eq!(see(&all, 0, 101), Act::Nothing);
        assert_eq!(see(&all, 29, 130), Act::Nothing);
        assert_eq!(see(&all, 30, 131), Act::Take, "nobody else has");
        assert_eq!(see(&all[..1], 0, 101), Act::Take, "it is alone");
        assert_eq!(see(&all, 0, 399), Act::Nothing);
        assert_eq!(see(&all, 0, 400), Act::Take, "it may be mended");
    }

    #[test]
    fn a_leader_that_another_has_replaced_stands_by() {
        let mut seat = Seat::new(SECOND * 99);
        seat.taken(5, Lease::of(at(99), LEASE));
        for (epoch, holder) in [(6, Some(9)), (5, Some(9)), (5, None)] {
            seat.taken(5, Lease::of(at(99), LEASE));
            let seen = row(epoch, holder, None);
            seat.see("s", &seen, &[], &me(1), &steady(), SECOND * 100);
            assert_eq!(seat.standing(), Standing::By);
            let node = holder.map(|process| format!("n{process}"));
            assert_eq!(seat.leader(), Some(&Leader { node, epoch }));
        }
    }

    #[test]
    fn what_comes_too_late_changes_nothing() {
        let late = Lease::of(at(500), LEASE);
        let mut seat = Seat::new(SECOND * 99);
        seat.renewed(5, late);
        assert_eq!(seat.standing(), Standing::By);
        let lease = Lease::of(at(99), LEASE);
        seat.taken(6, lease);
        seat.renewed(5, late);
        seat.ended(5);
        seat.leaves(5);
        assert_eq!(seat.standing(), Standing::Leads { epoch: 6, lease });
        seat.leaves(6);
        seat.renewed(6, late);
        assert_eq!(seat.standing(), Standing::Leaves { epoch: 6 });
    }
}
