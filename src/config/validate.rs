//! From strings to a [`Plan`]: every property checked, alone and against the others. Reads no file
//! and no environment.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::auto::Bounds;
use super::hosts::Hosts;
use super::plan::{DedupOn, Format, HttpOptions, Login, Plan, Provenance, Schedule, Start, Widen};
use super::property::{at_least, at_least_a_second, optional, parsed};
use super::{ConfigError, Db, Raw, Secret, access, sweeps, units, values};
use crate::api::catalog;
use crate::api::definition::Definition;
use crate::api::request;
use crate::api::template::Values;
use crate::model::Timestamp;

/// The least there can be: smaller batches would be all overhead.
const BATCH_MIN: usize = 4 * 1024;

impl Plan {
    /// Validates what was set against the definition it names.
    ///
    /// # Errors
    /// The first property that is missing, bad, or cannot work together with another.
    pub fn new(raw: &Raw, definition: Definition) -> Result<Self, ConfigError> {
        let values = values::collect(raw, &definition)?;
        let hosts = Hosts::choose(raw, &definition, &values)?;
        let (cloud, base_url) = (hosts.cloud, hosts.base_url()?);
        values::require_for_requests(&definition, &values)?;
        let access = access::access(raw, &definition, &hosts)?;
        let schedule = schedule(raw, &definition)?;
        let batch_size = at_least(raw, "batch_size", BATCH_MIN)?;
        let tick_bytes = at_least(raw, "tick_bytes", BATCH_MIN)?;
        if tick_bytes < batch_size {
            return Err(ConfigError::new(
                "tick_bytes",
                format!("{tick_bytes} is less than batch_size ({batch_size})"),
                "raise tick_bytes or lower batch_size",
            ));
        }
        let token_url = access.as_ref().and_then(|access| match &access.login {
            Login::OAuth(oauth) => Some(&oauth.token_url),
            Login::Fixed(_) | Login::Basic { .. } => None,
        });
        let schemes = token_url.into_iter().chain([&base_url]).map(Url::scheme);
        let schemes: Vec<&str> = schemes.collect();
        let api = raw.get("api").filter(|api| catalog::find(api).is_none());
        Ok(Self {
            source: source(raw, &definition, &base_url),
            dedup_on: dedup_on(raw)?,
            format: format(raw)?,
            provenance: provenance(raw)?,
            health_tag: health_tag(raw)?,
            db: Db::of(raw)?,
            commit_delay: at_least_a_second(raw, "commit_delay")?,
            http: http(raw, &schemes)?,
            access,
            cloud,
            parts: parts(&definition, &values)?,
            definition_file: api.map(PathBuf::from),
            definition,
            values,
            base_url,
            schedule,
            batch_size,
            tick_bytes,
        })
    }
}

/// What there is to walk over: a list that names nothing would read nothing, without a word.
fn parts(definition: &Definition, values: &Values) -> Result<Vec<Option<String>>, ConfigError> {
    let parts = request::parts(definition, values);
    match &definition.for_each {
        Some(each) if parts.is_empty() => {
            let mend = "set at least one, comma separated";
            Err(ConfigError::new(&each.parameter, "names nothing", mend))
        }
        _ => Ok(parts),
    }
}

fn source(raw: &Raw, definition: &Definition, base_url: &Url) -> String {
    if let Some(source) = raw.get("source") {
        return source.to_owned();
    }
    let host = base_url.host_str().unwrap_or("unknown");
    format!("{}/{}", definition.name, raw.get("tenant").unwrap_or(host))
}

fn schedule(raw: &Raw, definition: &Definition) -> Result<Schedule, ConfigError> {
    let limits = &definition.limits;
    let interval = at_least_a_second(raw, "interval")?;
    let is_auto = raw.get("window").is_some_and(|text| text.eq_ignore_ascii_case("auto"));
    let window = match is_auto {
        true => definition.window.max(interval * 2),
        false => optional(raw, "window", units::duration_or_auto)?.unwrap_or(definition.window),
    };
    if window <= interval {
        let problem = format!(
            "{} is not longer than interval ({})",
            units::show(window),
            units::show(interval)
        );
        return Err(ConfigError::new("window", problem, "raise window or lower interval"));
    }
    let sweeps = optional(raw, "sweeps", sweeps::parse)?.unwrap_or_else(|| {
        definition.sweeps.iter().copied().filter(|sweep| sweep.depth > window).collect()
    });
    let deepest = sweeps.last().map(|sweep| sweep.depth).max(Some(window)).unwrap_or(window);
    if deepest > limits.reach {
        let name = match window > limits.reach {
            true if is_auto => "interval",
            true => "window",
            false => "sweeps",
        };
        let problem = format!(
            "{} is further back than the API answers ({})",
            units::show(deepest),
            units::show(limits.reach)
        );
        return Err(ConfigError::new(name, problem, "lower it"));
    }
    if is_auto && sweeps.is_empty() {
        let problem = "'auto' needs sweeps: without them nothing shows what the window misses";
        return Err(ConfigError::new("window", problem, "set sweeps, or a duration"));
    }
    let widen_max = parsed(raw, "widen_max", units::duration)?;
    Ok(Schedule {
        interval,
        window,
        auto: is_auto.then(|| Bounds::new(interval, definition.window, &sweeps, widen_max)),
        sweeps,
        start: start(raw)?.unwrap_or(Start::Back(window)),
        start_is_bound: raw.get("start").is_some(),
        widen: widen(raw, widen_max.min(limits.reach).max(window))?,
        drift_alert: parsed(raw, "drift_alert", units::duration)?,
        heartbeat: heartbeat(raw)?,
        range_max: limits.range,
        reach: limits.reach,
        rate_limit: optional(raw, "rate_limit", rate)?.unwrap_or(limits.requests_per_minute),
    })
}

fn rate(text: &str) -> Result<u32, String> {
    let rate = text.parse().ok().filter(|rate| *rate > 0);
    rate.ok_or_else(|| "expected a number of requests a minute, at least 1".to_owned())
}

fn start(raw: &Raw) -> Result<Option<Start>, ConfigError> {
    optional(raw, "start", |text| {
        let back = || units::duration(text).map(Start::Back);
        let at = |_| Timestamp::parse(text).map(Start::At);
        back().or_else(at).map_err(|_| {
            "expected a duration such as 7d, or a time such as 2026-01-31T08:00:00Z".to_owned()
        })
    })
}

fn widen(raw: &Raw, max: Duration) -> Result<Option<Widen>, ConfigError> {
    let on = parsed(raw, "widen", units::switch)?;
    let step = at_least_a_second(raw, "widen_step")?;
    Ok(on.then_some(Widen { step, max }))
}

fn heartbeat(raw: &Raw) -> Result<Option<Duration>, ConfigError> {
    let text = raw.get_or_default("heartbeat").unwrap_or("off");
    if matches!(units::switch(text), Ok(false)) {
        return Ok(None);
    }
    at_least_a_second(raw, "heartbeat").map(Some)
}

fn dedup_on(raw: &Raw) -> Result<DedupOn, ConfigError> {
    parsed(raw, "dedup_on", |text| match text {
        "id" => Ok(DedupOn::Id),
        "content" => Ok(DedupOn::Content),
        _ => Err("expected id or content".to_owned()),
    })
}

fn format(raw: &Raw) -> Result<Format, ConfigError> {
    let key = raw.get_or_default("raw_key").unwrap_or("log").to_owned();
    parsed(raw, "format", |text| match text {
        "record" => Ok(Format::Record),
        "raw" => Ok(Format::Raw(key)),
        _ => Err("expected record or raw".to_owned()),
    })
}

fn provenance(raw: &Raw) -> Result<Provenance, ConfigError> {
    parsed(raw, "provenance", |text| match text {
        "off" | "false" | "no" => Ok(Provenance::Off),
        "metadata" => Ok(Provenance::Metadata),
        "record" => Ok(Provenance::Record),
        _ => Err("expected off, metadata or record".to_owned()),
    })
}

fn health_tag(raw: &Raw) -> Result<Option<String>, ConfigError> {
    let on = parsed(raw, "health", units::switch)?;
    Ok(raw.get_or_default("health_tag").filter(|_| on).map(str::to_owned))
}

fn http(raw: &Raw, schemes: &[&str]) -> Result<HttpOptions, ConfigError> {
    let file = |name| raw.get(name).map(PathBuf::from);
    let tls_client = match (file("tls_client_cert_file"), file("tls_client_key_file")) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        (Some(_), None) => {
            let problem = "is missing, though tls_client_cert_file is set";
            return Err(ConfigError::new("tls_client_key_file", problem, "set both or none"));
        }
        (None, Some(_)) => {
            let problem = "is missing, though tls_client_key_file is set";
            return Err(ConfigError::new("tls_client_cert_file", problem, "set both or none"));
        }
    };
    let proxy = raw.get("proxy").map(|text| match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") => {
            Ok(Secret::new(text.to_owned()))
        }
        _ => Err(ConfigError::new(
            "proxy",
            "is no proxy's URL",
            "set one such as http://proxy.example:3128 or socks5h://127.0.0.1:1080",
        )),
    });
    Ok(HttpOptions {
        timeout: at_least_a_second(raw, "timeout")?,
        connect_timeout: at_least_a_second(raw, "connect_timeout")?,
        max_page: at_least(raw, "max_page", 1_024)?,
        direct: schemes.contains(&"http"),
        tls: schemes.contains(&"https"),
        proxy: proxy.transpose()?,
        tls_verify: parsed(raw, "tls_verify", units::switch)?,
        tls_ca_file: file("tls_ca_file"),
        tls_client,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::definition::Auth;
    use crate::config::cloud::Cloud;

    const GOOD: &[(&str, &str)] = &[
        ("api", "entra_signins"),
        ("tenant", "contoso"),
        ("client_id", "app"),
        ("client_secret", "hunter2"),
    ];

    const SHARED: (&str, &str) =
        ("db", "postgresql://me:hunter2@a.example,b.example/fleet?connect_timeout=2");

    fn plan(changes: &[(&str, &str)]) -> Result<Plan, ConfigError> {
        let mut raw = Raw::default();
        for (name, value) in GOOD.iter().chain(changes) {
            raw.set(name, value);
        }
        Plan::new(&raw, catalog::find("entra_signins").unwrap().clone())
    }

    #[test]
    fn defaults_come_from_the_table_and_the_definition() {
        let plan = plan(&[]).unwrap();
        assert_eq!(plan.source, "entra_signins/contoso");
        assert_eq!(plan.schedule.interval, Duration::from_secs(180));
        assert_eq!(plan.schedule.window, plan.definition.window);
        assert_eq!(plan.schedule.start, Start::Back(plan.definition.window));
        assert!(plan.http.tls && !plan.http.direct);
        let summary = plan.summary();
        for shown in [
            "cloud=global base_url=https://graph.microsoft.com/ ",
            "login=[client 'app' at https://login.microsoftonline.com/contoso/oauth2/v2.0/token, secret ***]",
        ] {
            assert!(summary.contains(shown), "{summary}");
        }
    }

    #[test]
    fn a_refusal_names_the_property_the_value_and_the_mend() {
        let error = plan(&[("interval", "often")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "property 'interval': found 'often'; expected a duration such as 90s, 15m, 6h or 7d"
        );
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for (changes, property) in [
            (&[("window", "3m")][..], "window"),
            (&[("window", "soon")], "window"),
            (&[("window", "auto"), ("sweeps", "off")], "window"),
            (&[("window", "auto"), ("interval", "20d")], "interval"),
            (&[("sweeps", "60d/1d")], "sweeps"),
            (&[("client_secret", "")], "client_secret"),
            (&[("client_secret_file", "/x")], "client_secret"),
            (&[("tenant", "")], "tenant"),
            (&[("base_url", "http://graph.example")], "base_url"),
            (&[("base_url", "http://graph.example"), ("proxy", "http://127.0.0.1:1")], "base_url"),
            (&[("base_url", "https://graph.example?key=x")], "base_url"),
            (&[("token_url", "http://login.example")], "token_url"),
            (&[("format", "xml")], "format"),
            (&[("managed_identity", "on")], "client_secret"),
            (&[("cloud", "mars")], "cloud"),
            (&[("provenance", "on")], "provenance"),
            (&[("tick_bytes", "1M")], "tick_bytes"),
            (&[("rate_limit", "0")], "rate_limit"),
            (&[("commit_delay", "0s")], "commit_delay"),
            (&[("start", "yesterday")], "start"),
            (&[("db", "mysql://me:hunter2@x/y")], "db"),
            (&[("db", "postgresql://x")], "db"),
            (&[("node", "a")], "node"),
            (&[("lease", "30s")], "lease"),
            (&[SHARED], "node"),
            (&[SHARED, ("node", "a"), ("lease", "1s")], "lease"),
            (&[SHARED, ("node", "a"), ("lease", "15s")], "lease"),
            (&[SHARED, ("node", &"a".repeat(254))], "node"),
            (&[("tls_client_cert_file", "/x")], "tls_client_key_file"),
            (&[("proxy", "nonsense")], "proxy"),
        ] {
            assert_eq!(plan(changes).unwrap_err().property, property, "{changes:?}");
        }
    }

    #[test]
    fn a_fleets_plan_shows_its_database_without_the_password() {
        let plan = plan(&[SHARED, ("node", "a"), ("lease", "1m")]).unwrap();
        let (summary, all) = (plan.summary(), format!("{plan:?}"));
        let end = "db=postgresql://me@a.example:5432,b.example:5432/fleet sslmode=verify-full node=a lease=1m";
        assert!(summary.ends_with(end), "{summary}");
        assert!(!summary.contains("hunter2") && !all.contains("hunter2"), "{all}");
    }

    #[test]
    fn every_host_of_a_database_can_be_tried_in_one_look_at_it() {
        for (lease, hosts, millis) in [
            ("30s", "a,b", 3_750),
            ("30s", "a", 5_000),
            ("10s", "a,b", 1_250),
            ("2s", "a,b,c,d", 250),
            ("2s", "a?connect_timeout=1", 1_000),
        ] {
            let (hosts, more) = hosts.split_once('?').unwrap_or((hosts, ""));
            let db = format!("postgresql://me@{hosts}/x?{more}");
            let plan = plan(&[("db", &db), ("node", "a"), ("lease", lease)]).unwrap();
            let Db::Shared(fleet) = &plan.db else { panic!("{db}") };
            let expected = Duration::from_millis(millis);
            assert_eq!(fleet.database.connect_timeout, expected, "{lease} {hosts}");
        }
    }

    #[test]
    fn a_connection_that_any_server_may_answer_is_warned_of() {
        for (mode, warned) in
            [("", false), ("?sslmode=require", true), ("?sslmode=verify-ca", true)]
        {
            let db = format!("postgresql://me:hunter2@a.example/x{mode}");
            let plan = plan(&[("db", &db), ("node", "a")]).unwrap();
            assert_eq!(plan.db.warning().is_some(), warned, "{mode}");
        }
    }

    #[test]
    fn a_window_that_follows_the_lateness_begins_with_the_definitions_and_twice_interval() {
        for (interval, first) in [("3m", "20m"), ("15m", "30m")] {
            let plan = plan(&[("window", "auto"), ("interval", interval)]).unwrap();
            assert_eq!(units::show(plan.schedule.window), first);
            assert_eq!(plan.schedule.auto.unwrap().first, plan.schedule.window);
            let shown = format!("window=[auto from {first}, up to 1d]");
            assert!(plan.summary().contains(&shown), "{}", plan.summary());
        }
        let refusal = plan(&[("window", "soon")]).unwrap_err().to_string();
        assert!(refusal.contains("6h or 7d, or auto"), "{refusal}");
    }

    #[test]
    fn every_built_in_definition_makes_a_plan_in_each_of_its_clouds() {
        for (name, _) in catalog::BUILT_IN {
            let definition = catalog::find(name).unwrap();
            let mut raw = Raw::default();
            raw.set("tenant", "contoso");
            for (parameter, _) in definition.parameters.iter().filter(|it| it.1.default.is_none()) {
                raw.set(parameter, "contoso");
            }
            match definition.auth {
                Auth::OAuth2 { .. } => {
                    raw.set("client_id", "app");
                    raw.set("certificate_file", "/c.pem");
                }
                Auth::None => {}
                _ => raw.set("token", "me:hunter2"),
            }
            let clouds = definition.clouds.keys().chain(&[Cloud::Global]);
            for cloud in clouds {
                raw.set("cloud", &cloud.to_string());
                let plan = Plan::new(&raw, definition.clone());
                let plan = plan.unwrap_or_else(|error| panic!("{name} in {cloud}: {error}"));
                assert!(plan.summary().contains(&format!("cloud={cloud}")), "{}", plan.summary());
            }
        }
    }

    #[test]
    fn neither_the_summary_nor_debug_output_shows_a_secret() {
        let plan = plan(&[("proxy", "http://u:hunter3@proxy.example")]).unwrap();
        for shown in [plan.summary(), format!("{plan:?}")] {
            assert!(!shown.contains("hunter"), "{shown}");
        }
    }
}
