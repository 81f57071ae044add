//! Against a server on loopback that answers when it is told to.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use url::Url;

use super::*;
use crate::config::Secret;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

fn options() -> HttpOptions {
    HttpOptions {
        timeout: LONG,
        connect_timeout: LONG,
        max_page: 1 << 20,
        direct: true,
        tls: false,
        // Nobody listens there: what goes through it fails.
        proxy: Some(Secret::new("http://127.0.0.1:1".to_owned())),
        tls_verify: true,
        tls_ca_file: None,
        tls_client: None,
    }
}

fn http() -> Http {
    Http::new(&options(), Arc::new(Notify::new())).unwrap()
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// Takes a request and gives its head.
fn accept(listener: &TcpListener) -> (TcpStream, String) {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "a whole head");
        head.push(byte[0]);
    }
    (stream, String::from_utf8(head).unwrap())
}

fn answer(stream: &mut TcpStream, status: &str, headers: &str, body: &str) {
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).unwrap();
}

fn get(addr: SocketAddr, path: &str, credential: Option<Credential>) -> RequestSpec {
    let url = Url::parse(&format!("http://{addr}{path}")).unwrap();
    let (method, headers) = (Method::Get, Vec::new());
    RequestSpec { method, url, headers, credential, payload: None, is_login: false }
}

fn credential(place: Placement, value: &str) -> Option<Credential> {
    Some(Credential { place, value: Secret::new(value.to_owned()) })
}

fn answered(http: &mut Http) -> (Ticket, Result<String, HttpError>) {
    match http.wait(LONG, true) {
        Waited::Answered(ticket, answer) => {
            (ticket, answer.map(|response| String::from_utf8(response.body).unwrap()))
        }
        waited => panic!("expected an answer, found {waited:?}"),
    }
}

#[test]
fn answers_come_under_their_own_tickets_in_the_order_of_the_servers() {
    let (listener, addr) = listen();
    let (go, may_answer) = mpsc::channel::<&str>();
    let server = thread::spawn(move || {
        let mut waiting: Vec<_> = (0..3).map(|_| accept(&listener)).collect();
        for path in may_answer {
            let found =
                waiting.iter_mut().find(|(_, head)| head.starts_with(&format!("GET {path} ")));
            answer(&mut found.unwrap().0, "200 OK", "", path);
        }
    });
    let mut http = http();
    for (number, path) in [(1, "/a"), (2, "/b"), (3, "/c")] {
        http.send(Ticket(number), &get(addr, path, None));
    }
    for (left, number, path) in [(2, 3, "/c"), (1, 1, "/a"), (0, 2, "/b")] {
        go.send(path).unwrap();
        let (ticket, body) = answered(&mut http);
        assert_eq!((ticket, body.unwrap().as_str()), (Ticket(number), path));
        assert_eq!(http.in_flight(), left);
    }
    drop(go);
    server.join().unwrap();
}

#[test]
fn dropping_the_client_ends_a_request_that_is_stalled() {
    let (listener, addr) = listen();
    let (tell, stalled) = mpsc::channel();
    let server = thread::spawn(move || {
        let (mut stream, _) = accept(&listener);
        tell.send(()).unwrap();
        stream.read(&mut [0]).unwrap()
    });
    let mut http = http();
    http.send(Ticket(1), &get(addr, "/", None));
    while stalled.try_recv().is_err() {
        assert!(matches!(http.wait(Duration::from_millis(1), true), Waited::TimedOut));
    }
    drop(http);
    assert_eq!(server.join().unwrap(), 0, "the connection was closed");
}

#[test]
fn a_wake_up_comes_before_an_answer() {
    let (wake, mut http) = (Arc::new(Notify::new()), http());
    http.wake = Arc::clone(&wake);
    // Nothing can be sent to such an address: the answer is there at once.
    let spec =
        RequestSpec { url: Url::parse("ftp://a.example").unwrap(), ..get(listen().1, "/", None) };
    http.send(Ticket(1), &spec);
    wake.notify_one();
    assert!(matches!(http.wait(LONG, true), Waited::Woken));
    assert!(matches!(
        http.wait(LONG, true),
        Waited::Answered(Ticket(1), Err(HttpError::Scheme(_)))
    ));
    assert!(matches!(http.wait(Duration::ZERO, true), Waited::TimedOut));
}

#[test]
fn a_credential_is_sent_where_it_belongs_and_shown_nowhere() {
    let (listener, addr) = listen();
    let server = thread::spawn(move || {
        let heads = (0..2).map(|_| {
            let (mut stream, head) = accept(&listener);
            answer(&mut stream, "200 OK", "", "");
            head
        });
        heads.collect::<Vec<_>>()
    });
    let mut http = http();
    let places =
        [Placement::Query("key".to_owned()), Placement::Header("Authorization".to_owned())];
    for place in places {
        let spec = get(addr, "/x?a=b&key=old", credential(place, "hunter 2"));
        assert!(!format!("{spec:?} {:?}", spec.credential).contains("hunter"));
        http.send(Ticket(1), &spec);
        answered(&mut http).1.unwrap();
    }
    let heads = server.join().unwrap();
    assert!(heads[0].starts_with("GET /x?a=b&key=hunter%202 "), "{}", heads[0]);
    assert!(heads[1].contains("authorization: hunter 2\r\n"), "{}", heads[1]);
}

#[test]
fn a_redirect_is_followed_on_the_same_host_unless_the_query_has_a_credential() {
    let (listener, addr) = listen();
    let (other, elsewhere) = listen();
    let header = || credential(Placement::Header("x-key".to_owned()), "hunter2");
    let query = || credential(Placement::Query("key".to_owned()), "hunter2");
    // Where it leads, with which credential, and whether it is followed.
    let cases = [
        (format!("http://{addr}/there"), header(), true),
        ("/there".to_owned(), None, true),
        (format!("http://{addr}/there"), query(), false),
        (format!("http://{addr}/there?key=hunter2"), query(), false),
        (format!("http://{elsewhere}/there"), header(), false),
        (format!("//{elsewhere}/there"), header(), false),
        (format!("/\\{elsewhere}/there"), header(), false),
        (format!("https://{addr}/there"), None, false),
    ];
    let steps: Vec<(String, bool)> = cases.iter().map(|it| (it.0.clone(), it.2)).collect();
    let server = thread::spawn(move || {
        for (location, follows) in steps {
            let (mut stream, _) = accept(&listener);
            answer(&mut stream, "302 Found", &format!("Location: {location}\r\n"), "");
            if follows {
                let (mut stream, head) = accept(&listener);
                answer(&mut stream, "200 OK", "", head.lines().next().unwrap());
                assert!(!head.contains("referer"), "{head}");
            }
        }
    });
    let mut http = http();
    for (location, credential, follows) in cases {
        http.send(Ticket(1), &get(addr, "/here?token=hunter2", credential));
        match (answered(&mut http).1, follows) {
            (Ok(line), true) => assert_eq!(line, "GET /there HTTP/1.1"),
            (Err(error), false) => {
                let error = error.to_string();
                assert!(error.contains("redirect"), "{location}: {error}");
                assert!(!error.contains("hunter"), "{error}");
            }
            (found, _) => panic!("{location}: {found:?}"),
        }
    }
    server.join().unwrap();
    other.set_nonblocking(true).unwrap();
    assert!(other.accept().is_err(), "nobody came to the other host");
}

#[test]
fn a_credential_that_no_header_can_hold_is_an_error_and_not_left_out() {
    let mut http = http();
    let place = Placement::Header("Authorization".to_owned());
    http.send(Ticket(7), &get(listen().1, "/", credential(place, "hunter\n2")));
    let (ticket, answer) = answered(&mut http);
    assert_eq!(ticket, Ticket(7));
    assert!(matches!(answer, Err(HttpError::Credential)), "{answer:?}");
}

#[test]
fn no_buffer_that_held_a_token_is_kept_for_later() {
    let (listener, addr) = listen();
    let text = br#"{"access_token":"hunter2"}"#;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    encoder.write_all(text).unwrap();
    let zipped = encoder.finish().unwrap();
    let server = thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = accept(&listener);
            let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n";
            stream.write_all(&[head.as_bytes(), &zipped].concat()).unwrap();
        }
    });
    let mut http = http();
    for (is_login, kept) in [(true, false), (false, true)] {
        http.send(Ticket(1), &RequestSpec { is_login, ..get(addr, "/", None) });
        assert_eq!(answered(&mut http).1.unwrap().as_bytes(), text);
        assert_eq!(http.buffers.bytes > 0, kept);
    }
    server.join().unwrap();
}

#[test]
fn buffers_are_kept_within_their_limit_and_handed_out_by_size() {
    let mut buffers = Buffers::default();
    assert_eq!(buffers.largest().capacity() + buffers.smallest().capacity(), 0);
    for size in [3_000, 300, 0, KEPT_BUFFER_MAX, 30_000] {
        buffers.keep(Vec::with_capacity(size));
    }
    assert_eq!(buffers.bytes, 33_300);
    assert_eq!(buffers.smallest().capacity(), 300);
    assert_eq!(buffers.largest().capacity(), 30_000);
    assert_eq!((buffers.bytes, buffers.kept.len()), (3_000, 1));
}

#[test]
fn a_large_body_that_waits_for_another_is_not_too_late_for_that() {
    const LARGE: usize = 8 << 20;
    let (listener, addr) = listen();
    let server = thread::spawn(move || {
        let both = [accept(&listener), accept(&listener)].map(|(mut stream, _)| {
            thread::spawn(move || answer(&mut stream, "200 OK", "", &"x".repeat(LARGE)))
        });
        both.into_iter().for_each(|sent| sent.join().unwrap());
    });
    let timeout = Duration::from_secs(2);
    let options = HttpOptions { max_page: LARGE, timeout, ..options() };
    let mut http = Http::new(&options, Arc::new(Notify::new())).unwrap();
    (1..=2).for_each(|number| http.send(Ticket(number), &get(addr, "/", None)));
    // For longer than that nobody takes the first one.
    assert!(matches!(http.wait(timeout * 2, false), Waited::TimedOut));
    for _ in 0..2 {
        assert_eq!(answered(&mut http).1.unwrap().len(), LARGE);
    }
    server.join().unwrap();
}

#[test]
fn of_several_large_bodies_one_comes_in_at_a_time() {
    const LARGE: usize = 32 << 20;
    let (listener, addr) = listen();
    let (tell, sent) = mpsc::channel();
    let server = thread::spawn(move || {
        let send = |(mut stream, _): (TcpStream, String)| {
            let tell = tell.clone();
            thread::spawn(move || {
                answer(&mut stream, "200 OK", "", &"x".repeat(LARGE));
                tell.send(()).unwrap();
            });
        };
        (0..3).for_each(|_| send(accept(&listener)));
    });
    let options = HttpOptions { max_page: LARGE, ..options() };
    let mut http = Http::new(&options, Arc::new(Notify::new())).unwrap();
    for number in 1..=3 {
        http.send(Ticket(number), &get(addr, "/", None));
    }
    for _ in 0..3 {
        while sent.try_recv().is_err() {
            assert!(matches!(http.wait(Duration::from_millis(1), false), Waited::TimedOut));
        }
        // Until that one is taken, the system's buffers fill, and no more.
        assert!(matches!(http.wait(Duration::from_millis(50), false), Waited::TimedOut));
        assert!(sent.try_recv().is_err(), "another one came in as well");
        assert_eq!(answered(&mut http).1.unwrap().len(), LARGE);
    }
    server.join().unwrap();
}
