//! The command-line tool against a database, and what docs/fleet.md tells an operator to type.

use std::path::Path;
use std::process::{Command, Output};

use in_lookback::config::database::Database;
use in_lookback::state::State;
use serde_json::Value;

use crate::bench::{Bench, commit, day, key, link, opened, take};
use crate::server::PASSWORD;

fn lookback(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lookback")).args(arguments).output().unwrap()
}

/// Exit code, and what was said, which quotes no password.
fn said(arguments: &[&str]) -> (i32, String) {
    let output = lookback(arguments);
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(!said.contains(PASSWORD), "{said}");
    (output.status.code().unwrap(), said)
}

fn json(arguments: &[&str]) -> Value {
    let (_, said) = said(arguments);
    serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"))
}

#[test]
fn state_shows_what_a_database_holds_and_who_leads_each_source() {
    let bench = Bench::new("state_shown");
    let url = bench.server.url(bench.name);
    let (code, empty) = said(&["state", &url]);
    assert!(code == 2 && empty.contains("no tables of lookback"), "{empty}");

    let link = bench.link();
    let held = take(&link, "a", 7);
    opened(&link, held).state.commit(&commit(vec![key(day(0), 1), key(day(0), 2)], 9)).unwrap();
    take(&link, "new", 7);
    let all = json(&["state", &url, "--json"]);
    let of = |name: &str| all.as_array().unwrap().iter().find(|it| it["source"] == name).unwrap();
    assert_eq!(of("a")["ids"], 2, "{all:#}");
    assert_eq!(of("a")["ledger"]["records"], 2, "{all:#}");
    assert_eq!((&of("a")["node"], &of("a")["epoch"]), (&"n7".into(), &1.into()), "{all:#}");
    let left = of("a")["lease_left_seconds"].as_f64().unwrap();
    assert!(of("a")["is_led"] == true && left > 3_000.0 && left <= 3_600.0, "{all:#}");
    assert_eq!(of("new")["read_until"], Value::Null, "{all:#}");

    bench.psql("UPDATE lookback_sources SET lease_until = now() - interval '1 hour'");
    let (code, text) = said(&["state", &url]);
    assert!(code == 0 && text.contains("nobody leads it") && text.contains("n7 did"), "{text}");
    // To look, nobody must be let write.
    bench.psql("ALTER DATABASE state_shown SET default_transaction_read_only = on");
    let (code, again) = said(&["state", &url]);
    assert_eq!((code, again.contains("nobody leads it")), (0, true), "{again}");
    // It has read nothing of these hours.
    let (code, hours) = said(&["state", &url, "--coverage", "a", "--from", "3h"]);
    assert!(code == 1 && hours.contains("HOLE"), "{hours}");
    let (code, never) = said(&["state", &url, "--coverage", "new"]);
    assert!(code == 2 && never.contains("no node has read it yet"), "{never}");
    let (code, none) = said(&["state", &url, "--coverage", "b"]);
    assert!(code == 2 && none.contains("there are: a, new"), "{none}");
}

#[test]
fn a_databases_url_that_is_wrong_is_not_quoted() {
    for url in [
        format!("postgresql://me:{PASSWORD}@@127.0.0.1/x"),
        format!("postgresql:/me:{PASSWORD}@127.0.0.1/x"),
        format!("postgresql://me:{PASSWORD}@127.0.0.1:1/x"),
    ] {
        assert_eq!(said(&["state", &url]).0, 2);
    }
}

/// A configuration whose API is not there, so that only the database answers.
fn configuration(dir: &Path, db: &str) -> String {
    let path = dir.join("check.yaml");
    let text = format!(
        "
service: {{storage.path: {0}}}
pipeline:
  inputs:
    - {{name: lookback, tag: a, api: okta_system_log, domain: x.example, base_url: 'http://127.0.0.1:1',
       token: '${{PATH}}', storage.type: filesystem, node: n1, db: '{db}'}}
  outputs:
    - {{name: stdout, match: '*'}}
",
        dir.display()
    );
    std::fs::write(&path, text).unwrap();
    path.to_string_lossy().into_owned()
}

#[test]
fn check_says_what_a_database_is_and_what_it_lacks() {
    let bench = Bench::new("checked");
    let dir = tempfile::tempdir().unwrap();
    let password = dir.path().join("password");
    std::fs::write(&password, PASSWORD).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&password, mode).unwrap();
    let url = |user: &str, more: &str| {
        let port = bench.server.port();
        format!("postgresql://{user}@127.0.0.1:{port}/checked?{more}")
    };
    let file = format!("password_file={}", password.display());
    let checked = |url: &str| json(&["check", "--json", &configuration(dir.path(), url)]);
    let good = checked(&url("lookback", &file));
    let (found, tried) = (&good["findings"], &good["databases"][0]["tried"]);
    assert_eq!(found.as_array().unwrap().len(), 0, "{good:#}");
    assert_eq!((&tried["ok"], &tried["schema"]), (&true.into(), &"public".into()), "{good:#}");
    assert_eq!((&tried["may_create_tables"], &tried["has_tables"]), (&true.into(), &false.into()));
    assert!(tried["clock_ahead_seconds"].as_f64().unwrap().abs() < 30.0, "{good:#}");

    // From version 15 on, this is how it is for anybody but the owner.
    bench.psql("REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    bench.psql(&format!("CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'"));
    let guest = checked(&url("guest", &file));
    let problem = guest["findings"][0]["problem"].as_str().unwrap();
    assert!(problem.contains("may not make tables in the schema 'public'"), "{guest:#}");
    assert_eq!(guest["verdict"], "findings");

    std::fs::write(&password, "hunter3").unwrap();
    let refused = checked(&url("lookback", &file));
    let problem = refused["databases"][0]["tried"]["problem"].as_str().unwrap();
    assert!(problem.contains("28P01"), "{refused:#}");
    assert_eq!(refused["verdict"], "untried");
}

/// The blocks of SQL in docs/fleet.md: what sets up a role, the queries, and what forgets a source.
fn documented() -> [String; 3] {
    let path = format!("{}/docs/fleet.md", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let blocks = text.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next());
    let blocks: Vec<String> = blocks.map(str::to_owned).collect();
    blocks.try_into().unwrap()
}

#[test]
fn a_role_as_documented_needs_no_right_but_a_schema_of_its_own() {
    let bench = Bench::new("role");
    bench.psql("REVOKE ALL ON SCHEMA public FROM PUBLIC");
    // Here a user of that name is there already, and is the owner of everything.
    let [setup, ..] = documented();
    let (role, schema) = setup.split_once('\n').unwrap();
    assert_eq!(role, "CREATE ROLE lookback LOGIN;");
    bench.psql(&format!("CREATE ROLE collector LOGIN PASSWORD '{PASSWORD}'"));
    bench.psql(&schema.replace("lookback", "collector"));
    let url = bench.server.url(bench.name).replace("://lookback:", "://collector:");
    let link = link(&Database::parse(&url).unwrap());
    let mut state = opened(&link, take(&link, "a", 1)).state;
    assert_eq!(state.commit(&commit(vec![key(day(0), 1)], 9)).unwrap(), 1);
    let schemas = "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename LIKE 'lookback_%'";
    assert_eq!(bench.psql(schemas), "collector");
}

#[test]
fn the_documented_queries_find_sources_without_a_leader_and_without_a_stand_in() {
    let bench = Bench::new("queries");
    let link = bench.link();
    for name in ["led", "alone", "orphan", "gone"] {
        take(&link, name, 1);
    }
    // Two nodes are up, one has died; nobody runs the last source any more.
    bench.psql(
        "INSERT INTO lookback_processes (process, node, since, alive_until) VALUES
            (1, 'n1', now(), now() + interval '1 minute'), (2, 'n2', now(), now() + interval '1 minute'),
            (3, 'n3', now(), now() - interval '1 hour');
        INSERT INTO lookback_candidates (source, process)
            SELECT id, process FROM lookback_sources, (VALUES (1), (2), (3)) AS all_of_them (process)
            WHERE (name, process) IN (('led', 1), ('led', 2), ('alone', 1), ('alone', 3), ('orphan', 2), ('gone', 3));
        UPDATE lookback_sources SET lease_until = now() - interval '1 hour' WHERE name IN ('orphan', 'gone')",
    );
    let [_, queries, _] = documented();
    let answers: Vec<String> = queries
        .split(";\n")
        .filter(|it| !it.trim().is_empty())
        .map(|sql| bench.psql(sql))
        .collect();
    let [leaderless, single, shares] = answers.try_into().unwrap();
    assert!(
        leaderless.starts_with("orphan|n1|01:00:0") && leaderless.lines().count() == 1,
        "{leaderless}"
    );
    assert_eq!(
        single.lines().collect::<std::collections::BTreeSet<_>>(),
        ["alone|n1", "orphan|n1"].into()
    );
    assert_eq!(shares, "n1|2");
}

#[test]
fn a_source_is_forgotten_as_documented_and_begins_anew() {
    let bench = Bench::new("forgotten");
    let link = bench.link();
    for name in ["entra_signins/contoso", "other"] {
        let mut state = opened(&link, take(&link, name, 1)).state;
        state.commit(&commit(vec![key(day(0), 1)], 9)).unwrap();
    }
    let [.., forget] = documented();
    bench.psql(&forget);
    let rows =
        "SELECT string_agg(name, ',') FROM lookback_sources JOIN lookback_days ON source = id";
    assert_eq!(bench.psql(rows), "other");
    assert_eq!(bench.psql("SELECT count(*) FROM lookback_days"), "1");
}
