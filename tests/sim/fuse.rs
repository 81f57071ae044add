//! Where a process may die: at any step, the n-th if it is so set.

/// The process is gone.
#[derive(Debug)]
pub(crate) struct Crash;

/// Counts the steps, and burns at the one it is set to.
#[derive(Debug, Default)]
pub(crate) struct Fuse {
    /// Steps so far.
    pub(crate) steps: u64,
    /// The step that it burns at.
    pub(crate) burns_at: Option<u64>,
}

impl Fuse {
    /// A step, after which the process may be gone.
    pub(crate) fn step(&mut self) -> Result<(), Crash> {
        self.steps += 1;
        if self.burns_at == Some(self.steps) { Err(Crash) } else { Ok(()) }
    }
}
