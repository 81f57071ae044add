//! The engine's thread: fetches the rings, decodes, counts, and feeds the output.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::instance::Instance;
use super::msgpack;
use super::output::Output;
use super::record::Record;
use super::ring::Buffer;

/// What engine and host share.
struct Shared {
    instances: Mutex<Vec<Arc<Instance>>>,
    work: Mutex<Work>,
    error: Mutex<Option<(io::ErrorKind, String)>>,
}

/// The output, and what it has not taken yet.
struct Work {
    output: Box<dyn Output>,
    queue: VecDeque<Record>,
    /// Records written since the last flush that worked.
    unflushed: usize,
}

pub(super) struct Engine {
    shared: Arc<Shared>,
    stop: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    pub(super) fn start(output: Box<dyn Output>, fetch: Duration) -> Self {
        let shared = Arc::new(Shared {
            instances: Mutex::default(),
            work: Mutex::new(Work { output, queue: VecDeque::new(), unflushed: 0 }),
            error: Mutex::default(),
        });
        let (stop, stopped) = mpsc::channel();
        let run = {
            let shared = Arc::clone(&shared);
            move || {
                while stopped.recv_timeout(fetch) == Err(RecvTimeoutError::Timeout) {
                    shared.fetch();
                    shared.deliver();
                }
            }
        };
        let thread = thread::Builder::new().name("flb-pipeline".to_owned()).spawn(run);
        Self { shared, stop, thread: Some(thread.expect("the system has a thread left")) }
    }

    /// From now on these are fetched.
    pub(super) fn watch(&self, instances: Vec<Arc<Instance>>) {
        *lock(&self.shared.instances) = instances;
    }

    /// Nothing waits: neither in a ring that is fetched, nor for the output.
    pub(super) fn is_idle(&self) -> bool {
        let instances = lock(&self.shared.instances);
        // The lock of `work` last: the fetching thread holds it from the ring to the queue.
        let work = lock(&self.shared.work);
        work.is_done() && instances.iter().all(|it| it.is_frozen() || it.waiting() == 0)
    }

    /// The output's last error, if it has one now.
    pub(super) fn output_error(&self) -> Option<(io::ErrorKind, String)> {
        lock(&self.shared.error).clone()
    }

    /// Stops fetching. The number is of the records that the output has not taken.
    pub(super) fn stop(&mut self) -> usize {
        let _ = self.stop.send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.shared.deliver();
        let work = lock(&self.shared.work);
        work.queue.len() + work.unflushed
    }
}

impl Shared {
    fn fetch(&self) {
        let instances = lock(&self.instances).clone();
        for instance in instances {
            if !instance.is_frozen() {
                let mut work = lock(&self.work);
                for buffer in instance.ring.drain() {
                    decode(&instance, &buffer, &mut work.queue);
                }
            }
            self.watch_memory(&instance);
        }
    }

    fn watch_memory(&self, instance: &Instance) {
        let Some(limit) = instance.spec.mem_buf_limit else {
            return;
        };
        let work = lock(&self.work);
        let own = work.queue.iter().filter(|record| record.instance == instance.spec.name);
        let waiting: usize = own.map(|record| record.body.len()).sum();
        drop(work);
        if waiting > limit {
            instance.pause_for_memory();
        } else {
            instance.resume_from_memory();
        }
    }

    fn deliver(&self) {
        let work = &mut *lock(&self.work);
        let delivered = work.deliver();
        *lock(&self.error) = delivered.err().map(|error| (error.kind(), error.to_string()));
    }
}

impl Work {
    fn deliver(&mut self) -> io::Result<()> {
        while let Some(record) = self.queue.front() {
            self.output.write(record)?;
            self.queue.pop_front();
            self.unflushed += 1;
        }
        self.output.flush()?;
        self.unflushed = 0;
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.queue.is_empty() && self.unflushed == 0
    }
}

fn decode(instance: &Instance, buffer: &Buffer, queue: &mut VecDeque<Record>) {
    let mut stream = buffer.data.as_slice();
    let tag = buffer.tag.as_ref().unwrap_or(&instance.spec.tag);
    let mut records = 0;
    while !stream.is_empty() {
        match msgpack::next_record(&mut stream) {
            Ok(parts) => queue.push_back(Record {
                instance: instance.spec.name.clone(),
                tag: tag.clone(),
                seconds: parts.seconds,
                nanoseconds: parts.nanoseconds,
                metadata: parts.metadata.to_vec(),
                body: parts.body.to_vec(),
            }),
            Err(malformed) => {
                let place = buffer.data.len() - stream.len();
                instance
                    .journal
                    .add(format!("an appended buffer is malformed at byte {place}: {malformed}"));
                break;
            }
        }
        records += 1;
    }
    instance.count_fetched(records, buffer.data.len());
}

/// How many whole records a buffer holds.
pub(super) fn count_records(buffer: &Buffer) -> usize {
    let mut stream = buffer.data.as_slice();
    std::iter::from_fn(|| msgpack::next_record(&mut stream).ok()).count()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
