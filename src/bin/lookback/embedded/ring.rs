//! The bounded queue between an instance's thread and the engine.
//!
//! Bounded in entries, not in bytes. A full ring makes the appending thread wait, then fail.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One appended buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Buffer {
    /// None: the instance's own tag.
    pub(crate) tag: Option<String>,
    pub(crate) data: Vec<u8>,
}

/// Why a buffer was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// An empty buffer is none.
    Empty,
    /// Full for as long as the host waits.
    Full,
}

#[derive(Debug)]
pub(crate) struct Ring {
    capacity: usize,
    wait_for_room: Duration,
    entries: Mutex<VecDeque<Buffer>>,
    room: Condvar,
}

impl Ring {
    pub(crate) fn new(capacity: usize, wait_for_room: Duration) -> Self {
        let entries = Mutex::new(VecDeque::with_capacity(capacity));
        Self { capacity, wait_for_room, entries, room: Condvar::new() }
    }

    pub(crate) fn push(&self, buffer: Buffer) -> Result<(), Refusal> {
        if buffer.data.is_empty() {
            return Err(Refusal::Empty);
        }
        let deadline = Instant::now() + self.wait_for_room;
        let mut entries = self.lock();
        while entries.len() >= self.capacity {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Refusal::Full);
            }
            (entries, _) =
                self.room.wait_timeout(entries, left).unwrap_or_else(PoisonError::into_inner);
        }
        entries.push_back(buffer);
        Ok(())
    }

    /// Takes all there is.
    pub(crate) fn drain(&self) -> Vec<Buffer> {
        let taken = self.lock().drain(..).collect();
        self.room.notify_all();
        taken
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Buffer>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(byte: u8) -> Buffer {
        Buffer { tag: None, data: vec![byte] }
    }

    #[test]
    fn keeps_order_and_empties() {
        let ring = Ring::new(4, Duration::ZERO);
        ring.push(buffer(1)).unwrap();
        ring.push(buffer(2)).unwrap();
        assert_eq!(ring.len(), 2);
        assert_eq!(ring.drain(), [buffer(1), buffer(2)]);
        assert_eq!(ring.len(), 0);
    }

    #[test]
    fn refuses_the_empty_buffer() {
        let ring = Ring::new(1, Duration::ZERO);
        let empty = Buffer { tag: None, data: Vec::new() };
        assert_eq!(ring.push(empty), Err(Refusal::Empty));
    }

    #[test]
    fn waits_then_refuses_when_full() {
        let ring = Ring::new(1, Duration::from_millis(30));
        ring.push(buffer(1)).unwrap();
        let before = Instant::now();
        assert_eq!(ring.push(buffer(2)), Err(Refusal::Full));
        assert!(before.elapsed() >= Duration::from_millis(30));
    }

    #[test]
    fn a_drain_lets_the_waiting_push_in() {
        let ring = Ring::new(1, Duration::from_secs(10));
        ring.push(buffer(1)).unwrap();
        std::thread::scope(|scope| {
            let pushing = scope.spawn(|| ring.push(buffer(2)));
            std::thread::sleep(Duration::from_millis(20));
            assert_eq!(ring.drain(), [buffer(1)]);
            assert_eq!(pushing.join().unwrap(), Ok(()));
        });
        assert_eq!(ring.drain(), [buffer(2)]);
    }
}
