//! `lookback check` as a user runs it: the example pipelines, and a trial of the simulated API.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::bench::{Bench, SECRET, history};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn check(config: &Path, more: &[&str], variables: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lookback"));
    command.arg("check").arg(config).args(more);
    command.envs(variables.iter().map(|name| (*name, SECRET))).output().unwrap()
}

/// Exit code, and the document.
fn checked(config: &Path, more: &[&str]) -> (i32, Value) {
    let output = check(config, &[&["--json"], more].concat(), &["CHECK_SECRET"]);
    let shown = [&output.stdout[..], &output.stderr[..]].concat();
    let shown = String::from_utf8_lossy(&shown).into_owned();
    assert!(!shown.contains(SECRET) && !shown.contains("eyJ"), "{shown}");
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{shown}"));
    (output.status.code().unwrap(), report)
}

#[test]
fn every_example_pipeline_is_clean() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path().to_string_lossy().into_owned();
    for (name, path) in [("lookback.pem", "client.pem"), ("lookback.key", "client.key")] {
        std::fs::copy(format!("{ROOT}/tests/data/{path}"), dir.path().join(name)).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(dir.path().join(name), mode).unwrap();
    }
    let mut checked = 0;
    for entry in std::fs::read_dir(format!("{ROOT}/conf")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !path.is_file() {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace("/var/lib/fluent-bit", &here).replace("/etc/fluent-bit", &here);
        std::fs::write(dir.path().join(&name), &text).unwrap();
        checked += usize::from(name != "plugins.conf");
    }
    assert!(checked >= 9, "the example pipelines are there");
    for entry in std::fs::read_dir(format!("{ROOT}/conf")).unwrap() {
        let name = entry.unwrap().file_name().to_str().unwrap().to_owned();
        let path = dir.path().join(&name);
        if name == "plugins.conf" || !path.is_file() {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let used = text.split("${").skip(1).filter_map(|rest| rest.split('}').next());
        let variables: Vec<&str> = used.collect();
        let output = check(&path, &["--offline"], &variables);
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(shown.ends_with("fine (linted, not tried)\n"), "{name}:\n{shown}");
        assert!(output.status.success(), "{name}:\n{shown}");
    }
}

/// As the unit and the manifest give it what it needs.
#[test]
fn the_fleets_configuration_is_clean_and_without_a_databases_host_it_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path().to_string_lossy().into_owned();
    let text = std::fs::read_to_string(format!("{ROOT}/conf/fleet/lookback.yaml")).unwrap();
    let path = dir.path().join("lookback.yaml");
    std::fs::write(&path, text.replace("/var/lib/fluent-bit", &here)).unwrap();
    for name in text.split("${CREDENTIALS_DIRECTORY}/").skip(1) {
        let end = name.find(|c: char| !c.is_ascii_alphanumeric() && !"-.".contains(c)).unwrap();
        let file = dir.path().join(&name[..end]);
        std::fs::write(&file, SECRET).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o440);
        std::fs::set_permissions(file, mode).unwrap();
    }
    for (database, code, end) in [
        ("a.example,b.example", 0, "fine (linted, not tried)\n"),
        ("", 1, "property 'db': names no host"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lookback"));
        command.arg("check").arg(&path).arg("--offline").env("LOOKBACK_DB_HOST", database);
        command.env("CREDENTIALS_DIRECTORY", dir.path()).env("LISTEN", "127.0.0.1");
        let output = command.env("KAFKA_PASSWORD", SECRET).output().unwrap();
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(shown.contains(end) && !shown.contains(SECRET), "{shown}");
        assert_eq!(output.status.code(), Some(code), "{shown}");
    }
}

/// A configuration that asks the bench's simulator.
fn configured(bench: &Bench, more: &str) -> std::path::PathBuf {
    let (url, dir) = (bench.simulator.url(), bench.path(""));
    let text = format!(
        "
service: {{storage.path: {dir}storage}}
pipeline:
  inputs:
    - name: lookback
      tag: in
      api: entra_signins
      tenant: contoso.example
      client_id: simulator
      client_secret: ${{CHECK_SECRET}}
      base_url: {url}
      token_url: {url}/contoso.example/oauth2/v2.0/token
      db: {dir}check.db
      storage.type: filesystem
{more}
  outputs:
    - {{name: stdout, match: '*'}}
",
        dir = dir.display()
    );
    bench.write("check.yaml", &text).into()
}

#[test]
fn a_trial_shows_the_newest_event_the_drift_and_the_window_to_set_and_leaves_no_state() {
    let bench = Bench::new(history(200));
    let (code, report) = checked(&configured(&bench, ""), &[]);
    assert_eq!(
        (code, &report["verdict"], &report["findings"]),
        (0, &json!("fine"), &json!([])),
        "{report:#}"
    );
    let tried = &report["inputs"][0]["tried"];
    assert_eq!(tried["ok"], true, "{report:#}");
    let newest = bench.simulator.truth().iter().map(|event| event.time.as_second()).max();
    let found: jiff::Timestamp = tried["newest"].as_str().unwrap().parse().unwrap();
    assert_eq!(Some(found.as_second()), newest, "{report:#}");
    assert!(tried["events"].as_u64() >= Some(50), "{report:#}");
    // The history ended two minutes before the simulator began.
    let drift = tried["drift_seconds"].as_u64().unwrap();
    assert!((110..300).contains(&drift), "{report:#}");
    assert!(tried["advised_window_seconds"].as_u64().unwrap() >= 360, "{report:#}");
    assert!(!bench.path("check.db").exists(), "it has left a state behind");
}

#[test]
fn what_the_api_or_the_login_service_refuses_is_explained_and_ends_with_2() {
    let bench = Bench::new(history(20));
    let config = configured(&bench, "      timeout: 5s");
    for (fault, problem) in [
        (json!({"auth_fail": 1}), "no token"),
        (json!({"auth_fail": 0, "error": 1}), "no page: HTTP status 50"),
    ] {
        bench.faults(fault);
        let (code, report) = checked(&config, &[]);
        let tried = &report["inputs"][0]["tried"];
        assert_eq!((code, &report["verdict"]), (2, &json!("untried")), "{report:#}");
        assert!(tried["problem"].as_str().unwrap().starts_with(problem), "{report:#}");
        assert!(tried["mend"].is_string(), "{report:#}");
    }
    // What would lose records weighs more than what could not be tried.
    let lossy = configured(&bench, "      intervall: 5s");
    assert_eq!(checked(&lossy, &["--offline"]).0, 1);
    let (code, report) = checked(Path::new("/no/such.yaml"), &[]);
    assert_eq!((code, &report["findings"][0]["severity"]), (1, &json!("error")), "{report:#}");
}
