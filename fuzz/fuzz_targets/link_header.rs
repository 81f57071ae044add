//! Next links: whatever an API says comes next, what is requested is on the configured host.
//!
//! Each line is a `Link` header; each line, and whatever is found in it, is a link of a body as well.

#![no_main]

use std::sync::LazyLock;

use in_lookback::api::definition::Paging;
use in_lookback::api::link_header;
use in_lookback::api::page::{PageReader, Response};
use in_lookback::api::position::Position;
use in_lookback::api::request::{PageOf, Requests};
use in_lookback::api::template::Values;
use in_lookback::api::{Definition, Headers, Position as At};
use in_lookback::model::{TimeRange, Timestamp};
use libfuzzer_sys::fuzz_target;
use url::Url;

const HOST: &str = "https://api.example";

const YAML: &str = "
name: acme
title: Acme
base_url: https://api.example/v1
auth: {kind: none}
request: {path: /events, query: {since: '{from}', until: '{to}'}}
every_request: {publisher: p}
records: ''
id: /id
time: /t
next: {link_header: next}
limits: {page: 1, range: 1h, reach: 1d, requests_per_minute: 1}
window: 1h
";

static DEFINITION: LazyLock<Definition> =
    LazyLock::new(|| Definition::parse(YAML).expect("a definition"));
static READER: LazyLock<PageReader> =
    LazyLock::new(|| PageReader::new(&DEFINITION, [7; 16]).expect("a reader"));

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let mut headers = Headers::default();
    text.lines().for_each(|line| headers.push("Link", line));
    if let Ok(Some(target)) = link_header::find(headers.all("link"), "next") {
        let line =
            text.lines().find(|line| line.as_bytes().as_ptr_range().contains(&target.as_ptr()));
        assert!(target.is_empty() || line.is_none_or(|line| line.contains(target)));
        assert!(text.contains(&format!("<{target}")) || text.contains(target));
    }
    let response = Response { status: 200, headers, body: b"[]".to_vec(), received_bytes: 2 };
    if let Ok(page) = READER.page(&response, Timestamp::from_secs(0)) {
        request(page.next.as_deref());
    }
    text.lines().for_each(|line| request(Some(line)));
});

/// What the engine would ask for next.
fn request(link: Option<&str>) {
    let base = Url::parse(HOST).and_then(|host| host.join("/v1")).expect("a URL");
    let paging: Option<&Paging> = DEFINITION.next.as_ref();
    let Ok(Some(next)) = Position::after(paging, None, link, 1, &base) else { return };
    let kept = next.as_text();
    assert!(kept.starts_with("https://api.example/"), "{kept}");
    let again = Position::read(paging.expect("it has one"), &kept, &base);
    assert_eq!(again.as_ref(), Ok(&next), "it survives a restart");
    let (At::Link(url), values) = (&next, Values::default()) else { panic!("{next:?}") };
    let requests = Requests { base: &base, definition: &DEFINITION, values: &values };
    let range = TimeRange::new(Timestamp::from_secs(0), Timestamp::from_secs(60));
    let page = PageOf { range, part: None, position: Some(&next), endless: false };
    for spec in [requests.page(page), requests.blob(url)] {
        let spec = spec.expect("a request");
        assert!(spec.url.as_str().starts_with("https://api.example/"), "{}", spec.url);
        assert!(!format!("{spec:?}").contains('?'), "no query in a log");
    }
}
