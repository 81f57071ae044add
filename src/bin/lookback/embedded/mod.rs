//! The embedded host: loads the built plugin through the same C interface as Fluent Bit, and imitates
//! its habits, nasty ones included.
//!
//! ```text
//! plugin thread ── callback ──▶ append ──▶ ring ── every 250 ms ──▶ engine thread ──▶ Output
//!  (one an instance)                     (1,024)                  decodes, counts
//! ```
//!
//! | module | idea |
//! |---|---|
//! | [`host`] | start, pause, reload, stop: the order of calls |
//! | [`instance`] | one input: its thread, timer, properties, counters |
//! | [`engine`] | fetches rings, feeds the output |
//! | [`ring`] | the bounded queue between the two |
//! | [`habits`] | what may go wrong, by switch |
//! | [`metrics`] | a metrics context and its text forms |
//! | [`msgpack`], [`record`] | event streams to records, records to JSON |
//! | [`registry`] | opaque handles for what the plugin points at |
//! | [`abi`], [`plugin`], [`signals`] | the only unsafe code |
//!
//! Nothing here knows lookback: tests include this directory by path, and any input plugin can be hosted.

#![allow(
    dead_code,
    unused_imports,
    reason = "tests include this module by path; each user needs a part"
)]
#![allow(clippy::disallowed_methods, reason = "a host owns the timer and the clock")]

pub(crate) mod abi;
pub(crate) mod engine;
pub(crate) mod habits;
pub(crate) mod host;
pub(crate) mod instance;
pub(crate) mod journal;
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod msgpack;
pub(crate) mod options;
pub(crate) mod output;
pub(crate) mod plugin;
pub(crate) mod properties;
pub(crate) mod record;
pub(crate) mod registry;
pub(crate) mod ring;
pub(crate) mod signals;

pub(crate) use habits::{Habits, hide_symbol};
pub(crate) use host::{Host, HostError, InstanceExit, StopReport};
pub(crate) use instance::{InputSpec, Instance};
pub(crate) use journal::stray_calls;
pub(crate) use log::{Level, LogSink};
pub(crate) use options::{DefSize, HostOptions};
pub(crate) use output::{Collector, Output};
pub(crate) use record::{JsonStyle, Record};
