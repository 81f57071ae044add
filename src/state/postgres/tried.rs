//! Where the next attempt to connect begins: with what worked last, or behind what has not answered. One that is silent can use up all the
//! time of an attempt, and must not use up that of the next as well.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What was tried last, and whether it worked.
type Last<T> = Option<(T, bool)>;

/// What was tried last of a database's hosts, by their places in its list, and of the addresses of each.
#[derive(Debug, Default)]
pub(super) struct Tried(Mutex<Places>);

#[derive(Debug, Default)]
struct Places {
    host: Last<usize>,
    addresses: BTreeMap<usize, (IpAddr, bool)>,
}

impl Tried {
    /// The places of so many hosts, in the order to try them.
    pub(super) fn hosts(&self, count: usize) -> Vec<usize> {
        ordered((0..count).collect(), self.inner().host)
    }

    /// A host's addresses, in the order to try them.
    pub(super) fn addresses(&self, host: usize, addresses: Vec<IpAddr>) -> Vec<IpAddr> {
        ordered(addresses, self.inner().addresses.get(&host).copied())
    }

    /// Notes that a host worked, or that it is tried now: whoever gives up waiting for it says nothing more.
    pub(super) fn host(&self, host: usize, worked: bool) {
        self.inner().host = Some((host, worked));
    }

    /// The same of an address.
    pub(super) fn address(&self, host: usize, address: IpAddr, worked: bool) {
        self.inner().addresses.insert(host, (address, worked));
    }

    fn inner(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ordered<T: PartialEq>(mut all: Vec<T>, last: Last<T>) -> Vec<T> {
    if let Some((last, worked)) = last
        && let Some(at) = all.iter().position(|it| *it == last)
    {
        let first = if worked { at } else { at + 1 };
        all.rotate_left(first);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_worked_last_is_tried_first_and_what_did_not_answer_last() {
        let tried = Tried::default();
        assert_eq!(tried.hosts(3), [0, 1, 2]);
        tried.host(0, false);
        assert_eq!(tried.hosts(3), [1, 2, 0]);
        tried.host(1, true);
        assert_eq!(tried.hosts(3), [1, 2, 0]);
        tried.host(2, false);
        assert_eq!(tried.hosts(3), [0, 1, 2]);
        let [a, b]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|it| it.parse().unwrap());
        tried.address(1, a, false);
        assert_eq!(tried.addresses(0, vec![a, b]), [a, b], "of another host nothing is known");
        assert_eq!(tried.addresses(1, vec![a, b]), [b, a]);
        tried.address(1, b, true);
        assert_eq!(tried.addresses(1, vec![a, b]), [b, a]);
        assert_eq!(tried.addresses(1, vec![a]), [a], "its name leads elsewhere now");
    }
}
