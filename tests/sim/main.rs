//! Deterministic simulation: the engine, the hand-over and the state under virtual time, with an API,
//! a host and a machine that fail in every way they can. No sockets, no threads, no sleeping: months
//! of polling pass in seconds, and a seed that fails fails again.

mod api;
mod auto;
mod blobs;
mod clock;
mod coverage;
mod database;
mod endless;
mod event;
mod every_step;
mod fleet;
mod fuse;
mod hand;
mod host;
mod ledger;
mod node;
mod noise;
mod plans;
mod random;
mod reach;
mod record;
mod schedule;
mod shell;
mod sim;
mod table;
