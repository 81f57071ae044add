//! A walk over the pages of one slice, and over the blobs that they list: how far it has come.

use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasher;
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
    /// How often of these the API said that it is not there.
    pub missing: u32,
    /// Not before this is it asked for.
    pub not_before: Duration,
}

/// A walk over one slice.
#[derive(Debug)]
pub struct Walk {
    /// The slice.
    pub slice: TimeRange,
    /// The values of the definition's `for_each` that are not listed yet, the current one first.
    parts: VecDeque<usize>,
    /// The page to ask for next; the first one if nothing.
    pub next: Option<Position>,
    /// Pages read.
    pub pages: u32,
    /// Whether a page has been asked for.
    pub asked: bool,
    /// Whether the endless link is followed to its present end.
    pub ended: bool,
    /// How often its first page was refused.
    pub refusals: u32,
    /// Whether it follows an endless link.
    pub endless: bool,
    /// Hashes of where it has been: a link may be long, and a walk has many.
    seen: HashSet<u64>,
    /// Pages of this part since it last began, and at most.
    pages_of_part: u32,
    furthest: u32,
    /// Blobs that wait, and the keys of these and of the ones under way.
    waiting: VecDeque<Blob>,
    unread: HashSet<EventKey>,
    /// How many of the unread ones could not be had at least once.
    troubled: HashSet<EventKey>,
}

impl Walk {
    /// A walk over a slice, from its first page, over each of so many parts, beginning with `first`.
    pub fn new(slice: TimeRange, parts: usize, first: usize) -> Self {
        let mut order: VecDeque<usize> = (0..parts).collect();
        order.rotate_left(if first < parts { first } else { 0 });
        Self {
            slice,
            parts: order,
            next: None,
            pages: 0,
            asked: false,
            ended: false,
            refusals: 0,
            endless: false,
            seen: HashSet::new(),
            pages_of_part: 0,
            furthest: 0,
            waiting: VecDeque::new(),
            unread: HashSet::new(),
            troubled: HashSet::new(),
        }
    }

    /// A walk that follows an endless link, from `position` if it is known.
    pub fn endless(slice: TimeRange, position: Option<Position>) -> Self {
        Self { next: position, endless: true, ..Self::new(slice, 1, 0) }
    }

    /// Goes on to a page; false if the walk has been there before.
    pub fn follow(&mut self, position: Position) -> bool {
        let hash = self.seen.hasher().hash_one(&position);
        let fresh = self.seen.insert(hash);
        self.next = Some(position);
        fresh && self.pages < PAGES_MAX
    }

    /// The value of `for_each` that it is at.
    pub fn part(&self) -> Option<usize> {
        self.parts.front().copied()
    }

    /// Whether it goes over several values of `for_each`.
    pub fn has_other_parts(&self) -> bool {
        self.parts.len() > 1
    }

    /// A part is listed: goes on to the next one, if there is one.
    pub fn part_listed(&mut self) {
        self.parts.pop_front();
        self.furthest = 0;
        self.restart();
    }

    /// A part is in trouble: it is left for after the others.
    pub fn postpone_part(&mut self) {
        self.parts.rotate_left(1);
        self.furthest = 0;
        self.restart();
    }

    /// Counts a page; true if the walk has not come so far before.
    pub fn page_read(&mut self) -> bool {
        self.pages += 1;
        self.pages_of_part += 1;
        let further = self.pages_of_part > self.furthest;
        self.furthest = self.furthest.max(self.pages_of_part);
        further
    }

    /// Whether the last page of all parts is in.
    pub fn is_listed(&self) -> bool {
        self.ended || self.parts.is_empty()
    }

    /// Whether it has not begun yet, and would ask for what lies before `limit`.
    pub fn begins_before(&self, limit: Timestamp) -> bool {
        self.next.is_none() && !self.is_listed() && self.slice.from < limit
    }

    /// Begins the part again. What blobs it has listed stays.
    pub fn restart(&mut self) {
        self.next = None;
        self.seen.clear();
        self.pages_of_part = 0;
    }

    /// Whether all is read.
    pub fn is_complete(&self) -> bool {
        self.is_listed() && self.unread.is_empty()
    }

    /// Whether a page is to be asked for now.
    pub fn wants_page(&self) -> bool {
        !self.is_listed() && !self.asked && self.waiting.len() < BLOBS_WAITING_MAX
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
        Walk::new(TimeRange::new(Timestamp::from_secs(0), Timestamp::from_secs(60)), 2, 0)
    }

    fn blob(id: u128) -> Blob {
        Blob {
            key: EventKey { bucket: Bucket(0), id: IdHash(id) },
            url: Url::parse("https://api.example/").unwrap(),
            made: Timestamp::from_secs(0),
            attempts: 0,
            missing: 0,
            not_before: Duration::ZERO,
        }
    }

    #[test]
    fn a_walk_is_complete_when_all_parts_are_listed_and_all_blobs_are_read() {
        let mut walk = walk();
        walk.list(blob(1));
        walk.list(blob(1));
        walk.part_listed();
        assert!(!walk.is_listed());
        walk.part_listed();
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
    fn a_part_in_trouble_waits_for_the_others() {
        let mut walk = walk();
        walk.postpone_part();
        assert_eq!(walk.part(), Some(1));
        walk.part_listed();
        assert_eq!(walk.part(), Some(0));
        walk.postpone_part();
        assert_eq!(walk.part(), Some(0));
        assert!(!walk.is_listed());
    }

    #[test]
    fn pages_that_were_read_before_are_no_progress() {
        let mut walk = walk();
        assert!(walk.page_read() && walk.page_read());
        walk.restart();
        assert!(!walk.page_read() && !walk.page_read());
        assert!(walk.page_read());
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
