//! A name server for one name, in the namespace's port 53: it answers, refuses, fails, or keeps silent.

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use tokio::net::UdpSocket;
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    #[default]
    Answer,
    Refuse,
    ServFail,
    Silent,
}

/// Type A, class IN.
const ADDRESS: [u8; 4] = [0, 1, 0, 1];
const HEADER: usize = 12;

/// Makes the namespace ask the server below, and starts it.
pub(crate) async fn start(dir: &Path) -> Result<watch::Sender<Mode>, String> {
    let file = dir.join("resolv.conf");
    std::fs::write(&file, "nameserver 127.0.0.1\n").map_err(|error| error.to_string())?;
    let bound = Command::new("mount").arg("--bind").arg(&file).arg("/etc/resolv.conf").status();
    if !bound.is_ok_and(|status| status.success()) {
        return Err("/etc/resolv.conf cannot be replaced".to_owned());
    }
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53)).await;
    let socket = socket.map_err(|error| format!("port 53: {error}"))?;
    let (mode, watched) = watch::channel(Mode::Answer);
    tokio::spawn(serve(socket, watched));
    Ok(mode)
}

async fn serve(socket: UdpSocket, mode: watch::Receiver<Mode>) -> io::Result<()> {
    let mut buffer = [0; 1500];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await?;
        let mode = *mode.borrow();
        if let Some(answer) = answer(&buffer[..length], mode) {
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

/// This machine, whatever name is asked for, good for a second; of other types there is nothing.
fn answer(query: &[u8], mode: Mode) -> Option<Vec<u8>> {
    let question = query.get(HEADER..)?;
    let name = question.iter().position(|byte| *byte == 0)? + 1;
    let question = question.get(..name + ADDRESS.len())?;
    let code = match mode {
        Mode::Answer => 0,
        Mode::ServFail => 2,
        Mode::Refuse => 5,
        Mode::Silent => return None,
    };
    let found = mode == Mode::Answer && question.ends_with(&ADDRESS);
    // An answer, with recursion, to one question.
    let mut answer =
        [&query[..2], &[0x81, 0x80 | code, 0, 1, 0, u8::from(found), 0, 0, 0, 0]].concat();
    answer.extend_from_slice(question);
    if found {
        // The name is that of the question.
        answer.extend_from_slice(&[0xc0, HEADER as u8]);
        answer.extend_from_slice(&ADDRESS);
        answer.extend_from_slice(&[0, 0, 0, 1, 0, 4, 127, 0, 0, 1]);
    }
    Some(answer)
}
