//! `lookback simulate` as a child process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

pub(crate) struct Simulator {
    child: Child,
    url: String,
}

impl Simulator {
    /// 200 events a second, a tenth of them late by up to twice the window, faults now and then.
    pub(crate) fn start() -> Self {
        Self::start_with(&["--rate", "200"])
    }

    /// The same with further options.
    pub(crate) fn start_with(options: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lookback"))
            .args(["simulate", "--port", "0", "--backfill", "10s"])
            .args(["--lateness", "90%exp:2s,10%uniform:2s-60s", "--event-bytes", "900"])
            .args(["--throttle", "0.02", "--retry-after", "1s", "--truncate", "0.01"])
            .args(["--error", "0.01", "--reset", "0.01", "--expire-link", "0.01"])
            .args(["--unauthorized", "0.005", "--blob-gone", "0.02"])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the simulator starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its output");
        BufReader::new(stdout).read_line(&mut line).expect("its address");
        let url = line.trim().rsplit(' ').next().expect("its address").to_owned();
        Self { child, url }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// No more events happen.
    pub(crate) fn pause(&self) {
        self.ask("POST", "/_simulator/pause");
    }

    /// The ids of all events that happened.
    pub(crate) fn truth(&self) -> Vec<String> {
        self.truth_of("")
    }

    /// The same, of the events of one type.
    pub(crate) fn truth_of(&self, kind: &str) -> Vec<String> {
        let parse = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok();
        let query = if kind.is_empty() { String::new() } else { format!("?type={kind}") };
        let lines = self.ask("GET", &format!("/_simulator/truth{query}"));
        lines
            .lines()
            .filter_map(parse)
            .filter_map(|v| v["id"].as_str().map(str::to_owned))
            .collect()
    }

    pub(crate) fn stats(&self) -> String {
        self.ask("GET", "/_simulator/stats")
    }

    fn ask(&self, method: &str, path: &str) -> String {
        let host = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).expect("the simulator listens");
        let request =
            format!("{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("the request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the answer");
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
