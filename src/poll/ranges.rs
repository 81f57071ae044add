//! Sets of time as disjoint ranges, oldest first.

use std::time::Duration;

use crate::model::{TimeRange, Timestamp};

/// Takes a slice of at most `length` from the fresh end of `unread`.
pub fn cut(unread: &mut Vec<TimeRange>, length: Duration) -> Option<TimeRange> {
    let last = unread.last_mut()?;
    let from = last.from.max(last.to - length);
    let slice = TimeRange::new(from, last.to);
    last.to = from;
    if last.is_empty() {
        unread.pop();
    }
    Some(slice)
}

/// Adds a range to disjoint, sorted ranges, joining what touches.
pub fn insert(ranges: &mut Vec<TimeRange>, new: TimeRange) {
    if new.is_empty() {
        return;
    }
    let (apart, touching): (Vec<_>, Vec<_>) =
        ranges.iter().copied().partition(|range| range.to < new.from || new.to < range.from);
    let joined = touching
        .into_iter()
        .fold(new, |all, range| TimeRange::new(all.from.min(range.from), all.to.max(range.to)));
    *ranges = apart;
    ranges.push(joined);
    ranges.sort();
}

/// Takes a range out of disjoint, sorted ranges.
pub fn remove(ranges: &mut Vec<TimeRange>, gone: TimeRange) {
    if gone.is_empty() {
        return;
    }
    let parts = ranges.iter().flat_map(|range| {
        let before = TimeRange::new(range.from, range.to.min(gone.from));
        let after = TimeRange::new(range.from.max(gone.to), range.to);
        [before, after]
    });
    *ranges = parts.filter(|range| !range.is_empty()).collect();
}

/// Joins those that lie nearest to each other until there are at most `max`: what lies between is
/// read for nothing, but nothing is left unread.
pub fn join_nearest(ranges: &mut Vec<TimeRange>, max: usize) {
    while ranges.len() > max {
        let gaps = ranges.windows(2).map(|pair| pair[1].from.since(pair[0].to));
        let Some((at, _)) = gaps.enumerate().min_by_key(|(_, gap)| *gap) else { return };
        ranges[at].to = ranges.remove(at + 1).to;
    }
}

/// The parts of ranges that lie after `limit`.
pub fn after(ranges: &[TimeRange], limit: Timestamp) -> Vec<TimeRange> {
    let part = |range: &TimeRange| TimeRange::new(range.from.max(limit), range.to);
    ranges.iter().map(part).filter(|range| !range.is_empty()).collect()
}

/// The part of a range that lies before `limit`, where the API no longer answers.
pub fn before(range: TimeRange, limit: Timestamp) -> Option<TimeRange> {
    let part = TimeRange::new(range.from, range.to.min(limit));
    (!part.is_empty()).then_some(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn range(from: i64, to: i64) -> TimeRange {
        TimeRange::new(Timestamp::from_secs(from), Timestamp::from_secs(to))
    }

    #[test]
    fn slices_are_cut_from_the_fresh_end() {
        let mut unread = vec![range(0, 10), range(20, 25)];
        let mut cuts = Vec::new();
        while let Some(slice) = cut(&mut unread, Duration::from_secs(4)) {
            cuts.push(slice);
        }
        let expected = [range(21, 25), range(20, 21), range(6, 10), range(2, 6), range(0, 2)];
        assert_eq!(cuts, expected);
    }

    #[test]
    fn too_many_ranges_are_joined_where_least_lies_between() {
        let mut ranges = vec![range(0, 1), range(10, 11), range(12, 13), range(30, 31)];
        join_nearest(&mut ranges, 3);
        assert_eq!(ranges, [range(0, 1), range(10, 13), range(30, 31)]);
        join_nearest(&mut ranges, 1);
        assert_eq!(ranges, [range(0, 31)]);
    }

    proptest! {
        #[test]
        fn inserting_and_removing_ranges_is_set_arithmetic(
            steps in proptest::collection::vec((any::<bool>(), 0i64..60, 0i64..20), 0..20)
        ) {
            let mut ranges = Vec::new();
            let mut model = [false; 80];
            for (add, from, length) in steps {
                let to = from + length;
                if add { insert(&mut ranges, range(from, to)); } else { remove(&mut ranges, range(from, to)); }
                for second in from..to { model[usize::try_from(second).unwrap()] = add; }
            }
            prop_assert!(ranges.windows(2).all(|pair| pair[0].to < pair[1].from));
            for (second, expected) in model.iter().enumerate() {
                let half = Timestamp::from_nanos(i64::try_from(second).unwrap() * 1_000_000_000 + 500_000_000);
                prop_assert_eq!(ranges.iter().any(|r| r.contains(half)), *expected);
            }
        }
    }
}
