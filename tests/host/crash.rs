//! The plugin in processes of its own: one that dies, one whose host lacks a function.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::bench::{Bench, LONG, eventually, missing, plugin, stream};
use crate::embedded::{InputSpec, hide_symbol};

pub(crate) const TOOL: &str = env!("CARGO_BIN_EXE_lookback");
/// From one callback to the next, in the real host as in this one.
const TICK: Duration = Duration::from_secs(1);
/// How long before a fetch to kill: up to 250 ms, the host has taken records by then, but not stored them.
const BEFORE_FETCH: Duration = Duration::from_millis(40);

/// `lookback run`, killed at the latest when it is dropped.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    pub(crate) fn start(tool: &Path, bench: &Bench, input: &InputSpec) -> Self {
        Self::start_in(tool, bench, input, &[])
    }

    /// The same, with more variables in its environment.
    pub(crate) fn start_in(
        tool: &Path,
        bench: &Bench,
        input: &InputSpec,
        environment: &[(&str, String)],
    ) -> Self {
        let child = Command::new(tool)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .args(arguments(bench, input))
            .stdout(Stdio::null())
            .stderr(File::options().create(true).append(true).open(log(bench)).unwrap())
            .spawn();
        Self(child.unwrap())
    }

    /// SIGKILL.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// SIGTERM; true if it ended well.
    pub(crate) fn end(mut self) -> bool {
        let sent = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        assert!(sent.unwrap().success());
        let mut ended = None;
        eventually(LONG, || {
            ended = self.0.try_wait().unwrap();
            ended.is_some()
        });
        ended.expect("it ends when it is told to").success()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// What `lookback` is to be called with.
pub(crate) fn arguments(bench: &Bench, input: &InputSpec) -> [String; 6] {
    let mut yaml =
        "pipeline:\n  inputs:\n    - name: lookback\n      alias: in\n      tag: in\n".to_owned();
    for (key, value) in &input.properties {
        yaml += &format!("      {key}: '{value}'\n");
    }
    let config = bench.write("config.yaml", &yaml);
    let plugin = format!("--plugin={}", plugin().display());
    let output = format!("--output=file:{}", out(bench).display());
    [
        "run".to_owned(),
        config,
        "--with-tag".to_owned(),
        plugin,
        output,
        "--log-level=debug".to_owned(),
    ]
}

fn out(bench: &Bench) -> PathBuf {
    bench.path("out.jsonl")
}

pub(crate) fn log(bench: &Bench) -> PathBuf {
    bench.path("run.log")
}

/// How often each id stands in the output.
pub(crate) fn ids(bench: &Bench) -> HashMap<String, u32> {
    let mut ids = HashMap::new();
    for line in std::fs::read_to_string(out(bench)).unwrap_or_default().lines() {
        // The last line may be on its way.
        let Ok(record) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        if record["_tag"] == "in" {
            *ids.entry(record["id"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    ids
}

pub(crate) fn wait_for_all(bench: &Bench) {
    bench.simulator.pause();
    let truth = bench.simulator.truth();
    let all = eventually(LONG, || missing(&truth, &ids(bench)).is_empty());
    let log = || std::fs::read_to_string(log(bench)).unwrap_or_default();
    assert!(all, "{} lost\n{}", missing(&truth, &ids(bench)).len(), log());
}

#[test]
fn a_kill_loses_nothing_and_repeats_only_what_was_not_yet_committed() {
    let bench = Bench::new(stream());
    let commit_delay = Duration::from_secs(1);
    let mut settled: HashMap<String, u32> = HashMap::new();
    for _ in 0..3 {
        let process = Process::start(Path::new(TOOL), &bench, &bench.small_pages("in"));
        let before = ids(&bench);
        assert!(eventually(LONG, || ids(&bench).len() > before.len()), "no records come");
        // What this process has put out by now must be committed by the time of the kill; what comes
        // after may not be, nor what its predecessor put out last.
        for (id, times) in ids(&bench) {
            if before.get(&id).is_none_or(|before| *before < times) {
                settled.entry(id).or_insert(times);
            }
        }
        let seen = Instant::now();
        // Fetches keep their distance to callbacks, so three ticks after one there is another.
        let until = commit_delay + 2 * TICK - BEFORE_FETCH;
        let committed = || bench.committed() >= settled.len();
        assert!(eventually(LONG, || seen.elapsed() > until && committed()), "it is not committed");
        process.kill();
    }
    let process = Process::start(Path::new(TOOL), &bench, &bench.small_pages("in"));
    wait_for_all(&bench);
    assert!(process.end());
    let delivered = ids(&bench);
    let repeated = settled.iter().filter(|(id, times)| delivered[*id] > **times).count();
    assert_eq!(repeated, 0, "of {} committed ones", settled.len());
}

#[test]
fn a_host_without_the_append_function_gets_records_by_the_callback() {
    let bench = Bench::new(stream());
    let tool = bench.path("lookback-without-append");
    hide_symbol(Path::new(TOOL), &tool, "flb_input_log_append").unwrap();
    let process = Process::start(&tool, &bench, &bench.input("in"));
    assert!(eventually(LONG, || !ids(&bench).is_empty()), "no records come");
    wait_for_all(&bench);
    assert!(process.end());
    let twice = ids(&bench).values().filter(|times| **times > 1).count();
    assert_eq!(twice, 0);
    let log = std::fs::read_to_string(log(&bench)).unwrap();
    assert!(log.contains("takes no tagged records"), "{log}");
    assert!(!log.contains("broke the host's interface"), "{log}");
}
