//! The state in a PostgreSQL database that several machines share.
//!
//! | module | idea |
//! |---|---|
//! | [`link`] | one runtime and few connections for all sources of a process |
//! | [`connect`] | from a configured database to a session that may write |
//! | [`tls`], [`password`] | who is at the other end, and how to prove who asks |
//! | [`error`] | the database's errors, without secrets |

mod connect;
mod error;
pub mod link;
mod password;
mod tls;

pub use error::DatabaseError;
pub use link::{Link, Pool};
