//! A document to a record: what a SIEM or a forwarder wraps around an event is taken off. Pure.
//!
//! | written by | looks like | the event |
//! |---|---|---|
//! | `format record` | `{"date":…, …}` | the whole, or behind `[time, …]` |
//! | `format raw` | `{"date":…, "log":"{…}"}` | the text under `raw_key` |
//! | Elasticsearch, OpenSearch | `{"_index":…, "_source":{…}}` | `_source` |
//! | Splunk | `{"result":{…, "_raw":"{…}"}}` | `result`, or its `_raw` |
//! | Splunk's HEC | `{"time":…, "event":{…}}` | `event` |
//! | Fluent Bit | `[time, {…}]`, `[[time, {}], {…}]` | the second element |
//!
//! They may be wrapped in each other.

use std::time::Duration;

use in_lookback::api::Definition;
use in_lookback::api::definition::Id as IdOf;
use in_lookback::json::{Finder, JsonError, Pointer, Scalar, Slots};
use in_lookback::model::{TimeFormat, Timestamp};

use super::super::identity::{Id, Identity, show};

/// Where an event may stand in a document.
const CONTAINERS: [&str; 5] = ["", "/_source", "/result", "/event", "/1"];
/// Under which keys an event may stand as text, besides `raw_key`.
const TEXT_KEYS: [&str; 3] = ["log", "_raw", "message"];
/// Text in text in text.
const DEPTH_MAX: usize = 3;
/// In a container: what a health record has.
const HEALTH: [&str; 3] = ["/lookback/event", "/lookback/source", "/lookback/drift_seconds"];
/// When a record was received: first of all when the pipeline saw it first, if `provenance` says so, in the body or
/// in the metadata; else when a SIEM took it in.
const FIRST_SEEN: &str = "/_lookback/first_seen";
const RECEIVED: [&str; 6] = [
    "/0/1/first_seen",
    "/_metadata/first_seen",
    "/result/_indextime",
    "/_indextime",
    "/_source/event/ingested",
    "/_source/event.ingested",
];
/// The time of a record, as forwarders and SIEMs write it.
const RECORD_TIME: [&str; 6] =
    ["/date", "/0", "/0/0", "/@timestamp", "/_source/@timestamp", "/result/_time"];

/// What is to be looked for, and where.
pub(crate) struct Form {
    pointers: Vec<Pointer>,
    id_parts: usize,
    text_keys: usize,
    time: TimeFormat,
    /// Whether the id stands where the user says, and nowhere else.
    own_id: bool,
    received: usize,
    source: String,
}

/// What the user says of an export.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hints {
    /// Where the id stands, from the document's root: a part each.
    pub(crate) id: Vec<Pointer>,
    /// Where the time stands at which a record was received.
    pub(crate) received: Option<Pointer>,
}

/// What a document turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Found {
    Record(Record),
    /// A sign of life of the pipeline itself: when, and the drift that it tells, if it does.
    Health(Option<(Timestamp, Duration)>),
    /// Neither.
    Unidentified,
}

/// A record of the SIEM.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) id: Id,
    /// The id for people; nothing if the event's bytes are its id.
    pub(crate) shown: Option<String>,
    /// When it happened.
    pub(crate) time: Option<Timestamp>,
    /// When it was first seen, or taken in.
    pub(crate) received: Option<Timestamp>,
}

impl Form {
    /// What to look for in records of this API.
    pub(crate) fn new(definition: &Definition, source: &str, raw_key: &str, hints: &Hints) -> Self {
        let id = match &definition.id {
            IdOf::At(parts) if hints.id.is_empty() => parts.as_slice(),
            _ => &[],
        };
        let mut keys = vec![raw_key];
        keys.extend(TEXT_KEYS.iter().filter(|key| **key != raw_key));
        let mut pointers = Vec::new();
        for container in CONTAINERS {
            let at = |rest: &str| Pointer::parse(&format!("{container}{rest}"));
            let own = id.iter().chain([&definition.time.at]).map(|it| at(&it.to_string()));
            let others = HEALTH.iter().map(|it| at(it));
            let texts = keys.iter().map(|key| at(&format!("/{}", escaped(key))));
            // A pointer of the definition may be as long as pointers can be; deeper than that, nothing is found.
            let all = own.chain(others).chain(texts);
            pointers.extend(all.map(|it| it.unwrap_or_else(|_| nowhere())));
        }
        let parse = |it: &&str| Pointer::parse(it).unwrap_or_else(|_| nowhere());
        let received: Vec<Pointer> = match &hints.received {
            Some(pointer) => vec![pointer.clone()],
            None => {
                let seen = CONTAINERS.map(|container| format!("{container}{FIRST_SEEN}"));
                let seen = seen.iter().map(|it| parse(&it.as_str())).collect::<Vec<_>>();
                seen.into_iter().chain(RECEIVED.iter().map(parse)).collect()
            }
        };
        pointers.extend(RECORD_TIME.iter().map(parse));
        let known = received.len();
        pointers.extend(received);
        pointers.extend(hints.id.iter().cloned());
        Self {
            pointers,
            id_parts: if hints.id.is_empty() { id.len() } else { hints.id.len() },
            text_keys: keys.len(),
            time: definition.time.format.clone(),
            own_id: !hints.id.is_empty(),
            received: known,
            source: source.to_owned(),
        }
    }

    /// Reads documents of this form.
    pub(crate) fn reader(&self, identity: Identity) -> Reader<'_> {
        Reader { form: self, finder: Finder::new(&self.pointers), identity }
    }
}

/// A key as a token of a pointer.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// A place where nothing stands.
fn nowhere() -> Pointer {
    Pointer::parse("/ /nowhere").expect("a pointer")
}

/// A form, ready to be looked for in one document after the other.
pub(crate) struct Reader<'f> {
    form: &'f Form,
    finder: Finder<'f>,
    identity: Identity,
}

/// What stands in one container.
struct Container<'s, 'a> {
    id: &'s [Option<Scalar<'a>>],
    time: &'s Option<Scalar<'a>>,
    health: &'s [Option<Scalar<'a>>],
    texts: &'s [Option<Scalar<'a>>],
}

impl Reader<'_> {
    /// What a document is.
    ///
    /// # Errors
    /// If it is not JSON.
    pub(crate) fn read(&self, document: &str) -> Result<Found, JsonError> {
        self.look(document, &Outer::default(), DEPTH_MAX)
    }

    fn look(&self, document: &str, outer: &Outer, depth: usize) -> Result<Found, JsonError> {
        let slots = self.finder.find(document)?;
        let (containers, rest) = self.split(&slots);
        let (record_times, rest) = rest.split_at(RECORD_TIME.len());
        let (received, own_id) = rest.split_at(self.form.received);
        let first = |slots: &[Option<Scalar<'_>>]| slots.iter().flatten().find_map(any_moment);
        let here = Outer {
            record_time: first(record_times).or(outer.record_time),
            received: first(received).or(outer.received),
        };
        if let Some(health) = containers.iter().find(|it| it.health[0].is_some()) {
            return Ok(Found::Health(self.health(health, &here)));
        }
        if self.form.own_id {
            let of_id = own_id.to_vec();
            if let Some(id) = self.identity.of_parts(&of_id) {
                let time = containers.iter().find_map(|it| self.moment(it.time));
                return Ok(record(id, Some(show(&of_id)), time, &here));
            }
        } else {
            // A wrapper may have an id of its own, but hardly one with the event's time beside it.
            let whole = |it: &&Container<'_, '_>| it.time.is_some();
            if let Some(found) =
                containers.iter().filter(whole).find_map(|it| self.event(it, &here))
            {
                return Ok(found);
            }
        }
        let texts = containers.iter().flat_map(|it| it.texts).flatten();
        for text in texts.filter(|_| depth > 0) {
            if let Scalar::Str(text) = text
                && text.trim_start().starts_with('{')
                && let Ok(found) = self.look(text, &here, depth - 1)
            {
                if found != Found::Unidentified {
                    return Ok(found);
                }
                if !self.form.own_id {
                    return Ok(self.by_bytes(text, &here));
                }
            }
        }
        let untimed = containers.iter().find_map(|it| self.event(it, &here));
        Ok(untimed.unwrap_or(Found::Unidentified))
    }

    fn split<'s, 'a>(
        &self,
        slots: &'s Slots<'a>,
    ) -> (Vec<Container<'s, 'a>>, &'s [Option<Scalar<'a>>]) {
        let mut rest = slots.as_slice();
        let mut take = |count: usize| {
            let (taken, left) = rest.split_at(count);
            rest = left;
            taken
        };
        let id_parts = if self.form.own_id { 0 } else { self.form.id_parts };
        let containers = CONTAINERS.map(|_| Container {
            id: take(id_parts),
            time: &take(1)[0],
            health: take(HEALTH.len()),
            texts: take(self.form.text_keys),
        });
        (containers.into(), rest)
    }

    /// The event of a container, if its id stands there.
    fn event(&self, container: &Container<'_, '_>, here: &Outer) -> Option<Found> {
        if container.id.is_empty() {
            return None;
        }
        let parts = container.id.to_vec();
        let id = self.identity.of_parts(&parts)?;
        let time = self.moment(container.time);
        Some(record(id, Some(show(&parts)), time, here))
    }

    /// An event without an id, as text: its bytes tell it from others.
    fn by_bytes(&self, text: &str, here: &Outer) -> Found {
        let slots = self.finder.find(text).unwrap_or_default();
        let time = match slots.is_empty() {
            true => None,
            false => self.split(&slots).0.first().and_then(|it| self.moment(it.time)),
        };
        record(self.identity.of_bytes(text), None, time, here)
    }

    /// The drift that a sign of life of this source tells.
    fn health(&self, it: &Container<'_, '_>, here: &Outer) -> Option<(Timestamp, Duration)> {
        let [_, source, Some(drift)] = it.health else { return None };
        let of_this = source.as_ref().is_some_and(|it| it.as_str() == self.form.source);
        let drift = drift.as_str().parse().ok().and_then(|it| Duration::try_from_secs_f64(it).ok());
        here.record_time.zip(drift).filter(|_| of_this)
    }

    /// The event's time, as the API writes it, or as a SIEM may have written it again.
    fn moment(&self, found: &Option<Scalar<'_>>) -> Option<Timestamp> {
        let found = found.as_ref()?;
        self.form.time.read(found.as_str()).or_else(|| any_moment(found))
    }
}

fn record(id: Id, shown: Option<String>, time: Option<Timestamp>, here: &Outer) -> Found {
    Found::Record(Record { id, shown, time, received: here.received })
}

/// What the documents around a document say of it.
#[derive(Clone, Copy, Debug, Default)]
struct Outer {
    record_time: Option<Timestamp>,
    received: Option<Timestamp>,
}

/// Seconds since 1970 are smaller than this for another 3,000 years; milliseconds have been larger since 1973.
const SECONDS_END: f64 = 1e11;

/// A moment that nobody described: RFC 3339, or seconds or milliseconds since 1970.
fn any_moment(found: &Scalar<'_>) -> Option<Timestamp> {
    let text = match found {
        Scalar::Bool(_) => return None,
        Scalar::Str(_) | Scalar::Number(_) => found.as_str(),
    };
    if let Ok(moment) = Timestamp::parse(text) {
        return Some(moment);
    }
    let format = match text.parse::<f64>() {
        Ok(number) if number.abs() < SECONDS_END => TimeFormat::Seconds,
        _ => TimeFormat::Milliseconds,
    };
    format.read(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"uuid":"a/1","published":"2026-01-31T08:00:00.5Z","n":1}"#;

    fn definition(id: &str) -> Definition {
        let yaml = format!(
            "name: acme\ntitle: Acme\nbase_url: https://api.acme.example\nauth: {{kind: bearer}}\n\
             request: {{method: GET, path: /events, query: {{from: '{{from}}', to: '{{to}}'}}, time_format: rfc3339}}\n\
             records: /items\nid: {id}\ntime: /published\nnext: {{cursor: /next, query: cursor}}\n\
             limits: {{page: 10, range: 24h, reach: 30d, requests_per_minute: 60}}\nwindow: 30m\nsweeps: off\n"
        );
        Definition::parse(&yaml).unwrap()
    }

    fn read(document: &str, hints: &Hints) -> Found {
        let form = Form::new(&definition("/uuid"), "acme/x", "event_json", hints);
        form.reader(Identity::new([1; 16])).read(document).unwrap()
    }

    fn text(json: &str) -> String {
        serde_json::to_string(json).unwrap()
    }

    #[test]
    fn an_event_is_found_in_all_that_is_wrapped_around_it() {
        let inner = EVENT.trim_matches(['{', '}']);
        let raw = text(EVENT);
        let forwarded = text(&format!("{{\"date\":1.5,\"event_json\":{raw}}}"));
        let documents = [
            EVENT.to_owned(),
            format!("{{\"date\":1769846400.5,{inner}}}"),
            format!("{{\"date\":1769846400.5,\"event_json\":{raw}}}"),
            format!("{{\"log\":{raw}}}"),
            format!("[1769846400.5,{EVENT}]"),
            format!("[[1769846400.5,{{}}],{EVENT}]"),
            format!("[1769846400.5,{{\"event_json\":{raw}}}]"),
            format!("{{\"_index\":\"i\",\"_id\":\"x\",\"_source\":{EVENT}}}"),
            format!("{{\"_source\":{{\"event_json\":{raw},\"@timestamp\":\"x\"}}}}"),
            format!("{{\"preview\":false,\"offset\":0,\"result\":{EVENT}}}"),
            format!(
                "{{\"preview\":false,\"result\":{{\"_raw\":{raw},\"uuid\":\"of the wrapper\"}}}}"
            ),
            format!("{{\"result\":{{\"_raw\":{forwarded}}}}}"),
            format!("{{\"time\":1.5,\"event\":{EVENT}}}"),
        ];
        let expected = read(EVENT, &Hints::default());
        let Found::Record(record) = &expected else { panic!("{expected:?}") };
        assert_eq!(record.shown.as_deref(), Some("a/1"));
        assert_eq!(record.time, Timestamp::parse("2026-01-31T08:00:00.5Z").ok());
        for document in documents {
            assert_eq!(read(&document, &Hints::default()), expected, "{document}");
        }
    }

    #[test]
    fn an_id_is_the_same_as_a_number_and_as_text() {
        let of = |id: &str| read(&format!("{{\"uuid\":{id}}}"), &Hints::default());
        assert_eq!(of("17"), of("\"17\""));
        assert_ne!(of("17"), of("18"));
    }

    #[test]
    fn a_pointer_says_where_the_id_is_and_the_time_is_found_all_the_same() {
        let hints = Hints { id: vec![Pointer::parse("/_id").unwrap()], received: None };
        let found = read(&format!("{{\"_id\":\"a/1\",\"_source\":{EVENT}}}"), &hints);
        assert_eq!(found, read(EVENT, &Hints::default()));
    }

    #[test]
    fn the_time_of_receipt_is_what_first_saw_the_event_or_took_it_in() {
        let inner = EVENT.trim_end_matches('}');
        let at = |text: &str| Timestamp::parse(text).ok();
        let own = Hints { id: Vec::new(), received: Pointer::parse("/got").ok() };
        for (document, hints, expected) in [
            (
                format!("{inner},\"_lookback\":{{\"first_seen\":\"2026-01-31T08:00:09Z\"}}}}"),
                Hints::default(),
                at("2026-01-31T08:00:09Z"),
            ),
            (
                format!(
                    "{{\"result\":{{\"_indextime\":\"1769846410\",\"_raw\":{}}}}}",
                    text(EVENT)
                ),
                Hints::default(),
                at("2026-01-31T08:00:10Z"),
            ),
            (
                format!(
                    "{{\"_source\":{inner},\"event\":{{\"ingested\":\"2026-01-31T08:00:11Z\"}}}}}}"
                ),
                Hints::default(),
                at("2026-01-31T08:00:11Z"),
            ),
            (
                format!("{{\"got\":1769846412000,\"event\":{EVENT}}}"),
                own,
                at("2026-01-31T08:00:12Z"),
            ),
            (
                format!(
                    "{{\"log\":{},\"_lookback\":{{\"first_seen\":\"2026-01-31T08:00:07Z\"}}}}",
                    text(EVENT)
                ),
                Hints::default(),
                at("2026-01-31T08:00:07Z"),
            ),
            (
                format!("[[1.5,{{\"first_seen\":\"2026-01-31T08:00:08Z\"}}],{EVENT}]"),
                Hints::default(),
                at("2026-01-31T08:00:08Z"),
            ),
            (EVENT.to_owned(), Hints::default(), None),
        ] {
            let Found::Record(record) = read(&document, &hints) else { panic!("{document}") };
            assert_eq!(record.received, expected, "{document}");
        }
    }

    #[test]
    fn a_sign_of_life_is_no_record_and_tells_the_drift_of_its_own_source() {
        let of = |source: &str| {
            let health = format!(
                "{{\"date\":1769846400.0,\"lookback\":{{\"event\":\"heartbeat\",\"source\":\"{source}\",\"drift_seconds\":2.5}}}}"
            );
            read(&health, &Hints::default())
        };
        let told = (Timestamp::from_secs(1_769_846_400), Duration::from_millis(2_500));
        assert_eq!(of("acme/x"), Found::Health(Some(told)));
        assert_eq!(of("acme/y"), Found::Health(None));
    }

    #[test]
    fn an_event_without_an_id_is_told_by_its_bytes_where_they_are_kept() {
        let form = Form::new(&definition("hash"), "s", "log", &Hints::default());
        let reader = form.reader(Identity::new([1; 16]));
        let document = format!("{{\"log\":{}}}", text(EVENT));
        let Found::Record(record) = reader.read(&document).unwrap() else { panic!() };
        assert_eq!(record.id, Identity::new([1; 16]).of_bytes(EVENT));
        assert_eq!(record.time, Timestamp::parse("2026-01-31T08:00:00.5Z").ok());
        assert_eq!(reader.read(EVENT).unwrap(), Found::Unidentified);
    }
}
