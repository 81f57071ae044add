//! Where `lookback run` writes records: JSON lines to stdout, a file or a TCP peer.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::embedded::{JsonStyle, Output, Record};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Lines are sent on when this much has come together, and after every fetch.
const BATCH_BYTES: usize = 64 * 1024;

/// `stdout`, `null`, `file:PATH` or `tcp://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Stdout,
    Null,
    File(PathBuf),
    Tcp(String),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("file:").filter(|path| !path.is_empty()) {
            return Ok(Self::File(path.into()));
        }
        let peer = text.strip_prefix("tcp://").map(|peer| peer.trim_end_matches('/'));
        match (text, peer) {
            ("stdout" | "-", _) => Ok(Self::Stdout),
            ("null", _) => Ok(Self::Null),
            (_, Some(peer)) if peer.contains(':') => Ok(Self::Tcp(peer.to_owned())),
            _ => Err("expected stdout, null, file:PATH or tcp://HOST:PORT".to_owned()),
        }
    }
}

/// An output of JSON lines.
pub(crate) struct JsonLines {
    writer: Writer,
    style: JsonStyle,
    batch: Vec<u8>,
}

enum Writer {
    Stdout(io::Stdout),
    Null,
    File(File),
    Tcp { peer: String, stream: Option<TcpStream> },
}

impl JsonLines {
    pub(crate) fn open(target: &Target, style: JsonStyle) -> io::Result<Self> {
        let writer = match target {
            Target::Stdout => Writer::Stdout(io::stdout()),
            Target::Null => Writer::Null,
            Target::File(path) => {
                Writer::File(OpenOptions::new().create(true).append(true).open(path)?)
            }
            Target::Tcp(peer) => Writer::Tcp { peer: peer.clone(), stream: None },
        };
        Ok(Self { writer, style, batch: Vec::new() })
    }
}

impl Output for JsonLines {
    fn write(&mut self, record: &Record) -> io::Result<()> {
        // A full batch that cannot go out keeps the record out too: it comes again.
        if self.batch.len() >= BATCH_BYTES {
            self.flush()?;
        }
        let start = self.batch.len();
        record.write_json_line(self.style, &mut self.batch).map_err(|malformed| {
            self.batch.truncate(start);
            io::Error::new(io::ErrorKind::InvalidData, malformed)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.batch.is_empty() {
            self.writer.send(&self.batch)?;
            self.batch.clear();
        }
        Ok(())
    }
}

impl Writer {
    fn send(&mut self, batch: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => {
                let mut stdout = stdout.lock();
                stdout.write_all(batch)?;
                stdout.flush()
            }
            Self::Null => Ok(()),
            Self::File(file) => file.write_all(batch),
            Self::Tcp { peer, stream } => {
                let mut connected = match stream.take() {
                    Some(stream) => stream,
                    None => connect(peer)?,
                };
                connected.write_all(batch)?;
                *stream = Some(connected);
                Ok(())
            }
        }
    }
}

fn connect(peer: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{peer} has no address"));
    for address in peer.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        assert_eq!("stdout".parse(), Ok(Target::Stdout));
        assert_eq!("file:/tmp/x".parse(), Ok(Target::File("/tmp/x".into())));
        assert_eq!("tcp://h:1468".parse(), Ok(Target::Tcp("h:1468".into())));
        for bad in ["file:", "tcp://h", "udp://h:1", ""] {
            assert!(bad.parse::<Target>().is_err(), "{bad}");
        }
    }
}
