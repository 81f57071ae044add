//! The control endpoints: the truth, the counters, and what can be changed while it runs.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::{Query, State},
    response::Response,
    routing::{get, post},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    api::Api,
    reply::Reply,
    server::{Shared, response},
    truth::{Truth, truth, write_line},
};

type Served = State<Arc<Shared>>;

/// All of them, below `/_simulator`.
pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/_simulator/truth", get(tell_truth))
        .route("/_simulator/stats", get(stats))
        .route("/_simulator/faults", post(change_faults).get(faults))
        .route("/_simulator/pause", post(pause))
        .route("/_simulator/resume", post(resume))
}

/// What of the truth is asked for.
struct Selection {
    from: Timestamp,
    until: Timestamp,
    only_visible: bool,
    api: Api,
    /// A type of sign-ins, or a content type.
    kind: Option<String>,
}

impl Selection {
    fn parse(query: &HashMap<String, String>) -> Result<Self, String> {
        let mut selection = Self {
            from: Timestamp::MIN,
            until: Timestamp::MAX,
            only_visible: false,
            api: Api::Graph,
            kind: None,
        };
        for (name, value) in query {
            let time = || value.parse().map_err(|_| format!("`{name}={value}` is no time"));
            match name.as_str() {
                "from" => selection.from = time()?,
                "to" => selection.until = time()?,
                "visible" if value == "now" => selection.only_visible = true,
                "api" => {
                    selection.api =
                        Api::named(value).ok_or_else(|| format!("`{value}` is no API"))?
                }
                "type" => selection.kind = Some(value.clone()),
                _ => {
                    return Err(format!(
                        "`{name}={value}`: write from=, to=, visible=now, api= or type="
                    ));
                }
            }
        }
        Ok(selection)
    }

    fn holds(&self, event: &Truth, now: Timestamp) -> bool {
        let of_kind = |kind: &String| event.sign_in_type == kind || event.content_type == kind;
        event.time < self.until
            && (!self.only_visible || event.visible_at <= now)
            && self.kind.as_ref().is_none_or(of_kind)
    }
}

async fn tell_truth(
    State(shared): Served,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let selection = match Selection::parse(&query) {
        Ok(selection) => selection,
        Err(message) => return refusal(&message),
    };
    let now = shared.clock.now();
    let world = shared.world();
    let mut lines = String::new();
    let numbers = world.feed.numbers(selection.from, selection.until, now);
    for (event, number) in truth(&world.feed, numbers.clone()).zip(numbers) {
        let visible_at = world.shows(selection.api, &world.feed.event(number));
        let event = Truth { visible_at, ..event };
        if selection.holds(&event, now) {
            write_line(&mut lines, &event, selection.api);
        }
    }
    response(Reply::new(200, "application/x-ndjson", lines.into_bytes()))
}

async fn stats(State(shared): Served) -> Response {
    let stats = shared.world().stats(shared.clock.now());
    response(Reply::json(200, &json!(stats)))
}

async fn faults(State(shared): Served) -> Response {
    response(Reply::json(200, &shared.world().faults.to_json()))
}

async fn change_faults(State(shared): Served, body: Bytes) -> Response {
    let Ok(Value::Object(patch)) = serde_json::from_slice(&body) else {
        return refusal("the body is no JSON object");
    };
    let mut world = shared.world();
    match world.faults.change(&patch) {
        Ok(()) => response(Reply::json(200, &world.faults.to_json())),
        Err(message) => refusal(&message),
    }
}

async fn pause(State(shared): Served) -> Response {
    shared.world().feed.pause(shared.clock.now());
    response(Reply::json(200, &json!({"paused": true})))
}

async fn resume(State(shared): Served) -> Response {
    shared.world().feed.resume(shared.clock.now());
    response(Reply::json(200, &json!({"paused": false})))
}

fn refusal(message: &str) -> Response {
    response(Reply::json(400, &json!({"error": message})))
}
