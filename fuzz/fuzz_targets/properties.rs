//! Properties: `name: value` lines become a plan that can run, or a refusal; neither shows a secret.
//!
//! `api` chooses one of the built-in definitions; files are not read.

#![no_main]

use in_lookback::api::catalog;
use in_lookback::config::{Db, Plan, Raw};
use libfuzzer_sys::fuzz_target;
use lookback_fuzz::drive::drive;
use lookback_fuzz::properties;

/// Stands for a secret wherever one may be, and nowhere else.
const SECRET: &str = "Hunter2-is-the-secret";

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let pairs = properties::read(&text);
    let api = pairs.iter().find(|(name, _)| name == "api").map_or("", |(_, value)| value);
    let definition = catalog::find(api.trim()).or_else(|| catalog::find("entra_signins"));
    let mut raw = Raw::default();
    for (name, value) in &pairs {
        match name.as_str() {
            "client_secret" | "token" => raw.set(name, &value.replace('*', SECRET)),
            // Whose address is so bad that it is no URL will find it in the log.
            "proxy" => raw.set(name, &value.replace('*', SECRET)),
            "db" => raw.set(name, &with_password(value)),
            _ => raw.set(name, value),
        }
    }
    assert!(!format!("{raw:?}").contains(SECRET) || set(&raw, "proxy"), "{raw:?}");
    match Plan::new(&raw, definition.expect("it is built in").clone()) {
        Err(error) => {
            assert!(!error.to_string().contains(SECRET), "{error}");
            assert!(!error.property.is_empty() && !error.mend.is_empty());
        }
        Ok(plan) => {
            assert!(!plan.summary().contains(SECRET), "{}", plan.summary());
            assert!(!format!("{plan:?}").contains(SECRET), "{plan:?}");
            check(&plan);
            if let Db::Shared(fleet) = &plan.db {
                assert!(fleet.database.connect_timeout < fleet.lease && !fleet.node.is_empty());
            }
            drive(plan, data);
        }
    }
});

/// Puts the secret where a URL has its password: before that are neither path nor parameters.
fn with_password(db: &str) -> String {
    let place = db.split_once(":*").and_then(|(before, _)| before.split_once("://"));
    match place.is_some_and(|(_, place)| !place.contains(['/', '?'])) {
        true => db.replacen(":*", &format!(":{SECRET}"), 1),
        false => db.to_owned(),
    }
}

fn set(raw: &Raw, name: &str) -> bool {
    raw.get(name).is_some_and(|value| value.contains(SECRET))
}

/// What no combination of properties may lead to.
fn check(plan: &Plan) {
    let schedule = &plan.schedule;
    assert!(!schedule.interval.is_zero() && schedule.window > schedule.interval);
    assert!(schedule.window <= schedule.reach);
    assert!(schedule.sweeps.iter().all(|sweep| sweep.depth <= schedule.reach));
    assert!(schedule.widen.is_none_or(|it| it.max >= schedule.window && it.max <= schedule.reach));
    assert!(schedule.rate_limit > 0 && plan.tick_bytes >= plan.batch_size);
    assert!(!plan.commit_delay.is_zero() && !plan.http.timeout.is_zero());
    assert!(!plan.parts.is_empty() && !plan.source.is_empty());
}
