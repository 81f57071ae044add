//! The events in the order in which they became visible.
//!
//! The feed knows them by the order in which they happened. Where an API hands them out as they
//! show, that order has to be kept: this is the one thing that is stored of events. It grows with
//! time, is the same however often it is asked, and costs nothing where nobody asks.

use std::{cmp::Reverse, collections::BinaryHeap};

use jiff::Timestamp;

use super::feed::Feed;

/// An event that has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shown {
    /// When it began to show.
    pub(crate) at: Timestamp,
    /// Its number.
    pub(crate) number: u64,
}

/// The log of what has shown.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// The first event that has not been looked at.
    next: u64,
    /// Those that have happened, but do not show; the next one to show on top.
    pending: BinaryHeap<Reverse<Shown>>,
    /// Those that show. A place in it is for ever: whatever shows later comes behind it.
    log: Vec<Shown>,
}

impl Index {
    /// Takes in what has shown by `now`. Going back in time takes nothing out.
    pub(crate) fn advance(&mut self, feed: &Feed, now: Timestamp) {
        let happened = feed.generated(now);
        for number in self.next..happened {
            self.pending.push(Reverse(Shown { at: feed.event(number).visible_at, number }));
        }
        self.next = self.next.max(happened);
        while let Some(Reverse(shown)) = self.pending.peek().copied()
            && shown.at <= now
        {
            self.pending.pop();
            self.log.push(shown);
        }
    }

    /// All that has shown, in order.
    pub(crate) fn log(&self) -> &[Shown] {
        &self.log
    }

    /// The first place in the log of something that showed at `at` or later.
    pub(crate) fn place(&self, at: Timestamp) -> usize {
        self.log.partition_point(|shown| shown.at < at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::{feed::FeedOptions, units::later},
        *,
    };

    fn start() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn after(seconds: u64) -> Timestamp {
        later(start(), Duration::from_secs(seconds))
    }

    fn feed() -> Feed {
        let options = FeedOptions {
            rate: 5.0,
            backfill: Duration::from_secs(200),
            lateness: "uniform:0s-5m".parse().unwrap(),
            ..Default::default()
        };
        Feed::new(options, start())
    }

    #[test]
    fn it_is_in_order_and_complete() {
        let feed = feed();
        let mut index = Index::default();
        index.advance(&feed, after(100));
        assert!(index.log().is_sorted());
        assert_eq!(index.log().len() as u64, feed.visible(after(100)));
        let place = index.place(after(50));
        assert!(index.log()[place].at >= after(50) && index.log()[place - 1].at < after(50));
    }

    #[test]
    fn small_steps_and_great_ones_lead_to_the_same() {
        let feed = feed();
        let (mut steps, mut leap) = (Index::default(), Index::default());
        for seconds in 0..300 {
            steps.advance(&feed, after(seconds));
        }
        steps.advance(&feed, start());
        leap.advance(&feed, after(299));
        assert_eq!(steps.log(), leap.log());
    }
}
