//! A server that is broken, or means harm: it cannot make memory grow, what it does is told with the limit
//! that it met, and reading goes on as soon as it behaves. Each case has a process of its own, whose memory
//! the system counts.

use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::{LONG, eventually, plugin};

const DEFINITION: &str = "
name: hostile
title: t
base_url: https://x.example
auth: {kind: none}
request: {path: /, query: {f: '{from}', t: '{to}'}}
records: /value
id: /id
time: /at
next: {link: /next}
limits: {page: 1000, range: 1d, reach: 30d, requests_per_minute: 60000}
window: 20m
";

/// What every case is run with; the default is four times as much.
const MAX_PAGE_MB: usize = 16;

/// What the process may take at most: the plugin, its host, and the host's copies of what it was handed.
/// A body of 16 MB can be there as it came, decompressed, as records, and three times in the host.
const MEMORY_MB_MAX: usize = 200;

/// A shutdown must fit well into the host's grace.
const PROMPT: Duration = Duration::from_secs(4);

/// Answers the request of a number on a connection of its own.
type Answer = fn(&mut TcpStream, usize) -> std::io::Result<()>;

/// One way to do harm.
struct Case {
    name: &'static str,
    answer: Answer,
    /// Stands in a health record, or, of one that begins with `id:`, in a record.
    told: &'static str,
}

const fn case(name: &'static str, told: &'static str, answer: Answer) -> Case {
    Case { name, answer, told }
}

const CASES: &[Case] = &[
    case("an endless body", "larger than max_page", |to, _| {
        head(to, "200 OK", "Transfer-Encoding: chunked\r\n")?;
        loop {
            to.write_all(b"10000\r\n")?;
            to.write_all(&[b' '; 0x10000])?;
            to.write_all(b"\r\n")?;
        }
    }),
    case("a body that ends too soon", "broke off", |to, _| {
        head(to, "200 OK", "Content-Length: 1000000\r\n")?;
        to.write_all(b"{\"value\":[]}")
    }),
    case("a body that never comes", "no answer in time", |to, _| {
        head(to, "200 OK", "Content-Length: 1000000\r\n")?;
        until_closed(to)
    }),
    case("a length beyond all numbers", "broke off", |to, _| {
        head(to, "200 OK", "Content-Length: 99999999999999999999999\r\n")
    }),
    case(
        "a gigabyte of zeros in a megabyte",
        "decompressed body is larger than max_page",
        |to, _| body(to, "Content-Encoding: gzip\r\n", &bomb(1_024)),
    ),
    case("a thousand bombs in a row", "decompressed body is larger than max_page", |to, _| {
        body(to, "Content-Encoding: gzip\r\n", &gzip(&[0; 1 << 20]).repeat(1_000))
    }),
    case("members without end", "gzip members", |to, _| {
        body(to, "Content-Encoding: gzip\r\n", &gzip(b"").repeat(500_000))
    }),
    case("gzip within gzip", "expected UTF-8", |to, _| {
        body(to, "Content-Encoding: gzip\r\n", &gzip(&bomb(1_024)))
    }),
    case("an encoding that nobody asked for", "not asked for", |to, _| {
        body(to, "Content-Encoding: br\r\n", b"x")
    }),
    case("a million keys", "id:keys", |to, _| {
        let keys: String = (0..1_000_000).map(|key| format!(",\"k{key}\":0")).collect();
        event(to, &format!("\"id\":\"keys\"{keys}"))
    }),
    case("10,000 levels", "nested too deeply", |to, _| {
        event(to, &format!("\"id\":\"deep\",\"x\":{}{}", "[".repeat(10_000), "]".repeat(10_000)))
    }),
    case("levels that are never closed", "no valid JSON", |to, _| {
        body(to, "", "[".repeat(15_000_000).as_bytes())
    }),
    case("pages without end", "", |to, number| {
        let link = format!("/?{number}{}", "x".repeat(50_000));
        body(to, "", format!("{{\"value\":[],\"next\":\"{link}\"}}").as_bytes())
    }),
    case("the same page without end", "link repeats", |to, _| {
        body(to, "", b"{\"value\":[],\"next\":\"/?again\"}")
    }),
    case("a link of a megabyte", "expected at most 65536", |to, _| {
        let link = "x".repeat(1 << 20);
        body(to, "", format!("{{\"value\":[],\"next\":\"/{link}\"}}").as_bytes())
    }),
    case("a link to a host with a long name", "leads to another host", |to, _| {
        let host = "x".repeat(60_000);
        body(to, "", format!("{{\"value\":[],\"next\":\"https://{host}/\"}}").as_bytes())
    }),
    case("an id of a megabyte", "id:iiii", |to, _| {
        event(to, &format!("\"id\":\"{}\"", "i".repeat(1 << 20)))
    }),
    case("ids by the million", "expected at most 524288", |to, _| {
        let ids: Vec<String> = (0..1_000_000).map(|id| format!("{{\"id\":{id}}}")).collect();
        body(to, "", format!("{{\"value\":[{}]}}", ids.join(",")).as_bytes())
    }),
    case("a wait of a billion seconds", "waiting 3600 s", |to, _| {
        refuse(to, "429 Too Many Requests", "Retry-After: 1000000000\r\n")
    }),
    case("a wait of less than nothing", "throttles", |to, _| {
        refuse(to, "429 Too Many Requests", "Retry-After: -5\r\n")
    }),
    case("a wait that is none", "throttles", |to, _| {
        refuse(to, "429 Too Many Requests", "Retry-After: when it pleases\r\n")
    }),
    case("a header of a megabyte", "broke off", |to, _| {
        refuse(to, "200 OK", &format!("X-Long: {}\r\n", "x".repeat(1 << 20)))
    }),
    case("a header of 100 KB", "longer than 65536 bytes", |to, _| {
        refuse(to, "200 OK", &format!("X-Long: {}\r\n", "x".repeat(100_000)))
    }),
    case("headers without end", "broke off", |to, _| {
        write!(to, "HTTP/1.1 200 OK\r\n")?;
        (0..).try_for_each(|number| write!(to, "X-{number}: x\r\n"))
    }),
    case("redirects without end", "a redirect", |to, number| {
        refuse(to, "302 Found", &format!("Location: /?{number}\r\n"))
    }),
    case("announcements without end", "no answer in time", |to, _| {
        loop {
            to.write_all(&b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100))?;
        }
    }),
    case("a byte at a time", "no answer in time", |to, _| {
        head(to, "200 OK", "Content-Length: 1000000\r\n")?;
        loop {
            to.write_all(b" ")?;
            thread::sleep(Duration::from_millis(100));
        }
    }),
    case("a number of a million digits", "id:number", |to, _| {
        event(to, &format!("\"id\":\"number\",\"x\":{}", "9".repeat(1_000_000)))
    }),
    case("a million escapes", "id:escapes", |to, _| {
        event(to, &format!("\"id\":\"escapes\",\"x\":\"{}\"", "\\u0000".repeat(1_000_000)))
    }),
    case("bytes that are no text", "expected UTF-8", |to, _| {
        body(to, "", b"{\"value\":[\"\xff\xfe\"]}")
    }),
    case("nothing but zeros", "no valid JSON", |to, _| body(to, "", &[0; 1_000])),
    case("keys that come twice", "id:second", |to, _| {
        event(to, "\"id\":\"first\",\"id\":\"second\"")
    }),
    case("a time that no calendar has", "without a time", |to, _| {
        body(to, "", br#"{"value":[{"id":"x","at":"99999-01-01T00:00:00Z"},{"id":"y","at":-1}]}"#)
    }),
    case("a time at the end of all time", "more than a day off", |to, _| {
        body(to, "", br#"{"value":[{"id":"x","at":"2262-04-11T23:47:16Z"},{"id":"y","at":"1677-09-22T00:00:00Z"}]}"#)
    }),
    case("an error of ten megabytes", "HTTP 500", |to, _| {
        head(to, "500 Oh", &format!("Content-Length: {}\r\n", 10 << 20))?;
        to.write_all(&[b'e'; 10 << 20])
    }),
];

#[test]
fn no_server_makes_memory_grow_goes_unreported_or_holds_up_what_follows() {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(case) = CASES.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if let Err(problem) = suffer(case) {
                        lock(&failed).push(format!("{}: {problem}", case.name));
                    }
                }
            });
        }
    });
    let failed = lock(&failed);
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// One case: hostile, then well-behaved, then stopped.
fn suffer(case: &Case) -> Result<(), String> {
    let server = Hostile::start(case.answer);
    let run = Run::start(&server);
    if !eventually(LONG, || run.has_told(case.told)) {
        return Err(format!("not told: {:?}", run.said()));
    }
    if case.told.is_empty() {
        // Nothing is wrong with any one of its pages: it is the memory after many that counts.
        eventually(LONG, || server.requests() > 100);
    }
    // An hour that the server has asked for is too long for a test.
    let ends = !case.told.contains("3600 s");
    server.mend();
    if ends && !eventually(LONG, || run.has_told("id:mended")) {
        return Err(format!("it does not go on: {:?}", run.said()));
    }
    let memory = run.memory_mb();
    eprintln!("{memory:5} MB  {}", case.name);
    let took = run.stop();
    if memory > MEMORY_MB_MAX {
        return Err(format!("{memory} MB"));
    }
    if took > PROMPT {
        return Err(format!("the stop took {took:?}"));
    }
    Ok(())
}

/// `lookback run` as a child.
struct Run {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    _dir: tempfile::TempDir,
}

impl Run {
    fn start(server: &Hostile) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        std::fs::write(path("hostile.yaml"), DEFINITION).unwrap();
        let config = format!(
            "pipeline:\n  inputs:\n    - {{name: lookback, tag: in, api: {}, base_url: 'http://{}', interval: 1s, \
             window: 2s, sweeps: off, widen: off, max_page: {MAX_PAGE_MB}M, timeout: 2s, commit_delay: 1s, db: {}}}\n",
            path("hostile.yaml"),
            server.addr,
            path("lookback.db"),
        );
        std::fs::write(path("run.yaml"), config).unwrap();
        let mut child = Command::new(Path::new(env!("CARGO_BIN_EXE_lookback")))
            .arg("run")
            .arg(path("run.yaml"))
            .arg("--plugin")
            .arg(plugin())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let (output, shared) = (BufReader::new(child.stdout.take().unwrap()), Arc::clone(&lines));
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // A record may be as long as a page: its beginning says which it is.
                lock(&shared).push(line.chars().take(4_000).collect());
            }
        });
        Self { child, lines, _dir: dir }
    }

    fn said(&self) -> Vec<String> {
        lock(&self.lines).clone()
    }

    /// Whether a health record holds the text, or a record the id.
    fn has_told(&self, text: &str) -> bool {
        let is_health = |line: &&String| line.contains("\"lookback\":{");
        let lines = lock(&self.lines);
        match text.strip_prefix("id:") {
            Some(id) => lines
                .iter()
                .filter(|line| !is_health(line))
                .any(|line| line.contains(&format!("\"{id}"))),
            None => lines.iter().filter(is_health).any(|line| line.contains(text)),
        }
    }

    /// The most memory that it has ever had.
    fn memory_mb(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() / 1_024
    }

    /// Ends it by SIGTERM; how long that took.
    fn stop(mut self) -> Duration {
        let began = Instant::now();
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        eventually(LONG, || self.child.try_wait().unwrap().is_some());
        began.elapsed()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that does harm until it is mended.
struct Hostile {
    addr: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    requests: AtomicUsize,
    mended: AtomicBool,
    stopped: AtomicBool,
}

impl Hostile {
    fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let (mut stream, state) = (stream.unwrap(), Arc::clone(&shared));
                thread::spawn(move || {
                    let number = state.requests.fetch_add(1, Ordering::SeqCst);
                    read_request(&mut stream);
                    // That the client hangs up is what it should do.
                    let _ = match state.mended.load(Ordering::SeqCst) {
                        true => event(&mut stream, "\"id\":\"mended\""),
                        false => answer(&mut stream, number),
                    };
                });
            }
        });
        Self { addr, state }
    }

    fn mend(&self) {
        self.state.mended.store(true, Ordering::SeqCst);
    }

    fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        // Wakes it.
        let _ = TcpStream::connect(self.addr);
    }
}

fn read_request(stream: &mut TcpStream) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        request.push(byte[0]);
    }
}

fn head(to: &mut TcpStream, status: &str, headers: &str) -> std::io::Result<()> {
    write!(to, "HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n")
}

/// An answer without a body.
fn refuse(to: &mut TcpStream, status: &str, headers: &str) -> std::io::Result<()> {
    head(to, status, &format!("{headers}Content-Length: 0\r\n"))
}

/// A whole answer.
fn body(to: &mut TcpStream, headers: &str, body: &[u8]) -> std::io::Result<()> {
    head(to, "200 OK", &format!("{headers}Content-Length: {}\r\n", body.len()))?;
    to.write_all(body)
}

/// A page of one event of this moment.
fn event(to: &mut TcpStream, members: &str) -> std::io::Result<()> {
    let now = jiff::Timestamp::now();
    body(to, "", format!("{{\"value\":[{{{members},\"at\":\"{now}\"}}]}}").as_bytes())
}

fn until_closed(to: &mut TcpStream) -> std::io::Result<()> {
    to.read(&mut [0]).map(|_| ())
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// So many megabytes of zeros, as one member: a megabyte's deflate blocks again and again.
fn bomb(megabytes: usize) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&[0; 1 << 20]).unwrap();
    // Ends the block at a byte, without ending the stream.
    encoder.flush().unwrap();
    let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    [&header[..], &encoder.get_ref().repeat(megabytes), &[3, 0], &[0; 8]].concat()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
