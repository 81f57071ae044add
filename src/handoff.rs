//! From the engine to the host: ready, lent, taken, settled, in order. Knows no host and no clock.
//!
//! The host's yes is not the end: what it took counts as handed over only when it had the time to
//! store it, and a paused host stores nothing.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::fleet::Lease;
use crate::model::{EventKey, Now, Version};
use crate::poll::Mark;

/// Empty buffers kept for use again: fresh memory costs more than the copy into it.
const SPARES_MAX: usize = 4;

/// A larger buffer, of a record that was alone in it, is not kept.
const SPARE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The host stores what it took within a quarter of a second, unless it is very busy.
const SURELY_STORED: Duration = Duration::from_secs(1);

/// Health records that wait for the host at most; the oldest are dropped beyond.
const HEALTH_WAITING_MAX: usize = 256;

/// One hand-over.
#[derive(Debug, Default)]
pub struct Lot {
    /// The records, as a MessagePack stream.
    pub bytes: Vec<u8>,
    /// Their tag, if it is not the instance's own.
    pub tag: Option<Arc<str>>,
    /// How many.
    pub records: u64,
    /// Who they are, and in which version.
    pub keys: Vec<Version>,
    /// The progress that is made once they, and all before them, are handed over.
    pub marks: Vec<Mark>,
}

#[derive(Debug)]
enum Stage {
    Ready,
    Lent,
    /// Taken by the host at this moment; and how many records it had taken with this lot in all.
    Taken {
        at: Duration,
        total: u64,
    },
}

/// When records may be lent. Health records always may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lending {
    /// At any time.
    #[default]
    Always,
    /// While a lease holds: afterwards, another node may hand over the same.
    While(Lease),
    /// Not at all.
    Never,
}

/// What counts as handed over.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// The events, in the order in which they were handed over.
    pub keys: Vec<Version>,
    /// The progress.
    pub marks: Vec<Mark>,
}

impl Settled {
    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.marks.is_empty()
    }
}

/// The queue between the fetch thread and the host's callback.
#[derive(Debug, Default)]
pub struct Handoff {
    queue: VecDeque<(Lot, Stage)>,
    ready_bytes: usize,
    /// Of all lots: what waits to be committed.
    unsettled_keys: usize,
    unsettled_marks: usize,
    pending_records: u64,
    taken_total: u64,
    paused: Option<Duration>,
    /// When it was last looked at whether something has settled.
    looked: Duration,
    lending: Lending,
    spares: Vec<Vec<u8>>,
}

impl Handoff {
    /// Queues a lot.
    pub fn push(&mut self, lot: Lot) {
        self.ready_bytes += lot.bytes.len();
        self.unsettled_keys += lot.keys.len();
        self.unsettled_marks += lot.marks.len();
        self.queue.push_back((lot, Stage::Ready));
    }

    /// Queues a health record; if too many wait already, the oldest of them goes.
    pub fn push_health(&mut self, lot: Lot) {
        let waiting =
            |entry: &&(Lot, Stage)| entry.0.tag.is_some() && matches!(entry.1, Stage::Ready);
        if self.queue.iter().filter(waiting).count() >= HEALTH_WAITING_MAX
            && let Some(oldest) = self.queue.iter().position(|entry| waiting(&entry))
            && let Some((lot, _)) = self.queue.remove(oldest)
        {
            self.ready_bytes -= lot.bytes.len();
        }
        self.push(lot);
    }

    /// Queues progress that waits for nothing but the lots before it.
    pub fn push_marks(&mut self, marks: Vec<Mark>) {
        if marks.is_empty() {
            return;
        }
        match self.queue.back_mut() {
            Some((last, _)) if last.tag.is_none() => {
                self.unsettled_marks += marks.len();
                last.marks.extend(marks);
            }
            _ => self.push(Lot { marks, ..Lot::default() }),
        }
    }

    /// Bytes that wait for the host.
    pub fn ready_bytes(&self) -> usize {
        self.ready_bytes
    }

    /// Events and steps of progress that have not settled yet.
    pub fn unsettled(&self) -> (usize, usize) {
        (self.unsettled_keys, self.unsettled_marks)
    }

    /// Records handed over, not yet settled.
    pub fn pending_records(&self) -> u64 {
        self.pending_records
    }

    /// The events, and the blobs, that do not count as handed over yet.
    pub fn pending(&self) -> HashSet<EventKey> {
        let lots = || self.queue.iter().map(|(lot, _)| lot);
        let blobs = lots().flat_map(|lot| lot.marks.iter().filter_map(Mark::fetched));
        lots().flat_map(|lot| lot.keys.iter().map(|it| it.key())).chain(blobs).collect()
    }

    /// An empty buffer.
    pub fn spare(&mut self) -> Vec<u8> {
        self.spares.pop().unwrap_or_default()
    }

    /// Says when records may be lent from now on.
    pub fn lends(&mut self, lending: Lending) {
        self.lending = lending;
    }

    /// Lends the next lot's tag and bytes to the host; nothing while it is paused, and records only when they may be.
    ///
    /// The time is asked for here, by whoever calls: a process that was stopped may go on just before.
    pub fn lend(&mut self, now: Now) -> Option<(Option<Arc<str>>, Vec<u8>)> {
        if self.paused.is_some() {
            return None;
        }
        let at = self.next(now)?;
        let (lot, stage) = self.queue.get_mut(at)?;
        *stage = Stage::Lent;
        self.ready_bytes -= lot.bytes.len();
        Some((lot.tag.clone(), std::mem::take(&mut lot.bytes)))
    }

    /// How long the next lot is that could be lent.
    pub fn peek(&self, now: Now) -> Option<usize> {
        Some(self.queue[self.next(now)?].0.bytes.len())
    }

    /// Where the next lot is that could be lent.
    fn next(&self, now: Now) -> Option<usize> {
        let records = match &self.lending {
            Lending::Always => true,
            Lending::While(lease) => lease.holds(now),
            Lending::Never => false,
        };
        self.queue.iter().position(|(lot, stage)| {
            let waits = matches!(stage, Stage::Ready) && !lot.bytes.is_empty();
            waits && (records || lot.tag.is_some())
        })
    }

    /// Whether the host has records that have not settled yet.
    pub fn in_hands(&self) -> bool {
        let has = |(lot, stage): &(Lot, Stage)| lot.tag.is_none() && !matches!(stage, Stage::Ready);
        self.queue.iter().any(has)
    }

    /// The host took what was lent.
    pub fn taken(&mut self, mut bytes: Vec<u8>, now: Duration) {
        let before = self.taken_total;
        if let Some((lot, stage)) = self.lent() {
            let records = lot.records;
            let pending = if lot.tag.is_none() { records } else { 0 };
            *stage = Stage::Taken { at: now, total: before + records };
            self.taken_total += records;
            self.pending_records += pending;
        }
        bytes.clear();
        if self.spares.len() < SPARES_MAX && bytes.capacity() <= SPARE_BYTES_MAX {
            self.spares.push(bytes);
        }
    }

    /// The host refused what was lent: it goes first next time.
    pub fn refused(&mut self, bytes: Vec<u8>) {
        let len = bytes.len();
        let Some(at) = self.queue.iter().position(|(_, stage)| matches!(stage, Stage::Lent)) else {
            return;
        };
        let (lot, stage) = &mut self.queue[at];
        if lot.tag.is_none() && lot.keys.is_empty() {
            // It was forgotten while the host had it: what it holds is read again.
            self.queue.remove(at);
            return;
        }
        lot.bytes = bytes;
        *stage = Stage::Ready;
        self.ready_bytes += len;
    }

    /// The host stores nothing from now on.
    pub fn pause(&mut self, now: Duration) {
        self.paused.get_or_insert(now);
    }

    /// The host stores again: what it took waits its whole delay once more.
    pub fn resume(&mut self, now: Duration) {
        self.paused = None;
        for (_, stage) in &mut self.queue {
            if let Stage::Taken { at, .. } = stage {
                *at = now;
            }
        }
    }

    /// Says what time it is; at least twice in every `delay`. If nobody could for longer, the process stood still, and the host
    /// with it: the time does not count, or a commit could come before what the host does first when it goes on.
    pub fn look(&mut self, now: Duration, delay: Duration) {
        let stood_still = now.saturating_sub(self.looked + delay / 2);
        self.looked = now;
        for (_, stage) in &mut self.queue {
            if let Stage::Taken { at, .. } = stage {
                *at = now.min(*at + stood_still);
            }
        }
    }

    /// What the host has had for `delay` counts as handed over.
    pub fn settle(&mut self, now: Duration, delay: Duration) -> Settled {
        let storing = self.paused.is_none();
        self.settle_while(|at, _| storing && now >= at + delay)
    }

    /// The host is done: what it had stored when it had stored `records` in all counts as handed over.
    pub fn settle_stored(&mut self, records: u64) -> Settled {
        self.settle_while(|_, total| total <= records)
    }

    /// The host is done, and nobody knows what it had stored: what it took well before it was
    /// paused counts as handed over.
    pub fn settle_surely_stored(&mut self, now: Duration) -> Settled {
        let end = self.paused.unwrap_or(now);
        self.settle_while(|at, _| end >= at + SURELY_STORED)
    }

    /// Forgets all but health records, how many records the host took, and that it has some in its hands.
    pub fn clear(&mut self) {
        self.queue.retain_mut(|(lot, stage)| {
            (lot.keys, lot.marks) = (Vec::new(), Vec::new());
            match stage {
                Stage::Ready => lot.tag.is_some(),
                Stage::Lent => true,
                Stage::Taken { .. } => false,
            }
        });
        self.ready_bytes = self.queue.iter().map(|(lot, _)| lot.bytes.len()).sum();
        (self.unsettled_keys, self.unsettled_marks) = (0, 0);
        self.pending_records = 0;
    }

    /// When something may settle, if nothing else happens: when to look.
    pub fn settles_at(&self, delay: Duration) -> Option<Duration> {
        let (lot, stage) = self.queue.front()?;
        match stage {
            _ if self.paused.is_some() => None,
            Stage::Ready if is_marks_only(lot) => Some(Duration::ZERO),
            Stage::Taken { .. } if lot.tag.is_some() => Some(Duration::ZERO),
            Stage::Taken { at, .. } => Some((*at + delay).min(self.looked + delay / 2)),
            Stage::Ready | Stage::Lent => None,
        }
    }

    fn settle_while(&mut self, mut settled: impl FnMut(Duration, u64) -> bool) -> Settled {
        let mut done = Settled::default();
        while let Some((lot, stage)) = self.queue.front() {
            let settled = match stage {
                Stage::Ready => is_marks_only(lot),
                Stage::Taken { .. } if lot.tag.is_some() => true,
                Stage::Taken { at, total } => settled(*at, *total),
                Stage::Lent => false,
            };
            if !settled {
                break;
            }
            let Some((lot, stage)) = self.queue.pop_front() else { break };
            if matches!(stage, Stage::Taken { .. }) && lot.tag.is_none() {
                self.pending_records -= lot.records;
            }
            self.unsettled_keys -= lot.keys.len();
            self.unsettled_marks -= lot.marks.len();
            done.keys.extend(lot.keys);
            done.marks.extend(lot.marks);
        }
        done
    }

    fn lent(&mut self) -> Option<&mut (Lot, Stage)> {
        self.queue.iter_mut().find(|(_, stage)| matches!(stage, Stage::Lent))
    }
}

fn is_marks_only(lot: &Lot) -> bool {
    lot.bytes.is_empty() && lot.records == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Bucket, IdHash, Timestamp};

    const SECOND: Duration = Duration::from_secs(1);

    fn key(id: u128) -> Version {
        EventKey { bucket: Bucket(0), id: IdHash(id) }.into()
    }

    fn lot(id: u128) -> Lot {
        Lot { bytes: vec![1, 2, 3], records: 1, keys: vec![key(id)], ..Lot::default() }
    }

    fn take(handoff: &mut Handoff, now: Duration) {
        let (_, bytes) = handoff.lend(at(now)).unwrap();
        handoff.taken(bytes, now);
    }

    fn at(mono: Duration) -> Now {
        Now { mono, wall: Timestamp::from_secs(0) + mono }
    }

    #[test]
    fn a_lot_settles_only_some_time_after_it_was_taken() {
        let mut handoff = Handoff::default();
        handoff.push(lot(1));
        assert!(handoff.settle(SECOND * 9, SECOND * 5).is_empty());
        take(&mut handoff, SECOND);
        handoff.look(SECOND * 2, SECOND * 5);
        handoff.look(SECOND * 4, SECOND * 5);
        assert_eq!(handoff.settles_at(SECOND * 5), Some(SECOND * 6));
        assert!(handoff.settle(SECOND * 5, SECOND * 5).is_empty());
        assert_eq!(handoff.unsettled(), (1, 0));
        assert_eq!(handoff.settle(SECOND * 6, SECOND * 5).keys, [key(1)]);
        assert_eq!(handoff.unsettled(), (0, 0));
    }

    #[test]
    fn progress_waits_for_every_lot_before_it() {
        let mark = Mark::CaughtUp(crate::model::TimeRange::new(
            crate::model::Timestamp::from_secs(0),
            crate::model::Timestamp::from_secs(1),
        ));
        let mut handoff = Handoff::default();
        handoff.push_marks(vec![mark.clone()]);
        assert_eq!(handoff.settle(SECOND, SECOND).marks, std::slice::from_ref(&mark));
        handoff.push(lot(1));
        handoff.push_marks(vec![mark.clone()]);
        assert!(handoff.settle(SECOND, SECOND).is_empty());
        take(&mut handoff, SECOND);
        assert_eq!(handoff.settle(SECOND * 2, SECOND).marks, [mark]);
    }

    #[test]
    fn a_paused_host_is_lent_nothing_and_settles_nothing() {
        let mut handoff = Handoff::default();
        handoff.push(lot(1));
        handoff.push(lot(2));
        assert!(!handoff.in_hands());
        take(&mut handoff, SECOND);
        assert!(handoff.in_hands());
        handoff.pause(SECOND);
        assert!(handoff.lend(at(SECOND * 9)).is_none());
        assert!(handoff.settle(SECOND * 99, SECOND).is_empty());
        handoff.resume(SECOND * 100);
        assert!(handoff.settle(SECOND * 100, SECOND).is_empty());
        assert_eq!(handoff.settle(SECOND * 101, SECOND).keys, [key(1)]);
    }

    #[test]
    fn records_are_lent_while_the_lease_holds_and_health_records_whenever_they_come() {
        let mut handoff = Handoff::default();
        handoff.push(lot(1));
        handoff.push_health(Lot { tag: Some(Arc::from("health")), keys: Vec::new(), ..lot(2) });
        handoff.push(lot(3));
        let is_health = |lent: Option<(Option<Arc<str>>, _)>| lent.map(|(tag, _)| tag.is_some());
        let lease = Lease::of(at(SECOND), SECOND * 30);
        for (lending, now, expected) in [
            (Lending::While(lease), SECOND * 30, Some(false)),
            (Lending::While(lease), SECOND * 31, Some(true)),
            (Lending::While(lease), SECOND * 31, None),
            (Lending::Never, SECOND, None),
            (Lending::Always, SECOND * 99, Some(false)),
        ] {
            handoff.lends(lending);
            assert_eq!(handoff.peek(at(now)).is_some(), expected.is_some());
            assert_eq!(is_health(handoff.lend(at(now))), expected, "{lending:?} at {now:?}");
            handoff.taken(Vec::new(), now);
        }
    }

    #[test]
    fn time_in_which_the_process_stood_still_does_not_settle_anything() {
        let (mut handoff, delay) = (Handoff::default(), SECOND * 4);
        handoff.look(SECOND, delay);
        handoff.push(lot(1));
        take(&mut handoff, SECOND * 2);
        assert_eq!(handoff.settles_at(delay), Some(SECOND * 3), "to look again");
        handoff.look(SECOND * 3, delay);
        // Stopped for a minute, of which two seconds count.
        handoff.look(SECOND * 63, delay);
        assert!(handoff.settle(SECOND * 63, delay).is_empty());
        handoff.look(SECOND * 64, delay);
        assert_eq!(handoff.settle(SECOND * 64, delay).keys, [key(1)]);
    }

    #[test]
    fn what_the_host_refuses_comes_first_again() {
        let mut handoff = Handoff::default();
        handoff.push(lot(1));
        handoff.push(lot(2));
        let (_, bytes) = handoff.lend(at(SECOND)).unwrap();
        handoff.refused(bytes);
        assert_eq!(handoff.ready_bytes(), 6);
        take(&mut handoff, SECOND);
        assert_eq!(handoff.settle(SECOND * 2, SECOND).keys, [key(1)]);
    }

    #[test]
    fn at_the_end_only_what_the_host_stored_settles() {
        let mut handoff = Handoff::default();
        for id in 1..=3 {
            handoff.push(lot(id));
            take(&mut handoff, SECOND);
        }
        assert_eq!(handoff.settle_stored(2).keys, [key(1), key(2)]);
        assert_eq!(handoff.pending_records(), 1);
    }

    #[test]
    fn a_buffer_that_one_huge_record_needed_is_not_kept() {
        let mut handoff = Handoff::default();
        for bytes in [vec![0; SPARE_BYTES_MAX + 1], vec![0; 10]] {
            handoff.push(Lot { bytes, records: 1, ..Lot::default() });
            take(&mut handoff, SECOND);
        }
        assert!((10..=SPARE_BYTES_MAX).contains(&handoff.spare().capacity()));
        assert_eq!(handoff.spare().capacity(), 0);
    }

    #[test]
    fn what_the_host_has_in_its_hands_counts_though_all_is_forgotten() {
        let mut handoff = Handoff::default();
        handoff.push(lot(1));
        handoff.push(lot(2));
        handoff.push_health(Lot { tag: Some(Arc::from("health")), keys: Vec::new(), ..lot(3) });
        let (_, lent) = handoff.lend(at(SECOND)).unwrap();
        handoff.clear();
        assert_eq!(handoff.ready_bytes(), 3, "health is still told");
        handoff.taken(lent, SECOND);
        take(&mut handoff, SECOND);
        handoff.push(lot(4));
        take(&mut handoff, SECOND);
        // Of the four that it took or still waits for, the host has stored two: not the last.
        assert!(handoff.settle_stored(2).keys.is_empty());
        assert_eq!(handoff.settle_stored(3).keys, [key(4)]);
        assert_eq!(handoff.pending_records(), 0);
    }

    #[test]
    fn health_records_that_nobody_takes_stay_bounded() {
        let mut handoff = Handoff::default();
        for _ in 0..1_000 {
            let tag = Some(Arc::from("health"));
            handoff.push_health(Lot { bytes: vec![0; 10], tag, records: 1, ..Lot::default() });
        }
        assert_eq!(handoff.ready_bytes(), 10 * HEALTH_WAITING_MAX);
    }
}
