//! Real TLS: which servers are talked to, and which are not.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConfig, ServerConnection, WebPkiClientVerifier};
use rustls::{RootCertStore, SupportedProtocolVersion, version};
use serde_json::json;

use crate::bench::{Bench, history, with};
use crate::embedded::InputSpec;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls");

/// The secret that must not reach a server that is not trusted.
const TOKEN: &str = "for-the-right-server-only";

const DEFINITION: &str = "
name: tls
title: TLS
base_url: https://api.example
auth: {kind: bearer}
request: {path: /, query: {from: '{from}', to: '{to}'}}
records: ''
id: /id
time: /at
limits: {page: 10, range: 1d, reach: 30d, requests_per_minute: 1000}
window: 20m
";

/// What a server shows, and what it wants to see.
#[derive(Clone, Copy)]
struct Manner {
    certificate: &'static str,
    wants_certificate: bool,
    version: &'static SupportedProtocolVersion,
}

const GOOD: Manner =
    Manner { certificate: "server", wants_certificate: false, version: &version::TLS13 };

/// A server with one page for everybody it has a handshake with.
struct TlsServer {
    addr: SocketAddr,
    asked: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<u8>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl TlsServer {
    fn start(manner: Manner) -> Self {
        let config = Arc::new(config(manner));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (asked, seen, stop) =
            <(Arc<AtomicUsize>, Arc<Mutex<Vec<u8>>>, Arc<AtomicBool>)>::default();
        let shared = (Arc::clone(&asked), Arc::clone(&seen), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let (asked, seen, stop) = shared;
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                if let Ok(request) = serve(stream, &config) {
                    asked.fetch_add(1, Ordering::SeqCst);
                    seen.lock().unwrap_or_else(PoisonError::into_inner).extend(request);
                }
            }
        });
        Self { addr, asked, seen, stop, thread: Some(thread) }
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes it.
        let _ = TcpStream::connect(self.addr);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn certificates(name: &str) -> Vec<CertificateDer<'static>> {
    let path = format!("{DATA}/{name}.pem");
    CertificateDer::pem_file_iter(path).unwrap().collect::<Result<_, _>>().unwrap()
}

fn config(manner: Manner) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_protocol_versions(&[manner.version]).unwrap();
    let builder = if manner.wants_certificate {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates("ca"));
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_file(format!("{DATA}/server.key")).unwrap();
    builder.with_single_cert(certificates(manner.certificate), key).unwrap()
}

/// One handshake, one request, one answer. Returns the request.
fn serve(mut stream: TcpStream, config: &Arc<ServerConfig>) -> std::io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let connection = ServerConnection::new(Arc::clone(config)).map_err(std::io::Error::other)?;
    let mut tls = rustls::StreamOwned::new(connection, &mut stream);
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        if tls.read(&mut byte)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        request.push(byte[0]);
    }
    let body = json!([{"id": "1", "at": jiff::Timestamp::now().to_string()}]).to_string();
    write!(
        tls,
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    tls.conn.send_close_notify();
    tls.flush()?;
    Ok(request)
}

fn input(bench: &Bench, server: &TlsServer) -> InputSpec {
    let input = InputSpec::new("in").set("api", bench.write("tls.yaml", DEFINITION));
    input
        .set("base_url", format!("https://localhost:{}", server.addr.port()))
        .set("token", TOKEN)
        .set("interval", "1s")
        .set("window", "4s")
        .set("sweeps", "off")
        .set("widen", "off")
        .set("commit_delay", "1s")
        .set("tls_ca_file", format!("{DATA}/ca.pem"))
        .set("db", bench.path("lookback.db").display())
}

fn is_talked_to(manner: Manner, change: impl FnOnce(InputSpec) -> InputSpec) -> Bench {
    let bench = Bench::new(history(1));
    let server = TlsServer::start(manner);
    let host = bench.start(vec![change(input(&bench, &server))]);
    bench.wait(&host, "the record", || bench.count("in") == 1);
    bench.stop(host);
    let seen = server.seen.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(String::from_utf8_lossy(&seen).contains(TOKEN));
    bench
}

fn is_refused(manner: Manner, change: impl FnOnce(InputSpec) -> InputSpec) {
    let bench = Bench::new(history(1));
    let server = TlsServer::start(manner);
    let host = bench.start(vec![change(input(&bench, &server))]);
    bench.wait(&host, "the refusal", || bench.has_health("fetch_failed"));
    bench.stop(host);
    assert_eq!(server.asked.load(Ordering::SeqCst), 0, "a request came through");
    assert_eq!(bench.count("in"), 0);
}

#[test]
fn a_server_with_a_good_certificate_is_talked_to_in_both_versions() {
    is_talked_to(GOOD, |input| input);
    is_talked_to(Manner { version: &version::TLS12, ..GOOD }, |input| input);
}

#[test]
fn a_server_with_a_bad_certificate_never_sees_a_credential() {
    for certificate in ["expired", "self-signed", "elsewhere"] {
        is_refused(Manner { certificate, ..GOOD }, |input| input);
    }
}

#[test]
fn an_authority_that_is_not_trusted_is_none() {
    is_refused(GOOD, |mut input| {
        input.properties.retain(|(name, _)| name != "tls_ca_file");
        input
    });
}

#[test]
fn verification_can_be_switched_off_by_hand_only() {
    for certificate in ["expired", "self-signed", "elsewhere"] {
        let bench =
            is_talked_to(Manner { certificate, ..GOOD }, |input| with(input, "tls_verify", "off"));
        assert!(bench.has_logged("'tls_verify' is off"), "{:#?}", bench.log());
    }
}

/// A proxy that opens one tunnel after the other, and remembers all that it was sent.
fn tunnels(listener: TcpListener, seen: Arc<Mutex<Vec<u8>>>, stop: Arc<AtomicBool>) {
    for mut client in listener.incoming().flatten() {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && matches!(client.read(&mut byte), Ok(1)) {
            head.push(byte[0]);
        }
        seen.lock().unwrap().extend(&head);
        let text = String::from_utf8(head).unwrap();
        let target = text.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap();
        let mut server = TcpStream::connect(target).unwrap();
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let (mut back, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        let back = thread::spawn(move || {
            let _ = std::io::copy(&mut back, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Both);
        });
        let mut part = [0; 4_096];
        while let Ok(read @ 1..) = client.read(&mut part) {
            seen.lock().unwrap().extend(&part[..read]);
            let _ = server.write_all(&part[..read]);
        }
        let _ = server.shutdown(std::net::Shutdown::Both);
        back.join().unwrap();
    }
}

#[test]
fn a_proxy_sees_where_a_tunnel_leads_and_nothing_of_what_goes_through() {
    let bench = Bench::new(history(1));
    let server = TlsServer::start(GOOD);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (seen, stop) = <(Arc<Mutex<Vec<u8>>>, Arc<AtomicBool>)>::default();
    let (seen_there, stop_there) = (Arc::clone(&seen), Arc::clone(&stop));
    let proxy = thread::spawn(move || tunnels(listener, seen_there, stop_there));
    let host = bench.start(vec![input(&bench, &server).set("proxy", format!("http://{addr}"))]);
    bench.wait(&host, "the record", || bench.count("in") == 1);
    bench.stop(host);
    stop.store(true, Ordering::SeqCst);
    let _ = TcpStream::connect(addr);
    proxy.join().unwrap();
    let seen = String::from_utf8_lossy(&seen.lock().unwrap()).into_owned();
    assert!(seen.contains(&format!("CONNECT localhost:{} ", server.addr.port())), "{seen}");
    assert!(!seen.contains(TOKEN) && !seen.contains("GET "), "{seen}");
}

#[test]
fn a_client_certificate_is_shown_to_who_wants_one() {
    let wants = Manner { wants_certificate: true, ..GOOD };
    is_talked_to(wants, |input| {
        let input = input.set("tls_client_cert_file", format!("{DATA}/tls-client.pem"));
        input.set("tls_client_key_file", format!("{DATA}/server.key"))
    });
    is_refused(wants, |input| input);
}
