//! Connections that can be made to break at an exact byte.
//!
//! HTTP servers take care not to send broken answers. So the breaking is done below them, in the
//! stream: a handler leaves a plan with its connection, and the stream carries it out while the
//! answer is written. A reset is a real one (RST), and a cut body comes to its announced length
//! never.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    time::Sleep,
};

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Reset, before the answer's first byte.
    ResetAtOnce,
    /// Reset amid the body.
    Reset,
    /// Closed amid the body.
    Close,
    /// Silent for a while amid the body, then going on.
    Stall(Duration),
}

/// Where a handler leaves its plan for the connection of its request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tap(Arc<Mutex<Option<Plan>>>);

impl Tap {
    /// Has the answer now to be written cut after so many bytes of its body.
    pub(crate) fn cut(&self, body_bytes: usize, cut: Cut) {
        self.set(Some(Plan::new(body_bytes, cut)));
    }

    fn set(&self, plan: Option<Plan>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = plan;
    }

    fn plan(&self) -> Option<Plan> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connected<IncomingStream<'_, TapListener>> for Tap {
    fn connect_info(stream: IncomingStream<'_, TapListener>) -> Self {
        stream.io().tap.clone()
    }
}

/// How far an answer may still be written.
#[derive(Clone, Copy, Debug)]
struct Plan {
    cut: Cut,
    /// How much of the end of the head (CR LF CR LF) was seen; 4: all of it.
    head_end: usize,
    body_left: usize,
}

impl Plan {
    fn new(body_bytes: usize, cut: Cut) -> Self {
        Self { cut, head_end: 0, body_left: body_bytes }
    }

    /// How many of these bytes may be written, and the plan when they are.
    fn allow(mut self, bytes: &[u8]) -> (usize, Plan) {
        if self.cut == Cut::ResetAtOnce {
            return (0, self);
        }
        let mut allowed = 0;
        while self.head_end < 4 && allowed < bytes.len() {
            self.head_end = match (bytes[allowed], self.head_end) {
                (b'\r', 0 | 2) | (b'\n', 1 | 3) => self.head_end + 1,
                (b'\r', _) => 1,
                _ => 0,
            };
            allowed += 1;
        }
        let body = self.body_left.min(bytes.len() - allowed);
        self.body_left -= body;
        (allowed + body, self)
    }
}

/// Accepts connections that can be tapped.
#[derive(Debug)]
pub(crate) struct TapListener(pub(crate) TcpListener);

impl Listener for TapListener {
    type Io = TapStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TapStream, SocketAddr) {
        let (tcp, addr) = Listener::accept(&mut self.0).await;
        // Only a matter of speed.
        let _ = tcp.set_nodelay(true);
        (TapStream { tcp, tap: Tap::default(), stall: None }, addr)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A connection that carries out the plan left in its tap.
#[derive(Debug)]
pub(crate) struct TapStream {
    tcp: TcpStream,
    tap: Tap,
    stall: Option<Pin<Box<Sleep>>>,
}

impl TapStream {
    fn carry_out(&mut self, cut: Cut, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match cut {
            Cut::ResetAtOnce | Cut::Reset => {
                // Dropping the stream, which the error leads to, then sends a reset.
                self.tcp.set_zero_linger()?;
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
            Cut::Close => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Cut::Stall(duration) => {
                let stall =
                    self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(duration)));
                ready!(stall.as_mut().poll(cx));
                self.stall = None;
                self.tap.set(None);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for TapStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(plan) = self.tap.plan() else {
            return Pin::new(&mut self.tcp).poll_write(cx, bytes);
        };
        let (allowed, _) = plan.allow(bytes);
        if allowed == 0 {
            ready!(self.carry_out(plan.cut, cx))?;
            return Pin::new(&mut self.tcp).poll_write(cx, bytes);
        }
        let written = ready!(Pin::new(&mut self.tcp).poll_write(cx, &bytes[..allowed]))?;
        let (_, plan) = plan.allow(&bytes[..written]);
        self.tap.set(Some(plan));
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

impl AsyncRead for TapStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_counts_from_the_head_on() {
        let plan = Plan::new(3, Cut::Close);
        let (allowed, plan) = plan.allow(b"HTTP/1.1 200 OK\r\nA: b\r");
        assert_eq!(allowed, 22);
        let (allowed, plan) = plan.allow(b"\n\r\nabcdef");
        assert_eq!(allowed, 6);
        assert_eq!(plan.allow(b"def").0, 0);
        assert_eq!(Plan::new(3, Cut::ResetAtOnce).allow(b"HTTP").0, 0);
    }
}
