//! The host: takes lots every second into a ring, and stores what is in it every quarter of one.
//! A pause stops both; a crash loses the ring.

use std::collections::VecDeque;
use std::time::Duration;

use in_lookback::handoff::Handoff;
use in_lookback::model::Now;

use crate::fuse::{Crash, Fuse};
use crate::ledger::Ledger;
use crate::record;

const TICK: Duration = Duration::from_secs(1);
const FETCH: Duration = Duration::from_millis(250);

/// Entries of the ring; an append beyond is refused.
const RING_MAX: usize = 64;

/// What the host is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    /// Lots taken a tick at most.
    pub(crate) lots_max: usize,
    /// The share of appends that it refuses.
    pub(crate) refuses: f64,
}

/// A lot in the ring: its records, or one health record.
#[derive(Debug)]
struct Entry {
    bytes: Vec<u8>,
    health: bool,
    taken: Duration,
}

#[derive(Debug)]
pub(crate) struct Host {
    habits: Habits,
    rng: fastrand::Rng,
    ring: VecDeque<Entry>,
    next_tick: Duration,
    next_fetch: Duration,
    /// Whether it is short of memory, and stores nothing.
    pub(crate) paused: bool,
    /// Records stored since the process began, health included: what its metric shows.
    stored: u64,
}

impl Host {
    pub(crate) fn new(habits: Habits, seed: u64) -> Self {
        Self {
            habits,
            rng: fastrand::Rng::with_seed(seed),
            ring: VecDeque::new(),
            next_tick: Duration::ZERO,
            next_fetch: Duration::ZERO,
            paused: false,
            stored: 0,
        }
    }

    /// When it has something to do next, given what waits for it.
    pub(crate) fn wake(&self, handoff: &Handoff, clock: Now) -> Duration {
        let tick = if handoff.peek(clock).is_some() { self.next_tick } else { Duration::MAX };
        let fetch = if self.ring.is_empty() { Duration::MAX } else { self.next_fetch };
        if self.paused { Duration::MAX } else { tick.min(fetch) }
    }

    /// Whether it has taken what it has not stored.
    pub(crate) fn holds_something(&self) -> bool {
        self.ring.iter().any(|entry| !entry.health)
    }

    /// It stores again, from the next fetch on.
    pub(crate) fn resume(&mut self, now: Duration) {
        self.paused = false;
        self.next_fetch = next(now, FETCH);
    }

    /// Does what is due.
    pub(crate) fn turn(
        &mut self,
        handoff: &mut Handoff,
        now: Duration,
        clock: Now,
        ledger: &mut Ledger,
        fuse: &mut Fuse,
    ) -> Result<(), Crash> {
        if !self.paused && now >= self.next_fetch {
            self.next_fetch = next(now, FETCH);
            self.fetch(ledger, fuse)?;
        }
        if now >= self.next_tick {
            self.next_tick = next(now, TICK);
            self.tick(handoff, now, clock, fuse)?;
        }
        Ok(())
    }

    fn tick(
        &mut self,
        handoff: &mut Handoff,
        now: Duration,
        clock: Now,
        fuse: &mut Fuse,
    ) -> Result<(), Crash> {
        for _ in 0..self.habits.lots_max {
            let Some((tag, bytes)) = handoff.lend(clock) else { break };
            fuse.step()?;
            if self.ring.len() >= RING_MAX || self.rng.f64() < self.habits.refuses {
                handoff.refused(bytes);
                break;
            }
            self.ring.push_back(Entry { bytes: bytes.clone(), health: tag.is_some(), taken: now });
            fuse.step()?;
            handoff.taken(bytes, clock.mono);
        }
        Ok(())
    }

    /// Stores what is in the ring.
    fn fetch(&mut self, ledger: &mut Ledger, fuse: &mut Fuse) -> Result<(), Crash> {
        while let Some(entry) = self.ring.pop_front() {
            if entry.health {
                self.stored += 1;
                continue;
            }
            for (index, says) in record::decode(&entry.bytes) {
                ledger.stored(index, says, entry.taken);
                self.stored += 1;
            }
            fuse.step()?;
        }
        Ok(())
    }

    /// A clean stop: stores what it still can. Returns how much it has stored in all.
    pub(crate) fn stop(&mut self, ledger: &mut Ledger) -> u64 {
        if !self.paused {
            self.fetch(ledger, &mut Fuse::default()).expect("nothing burns");
        }
        self.stored
    }

    /// The process is gone, and a new one begins.
    pub(crate) fn restart(&mut self) {
        self.ring.clear();
        self.stored = 0;
        self.paused = false;
    }
}

/// The next multiple of `step`.
fn next(now: Duration, step: Duration) -> Duration {
    let steps = now.as_nanos() / step.as_nanos() + 1;
    Duration::from_nanos(u64::try_from(steps * step.as_nanos()).expect("within centuries"))
}
