//! A shared database: what of a fleet's settings would work against it, and what the database itself says.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use in_lookback::clock::Clock;
use in_lookback::config::Db;
use in_lookback::config::database::{Database, Fleet};
use in_lookback::config::units::show;
use in_lookback::model::Timestamp;
use in_lookback::state::postgres::probe::{Probe, VERSION_MIN, probe};
use serde_json::{Value, json};

use super::Input;
use super::finding::{Finding, Severity};

/// A lease outside of these works, and is hardly what is meant.
const LEASE_SHORT: Duration = Duration::from_secs(10);
const LEASE_LONG: Duration = Duration::from_secs(300);

/// Leases bear any difference of clocks; what is written into records and logs is harder to read with one.
const SKEW_MAX: Duration = Duration::from_secs(60);

/// As many as a node opens at most.
const CONNECTIONS: i64 = 4;

/// Names that machines have whose name nobody has set.
const NAMELESS: &[&str] = &["localhost", "localhost.localdomain", "(none)"];

/// One database, looked at.
pub(crate) struct Looked {
    pub(crate) fleet: Fleet,
    pub(crate) trial: Trial,
}

pub(crate) enum Trial {
    /// It was not to be tried.
    None,
    /// There was no connection, or no answer: why, and what to do.
    Failed(String, String),
    /// What it says, and by how much its clock is ahead of this machine's, in seconds.
    Done(Box<Probe>, f64),
}

/// The inputs that share a database, with it.
fn fleets<'i>(inputs: &'i [Input<'_>]) -> impl Iterator<Item = (&'i Input<'i>, &'i Fleet)> {
    inputs.iter().filter_map(|input| match &input.plan.as_ref().ok()?.db {
        Db::File(_) => None,
        Db::Shared(fleet) => Some((input, fleet.as_ref())),
    })
}

/// All that can be said without asking anybody, or the machine.
pub(crate) fn lint(inputs: &[Input<'_>], findings: &mut Vec<Finding>) {
    for (nth, (input, fleet)) in fleets(inputs).enumerate() {
        let mut warn = |property: &str, problem: String, mend: &str| {
            findings.push(Finding::new(Severity::Warning, input.place_of(property), problem, mend));
        };
        if fleet.lease < LEASE_SHORT {
            let problem = format!(
                "lease is {}: whenever a machine, the network or the database is silent for so long, sources change hands",
                show(fleet.lease)
            );
            warn("lease", problem, "set 10s or more");
        }
        if fleet.lease > LEASE_LONG {
            let problem = format!(
                "lease is {}: for so long nobody reads the sources of a node that is lost",
                show(fleet.lease)
            );
            warn("lease", problem, "set 5m or less");
        }
        if NAMELESS.contains(&fleet.node.as_str()) {
            let problem =
                format!("node is '{}': another machine may well have that name", fleet.node);
            warn("node", problem, "set node, or the host's name, to one of its own");
        }
        let before = fleets(inputs).take(nth).find(|(_, it)| it.database == fleet.database);
        let Some((first, other)) = before else { continue };
        if (&other.node, other.lease) != (&fleet.node, fleet.lease) {
            let problem = format!(
                "'{}' at {} has node '{}' and lease {}, this one '{}' and {}: one process is one node",
                first.name,
                first.section.place,
                other.node,
                show(other.lease),
                fleet.node,
                show(fleet.lease)
            );
            warn("node", problem, "set the same in all inputs");
        }
    }
}

/// Whether the files that a database's URL names can be read: what is wrong, and the mend.
pub(crate) fn unreadable(database: &Database) -> Vec<(String, &'static str)> {
    let client = database.client.as_ref();
    let file = |parameter, path: Option<&PathBuf>| {
        let path = path?;
        let error = File::open(path).and_then(|file| file.metadata()).err()?;
        Some(format!("db: {parameter} '{}' cannot be read: {error}", path.display()))
    };
    let files = [
        file("password_file", database.password_file.as_ref()),
        file("passfile", database.passfile.as_ref()),
        file("sslrootcert", database.ca_file.as_ref()),
        file("sslcert", client.map(|it| &it.0)),
        file("sslkey", client.map(|it| &it.1)),
    ];
    let mend = "set the path of a file that the user may read that Fluent Bit runs as";
    files.into_iter().flatten().map(|problem| (problem, mend)).collect()
}

/// Each database once; asked, unless `offline`.
pub(crate) fn look(
    inputs: &[Input<'_>],
    offline: bool,
    findings: &mut Vec<Finding>,
) -> Vec<Looked> {
    let mut looked: Vec<Looked> = Vec::new();
    for (input, fleet) in fleets(inputs) {
        if looked.iter().any(|it| it.fleet.database == fleet.database) {
            continue;
        }
        let trial = if offline { Trial::None } else { ask(&fleet.database) };
        if let Trial::Done(probe, ahead) = &trial {
            for (severity, problem, mend) in judge(probe, *ahead) {
                findings.push(Finding::new(severity, input.place_of("db"), problem, mend));
            }
        }
        looked.push(Looked { fleet: fleet.clone(), trial });
    }
    looked
}

fn ask(database: &Database) -> Trial {
    let clock = Clock::start();
    let hosts = u32::try_from(database.hosts.len()).unwrap_or(u32::MAX);
    let limit = database.connect_timeout.saturating_mul(hosts.saturating_add(1));
    let before = clock.now();
    match probe(database, limit) {
        Err(error) => Trial::Failed(error.to_string(), error.mend().to_owned()),
        Ok(probe) => {
            let took = clock.now().mono.saturating_sub(before.mono);
            let ahead = ahead(probe.clock, before.wall + took / 2);
            Trial::Done(Box::new(probe), ahead)
        }
    }
}

fn ahead(theirs: Timestamp, ours: Timestamp) -> f64 {
    theirs.since(ours).as_secs_f64() - ours.since(theirs).as_secs_f64()
}

/// What of a database's answers will not do.
fn judge(probe: &Probe, ahead: f64) -> Vec<(Severity, String, &'static str)> {
    let mut found = Vec::new();
    if probe.version < VERSION_MIN {
        let problem = format!("db: the server is {}", product(probe));
        found.push((Severity::Error, problem, "use PostgreSQL 13 or newer"));
    }
    match &probe.schema {
        None => {
            let problem =
                "db: no schema of the search_path is there, so there is no place for tables";
            let mend = "run CREATE SCHEMA AUTHORIZATION as the database's owner, or set another search_path for the user";
            found.push((Severity::Error, problem.to_owned(), mend));
        }
        Some(schema) if !probe.may_create => {
            let problem = format!("db: the user may not make tables in the schema '{schema}'");
            let mend = "run GRANT CREATE ON SCHEMA as its owner, or give the user a schema of its own: see docs/fleet.md";
            found.push((Severity::Error, problem, mend));
        }
        Some(_) => {}
    }
    if let Some((open, most)) = probe.connections.filter(|(open, most)| most - open < CONNECTIONS) {
        let problem = format!(
            "db: {open} of {most} connections are in use, and a node takes up to {CONNECTIONS}"
        );
        found.push((Severity::Warning, problem, "raise max_connections of the database"));
    }
    if ahead.abs() > SKEW_MAX.as_secs_f64() {
        let problem = format!(
            "db: its clock is {}: leases do not mind, but one of the two is wrong",
            skew(ahead)
        );
        found.push((Severity::Warning, problem, "synchronise both by NTP"));
    }
    found
}

/// Its name and version, without how it was compiled.
fn product(probe: &Probe) -> String {
    let words = probe.product.split(" on ").next().unwrap_or_default();
    words.chars().filter(|c| !c.is_control()).take(60).collect()
}

fn skew(ahead: f64) -> String {
    let direction = if ahead < 0.0 { "behind" } else { "ahead of" };
    format!("{:.1} s {direction} this machine's", ahead.abs())
}

impl Looked {
    /// Words and what stands behind them, a line each.
    pub(crate) fn lines(&self) -> Vec<(&'static str, String)> {
        let Fleet { database, node, lease } = &self.fleet;
        let own = format!("{node}, lease {}, sslmode {}", show(*lease), database.tls);
        let mut lines = vec![("node      ", own)];
        match &self.trial {
            Trial::None => {}
            Trial::Failed(problem, mend) => {
                lines.extend([("tried     ", problem.clone()), ("       -> ", mend.clone())]);
            }
            Trial::Done(probe, ahead) => {
                let tables = match (probe.has_tables, &probe.schema) {
                    (true, _) => "its tables are there".to_owned(),
                    (false, Some(schema)) => format!("tables will be made in schema {schema}"),
                    (false, None) => "there is no schema for its tables".to_owned(),
                };
                lines.push(("tried     ", format!("{}; {tables}", product(probe))));
                lines.push(("clock     ", skew(*ahead)));
                if let Some((open, most)) = probe.connections {
                    lines.push(("connected ", format!("{open} of {most} connections in use")));
                }
            }
        }
        lines
    }

    pub(crate) fn json(&self) -> Value {
        let Fleet { database, node, lease } = &self.fleet;
        let tried = match &self.trial {
            Trial::None => Value::Null,
            Trial::Failed(problem, mend) => json!({"ok": false, "problem": problem, "mend": mend}),
            Trial::Done(probe, ahead) => json!({
                "ok": true,
                "server": product(probe),
                "version": probe.version,
                "schema": probe.schema,
                "may_create_tables": probe.may_create,
                "has_tables": probe.has_tables,
                "clock_ahead_seconds": ahead,
                "connections": probe.connections.map(|it| it.0),
                "connections_max": probe.connections.map(|it| it.1),
            }),
        };
        json!({
            "database": database.to_string(),
            "sslmode": database.tls.to_string(),
            "node": node,
            "lease_seconds": lease.as_secs(),
            "tried": tried,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_database_cannot_bear_is_told_with_the_mend() {
        let good = || Probe {
            version: 150_004,
            product: "PostgreSQL 15.4 (Debian) on x86_64, compiled by gcc".to_owned(),
            schema: Some("fleet".to_owned()),
            may_create: true,
            has_tables: false,
            clock: Timestamp::from_secs(0),
            connections: Some((96, 100)),
        };
        assert_eq!(judge(&good(), -59.0), vec![]);
        let unknown = Probe { connections: None, ..good() };
        assert_eq!(judge(&unknown, 0.0), vec![]);
        for (probe, ahead, severity, word) in [
            (
                Probe { version: 120_018, ..good() },
                0.0,
                Severity::Error,
                "PostgreSQL 15.4 (Debian)",
            ),
            (
                Probe { schema: None, may_create: false, ..good() },
                0.0,
                Severity::Error,
                "no schema",
            ),
            (Probe { may_create: false, ..good() }, 0.0, Severity::Error, "'fleet'"),
            (Probe { connections: Some((97, 100)), ..good() }, 0.0, Severity::Warning, "97 of 100"),
            (good(), 61.0, Severity::Warning, "61.0 s ahead of"),
            (good(), -61.0, Severity::Warning, "61.0 s behind"),
        ] {
            let found = judge(&probe, ahead);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].0 == severity && found[0].1.contains(word), "{found:?}");
        }
    }
}
