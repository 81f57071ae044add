//! One input: its thread, its timer, and what the plugin may ask about it.

use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use super::habits::Habits;
use super::journal::{Journal, Owner};
use super::log::{self, Level};
use super::metrics::{Family, Kind, Metrics};
use super::options::HostOptions;
use super::plugin::{Collected, Plugin};
use super::properties::{self, Properties};
use super::registry::{Handle, Registry};
use super::ring::{Buffer, Ring};

pub(super) static INSTANCES: Registry<Instance> = Registry::new();

/// What a configuration says about one input.
#[derive(Clone, Debug)]
pub(crate) struct InputSpec {
    pub(crate) name: String,
    pub(crate) tag: String,
    pub(crate) properties: Vec<(String, String)>,
    pub(crate) log_level: Level,
    /// The instance is paused while this many bytes wait for the output.
    pub(crate) mem_buf_limit: Option<usize>,
}

impl InputSpec {
    /// An input named and tagged like `lookback.0`.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            tag: name.to_owned(),
            properties: Vec::new(),
            log_level: Level::Info,
            mem_buf_limit: None,
        }
    }

    #[must_use]
    pub(crate) fn tag(mut self, tag: &str) -> Self {
        tag.clone_into(&mut self.tag);
        self
    }

    #[must_use]
    pub(crate) fn set(mut self, key: &str, value: impl ToString) -> Self {
        self.properties.push((key.to_owned(), value.to_string()));
        self
    }
}

/// What happened to an instance so far.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) callbacks: AtomicU64,
    /// Callbacks that came after a `Pause`.
    pub(crate) paused_callbacks: AtomicU64,
    pub(crate) returned_buffers: AtomicU64,
    pub(crate) failed_callbacks: AtomicU64,
    pub(crate) taken_appends: AtomicU64,
    pub(crate) refused_appends: AtomicU64,
    /// Appends that came after a `Pause`.
    pub(crate) paused_appends: AtomicU64,
    pub(crate) fetched_records: AtomicU64,
    /// The longest single callback, in microseconds.
    pub(crate) slowest_callback_us: AtomicU64,
}

/// An instance as host, engine and plugin see it.
pub(crate) struct Instance {
    pub(super) handle: Handle,
    pub(super) context: Handle,
    pub(crate) spec: InputSpec,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) counters: Counters,
    pub(super) ring: Ring,
    pub(super) journal: Arc<Journal>,
    c_name: CString,
    properties: Properties,
    habits: Arc<Habits>,
    pub(super) owner: Arc<Owner>,
    commands: Mutex<Sender<Command>>,
    own_metrics: OwnMetrics,
    /// `Pause` was called, and no `Resume` since.
    paused: AtomicBool,
    /// The ring is not fetched.
    frozen: AtomicBool,
    timer_stopped: AtomicBool,
}

/// The host's own metrics of an instance.
struct OwnMetrics {
    records: Arc<Family>,
    bytes: Arc<Family>,
    paused: Arc<Family>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Command {
    Start,
    Pause,
    Resume,
    Exit {
        reloading: bool,
    },
    /// End without a word to the plugin.
    Vanish,
}

/// How long leaving took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Left {
    pub(super) pre_exit: Duration,
    pub(super) exit: Duration,
}

/// An instance and its thread.
pub(super) struct Running {
    pub(super) instance: Arc<Instance>,
    thread: JoinHandle<Left>,
}

impl Running {
    /// Starts the thread and waits for `FLBPluginInit`. An error is its answer.
    pub(super) fn init(
        plugin: &Arc<Plugin>,
        spec: InputSpec,
        options: &HostOptions,
        journal: &Arc<Journal>,
    ) -> Result<Self, i32> {
        let (commands, inbox) = mpsc::channel();
        let instance = Instance::register(spec, options, journal, commands);
        let (say, answer) = mpsc::channel();
        let thread = {
            let (instance, plugin) = (Arc::clone(&instance), Arc::clone(plugin));
            let options = options.clone();
            let name = format!("flb-in-{}", instance.spec.name);
            let run = move || run(&instance, &plugin, &options, &inbox, &say);
            thread::Builder::new().name(name).spawn(run).expect("the system has a thread left")
        };
        match answer.recv() {
            Ok(answer) if answer > 0 => Ok(Self { instance, thread }),
            refusal => {
                let _ = thread.join();
                instance.retire();
                Err(refusal.unwrap_or(-1))
            }
        }
    }

    pub(super) fn join(self) -> Left {
        self.thread.join().unwrap_or_else(|_| {
            self.instance.journal.add("the instance's thread panicked");
            Left::default()
        })
    }
}

fn run(
    instance: &Instance,
    plugin: &Plugin,
    options: &HostOptions,
    inbox: &Receiver<Command>,
    say: &Sender<i32>,
) -> Left {
    instance.owner.adopt();
    log::adopt_thread(Arc::clone(&options.log));
    let answer = plugin.init(instance.handle, instance.context);
    let _ = say.send(answer);
    if answer <= 0 {
        return Left::default();
    }
    let mut next = None;
    loop {
        let wait =
            next.map_or(Duration::MAX, |at: Instant| at.saturating_duration_since(Instant::now()));
        match inbox.recv_timeout(wait.min(Duration::from_secs(3600))) {
            Ok(Command::Start) => {
                next = Some(Instant::now() + options.tick);
                plugin.pre_run(options.hot_reload);
            }
            Ok(Command::Pause) => {
                instance.paused.store(true, Ordering::SeqCst);
                plugin.pause();
                stop_the_lasts_timer(instance, plugin, true);
            }
            Ok(Command::Resume) => {
                instance.paused.store(false, Ordering::SeqCst);
                plugin.resume();
                stop_the_lasts_timer(instance, plugin, false);
            }
            Ok(Command::Exit { reloading }) => return leave(plugin, reloading),
            Ok(Command::Vanish) | Err(RecvTimeoutError::Disconnected) => return Left::default(),
            Err(RecvTimeoutError::Timeout) => {
                if next.is_some_and(|at| at <= Instant::now()) {
                    call_back(instance, plugin);
                    next = next.map(|at| (at + options.tick).max(Instant::now()));
                }
            }
        }
    }
}

/// See [`Habits::pause_stops_the_last`].
fn stop_the_lasts_timer(instance: &Instance, plugin: &Plugin, stop: bool) {
    if instance.habits.stops_the_last_on_pause()
        && let Some(last) = INSTANCES.get(plugin.last_initialized())
    {
        last.timer_stopped.store(stop, Ordering::SeqCst);
    }
}

fn leave(plugin: &Plugin, reloading: bool) -> Left {
    let start = Instant::now();
    plugin.pre_exit(reloading);
    let pre_exit = start.elapsed();
    plugin.exit();
    Left { pre_exit, exit: start.elapsed() - pre_exit }
}

fn call_back(instance: &Instance, plugin: &Plugin) {
    let (counters, habits) = (&instance.counters, &instance.habits);
    let paused = instance.is_paused();
    let stopped = instance.timer_stopped.load(Ordering::SeqCst);
    if stopped || (paused && !habits.calls_back_while_paused()) {
        return;
    }
    thread::sleep(habits.callback_delay());
    let start = Instant::now();
    // Whether the append worked is nothing to this host.
    let collected = plugin.collect(|bytes| {
        instance.append(None, bytes);
    });
    let took = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    counters.slowest_callback_us.fetch_max(took, Ordering::SeqCst);
    counters.paused_callbacks.fetch_add(paused.into(), Ordering::SeqCst);
    match collected {
        Collected::Nothing => {}
        Collected::Failed => bump(&counters.failed_callbacks),
        Collected::Bytes { cleanup } => {
            bump(&counters.returned_buffers);
            if cleanup == -1 {
                instance.journal.add("FLBPluginInputCleanupCallback gave -1");
            }
        }
    }
    // Counted last: who sees the number sees what the callback did.
    bump(&counters.callbacks);
}

impl Instance {
    fn register(
        spec: InputSpec,
        options: &HostOptions,
        journal: &Arc<Journal>,
        commands: Sender<Command>,
    ) -> Arc<Self> {
        let owner = Arc::new(Owner::new(Arc::clone(journal)));
        let metrics = Metrics::register(Arc::clone(&owner));
        let instance = Arc::new(Self {
            handle: Handle::fresh(),
            context: Handle::fresh(),
            counters: Counters::default(),
            ring: Ring::new(options.ring_capacity, options.append_wait),
            journal: Arc::clone(journal),
            c_name: properties::c_string(&spec.name),
            properties: Properties::new(&spec.properties),
            habits: Arc::clone(&options.habits),
            owner,
            commands: Mutex::new(commands),
            own_metrics: OwnMetrics::create(&metrics, &spec.name),
            paused: AtomicBool::new(false),
            frozen: AtomicBool::new(false),
            timer_stopped: AtomicBool::new(false),
            metrics,
            spec,
        });
        INSTANCES.insert(instance.handle, Arc::clone(&instance));
        instance
    }

    /// Makes the instance's handles invalid.
    pub(super) fn retire(&self) {
        INSTANCES.remove(self.handle);
        self.metrics.retire();
    }

    pub(crate) fn name(&self) -> &str {
        &self.spec.name
    }

    /// `Pause` was called, and no `Resume` since.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::SeqCst)
    }

    pub(crate) fn log_level(&self) -> Level {
        self.spec.log_level
    }

    /// Buffers in the ring.
    pub(crate) fn waiting(&self) -> usize {
        self.ring.len()
    }

    pub(super) fn c_name(&self) -> &CStr {
        &self.c_name
    }

    pub(super) fn property(&self, key: &str) -> Option<&CString> {
        self.properties.get(key)
    }

    /// What `flb_input_log_append` does. True: taken, which is not stored.
    pub(super) fn append(&self, tag: Option<String>, data: &[u8]) -> bool {
        thread::sleep(self.habits.append_delay());
        self.counters.paused_appends.fetch_add(self.is_paused().into(), Ordering::SeqCst);
        let taken = !self.habits.refuses_this_append()
            && self.ring.push(Buffer { tag, data: data.to_vec() }).is_ok();
        let counter =
            if taken { &self.counters.taken_appends } else { &self.counters.refused_appends };
        bump(counter);
        taken
    }

    pub(super) fn send(&self, command: Command) {
        let commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = commands.send(command);
    }

    /// A pause for want of memory: the plugin is told, the ring rests.
    pub(super) fn pause_for_memory(&self) {
        if !self.frozen.swap(true, Ordering::SeqCst) {
            self.own_metrics.paused.set(now_ns(), 1.0, &self.label()).ok();
            self.send(Command::Pause);
        }
    }

    pub(super) fn resume_from_memory(&self) {
        if self.frozen.swap(false, Ordering::SeqCst) {
            self.own_metrics.paused.set(now_ns(), 0.0, &self.label()).ok();
            self.send(Command::Resume);
        }
    }

    /// A shutdown's pause: the plugin is told, unless it is paused already; the ring is still fetched.
    pub(super) fn pause_for_shutdown(&self) {
        if !self.is_frozen() {
            self.send(Command::Pause);
        }
        if self.habits.freezes_ring_at_shutdown() {
            self.frozen.store(true, Ordering::SeqCst);
        }
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.frozen.load(Ordering::SeqCst)
    }

    /// The engine counts what it has fetched: only now do records show in the host's metrics.
    pub(super) fn count_fetched(&self, records: u64, bytes: usize) {
        self.counters.fetched_records.fetch_add(records, Ordering::SeqCst);
        self.own_metrics.records.add(now_ns(), records as f64, &self.label());
        self.own_metrics.bytes.add(now_ns(), bytes as f64, &self.label());
    }

    fn label(&self) -> [String; 1] {
        [self.spec.name.clone()]
    }
}

impl OwnMetrics {
    fn create(metrics: &Metrics, name: &str) -> Self {
        let create = |kind, metric: &str, help: &str| {
            let family =
                metrics.create(kind, metric.to_owned(), help.to_owned(), vec!["name".to_owned()]);
            family.add(now_ns(), 0.0, &[name.to_owned()]);
            family
        };
        Self {
            bytes: create(Kind::Counter, "fluentbit_input_bytes_total", "Number of input bytes."),
            records: create(
                Kind::Counter,
                "fluentbit_input_records_total",
                "Number of input records.",
            ),
            paused: create(
                Kind::Gauge,
                "fluentbit_input_ingestion_paused",
                "Is the input paused or not?",
            ),
        }
    }
}

fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::SeqCst);
}

fn now_ns() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}
