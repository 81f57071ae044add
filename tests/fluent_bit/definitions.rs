//! Every built-in definition, and the guide's, side by side in one Fluent Bit with one state.

use std::time::{Duration, Instant};

use in_lookback::api::catalog;

use crate::fluent_bit::{self, FluentBit, Input, graph_input};
use crate::receiver::Receiver;
use crate::run_length;
use crate::simulator::Simulator;

const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/github_audit_log.yaml");

/// What an API shows of all events: those of a type, if it shows one type only.
fn kind(api: &str) -> &'static str {
    match api {
        "entra_signins_noninteractive" => "nonInteractiveUser",
        "entra_signins_service_principal" => "servicePrincipal",
        "entra_signins_managed_identity" => "managedIdentity",
        _ => "",
    }
}

fn properties(api: &str, simulator: &Simulator) -> String {
    let schedule = "      window: 30s\n      sweeps: 90s/10s\n";
    let fixed = |more: &str| {
        let url = simulator.url();
        format!(
            "      api: {api}\n      base_url: {url}\n      token: simulator-token\n      rate_limit: 1200\n{more}{schedule}"
        )
    };
    match api {
        "okta_system_log" => fixed(""),
        GUIDE => fixed("      org: acme\n"),
        api => graph_input(api, simulator) + schedule,
    }
}

#[test]
fn every_definition_loses_nothing_and_doubles_nothing() {
    let Some(binary) = fluent_bit::find() else {
        eprintln!("skipped: no Fluent Bit found (set FLUENT_BIT to its path)");
        return;
    };
    let simulator = Simulator::start_with(&[
        "--rate",
        "20",
        "--blob-every",
        "2s",
        "--blob-lateness",
        "80%fixed:0s,20%uniform:2s-60s",
    ]);
    let mut apis: Vec<&str> = catalog::BUILT_IN.iter().map(|(name, _)| *name).collect();
    apis.push(GUIDE);
    let receivers: Vec<Receiver> = apis.iter().map(|_| Receiver::start()).collect();
    let input = |(api, receiver): (&&str, &Receiver)| Input {
        tag: api.rsplit('/').next().unwrap_or(api).to_owned(),
        port: receiver.port(),
        properties: properties(api, &simulator),
    };
    let inputs: Vec<Input> = apis.iter().zip(&receivers).map(input).collect();
    let mut host = FluentBit::with_inputs(&binary, &inputs);

    host.start();
    std::thread::sleep(run_length() / 2);
    host.terminate();
    host.start();
    std::thread::sleep(run_length() / 2);
    simulator.pause();
    let missing = |(api, receiver): (&&str, &Receiver)| {
        let arrived = receiver.arrivals();
        simulator.truth_of(kind(api)).into_iter().filter(|id| !arrived.contains_key(id)).count()
    };
    let deadline = Instant::now() + Duration::from_secs(120);
    while Instant::now() < deadline && apis.iter().zip(&receivers).map(missing).sum::<usize>() > 0 {
        std::thread::sleep(Duration::from_secs(1));
    }
    // A duplicate would come with the next polls.
    std::thread::sleep(Duration::from_secs(12));
    host.terminate();

    let mut wrong = 0;
    for (api, receiver) in apis.iter().zip(&receivers) {
        let arrived = receiver.arrivals();
        let lost = missing((api, receiver));
        let twice = arrived.values().filter(|at| at.len() > 1).count();
        println!("{api}: {} arrived, {lost} lost, {twice} twice", arrived.len());
        wrong += lost + twice;
    }
    println!("health: {:?}", receivers[0].health());
    println!("simulator: {}", simulator.stats());
    assert_eq!(wrong, 0);
}
