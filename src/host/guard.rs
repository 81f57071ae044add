//! Where a panic stops.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `action`; if it panics, returns `instead`. The panic hook has printed the message by then.
///
/// What `action` may leave behind half done is this thread's instance, whose shared parts are
/// behind locks that recover from poison; `FLBPluginExit` still stops and joins it.
pub(super) fn guarded<T>(instead: T, action: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(action)).unwrap_or(instead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_the_callers_error() {
        assert_eq!(guarded(-1, || panic!("deliberate")), -1);
        assert_eq!(guarded(-1, || 1), 1);
    }
}
