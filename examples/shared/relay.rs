//! A relay between the plugin and what it asks, which can be down, silent, slow or rude.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::door;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    #[default]
    Pass,
    /// Connections are refused, and reset.
    Down,
    /// Accepts, and passes no byte on.
    Stall,
    /// Passes answers on byte by byte.
    Slow,
    /// Resets connections amid answers.
    Reset,
}

/// One byte of a slow answer.
const SLOW_BYTE: Duration = Duration::from_millis(2);

pub(crate) struct Relay {
    pub(crate) port: u16,
    mode: watch::Sender<Mode>,
}

impl Relay {
    /// A relay to `upstream`; with `tls` it ends TLS. `asked` is called whenever something is passed on to there.
    /// Lives as long as its runtime.
    pub(crate) async fn start(
        upstream: SocketAddr,
        tls: Option<TlsAcceptor>,
        asked: impl Fn() + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let (mode, watched) = watch::channel(Mode::Pass);
        let watch = watched.clone();
        tokio::spawn(door::attend(listener, watched, Mode::Down, move |stream| {
            tokio::spawn(connection(stream, upstream, tls.clone(), watch.clone(), asked.clone()));
        }));
        Ok(Self { port, mode })
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_if_modified(|now| std::mem::replace(now, mode) != mode);
    }
}

/// One connection, which ends with a reset unless both sides have had enough.
async fn connection(
    stream: TcpStream,
    upstream: SocketAddr,
    tls: Option<TlsAcceptor>,
    mut mode: watch::Receiver<Mode>,
    asked: impl Fn(),
) -> io::Result<()> {
    let _ = stream.set_nodelay(true);
    let (stream, handle) = twice(stream)?;
    let relayed = {
        let mode = mode.clone();
        async move {
            wait_out_stall(&mut mode.clone()).await;
            let server = TcpStream::connect(upstream).await?;
            match tls {
                Some(tls) => pump_both(tls.accept(stream).await?, server, mode, asked).await,
                None => pump_both(stream, server, mode, asked).await,
            }
        }
    };
    tokio::select! {
        biased;
        _ = mode.wait_for(|mode| *mode == Mode::Down) => handle.set_zero_linger(),
        relayed = relayed => if relayed.is_err() { handle.set_zero_linger() } else { Ok(()) },
    }
}

/// The stream, and a handle to its socket by which it can be told how to close.
fn twice(stream: TcpStream) -> io::Result<(TcpStream, TcpStream)> {
    let stream = stream.into_std()?;
    let handle = stream.try_clone()?;
    Ok((TcpStream::from_std(stream)?, TcpStream::from_std(handle)?))
}

async fn pump_both(
    client: impl AsyncRead + AsyncWrite,
    server: TcpStream,
    mode: watch::Receiver<Mode>,
    asked: impl Fn(),
) -> io::Result<()> {
    let (from_client, to_client) = tokio::io::split(client);
    let (from_server, to_server) = server.into_split();
    let asks = pump(from_client, to_server, mode.clone(), false, asked);
    let answers = pump(from_server, to_client, mode, true, || {});
    tokio::try_join!(asks, answers).map(drop)
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut mode: watch::Receiver<Mode>,
    is_answer: bool,
    passed_on: impl Fn(),
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        let mut left = &buffer[..read];
        while !left.is_empty() {
            wait_out_stall(&mut mode).await;
            let now = *mode.borrow_and_update();
            let step = match now {
                Mode::Slow if is_answer => 1,
                Mode::Reset if is_answer => fastrand::usize(0..=left.len()),
                _ => left.len(),
            };
            to.write_all(&left[..step]).await?;
            to.flush().await?;
            passed_on();
            left = &left[step..];
            match now {
                Mode::Slow if is_answer => tokio::time::sleep(SLOW_BYTE).await,
                Mode::Reset if is_answer => return Err(io::ErrorKind::ConnectionReset.into()),
                _ => {}
            }
        }
    }
}

async fn wait_out_stall(mode: &mut watch::Receiver<Mode>) {
    let _ = mode.wait_for(|mode| *mode != Mode::Stall).await;
}
