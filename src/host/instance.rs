//! One instance on its thread: the worker on one side, the host's services on the other.

use std::ffi::c_void;
use std::ptr;

use super::metrics::Metrics;
use super::services::Services;
use crate::worker::{Append, Level, Worker};

/// An instance, from `FLBPluginInit` to `FLBPluginExit`.
pub(super) struct Instance {
    services: Services,
    worker: Worker,
    metrics: Option<Metrics>,
    /// What the last callback returned, until the host has copied it.
    returned: Option<Vec<u8>>,
}

impl Instance {
    /// Starts an instance; if it cannot, says why in the host's log.
    pub(super) fn start(services: Services) -> Option<Self> {
        let worker = match Worker::start(|name| services.property(name)) {
            Ok(worker) => worker,
            Err(error) => {
                services.log(Level::Error, &error.to_string());
                return None;
            }
        };
        let metrics = Metrics::register(&services, worker.source());
        if metrics.is_none() {
            services.log(Level::Warn, "the host offers no metrics: none will be shown");
        }
        if !services.can_append() {
            let line = "the host takes no tagged records: health is shown in the log only";
            services.log(Level::Warn, line);
        }
        let instance = Self { services, worker, metrics, returned: None };
        instance.log();
        Some(instance)
    }

    /// One callback: logs, metrics, records. Returns a buffer only where the host takes no appends.
    pub(super) fn tick(&mut self) -> (*mut c_void, usize) {
        self.log();
        self.show_metrics();
        if self.services.can_append() {
            self.worker.drain(|tag, bytes| self.services.append(tag, bytes));
            return (ptr::null_mut(), 0);
        }
        self.lend()
    }

    /// Lends the host one lot; health records, which would need a tag, are let go.
    fn lend(&mut self) -> (*mut c_void, usize) {
        self.returned();
        while let Some((tag, bytes)) = self.worker.lend() {
            if tag.is_some() {
                self.worker.answer(bytes, Append::Taken);
                continue;
            }
            let kept = self.returned.insert(bytes);
            return (kept.as_mut_ptr().cast(), kept.len());
        }
        (ptr::null_mut(), 0)
    }

    /// The host has copied what the last callback returned.
    pub(super) fn returned(&mut self) {
        if let Some(bytes) = self.returned.take() {
            self.worker.answer(bytes, Append::Taken);
        }
    }

    /// The host stores nothing from now on.
    pub(super) fn pause(&self) {
        self.worker.pause();
    }

    /// The host stores again.
    pub(super) fn resume(&self) {
        self.worker.resume();
    }

    /// Commits what the host is known to have stored, and joins the thread.
    pub(super) fn stop(&mut self) {
        self.worker.pause();
        let stored = self.metrics.as_ref().and_then(Metrics::stored_records);
        self.worker.stop(stored);
        self.log();
    }

    fn log(&self) {
        for (level, line) in self.worker.take_logs() {
            self.services.log(level, &line);
        }
    }

    fn show_metrics(&self) {
        if let Some(metrics) = &self.metrics {
            metrics.show(&self.worker.stats(), self.worker.now().wall);
        }
    }
}
