//! Where the records arrive: JSON lines over TCP, never disturbed; and over HTTP, disturbed.
//!
//! TCP has no acknowledgement: what a connection that breaks had under way is gone, and no host can know.
//! So what is broken is the HTTP one, whose answer says that a chunk has arrived.

use std::io;
use std::net::Ipv4Addr;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::books::Books;
use super::door;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    #[default]
    Take,
    /// Connections are refused, and reset.
    Down,
    /// Connections are reset amid a request, or instead of an answer.
    Reset,
}

pub(crate) struct Receivers {
    /// The port of the TCP one.
    pub(crate) quiet: u16,
    /// The port of the HTTP one.
    pub(crate) disturbed: u16,
    /// What arrived.
    pub(crate) books: Books,
    mode: watch::Sender<Mode>,
}

impl Receivers {
    /// Both of them; they live as long as their runtime.
    pub(crate) async fn start() -> io::Result<Self> {
        let books = Books::default();
        let lines = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let posts = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (quiet, disturbed) = (lines.local_addr()?.port(), posts.local_addr()?.port());
        let (mode, watched) = watch::channel(Mode::Take);
        tokio::spawn(take_lines(lines, books.clone()));
        let (arrived, watch) = (books.clone(), watched.clone());
        tokio::spawn(door::attend(posts, watched, Mode::Down, move |stream| {
            tokio::spawn(connection(stream, arrived.clone(), watch.clone()));
        }));
        Ok(Self { quiet, disturbed, books, mode })
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_if_modified(|now| std::mem::replace(now, mode) != mode);
    }
}

async fn take_lines(listener: TcpListener, books: Books) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let books = books.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stream).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                books.quiet(&line);
            }
        });
    }
}

async fn connection(
    stream: TcpStream,
    books: Books,
    mut mode: watch::Receiver<Mode>,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let posts = posts(&mut stream, &books, mode.clone());
    let broken = tokio::select! {
        biased;
        _ = mode.wait_for(|mode| *mode == Mode::Down) => true,
        ended = posts => ended.is_err(),
    };
    if broken { stream.get_ref().set_zero_linger() } else { Ok(()) }
}

/// Requests, one after the other, until the host has no more.
async fn posts(
    stream: &mut BufReader<TcpStream>,
    books: &Books,
    mode: watch::Receiver<Mode>,
) -> io::Result<()> {
    while let Some(length) = head(stream).await? {
        let resets = *mode.borrow() == Mode::Reset;
        let mut body = vec![0; length];
        if resets && fastrand::bool() {
            let part = fastrand::usize(0..=length);
            stream.read_exact(&mut body[..part]).await?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        stream.read_exact(&mut body).await?;
        String::from_utf8_lossy(&body).lines().for_each(|line| books.disturbed(line));
        if resets {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        stream.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await?;
    }
    Ok(())
}

/// The length of the next request's body.
async fn head(stream: &mut BufReader<TcpStream>) -> io::Result<Option<usize>> {
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
            None if line.trim_end().is_empty() => return Ok(Some(length)),
            _ => {}
        }
    }
}
