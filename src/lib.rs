//! lookback: placeholder while the skeleton is set up.
