//! Who comes first for a source, by rendezvous hashing: each node draws a number for each source, the highest comes
//! first. All nodes agree without talking, and when one leaves only its own sources move.

use std::cmp::Reverse;
use std::hash::Hasher;
use std::time::Duration;

use siphasher::sip::SipHasher24;

/// A process that could read a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its number.
    pub process: i64,
    /// The node that it runs on.
    pub node: String,
    /// For how long.
    pub up: Duration,
}

/// The one that comes first.
pub fn first<'c>(source: &str, candidates: &'c [Candidate]) -> Option<&'c Candidate> {
    candidates.iter().min_by_key(|it| order(source, &it.node, it.process))
}

/// How many others come before a process.
pub fn place(source: &str, candidates: &[Candidate], node: &str, process: i64) -> u32 {
    let own = order(source, node, process);
    let before = |it: &&Candidate| order(source, &it.node, it.process) < own;
    u32::try_from(candidates.iter().filter(before).count()).unwrap_or(u32::MAX)
}

/// Two processes of one node draw the same number: the lower process comes first.
fn order(source: &str, node: &str, process: i64) -> (Reverse<u64>, i64) {
    // No key: all nodes are to draw the same, of whatever version.
    let mut hasher = SipHasher24::new();
    hasher.write(node.as_bytes());
    hasher.write_u8(0);
    hasher.write(source.as_bytes());
    (Reverse(hasher.finish()), process)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn nodes(count: usize) -> Vec<Candidate> {
        let node = |n: usize| Candidate {
            process: i64::try_from(n).unwrap(),
            node: format!("node-{n}"),
            up: Duration::ZERO,
        };
        (0..count).map(node).collect()
    }

    fn firsts(sources: usize, candidates: &[Candidate]) -> Vec<i64> {
        let first = |n| first(&format!("api/tenant-{n}"), candidates).unwrap().process;
        (0..sources).map(first).collect()
    }

    #[test]
    fn the_draw_is_the_same_in_every_version() {
        assert_eq!(order("entra/contoso", "n1", 5).0.0, 3_016_457_925_716_862_571);
    }

    #[test]
    fn shares_are_even() {
        for (sources, count, least, most) in [(30, 3, 5, 16), (10_000, 10, 900, 1_100)] {
            let mut shares = HashMap::<i64, usize>::new();
            for process in firsts(sources, &nodes(count)) {
                *shares.entry(process).or_default() += 1;
            }
            assert_eq!(shares.len(), count);
            assert!(shares.values().all(|share| (least..=most).contains(share)), "{shares:?}");
        }
    }

    #[test]
    fn a_node_that_leaves_moves_its_own_sources_only() {
        let all = nodes(5);
        let without = [&all[..2], &all[3..]].concat();
        for (before, after) in firsts(1_000, &all).into_iter().zip(firsts(1_000, &without)) {
            assert!(before == after || before == 2);
            assert_ne!(after, 2);
        }
    }

    #[test]
    fn of_two_processes_of_one_node_the_lower_comes_first() {
        let twins = nodes(1).into_iter().cycle().zip([7, 3]);
        let twins: Vec<_> = twins.map(|(it, process)| Candidate { process, ..it }).collect();
        assert_eq!(first("s", &twins).unwrap().process, 3);
        assert_eq!(place("s", &twins, "node-0", 7), 1);
    }

    proptest! {
        /// Whatever the names: places are 0, 1, 2 …, in whichever order the candidates are listed.
        #[test]
        fn each_source_has_one_first_and_a_place_for_everyone(
            source in ".{0,20}",
            names in prop::collection::vec("[a-c]{1,2}", 1..8),
            turn in 0usize..8,
        ) {
            let candidate = |(process, node)| Candidate { process, node, up: Duration::ZERO };
            let mut all: Vec<_> = (0..).zip(names).map(candidate).collect();
            let place = |all: &[Candidate], it: &Candidate| place(&source, all, &it.node, it.process);
            let mut places: Vec<u32> = all.iter().map(|it| place(&all, it)).collect();
            let leader = first(&source, &all).unwrap().process;
            prop_assert_eq!(places[usize::try_from(leader).unwrap()], 0);
            let by_then = places.clone();
            places.sort_unstable();
            prop_assert!(places.iter().copied().eq(0..u32::try_from(all.len()).unwrap()));
            let len = all.len();
            all.rotate_left(turn % len);
            for it in &all {
                prop_assert_eq!(place(&all, it), by_then[usize::try_from(it.process).unwrap()]);
            }
        }
    }
}
