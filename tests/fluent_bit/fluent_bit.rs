//! A real Fluent Bit as a child process.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::receiver::Receiver;
use crate::simulator::Simulator;

/// The binary named by `FLUENT_BIT`, else the one on the `PATH`.
pub(crate) fn find() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("FLUENT_BIT") {
        return Some(PathBuf::from(path));
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join("fluent-bit")).find(|file| file.is_file())
}

/// The library that was built together with this test.
fn plugin() -> PathBuf {
    let tool = Path::new(env!("CARGO_BIN_EXE_lookback"));
    let candidates = ["libin_lookback.so", "deps/libin_lookback.so"];
    let built = candidates.iter().map(|name| tool.with_file_name("").join(name));
    let age = |path: &PathBuf| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
    built.filter(|path| path.exists()).max_by_key(age).expect("libin_lookback.so was built")
}

/// One input, and where its records go.
pub(crate) struct Input {
    pub(crate) tag: String,
    pub(crate) port: u16,
    /// Its own properties, a line each, indented.
    pub(crate) properties: String,
}

/// The properties of an input that signs in with a secret.
pub(crate) fn graph_input(api: &str, simulator: &Simulator) -> String {
    let url = simulator.url();
    let version = if api.starts_with("aad") { "token?api-version=1.0" } else { "v2.0/token" };
    format!(
        "      api: {api}
      tenant: contoso
      client_id: simulator
      client_secret: simulator-secret
      base_url: {url}
      token_url: {url}/contoso/oauth2/{version}
      rate_limit: 1200
"
    )
}

pub(crate) struct FluentBit {
    binary: PathBuf,
    dir: tempfile::TempDir,
    http_port: u16,
    child: Option<Child>,
}

impl FluentBit {
    pub(crate) fn new(binary: &Path, simulator: &Simulator, receiver: &Receiver) -> Self {
        let input = Input {
            tag: "entra.signins".to_owned(),
            port: receiver.port(),
            properties: graph_input("entra_signins", simulator)
                + "      window: 30s\n      sweeps: 90s/10s\n",
        };
        Self::with_inputs(binary, &[input])
    }

    /// A host with these inputs, each with an output of its own.
    pub(crate) fn with_inputs(binary: &Path, inputs: &[Input]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let http_port = free.local_addr().expect("its address").port();
        let path = dir.path().display();
        let mut config = format!(
            "service: {{flush: 1, grace: 5, log_level: info, http_server: on, http_port: {http_port}, hot_reload: on, storage.path: {path}/storage, storage.sync: normal}}
plugins: [{plugin}]
pipeline:
  inputs:
",
            plugin = plugin().display(),
        );
        for Input { tag, properties, .. } in inputs {
            config += &format!(
                "    - name: lookback
      tag: {tag}
{properties}      interval: 3s
      heartbeat: 10s
      db: {path}/lookback.db
      storage.type: filesystem
"
            );
        }
        config += "  outputs:\n";
        for (number, Input { tag, port, .. }) in inputs.iter().enumerate() {
            // Health records have one tag for all: the first output takes them along.
            let matched = if number == 0 {
                format!("match_regex: '^({tag}|lookback.health)$'")
            } else {
                format!("match: {tag}")
            };
            config += &format!(
                "    - {{name: tcp, {matched}, host: 127.0.0.1, port: {port}, format: json_lines, retry_limit: no_limits}}\n"
            );
        }
        std::fs::write(dir.path().join("fluent-bit.yaml"), config).expect("the config");
        Self { binary: binary.to_owned(), dir, http_port, child: None }
    }

    pub(crate) fn start(&mut self) {
        let log = self.dir.path().join("fluent-bit.log");
        let log = std::fs::File::options().create(true).append(true).open(log).expect("the log");
        let child = Command::new(&self.binary)
            .arg("-c")
            .arg(self.dir.path().join("fluent-bit.yaml"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("Fluent Bit starts");
        self.child = Some(child);
    }

    /// SIGTERM; ends within the host's grace.
    pub(crate) fn terminate(&mut self) {
        self.signal("TERM");
        let mut child = self.child.take().expect("Fluent Bit runs");
        let deadline = Instant::now() + Duration::from_secs(20);
        while child.try_wait().expect("its state").is_none() {
            assert!(Instant::now() < deadline, "it did not stop:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("Fluent Bit runs");
        child.kill().expect("it is killed");
        child.wait().expect("it is gone");
    }

    pub(crate) fn reload(&mut self) {
        self.signal("HUP");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().expect("Fluent Bit runs").id().to_string();
        let sent = Command::new("kill").args([&format!("-{signal}"), &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{}", self.log());
    }

    pub(crate) fn metrics(&self) -> String {
        let mut stream =
            TcpStream::connect(("127.0.0.1", self.http_port)).expect("its HTTP server");
        let ask = "GET /api/v2/metrics/prometheus HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(ask.as_bytes()).expect("the request");
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a time-out");
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("fluent-bit.log")).unwrap_or_default()
    }
}

impl Drop for FluentBit {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}
