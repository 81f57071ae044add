//! The simulator over real sockets, with a client that hides nothing.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use serde_json::Value;

use super::{
    super::{
        FeedOptions, LoginOptions, ManualClock,
        assertion::tests::{client_assertion, client_certificate},
    },
    *,
};

const FORM: &str = "grant_type=client_credentials&client_id=simulator&client_secret=simulator-secret\
    &scope=https%3A%2F%2Fgraph.microsoft.com%2F.default";

/// A simulator whose time stands still.
fn simulator() -> (Simulator, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new("2026-03-01T12:00:00Z".parse().unwrap()));
    let feed = FeedOptions { rate: 0.5, ..Default::default() };
    let options =
        Options { feed, clock: Arc::clone(&clock) as Arc<dyn Clock>, ..Default::default() };
    (Simulator::start(options).unwrap(), clock)
}

/// Everything the server sends in answer to `request`, and how the connection ended.
fn exchange(simulator: &Simulator, head: &str, body: &str) -> (Vec<u8>, io::Result<()>) {
    let mut tcp = TcpStream::connect(simulator.addr()).unwrap();
    let host = simulator.addr();
    let length = body.len();
    write!(
        tcp,
        "{head}\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = Vec::new();
    let ended = tcp.read_to_end(&mut answer).map(|_| ());
    (answer, ended)
}

/// Status line and header fields, and the body.
fn split(answer: &[u8]) -> (String, Vec<u8>) {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    (String::from_utf8(answer[..end].to_vec()).unwrap(), answer[end + 4..].to_vec())
}

fn json_body(answer: &[u8]) -> Value {
    serde_json::from_slice(&split(answer).1).unwrap()
}

fn bearer(simulator: &Simulator) -> String {
    let (answer, _) = exchange(simulator, "POST /contoso/oauth2/v2.0/token HTTP/1.1", FORM);
    json_body(&answer)["access_token"].as_str().unwrap().to_owned()
}

fn page(simulator: &Simulator, token: &str, more: &str) -> (Vec<u8>, io::Result<()>) {
    let head = format!(
        "GET /v1.0/auditLogs/signIns?$top=1000 HTTP/1.1\r\nAuthorization: Bearer {token}{more}"
    );
    exchange(simulator, &head, "")
}

fn content_length(head: &str) -> usize {
    let line = head.lines().find_map(|line| {
        line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned)
    });
    line.unwrap().parse().unwrap()
}

#[test]
fn a_token_then_all_pages() {
    let (simulator, clock) = simulator();
    clock.advance(Duration::from_secs(60));
    let token = bearer(&simulator);
    let mut path =
        "/v1.0/auditLogs/signIns?$top=700&$filter=createdDateTime%20ge%202026-03-01T11:00:00Z"
            .to_owned();
    let mut ids = Vec::new();
    loop {
        let (answer, ended) = exchange(
            &simulator,
            &format!("GET {path} HTTP/1.1\r\nAuthorization: Bearer {token}"),
            "",
        );
        ended.unwrap();
        let body = json_body(&answer);
        ids.extend(
            body["value"]
                .as_array()
                .unwrap()
                .iter()
                .map(|event| event["id"].as_str().unwrap().to_owned()),
        );
        match body["@odata.nextLink"].as_str() {
            Some(link) => path = link.strip_prefix(&simulator.url()).unwrap().to_owned(),
            None => break,
        }
    }
    let now = simulator.shared.clock.now();
    let shown = simulator.truth().into_iter().rev().filter(|event| event.visible_at <= now);
    assert_eq!(ids, shown.map(|event| event.id).collect::<Vec<_>>());

    let stats = simulator.stop().unwrap();
    assert_eq!(stats.visible, ids.len() as u64);
    assert_eq!(stats.requests_by_status["200"], 4);
    assert_eq!(stats.tokens_issued, 1);
}

#[test]
fn gzip_for_those_who_take_it() {
    let (simulator, _) = simulator();
    let token = bearer(&simulator);
    let (plain, _) = page(&simulator, &token, "");
    let (packed, _) = page(&simulator, &token, "\r\nAccept-Encoding: gzip");
    let (head, packed) = split(&packed);
    assert!(head.contains("content-encoding: gzip"), "{head}");
    let (_, plain) = split(&plain);
    let mut unpacked = vec![0; plain.len()];
    let size = libdeflater::Decompressor::new().gzip_decompress(&packed, &mut unpacked).unwrap();
    // The two walks differ in nothing, not even in their tokens: time stands still.
    assert_eq!(&unpacked[..size], plain);
}

#[test]
fn links_lead_to_https_where_something_in_front_ends_tls() {
    for (behind_tls, scheme) in [(false, "http"), (true, "https")] {
        let options = Options { behind_tls, ..Default::default() };
        let simulator = Simulator::start(options).unwrap();
        let head = "GET /api/v1/logs?limit=1 HTTP/1.1\r\nAuthorization: SSWS simulator-token";
        let (head, _) = split(&exchange(&simulator, head, "").0);
        let link = format!("link: <{scheme}://{}/api/v1/logs?", simulator.addr());
        assert!(head.contains(&link), "{head}");
    }
}

#[test]
fn a_truncated_body_is_short_of_its_length() {
    let (simulator, _) = simulator();
    let token = bearer(&simulator);
    simulator.change_faults(&json!({"truncate": 1.0})).unwrap();
    let (answer, ended) = page(&simulator, &token, "");
    ended.unwrap();
    let (head, body) = split(&answer);
    assert!(!body.is_empty() && body.len() < content_length(&head), "{} {head}", body.len());
}

#[test]
fn a_reset_is_a_reset() {
    let (simulator, _) = simulator();
    let token = bearer(&simulator);
    simulator.change_faults(&json!({"reset": 1.0})).unwrap();
    for _ in 0..8 {
        let (_, ended) = page(&simulator, &token, "");
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
    let stats = simulator.stats();
    assert_eq!(stats.faults["reset"], 8);
    assert!(stats.requests_by_status["none"] > 0, "before the answer");
    assert!(stats.requests_by_status["200"] > 1, "and amid its body");
}

#[test]
fn a_stall_goes_on_in_the_end() {
    let (simulator, _) = simulator();
    let token = bearer(&simulator);
    simulator.change_faults(&json!({"stall": 1.0, "stall_for": "1ms"})).unwrap();
    for _ in 0..8 {
        let (answer, ended) = page(&simulator, &token, "");
        ended.unwrap();
        assert_eq!(json_body(&answer)["value"].as_array().unwrap().len(), 1000);
    }
    assert_eq!(simulator.stats().faults["stall"], 8);
}

#[test]
fn a_stall_that_nobody_waits_for_is_counted() {
    let (simulator, _) = simulator();
    let token = bearer(&simulator);
    simulator.change_faults(&json!({"stall": 1.0, "stall_for": "1d"})).unwrap();
    let head = "GET /v1.0/auditLogs/signIns?$top=1 HTTP/1.1";
    let mut tcp = TcpStream::connect(simulator.addr()).unwrap();
    write!(tcp, "{head}\r\nHost: h\r\nAuthorization: Bearer {token}\r\n\r\n").unwrap();
    while simulator.stats().requests < 2 {
        std::thread::yield_now();
    }
    assert_eq!(simulator.stop().unwrap().faults["stall"], 1, "and stopping does not wait for it");
}

#[test]
fn control_while_it_runs() {
    let (simulator, clock) = simulator();
    let post =
        |path: &str, body: &str| exchange(&simulator, &format!("POST {path} HTTP/1.1"), body).0;
    let get = |path: &str| exchange(&simulator, &format!("GET {path} HTTP/1.1"), "").0;

    let faults =
        json_body(&post("/_simulator/faults", r#"{"login_outage": true, "next": ["throttle"]}"#));
    assert_eq!((&faults["login_outage"], &faults["next"][0]), (&json!(true), &json!("throttle")));
    let (head, _) = split(&post("/contoso/oauth2/token?api-version=1.0", FORM));
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    assert!(
        split(&post("/_simulator/faults", r#"{"outrage": true}"#)).0.starts_with("HTTP/1.1 400")
    );

    post("/_simulator/pause", "");
    clock.advance(Duration::from_secs(600));
    let stats = json_body(&get("/_simulator/stats"));
    assert_eq!(stats["events"], 1800);
    post("/_simulator/resume", "");
    clock.advance(Duration::from_secs(600));
    assert_eq!(json_body(&get("/_simulator/stats"))["events"], 2100);

    let (_, lines) = split(&get(
        "/_simulator/truth?visible=now&from=2026-03-01T11:30:00Z&to=2026-03-01T11:40:00Z",
    ));
    let lines = String::from_utf8(lines).unwrap();
    assert_eq!(lines.lines().count(), 300);
    let event: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert!(event["time"].as_str().unwrap() >= "2026-03-01T11:30" && event["api"] == "graph");
}

#[test]
fn the_truth_file_is_complete_at_the_end() {
    let path = std::env::temp_dir().join(format!("lookback-truth-{}.jsonl", std::process::id()));
    let feed = FeedOptions {
        rate: 10.0,
        backfill: Duration::from_secs(3_000),
        count: Some(25_000),
        ..Default::default()
    };
    let simulator =
        Simulator::start(Options { feed, truth: Some(path.clone()), ..Default::default() })
            .unwrap();
    let truth = simulator.truth();
    simulator.stop().unwrap();
    let lines = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let ids = lines.lines().map(|line| {
        serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned()
    });
    let ids: Vec<String> = ids.take(truth.len()).collect();
    assert_eq!(ids, truth.into_iter().map(|event| event.id).collect::<Vec<_>>());
}

#[test]
fn the_access_log_shows_no_token() {
    let uri: Uri =
        "/v1.0/auditLogs/signIns?$top=5&$skiptoken=secret1&access_token=secret2&$filter=a%0Ab"
            .parse()
            .unwrap();
    assert_eq!(
        safe_target(&uri),
        "/v1.0/auditLogs/signIns?$top=5&$skiptoken=…&access_token=…&$filter=a?b"
    );
}

#[test]
fn the_truth_is_told_as_an_api_shows_it() {
    let (simulator, clock) = simulator();
    clock.advance(Duration::from_secs(5));
    let lines = |query: &str| -> Vec<Value> {
        let head = format!("GET /_simulator/truth?visible=now&{query} HTTP/1.1");
        let (_, body) = split(&exchange(&simulator, &head, "").0);
        let text = String::from_utf8(body).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let everything = lines("api=okta").len();
    assert!(lines("api=o365").len() < everything, "the last blob is not complete");
    let whole = lines("api=o365").iter().all(|event| {
        let at: Timestamp = event["visible_at"].as_str().unwrap().parse().unwrap();
        at.as_second() % 10 == 0 && at.subsec_nanosecond() == 0
    });
    assert!(whole, "a blob shows at the end of its slot");
    let kinds = lines("type=managedIdentity");
    assert!(kinds.len() * 5 > everything && kinds.len() * 3 < everything, "{}", kinds.len());
    assert!(kinds.iter().all(|event| event["sign_in_type"] == "managedIdentity"));
    assert!(lines("type=DLP.All").iter().all(|event| event["content_type"] == "DLP.All"));
}

#[test]
fn a_name_may_come_twice_in_a_head() {
    let (simulator, _) = simulator();
    let head = "GET /api/v1/logs HTTP/1.1\r\nAuthorization: SSWS simulator-token";
    let (head, _) = split(&exchange(&simulator, head, "").0);
    assert_eq!(head.lines().filter(|line| line.starts_with("link: <")).count(), 2, "{head}");
}

#[test]
fn an_identity_is_asked_with_its_header() {
    let (simulator, _) = simulator();
    let head = format!("GET {IDENTITY_PATH}?api-version=2018-02-01&resource=r HTTP/1.1");
    let status = |more: &str| {
        let answer = exchange(&simulator, &format!("{head}{more}"), "").0;
        split(&answer).0.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(status("\r\nMetadata: true"), "200");
    assert_eq!(status(""), "400");
    assert_eq!(status("\r\nMetadata: true\r\nX-Forwarded-For: 10.0.0.1"), "400");
}

#[test]
fn an_assertion_names_the_endpoint_that_the_client_spoke_to() {
    let clock = Arc::new(ManualClock::new("2026-03-01T12:00:00Z".parse().unwrap()));
    let login = LoginOptions { certificate: Some(client_certificate()), ..Default::default() };
    let options =
        Options { login, clock: Arc::clone(&clock) as Arc<dyn Clock>, ..Default::default() };
    let simulator = Simulator::start(options).unwrap();
    let ask = |endpoint: &str| {
        let form = FORM.replace(
            "client_secret=simulator-secret",
            &format!(
                "client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer\
                &client_assertion={}",
                client_assertion(endpoint, clock.now())
            ),
        );
        exchange(&simulator, "POST /contoso/oauth2/v2.0/token HTTP/1.1", &form).0
    };
    let refused = json_body(&ask("https://login.example/contoso/oauth2/v2.0/token"));
    assert!(refused["error_description"].as_str().unwrap().starts_with("AADSTS700023"));
    let endpoint = format!("{}/contoso/oauth2/v2.0/token", simulator.url());
    assert!(json_body(&ask(&endpoint))["access_token"].is_string());
}
