//! `lookback state` as a user runs it, beside a plugin that runs: how much of the past was read, and what was not.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};

use crate::bench::{Bench, history, with};
use crate::simulate::FeedOptions;

/// How long the history is, and how far back the plugin begins to read: several hours that have ended.
const PAST: &str = "5h";

fn state(db: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lookback"));
    command.arg("state").arg(db).args(arguments).output().unwrap()
}

/// Exit code, and the document.
fn told(db: &Path, arguments: &[&str]) -> (i32, Value) {
    let output = state(db, &[&["--json"], arguments].concat());
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let document = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{error}"));
    (output.status.code().unwrap(), document)
}

fn sum(coverage: &Value, what: &str) -> u64 {
    let hours = coverage["hours"].as_array().unwrap().iter();
    hours.map(|hour| hour[what].as_u64().unwrap()).sum()
}

#[test]
fn what_an_outage_left_unread_shows_as_holes_and_what_filled_them_is_told() {
    let bench = Bench::new(FeedOptions {
        backfill: Duration::from_secs(5 * 3_600),
        rate: 0.05,
        ..history(900)
    });
    let input = with(with(bench.small_pages("in"), "start", PAST), "sweeps", "5h/1h");
    let db = bench.path("lookback.db");
    bench.faults(json!({"error": 1}));
    let host = bench.start(vec![input.clone()]);
    bench.wait(&host, "the outage", || bench.has_health("fetch_failed"));

    let (code, sources) = told(&db, &[]);
    let name = sources[0]["source"].as_str().unwrap().to_owned();
    assert_eq!((code, &sources[0]["ids"]), (0, &json!(0)), "{sources:#}");
    let (code, holes) = told(&db, &["--coverage", &name]);
    assert_eq!((code, &holes["complete"]), (1, &json!(0)), "{holes:#}");
    assert_eq!(holes["holes"][0]["state"], "unread", "{holes:#}");
    let text = state(&db, &["--coverage", &name]);
    let shown = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(shown.contains("HOLE: not read yet") && !shown.contains('\x1b'), "{shown}");

    bench.faults(json!({"error": 0}));
    let all_read = || told(&db, &["--coverage", &name]).0 == 0;
    bench.wait(&host, "every hour to be complete", all_read);
    bench.wait_for_all(&host, "in");
    let records = || sum(&told(&db, &["--coverage", &name]).1, "records");
    bench.wait(&host, "every record to be counted", || records() == 900);
    bench.stop(host);

    let (code, whole) = told(&db, &["--coverage", &name]);
    assert_eq!((code, sum(&whole, "records")), (0, 900), "{whole:#}");
    let first_by = |hour: &Value| hour["first_by"] == "catchup";
    assert!(whole["hours"].as_array().unwrap().iter().filter(|it| first_by(it)).count() >= 3);
    assert!(whole["complete"].as_u64().unwrap() >= 4 && whole["holes"] == json!([]), "{whole:#}");

    // A second run counts what its sweeps read again as duplicates, and no record twice.
    let host = bench.start(vec![with(input, "sweeps", "5h/2s")]);
    let swept = || sum(&told(&db, &["--coverage", &name]).1, "duplicates") > 1_000;
    bench.wait(&host, "duplicates to be counted", swept);
    bench.stop(host);
    let (_, swept) = told(&db, &["--coverage", &name]);
    let last_by = |hour: &Value| hour["last_by"] == "sweep" && hour["first_by"] == "catchup";
    assert!(swept["hours"].as_array().unwrap().iter().any(last_by), "{swept:#}");
    assert_eq!(sum(&swept, "records"), 900, "{swept:#}");
}

#[test]
fn a_file_that_tells_nothing_is_explained_in_one_line_and_ends_with_2() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("text"), "pipeline:\n".repeat(1_000)).unwrap();
    let version_1 = rusqlite::Connection::open(path("old.db")).unwrap();
    let tables = "CREATE TABLE meta (key, value); CREATE TABLE sources (id, name, progress, ids);
        INSERT INTO sources VALUES (1, 'a', '{\"origin\":5,\"live_until\":9,\"holes\":[],\"sweeps\":[]}', 3);
        PRAGMA user_version = 1";
    version_1.execute_batch(tables).unwrap();
    let newer = rusqlite::Connection::open(path("newer.db")).unwrap();
    newer.execute_batch("CREATE TABLE x (y); PRAGMA user_version = 99").unwrap();
    std::fs::write(path("empty"), "").unwrap();
    let made = Command::new("mkfifo").arg(path("pipe")).status();
    assert!(made.unwrap().success());
    for (name, arguments, expected) in [
        ("none", &[][..], "there is no such file"),
        ("", &[], ": is a directory;"),
        ("empty", &[], "is no state file of lookback"),
        ("pipe", &[], "is no state file of lookback"),
        ("old.db", &["--coverage", "a", "--from", "1h", "--to", "2h"], "must be before --to"),
        ("text", &[], "it is damaged, or not of lookback"),
        ("newer.db", &[], "run that version's"),
        ("old.db", &["--coverage", "b"], "no source is named 'b'; there are: a"),
        (
            "old.db",
            &["--coverage", "a"],
            "it begins when this version of the plugin opens the file",
        ),
    ] {
        let output = state(&path(name), arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(expected) && error.lines().count() == 1, "{name}: {error}");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{name}: {error}");
    }
    let (code, sources) = told(&path("old.db"), &[]);
    assert_eq!((code, &sources[0]["ids"], &sources[0]["ledger"]), (0, &json!(3), &Value::Null));
}

#[test]
fn a_file_that_may_not_be_read_says_whose_part_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lookback.db");
    std::fs::write(&path, "whatever").unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o000)).unwrap();
    if std::fs::File::open(&path).is_ok() {
        eprintln!("SKIPPED: this user may read every file");
        return;
    }
    let error = String::from_utf8(state(&path, &[]).stderr).unwrap();
    assert!(error.contains("permission denied; run it as the user of Fluent Bit"), "{error}");
}

#[test]
fn with_no_hour_to_judge_the_reason_goes_beside_the_document() {
    let bench = Bench::new(history(10));
    let db = bench.path("lookback.db");
    let host = bench.start(vec![bench.input("in")]);
    bench.wait_for_all(&host, "in");
    bench.stop(host);
    let (_, sources) = told(&db, &[]);
    let name = sources[0]["source"].as_str().unwrap();
    let range = ["--coverage", name, "--from", "2100-01-01T00:00:00Z"];
    let (code, document) = told(&db, &range);
    assert_eq!((code, &document["judged"], &document["holes"]), (2, &json!(0), &json!([])));
    let output = state(&db, &range);
    let [text, error] = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it));
    assert!(error.contains("could not tell: no hour of the range"), "{error}");
    assert!(!text.contains("No holes"), "{text}");
}
