//! A connection that can be cut anywhere.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Passes on what clients and a server say, until so many bytes have passed. It has no end of its own.
pub(crate) struct Relay {
    pub(crate) port: u16,
    inner: Arc<Inner>,
}

struct Inner {
    server: u16,
    /// How many more bytes pass to the server, and back from it.
    left: [AtomicU64; 2],
    passed: [AtomicU64; 2],
    streams: Mutex<Vec<TcpStream>>,
}

impl Relay {
    /// One in front of a port of loopback; everything passes.
    pub(crate) fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (left, passed) = ([u64::MAX; 2].map(AtomicU64::new), [0; 2].map(AtomicU64::new));
        let inner = Arc::new(Inner { server, left, passed, streams: Mutex::default() });
        let relay = Self { port, inner: Arc::clone(&inner) };
        thread::spawn(move || listener.incoming().flatten().for_each(|client| inner.join(client)));
        relay
    }

    /// From now on so many bytes pass to the server, and so many back; then every connection is cut.
    pub(crate) fn cut_after(&self, to: u64, back: u64) {
        self.inner.passed.iter().for_each(|passed| passed.store(0, Ordering::SeqCst));
        self.inner.left[0].store(to, Ordering::SeqCst);
        self.inner.left[1].store(back, Ordering::SeqCst);
    }

    /// How many bytes have passed to the server and back since then.
    pub(crate) fn passed(&self) -> [u64; 2] {
        self.inner.passed.each_ref().map(|passed| passed.load(Ordering::SeqCst))
    }
}

impl Inner {
    fn join(self: &Arc<Self>, client: TcpStream) {
        let Ok(server) = TcpStream::connect(("127.0.0.1", self.server)) else { return };
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.extend([&client, &server].map(|stream| stream.try_clone().unwrap()));
        drop(streams);
        let pairs = [[&client, &server], [&server, &client]];
        for (way, [from, to]) in pairs.into_iter().enumerate() {
            let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            let inner = Arc::clone(self);
            thread::spawn(move || inner.pass(way, from, to));
        }
    }

    fn pass(&self, way: usize, mut from: TcpStream, mut to: TcpStream) {
        let mut bytes = [0; 4096];
        while let Ok(len @ 1..) = from.read(&mut bytes) {
            let left = self.left[way].load(Ordering::SeqCst);
            let pass = len.min(usize::try_from(left).unwrap_or(usize::MAX));
            self.left[way].fetch_sub(pass as u64, Ordering::SeqCst);
            self.passed[way].fetch_add(pass as u64, Ordering::SeqCst);
            if to.write_all(&bytes[..pass]).is_err() {
                break;
            }
            if pass < len {
                let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
                streams.drain(..).for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    }
}
