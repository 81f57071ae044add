//! Sends one request at a time and waits for its answer, interruptibly. No retries, no parsing.
//!
//! This blocks its thread, as reqwest's blocking client does, but on a runtime of its own: the
//! blocking client cannot be interrupted, and a stalled server would hold up the host's shutdown
//! for as long as a request may take.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use tokio::sync::Notify;

use crate::api::definition::Method;
use crate::api::page::Response;
use crate::api::request::{Credential, Placement, set_query};
use crate::api::{Headers, Origin, RequestSpec};
use crate::config::ConfigError;
use crate::config::plan::HttpOptions;
use crate::inflate::{self, InflateError};

/// Redirects followed at most, all of them to the same host.
const REDIRECTS_MAX: usize = 5;

/// A buffer that has grown beyond this is not kept.
const KEPT_BUFFER_MAX: usize = 16 * 1024 * 1024;

/// A longer header of an answer is not looked at.
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// reqwest's word for it, without the URL.
    #[error("{0}")]
    Transport(String),
    /// The body is larger than `max_page`.
    #[error("the body is larger than max_page ({0} bytes)")]
    TooLarge(usize),
    /// The body cannot be decompressed.
    #[error("{0}")]
    Inflate(#[from] InflateError),
    /// A compression that was not asked for.
    #[error("the body is compressed in a way that was not asked for")]
    Encoding,
}

/// What ended a wait.
#[derive(Debug)]
pub enum Waited {
    /// The request that was under way has its answer.
    Answered(Result<Response, HttpError>),
    /// Somebody called [`Notify::notify_one`].
    Woken,
    /// The time is over.
    TimedOut,
}

type Pending = Pin<Box<dyn Future<Output = Result<Raw, HttpError>> + Send>>;

/// An answer as it came over the wire.
struct Raw {
    status: u16,
    headers: Headers,
    gzip: bool,
    body: Vec<u8>,
}

/// An HTTP client with room for one request.
pub struct Http {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    pending: Option<Pending>,
    wake: Arc<Notify>,
    max_page: usize,
    wire: Vec<u8>,
    page: Vec<u8>,
    inflater: inflate::Inflater,
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
            runtime,
            client: client(options)?,
            pending: None,
            wake,
            max_page: options.max_page,
            wire: Vec::new(),
            page: Vec::new(),
            inflater: inflate::Inflater::new(),
        })
    }

    /// Sends a request; its answer comes out of [`Http::wait`].
    pub fn send(&mut self, spec: &RequestSpec) {
        let mut url = spec.url.clone();
        if let Some(Credential { place: Placement::Query(name), value }) = &spec.credential {
            set_query(&mut url, name, value.expose());
        }
        let mut request = match spec.method {
            Method::Get => self.client.get(url),
            Method::Post => self.client.post(url),
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
        if let Some(Credential { place: Placement::Header(name), value }) = &spec.credential
            && let Ok(mut value) = HeaderValue::from_str(value.expose())
        {
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        let mut wire = std::mem::take(&mut self.wire);
        wire.clear();
        self.pending = Some(Box::pin(exchange(request, wire, self.max_page)));
    }

    /// Whether a request is under way.
    pub fn is_busy(&self) -> bool {
        self.pending.is_some()
    }

    /// Waits for the answer, a wake-up, or the end of the time.
    pub fn wait(&mut self, at_most: Duration) -> Waited {
        let (pending, wake) = (&mut self.pending, &self.wake);
        let answer = self.runtime.block_on(async {
            let answered = async {
                match pending.as_mut() {
                    Some(pending) => pending.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = wake.notified() => Err(Waited::Woken),
                answer = answered => Ok(answer),
                () = tokio::time::sleep(at_most) => Err(Waited::TimedOut),
            }
        });
        match answer {
            Err(waited) => waited,
            Ok(answer) => {
                self.pending = None;
                Waited::Answered(answer.and_then(|raw| self.inflate(raw)))
            }
        }
    }

    fn inflate(&mut self, raw: Raw) -> Result<Response, HttpError> {
        let received_bytes = raw.body.len();
        let body = if raw.gzip {
            let mut page = std::mem::take(&mut self.page);
            let inflated = self.inflater.gunzip(&raw.body, &mut page, self.max_page);
            self.wire = raw.body;
            inflated?;
            page
        } else {
            raw.body
        };
        Ok(Response { status: raw.status, headers: raw.headers, body, received_bytes })
    }

    /// Takes a body back, to read the next one into.
    pub fn recycle(&mut self, body: Vec<u8>) {
        if body.capacity() <= KEPT_BUFFER_MAX && body.capacity() > self.page.capacity() {
            self.page = body;
        }
    }
}

/// One request and its whole answer.
async fn exchange(
    request: reqwest::RequestBuilder,
    mut body: Vec<u8>,
    max_page: usize,
) -> Result<Raw, HttpError> {
    let mut response = request.send().await.map_err(transport)?;
    let headers = response.headers();
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let gzip = match text(CONTENT_ENCODING) {
        None | Some("identity" | "") => false,
        Some("gzip" | "x-gzip") => true,
        Some(_) => return Err(HttpError::Encoding),
    };
    let mut kept = Headers::default();
    for (name, value) in headers {
        if let Ok(value) = value.to_str()
            && value.len() <= HEADER_BYTES_MAX
        {
            kept.push(name.as_str(), value);
        }
    }
    let status = response.status().as_u16();
    while let Some(chunk) = response.chunk().await.map_err(transport)? {
        if body.len() + chunk.len() > max_page {
            return Err(HttpError::TooLarge(max_page));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Raw { status, headers: kept, gzip, body })
}

/// The innermost cause, without the URL: a next link may carry a token.
fn transport(error: reqwest::Error) -> HttpError {
    let kind = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else if error.is_redirect() {
        "a redirect to another host, or too many"
    } else {
        "the exchange broke off"
    };
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let cause: String = cause.to_string().chars().take(200).collect();
    HttpError::Transport(format!("{kind} ({cause})"))
}

fn client(options: &HttpOptions) -> Result<reqwest::Client, ConfigError> {
    // Another instance, or the host's own use of rustls, may have installed one: any will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("lookback/", env!("CARGO_PKG_VERSION")))
        .timeout(options.timeout)
        .connect_timeout(options.connect_timeout)
        .redirect(same_host())
        .min_tls_version(reqwest::tls::Version::TLS_1_2)
        .danger_accept_invalid_certs(!options.tls_verify)
        .danger_accept_invalid_hostnames(!options.tls_verify);
    if options.direct {
        builder = builder.no_proxy();
    } else if let Some(proxy) = &options.proxy {
        let proxy = reqwest::Proxy::all(proxy.expose()).map_err(|_| {
            ConfigError::new(
                "proxy",
                "is no proxy's URL",
                "set one such as http://proxy.example:3128",
            )
        })?;
        builder = builder.proxy(proxy);
    }
    if !options.tls {
        builder = builder.tls_certs_only([]);
    }
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
    std::fs::read(path).map_err(|error| {
        let problem = format!("'{}' cannot be read: {error}", path.display());
        ConfigError::new(property, problem, "set the path of a readable file")
    })
}

/// Follows redirects on the host that was asked, and to no other.
fn same_host() -> reqwest::redirect::Policy {
    reqwest::redirect::Policy::custom(|attempt| {
        let first = attempt.previous().first().and_then(Origin::of);
        if attempt.previous().len() > REDIRECTS_MAX || first != Origin::of(attempt.url()) {
            return attempt.error("not followed");
        }
        attempt.follow()
    })
}
