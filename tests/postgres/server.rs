//! A PostgreSQL of the test's own: made in a temporary directory, on a free port of loopback, gone when it is dropped.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// PostgreSQL does not run as root: then it is this one, who has no other rights.
const NOBODY: u32 = 65_534;

/// The most that a start or a stop may take.
const LONG: Duration = Duration::from_secs(60);

/// The user that everything is done as.
pub(crate) const USER: &str = "lookback";

/// It has no other purpose than to be looked for where it must not be.
pub(crate) const PASSWORD: &str = "hunter2-of-the-database";

/// A server.
pub(crate) struct Server {
    dir: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Server {
    /// Whether its programs are where Debian keeps them.
    pub(crate) fn is_installed() -> bool {
        binary("initdb").exists()
    }

    /// A server that runs, with an empty database.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// The same, with settings of its own, as in `postgresql.conf`.
    pub(crate) fn with(settings: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let (data, password) = (dir.path().join("data"), dir.path().join("password"));
        std::fs::create_dir(&data).unwrap();
        std::fs::write(&password, PASSWORD).unwrap();
        if is_root() {
            chown(&data, Some(NOBODY), Some(NOBODY)).unwrap();
            chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let made = unprivileged("initdb")
            .args(["--no-sync", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"])
            .args(["--username", USER, "--pwfile"])
            .arg(&password)
            .arg(&data)
            .output()
            .unwrap_or_else(|error| panic!("initdb: {error}; install Debian's package postgresql"));
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let all = [&["max_connections = 200", "shared_buffers = 64MB"], settings].concat();
        let conf = data.join("postgresql.conf");
        let own = std::fs::read_to_string(&conf).unwrap();
        std::fs::write(&conf, format!("{own}\n{}\n", all.join("\n"))).unwrap();
        let mut server = Self { dir, port, child: None };
        server.run();
        server
    }

    /// Starts it, and waits until it answers.
    pub(crate) fn run(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.log()).unwrap();
        let child = unprivileged("postgres")
            .arg("-D")
            .arg(self.data())
            .args(["-c", "listen_addresses=127.0.0.1", "-p", &self.port.to_string(), "-k"])
            .arg(self.dir.path())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let deadline = Instant::now() + LONG;
        while self.psql("SELECT 1").is_err() {
            let log = || std::fs::read_to_string(self.log()).unwrap_or_default();
            assert!(Instant::now() < deadline, "PostgreSQL does not answer: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops it: `fast` breaks off what is under way, `immediate` is a crash.
    pub(crate) fn stop(&mut self, mode: &str) {
        let Some(mut child) = self.child.take() else { return };
        let mut ctl = unprivileged("pg_ctl");
        let _ = ctl.args(["stop", "-w", "-m", mode, "-D"]).arg(self.data()).output();
        let _ = child.kill();
        let _ = child.wait();
    }

    /// What `psql` answers to statements, a row a line, columns apart by `|`.
    ///
    /// # Errors
    /// What it says if it fails.
    pub(crate) fn psql(&self, sql: &str) -> Result<String, String> {
        self.psql_in("postgres", sql)
    }

    /// The same in another database than the server's first.
    pub(crate) fn psql_in(&self, database: &str, sql: &str) -> Result<String, String> {
        let output = Command::new(binary("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1"])
            .args(["-p", &self.port.to_string(), "-U", USER, "-d", database, "-c", sql])
            .env("PGPASSWORD", PASSWORD)
            .env("PGCONNECT_TIMEOUT", "5")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
        }
    }

    /// An empty database of that name.
    pub(crate) fn database(&self, name: &str) {
        self.psql(&format!("CREATE DATABASE {name}")).unwrap();
    }

    /// Where it listens, on loopback.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// A database's URL as `db` takes it, with the password in it.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("postgresql://{USER}:{PASSWORD}@127.0.0.1:{}/{name}?sslmode=disable", self.port)
    }

    /// The process of the server itself; its children are the sessions'.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Its files.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop("immediate");
    }
}

fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&Path::new("/proc/self").metadata().unwrap()) == 0
}

/// One of PostgreSQL's programs, as someone who may run it.
fn unprivileged(name: &str) -> Command {
    let mut command = Command::new(binary(name));
    command.current_dir("/").stdin(Stdio::null());
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// Debian keeps the server's programs where no `PATH` leads.
fn binary(name: &str) -> PathBuf {
    let versions = Path::new("/usr/lib/postgresql").read_dir().into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|dir| dir.path().join("bin").join(name)).collect();
    found.retain(|path| path.exists());
    found.sort();
    found.pop().unwrap_or_else(|| PathBuf::from(name))
}
