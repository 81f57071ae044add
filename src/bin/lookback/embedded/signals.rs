//! Signals as messages: a thread of its own waits for them.
#![allow(unsafe_code, reason = "signal masks are a C interface")]

use std::mem::MaybeUninit;
use std::sync::mpsc::{self, Receiver};
use std::thread;

/// What the user asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGINT or SIGTERM.
    Stop,
    /// SIGHUP.
    Reload,
}

/// Call this before any other thread is started: threads inherit the mask, so the signals reach only the
/// waiting thread. A second request to stop ends the process at once.
pub(crate) fn listen() -> Receiver<Signal> {
    let signals = block();
    let (say, heard) = mpsc::channel();
    let wait = move || {
        let mut stopping = false;
        loop {
            let signal = match wait_for(&signals) {
                libc::SIGHUP => Signal::Reload,
                number if stopping => std::process::exit(128 + number),
                _ => Signal::Stop,
            };
            stopping |= signal == Signal::Stop;
            if say.send(signal).is_err() {
                std::process::exit(1);
            }
        }
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(wait)
        .expect("the system has a thread left");
    heard
}

fn block() -> libc::sigset_t {
    let mut signals = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` initializes the set that the other calls change and read; all arguments are
    // valid for the length of the calls.
    unsafe {
        libc::sigemptyset(signals.as_mut_ptr());
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            libc::sigaddset(signals.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, signals.as_ptr(), std::ptr::null_mut());
        signals.assume_init()
    }
}

fn wait_for(signals: &libc::sigset_t) -> libc::c_int {
    let mut signal = 0;
    // SAFETY: the set is initialized, and `signal` is this frame's.
    while unsafe { libc::sigwait(signals, &raw mut signal) } != 0 {}
    signal
}
