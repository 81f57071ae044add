//! The host as a child process, and how it ended each time.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use clap::ValueEnum;

use super::binaries::Binaries;
use super::clock::now;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HostKind {
    /// A real one: its storage, its outputs, its habits
    FluentBit,
    /// `lookback run`
    Embedded,
}

impl HostKind {
    /// As `--host` takes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::FluentBit => "fluent-bit",
            Self::Embedded => "embedded",
        }
    }
}

/// What the host is configured to give outputs and inputs at a shutdown.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// A host that has not ended by then never will.
const STUCK: Duration = Duration::from_secs(60);

pub(crate) struct Host {
    kind: HostKind,
    program: PathBuf,
    binaries: Binaries,
    dir: PathBuf,
    output_port: u16,
    child: Option<Child>,
    stopped: bool,
    /// The most memory that one was seen to have, in KiB.
    pub(crate) peak_kib: u64,
}

impl Host {
    /// A host with this configuration, which both kinds read, not yet running. The embedded one sends records
    /// to `output_port`, for it passes over outputs.
    pub(crate) fn new(
        kind: HostKind,
        binaries: &Binaries,
        dir: &Path,
        configuration: &str,
        output_port: u16,
    ) -> Result<Self, String> {
        let program = match kind {
            HostKind::Embedded => binaries.tool.clone(),
            HostKind::FluentBit => Binaries::fluent_bit()
                .ok_or("no Fluent Bit: set FLUENT_BIT to its path, or take --host embedded")?,
        };
        std::fs::write(dir.join("host.yaml"), configuration)
            .map_err(|error| format!("{}: {error}", dir.display()))?;
        Ok(Self {
            kind,
            program,
            binaries: binaries.clone(),
            dir: dir.to_owned(),
            output_port,
            child: None,
            stopped: false,
            peak_kib: 0,
        })
    }

    /// Where a Fluent Bit's filter writes what it takes from the plugin.
    pub(crate) fn journal(&self) -> Option<PathBuf> {
        (self.kind == HostKind::FluentBit).then(|| self.dir.join("journal"))
    }

    pub(crate) fn is_up(&self) -> bool {
        self.child.is_some()
    }

    pub(crate) fn start(&mut self) -> Result<(), String> {
        let log = File::options().create(true).append(true).open(self.dir.join("host.log"));
        let log = log.map_err(|error| format!("the host's log: {error}"))?;
        let mut command = Command::new(&self.program);
        let config = self.dir.join("host.yaml");
        match self.kind {
            HostKind::FluentBit => command.arg("-c").arg(config),
            HostKind::Embedded => {
                let output = format!("tcp://127.0.0.1:{}", self.output_port);
                command.arg("run").arg(config).arg("--plugin").arg(&self.binaries.plugin);
                command.args(["--output", &output])
            }
        };
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        self.child = Some(child.map_err(|error| format!("{}: {error}", self.program.display()))?);
        self.stopped = false;
        Ok(())
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.look();
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM. Says how long it took and how it ended; nothing if it had to be killed.
    pub(crate) fn terminate(&mut self) -> Option<(Duration, ExitStatus)> {
        self.stop(false);
        self.signal("TERM");
        let began = now();
        let child = self.child.as_mut()?;
        while now() < began + STUCK {
            if let Ok(Some(status)) = child.try_wait() {
                self.child = None;
                return Some((now().saturating_sub(began), status));
            }
            if let Some(kib) = peak(child.id()) {
                self.peak_kib = self.peak_kib.max(kib);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill();
        None
    }

    /// SIGHUP.
    pub(crate) fn reload(&mut self) {
        self.signal("HUP");
    }

    /// SIGSTOP, or SIGCONT.
    pub(crate) fn stop(&mut self, stop: bool) {
        if self.child.is_some() && self.stopped != stop {
            self.signal(if stop { "STOP" } else { "CONT" });
            self.stopped = stop;
        }
    }

    /// Whether it has ended by itself, and how.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        Some(status)
    }

    /// Looks at its memory.
    pub(crate) fn look(&mut self) {
        let kib = self.child.as_ref().and_then(|child| peak(child.id()));
        self.peak_kib = self.peak_kib.max(kib.unwrap_or(0));
    }

    /// The last lines of its log.
    pub(crate) fn log_tail(&self, lines: usize) -> String {
        let log = std::fs::read(self.dir.join("host.log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let all: Vec<&str> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    fn signal(&self, signal: &str) {
        if let Some(child) = &self.child {
            let pid = child.id().to_string();
            let _ = Command::new("kill").args([&format!("-{signal}"), &pid]).status();
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The most memory that a process has had, in KiB.
fn peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
