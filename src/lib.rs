//! lookback pulls logs out of HTTP APIs that show them late, and hands them to Fluent Bit: no gaps,
//! no duplicates.
//!
//! ```text
//! config -> API definition -> request -> page -> events -> window and dedup -> encoder -> host
//! ```
//!
//! Data flows one way. Decisions are pure state machines over `(now, state, input)`; clock, HTTP,
//! disk and host are shells at the edge.
//!
//! | module | holds | may not |
//! |---|---|---|
//! | `model` | moments, ranges, events | import anything of ours, read a clock |
//! | `json` | the page scanner | know what is scanned |
//! | `config` | properties, the validated plan | touch the network |
//! | `api` | definitions, requests, pages | send anything, know a vendor |
//! | `poll` | what to read when, what is new | read a clock, do I/O |
//! | `encode` | records as MessagePack | know the host |
//! | `handoff` | ready, taken, settled | know the host |
//! | `fleet` | which node of several reads a source | read a clock, do I/O |
//! | `auth`, `http`, `inflate`, `state`, `clock` | the shells | decide |
//! | `worker` | one source's thread: the engine over the shells | decide |
//! | `host` | the C ABI, all `unsafe` | touch `api`, `poll`, `state`, `http` |

pub mod api;
pub mod auth;
pub mod clock;
pub mod config;
pub mod encode;
pub mod fleet;
pub mod handoff;
pub mod host;
pub mod http;
pub mod inflate;
pub mod json;
pub mod model;
pub mod poll;
pub mod state;
pub mod worker;
