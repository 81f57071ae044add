//! Shared nouns: moments, ranges, events. Imports nothing of ours.

pub mod event;
pub mod time;
pub mod time_format;

pub use event::{Bucket, Content, EventKey, Fault, IdHash, Known, Seen, Version};
pub use time::{Now, TimeRange, Timestamp};
pub use time_format::TimeFormat;
