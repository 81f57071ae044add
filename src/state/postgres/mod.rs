//! The state in a PostgreSQL database that several machines share.
//!
//! | module | idea |
//! |---|---|
//! | `link` | one runtime and few connections for all sources of a process |
//! | `connect`, `tried` | from a configured database to a session that may write, and where to begin |
//! | `tls`, `password` | who is at the other end, and how to prove who asks |
//! | `schema` | the tables and their versions |
//! | `source` | the state of one source that this node holds |
//! | `commit` | all or nothing, and behind the fence |
//! | `member`, `looks`, `lease` | which sources this process reads: seats, looks at the database, statements |
//! | `days`, `ids`, `hours` | in which table an id is; the rows of ids and of the ledger |
//! | `expire`, `repair` | tables that nobody needs, and tables that are missing |
//! | `look` | all of it from outside |
//! | `parameter` | what statements are given |
//! | `probe` | what a database says of itself before it is used |
//! | `error` | the database's errors, without secrets |

mod commit;
mod connect;
mod days;
mod error;
mod expire;
mod hours;
mod ids;
mod lease;
pub mod link;
pub mod look;
mod looks;
mod member;
mod parameter;
mod password;
pub mod probe;
mod repair;
mod schema;
mod source;
mod tls;
mod tried;

pub use error::DatabaseError;
pub use link::{Link, Pool};
pub use member::{Place, Trouble};
pub use source::{Held, PostgresState, Stop, open, source_id};
