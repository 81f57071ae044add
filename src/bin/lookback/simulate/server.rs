//! The simulator on a socket: routes, the thread that serves them, and its handle.

use std::{
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, DefaultBodyLimit, State},
    http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header},
    response::Response,
    routing::{MethodRouter, get, post},
};
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::oneshot;

use super::{
    Options,
    api::{Api, Verb},
    ask::Ask,
    clock::Clock,
    control,
    identity::{IDENTITY_PATH, IdentityAsk},
    login::Version,
    reply::{Reply, takes_gzip},
    stats::Stats,
    truth::{Truth, TruthFile, truth},
    wire::{Cut, Tap, TapListener},
    world::World,
};

/// A running simulator; dropping it stops it.
#[derive(Debug)]
pub(crate) struct Simulator {
    addr: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Simulator {
    /// Listens on loopback and serves from a thread of its own.
    pub(crate) fn start(options: Options) -> io::Result<Self> {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
        let listener = TcpListener::bind(addr).map_err(|error| about(&addr, &error))?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared::new(options, addr)?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&shared);
        let thread = thread::Builder::new().name("simulator".to_owned()).spawn(move || {
            runtime.block_on(async move {
                tokio::spawn(keep_truth(Arc::clone(&served)));
                tokio::spawn(serve(listener, served));
                // An error means that the handle is gone, which stops the simulator as well.
                let _ = stopped.await;
            });
            // Stalled answers and open connections end with the runtime.
            runtime.shutdown_background();
        })?;
        Ok(Self { addr, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    #[allow(dead_code, reason = "for the demo and for tests")]
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base of its URLs.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// All events that have happened, in the order of their time.
    #[allow(dead_code, reason = "for the demo and for tests")]
    pub(crate) fn truth(&self) -> Vec<Truth> {
        self.truth_after(0)
    }

    /// The same without the first `known`, for who has them.
    pub(crate) fn truth_after(&self, known: usize) -> Vec<Truth> {
        let now = self.shared.clock.now();
        let world = self.shared.world();
        truth(&world.feed, known as u64..world.feed.generated(now)).collect()
    }

    /// The counters.
    pub(crate) fn stats(&self) -> Stats {
        self.shared.world().stats(self.shared.clock.now())
    }

    /// Changes faults, as `POST /_simulator/faults` does.
    #[allow(dead_code, reason = "for the demo and for tests")]
    pub(crate) fn change_faults(&self, patch: &serde_json::Value) -> Result<(), String> {
        let patch = patch.as_object().ok_or("faults are a JSON object")?;
        self.shared.world().faults.change(patch)
    }

    /// Lets no more events happen, as `POST /_simulator/pause` does; what happened goes on to show.
    #[allow(dead_code, reason = "for the demo and for tests")]
    pub(crate) fn pause(&self) {
        self.shared.world().feed.pause(self.shared.clock.now());
    }

    /// Lets events happen again.
    #[allow(dead_code, reason = "for the demo and for tests")]
    pub(crate) fn resume(&self) {
        self.shared.world().feed.resume(self.shared.clock.now());
    }

    /// Stops it, completes the truth file, and gives the last counters.
    pub(crate) fn stop(mut self) -> io::Result<Stats> {
        self.halt();
        self.shared.complete_truth_file()?;
        Ok(self.stats())
    }

    fn halt(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            // A panic over there was printed over there.
            let _ = thread.join();
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.halt();
    }
}

/// What the handle and the requests share.
pub(super) struct Shared {
    world: Mutex<World>,
    truth_file: Mutex<Option<TruthFile>>,
    access_log: bool,
    scheme: &'static str,
    addr: SocketAddr,
    /// The time.
    pub(super) clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Shared {
    fn new(options: Options, addr: SocketAddr) -> io::Result<Self> {
        let Options { feed, listing, login, faults, truth, access_log, behind_tls, clock, port: _ } =
            options;
        let truth_file = match truth {
            None => None,
            Some(path) => {
                Some(TruthFile::create(&path).map_err(|error| about(&path.display(), &error))?)
            }
        };
        Ok(Self {
            world: Mutex::new(World::new(feed, listing, login, faults, clock.now())),
            truth_file: Mutex::new(truth_file),
            access_log,
            scheme: if behind_tls { "https" } else { "http" },
            addr,
            clock,
        })
    }

    /// The world, also after a panic elsewhere: what it holds is sound after every step.
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Scheme, host and port that a client spoke to.
    fn origin(&self, headers: &HeaderMap) -> String {
        match text(headers, &header::HOST) {
            "" => format!("{}://{}", self.scheme, self.addr),
            host => format!("{}://{host}", self.scheme),
        }
    }

    /// Appends a part of what is due to the truth file; whether there was any.
    fn append_truth(&self) -> io::Result<bool> {
        let mut file = self.truth_file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = file.as_mut() else {
            return Ok(false);
        };
        let lines = file.due(&self.world().feed, self.clock.now());
        file.append(&lines)?;
        Ok(!lines.is_empty())
    }

    fn complete_truth_file(&self) -> io::Result<()> {
        while self.append_truth()? {}
        Ok(())
    }

    /// Counts the answer, notes it, and makes it one for the wire.
    fn send(&self, mut reply: Reply, ask: &Exchange<'_>, tap: &Tap) -> Response {
        if takes_gzip(text(ask.headers, &header::ACCEPT_ENCODING)) {
            reply.compress();
        }
        if let Some((share, cut)) = reply.cut {
            tap.cut((reply.body.len() as f64 * share) as usize, cut);
        }
        let answered = !matches!(reply.cut, Some((_, Cut::ResetAtOnce)));
        let status = if answered { reply.status.to_string() } else { "none".to_owned() };
        self.world().stats.count(&status, reply.fault, reply.body.len());
        if self.access_log {
            self.log(&status, &reply, ask);
        }
        response(reply)
    }

    fn log(&self, status: &str, reply: &Reply, ask: &Exchange<'_>) {
        let took = self.clock.now().duration_since(ask.began);
        let mut line = format!("{:.3} {} {}", ask.began, ask.method, safe_target(ask.uri));
        line += &format!(" {status} {}B {}ms", reply.body.len(), took.as_millis());
        if let Some(events) = reply.events {
            line += &format!(" events={events}");
        }
        if let Some(fault) = reply.fault {
            line += &format!(" fault={fault}");
        }
        // A log that nobody reads any more is no reason to fail.
        let _ = writeln!(io::stderr(), "{line}");
    }
}

/// One request, as far as its answer's way out needs it.
struct Exchange<'r> {
    method: Method,
    uri: &'r Uri,
    headers: &'r HeaderMap,
    began: Timestamp,
}

/// `error`, with what it is about.
fn about(what: &dyn std::fmt::Display, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let served = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => {
            let service = router(shared).into_make_service_with_connect_info::<Tap>();
            axum::serve(TapListener(listener), service).await
        }
        Err(error) => Err(error),
    };
    if let Err(error) = served {
        let _ = writeln!(io::stderr(), "the simulator cannot serve: {error}");
    }
}

async fn keep_truth(shared: Arc<Shared>) {
    loop {
        match shared.append_truth() {
            Ok(true) => tokio::task::yield_now().await,
            Ok(false) => tokio::time::sleep(Duration::from_millis(200)).await,
            Err(error) => {
                let _ = writeln!(io::stderr(), "the truth file cannot be written: {error}");
                return;
            }
        }
    }
}

fn router(shared: Arc<Shared>) -> Router {
    let mut listings = Router::new();
    for api in Api::ALL {
        for (verb, path) in api.routes() {
            listings = listings.route(path, listing_route(api, *verb));
        }
    }
    listings
        .route("/{tenant}/oauth2/v2.0/token", post(token_v2))
        .route("/{tenant}/oauth2/token", post(token_v1))
        .route(IDENTITY_PATH, get(identity))
        .merge(control::routes())
        .fallback(not_found)
        .layer(DefaultBodyLimit::max(64 * 1024))
        .with_state(shared)
}

type Served = State<Arc<Shared>>;

fn listing_route(api: Api, verb: Verb) -> MethodRouter<Arc<Shared>> {
    let listing = move |shared, tap, method, uri, headers, body| {
        listing(api, shared, tap, method, uri, headers, body)
    };
    match verb {
        Verb::Get => get(listing),
        Verb::Post => post(listing),
    }
}

async fn listing(
    api: Api,
    State(shared): Served,
    ConnectInfo(tap): ConnectInfo<Tap>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let began = shared.clock.now();
    let given = |name| headers.contains_key(name).then(|| text(&headers, name).to_owned());
    let ask = Ask {
        origin: shared.origin(&headers),
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        authorization: given(&header::AUTHORIZATION),
        api_key: given(&HeaderName::from_static("x-api-key")),
        body: (method == Method::POST).then(|| body.to_vec()),
    };
    let reply = shared.world().listing(api, &ask, began);
    let delay = reply.delay;
    let exchange = Exchange { method, uri: &uri, headers: &headers, began };
    let response = shared.send(reply, &exchange, &tap);
    // Counted already: a client that gives up waiting takes this task with it.
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    response
}

async fn token_v2(
    shared: Served,
    tap: ConnectInfo<Tap>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    token(Version::V2, shared, tap, uri, headers, &body)
}

async fn token_v1(
    shared: Served,
    tap: ConnectInfo<Tap>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    token(Version::V1, shared, tap, uri, headers, &body)
}

fn token(
    version: Version,
    State(shared): Served,
    ConnectInfo(tap): ConnectInfo<Tap>,
    uri: Uri,
    headers: HeaderMap,
    body: &[u8],
) -> Response {
    let began = shared.clock.now();
    let url = format!("{}{}", shared.origin(&headers), uri.path());
    let reply = shared.world().token(version, &url, body, began);
    shared.send(
        reply,
        &Exchange { method: Method::POST, uri: &uri, headers: &headers, began },
        &tap,
    )
}

async fn identity(
    State(shared): Served,
    ConnectInfo(tap): ConnectInfo<Tap>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let began = shared.clock.now();
    let ask = IdentityAsk {
        query: uri.query().unwrap_or_default().to_owned(),
        metadata: text(&headers, &HeaderName::from_static("metadata")).to_owned(),
        forwarded: headers.contains_key("x-forwarded-for"),
    };
    let reply = shared.world().identity(&ask, began);
    let exchange = Exchange { method: Method::GET, uri: &uri, headers: &headers, began };
    shared.send(reply, &exchange, &tap)
}

async fn not_found(uri: Uri) -> Response {
    let message = format!("Nothing is served at {}", uri.path());
    response(Reply::json(404, &json!({"error": {"code": "ResourceNotFound", "message": message}})))
}

/// An answer for the wire.
pub(super) fn response(reply: Reply) -> Response {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in reply.headers {
        if let Ok(value) = value.parse() {
            // A name may come twice, as the links of a log do.
            response.headers_mut().append(name, value);
        }
    }
    response
}

fn text<'h>(headers: &'h HeaderMap, name: &header::HeaderName) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// What of a query says no secret.
const SHOWN: [&str; 22] = [
    "$filter",
    "$orderby",
    "$top",
    "api-version",
    "auth",
    "contentType",
    "endTime",
    "from",
    "limit",
    "offset",
    "order",
    "page",
    "per_page",
    "phrase",
    "resource",
    "since",
    "size",
    "sortOrder",
    "startTime",
    "to",
    "until",
    "PublisherIdentifier",
];

/// The target without what might be a token or a secret.
fn safe_target(uri: &Uri) -> String {
    let mut target = uri.path().to_owned();
    let mut mark = '?';
    for (name, value) in url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        let shown = match name.as_ref() {
            name if SHOWN.contains(&name) => value.replace(char::is_control, "?"),
            _ => "…".to_owned(),
        };
        target.push(mark);
        target += &format!("{}={shown}", name.replace(char::is_control, "?"));
        mark = '&';
    }
    target
}

#[cfg(test)]
mod tests;
