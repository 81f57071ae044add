//! What may be asked for on the command line.

use std::time::Duration;

use clap::Parser;

use super::faults::Kind;
use super::host::HostKind;
use super::values::{duration, property};

/// Run a fleet of nodes on one database, break it on purpose, and see whether anything is lost or doubled.
///
/// It starts a PostgreSQL, a simulator, and so many hosts (a real Fluent Bit found by FLUENT_BIT or on the PATH, else
/// the embedded one) with one configuration; between each host and the database stands a relay. Faults come by a
/// schedule that the seed decides. At the end everything is healed, and what the hosts were handed and what arrived is
/// compared with what happened. Exit 0: nothing lost, nothing doubled but by a lease that was lost. Exit 1: something was.
#[derive(Clone, Debug, Parser)]
#[command(name = "fleet", after_help = Kind::help())]
pub(crate) struct Args {
    /// How many hosts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=9))]
    pub(crate) nodes: u32,

    /// How many sources, which all nodes are configured with
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=999))]
    pub(crate) sources: u32,

    /// How long faults are injected, as 90s, 30m, 2h; healing and the last records take a few minutes more
    #[arg(long, default_value = "5m", value_parser = duration)]
    pub(crate) duration: Duration,

    /// Which host [default: Fluent Bit if there is one]
    #[arg(long, value_enum)]
    pub(crate) host: Option<HostKind>,

    /// What decides the schedule of faults and the events [default: a random one, which is printed]
    #[arg(long)]
    pub(crate) seed: Option<u64>,

    /// How long a source stays with a node that fell silent
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub(crate) lease: Duration,

    /// From one live poll to the next
    #[arg(long, default_value = "3s", value_parser = duration)]
    pub(crate) interval: Duration,

    /// How long after the host took it a record counts as handed over
    #[arg(long, default_value = "5s", value_parser = duration)]
    pub(crate) commit_delay: Duration,

    /// Events a second, of each source
    #[arg(long, default_value_t = 2.0, value_name = "N")]
    pub(crate) events: f64,

    /// Only these faults, as kill,freeze
    #[arg(long, value_delimiter = ',', value_name = "FAULTS")]
    pub(crate) only: Vec<Kind>,

    /// From one fault to the next, on average
    #[arg(long, default_value = "20s", value_parser = duration)]
    pub(crate) every: Duration,

    /// Besides, or without --only instead, one node is killed this often
    #[arg(long, value_parser = duration)]
    pub(crate) kill_every: Option<Duration>,

    /// Not at random: each fault once, when all has recovered from the one before; --duration does not count
    #[arg(long)]
    pub(crate) once: bool,

    /// A database that runs already, as `db` takes it, in place of one of its own; it cannot be restarted or frozen
    #[arg(long, value_name = "URL")]
    pub(crate) database: Option<String>,

    /// A property for every source, as window=1m; repeatable
    #[arg(long = "set", value_name = "PROPERTY=VALUE", value_parser = property)]
    pub(crate) set: Vec<(String, String)>,

    /// Added to every limit of time in the verdict, for a machine that is busy with other work
    #[arg(long, default_value = "0s", value_parser = duration)]
    pub(crate) patience: Duration,

    /// Print the timeline of faults whatever the verdict is
    #[arg(long)]
    pub(crate) timeline: bool,

    /// Keep the work directory whatever the verdict is
    #[arg(long)]
    pub(crate) keep: bool,
}

impl Args {
    /// The faults that come at random.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        let all = if self.kill_every.is_some() { Vec::new() } else { Kind::ALL.to_vec() };
        let mut kinds = if self.only.is_empty() { all } else { self.only.clone() };
        kinds.retain(|kind| self.database.is_none() || !kind.needs_own_database());
        kinds
    }

    /// What of the patience is granted where more would hide what is looked for: that a node goes on without a lease.
    pub(crate) fn slack(&self) -> Duration {
        self.patience.min(self.lease / 2)
    }

    /// How to run the same again.
    pub(crate) fn again(&self, seed: u64, host: HostKind) -> String {
        let seconds = |time: Duration| format!("{}s", time.as_secs());
        let profile = if cfg!(debug_assertions) { "" } else { "--release " };
        let mut text = format!(
            "cargo run {profile}--example fleet -- --seed {seed} --host {} --nodes {} --sources {} --duration {} \
             --lease {} --interval {} --commit-delay {} --events {} --every {}",
            host.name(),
            self.nodes,
            self.sources,
            seconds(self.duration),
            seconds(self.lease),
            seconds(self.interval),
            seconds(self.commit_delay),
            self.events,
            seconds(self.every),
        );
        if !self.only.is_empty() {
            let names: Vec<_> = self.only.iter().map(|kind| kind.name()).collect();
            text += &format!(" --only {}", names.join(","));
        }
        if let Some(every) = self.kill_every {
            text += &format!(" --kill-every {}", seconds(every));
        }
        if self.once {
            text += " --once";
        }
        for (name, value) in &self.set {
            text += &format!(" --set '{name}={value}'");
        }
        text
    }
}
