//! A whole poll, as processes: lookback in the embedded host beside curl and a bare loop, against
//! a static server on loopback.
//!
//! Prints CPU seconds (user and system) of each, and ratios to curl, all of one run.
//! `LOOKBACK_BENCH_EVENTS` sets how many sign-ins of about 3 KB (20,000 unless told).
#![allow(clippy::disallowed_methods, reason = "real processes take real time")]

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use in_lookback::api::definition::Method;
use in_lookback::api::page::PageReader;
use in_lookback::api::request::Ticket;
use in_lookback::api::{RequestSpec, catalog};
use in_lookback::config::load;
use in_lookback::encode::record;
use in_lookback::http::{Http, Waited};
use in_lookback::model::Timestamp;

const PAGE: usize = 1_000;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("bare") => bare(&args[2]),
        _ => compare(),
    }
}

fn compare() {
    let events = std::env::var("LOOKBACK_BENCH_EVENTS").ok().and_then(|n| n.parse().ok());
    let pages = events.unwrap_or(20_000_usize).div_ceil(PAGE);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("its address"));
    // One set of pages for the first poll, one for the second, in which one event of a hundred is new.
    let sets: Vec<Vec<Vec<u8>>> =
        (0..2).map(|set| (0..pages).map(|p| page(&base, set, p, pages)).collect()).collect();
    let bytes: usize = sets[0].iter().map(Vec::len).sum();
    println!("{} events, {pages} pages, {:.1} MB gzip", pages * PAGE, bytes as f64 / 1e6);
    let sets = Arc::new(sets);
    std::thread::spawn(move || serve(&listener, &sets));

    let dir = tempfile::tempdir().expect("a temporary directory");
    let urls: Vec<String> = (0..pages).map(|p| format!("{base}/0/{p}")).collect();
    let mut curl = Command::new("curl");
    curl.args(["-s", "--compressed"]).args(&urls);
    let yardstick = measure("curl --compressed", &mut curl, None);
    let mut own = Command::new(std::env::current_exe().expect("this program"));
    measure("bare loop: fetch, scan, hash, set, MessagePack", own.args(["bare", &base]), yardstick);
    let tool = Path::new(env!("CARGO_BIN_EXE_lookback"));
    for format in ["raw", "record"] {
        let config = config(dir.path(), &base, format);
        for what in ["new", "99 % duplicates"] {
            let mut run = Command::new(tool);
            run.args(["run", "--once", "--output", "null", "--log-level", "error"]).arg(&config);
            measure(&format!("lookback, embedded host, {format}, {what}"), &mut run, yardstick);
        }
    }
}

/// Runs a command to its end; prints and returns its CPU seconds.
fn measure(name: &str, command: &mut Command, yardstick: Option<f64>) -> Option<f64> {
    let mut timed = Command::new("bash");
    timed.args(["-c", "TIMEFORMAT='cpu %U %S'; time \"$@\" >/dev/null 2>&1", "bash"]);
    timed.arg(command.get_program()).args(command.get_args());
    let Ok(output) = timed.stdout(Stdio::null()).output() else {
        println!("{name}: cannot be run");
        return None;
    };
    let text = String::from_utf8_lossy(&output.stderr);
    let figures = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let cpu: f64 = figures.split(' ').filter_map(|n| n.parse::<f64>().ok()).sum();
    let ratio = yardstick.map_or(1.0, |yardstick| cpu / yardstick);
    let status = if output.status.success() { "" } else { " (failed)" };
    println!("{name:<50} {cpu:6.2} s CPU  {ratio:5.2} x curl{status}");
    Some(cpu)
}

fn config(dir: &Path, base: &str, format: &str) -> PathBuf {
    let path = dir.join(format!("{format}.yaml"));
    let text = format!(
        "pipeline:
  inputs:
    - {{name: lookback, tag: e, api: entra_signins, tenant: t, client_id: c, client_secret: s, base_url: '{base}', token_url: '{base}/token', interval: 1h, window: 3h, sweeps: off, widen: off, rate_limit: 60000, db: {dir}/{format}.db, format: {format}, health: off, commit_delay: 1s}}
",
        dir = dir.display()
    );
    std::fs::write(&path, text).expect("the config");
    path
}

/// The least that any client must do, with this library's own scanner and encoder.
fn bare(base: &str) {
    let definition = catalog::find("entra_signins").expect("a built-in");
    let reader = PageReader::new(definition, [0; 16]).expect("a reader");
    let plan = load::plan(|name| match name {
        "api" => Some("entra_signins".to_owned()),
        "tenant" | "client_id" | "client_secret" => Some("x".to_owned()),
        "base_url" | "token_url" => Some(base.to_owned()),
        _ => None,
    });
    let wake = Arc::new(tokio::sync::Notify::new());
    let mut http = Http::new(&plan.expect("a plan").http, wake).expect("a client");
    let (mut seen, mut out) = (HashSet::new(), Vec::new());
    let mut next = Some(format!("{base}/0/0"));
    while let Some(url) = next.take() {
        let url = url::Url::parse(&url).expect("a URL");
        let (method, headers) = (Method::Get, Vec::new());
        let (credential, payload, is_login) = (None, None, false);
        let spec = RequestSpec { method, url, headers, credential, payload, is_login };
        http.send(Ticket(0), &spec);
        let Waited::Answered(_, Ok(response)) = http.wait(Duration::from_secs(60), true) else {
            return;
        };
        let page = reader.page(&response, Timestamp::from_secs(0)).expect("a page");
        out.clear();
        for event in &page.events {
            if seen.insert(event.seen.key) {
                let (secs, nanos) =
                    (event.seen.time.as_secs() as u32, event.seen.time.subsec_nanos());
                record::record(event.raw, secs, nanos, &mut out).expect("a record");
            }
        }
        next = page.next.map(|link| link.into_owned());
        http.recycle(response.body);
    }
}

/// Seconds since 1970, read once, so that both sets of pages agree.
fn now() -> i64 {
    static NOW: std::sync::OnceLock<i64> = std::sync::OnceLock::new();
    *NOW.get_or_init(|| in_lookback::clock::Clock::start().now().wall.as_secs())
}

/// A page of sign-ins, gzipped.
fn page(base: &str, set: usize, page: usize, pages: usize) -> Vec<u8> {
    let events: Vec<String> = (page * PAGE..(page + 1) * PAGE).map(|i| event(set, i)).collect();
    let next = if page + 1 < pages {
        format!(",\"@odata.nextLink\":\"{base}/{set}/{}\"", page + 1)
    } else {
        String::new()
    };
    let body = format!("{{\"value\":[{}]{next}}}", events.join(","));
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body.as_bytes()).expect("memory");
    encoder.finish().expect("memory")
}

fn event(set: usize, index: usize) -> String {
    let seed =
        if set == 1 && index.is_multiple_of(100) { index + 1_000_000_000 } else { index } as u64;
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut guid =
        || format!("{:08x}-{:04x}-4000-8000-{:012x}", rng.u32(..), rng.u16(..), rng.u64(..) >> 16);
    let happened = Timestamp::from_secs(now()) - Duration::from_millis(index as u64 * 10);
    let policies: Vec<String> = (0..7)
        .map(|n| format!("{{\"id\":\"{}\",\"displayName\":\"Require multifactor authentication {n}\",\"enforcedGrantControls\":[\"Mfa\",\"RequireCompliantDevice\"],\"enforcedSessionControls\":[\"CloudAppSecurity\"],\"result\":\"notEnabled\",\"conditionsSatisfied\":\"none\",\"conditionsNotSatisfied\":\"application,users\"}}", guid()))
        .collect();
    format!(
        "{{\"id\":\"{}\",\"createdDateTime\":\"{happened}\",\"userPrincipalName\":\"user{}@contoso.example\",\"userId\":\"{}\",\"appId\":\"{}\",\"appDisplayName\":\"Office 365 Exchange Online\",\"ipAddress\":\"203.0.113.{}\",\"isInteractive\":true,\"riskEventTypes\":[],\"status\":{{\"errorCode\":0,\"failureReason\":\"Other.\",\"additionalDetails\":null}},\"location\":{{\"city\":\"Amsterdam\",\"countryOrRegion\":\"NL\",\"geoCoordinates\":{{\"altitude\":null,\"latitude\":52.37403,\"longitude\":4.88969}}}},\"correlationId\":\"{}\",\"appliedConditionalAccessPolicies\":[{}]}}",
        guid(),
        index % 5_000,
        guid(),
        guid(),
        index % 250,
        guid(),
        policies.join(",")
    )
}

/// `/SET/PAGE` gives a page, anything else the first page of the next set, `/token` a token.
fn serve(listener: &TcpListener, sets: &Arc<Vec<Vec<Vec<u8>>>>) {
    let polls = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    for stream in listener.incoming().flatten() {
        let (sets, polls) = (Arc::clone(sets), Arc::clone(&polls));
        std::thread::spawn(move || answer(stream, &sets, &polls));
    }
}

fn answer(stream: TcpStream, sets: &[Vec<Vec<u8>>], polls: &std::sync::atomic::AtomicUsize) {
    let Ok(mut out) = stream.try_clone() else { return };
    let _ = out.set_nodelay(true);
    let mut input = BufReader::new(stream);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        if !matches!(input.read_line(&mut line), Ok(1..)) {
            return;
        }
        let target = line.split(' ').nth(1).unwrap_or("/").to_owned();
        loop {
            let mut header = String::new();
            if !matches!(input.read_line(&mut header), Ok(3..)) {
                break;
            }
            if let Some(n) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                length = n.trim().parse().unwrap_or(0);
            }
        }
        let _ = input.by_ref().take(length).read_to_end(&mut Vec::new());
        let mut parts = target.trim_start_matches('/').splitn(2, '/').map(str::parse::<usize>);
        let token = br#"{"access_token":"t","expires_in":3600}"#;
        let (body, encoding): (&[u8], _) = match (parts.next(), parts.next()) {
            _ if target.starts_with("/token") => (token, ""),
            (Some(Ok(set)), Some(Ok(page))) => (&sets[set][page], "Content-Encoding: gzip\r\n"),
            _ => {
                let poll = polls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                (&sets[poll % 2][0], "Content-Encoding: gzip\r\n")
            }
        };
        let head = format!("HTTP/1.1 200 OK\r\n{encoding}Content-Length: {}\r\n\r\n", body.len());
        if out.write_all(head.as_bytes()).is_err() || out.write_all(body).is_err() {
            return;
        }
    }
}
