//! lookback: placeholder while the skeleton is set up.

pub mod encode;
pub mod json;
