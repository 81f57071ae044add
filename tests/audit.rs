//! `lookback audit` against the simulator: exports that were tampered with by hand, and runs that cannot tell.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

const SECRET: &str = "simulator-secret";

/// Some minutes of events, over since a minute, and what goes wrong when they are read again.
struct Bench {
    child: Child,
    url: String,
    dir: TempDir,
    events: Vec<Event>,
}

#[derive(Clone, Debug)]
struct Event {
    id: String,
    time: String,
}

impl Bench {
    fn start() -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_lookback"))
            .args([
                "simulate",
                "--port",
                "0",
                "--rate",
                "10",
                "--backfill",
                "360s",
                "--count",
                "3000",
            ])
            .args(["--lateness", "exp:100ms", "--event-bytes", "700", "--blob-every", "60s"])
            .args([
                "--throttle",
                "0.05",
                "--retry-after",
                "1s",
                "--truncate",
                "0.05",
                "--error",
                "0.05",
            ])
            .args(["--expire-link", "0.05", "--unauthorized", "0.05"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.expect("the simulator starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its output");
        BufReader::new(stdout).read_line(&mut line).expect("its address");
        let url = line.trim().rsplit(' ').next().expect("its address").to_owned();
        let truth = ask(&url, "/_simulator/truth");
        let event = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            let text = |key: &str| line[key].as_str().map(str::to_owned);
            Some(Event { id: text("id")?, time: text("time")? })
        };
        let events: Vec<Event> = truth.lines().filter_map(event).collect();
        assert_eq!(events.len(), 3_000);
        Self { child, url, dir: tempfile::tempdir().expect("a directory"), events }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A configuration of two inputs, so that one must be chosen.
    fn config(&self, api: &str, secret: &str) -> PathBuf {
        let url = &self.url;
        let credentials = match api {
            "okta_system_log" => "      token: simulator-token\n".to_owned(),
            _ => format!(
                "      tenant: contoso\n      client_id: simulator\n      client_secret: {secret}\n      token_url: {url}/contoso/oauth2/v2.0/token\n"
            ),
        };
        let path = self.path("fluent-bit.yaml");
        let text = format!(
            "pipeline:\n  inputs:\n    - name: lookback\n      tag: other\n      api: nothing\n    - name: lookback\n      tag: audited\n      api: {api}\n      base_url: {url}\n      rate_limit: 6000\n      format: raw\n      raw_key: event_json\n{credentials}"
        );
        fs::write(&path, text).expect("a file");
        path
    }

    fn audit(&self, config: &PathBuf, export: &[u8], options: &[&str]) -> Output {
        let name = self.path("export");
        fs::write(&name, export).expect("a file");
        Command::new(env!("CARGO_BIN_EXE_lookback"))
            .args(["audit", "--source", "audited", "--to", "30s"])
            .arg(config)
            .arg("--export")
            .arg(&name)
            .args(options)
            .output()
            .expect("it runs")
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ask(url: &str, path: &str) -> String {
    let host = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).expect("the simulator listens");
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n").expect("the request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the answer");
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}

/// An event as a SIEM exports it.
type Line = fn(&Event) -> Value;

fn as_fluent_bit(event: &Event) -> Value {
    json!({"date": 1.5, "id": event.id, "createdDateTime": event.time})
}

fn as_splunk(event: &Event) -> Value {
    let raw = json!({"uuid": event.id, "published": event.time}).to_string();
    json!({"preview": false, "result": {"_raw": raw, "_indextime": "4000000000"}})
}

fn as_elasticsearch(event: &Event) -> Value {
    let raw = json!({"Id": event.id, "CreationTime": event.time.trim_end_matches('Z')}).to_string();
    json!({"_index": "x", "_id": "y", "_source": {"@timestamp": event.time, "event_json": raw}})
}

fn lines<'e>(events: impl IntoIterator<Item = &'e Event>, line: Line) -> String {
    events.into_iter().map(|event| format!("{}\n", line(event))).collect()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).expect("memory");
    gzip.finish().expect("memory")
}

fn ids(list: &Value) -> Vec<String> {
    let events = list["events"].as_array().expect("a list");
    let mut ids: Vec<String> =
        events.iter().map(|event| event["id"].as_str().expect("an id").to_owned()).collect();
    ids.sort();
    ids
}

#[test]
fn an_audit_finds_exactly_what_was_deleted_doubled_and_made_up_by_hand() {
    let bench = Bench::start();
    let cases: [(&str, Line); 3] = [
        ("entra_signins", as_fluent_bit),
        ("okta_system_log", as_splunk),
        ("o365_management", as_elasticsearch),
    ];
    for (api, line) in cases {
        let config = bench.config(api, SECRET);
        let is_gone = |index: &usize| [1, 777, 1_500, 2_999].contains(index);
        let kept = bench.events.iter().enumerate().filter(|(index, _)| !is_gone(index));
        let mut gone: Vec<String> =
            (0..3_000).filter(is_gone).map(|index| bench.events[index].id.clone()).collect();
        gone.sort();
        let made_up = Event { id: "made up".to_owned(), ..bench.events[5].clone() };
        let doubled = &bench.events[9];
        let export = lines(kept.map(|(_, event)| event).chain([doubled, &made_up]), line);
        let (html, copy) = (bench.path("report.html"), bench.path("missing.jsonl"));
        let (html_path, copy_path) = (html.display().to_string(), copy.display().to_string());
        let options = ["--from", "10m", "--json", "--html", &html_path, "--missing", &copy_path];
        let output = bench.audit(&config, &gzip(&export), &options);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("{api}: {error}: {}", String::from_utf8_lossy(&output.stderr))
        });
        assert_eq!(output.status.code(), Some(1), "{api}: {report:#}");
        let total = json!({"api": 3_000, "siem": 2_997, "missing": 4, "doubled": 1, "unknown": 1});
        assert_eq!(report["total"], total, "{api}: {report:#}");
        assert_eq!(ids(&report["missing"]), gone, "{api}");
        assert_eq!(ids(&report["doubled"]), vec![doubled.id.clone()], "{api}");
        assert_eq!(ids(&report["unknown"]), ["made up"], "{api}");
        let copied = fs::read_to_string(&copy).expect("a file");
        assert_eq!(copied.lines().count(), 4, "{api}");
        let page = fs::read_to_string(&html).expect("a file");
        for id in &gone {
            assert!(copied.contains(id.as_str()) && page.contains(id.as_str()), "{api}: {id}");
        }
        // With the missing ones delivered after all, nothing is missing.
        let whole = lines(&bench.events, line);
        let output = bench.audit(&config, whole.as_bytes(), &[]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{api}: {text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}

#[test]
fn what_cannot_be_told_is_not_called_complete_and_no_secret_is_shown() {
    let bench = Bench::start();
    let whole = lines(&bench.events, as_fluent_bit);
    let right = bench.config("entra_signins", SECRET);
    for (export, options, expected) in [
        ("{\"other\":1}\n", vec![], "none of its 1 records has an id at /id"),
        ("no JSON\n", vec![], "expected JSON lines, found in line 1"),
        ("", vec![], "set --from"),
        (whole.as_str(), vec!["--from", "10s"], "is not before --to"),
        (whole.as_str(), vec!["--id", "/a", "--id", "/b"], "an id of entra_signins is '/id'"),
        (
            whole.as_str(),
            vec!["--html", "/nowhere/x.html"],
            "--html /nowhere/x.html cannot be written",
        ),
    ] {
        let output = bench.audit(&right, export.as_bytes(), &options);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(expected), "{error}");
    }
    // The API no longer has what lies past its reach.
    let output = bench.audit(&right, whole.as_bytes(), &["--from", "60d"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.split_whitespace().any(|word| word == "retention"), "{text}");

    let wrong = bench.config("entra_signins", "a-secret-that-is-wrong");
    let output = bench.audit(&wrong, whole.as_bytes(), &[]);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("no token") && !said.contains("a-secret-that-is-wrong"), "{said}");
}
