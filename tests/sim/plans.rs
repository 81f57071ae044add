//! Plans for the test API.

use std::sync::Arc;

use in_lookback::api::Definition;
use in_lookback::config::{Plan, Raw};

const DEFINITION: &str = "
name: test
title: The simulation's API
base_url: https://api.example
auth: {kind: none}
request:
  path: /e
  query: {from: '{from}', to: '{to}'}
records: /value
id: /id
time: /time
next: {link: /next}
limits: {page: 1000, range: 24h, reach: 30d, requests_per_minute: 30}
window: 20m
sweeps: 4h/1h, 48h/16h
";

const LOGIN: &str = "
auth:
  kind: oauth2
  token_url: https://login.example/token
  scope: test
";

/// A plan with these properties.
pub(crate) fn plan(properties: &[(&str, &str)]) -> Arc<Plan> {
    of(DEFINITION, properties)
}

/// The same, of an API that keeps its events for so long.
pub(crate) fn plan_with_reach(reach: &str, properties: &[(&str, &str)]) -> Arc<Plan> {
    let limits = format!("range: {reach}, reach: {reach}");
    let definition = DEFINITION.replace("range: 24h, reach: 30d", &limits);
    of(&definition.replace("sweeps: 4h/1h, 48h/16h", "sweeps: off"), properties)
}

/// What differs between APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Ranges of events.
    Ranges,
    /// Ranges of blobs of events, of two kinds.
    Blobs,
    /// An endless link.
    Endless,
}

/// A plan for an API of a style.
pub(crate) fn plan_of(style: Style, login: bool, properties: &[(&str, &str)]) -> Arc<Plan> {
    let mut definition = match style {
        Style::Ranges => DEFINITION.to_owned(),
        Style::Blobs => {
            DEFINITION
                .replace("path: /e", "path: /list")
                .replace("query: {", "query: {kind: '{kind}', ")
                + "parameters: {kinds: {default: 'even, odd'}}\nfor_each: {parameter: kinds, as: kind}\nblobs: {link: /l, id: /i}\nwindow_on: /m\n"
        }
        Style::Endless => {
            DEFINITION.replace("path: /e", "path: /log").replace("page: 1000", "page: 50")
                + "follow: on\n"
        }
    };
    let credentials = [("client_id", "x"), ("client_secret", "x")];
    if login {
        definition = definition.replace("auth: {kind: none}", LOGIN);
        return of(&definition, &[properties, &credentials].concat());
    }
    of(&definition, properties)
}

/// A plan for an API of blobs that must be subscribed to.
pub(crate) fn plan_with_subscriptions() -> Arc<Plan> {
    let definition = DEFINITION.to_owned()
        + "parameters: {kinds: {default: 'even, odd'}}
for_each: {parameter: kinds, as: kind}
subscriptions:
  list: {path: /subscriptions}
  name: /kind
  enabled: {at: /status, is: enabled}
  start: {path: /subscribe, query: {kind: '{kind}'}}
";
    of(&definition, &[("heartbeat", "off"), ("sweeps", "off")])
}

fn of(definition: &str, properties: &[(&str, &str)]) -> Arc<Plan> {
    let definition = Definition::parse(definition).expect("a good definition");
    let mut raw = Raw::default();
    properties.iter().for_each(|(name, value)| raw.set(name, value));
    Arc::new(Plan::new(&raw, definition).expect("a good plan"))
}
