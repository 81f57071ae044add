//! Sends requests, several at once, and waits for their answers, interruptibly. No retries, no parsing.
//!
//! This blocks its thread, as reqwest's blocking client does, but on a runtime of its own: the
//! blocking client cannot be interrupted, and a stalled server would hold up the host's shutdown
//! for as long as a request may take. Requests make headway only while [`Http::wait`] runs.

use std::io::Read as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::api::definition::Method;
use crate::api::page::Response;
use crate::api::request::{Credential, Placement, Ticket, set_query};
use crate::api::{Headers, Origin, RequestSpec};
use crate::config::ConfigError;
use crate::config::plan::HttpOptions;
use crate::inflate::{self, InflateError};

/// Redirects followed at most, all of them to the same host.
const REDIRECTS_MAX: usize = 5;

/// Buffers are kept up to this many bytes, all together.
const KEPT_BUFFER_MAX: usize = 16 * 1024 * 1024;

/// A larger PEM file holds nothing that could be used.
const PEM_BYTES_MAX: usize = 4 * 1024 * 1024;

/// So much of a body may come in while another is larger: of several under way, one at a time is.
const BODY_SHARE_MAX: usize = 2 * 1024 * 1024;

/// A longer header of an answer is an error.
const HEADER_BYTES_MAX: usize = 64 * 1024;

/// So much is shown of a header's name.
const HEADER_NAME_SHOWN: usize = 80;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// reqwest's word for it, without the URL.
    #[error("{0}")]
    Transport(String),
    /// A header is too long.
    #[error("the header '{0}' of the answer is longer than {HEADER_BYTES_MAX} bytes")]
    Header(String),
    /// The body is larger than `max_page`.
    #[error("the body is larger than max_page ({0} bytes)")]
    TooLarge(usize),
    /// The body cannot be decompressed.
    #[error("{0}")]
    Inflate(#[from] InflateError),
    /// A compression that was not asked for.
    #[error("the body is compressed in a way that was not asked for")]
    Encoding,
    /// A credential with a line break in it, say.
    #[error("the credential holds a character that cannot stand in a header")]
    Credential,
    /// A scheme that no configured address has.
    #[error("no configured address uses {0}")]
    Scheme(String),
}

/// What ended a wait.
#[derive(Debug)]
pub enum Waited {
    /// This request has its answer.
    Answered(Ticket, Result<Response, HttpError>),
    /// Somebody called [`Notify::notify_one`].
    Woken,
    /// The time is over.
    TimedOut,
}

tokio::task_local! {
    /// Whether the request that this task makes may follow redirects.
    static MAY_FOLLOW: bool;
}

/// An answer as it came over the wire.
struct Raw {
    status: u16,
    headers: Headers,
    gzip: bool,
    body: Vec<u8>,
    is_login: bool,
    /// Held as long as the body is, if it is large.
    _large: Option<OwnedSemaphorePermit>,
}

/// An HTTP client. Dropping it drops what is under way: it has no thread of its own.
pub struct Http {
    under_way: JoinSet<(Ticket, Result<Raw, HttpError>)>,
    clients: Clients,
    wake: Arc<Notify>,
    max_page: usize,
    timeout: Duration,
    /// Whoever has it may have a large body.
    large: Arc<Semaphore>,
    buffers: Buffers,
    inflater: inflate::Inflater,
    runtime: tokio::runtime::Runtime,
}

impl Http {
    /// A client that `wake` can interrupt.
    ///
    /// # Errors
    /// If a certificate, a key or the proxy of the options is no good.
    pub fn new(options: &HttpOptions, wake: Arc<Notify>) -> Result<Self, ConfigError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| {
            ConfigError::new(
                "timeout",
                format!("no event loop: {error}"),
                "raise the limit of open files",
            )
        })?;
        Ok(Self {
            under_way: JoinSet::new(),
            clients: Clients::new(options)?,
            wake,
            max_page: options.max_page,
            timeout: options.timeout,
            large: Arc::new(Semaphore::new(1)),
            buffers: Buffers::default(),
            inflater: inflate::Inflater::new(),
            runtime,
        })
    }

    /// Sends a request; its answer comes out of [`Http::wait`] under its ticket, also if it cannot
    /// be sent at all.
    pub fn send(&mut self, ticket: Ticket, spec: &RequestSpec) {
        let request = self.clients.request(spec);
        let wire = if spec.is_login { Vec::new() } else { self.buffers.smallest() };
        let (max_page, timeout, is_login) = (self.max_page, self.timeout, spec.is_login);
        let large = Arc::clone(&self.large);
        // A redirect would lose a credential in the query, or repeat it who knows where.
        let in_query =
            matches!(&spec.credential, Some(Credential { place: Placement::Query(_), .. }));
        let exchange = MAY_FOLLOW.scope(!in_query, async move {
            match request {
                Ok(request) => {
                    let raw = exchange(request, wire, max_page, timeout, &large).await;
                    (ticket, raw.map(|raw| Raw { is_login, ..raw }))
                }
                Err(error) => (ticket, Err(error)),
            }
        });
        self.under_way.spawn_on(exchange, self.runtime.handle());
    }

    /// How many requests were sent and have not been answered yet.
    #[cfg(test)]
    fn in_flight(&self) -> usize {
        self.under_way.len()
    }

    /// Waits for an answer (if `may_answer`), a wake-up, or the end of the time; the wake-up wins.
    ///
    /// An answer that has to wait holds no more memory than it has come with over the wire.
    ///
    /// # Panics
    /// If a request did.
    pub fn wait(&mut self, at_most: Duration, may_answer: bool) -> Waited {
        let (under_way, wake) = (&mut self.under_way, &self.wake);
        let answered = self.runtime.block_on(async {
            let answered = async {
                match may_answer {
                    true => match under_way.join_next().await {
                        Some(answered) => answered,
                        None => std::future::pending().await,
                    },
                    false => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = wake.notified() => Err(Waited::Woken),
                answered = answered => Ok(answered),
                () = tokio::time::sleep(at_most) => Err(Waited::TimedOut),
            }
        });
        match answered {
            Err(waited) => waited,
            Ok(Ok((ticket, answer))) => {
                Waited::Answered(ticket, answer.and_then(|raw| self.inflate(raw)))
            }
            // Nobody cancels single requests, so it can only be a panic: it goes on from here.
            Ok(Err(error)) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn inflate(&mut self, raw: Raw) -> Result<Response, HttpError> {
        let received_bytes = raw.body.len();
        let body = if raw.gzip {
            let mut page = if raw.is_login { Vec::new() } else { self.buffers.largest() };
            let inflated = self.inflater.gunzip(&raw.body, &mut page, self.max_page);
            if !raw.is_login {
                self.buffers.keep(raw.body);
            }
            inflated?;
            page
        } else {
            raw.body
        };
        Ok(Response { status: raw.status, headers: raw.headers, body, received_bytes })
    }

    /// Takes a body back, to read another one into.
    pub fn recycle(&mut self, body: Vec<u8>) {
        self.buffers.keep(body);
    }
}

/// Buffers for later: what a page needs stays mapped, whatever else comes and goes.
#[derive(Default)]
struct Buffers {
    /// By capacity, the smallest first.
    kept: Vec<Vec<u8>>,
    /// Their capacities together.
    bytes: usize,
}

impl Buffers {
    /// For a body as it comes over the wire: compressed, most likely.
    fn smallest(&mut self) -> Vec<u8> {
        if self.kept.is_empty() { Vec::new() } else { self.take(0) }
    }

    /// For a body that has been decompressed.
    fn largest(&mut self) -> Vec<u8> {
        self.kept.len().checked_sub(1).map_or_else(Vec::new, |last| self.take(last))
    }

    fn take(&mut self, index: usize) -> Vec<u8> {
        let buffer = self.kept.remove(index);
        self.bytes -= buffer.capacity();
        buffer
    }

    /// Keeps a buffer if there is room.
    fn keep(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        let capacity = buffer.capacity();
        if capacity == 0 || self.bytes + capacity > KEPT_BUFFER_MAX {
            return;
        }
        let at = self.kept.partition_point(|kept| kept.capacity() < capacity);
        self.kept.insert(at, buffer);
        self.bytes += capacity;
    }
}

/// One client for each scheme that is in use.
struct Clients {
    tls: Option<reqwest::Client>,
    plain: Option<reqwest::Client>,
}

impl Clients {
    fn new(options: &HttpOptions) -> Result<Self, ConfigError> {
        let tls = options.tls.then(|| tls_client(options));
        let plain = options.direct.then(|| plain_client(options));
        Ok(Self { tls: tls.transpose()?, plain: plain.transpose()? })
    }

    /// The request that a spec describes.
    fn request(&self, spec: &RequestSpec) -> Result<reqwest::RequestBuilder, HttpError> {
        let scheme = spec.url.scheme();
        let client = match scheme {
            "https" => self.tls.as_ref(),
            "http" => self.plain.as_ref(),
            _ => None,
        };
        let client = client.ok_or_else(|| HttpError::Scheme(scheme.to_owned()))?;
        let mut url = spec.url.clone();
        if let Some(Credential { place: Placement::Query(name), value }) = &spec.credential {
            set_query(&mut url, name, value.expose());
        }
        let mut request = match spec.method {
            Method::Get => client.get(url),
            Method::Post => client.post(url),
        };
        if let Some(payload) = &spec.payload {
            if !spec.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                request = request.header(CONTENT_TYPE, payload.content_type);
            }
            request = request.body(payload.text.expose().to_owned());
        }
        request = request.header(ACCEPT_ENCODING, "gzip");
        for (name, value) in &spec.headers {
            request = request.header(name, value);
        }
        if let Some(Credential { place: Placement::Header(name), value }) = &spec.credential {
            let value = HeaderValue::from_str(value.expose());
            let mut value = value.map_err(|_| HttpError::Credential)?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        Ok(request)
    }
}

/// One request and its whole answer, which may take so long.
async fn exchange(
    request: reqwest::RequestBuilder,
    mut body: Vec<u8>,
    max_page: usize,
    timeout: Duration,
    large: &Arc<Semaphore>,
) -> Result<Raw, HttpError> {
    let mut timer = pin!(tokio::time::sleep(timeout));
    let mut response = in_time(timer.as_mut(), request.send()).await?;
    let headers = response.headers();
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let gzip = match text(CONTENT_ENCODING) {
        None | Some("identity" | "") => false,
        Some("gzip" | "x-gzip") => true,
        Some(_) => return Err(HttpError::Encoding),
    };
    let mut kept = Headers::default();
    for (name, value) in headers {
        // What is left out could have been the link to the next page.
        if value.len() > HEADER_BYTES_MAX {
            return Err(HttpError::Header(name.as_str().chars().take(HEADER_NAME_SHOWN).collect()));
        }
        kept.push(name.as_str(), &String::from_utf8_lossy(value.as_bytes()));
    }
    let status = response.status().as_u16();
    let mut permit = None;
    while let Some(chunk) = in_time(timer.as_mut(), response.chunk()).await? {
        let len = body.len() + chunk.len();
        if len > max_page {
            return Err(HttpError::TooLarge(max_page));
        }
        if len > BODY_SHARE_MAX && permit.is_none() {
            permit = Arc::clone(large).acquire_owned().await.ok();
            // Whoever had to wait for others is not blamed for it.
            timer.set(tokio::time::sleep(timeout));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Raw { status, headers: kept, gzip, body, is_login: false, _large: permit })
}

/// What comes before the time is over.
async fn in_time<T>(
    timer: Pin<&mut tokio::time::Sleep>,
    coming: impl Future<Output = Result<T, reqwest::Error>>,
) -> Result<T, HttpError> {
    tokio::select! {
        biased;
        came = coming => came.map_err(transport),
        () = timer => Err(HttpError::Transport("no answer in time".to_owned())),
    }
}

/// The innermost cause, without the URL: a next link may carry a token.
fn transport(error: reqwest::Error) -> HttpError {
    let kind = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else if error.is_redirect() {
        "a redirect: to another host, too many, or with a credential in the query"
    } else {
        "the exchange broke off"
    };
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    // It may quote the server, a name in its certificate for one.
    let cause: String = cause.to_string().chars().filter(|c| !c.is_control()).take(200).collect();
    HttpError::Transport(format!("{kind} ({cause})"))
}

/// For plain http. It is spoken with this machine only, so never through a proxy, not even the
/// environment's, and never by what a resolver says of `localhost`; and it needs none of the system's
/// certificates, which not every machine has.
fn plain_client(options: &HttpOptions) -> Result<reqwest::Client, ConfigError> {
    let here: [SocketAddr; 2] = [(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()];
    let builder = client(options).no_proxy().resolve_to_addrs("localhost", &here);
    build(with_own_files(options, builder.tls_certs_only([]))?)
}

fn tls_client(options: &HttpOptions) -> Result<reqwest::Client, ConfigError> {
    let mut builder = client(options).https_only(true);
    if let Some(proxy) = &options.proxy {
        let proxy = reqwest::Proxy::all(proxy.expose()).map_err(|_| {
            ConfigError::new(
                "proxy",
                "is no proxy's URL",
                "set one such as http://proxy.example:3128",
            )
        })?;
        builder = builder.proxy(proxy);
    }
    build(with_own_files(options, builder)?)
}

/// What both clients have in common.
fn client(options: &HttpOptions) -> reqwest::ClientBuilder {
    // Another instance, or the host's own use of rustls, may have installed one: any will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("lookback/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(options.connect_timeout)
        .redirect(same_host())
        // The page before may have had a token in its query.
        .referer(false)
        .min_tls_version(reqwest::tls::Version::TLS_1_2)
        .danger_accept_invalid_certs(!options.tls_verify)
        .danger_accept_invalid_hostnames(!options.tls_verify)
}

/// Adds the user's own certificates. Plain http has no use for them, but a file that will not do is
/// a mistake all the same.
fn with_own_files(
    options: &HttpOptions,
    mut builder: reqwest::ClientBuilder,
) -> Result<reqwest::ClientBuilder, ConfigError> {
    if let Some(path) = &options.tls_ca_file {
        let pem = read("tls_ca_file", path)?;
        let certificates =
            reqwest::Certificate::from_pem_bundle(&pem).ok().filter(|c| !c.is_empty());
        let certificates = certificates.ok_or_else(|| {
            let problem = format!("'{}' holds no PEM certificate", path.display());
            ConfigError::new("tls_ca_file", problem, "set a PEM file")
        })?;
        builder = builder.tls_certs_merge(certificates);
    }
    if let Some((certificate, key)) = &options.tls_client {
        let mut pem = read("tls_client_cert_file", certificate)?;
        pem.extend_from_slice(b"\n");
        pem.extend_from_slice(&read("tls_client_key_file", key)?);
        let identity = reqwest::Identity::from_pem(&pem).map_err(|_| {
            let problem = "is no PEM certificate with a PEM key in tls_client_key_file";
            ConfigError::new("tls_client_cert_file", problem, "set both to PEM files")
        })?;
        builder = builder.identity(identity);
    }
    Ok(builder)
}

fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, ConfigError> {
    builder.build().map_err(|error| {
        let problem = format!("the HTTP client cannot be made ({})", transport(error));
        ConfigError::new(
            "tls_ca_file",
            problem,
            "check the system's certificates and the TLS properties",
        )
    })
}

fn read(property: &str, path: &Path) -> Result<Vec<u8>, ConfigError> {
    let mut bytes = Vec::new();
    let limit = PEM_BYTES_MAX as u64 + 1;
    let read = std::fs::File::open(path).and_then(|it| it.take(limit).read_to_end(&mut bytes));
    let bad = |problem: String, mend: &str| {
        let problem = format!("'{}' {problem}", path.display());
        Err(ConfigError::new(property, problem, mend))
    };
    match read {
        Err(error) => bad(format!("cannot be read: {error}"), "set the path of a readable file"),
        Ok(len) if len > PEM_BYTES_MAX => {
            bad(format!("is larger than {PEM_BYTES_MAX} bytes"), "set the path of a smaller file")
        }
        Ok(_) => Ok(bytes),
    }
}

/// Follows redirects on the host that was asked, and to no other.
fn same_host() -> reqwest::redirect::Policy {
    reqwest::redirect::Policy::custom(|attempt| {
        let may_follow = MAY_FOLLOW.try_with(|may| *may).unwrap_or(false);
        let first = attempt.previous().first().and_then(Origin::of);
        let is_same = first == Origin::of(attempt.url());
        if !may_follow || !is_same || attempt.previous().len() > REDIRECTS_MAX {
            return attempt.error("not followed");
        }
        attempt.follow()
    })
}

#[cfg(test)]
mod tests;
