//! The options of `lookback simulate`.

use std::{path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    Options,
    assertion::Certificate,
    blobs::BlobOptions,
    clock::SystemClock,
    fault::{Fault, FaultOptions, Rates},
    feed::FeedOptions,
    lateness::Lateness,
    login::LoginOptions,
    units::{Quota, Span, parse_duration, parse_probability, parse_rate},
    world::ListingOptions,
};

/// Simulate the APIs on loopback, with lateness, throttling and faults.
///
/// Durations are written 500ms, 90s, 15m, 6h, 7d; a probability P is a number from 0 to 1, the
/// chance of each request. It runs until interrupted.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SimulateArgs {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    pub(crate) port: u16,
    /// Stop by itself after this long
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) duration: Option<Duration>,
    /// Append every event to this file as a line of JSON: id, time, visible_at, api, and what it is
    /// where an API tells types apart: sign_in_type, content_type
    #[arg(long, value_name = "FILE")]
    pub(crate) truth: Option<PathBuf>,
    /// Print a line for each request to stderr
    #[arg(long)]
    pub(crate) access_log: bool,
    /// Links lead to https, for something in front of it that ends TLS
    #[arg(long)]
    behind_tls: bool,
    #[command(flatten)]
    feed: FeedArgs,
    #[command(flatten)]
    service: ServiceArgs,
    #[command(flatten)]
    blobs: BlobArgs,
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    login: LoginArgs,
    #[command(flatten)]
    faults: FaultArgs,
}

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Events")]
struct FeedArgs {
    /// The same seed gives the same events and, request by request, the same faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Events a second
    #[arg(long, default_value = "10", value_name = "N", value_parser = parse_rate)]
    rate: f64,
    /// History before the start
    #[arg(long, default_value = "1h", value_name = "DURATION", value_parser = parse_duration)]
    backfill: Duration,
    /// When the history begins, an RFC 3339 time in place of --backfill: a restart with the same
    /// seed, rate and origin then serves the same events
    #[arg(long, value_name = "TIME", conflicts_with = "backfill")]
    origin: Option<Timestamp>,
    /// No more events than this, history included
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// How late events show: exp:60s (a mean), uniform:2m-30m, fixed:5s, or a weighted mix as in
    /// 95%exp:60s,4%uniform:2m-30m,0.8%uniform:30m-6h
    #[arg(long, default_value = "90%exp:2s,10%uniform:2s-20s", value_name = "DISTRIBUTION")]
    lateness: Lateness,
    /// A span, as 90s@60s (90 s long, 60 s after the start), in which nothing new shows; repeatable
    #[arg(long, value_name = "SPAN")]
    delivery_outage: Vec<Span>,
    /// The share of events whose riskState changes after they showed, some of them several times; --truth says when, as
    /// changes
    #[arg(long, default_value = "0", value_name = "P", value_parser = parse_probability)]
    changing: f64,
    /// How long after it showed, or last changed, such an event changes; written as --lateness is
    #[arg(long, default_value = "uniform:1m-10m", value_name = "DISTRIBUTION")]
    change_after: Lateness,
    /// About how long a record is
    #[arg(long, default_value_t = 1200, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    event_bytes: u32,
}

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Services")]
struct ServiceArgs {
    /// How far back the API answers
    #[arg(long, default_value = "30d", value_name = "DURATION", value_parser = parse_duration)]
    retention: Duration,
    /// How long a next link is good
    #[arg(long, default_value = "5m", value_name = "DURATION", value_parser = parse_duration)]
    link_ttl: Duration,
    /// Azure AD Graph names its next link odata.nextLink, without the @
    #[arg(long)]
    plain_next_link: bool,
    /// A rate limit, as 5/10s: five requests in any ten seconds, then 429
    #[arg(long, value_name = "N/DURATION")]
    quota: Option<Quota>,
}

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Office 365's blobs")]
struct BlobArgs {
    /// What became visible within this long is one blob
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = parse_blob_every)]
    blob_every: Duration,
    /// How much later than it was created a blob is listed; written as --lateness is
    #[arg(long, default_value = "fixed:0s", value_name = "DISTRIBUTION")]
    blob_lateness: Lateness,
    /// How likely an event is to come again in a later blob
    #[arg(long, default_value = "0.02", value_name = "P", value_parser = parse_probability)]
    blob_repeat: f64,
    /// How many blobs are listed on a page
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    blobs_per_page: u32,
}

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Okta's log")]
struct LogArgs {
    /// How likely a bounded query is to miss an event that was over a minute late
    #[arg(long, default_value = "0", value_name = "P", value_parser = parse_probability)]
    bounded_misses: f64,
    /// How many requests a minute has
    #[arg(long, default_value_t = 600, value_name = "N")]
    token_quota: u64,
}

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Who may ask")]
struct LoginArgs {
    /// The client id that may sign in
    #[arg(long, default_value = "simulator", value_name = "ID")]
    client_id: String,
    /// Its secret
    #[arg(long, default_value = "simulator-secret", value_name = "SECRET")]
    client_secret: String,
    /// How long an access token is good
    #[arg(long, default_value = "1h", value_name = "DURATION", value_parser = parse_duration)]
    token_ttl: Duration,
    /// The token of the APIs that have no login service: okta, github, acme
    #[arg(long, default_value = "simulator-token", value_name = "TOKEN")]
    token: String,
    /// The client's registered certificate, PEM: assertions that its key signed stand for the secret
    #[arg(long, value_name = "FILE", value_parser = Certificate::read)]
    certificate: Option<Certificate>,
    /// The certificate of an outside issuer, PEM: its tokens stand for the secret, too
    #[arg(long, value_name = "FILE", value_parser = Certificate::read)]
    federated_certificate: Option<Certificate>,
    /// The client id of a user-assigned managed identity
    #[arg(long, value_name = "ID")]
    identity_client_id: Option<String>,
}

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Faults")]
struct FaultArgs {
    /// 429; Retry-After in seconds, as an HTTP date, or missing; Office 365: 429 or 403; Okta: by
    /// X-Rate-Limit-Reset, sometimes in the past
    #[arg(long, default_value = "0", value_name = "P", value_parser = parse_probability)]
    throttle: f64,
    /// 503 with Retry-After
    #[arg(long, default_value = "0", value_name = "P", value_parser = parse_probability)]
    unavailable: f64,
    /// The wait that Retry-After asks for, in whole seconds
    #[arg(long, default_value = "2s", value_name = "DURATION", value_parser = parse_duration)]
    retry_after: Duration,
    /// 500 or 502; Office 365: 500
    #[arg(long, default_value = "0", value_name = "P", value_parser = parse_probability)]
    error: f64,
    /// Connection reset, before the answer or amid its body
    #[arg(long, default_value = "0", value_name = "P", value_parser = parse_probability)]
    reset: f64,
    /// Body cut off, then the connection closed
    #[arg(long, default_value = "0", value_name = "P", value_parser = parse_probability)]
    truncate: f64,
    /// 200 with a body that is no JSON
    #[arg(long, default_value = "0", value_name = "P", value_parser = parse_probability)]
    garbage: f64,
    /// Silence, before the answer or amid its body
    #[arg(long, default_value = "0", value_name = "P", value_parser = parse_probability)]
    stall: f64,
    /// How long a stall is
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = parse_duration)]
    stall_for: Duration,
    /// A next link that has died: 400
    #[arg(long, default_value = "0", value_name = "P", value_parser = parse_probability)]
    expire_link: f64,
    /// 401 in mid-walk, whatever the token
    #[arg(long, default_value = "0", value_name = "P", value_parser = parse_probability)]
    unauthorized: f64,
    /// The login service answers 500 or 503, that of the managed identity 500, 429 or 410
    #[arg(long, default_value = "0", value_name = "P", value_parser = parse_probability)]
    auth_fail: f64,
    /// An empty page that has a next link
    #[arg(long, default_value = "0", value_name = "P", value_parser = parse_probability)]
    empty_page: f64,
    /// A next link that leads to the page it stands on
    #[arg(long, default_value = "0", value_name = "P", value_parser = parse_probability)]
    repeat_link: f64,
    /// A blob that is there is said to be gone: 400
    #[arg(long, default_value = "0", value_name = "P", value_parser = parse_probability)]
    blob_gone: f64,
    /// A span, as 90s@60s (90 s long, 60 s after the start), in which the API answers 503; repeatable
    #[arg(long, value_name = "SPAN")]
    outage: Vec<Span>,
}

impl SimulateArgs {
    /// What a simulator needs of them.
    pub(crate) fn into_options(self) -> Options {
        let Self {
            port,
            duration: _,
            truth,
            access_log,
            behind_tls,
            feed,
            service,
            blobs,
            log,
            login,
            faults,
        } = self;
        Options {
            port,
            listing: ListingOptions {
                retention: service.retention,
                link_ttl: service.link_ttl,
                event_bytes: feed.event_bytes as usize,
                plain_next_link: service.plain_next_link,
                blobs: BlobOptions {
                    every: blobs.blob_every,
                    lateness: blobs.blob_lateness,
                    repeat: blobs.blob_repeat,
                    page: blobs.blobs_per_page as usize,
                },
                bounded_misses: log.bounded_misses,
                token_quota: log.token_quota,
            },
            login: LoginOptions {
                client_id: login.client_id,
                client_secret: login.client_secret,
                token_ttl: login.token_ttl,
                api_token: login.token,
                certificate: login.certificate,
                federated_certificate: login.federated_certificate,
                identity_client_id: login.identity_client_id,
            },
            faults: faults.into_options(service.quota),
            feed: FeedOptions {
                seed: feed.seed,
                rate: feed.rate,
                backfill: feed.backfill,
                origin: feed.origin,
                count: feed.count,
                lateness: feed.lateness,
                delivery_outages: feed.delivery_outage,
                changing: feed.changing,
                change_after: feed.change_after,
            },
            truth,
            access_log,
            behind_tls,
            clock: Arc::new(SystemClock),
        }
    }
}

impl FaultArgs {
    fn into_options(self, quota: Option<Quota>) -> FaultOptions {
        let mut rates = Rates::default();
        for fault in Fault::ALL {
            rates.set(fault, self.rate(fault));
        }
        FaultOptions {
            rates,
            retry_after: self.retry_after,
            stall_for: self.stall_for,
            outages: self.outage,
            quota,
        }
    }

    fn rate(&self, fault: Fault) -> f64 {
        match fault {
            Fault::Throttle => self.throttle,
            Fault::Unavailable => self.unavailable,
            Fault::Error => self.error,
            Fault::Reset => self.reset,
            Fault::Truncate => self.truncate,
            Fault::Garbage => self.garbage,
            Fault::Stall => self.stall,
            Fault::ExpireLink => self.expire_link,
            Fault::Unauthorized => self.unauthorized,
            Fault::EmptyPage => self.empty_page,
            Fault::RepeatLink => self.repeat_link,
            Fault::BlobGone => self.blob_gone,
            Fault::AuthFail => self.auth_fail,
        }
    }
}

/// Blobs have a length, and their times are in milliseconds.
fn parse_blob_every(text: &str) -> Result<Duration, String> {
    let every = parse_duration(text)?;
    if every < Duration::from_millis(1) {
        return Err(format!("`{text}` is too short: at least 1ms"));
    }
    Ok(every)
}
