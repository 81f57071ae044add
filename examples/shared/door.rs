//! A listener that can be shut: it accepts nothing, refuses every connection, and opens again at the same address.

use std::io;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Hands every connection to `serve`; refuses them all while the mode is `shut`. Ends with who sets the mode.
pub(crate) async fn attend<Mode: Copy + PartialEq>(
    mut listener: TcpListener,
    mut mode: watch::Receiver<Mode>,
    shut: Mode,
    serve: impl Fn(TcpStream),
) -> io::Result<()> {
    let addr = listener.local_addr()?;
    loop {
        if *mode.borrow_and_update() == shut {
            drop(listener);
            let _ = mode.wait_for(|mode| *mode != shut).await;
            listener = TcpListener::bind(addr).await?;
        }
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted { serve(stream) },
            changed = mode.changed() => if changed.is_err() { return Ok(()) },
        }
    }
}
