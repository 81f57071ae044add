//! What may be asked for on the command line.

use std::str::FromStr;
use std::time::Duration;

use clap::Parser;

use super::faults::{Kind, Rates};
use super::host::HostKind;
use super::values::{duration, property};

/// Break everything around lookback, at random, and see whether anything is lost or doubled.
///
/// It starts the simulator, a relay before it, a host with the plugin (a real Fluent Bit found by
/// FLUENT_BIT or on the PATH, else the embedded one) and receivers, and injects faults by a schedule that
/// the seed decides. At the end everything is healed, and what the host was handed and what arrived is
/// compared with what happened. Exit 0: nothing lost, nothing doubled but by a crash. Exit 1: something was.
#[derive(Clone, Debug, Parser)]
#[command(name = "torture", after_help = Kind::help())]
pub(crate) struct Args {
    /// What decides the schedule of faults and the events [default: a random one, which is printed]
    #[arg(long)]
    pub(crate) seed: Option<u64>,

    /// How long faults are injected, as 90s, 30m, 2h; healing and the last records take a few minutes more
    #[arg(long, default_value = "5m", value_parser = duration)]
    pub(crate) duration: Duration,

    /// Which host [default: Fluent Bit if there is one]
    #[arg(long, value_enum)]
    pub(crate) host: Option<HostKind>,

    /// How often a fault begins, as kill=1.5: one and a half times a minute; repeatable, `all=0` first
    /// switches off what is not named
    #[arg(long = "rate", value_name = "FAULT=N")]
    pub(crate) rates: Vec<RateArg>,

    /// Events a second, of each source
    #[arg(long, default_value_t = 20.0, value_name = "N")]
    pub(crate) events: f64,

    /// A property for every source, as commit_delay=1s; repeatable
    #[arg(long = "set", value_name = "PROPERTY=VALUE", value_parser = property)]
    pub(crate) set: Vec<(String, String)>,

    /// So many times as fast: windows, lateness and faults are that much shorter
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3))]
    pub(crate) pace: u32,

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

/// `kill=1.5`, or `all=0`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateArg {
    kind: Option<Kind>,
    per_minute: f64,
}

impl FromStr for RateArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}`: write a fault and how often a minute, as in kill=1.5");
        let (name, rate) = text.split_once('=').ok_or_else(wrong)?;
        let per_minute: f64 = rate.parse().map_err(|_| wrong())?;
        if !(0.0..=60.0).contains(&per_minute) {
            return Err(format!("`{text}`: from 0 to 60 times a minute"));
        }
        let kind = match name {
            "all" => None,
            name => Some(Kind::named(name).ok_or_else(|| {
                let names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
                format!("`{name}` is no fault; there are all, {}", names.join(", "))
            })?),
        };
        Ok(Self { kind, per_minute })
    }
}

impl Args {
    /// The rates that were asked for, in the order in which they were.
    pub(crate) fn fault_rates(&self) -> Rates {
        let mut rates = Rates::default();
        for rate in &self.rates {
            match rate.kind {
                Some(kind) => rates.set(kind, rate.per_minute),
                None => Kind::ALL.into_iter().for_each(|kind| rates.set(kind, rate.per_minute)),
            }
        }
        rates
    }

    /// How to run the same again.
    pub(crate) fn again(&self, seed: u64, host: HostKind) -> String {
        let profile = if cfg!(debug_assertions) { "" } else { "--release " };
        let host = host.name();
        let mut text = format!(
            "cargo run {profile}--example torture -- --seed {seed} --duration {}s --host {host} --events {}",
            self.duration.as_secs(),
            self.events
        );
        for rate in &self.rates {
            let name = rate.kind.map_or("all", Kind::name);
            text += &format!(" --rate {name}={}", rate.per_minute);
        }
        if self.pace > 1 {
            text += &format!(" --pace {}", self.pace);
        }
        for (name, value) in &self.set {
            text += &format!(" --set '{name}={value}'");
        }
        text
    }
}
