//! A walk over the pages of one slice, and over the blobs that they list: how far it has come.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use url::Url;

use crate::api::Position;
use crate::model::{EventKey, TimeRange, Timestamp};

/// Pages of one walk at most: a server that never ends is a broken one.
pub const PAGES_MAX: u32 = 100_000;

/// While so many blobs wait, no further page of the listing is asked for.
const BLOBS_WAITING_MAX: usize = 1_000;

/// A blob that a listing named, and that has not been read.
#[derive(Clone, Debug)]
pub struct Blob {
    /// What tells it from others.
    pub key: EventKey,
    /// Where it is.
    pub url: Url,
    /// When it was made.
    pub made: Timestamp,
    /// How often it could not be had.
    pub attempts: u32,
    /// Not before this is it asked for.
    pub not_before: Duration,
}

/// A walk over one slice.
#[derive(Debug)]
pub struct Walk {
    /// The slice.
    pub slice: TimeRange,
    /// Which value of the definition's `for_each` it is at.
    pub part: usize,
    /// The page to ask for next; the first one if nothing.
    pub next: Option<Position>,
    /// Pages read.
    pub pages: u32,
    /// Whether a page has been asked for.
    pub asked: bool,
    /// Whether the last page of all parts is in.
    pub listed: bool,
    /// Whether it follows an endless link.
    pub endless: bool,
    seen: HashSet<Position>,
    /// Blobs that wait, and the keys of these and of the ones under way.
    waiting: VecDeque<Blob>,
    unread: HashSet<EventKey>,
    /// How many of the unread ones could not be had at least once.
    troubled: HashSet<EventKey>,
}

impl Walk {
    /// A walk over a slice, from its first page.
    pub fn new(slice: TimeRange) -> Self {
        Self {
            slice,
            part: 0,
            next: None,
            pages: 0,
            asked: false,
            listed: false,
            endless: false,
            seen: HashSet::new(),
            waiting: VecDeque::new(),
            unread: HashSet::new(),
            troubled: HashSet::new(),
        }
    }

    /// A walk that follows an endless link, from `position` if it is known.
    pub fn endless(slice: TimeRange, position: Option<Position>) -> Self {
        Self { next: position, endless: true, ..Self::new(slice) }
    }

    /// Goes on to a page; false if the walk has been there before.
    pub fn follow(&mut self, position: Position) -> bool {
        let fresh = self.seen.insert(position.clone());
        self.next = Some(position);
        fresh && self.pages < PAGES_MAX
    }

    /// A part is listed: goes on to the next of `parts`, or has listed all.
    pub fn part_listed(&mut self, parts: usize) {
        self.part += 1;
        self.next = None;
        self.seen.clear();
        self.listed = self.part >= parts;
    }

    /// Whether it has not begun yet, and would ask for what lies before `limit`.
    pub fn begins_before(&self, limit: Timestamp) -> bool {
        self.next.is_none() && !self.listed && self.slice.from < limit
    }

    /// Begins the part again. What blobs it has listed stays.
    pub fn restart(&mut self) {
        self.next = None;
        self.seen.clear();
    }

    /// Whether all is read.
    pub fn is_complete(&self) -> bool {
        self.listed && self.unread.is_empty()
    }

    /// Whether a page is to be asked for now.
    pub fn wants_page(&self) -> bool {
        !self.listed && !self.asked && self.waiting.len() < BLOBS_WAITING_MAX
    }

    /// When a blob may be asked for; nothing if none waits.
    pub fn blob_ready_at(&self) -> Option<Duration> {
        self.waiting.iter().map(|blob| blob.not_before).min()
    }

    /// Whether blobs could not be had and are still to come.
    pub fn is_troubled(&self) -> bool {
        !self.troubled.is_empty()
    }

    /// Adds a blob, unless it waits or is under way already.
    pub fn list(&mut self, blob: Blob) {
        if self.unread.insert(blob.key) {
            self.waiting.push_back(blob);
        }
    }

    /// Takes the first blob that may be asked for now.
    pub fn take_blob(&mut self, now: Duration) -> Option<Blob> {
        let at = self.waiting.iter().position(|blob| blob.not_before <= now)?;
        self.waiting.remove(at)
    }

    /// The blob could not be had: it is asked for again, after the others.
    pub fn put_back(&mut self, blob: Blob) {
        if blob.attempts > 0 {
            self.troubled.insert(blob.key);
        }
        if self.unread.contains(&blob.key) {
            self.waiting.push_back(blob);
        }
    }

    /// The blob is read, or given up.
    pub fn done(&mut self, key: EventKey) {
        self.unread.remove(&key);
        self.troubled.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Bucket, IdHash};

    fn walk() -> Walk {
        Walk::new(TimeRange::new(Timestamp::from_secs(0), Timestamp::from_secs(60)))
    }

    fn blob(id: u128) -> Blob {
        Blob {
            key: EventKey { bucket: Bucket(0), id: IdHash(id) },
            url: Url::parse("https://api.example/").unwrap(),
            made: Timestamp::from_secs(0),
            attempts: 0,
            not_before: Duration::ZERO,
        }
    }

    #[test]
    fn a_walk_is_complete_when_all_parts_are_listed_and_all_blobs_are_read() {
        let mut walk = walk();
        walk.list(blob(1));
        walk.list(blob(1));
        walk.part_listed(2);
        assert!(!walk.listed);
        walk.part_listed(2);
        let taken = walk.take_blob(Duration::ZERO).unwrap();
        assert!(walk.take_blob(Duration::ZERO).is_none(), "listed twice is one blob");
        assert!(!walk.is_complete(), "under way");
        walk.put_back(Blob { attempts: 1, not_before: Duration::from_secs(5), ..taken });
        assert!(walk.take_blob(Duration::from_secs(4)).is_none());
        let taken = walk.take_blob(Duration::from_secs(5)).unwrap();
        assert!(walk.is_troubled() && !walk.is_complete());
        walk.done(taken.key);
        assert!(walk.is_complete() && !walk.is_troubled());
    }

    #[test]
    fn a_position_that_comes_again_is_no_progress() {
        let mut walk = walk();
        assert!(walk.follow(Position::Page(2)));
        assert!(!walk.follow(Position::Page(2)));
        walk.restart();
        assert!(walk.follow(Position::Page(2)));
    }
}
