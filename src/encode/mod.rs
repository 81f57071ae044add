//! What the host is handed: MessagePack, written straight from JSON text.
//!
//! Pure functions that append to a buffer. Knows no host and no API.

pub mod health;
pub mod msgpack;
mod number;
pub mod provenance;
pub mod record;
#[cfg(test)]
mod tests;
