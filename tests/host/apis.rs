//! Each built-in definition, and one of the user's own, through late, out-of-order and faulty delivery.

use std::time::Duration;

use in_lookback::api::catalog;
use serde_json::json;

use crate::bench::{Bench, SECRET, stream, with};
use crate::embedded::{InputSpec, Level};
use crate::simulate::{BlobOptions, FeedOptions, Options, Truth};

/// The token of the APIs without a login service.
const TOKEN: &str = "a-token-of-the-api";

/// What goes wrong with every request, now and then.
fn faults() -> serde_json::Value {
    json!({
        "throttle": 0.02, "error": 0.02, "reset": 0.01, "truncate": 0.01, "garbage": 0.01,
        "expire_link": 0.02, "unauthorized": 0.01, "blob_gone": 0.05, "retry_after": "1s",
    })
}

fn bench() -> Bench {
    let feed = FeedOptions {
        rate: 40.0,
        lateness: "85%exp:200ms,15%uniform:1s-7s".parse().unwrap(),
        ..stream()
    };
    Bench::tuned(feed, |options: &mut Options| {
        options.login.api_token = TOKEN.to_owned();
        options.listing.blobs = BlobOptions {
            every: Duration::from_secs(1),
            lateness: "80%fixed:0s,20%uniform:0s-7s".parse().unwrap(),
            ..BlobOptions::default()
        };
    })
}

/// An input named for its API.
fn input(bench: &Bench, api: &str) -> InputSpec {
    let url = bench.simulator.url();
    let mut input = InputSpec::new(api.rsplit('/').next().unwrap());
    input.log_level = Level::Debug;
    let input = input
        .set("api", api)
        .set("base_url", &url)
        .set("interval", "1s")
        .set("window", "5s")
        .set("sweeps", "25s/2s")
        .set("start", "10m")
        .set("widen", "off")
        .set("rate_limit", "100000")
        .set("commit_delay", "1s")
        .set("db", bench.path("lookback.db").display());
    match api {
        "okta_system_log" => input.set("token", TOKEN),
        api if api.ends_with("github_audit_log.yaml") => {
            input.set("token", TOKEN).set("org", "acme")
        }
        api => {
            let token_url = match api {
                "aad_graph_signins" => format!("{url}/contoso/oauth2/token?api-version=1.0"),
                _ => format!("{url}/contoso/oauth2/v2.0/token"),
            };
            let input = input.set("tenant", "contoso").set("token_url", token_url);
            input.set("client_id", "simulator").set("client_secret", SECRET)
        }
    }
}

/// Whether the API that `name` defines shows the event.
fn shows(name: &str, event: &Truth) -> bool {
    match name {
        "entra_signins_noninteractive" => event.sign_in_type == "nonInteractiveUser",
        "entra_signins_service_principal" => event.sign_in_type == "servicePrincipal",
        "entra_signins_managed_identity" => event.sign_in_type == "managedIdentity",
        _ => true,
    }
}

/// Runs these side by side, with one state.
fn deliver(apis: &[&str]) -> Bench {
    let bench = bench();
    bench.faults(faults());
    let inputs: Vec<InputSpec> = apis.iter().map(|api| input(&bench, api)).collect();
    let names: Vec<String> = inputs.iter().map(|input| input.name.clone()).collect();
    let host = bench.start(inputs);
    for name in &names {
        bench.wait(&host, "a stretch of the stream", || bench.count(name) > 250);
    }
    for name in &names {
        bench.wait_for(&host, name, |event| shows(name, event));
        bench.assert_exactly(name, |event| shows(name, event));
    }
    bench.stop(host);
    for name in &names {
        bench.assert_exactly(name, |event| shows(name, event));
    }
    let stats = bench.simulator.stats();
    assert!(stats.faults.values().sum::<u64>() > 0, "{stats:?}");
    bench
}

#[test]
fn every_built_in_definition_is_tested_here() {
    let here = [GRAPH.as_slice(), &OTHERS].concat();
    for (name, _) in catalog::BUILT_IN {
        assert!(here.contains(name), "{name}");
    }
}

const GRAPH: [&str; 7] = [
    "entra_signins",
    "entra_signins_noninteractive",
    "entra_signins_service_principal",
    "entra_signins_managed_identity",
    "entra_directory_audits",
    "entra_provisioning",
    "graph_security_alerts",
];

const OTHERS: [&str; 3] = ["o365_management", "aad_graph_signins", "okta_system_log"];

#[test]
fn the_definitions_of_graph_deliver_every_event_once_from_one_state() {
    deliver(&GRAPH);
}

#[test]
fn blobs_deliver_every_event_once_and_none_is_fetched_again() {
    let bench = deliver(&["o365_management"]);
    let stats = bench.simulator.stats();
    assert_eq!((stats.missing_publisher, stats.blobs_fetched_again), (0, 0), "{stats:?}");
}

#[test]
fn an_endless_link_delivers_every_event_once() {
    let bench = deliver(&["okta_system_log"]);
    assert_eq!(bench.simulator.stats().requests_during_retry_after, 0);
}

#[test]
fn the_papers_own_api_delivers_every_event_once() {
    deliver(&["aad_graph_signins"]);
}

#[test]
fn the_definition_of_the_guide_delivers_every_event_once() {
    deliver(&[concat!(env!("CARGO_MANIFEST_DIR"), "/docs/github_audit_log.yaml")]);
}

#[test]
fn the_guide_shows_the_definition_that_is_tested() {
    let guide = include_str!("../../docs/new-api.md");
    let definition = include_str!("../../docs/github_audit_log.yaml");
    assert!(guide.contains(definition), "docs/new-api.md must contain:\n{definition}");
}

#[test]
fn an_endless_link_goes_on_after_a_restart_and_leaves_the_reserve_of_the_quota() {
    let bench = Bench::tuned(stream(), |options: &mut Options| {
        options.login.api_token = TOKEN.to_owned();
        options.listing.token_quota = 40;
    });
    let start = || bench.start(vec![with(input(&bench, "okta_system_log"), "sweeps", "off")]);
    let host = start();
    bench.wait(&host, "a stretch of the stream", || bench.count("okta_system_log") > 1_500);
    bench.stop(host);
    let host = start();
    bench.finish(host, "okta_system_log");
    assert_eq!(bench.simulator.stats().quota_spent, 0);
}

#[test]
fn two_tenants_share_one_state_and_keep_their_ids_apart() {
    let bench = bench();
    let tenant = |name: &str| {
        let token_url = format!("{}/{name}/oauth2/v2.0/token", bench.simulator.url());
        let mut input = with(input(&bench, "o365_management"), "tenant", name);
        (input.name, input.tag) = (name.to_owned(), name.to_owned());
        with(input, "token_url", token_url)
    };
    let host = bench.start(vec![tenant("contoso"), tenant("fabrikam")]);
    for name in ["contoso", "fabrikam"] {
        bench.wait(&host, "a stretch of the stream", || bench.count(name) > 500);
    }
    for name in ["contoso", "fabrikam"] {
        bench.wait_for_all(&host, name);
        bench.assert_exact(name);
    }
    bench.stop(host);
}
