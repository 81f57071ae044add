//! Who asked the API for which source, and when: what the relays between nodes and API see.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::clock::{Moment, now};

/// A request, or what is left of one after a pause of its sender.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) at: Moment,
    pub(crate) node: usize,
}

/// By source, in the order of time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests(Arc<Mutex<BTreeMap<usize, Vec<Request>>>>);

impl Requests {
    pub(crate) fn note(&self, source: usize, node: usize) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(source).or_default().push(Request { at: now(), node });
    }

    /// Which nodes have asked for each source since then.
    pub(crate) fn nodes_since(&self, since: Moment) -> BTreeMap<usize, BTreeSet<usize>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = |requests: &Vec<Request>| {
            requests.iter().rev().take_while(|it| it.at >= since).map(|it| it.node).collect()
        };
        let nodes = all.iter().map(|(source, requests)| (*source, lately(requests)));
        nodes.filter(|(_, nodes): &(_, BTreeSet<usize>)| !nodes.is_empty()).collect()
    }

    /// All of them, of so many sources.
    pub(crate) fn all(&self, sources: usize) -> Vec<Vec<Request>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (0..sources).map(|source| all.get(&source).cloned().unwrap_or_default()).collect()
    }
}
