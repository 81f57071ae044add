//! The state in a real PostgreSQL, which the tests start themselves. Loopback only.
//!
//! | module | asks |
//! |---|---|
//! | [`server`], [`bench`], [`relay`] | (a server, a database of a test's own, a connection that can be cut) |
//! | [`commits`] | is what is committed there, all of it or nothing, and only from the node that holds the source? |
//! | [`same`] | does it answer as a file does? |
//! | [`tables`] | are tables made, migrated, dropped when nobody needs them, and missed when they are gone? |
//! | [`faults`] | what if the connection is cut, the server stalls, restarts, or takes no writes? |
//! | [`tls`] | which servers are talked to, and which are not? |
//! | [`secrets`] | where is the password? |
//! | [`command_line`] | what do `lookback state` and `check` say of a database, and is docs/fleet.md right? |
//! | [`leases`] | who of several nodes reads a source? |
//! | [`workers`] | what do instances say and do when the database, or their own configuration, fails? |
//! | [`links`] | what does a process hold of a database, and what is left of it? |

#![allow(clippy::disallowed_methods, reason = "tests have deadlines")]

mod bench;
mod command_line;
mod commits;
mod faults;
mod leases;
mod links;
mod relay;
mod same;
mod secrets;
#[allow(dead_code, reason = "others need more of it")]
mod server;
mod tables;
mod tls;
mod workers;
