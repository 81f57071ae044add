//! A simulator, hosts for it, and the books: what happened against what was delivered.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::embedded::{
    self, Collector, Host, HostError, HostOptions, InputSpec, Level, Record, StopReport,
};
use crate::simulate::{FeedOptions, Options, Simulator, Truth};

pub(crate) const SECRET: &str = "hunter2-but-longer";
pub(crate) const HEALTH: &str = "lookback.health";
/// The most a test waits for anything.
pub(crate) const LONG: Duration = Duration::from_secs(40);

/// Threads and mapped libraries are the process's: who counts them must be alone.
static GATE: RwLock<()> = RwLock::new(());

enum Gate {
    Shared { _guard: RwLockReadGuard<'static, ()> },
    Alone { _guard: RwLockWriteGuard<'static, ()> },
}

pub(crate) struct Bench {
    pub(crate) simulator: Simulator,
    pub(crate) output: Collector,
    pub(crate) options: HostOptions,
    dir: TempDir,
    written: Mutex<HashSet<PathBuf>>,
    log: Arc<Mutex<Vec<String>>>,
    gate: Gate,
}

/// Events that have all happened, and all show.
pub(crate) fn history(count: u64) -> FeedOptions {
    FeedOptions {
        rate: 100.0,
        backfill: Duration::from_secs(120),
        count: Some(count),
        lateness: "fixed:0s".parse().unwrap(),
        ..FeedOptions::default()
    }
}

/// Events that go on happening, some of them late, all within a window of 4 s.
pub(crate) fn stream() -> FeedOptions {
    FeedOptions {
        rate: 100.0,
        backfill: Duration::from_secs(10),
        lateness: "90%exp:100ms,10%uniform:0s-2s".parse().unwrap(),
        ..FeedOptions::default()
    }
}

impl Bench {
    pub(crate) fn new(feed: FeedOptions) -> Self {
        Self::tuned(feed, |_| {})
    }

    /// A simulator with other options besides.
    pub(crate) fn tuned(feed: FeedOptions, tune: impl FnOnce(&mut Options)) -> Self {
        let guard = GATE.read().unwrap_or_else(PoisonError::into_inner);
        Self::behind(Gate::Shared { _guard: guard }, feed, tune)
    }

    /// No other bench lives at the same time.
    pub(crate) fn alone(feed: FeedOptions) -> Self {
        let guard = GATE.write().unwrap_or_else(PoisonError::into_inner);
        Self::behind(Gate::Alone { _guard: guard }, feed, |_| {})
    }

    fn behind(gate: Gate, feed: FeedOptions, tune: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options { feed, ..Options::default() };
        options.login.client_secret = SECRET.to_owned();
        tune(&mut options);
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let lines = Arc::clone(&log);
        let sink = move |_: Level, line: &str| lock(&lines).push(line.to_owned());
        let bench = Self {
            simulator: Simulator::start(options).unwrap(),
            output: Collector::default(),
            options: HostOptions { log: Arc::new(sink), ..HostOptions::fast() },
            dir: tempfile::tempdir().unwrap(),
            written: Mutex::default(),
            log,
            gate,
        };
        bench.write("small_pages.yaml", SMALL_PAGES);
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// How many ids the state holds; none while it cannot be read. Asked of another process: a second SQLite in this one
    /// would take the plugin's locks away, and its index from under it.
    pub(crate) fn committed(&self) -> usize {
        let mut look = std::process::Command::new(env!("CARGO_BIN_EXE_lookback"));
        let output = look.args(["state", "--json"]).arg(self.path("lookback.db")).output().unwrap();
        let found = serde_json::from_slice(&output.stdout).unwrap_or(serde_json::Value::Null);
        let sources = found.as_array().into_iter().flatten();
        sources.filter_map(|source| source["ids"].as_u64()).map(|ids| ids as usize).sum()
    }

    /// Writes a file, and gives its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        lock(&self.written).insert(path.clone());
        path.to_str().unwrap().to_owned()
    }

    /// An input that reads the last ten minutes of sign-ins, then polls every second.
    pub(crate) fn input(&self, name: &str) -> InputSpec {
        let mut input = InputSpec::new(name);
        input.log_level = Level::Trace;
        let url = self.simulator.url();
        input
            .set("api", "entra_signins")
            .set("tenant", "contoso.example")
            .set("client_id", "simulator")
            .set("client_secret", SECRET)
            .set("base_url", &url)
            .set("token_url", format!("{url}/contoso.example/oauth2/v2.0/token"))
            .set("interval", "1s")
            .set("window", "4s")
            .set("sweeps", "off")
            .set("start", "10m")
            .set("widen", "off")
            .set("rate_limit", "100000")
            .set("commit_delay", "1s")
            .set("db", self.path("lookback.db").display())
    }

    /// The same, fifty events a page.
    pub(crate) fn small_pages(&self, name: &str) -> InputSpec {
        with(self.input(name), "api", self.path("small_pages.yaml").display())
    }

    pub(crate) fn start(&self, inputs: Vec<InputSpec>) -> Host {
        self.try_start(inputs).unwrap_or_else(|error| panic!("{error}: {:#?}", self.log()))
    }

    pub(crate) fn try_start(&self, inputs: Vec<InputSpec>) -> Result<Host, HostError> {
        let output = Box::new(self.output.clone());
        Host::start(&plugin(), inputs, output, self.options.clone())
    }

    /// Stops the host; no breach of the interface may have come about.
    pub(crate) fn stop(&self, host: Host) -> StopReport {
        let report = host.stop();
        assert_eq!(report.breaches, Vec::<String>::new(), "{:#?}", self.log());
        assert_eq!(embedded::stray_calls(), Vec::<String>::new());
        if let Gate::Alone { .. } = self.gate {
            assert!(report.unloaded, "the library is still mapped");
            assert_eq!(plugin_threads(), 0, "a thread of the plugin is left");
        }
        report
    }

    pub(crate) fn faults(&self, patch: Value) {
        self.simulator.change_faults(&patch).unwrap();
    }

    pub(crate) fn log(&self) -> Vec<String> {
        lock(&self.log).clone()
    }

    pub(crate) fn has_logged(&self, text: &str) -> bool {
        lock(&self.log).iter().any(|line| line.contains(text))
    }

    /// The events of health records so far.
    pub(crate) fn health(&self) -> Vec<String> {
        let name = |record: Record| body(&record)["lookback"]["event"].as_str().map(str::to_owned);
        self.output.tagged(HEALTH).into_iter().filter_map(name).collect()
    }

    pub(crate) fn has_health(&self, event: &str) -> bool {
        self.health().iter().any(|name| name == event)
    }

    /// `window_seconds` of the health records of an event.
    pub(crate) fn health_seconds(&self, event: &str) -> Vec<f64> {
        let bodies = self.output.tagged(HEALTH);
        let bodies = bodies.iter().map(|record| body(record)["lookback"].clone());
        let of_event = bodies.filter(|body| body["event"] == event);
        of_event.filter_map(|body| body["window_seconds"].as_f64()).collect()
    }

    /// How often each id was delivered by `input`.
    pub(crate) fn delivered_by(&self, input: &str) -> HashMap<String, u32> {
        let mut ids = HashMap::new();
        for record in self.output.tagged(input) {
            *ids.entry(id(&record)).or_default() += 1;
        }
        ids
    }

    /// How many records of `input` were delivered.
    pub(crate) fn count(&self, input: &str) -> usize {
        self.output.tagged(input).len()
    }

    /// Waits for a condition; a panic shows the log.
    pub(crate) fn wait(&self, host: &Host, what: &str, condition: impl Fn() -> bool) {
        assert!(
            host.wait_until(LONG, |_| condition()),
            "waited in vain for {what}\nhealth: {:?}\nlog: {:#?}\nsimulator: {:?}",
            self.health(),
            self.log(),
            self.simulator.stats(),
        );
    }

    /// Lets no more events happen, waits until all are delivered, and then for two polls more: a duplicate
    /// would show by then.
    pub(crate) fn wait_for_all(&self, host: &Host, input: &str) {
        self.wait_for(host, input, |_| true);
    }

    /// The same, of the events that the input's API shows.
    pub(crate) fn wait_for(&self, host: &Host, input: &str, shows: impl Fn(&Truth) -> bool) {
        self.simulator.pause();
        let mut truth = self.simulator.truth();
        truth.retain(|event| shows(event));
        self.wait(host, "all events", || {
            self.count(input) >= truth.len()
                && missing(&truth, &self.delivered_by(input)).is_empty()
        });
        let polls = || {
            let wanted = [("kind", "live"), ("result", "ok")];
            host.instance(input).metrics.sum("lookback_polls_total", &wanted).unwrap_or(0.0)
        };
        let before = polls();
        self.wait(host, "two more polls", || polls() >= before + 2.0);
        self.wait(host, "the output", || host.is_drained());
    }

    /// Everything that happened was delivered by `input`, once.
    pub(crate) fn assert_exact(&self, input: &str) {
        self.assert_exactly(input, |_| true);
    }

    /// The same, of the events that the input's API shows.
    pub(crate) fn assert_exactly(&self, input: &str, shows: impl Fn(&Truth) -> bool) {
        let (mut truth, delivered) = (self.simulator.truth(), self.delivered_by(input));
        truth.retain(|event| shows(event));
        let lost = missing(&truth, &delivered);
        assert!(
            lost.is_empty(),
            "{input}: {} of {} lost: {:?}",
            lost.len(),
            truth.len(),
            &lost[..1]
        );
        let twice: Vec<_> = delivered.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "{input}: {} of {} came twice", twice.len(), truth.len());
        assert_eq!(delivered.len(), truth.len(), "{input}: ids that never happened");
    }

    /// Stops the host. Everything that came out of it, each with its place: records, metrics, log, and
    /// all files but those that the test wrote itself.
    pub(crate) fn everything_shown(&self, host: Host) -> Vec<(String, Vec<u8>)> {
        let mut shown = vec![("metrics".to_owned(), host.prometheus().into_bytes())];
        let texts: String = host.instances().map(|instance| instance.metrics.to_text()).collect();
        shown.push(("the host's text".to_owned(), texts.into_bytes()));
        self.stop(host);
        shown.extend(self.log().into_iter().map(|line| ("log".to_owned(), line.into_bytes())));
        for record in self.output.records() {
            shown.push((record.tag.clone(), record.body_json().into_bytes()));
            shown.push((record.tag, [record.metadata, record.body].concat()));
        }
        // Only now: a state that is open must not be opened by another in this process.
        let written = lock(&self.written).clone();
        for entry in std::fs::read_dir(self.path("")).unwrap() {
            let path = entry.unwrap().path();
            if !written.contains(&path) {
                shown.push((path.display().to_string(), std::fs::read(&path).unwrap()));
            }
        }
        let is_state = |(place, bytes): &(String, Vec<u8>)| {
            place.ends_with("lookback.db") && !bytes.is_empty()
        };
        assert!(shown.iter().any(is_state), "no state");
        shown
    }

    /// All together: waits, compares, stops, compares again.
    pub(crate) fn finish(&self, host: Host, input: &str) -> StopReport {
        self.wait_for_all(&host, input);
        self.assert_exact(input);
        let report = self.stop(host);
        assert_eq!(report.undelivered_records, 0);
        self.assert_exact(input);
        report
    }
}

/// `input` with one property more, or another value of it.
pub(crate) fn with(mut input: InputSpec, key: &str, value: impl ToString) -> InputSpec {
    input.properties.retain(|(name, _)| name != key);
    input.set(key, value)
}

pub(crate) fn body(record: &Record) -> Value {
    serde_json::from_str(&record.body_json()).unwrap()
}

pub(crate) fn metadata(record: &Record) -> Value {
    serde_json::from_str(&record.metadata_json()).unwrap()
}

/// The id, under whatever name the API gives it.
pub(crate) fn id(record: &Record) -> String {
    let body = body(record);
    let id = ["id", "Id", "uuid", "_document_id"].iter().find_map(|name| body[name].as_str());
    id.unwrap_or_default().to_owned()
}

pub(crate) fn missing<'t>(truth: &'t [Truth], delivered: &HashMap<String, u32>) -> Vec<&'t Truth> {
    truth.iter().filter(|event| !delivered.contains_key(&event.id)).collect()
}

/// Asks again and again, until `condition` or the end of patience.
pub(crate) fn eventually(at_most: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + at_most;
    while !condition() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// The plugin as this build has made it: cargo leaves it beside the test, and copies it one level up
/// only when it is built for its own sake. The newer one, then, and never one older than its sources.
pub(crate) fn plugin() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let deps = test.parent().unwrap();
    let places = [deps, deps.parent().unwrap()].map(|dir| dir.join("libin_lookback.so"));
    let built = |path: &PathBuf| modified(path);
    let newest = places.into_iter().max_by_key(built).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let source = newest_source(&root).unwrap();
    assert!(
        modified(&newest) >= Some(source),
        "{} is missing, or older than its sources",
        newest.display()
    );
    newest
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    path.metadata().and_then(|data| data.modified()).ok()
}

/// When the plugin's sources were last touched; those of the tool are none of it.
fn newest_source(dir: &Path) -> Option<std::time::SystemTime> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let newest = entries
        .filter(|path| !path.ends_with("src/bin"))
        .filter_map(|path| if path.is_dir() { newest_source(&path) } else { modified(&path) });
    newest.max()
}

/// Threads that only the plugin can have started.
pub(crate) fn plugin_threads() -> usize {
    let name = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default()
    };
    let names = std::fs::read_dir("/proc/self/task").unwrap().map(name);
    names.filter(|name| name.trim() == "lookback" || name.starts_with("tokio")).count()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const SMALL_PAGES: &str = "
name: small_pages
title: Sign-ins, fifty a page
base_url: https://graph.microsoft.com
auth:
  kind: oauth2
  token_url: https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token
  scope: https://graph.microsoft.com/.default
request:
  path: /v1.0/auditLogs/signIns
  query:
    $filter: createdDateTime ge {from} and createdDateTime le {to}
    $top: '50'
records: /value
id: /id
time: /createdDateTime
next: {link: /@odata.nextLink}
limits: {page: 50, range: 24h, reach: 30d, requests_per_minute: 1000}
window: 20m
";
