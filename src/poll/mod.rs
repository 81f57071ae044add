//! The decisions: what to read when, what is new, when to wait. State machines over `(now, input)`;
//! no clock, no thread, no I/O, no MessagePack.

pub mod auto_window;
pub mod backoff;
pub mod condition;
pub mod dedup;
pub mod engine;
mod id_set;
pub mod job;
pub mod lateness;
pub mod planner;
pub mod progress;
pub mod ranges;
pub mod rate;
pub mod report;
pub mod stats;
pub mod tokens;
pub mod walk;

pub use engine::{Engine, Fetch, Reads, Step};
pub use progress::{Mark, Progress};
pub use report::Report;
