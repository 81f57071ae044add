//! Credentials where nobody thinks of them: in memory that was freed, in what a server says back, at a proxy.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::bench::{Bench, LONG, SECRET, eventually, history, stream, with};
use crate::crash::{Process, TOOL, ids, log};
use crate::embedded::InputSpec;
use crate::net::{Server, reply};
use crate::simulate::{Certificate, Options};

const TOKEN: &str = "t0ken-that-nobody-may-see-anywhere";
const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");

/// All that a process could write to, as it is now; nothing if the system does not let us.
fn image(process: u32) -> Option<Vec<u8>> {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).ok()?;
    let memory = File::open(format!("/proc/{process}/mem")).ok()?;
    let mut image = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (from, to) = line.split(' ').next()?.split_once('-')?;
        let address = |text| u64::from_str_radix(text, 16).ok();
        let (from, to) = (address(from)?, address(to)?);
        let mut part = vec![0; usize::try_from(to - from).ok()?];
        // A part that was given back in the meantime is none.
        if memory.read_exact_at(&mut part, from).is_ok() {
            image.extend(part);
        }
    }
    (!image.is_empty()).then_some(image)
}

fn holds(image: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(image, part).is_some()
}

/// The simulator's tokens in an image, whole ones.
fn tokens(image: &[u8]) -> BTreeSet<&[u8]> {
    let is_token = |text: &&[u8]| {
        text.iter().enumerate().all(|(at, byte)| match at {
            0..4 => true,
            36 => *byte == b'.',
            _ => byte.is_ascii_hexdigit(),
        })
    };
    let found = memchr::memmem::find_iter(image, b"sim.");
    found.filter_map(|at| image.get(at..at + 53)).filter(is_token).collect()
}

/// After some logins, and between them: what is left in the memory of the process.
fn is_forgotten(bench: &Bench, input: InputSpec, secrets: &[&[u8]]) {
    let process = Process::start(Path::new(TOOL), bench, &input);
    let came = || std::fs::read_to_string(log(bench)).unwrap_or_default();
    for _ in 0..2 {
        let issued = bench.simulator.stats().tokens_issued;
        bench.faults(json!({"next": ["pass", "unauthorized", "pass"]}));
        let renewed = || bench.simulator.stats().tokens_issued > issued;
        assert!(eventually(LONG, renewed), "no new token\n{}", came());
    }
    // The polls after that use the new token, and the connections that saw the old one.
    let before = ids(bench).len();
    assert!(eventually(LONG, || ids(bench).len() > before + 150), "no records\n{}", came());
    let log = std::fs::read(log(bench)).unwrap();
    for (number, secret) in secrets.iter().enumerate() {
        assert!(!holds(&log, secret), "secret {number} stands in the log");
    }
    let Some(image) = image(process.0.id()) else {
        eprintln!("skipped: the system does not let a parent read the memory of its child");
        return;
    };
    assert!(process.end());
    assert_eq!(tokens(&image).len(), 1, "the current token, and no other");
    for (number, secret) in secrets.iter().enumerate() {
        assert!(!holds(&image, secret), "secret {number} is still in memory");
    }
}

fn bench() -> Bench {
    Bench::tuned(stream(), |options: &mut Options| {
        let pem = std::fs::read(format!("{DATA}/client.pem")).unwrap();
        options.login.certificate = Some(Certificate::from_pem(&pem).unwrap());
    })
}

fn input(bench: &Bench) -> InputSpec {
    let mut input = bench.small_pages("in");
    input.properties.retain(|(name, _)| name != "client_secret");
    // A host of its own, as in life: no later request goes over the connection of the login.
    let login = bench.simulator.url().replace("127.0.0.1", "localhost");
    with(input, "token_url", format!("{login}/contoso.example/oauth2/v2.0/token"))
}

#[test]
fn a_secret_from_a_file_and_tokens_of_before_are_not_left_in_memory() {
    let bench = bench();
    let input = input(&bench).set("client_secret_file", bench.write("secret", SECRET));
    is_forgotten(&bench, input, &[SECRET.as_bytes()]);
}

#[test]
fn a_private_key_and_what_it_signed_are_not_left_in_memory() {
    use rustls_pki_types::PrivateKeyDer;
    use rustls_pki_types::pem::PemObject;
    let bench = bench();
    let key = format!("{DATA}/client.key");
    let input = input(&bench).set("certificate_file", format!("{DATA}/client.pem"));
    let pem = std::fs::read_to_string(&key).unwrap();
    let der = PrivateKeyDer::from_pem_file(&key).unwrap();
    let der = der.secret_der();
    // The private exponent and the primes lie behind the modulus, here as they are in the file and as
    // numbers lie in memory.
    let mut secrets: Vec<Vec<u8>> = vec![b"eyJhbGciOiJQUzI1Ni".to_vec()];
    secrets.extend(pem.lines().skip(8).take(12).map(|line| line.as_bytes().to_vec()));
    for part in der[320..].chunks_exact(24).take(30) {
        secrets.push(part.to_vec());
        secrets.push(part.iter().rev().copied().collect());
    }
    let secrets: Vec<&[u8]> = secrets.iter().map(Vec::as_slice).collect();
    is_forgotten(&bench, input.set("certificate_key_file", key), &secrets);
}

const ECHO: &str = "
name: echo
title: An API that says back what it was sent
base_url: https://api.example
auth: {kind: bearer}
request: {path: /events, query: {from: '{from}', to: '{to}'}}
records: /value
id: /id
time: /at
next: {link: /next}
follow: FOLLOW
limits: {page: 1, range: 1d, reach: 30d, requests_per_minute: 1000}
window: 20m
";

fn echo_input(bench: &Bench, api: &Server, follow: &str) -> InputSpec {
    let definition = bench.write("echo.yaml", &ECHO.replace("FOLLOW", follow));
    let mut input = with(bench.input("in"), "api", definition);
    let not_wanted = ["tenant", "client_id", "client_secret", "token_url"];
    input.properties.retain(|(name, _)| !not_wanted.contains(&&**name));
    with(input, "base_url", api.url()).set("token", TOKEN)
}

fn is_shown_nowhere(what: &str, bench: &Bench, host: crate::embedded::Host, secret: &str) {
    for (place, bytes) in bench.everything_shown(host) {
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        assert!(!text.contains(&secret.to_ascii_lowercase()), "{what}: it stands in {place}");
    }
}

#[test]
fn a_server_that_says_back_the_token_is_not_quoted() {
    let event = json!({"id": "1", "at": jiff::Timestamp::now().to_string()});
    let page = |next: String| json!({"value": [event], "next": next}).to_string();
    let code = json!({"error": {"code": TOKEN}}).to_string();
    let long = format!("{TOKEN}: {}\r\n", "x".repeat(70_000));
    let moved = format!("Location: http://{TOKEN}.evil.example/\r\n");
    // What it answers, to the first page and to others.
    let cases = [
        ("a code", reply("400 Bad Request", "", &code), None),
        ("a refusal's code", reply("401 Unauthorized", "", &code), None),
        ("a header's name", reply("200 OK", &long, "{}"), None),
        ("a redirect", reply("302 Found", &moved, ""), None),
        (
            "another host",
            reply("200 OK", "", &page(format!("https://{TOKEN}.evil.example/"))),
            None,
        ),
        ("another scheme", reply("200 OK", "", &page(format!("{TOKEN}:x"))), None),
        (
            "a path",
            reply("200 OK", "", &page(format!("/next/{TOKEN}"))),
            Some(reply("500 Oh", "", "")),
        ),
    ];
    for (what, first, others) in cases {
        let bench = Bench::new(history(1));
        let api = Server::replying(move |head| {
            let is_first = head.starts_with("GET /events");
            Some(if is_first { &first } else { others.as_ref().unwrap_or(&first) }.clone())
        });
        let host = bench.start(vec![echo_input(&bench, &api, "off")]);
        bench.wait(&host, what, || {
            bench.has_health("fetch_failed") || bench.has_health("auth_failed")
        });
        is_shown_nowhere(what, &bench, host, TOKEN);
    }
}

#[test]
fn a_link_that_carries_the_token_is_followed_and_not_stored() {
    for next in [format!("/events?access_token={TOKEN}&n="), format!("/events/{TOKEN}?n=")] {
        let bench = Bench::new(history(1));
        let pages = std::sync::atomic::AtomicUsize::new(1);
        let link = next.clone();
        let api = Server::replying(move |_| {
            let n = pages.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let event = json!({"id": n.to_string(), "at": jiff::Timestamp::now().to_string()});
            let page = json!({"value": [event], "next": format!("{link}{n}")});
            Some(reply("200 OK", "", &page.to_string()))
        });
        let host = bench.start(vec![echo_input(&bench, &api, "on")]);
        bench.wait(&host, "commits", || bench.committed() > 5);
        is_shown_nowhere(&next, &bench, host, TOKEN);
    }
}

#[test]
fn a_login_service_that_says_back_the_secret_is_not_quoted() {
    let bench = Bench::new(history(1));
    let code = json!({"error": SECRET}).to_string();
    let login = Server::replying(move |_| Some(reply("401 Unauthorized", "", &code)));
    let host = bench.start(vec![with(bench.input("in"), "token_url", login.url())]);
    bench.wait(&host, "the refusal", || bench.has_health("auth_failed"));
    is_shown_nowhere("a code", &bench, host, SECRET);
}

#[test]
fn the_environments_proxies_see_nothing_of_what_is_not_encrypted() {
    let bench = Bench::new(history(50));
    let proxy = Server::start(Some("{}".to_owned()));
    let names =
        ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    let environment = names.map(|name| (name, proxy.url()));
    let process = Process::start_in(Path::new(TOOL), &bench, &bench.input("in"), &environment);
    assert!(eventually(LONG, || ids(&bench).len() == 50), "the records come");
    assert!(process.end());
    assert_eq!(proxy.connections(), 0);
}

#[test]
fn a_proxy_is_asked_for_a_tunnel_and_nothing_of_its_password_or_the_token_is_shown() {
    let bench = Bench::new(history(1));
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&heads);
    let proxy = Server::replying(move |head| {
        seen.lock().unwrap().push(head.to_owned());
        Some(reply("407 Proxy Authentication Required", "", ""))
    });
    let url = proxy.url().replace("http://", "http://me:proxy-hunter2-password@");
    let input = echo_input(&bench, &proxy, "off");
    let input = with(input, "base_url", "https://api.example").set("proxy", url);
    let host = bench.start(vec![input]);
    bench.wait(&host, "the refusal", || bench.has_health("fetch_failed"));
    is_shown_nowhere("the proxy's password", &bench, host, "hunter2");
    for head in heads.lock().unwrap().iter() {
        assert!(head.starts_with("CONNECT api.example:443 "), "{head}");
        assert!(!head.contains(TOKEN) && !head.contains("Bearer"), "{head}");
        assert!(head.to_ascii_lowercase().contains("proxy-authorization: basic "), "{head}");
    }
    assert!(!heads.lock().unwrap().is_empty());
}
