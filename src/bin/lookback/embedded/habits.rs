//! What a host may do to a plugin, by switch. Tests flip these while the host runs.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// All switches; the default is a host in a good mood.
#[derive(Debug)]
pub(crate) struct Habits {
    refuse_appends: AtomicBool,
    refuse_next: AtomicU32,
    refuse_per_million: AtomicU32,
    callbacks_while_paused: AtomicBool,
    pause_stops_the_last: AtomicBool,
    freeze_ring_at_shutdown: AtomicBool,
    dirty_def: AtomicBool,
    callback_delay_ms: AtomicU64,
    append_delay_ms: AtomicU64,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            refuse_appends: AtomicBool::new(false),
            refuse_next: AtomicU32::new(0),
            refuse_per_million: AtomicU32::new(0),
            callbacks_while_paused: AtomicBool::new(true),
            pause_stops_the_last: AtomicBool::new(false),
            freeze_ring_at_shutdown: AtomicBool::new(false),
            dirty_def: AtomicBool::new(false),
            callback_delay_ms: AtomicU64::new(0),
            append_delay_ms: AtomicU64::new(0),
        }
    }
}

impl Habits {
    /// Appends fail for as long as this is on.
    pub(crate) fn refuse_appends(&self, on: bool) {
        self.refuse_appends.store(on, Ordering::SeqCst);
    }

    /// The next `count` appends fail.
    pub(crate) fn refuse_next(&self, count: u32) {
        self.refuse_next.store(count, Ordering::SeqCst);
    }

    /// Each append fails with this probability, 0 to 1.
    pub(crate) fn refuse_sometimes(&self, probability: f64) {
        let per_million = (probability.clamp(0.0, 1.0) * 1e6) as u32;
        self.refuse_per_million.store(per_million, Ordering::SeqCst);
    }

    /// Callbacks come after `Pause`, as they do in the real host. On by default.
    pub(crate) fn callbacks_while_paused(&self, on: bool) {
        self.callbacks_while_paused.store(on, Ordering::SeqCst);
    }

    /// `Pause` of any instance stops the callbacks of the one that was initialized last, and of no other;
    /// `Resume` of any starts them again. The real host does so, for it keeps one instance per plugin.
    pub(crate) fn pause_stops_the_last(&self, on: bool) {
        self.pause_stops_the_last.store(on, Ordering::SeqCst);
    }

    /// From the first `Pause` of a shutdown on, rings are not fetched: what is in them is lost.
    pub(crate) fn freeze_ring_at_shutdown(&self, on: bool) {
        self.freeze_ring_at_shutdown.store(on, Ordering::SeqCst);
    }

    /// The definition given to `FLBPluginRegister` is not zeroed, as in older hosts.
    pub(crate) fn dirty_def(&self, on: bool) {
        self.dirty_def.store(on, Ordering::SeqCst);
    }

    /// The instance's thread dawdles this long before every callback.
    pub(crate) fn delay_callbacks(&self, delay: Duration) {
        self.callback_delay_ms.store(millis(delay), Ordering::SeqCst);
    }

    /// Every append takes this long.
    pub(crate) fn delay_appends(&self, delay: Duration) {
        self.append_delay_ms.store(millis(delay), Ordering::SeqCst);
    }

    pub(super) fn refuses_this_append(&self) -> bool {
        let counted = self
            .refuse_next
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_ok();
        let per_million = self.refuse_per_million.load(Ordering::SeqCst);
        counted
            || self.refuse_appends.load(Ordering::SeqCst)
            || (per_million > 0 && fastrand::u32(0..1_000_000) < per_million)
    }

    pub(super) fn calls_back_while_paused(&self) -> bool {
        self.callbacks_while_paused.load(Ordering::SeqCst)
    }

    pub(super) fn stops_the_last_on_pause(&self) -> bool {
        self.pause_stops_the_last.load(Ordering::SeqCst)
    }

    pub(super) fn freezes_ring_at_shutdown(&self) -> bool {
        self.freeze_ring_at_shutdown.load(Ordering::SeqCst)
    }

    pub(super) fn has_dirty_def(&self) -> bool {
        self.dirty_def.load(Ordering::SeqCst)
    }

    pub(super) fn callback_delay(&self) -> Duration {
        Duration::from_millis(self.callback_delay_ms.load(Ordering::SeqCst))
    }

    pub(super) fn append_delay(&self) -> Duration {
        Duration::from_millis(self.append_delay_ms.load(Ordering::SeqCst))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Copies the executable `from` to `to` with one exported symbol gone, to see how the plugin does in a
/// host that lacks it. (A running process cannot take back a symbol.) The copy's name for the symbol is
/// altered wherever it stands, so that a lookup finds its hash but not its name.
pub(crate) fn hide_symbol(from: &Path, to: &Path, symbol: &str) -> io::Result<()> {
    let mut image = fs::read(from)?;
    let name: Vec<u8> = [&[0], symbol.as_bytes(), &[0]].concat();
    let places: Vec<usize> =
        memchr::memmem::find_iter(&image, &name).map(|at| at + symbol.len()).collect();
    if places.is_empty() {
        let message = format!("{} has no symbol {symbol}", from.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, message));
    }
    for last in places {
        image[last] = b'#';
    }
    fs::write(to, image)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_the_next_ones_only() {
        let habits = Habits::default();
        habits.refuse_next(2);
        let refused: Vec<bool> = (0..4).map(|_| habits.refuses_this_append()).collect();
        assert_eq!(refused, [true, true, false, false]);
    }

    #[test]
    fn refuses_while_the_flag_is_up() {
        let habits = Habits::default();
        habits.refuse_appends(true);
        assert!(habits.refuses_this_append());
        habits.refuse_appends(false);
        assert!(!habits.refuses_this_append());
        habits.refuse_sometimes(1.0);
        assert!(habits.refuses_this_append());
    }

    #[test]
    fn hides_a_symbol_in_a_copy() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::write(&from, b"\0flb_x\0flb_xy\0").unwrap();
        hide_symbol(&from, &to, "flb_x").unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"\0flb_#\0flb_xy\0");
        assert!(hide_symbol(&from, &to, "flb_z").is_err());
    }
}
