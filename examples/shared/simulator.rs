//! `lookback simulate` as a child process, and what it knows: the truth.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::clock::Moment;

/// When an event happened, and when the API began to show it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) happened: Moment,
    pub(crate) visible: Moment,
}

pub(crate) struct Simulator {
    child: Child,
    addr: SocketAddr,
}

impl Simulator {
    /// A simulator with these options.
    pub(crate) fn start(tool: &Path, options: &[String]) -> Result<Self, String> {
        let mut child = Command::new(tool)
            .args(["simulate", "--port", "0"])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{}: {error}", tool.display()))?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("the simulator has no output")?;
        BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
        let addr = line.trim().rsplit('/').next().and_then(|addr| addr.parse().ok());
        let addr = addr.ok_or_else(|| format!("the simulator did not say where it is: {line}"))?;
        Ok(Self { child, addr })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// No more events happen.
    pub(crate) fn pause(&self) -> Result<(), String> {
        self.ask("POST", "/_simulator/pause", "").map(drop)
    }

    /// Changes the chances of faults.
    pub(crate) fn change(&self, patch: &Value) -> Result<(), String> {
        self.ask("POST", "/_simulator/faults", &patch.to_string()).map(drop)
    }

    pub(crate) fn stats(&self) -> Result<Value, String> {
        let text = self.ask("GET", "/_simulator/stats", "")?;
        serde_json::from_str(&text).map_err(|error| format!("the simulator's stats: {error}"))
    }

    /// All events that happened, by id, with the times of one of its APIs.
    pub(crate) fn truth(&self, api: &str) -> Result<HashMap<String, Event>, String> {
        let text = self.ask("GET", &format!("/_simulator/truth?api={api}"), "")?;
        let event = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            let moment = |key: &str| {
                let at: jiff::Timestamp = line[key].as_str()?.parse().ok()?;
                Duration::try_from(at.as_duration()).ok()
            };
            let event = Event { happened: moment("time")?, visible: moment("visible_at")? };
            Some((line["id"].as_str()?.to_owned(), event))
        };
        let broken = |line: &str| format!("the simulator's truth has a line that is none: {line}");
        text.lines().map(|line| event(line).ok_or_else(|| broken(line))).collect()
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Result<String, String> {
        let exchange = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(self.addr)?;
            let (host, length) = (self.addr, body.len());
            write!(
                stream,
                "{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n{body}"
            )?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = exchange().map_err(|error| format!("the simulator: {error}"))?;
        match answer.split_once("\r\n\r\n") {
            Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
            _ => Err(format!("the simulator, asked for {path}: {answer}")),
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
