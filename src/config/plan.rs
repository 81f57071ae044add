//! A validated configuration: what one instance is to do. [`Plan::new`] is in `validate`.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::sweeps::{self, Sweep};
use super::{Secret, units};
use crate::api::definition::Definition;
use crate::api::template::Values;
use crate::model::Timestamp;

/// Everything one instance needs to know.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The API.
    pub definition: Definition,
    /// The source's name.
    pub source: String,
    /// What fills the definition's templates.
    pub values: Values,
    /// The API's address.
    pub base_url: Url,
    /// How to get a token; nothing if the API wants none.
    pub login: Option<Login>,
    /// When to read what.
    pub schedule: Schedule,
    /// How records look.
    pub format: Format,
    /// The tag of health records; nothing if there are none.
    pub health_tag: Option<String>,
    /// One hand-over at most, in bytes.
    pub batch_size: usize,
    /// All hand-overs of one callback at most, in bytes.
    pub tick_bytes: usize,
    /// The state file.
    pub db: PathBuf,
    /// How long after the host took a record it counts as handed over.
    pub commit_delay: Duration,
    /// How to talk HTTP.
    pub http: HttpOptions,
}

/// When to read what.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// From the start of one live poll to the next.
    pub interval: Duration,
    /// How far back every live poll reads.
    pub window: Duration,
    /// Deeper re-reads, the shallowest first.
    pub sweeps: Vec<Sweep>,
    /// How far back the very first poll reads.
    pub start: Start,
    /// Whether nothing older than that is wanted, because the user set `start`. Else sweeps and
    /// widened windows reach back before it.
    pub start_is_bound: bool,
    /// How an empty result widens the window.
    pub widen: Option<Widen>,
    /// Drift above this is reported.
    pub drift_alert: Duration,
    /// How often to show a sign of life.
    pub heartbeat: Option<Duration>,
    /// The longest range one walk may ask for.
    pub range_max: Duration,
    /// How far back the API answers.
    pub reach: Duration,
    /// Requests a minute.
    pub rate_limit: u32,
}

/// How far back the very first poll reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// So long before the first start.
    Back(Duration),
    /// From a moment on.
    At(Timestamp),
}

/// How an empty result widens the window.
#[derive(Clone, Copy, Debug)]
pub struct Widen {
    /// The step.
    pub step: Duration,
    /// Where it ends.
    pub max: Duration,
}

/// How records look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// The event's own fields.
    Record,
    /// One field, so named, that holds the event's JSON.
    Raw(String),
}

/// OAuth 2.0 client credentials.
#[derive(Clone, Debug)]
pub struct Login {
    /// The login service.
    pub token_url: Url,
    /// The application.
    pub client_id: String,
    /// Its secret.
    pub secret: SecretSource,
    /// What to ask for: the form's key, and its value.
    pub audience: (&'static str, String),
}

/// Where a secret is.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// In the config.
    Value(Secret),
    /// In a file, read for every token.
    File(PathBuf),
}

/// How to talk HTTP.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// Of one request.
    pub timeout: Duration,
    /// Of one connection attempt.
    pub connect_timeout: Duration,
    /// A larger body, after decompression, is an error.
    pub max_page: usize,
    /// Whether no proxy is used, not even the environment's: plain http must not leave the machine.
    pub direct: bool,
    /// Whether any server is asked over TLS; if none is, a machine without certificates will do.
    pub tls: bool,
    /// A proxy, which may carry credentials.
    pub proxy: Option<Secret>,
    /// Whether certificates are verified.
    pub tls_verify: bool,
    /// Certificates to trust besides the system's.
    pub tls_ca_file: Option<PathBuf>,
    /// A client certificate and its key.
    pub tls_client: Option<(PathBuf, PathBuf)>,
}

impl Plan {
    /// The effective configuration in one line, secrets masked.
    pub fn summary(&self) -> String {
        let schedule = &self.schedule;
        let widen = schedule.widen.map_or("off".to_owned(), |widen| {
            format!("{} up to {}", units::show(widen.step), units::show(widen.max))
        });
        let format = match &self.format {
            Format::Record => "record".to_owned(),
            Format::Raw(key) => format!("raw in '{key}'"),
        };
        let login = self.login.as_ref().map_or("none".to_owned(), |login| {
            format!("client '{}' at {}, secret ***", login.client_id, login.token_url)
        });
        format!(
            "api={} source={} base_url={} login=[{login}] interval={} window={} sweeps=[{}] widen=[{widen}] \
             drift_alert={} format=[{format}] health_tag={} heartbeat={} batch_size={} tick_bytes={} \
             commit_delay={} rate_limit={}/m timeout={} max_page={} tls_verify={} db={}",
            self.definition.name,
            self.source,
            self.base_url,
            units::show(schedule.interval),
            units::show(schedule.window),
            sweeps::show(&schedule.sweeps),
            units::show(schedule.drift_alert),
            self.health_tag.as_deref().unwrap_or("off"),
            schedule.heartbeat.map_or("off".to_owned(), units::show),
            self.batch_size,
            self.tick_bytes,
            units::show(self.commit_delay),
            schedule.rate_limit,
            units::show(self.http.timeout),
            self.http.max_page,
            if self.http.tls_verify { "on" } else { "off" },
            self.db.display(),
        )
    }
}
