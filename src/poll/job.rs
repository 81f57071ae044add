//! One poll, sweep or catch-up under way: what of it is unread, and how far its walk has come.

use std::time::Duration;

use super::backoff::Backoff;
use super::coverage::Reading;
use super::ranges;
use super::walk::Walk;
use crate::model::{Now, TimeRange, Timestamp};

/// A blob that could not be had leaves so much of its time unread.
const LOST: Duration = Duration::from_secs(1);

/// So many ranges of a slice are told apart that could not be had; beyond, what lies between the nearest counts as well.
const LOST_MAX: usize = 64;

/// What a job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The live window.
    Live,
    /// What an outage left unread.
    CatchUp,
    /// A deeper re-read: the sweep's place in the plan.
    Sweep(usize),
}

impl Kind {
    /// Its name in the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::CatchUp => "catchup",
            Self::Sweep(_) => "sweep",
        }
    }
}

/// A poll, sweep or catch-up under way.
#[derive(Debug)]
pub struct Job {
    /// Tells it from others, so that an answer to a former one is not taken for its own.
    pub serial: u64,
    /// What it reads in all.
    pub whole: TimeRange,
    /// What no walk has been sent over yet, oldest first.
    pub unread: Vec<TimeRange>,
    /// The walk under way.
    pub walk: Option<Walk>,
    /// When it began.
    pub began: Now,
    /// When its last page came in.
    pub came_on: Duration,
    /// What it leaves to the catch-up.
    pub hole: Option<TimeRange>,
    /// What it has seen.
    pub tally: Tally,
    /// What it has read.
    pub reading: Reading,
    /// What of the slice under way could not be had; disjoint, oldest first.
    pub lost: Vec<TimeRange>,
}

/// What a job has seen.
#[derive(Debug, Default)]
pub struct Tally {
    /// Events and blobs, new or not.
    pub events: u64,
    /// When the oldest of the events happened.
    pub oldest: Option<Timestamp>,
    /// The newest of the times that they were selected by.
    pub newest: Option<Timestamp>,
    /// Events that it saw first.
    pub found: u64,
    /// Events that a sweep saw first, and that the window had missed.
    pub late: u64,
    /// How late the latest of those was.
    pub latest_by: Duration,
}

impl Job {
    /// A job over ranges.
    pub fn new(unread: Vec<TimeRange>, began: Now) -> Self {
        let from = unread.first().map_or(began.wall, |range| range.from);
        let to = unread.last().map_or(began.wall, |range| range.to);
        let whole = TimeRange::new(from, to);
        Self {
            serial: 0,
            whole,
            unread,
            walk: None,
            began,
            came_on: began.mono,
            hole: None,
            tally: Tally::default(),
            reading: Reading::new(began.wall),
            lost: Vec::new(),
        }
    }

    /// The walk under way, or one over the next slice of at most `length` that begins `now`, once for each of so
    /// many parts; nothing if all is read.
    pub fn walk(
        &mut self,
        length: Duration,
        parts: usize,
        first_part: usize,
        now: Timestamp,
    ) -> Option<&mut Walk> {
        if self.walk.is_none() {
            let slice = ranges::cut(&mut self.unread, length);
            self.reading.begin(now);
            self.walk = slice.map(|slice| Walk::new(slice, parts, first_part));
        }
        self.walk.as_mut()
    }

    /// The blob made at that moment could not be had.
    pub fn lose(&mut self, made: Timestamp) {
        ranges::insert(&mut self.lost, TimeRange::new(made, made + LOST));
        ranges::join_nearest(&mut self.lost, LOST_MAX);
    }

    /// Whether nothing has been read yet.
    pub fn is_untouched(&self) -> bool {
        self.tally.events == 0 && self.walk.as_ref().is_none_or(|walk| walk.pages == 0)
    }

    /// The oldest moment it may still ask for, or leave to the catch-up, or has been shown.
    pub fn oldest(&self) -> Timestamp {
        let hole = self.hole.map(|hole| hole.from);
        hole.into_iter().chain(self.tally.oldest).fold(self.whole.from, Timestamp::min)
    }
}

/// The place of one kind of job: the job, and how its requests fare.
#[derive(Debug)]
pub struct Lane {
    /// What its jobs are for.
    pub kind: Kind,
    /// The job under way.
    pub job: Option<Job>,
    /// Failures in a row.
    pub backoff: Backoff,
    /// Not before this may it ask.
    pub not_before: Duration,
    /// Whether something could not be had, and has not been had since.
    pub troubled: bool,
    /// Which part its walks begin with: not one that was in trouble last.
    pub first_part: usize,
    /// When the oldest event happened that its last job was shown without having asked for it: an
    /// API may well do that, and will again.
    pub oldest_shown: Option<Timestamp>,
}

impl Lane {
    /// An idle lane.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            job: None,
            backoff: Backoff::default(),
            not_before: Duration::ZERO,
            troubled: false,
            first_part: 0,
            oldest_shown: None,
        }
    }
}
