//! What the fuzz targets share: a second opinion on JSON and MessagePack, properties as text, and
//! an engine that is driven for a while.

pub mod directory;
pub mod drive;
pub mod json;
pub mod msgpack;
pub mod properties;
pub mod record;
