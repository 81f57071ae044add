//! Pages: the scanner, the encoder and the readers of the built-in definitions, against serde_json.
//!
//! The first byte chooses the shape of the page, the rest is its body.

#![no_main]

use std::sync::LazyLock;

use in_lookback::api::page::{PageReader, Response, error_code};
use in_lookback::api::{Definition, catalog};
use in_lookback::encode::record;
use in_lookback::json::{self, PageShape, Pointer, RawEvent, Scalar};
use in_lookback::model::Timestamp;
use libfuzzer_sys::fuzz_target;
use lookback_fuzz::json as other;
use lookback_fuzz::{msgpack, record as records};

/// Where the records are, what is asked of each, what is asked of the page.
type Shape = (&'static str, &'static [&'static str], &'static [&'static str]);

const SHAPES: [Shape; 5] = [
    ("/value", &["/id", "/createdDateTime"], &["/@odata.nextLink", "/next"]),
    ("", &["/id", "/a/0", "/a", ""], &["/0/id"]),
    ("/data/items", &["/id", "/id/x", "/a~1b"], &["/data/next", "/data/items/1/id", "/data"]),
    ("/0", &["/0", "/id"], &["/1", "/0/0"]),
    ("/value/0", &[], &[]),
];

/// Deeper records are handed over as text: the host reads no deeper.
const DEPTH_MAX: usize = record::BODY_DEPTH_MAX;

static READERS: LazyLock<Vec<(&Definition, PageReader)>> = LazyLock::new(|| {
    let definitions = catalog::BUILT_IN.iter().filter_map(|(name, _)| catalog::find(name));
    definitions.map(|it| (it, PageReader::new(it, [7; 16]).expect("a reader"))).collect()
});

fuzz_target!(|data: &[u8]| {
    let Some((choice, body)) = data.split_first() else { return };
    read_as_built_in(body);
    error_code(body);
    let Ok(text) = std::str::from_utf8(body) else { return };
    match SHAPES.get(usize::from(choice % 8)) {
        Some(shape) => check_page(text, *shape),
        None => check_lines(text),
    }
});

/// Whatever an API sends can be read, or is refused; nothing else happens.
fn read_as_built_in(body: &[u8]) {
    let response = Response { status: 200, body: body.to_vec(), ..Response::default() };
    let now = Timestamp::from_secs(1_800_000_000);
    for (definition, reader) in READERS.iter() {
        if definition.blobs.is_some() {
            let _ = reader.listing(&response);
            let _ = reader.blob(&response, now, now);
        } else if let Ok(page) = reader.page(&response, now) {
            let body = response.body.as_ptr_range();
            assert!(page.events.iter().all(|event| body.contains(&event.raw.as_ptr())));
        }
        if definition.subscriptions.is_some() {
            let _ = reader.subscriptions(&response);
        }
    }
}

fn check_page(text: &str, (at, of_event, of_page): Shape) {
    let parse = |pointers: &[&str]| -> Vec<Pointer> {
        pointers.iter().map(|pointer| Pointer::parse(pointer).expect("a pointer")).collect()
    };
    let shape = PageShape {
        records: Pointer::parse(at).expect("a pointer"),
        of_event: parse(of_event),
        of_page: parse(of_page),
    };
    let mut events = Vec::new();
    let tail = json::scan_page(text, &shape, &mut |event| events.push(event.clone()));
    let found = json::find_all(text, &shape.of_page);
    assert_eq!(tail.is_ok(), other::is_valid(text), "{tail:?}");
    assert_eq!(found.as_ref().ok(), tail.as_ref().ok().map(|tail| &tail.found));
    let Ok(tail) = tail else { return };
    assert_eq!(tail.events, events.len());
    check_found(text, of_page, &tail.found);
    if let Some(arrays) = other::arrays_at(text, &steps(at)) {
        assert_eq!(tail.has_records, !arrays.is_empty());
        let expected: Vec<&str> = arrays.into_iter().flat_map(other::elements).collect();
        let raw: Vec<&str> = events.iter().map(|event| event.raw).collect();
        assert_eq!(raw, expected);
    }
    events.iter().for_each(|event| check_event(event, of_event));
}

fn check_lines(text: &str) {
    let asked = ["/id", "/time"];
    let pointers = asked.map(|pointer| Pointer::parse(pointer).expect("a pointer"));
    let mut events = Vec::new();
    let count = json::scan_lines(text, &pointers, &mut |event| events.push(event.clone()));
    let lines = text.split('\n').map(|line| line.trim_matches([' ', '\t', '\r']));
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    assert_eq!(count.is_ok(), lines.iter().all(|line| other::is_valid(line)), "{count:?}");
    let Ok(count) = count else { return };
    assert_eq!(count, events.len());
    assert_eq!(events.iter().map(|event| event.raw).collect::<Vec<_>>(), lines);
    events.iter().for_each(|event| check_event(event, &asked));
}

/// An event is what serde_json reads in its bytes, found, as a record, and as text.
fn check_event(event: &RawEvent<'_>, asked: &[&str]) {
    check_found(event.raw, asked, &event.found);
    let is_object = event.raw.starts_with('{');
    let depth = other::depth(event.raw) + usize::from(!is_object);
    let mut out = vec![0xff];
    let transcoded = record::record(event.raw, 7, 8, &mut out);
    assert_eq!(transcoded.is_ok(), depth <= DEPTH_MAX, "{transcoded:?}");
    match transcoded {
        Ok(()) if is_object => records::check_value(records::body(&out[1..], 7, 8), event.raw),
        Ok(()) => {
            let body = records::body(&out[1..], 7, 8);
            records::check_value(under_key(body, "log"), event.raw);
        }
        Err(_) => assert_eq!(out, [0xff]),
    }
    out.clear();
    record::raw(event.raw, "k", 7, 8, &mut out);
    let mut value = under_key(records::body(&out, 7, 8), "k");
    assert_eq!(msgpack::next(&mut value), msgpack::Head::Text(event.raw));
    assert!(value.is_empty());
}

fn under_key<'a>(mut body: &'a [u8], key: &str) -> &'a [u8] {
    assert_eq!(msgpack::next(&mut body), msgpack::Head::Map(1));
    assert_eq!(msgpack::next(&mut body), msgpack::Head::Text(key));
    body
}

fn check_found(text: &str, asked: &[&str], found: &[Option<Scalar<'_>>]) {
    for (pointer, found) in asked.iter().zip(found) {
        let Some(expected) = other::scalar_at(text, &steps(pointer)) else { continue };
        match (found, expected) {
            (None, None) => {}
            (Some(Scalar::Str(text)), Some(literal)) if literal.starts_with('"') => {
                if let Some(expected) = other::string(literal) {
                    assert_eq!(*text, expected);
                }
            }
            (Some(Scalar::Str(_)), _) => panic!("no string at {pointer}"),
            (Some(scalar), Some(literal)) => assert_eq!(scalar.as_str(), literal),
            (found, expected) => panic!("{pointer}: found {found:?}, expected {expected:?}"),
        }
    }
}

/// The tokens of a pointer of the tables above.
fn steps(pointer: &str) -> Vec<&str> {
    pointer.split('/').skip(1).map(|step| if step == "a~1b" { "a/b" } else { step }).collect()
}
