//! Where relays and receivers run.

use tokio::runtime::Handle;

/// A runtime in a thread of its own, for what serves.
pub(crate) fn start() -> Result<Handle, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no event loop: {error}"))?;
    let handle = runtime.handle().clone();
    std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    Ok(handle)
}
