//! The host: the order in which the plugin's functions are called, from start to stop.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::engine::{self, Engine};
use super::instance::{Command, InputSpec, Instance, Running};
use super::journal::Journal;
use super::log;
use super::metrics;
use super::options::HostOptions;
use super::output::Output;
use super::plugin::{LoadError, Plugin};

/// A running host. [`Host::stop`] ends it in order; dropping it does so with no grace.
pub(crate) struct Host {
    path: PathBuf,
    options: HostOptions,
    journal: Arc<Journal>,
    plugin: Option<Arc<Plugin>>,
    running: Vec<Running>,
    engine: Engine,
    threads_before: usize,
}

/// Why a host did not come up.
#[derive(Debug)]
pub(crate) enum HostError {
    Load(LoadError),
    /// The plugin refused an instance; its log says why.
    Init {
        instance: String,
        answer: i32,
    },
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(cause) => cause.fmt(f),
            Self::Init { instance, answer } => {
                write!(f, "the input {instance} failed to start (FLBPluginInit gave {answer})")
            }
        }
    }
}

impl std::error::Error for HostError {}

impl From<LoadError> for HostError {
    fn from(cause: LoadError) -> Self {
        Self::Load(cause)
    }
}

/// How one instance ended.
#[derive(Clone, Debug)]
pub(crate) struct InstanceExit {
    pub(crate) name: String,
    pub(crate) pre_exit: Duration,
    pub(crate) exit: Duration,
    /// What still lay in the ring.
    pub(crate) lost_buffers: usize,
    pub(crate) lost_records: usize,
}

impl InstanceExit {
    /// How long the host was kept.
    pub(crate) fn took(&self) -> Duration {
        self.pre_exit + self.exit
    }
}

/// How a host, or the old half of a reload, ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct StopReport {
    pub(crate) instances: Vec<InstanceExit>,
    /// Fetched, but not taken by the output. Always 0 for a reload, whose output goes on.
    pub(crate) undelivered_records: usize,
    /// The library is no longer mapped.
    pub(crate) unloaded: bool,
    /// Threads of this process more than before the plugin was loaded. Only tells in a process that does
    /// nothing else.
    pub(crate) threads_left: usize,
    /// What the plugin did that the interface does not allow, up to now.
    pub(crate) breaches: Vec<String>,
}

impl StopReport {
    pub(crate) fn lost_records(&self) -> usize {
        self.instances.iter().map(|instance| instance.lost_records).sum()
    }

    pub(crate) fn slowest_exit(&self) -> Duration {
        self.instances.iter().map(InstanceExit::took).max().unwrap_or_default()
    }
}

impl Host {
    /// Loads the plugin and starts all inputs; none runs before all are initialized.
    pub(crate) fn start(
        plugin: &Path,
        inputs: Vec<InputSpec>,
        output: Box<dyn Output>,
        options: HostOptions,
    ) -> Result<Self, HostError> {
        log::set_fallback(Arc::clone(&options.log));
        let journal = Arc::new(Journal::default());
        let threads_before = count_threads();
        let loaded = Plugin::load(plugin, options.def_size, &options.habits, false, &journal)?;
        let engine = Engine::start(output, options.fetch);
        let mut host = Self {
            path: plugin.to_owned(),
            options,
            journal,
            plugin: None,
            running: Vec::new(),
            engine,
            threads_before,
        };
        host.start_inputs(loaded, inputs)?;
        Ok(host)
    }

    /// The name the plugin registered under.
    pub(crate) fn plugin_name(&self) -> String {
        self.plugin.as_ref().map(|plugin| plugin.name()).unwrap_or_default()
    }

    pub(crate) fn instances(&self) -> impl Iterator<Item = &Arc<Instance>> {
        self.running.iter().map(|running| &running.instance)
    }

    /// Panics without such an instance: names are the caller's own.
    pub(crate) fn instance(&self, name: &str) -> &Arc<Instance> {
        let mut all = self.instances();
        all.find(|instance| instance.name() == name).unwrap_or_else(|| panic!("no instance {name}"))
    }

    /// Pauses one instance as for want of memory: its ring is not fetched until [`Host::resume`].
    pub(crate) fn pause(&self, name: &str) {
        self.instance(name).pause_for_memory();
    }

    pub(crate) fn resume(&self, name: &str) {
        self.instance(name).resume_from_memory();
    }

    /// All that was appended has been fetched and taken by the output.
    pub(crate) fn is_drained(&self) -> bool {
        self.engine.is_idle()
    }

    /// The output's error, if it is failing now.
    pub(crate) fn output_error(&self) -> Option<(io::ErrorKind, String)> {
        self.engine.output_error()
    }

    /// A metric's sum over all instances and other labels.
    pub(crate) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.instances()
            .filter_map(|instance| instance.metrics.sum(name, labels))
            .reduce(|a, b| a + b)
    }

    /// All metrics in Prometheus text.
    pub(crate) fn prometheus(&self) -> String {
        metrics::to_prometheus(self.instances().map(|instance| instance.metrics.as_ref()))
    }

    /// What the plugin did that the interface does not allow.
    pub(crate) fn breaches(&self) -> Vec<String> {
        self.journal.list()
    }

    /// Polls `condition` until it holds, at most this long. The answer is whether it did.
    pub(crate) fn wait_until(&self, at_most: Duration, condition: impl Fn(&Self) -> bool) -> bool {
        let deadline = Instant::now() + at_most;
        loop {
            if condition(self) {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// A hot reload: the new registration comes first, then the old instances end, then the new ones start.
    /// If the library cannot register, the old instances go on.
    pub(crate) fn reload(&mut self, inputs: Vec<InputSpec>) -> Result<StopReport, HostError> {
        let options = &self.options;
        let new = Plugin::load(&self.path, options.def_size, &options.habits, true, &self.journal)?;
        let report = self.stop_inputs(true, options.grace);
        self.start_inputs(new, inputs)?;
        Ok(report)
    }

    /// An orderly shutdown.
    pub(crate) fn stop(mut self) -> StopReport {
        let grace = self.options.grace;
        self.shut_down(grace)
    }

    /// As if the process died: no more calls, rings and queues dropped. The library stays loaded, and what
    /// threads it has go on; for a true crash, kill a process.
    pub(crate) fn crash(mut self) {
        self.engine.watch(Vec::new());
        for running in std::mem::take(&mut self.running) {
            running.instance.send(Command::Vanish);
            running.instance.retire();
            running.join();
        }
        if let Some(plugin) = self.plugin.take().and_then(Arc::into_inner) {
            plugin.forget();
        }
    }

    fn start_inputs(&mut self, plugin: Plugin, inputs: Vec<InputSpec>) -> Result<(), HostError> {
        let plugin = Arc::new(plugin);
        self.plugin = Some(Arc::clone(&plugin));
        for spec in inputs {
            let instance = spec.name.clone();
            match Running::init(&plugin, spec, &self.options, &self.journal) {
                Ok(running) => self.running.push(running),
                Err(answer) => {
                    drop(plugin);
                    self.stop_inputs(false, Duration::ZERO);
                    return Err(HostError::Init { instance, answer });
                }
            }
        }
        self.engine.watch(self.instances().cloned().collect());
        for instance in self.instances() {
            instance.send(Command::Start);
        }
        Ok(())
    }

    fn shut_down(&mut self, grace: Duration) -> StopReport {
        let mut report = self.stop_inputs(false, grace);
        report.undelivered_records = self.engine.stop();
        report.threads_left = count_threads().saturating_sub(self.threads_before);
        report
    }

    fn stop_inputs(&mut self, reloading: bool, grace: Duration) -> StopReport {
        if !grace.is_zero() {
            self.wait_out_grace(grace);
        }
        // The engine is gone before the inputs are: what they append from here on is lost.
        self.engine.watch(Vec::new());
        let mut report = StopReport::default();
        let running = std::mem::take(&mut self.running);
        for running in &running {
            running.instance.pause_for_shutdown();
        }
        for running in running {
            report.instances.push(end(running, reloading));
        }
        if let Some(plugin) = self.plugin.take().and_then(Arc::into_inner) {
            report.unloaded = plugin.close(&self.journal);
        }
        report.breaches = self.journal.list();
        report
    }

    fn wait_out_grace(&self, grace: Duration) {
        for instance in self.instances() {
            instance.pause_for_shutdown();
        }
        let start = Instant::now();
        let step = (self.options.grace_min / 10)
            .clamp(Duration::from_millis(1), Duration::from_millis(50));
        while start.elapsed() < grace {
            if start.elapsed() >= self.options.grace_min && self.engine.is_idle() {
                break;
            }
            thread::sleep(step);
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if self.plugin.is_some() {
            self.shut_down(Duration::ZERO);
        } else {
            self.engine.stop();
        }
    }
}

fn end(running: Running, reloading: bool) -> InstanceExit {
    let instance = Arc::clone(&running.instance);
    instance.send(Command::Exit { reloading });
    let left = running.join();
    instance.retire();
    let lost = instance.ring.drain();
    InstanceExit {
        name: instance.spec.name.clone(),
        pre_exit: left.pre_exit,
        exit: left.exit,
        lost_buffers: lost.len(),
        lost_records: lost.iter().map(engine::count_records).sum(),
    }
}

fn count_threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}
