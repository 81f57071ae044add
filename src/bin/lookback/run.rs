//! `lookback run`: hosts the built plugin by a Fluent Bit configuration.

#![allow(clippy::disallowed_methods, reason = "a command has real time limits")]

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use crate::config::{self, Config, Section};
use crate::embedded::metrics;
use crate::embedded::signals::{self, Signal};
use crate::embedded::{Host, HostOptions, InputSpec, JsonStyle, Level, StopReport};
use crate::sink::{JsonLines, Target};

/// The plugin's name in configurations, and the file it is built as.
pub(crate) const PLUGIN_NAME: &str = "lookback";
const PLUGIN_FILE: &str = "libin_lookback.so";
/// How often the host is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// With `--once`: callbacks without a record before an input counts as done.
const QUIET_CALLBACKS: u64 = 3;

/// Run the plugin by a Fluent Bit configuration, without Fluent Bit.
///
/// Hosts every input named `lookback`; other inputs, filters and outputs of the configuration are passed over.
/// Records, health records too, go to stdout as JSON lines; the log goes to stderr.
/// SIGINT and SIGTERM shut down in order (a second one at once), SIGHUP reads the configuration again.
/// With a shared database it is a node of the fleet like any other: what it is handed, no other node is.
#[derive(Args)]
pub(crate) struct RunArgs {
    /// The configuration: .yaml and .yml as YAML, any other as classic
    config: PathBuf,

    /// The plugin's library, rather than what the configuration names, or the one beside this program
    #[arg(long, value_name = "PATH")]
    plugin: Option<PathBuf>,

    /// Where records go: stdout, null, file:PATH (appends) or tcp://HOST:PORT
    #[arg(long, default_value = "stdout", value_name = "TARGET")]
    output: Target,

    /// End when every input has made one complete poll and its records are out
    #[arg(long)]
    once: bool,

    /// With --once: seconds to wait for it, then fail
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    timeout: u64,

    /// End after this many seconds
    #[arg(long, value_name = "SECONDS", conflicts_with = "once")]
    duration: Option<u64>,

    /// Of the plugin's log: off, error, warn, info, debug, trace [default: the configuration's, else info]
    #[arg(long, value_name = "LEVEL", value_parser = parse_level)]
    log_level: Option<Level>,

    /// How `date` is written
    #[arg(long, value_enum, default_value_t = Time::Epoch)]
    time: Time,

    /// Add each record's tag, as `_tag`
    #[arg(long)]
    with_tag: bool,

    /// Add each record's metadata, as `_metadata`
    #[arg(long)]
    with_metadata: bool,

    /// Print the metrics at the end, to stderr, in Prometheus text
    #[arg(long)]
    metrics: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Time {
    /// Seconds since 1970, as Fluent Bit's json_lines
    Epoch,
    /// RFC 3339
    Iso,
}

pub(crate) fn run(args: &RunArgs) -> ExitCode {
    // Before any thread is started.
    let signals = signals::listen();
    match try_run(args, &signals) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lookback: {error}");
            ExitCode::FAILURE
        }
    }
}

fn try_run(
    args: &RunArgs,
    signals: &Receiver<Signal>,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let config = read_config(args)?;
    let plugin = find_plugin(args, &config)?;
    let style = JsonStyle {
        iso_time: args.time == Time::Iso,
        tag: args.with_tag,
        metadata: args.with_metadata,
    };
    let output = JsonLines::open(&args.output, style)
        .map_err(|cause| format!("--output cannot be opened: {cause}"))?;
    let inputs = inputs(args, &config)?;
    let mut host = Host::start(&plugin, inputs, Box::new(output), options(&config))?;
    let end = wait(args, signals, &mut host)?;
    let instances: Vec<_> = host.instances().cloned().collect();
    let report = host.stop();
    if args.metrics {
        let contexts = instances.iter().map(|instance| instance.metrics.as_ref());
        eprint!("{}", metrics::to_prometheus(contexts));
    }
    // No counter at all sums up to -0.
    let count = |name| instances.iter().filter_map(|i| i.metrics.sum(name, &[])).sum::<f64>() + 0.0;
    if end == End::TimedOut {
        eprintln!(
            "lookback: no complete poll within --timeout ({} s): {} requests and {} records so far. If both \
             grow, raise --timeout or rate_limit, or lower window; else see the log for fetch_failed, auth_failed or, where another node has the source, standby",
            args.timeout,
            count("lookback_requests_total"),
            count("lookback_records_total"),
        );
    }
    Ok(close(end, &report))
}

/// Why the host is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Asked,
    Done,
    TimedOut,
    /// Who read the records is gone.
    OutputClosed,
}

fn wait(
    args: &RunArgs,
    signals: &Receiver<Signal>,
    host: &mut Host,
) -> Result<End, Box<dyn std::error::Error>> {
    let start = Instant::now();
    let mut progress = Once::default();
    let mut reported = None;
    loop {
        match signals.recv_timeout(LOOK) {
            Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(End::Asked),
            Ok(Signal::Reload) => {
                reload(args, host)?;
                progress = Once::default();
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        let error = host.output_error();
        if matches!(error, Some((io::ErrorKind::BrokenPipe, _))) && args.output == Target::Stdout {
            return Ok(End::OutputClosed);
        }
        if error != reported {
            report_output(error.as_ref());
            reported = error;
        }
        if args.once && progress.is_done(host) {
            return Ok(End::Done);
        }
        let limit = if args.once { Some(args.timeout) } else { args.duration };
        if limit.is_some_and(|limit| start.elapsed() >= Duration::from_secs(limit)) {
            return Ok(if args.once { End::TimedOut } else { End::Done });
        }
    }
}

/// A configuration that cannot be read leaves all as it was.
fn reload(args: &RunArgs, host: &mut Host) -> Result<(), Box<dyn std::error::Error>> {
    let new = read_config(args).map_err(Into::into).and_then(|config| inputs(args, &config));
    match new {
        Ok(inputs) => {
            let report = host.reload(inputs)?;
            eprintln!("lookback: reloaded{}", losses(&report));
        }
        Err(error) => eprintln!("lookback: not reloaded: {error}"),
    }
    Ok(())
}

fn close(end: End, report: &StopReport) -> ExitCode {
    for breach in &report.breaches {
        eprintln!("lookback: the plugin broke the host's interface: {breach}");
    }
    let losses = losses(report);
    if !losses.is_empty() {
        eprintln!("lookback: stopped{losses}");
    }
    if end == End::TimedOut {
        return ExitCode::FAILURE;
    }
    if report.undelivered_records > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What did not come through, or nothing.
fn losses(report: &StopReport) -> String {
    let mut text = String::new();
    if report.lost_records() > 0 {
        text +=
            &format!("; {} records were handed over too late to be fetched", report.lost_records());
    }
    if report.undelivered_records > 0 {
        text += &format!("; {} records were not taken by the output", report.undelivered_records);
    }
    text
}

fn report_output(error: Option<&(io::ErrorKind, String)>) {
    match error {
        Some((_, error)) => eprintln!("lookback: the output fails, records wait: {error}"),
        None => eprintln!("lookback: the output works again"),
    }
}

/// What `--once` waits for.
#[derive(Default)]
struct Once {
    /// Per input: callbacks and appends when an append was last seen after the poll.
    seen: Vec<Option<(u64, u64)>>,
}

impl Once {
    /// Every input has polled, then been quiet for some callbacks, and all of it is out and committed.
    fn is_done(&mut self, host: &Host) -> bool {
        use std::sync::atomic::Ordering::SeqCst;

        let instances: Vec<_> = host.instances().collect();
        self.seen.resize(instances.len(), None);
        let mut done = host.is_drained();
        for (instance, seen) in instances.iter().zip(&mut self.seen) {
            let metric = |name, labels| instance.metrics.sum(name, labels).unwrap_or(0.0);
            let live_and_ok = [("kind", "live"), ("result", "ok")];
            let polled = metric("lookback_polls_total", &live_and_ok) >= 1.0;
            let pending = metric("lookback_pending_records", &[]) > 0.0;
            let callbacks = instance.counters.callbacks.load(SeqCst);
            let appends = instance.counters.taken_appends.load(SeqCst);
            if !polled || pending {
                *seen = None;
            } else if seen.is_none_or(|(_, before)| before != appends) {
                *seen = Some((callbacks, appends));
            }
            done &= seen.is_some_and(|(before, _)| callbacks >= before + QUIET_CALLBACKS);
        }
        done
    }
}

fn read_config(args: &RunArgs) -> Result<Config, config::ConfigError> {
    let config = config::read(&args.config)?;
    for warning in &config.warnings {
        eprintln!("lookback: {warning}");
    }
    Ok(config)
}

/// The inputs that are lookback's, named as Fluent Bit names them: by their place among all inputs.
fn inputs(args: &RunArgs, config: &Config) -> Result<Vec<InputSpec>, Box<dyn std::error::Error>> {
    let mut inputs = Vec::new();
    for (i, section) in config.inputs.iter().enumerate() {
        if section.plugin.eq_ignore_ascii_case(PLUGIN_NAME) {
            inputs.push(input(args, config, section, i)?);
        } else {
            eprintln!("lookback: {}: input `{}` is passed over", section.place, section.plugin);
        }
    }
    if inputs.is_empty() {
        return Err(format!("{}: no input is named `{PLUGIN_NAME}`", args.config.display()).into());
    }
    Ok(inputs)
}

fn input(
    args: &RunArgs,
    config: &Config,
    section: &Section,
    i: usize,
) -> Result<InputSpec, Box<dyn std::error::Error>> {
    let plain = format!("{PLUGIN_NAME}.{i}");
    let mut spec = InputSpec::new(section.get("alias").unwrap_or(&plain));
    spec.tag = section.get("tag").unwrap_or(&plain).to_owned();
    let level = section.get("log_level").or_else(|| config.service("log_level"));
    spec.log_level = match (args.log_level, level) {
        (Some(level), _) => level,
        (None, Some(level)) => parse_level(level).map_err(|error| format!("log_level: {error}"))?,
        (None, None) => Level::Info,
    };
    if let Some(limit) = section.get("mem_buf_limit") {
        let wrong = || format!("mem_buf_limit: expected a size as in `5M`, found `{limit}`");
        spec.mem_buf_limit = Some(parse_size(limit).ok_or_else(wrong)?);
    }
    spec.properties =
        section.properties.iter().map(|it| (it.key.clone(), it.value.clone())).collect();
    Ok(spec)
}

fn options(config: &Config) -> HostOptions {
    let mut options = HostOptions::default();
    if let Some(grace) = config.service("grace").and_then(|grace| grace.parse().ok()) {
        options.grace = Duration::from_secs(grace);
    }
    options
}

fn find_plugin(args: &RunArgs, config: &Config) -> Result<PathBuf, Box<dyn std::error::Error>> {
    if let Some(path) = &args.plugin {
        return Ok(path.clone());
    }
    let is_ours = |path: &Path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().contains(PLUGIN_NAME))
    };
    let configured =
        config.plugins.iter().map(|it| PathBuf::from(&it.value)).filter(|it| is_ours(it));
    match configured.clone().find(|path| path.exists()) {
        Some(found) => Ok(found),
        None => beside(configured),
    }
}

/// The plugin beside this program, or where the build leaves it: the newer one, lest a stale one is run.
/// `tried` is what an error names as well.
pub(crate) fn beside(
    tried: impl IntoIterator<Item = PathBuf>,
) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let program = std::env::current_exe()?;
    let places = ["", "deps"].map(|dir| program.with_file_name(dir).join(PLUGIN_FILE));
    let built = |path: &&PathBuf| path.metadata().and_then(|data| data.modified()).ok();
    if let Some(found) = places.iter().filter(|path| path.exists()).max_by_key(built) {
        return Ok(found.clone());
    }
    let tried: Vec<String> =
        tried.into_iter().chain(places).map(|path| path.display().to_string()).collect();
    Err(format!("the plugin is not there: tried {}; name it with --plugin", tried.join(", "))
        .into())
}

/// A number with `k`, `M` or `G`, and a `B` if one likes.
fn parse_size(text: &str) -> Option<usize> {
    let text = text.to_ascii_lowercase();
    let text = text.strip_suffix('b').unwrap_or(&text);
    let (digits, factor) = match text.char_indices().last()? {
        (end, 'k') => (&text[..end], 1000),
        (end, 'm') => (&text[..end], 1_000_000),
        (end, 'g') => (&text[..end], 1_000_000_000),
        _ => (text, 1),
    };
    digits.parse::<usize>().ok()?.checked_mul(factor)
}

fn parse_level(text: &str) -> Result<Level, String> {
    Level::parse(text)
        .ok_or_else(|| format!("expected off, error, warn, info, debug or trace, found `{text}`"))
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes() {
        for (text, size) in [
            ("5M", Some(5_000_000)),
            ("10kb", Some(10_000)),
            ("7", Some(7)),
            ("M", None),
            ("", None),
        ] {
            assert_eq!(parse_size(text), size, "{text}");
        }
    }
}
