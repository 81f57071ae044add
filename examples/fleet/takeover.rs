//! How long sources were without a node, and whether one ever had two.

use std::time::Duration;

use super::args::Args;
use super::books::Leader;
use super::clock::{Moment, Standstills};
use super::losses::{GRAIN, Loss, Losses};
use super::requests::Request;
use super::run::{Log, What};

/// A source whose node lost it or left, and when another asked for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Takeover {
    pub(crate) source: usize,
    pub(crate) node: usize,
    pub(crate) what: What,
    pub(crate) from: Moment,
    /// Without the time in which nobody could; nothing if nobody did.
    pub(crate) took: Option<Duration>,
    /// Another node was there to take it all the time.
    pub(crate) is_judged: bool,
}

/// A node that asked for a source which another one had begun to ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overlap {
    pub(crate) source: usize,
    pub(crate) node: usize,
    pub(crate) at: Moment,
    pub(crate) lasted: Duration,
}

/// Every takeover after a loss; and after every clean end.
pub(crate) fn takeovers(
    args: &Args,
    requests: &[Vec<Request>],
    log: &Log,
    losses: &Losses,
) -> Vec<Takeover> {
    let limit = args.lease + args.interval + args.patience;
    let mut nobody = log.busy.clone();
    // When the database is back, all whose leases are over get half a lease to renew them.
    log.away.iter().for_each(|(from, to)| nobody.add(*from, *to + args.lease / 2));
    let left = log.troubles.iter().filter(|it| it.what == What::Left);
    let left = left.map(|it| Loss { node: it.node, what: it.what, from: it.from, to: it.to });
    let all: Vec<Loss> = losses.all.iter().copied().chain(left).collect();
    let mut takeovers = Vec::new();
    for (source, requests) in requests.iter().enumerate() {
        for loss in &all {
            if !led(requests, loss, args.interval) {
                continue;
            }
            let takes = |request: &&Request| {
                let back = loss.what.ends() && request.at >= loss.to;
                request.at > loss.from && (request.node != loss.node || back)
            };
            let taken = requests.iter().find(takes).map(|request| request.at);
            // It was back before its lease had run out, and nobody else was to take it.
            if !loss.what.ends() && taken.is_none_or(|at| at > loss.to + args.lease) {
                continue;
            }
            let until = loss.from + limit;
            let others = (0..args.nodes as usize).filter(|node| *node != loss.node);
            let mut others = others.filter(|node| losses.is_sound(log, *node, loss.from, until));
            takeovers.push(Takeover {
                source,
                node: loss.node,
                what: loss.what,
                from: loss.from,
                took: taken.map(|at| nobody.free(loss.from, at)),
                is_judged: others.next().is_some(),
            });
        }
    }
    takeovers
}

/// Whether it was this node that read the source when it lost it.
fn led(requests: &[Request], loss: &Loss, interval: Duration) -> bool {
    let last = requests.iter().rfind(|request| request.at <= loss.from);
    let recent = interval * 3 + GRAIN;
    last.is_some_and(|it| it.node == loss.node && it.at + recent >= loss.from)
}

/// Every time that a node still asked for a source though another had begun to, and went on, and neither of them had taken it
/// anew.
pub(crate) fn overlaps(args: &Args, requests: &[Vec<Request>], leaders: &[Leader]) -> Vec<Overlap> {
    let mut overlaps = Vec::new();
    for (source, requests) in requests.iter().enumerate() {
        let takes = |node: usize, from: Moment, to: Moment| {
            let mut own = leaders.iter().filter(|it| it.source == source && it.node == node);
            own.any(|it| from <= it.at + GRAIN && it.at <= to + GRAIN)
        };
        // Since when each node's successor has been asking.
        let mut followed: Vec<Option<Moment>> = vec![None; args.nodes as usize];
        let mut current: Option<usize> = None;
        for (nth, &Request { at, node }) in requests.iter().enumerate() {
            let Some(other) = current.filter(|other| *other != node) else {
                current = Some(node);
                continue;
            };
            let goes_on = requests[nth..].iter().find(|it| it.node == other);
            let goes_on = goes_on.is_some_and(|next| !takes(other, at, next.at));
            match followed[node] {
                Some(since) if goes_on && !takes(node, since, at) => {
                    overlaps.push(Overlap { source, node, at, lasted: at - since });
                }
                _ => {
                    followed[node] = None;
                    followed[other] = Some(at);
                    current = Some(node);
                }
            }
        }
    }
    overlaps
}

/// How many sources each node read, least, on average and most, at rest: when all nodes had been there for three leases, and
/// no source had been taken for two.
pub(crate) fn shares(
    args: &Args,
    requests: &[Vec<Request>],
    (log, leaders): (&Log, &[Leader]),
    losses: &Losses,
    (began, ended): (Moment, Moment),
) -> Vec<Option<(usize, f64, usize)>> {
    let nodes = args.nodes as usize;
    let mut counts: Vec<Vec<usize>> = vec![Vec::new(); nodes];
    let mut nobody = Standstills::default();
    log.away.iter().for_each(|(from, to)| nobody.add(*from, *to));
    let mut at = began + args.lease * 3;
    while at < ended {
        let from = at.saturating_sub(args.lease * 3);
        let quiet = at.saturating_sub(args.lease * 2);
        let moved = leaders.iter().any(|it| quiet <= it.at && it.at <= at);
        let settled = !moved
            && nobody.free(from, at) == at - from
            && (0..nodes).all(|node| losses.is_sound(log, node, from, at));
        if settled {
            let mut now = vec![0; nodes];
            for requests in requests {
                let until = requests.partition_point(|request| request.at <= at);
                if let Some(last) = requests[..until].last() {
                    now[last.node] += 1;
                }
            }
            now.iter().zip(&mut counts).for_each(|(now, all)| all.push(*now));
        }
        at += args.interval;
    }
    let summary = |counts: Vec<usize>| {
        let (min, max) = (*counts.iter().min()?, *counts.iter().max()?);
        Some((min, counts.iter().sum::<usize>() as f64 / counts.len() as f64, max))
    };
    counts.into_iter().map(summary).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::run::Trouble;
    use super::*;

    fn second(at: u64) -> Duration {
        Duration::from_secs(at)
    }

    fn args() -> Args {
        Args::parse_from("fleet --nodes 2 --sources 1 --lease 10s --interval 3s".split(' '))
    }

    /// One source's requests: who asked when.
    fn requests(all: &[(usize, u64)]) -> Vec<Vec<Request>> {
        vec![all.iter().map(|(node, at)| Request { at: second(*at), node: *node }).collect()]
    }

    fn taken(what: What, to: u64, asked: &[(usize, u64)]) -> Vec<(Option<u64>, bool)> {
        let trouble = Trouble { node: 0, what, from: second(100), to: second(to) };
        let log = Log { troubles: vec![trouble], ..Log::default() };
        let losses = Losses::new(&log, &args());
        let all = takeovers(&args(), &requests(asked), &log, &losses);
        all.iter().map(|it| (it.took.map(|took| took.as_secs()), it.is_judged)).collect()
    }

    #[test]
    fn a_takeover_is_the_first_request_of_another_or_of_who_was_started_again() {
        let cases = [
            (What::Killed, 130, &[(0, 98), (1, 110), (1, 113)][..], &[(Some(10), true)][..]),
            (What::Killed, 105, &[(0, 98), (0, 111)], &[(Some(11), true)]),
            (What::Killed, 130, &[(1, 98), (1, 101)], &[]),
            (What::Killed, 130, &[(0, 98)], &[(None, true)]),
            (What::Frozen, 130, &[(0, 98), (0, 101), (1, 112)], &[(Some(12), true)]),
            (What::Frozen, 104, &[(0, 98), (0, 105)], &[]),
            (What::Left, 130, &[(0, 98), (1, 101)], &[(Some(1), true)]),
        ];
        for (what, to, asked, expected) in cases {
            assert_eq!(taken(what, to, asked), expected, "{what:?} {asked:?}");
        }
    }

    #[test]
    fn two_nodes_overlap_until_the_first_takes_the_source_anew() {
        let lasted = |asked, taken: &[(usize, u64)]| {
            let leader = |(node, at): &(usize, u64)| Leader {
                at: second(*at),
                source: 0,
                node: *node,
                epoch: *at,
            };
            let leaders: Vec<Leader> = taken.iter().map(leader).collect();
            let all = overlaps(&args(), &requests(asked), &leaders);
            all.iter().map(|it| it.lasted.as_secs()).collect::<Vec<_>>()
        };
        let asked = [(0, 10), (1, 20), (0, 23), (1, 24), (0, 40), (0, 43)];
        assert_eq!(lasted(&asked, &[(0, 9), (1, 20), (0, 40)]), [3]);
        assert_eq!(lasted(&asked, &[(0, 9), (1, 20)]), [3], "the other one had ended");
        assert!(lasted(&[(0, 10), (1, 20), (1, 23)], &[(0, 9), (1, 20)]).is_empty());
    }
}
