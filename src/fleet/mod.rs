//! Which node of a fleet reads a source: pure decisions over the rows of a database that all nodes share.
//!
//! A source has at most one leader. It holds a lease, which it renews, and an epoch, which counts the leaders: every
//! write carries it, and one of an older epoch fails. The database's clock says when a lease is over; its holder counts
//! it for itself from before it asked, so it stops sooner than another may begin. The names:
//!
//! | name | is |
//! |---|---|
//! | node | a machine, by the name in its configuration; what shares go by |
//! | process | a running collector, by a random number; what leases go by |
//! | candidate | a process that has the source in its configuration |
//! | seat | a source's place in this process: leads, or stands by |

pub mod lease;
pub mod rank;
pub mod seat;
pub mod term;

use std::time::Duration;

pub use lease::{Contact, Lease};
pub use rank::Candidate;
pub use seat::{Act, Leader, Row, Seat, Standing};
pub use term::{Duty, Term};

/// How often leases are renewed and looked at, at least and at most.
const TICK: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(3));

/// So many sources may be on their way to other nodes at once, or one in so many of those that a process leads.
const MOVING: (usize, usize) = (8, 16);

/// This process, among the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Me {
    /// A random number.
    pub process: i64,
    /// Where it runs.
    pub node: String,
    /// How long a source stays with a process that fell silent.
    pub lease: Duration,
}

impl Me {
    /// How often leases are renewed and looked at.
    pub fn tick(&self) -> Duration {
        (self.lease / 10).clamp(TICK.0, TICK.1)
    }

    /// How many sources may be on their way to other nodes at once, of so many that this one leads.
    pub fn recalls(&self, leads: usize) -> usize {
        (leads / MOVING.1).max(MOVING.0)
    }
}
