//! A validated configuration: what one instance is to do. [`Plan::new`] is in `validate`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::auto::Bounds;
use super::cloud::Cloud;
use super::sweeps::{self, Sweep};
use super::{Db, Secret, units};
use crate::api::definition::{Audience, Definition};
use crate::api::request::{self, Placement};
use crate::api::template::Values;
use crate::model::Timestamp;

/// Everything one instance needs to know.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The API.
    pub definition: Definition,
    /// The file that the definition is in, unless it is built in.
    pub definition_file: Option<PathBuf>,
    /// The source's name.
    pub source: String,
    /// Whose hosts are asked.
    pub cloud: Cloud,
    /// What fills the definition's templates.
    pub values: Values,
    /// The API's address.
    pub base_url: Url,
    /// The values of the definition's `for_each`: one walk for each; at least one.
    pub parts: Vec<Option<String>>,
    /// How to prove who asks; nothing if the API wants no proof.
    pub access: Option<Access>,
    /// When to read what.
    pub schedule: Schedule,
    /// What makes a record a duplicate.
    pub dedup_on: DedupOn,
    /// How records look.
    pub format: Format,
    /// Where a record says where it came from.
    pub provenance: Provenance,
    /// The tag of health records; nothing if there are none.
    pub health_tag: Option<String>,
    /// One hand-over at most, in bytes.
    pub batch_size: usize,
    /// All hand-overs of one callback at most, in bytes.
    pub tick_bytes: usize,
    /// Where the state is.
    pub db: Db,
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
    /// How far back every live poll reads; with `auto`, at first.
    pub window: Duration,
    /// Between which bounds that follows the lateness, if it does.
    pub auto: Option<Bounds>,
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

/// What makes a record that came before a duplicate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DedupOn {
    /// Its id.
    #[default]
    Id,
    /// Its id and its bytes: one that has changed is handed over again.
    Content,
}

/// How records look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// The event's own fields.
    Record,
    /// One field, so named, that holds the event's JSON.
    Raw(String),
}

/// Where a record says where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// Nowhere.
    Off,
    /// In its metadata.
    Metadata,
    /// In its body.
    Record,
}

/// How to prove who asks.
#[derive(Clone, Debug)]
pub struct Access {
    /// Where the proof is put.
    pub place: Placement,
    /// What stands before it, a blank included.
    pub prefix: String,
    /// Where it comes from.
    pub login: Login,
}

/// Where a token comes from.
#[derive(Clone, Debug)]
pub enum Login {
    /// From the config or a file: it is what the API wants.
    Fixed(SecretSource),
    /// The same, together with a user name, as HTTP basic wants it.
    Basic {
        /// The user; nothing if the secret holds `user:password`.
        user: Option<String>,
        /// The password.
        secret: SecretSource,
    },
    /// From a login service.
    OAuth(OAuth),
}

/// OAuth 2.0 client credentials.
#[derive(Clone, Debug)]
pub struct OAuth {
    /// The login service.
    pub token_url: Url,
    /// The application; with the metadata service, which of the machine's identities.
    pub client_id: Option<String>,
    /// How it proves itself.
    pub proof: Proof,
    /// What to ask for.
    pub audience: Audience,
}

/// How an application proves itself to the login service.
#[derive(Clone, Debug)]
pub enum Proof {
    /// By a secret.
    Secret(SecretSource),
    /// By an assertion that it signs.
    Certificate {
        /// The certificate, PEM.
        certificate: PathBuf,
        /// Its key, PEM; may be the same file.
        key: PathBuf,
    },
    /// By a token of another issuer, in a file that is read for every token.
    Federated(PathBuf),
    /// By where it runs: the machine's metadata service is asked.
    Metadata,
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
    /// Whether some server is asked over plain http: by no proxy, not even the environment's, since
    /// what is not encrypted must not leave the machine.
    pub direct: bool,
    /// Whether some server is asked over TLS; if none is, a machine without certificates will do.
    pub tls: bool,
    /// A proxy for what goes over TLS. It may carry credentials.
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
        let window = units::show(schedule.window);
        let window = schedule.auto.map_or(window.clone(), |bounds| {
            format!("[auto from {window}, up to {}]", units::show(bounds.max))
        });
        let format = match &self.format {
            Format::Record => "record".to_owned(),
            Format::Raw(key) => format!("raw in '{key}'"),
        };
        let dedup_on = match self.dedup_on {
            DedupOn::Id => "id",
            DedupOn::Content => "content",
        };
        let provenance = match self.provenance {
            Provenance::Off => "off",
            Provenance::Metadata => "metadata",
            Provenance::Record => "record",
        };
        let login = self.access.as_ref().map_or("none".to_owned(), |access| access.login.summary());
        let fleet = match &self.db {
            Db::File(_) => String::new(),
            Db::Shared(fleet) => {
                let (tls, lease) = (fleet.database.tls, units::show(fleet.lease));
                format!(" sslmode={tls} node={} lease={lease}", fleet.node)
            }
        };
        format!(
            "api={} source={} cloud={} base_url={} login=[{login}] interval={} window={window} sweeps=[{}] widen=[{widen}] \
             drift_alert={} dedup_on={dedup_on} format=[{format}] provenance={provenance} health_tag={} heartbeat={} batch_size={} tick_bytes={} \
             commit_delay={} rate_limit={}/m timeout={} max_page={} tls_verify={} db={}{fleet}",
            self.definition.name,
            self.source,
            self.cloud,
            self.base_url,
            units::show(schedule.interval),
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
            self.db,
        )
    }
}

impl HttpOptions {
    /// What is wrong with them, though the user wants it so.
    pub fn warning(&self) -> Option<String> {
        let warning = "property 'tls_verify' is off: whoever is on the network can read credentials and records, and forge them; set tls_ca_file instead";
        (self.tls && !self.tls_verify).then(|| warning.to_owned())
    }
}

impl Login {
    /// What it is, secrets masked.
    pub(super) fn summary(&self) -> String {
        match self {
            Self::Fixed(token) => format!("token {token}"),
            Self::Basic { user: None, secret } => format!("basic {secret}"),
            Self::Basic { user: Some(user), secret } => format!("basic '{user}' {secret}"),
            Self::OAuth(oauth) => {
                let client = oauth.client_id.as_deref().unwrap_or("the machine itself");
                let proof = match &oauth.proof {
                    Proof::Secret(secret) => format!("secret {secret}"),
                    Proof::Certificate { certificate, key } => {
                        format!("certificate {}, key {}", certificate.display(), key.display())
                    }
                    Proof::Federated(path) => format!("federated by {}", path.display()),
                    Proof::Metadata => "managed identity".to_owned(),
                };
                format!(
                    "client '{client}' at {}, {proof}",
                    request::without_query(&oauth.token_url)
                )
            }
        }
    }
}

impl fmt::Display for SecretSource {
    /// Its file, if it is in one; else nothing of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(_) => f.write_str("***"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}
