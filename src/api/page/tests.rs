//! Answers of every shape, against definitions written for the purpose.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::api::catalog;
use crate::model::{Bucket, Fault};

/// The parts of a definition that no test here is about.
const FRAME: &str = "
name: acme
title: Acme
base_url: https://api.acme.example
auth: {kind: none}
limits: {page: 1000, range: 24h, reach: 30d, requests_per_minute: 60}
window: 30m
request: {path: /events}
";

const PLAIN: &str = "
records: /items
id: /id
time: /at
";

const BLOBS: &str = "
records: ''
id: /Id
time: {at: /CreationTime, format: '%Y-%m-%dT%H:%M:%S'}
next: {header: NextPageUri}
blobs: {link: /contentUri, id: /contentId}
window_on: /contentCreated
parameters: {kinds: {default: a}}
for_each: {parameter: kinds, as: kind}
subscriptions:
  list: {path: /list}
  name: /kind
  enabled: {at: /status, is: enabled}
  start: {path: '/start/{kind}'}
";

fn definition(parts: &str) -> Definition {
    Definition::parse(&format!("{FRAME}{parts}")).unwrap_or_else(|error| panic!("{error}"))
}

fn reader(parts: &str) -> PageReader {
    PageReader::new(&definition(parts), [7; 16]).unwrap()
}

fn answer(body: &str) -> Response {
    Response { status: 200, body: body.as_bytes().to_vec(), ..Response::default() }
}

fn with(mut response: Response, headers: &[(&str, &str)]) -> Response {
    headers.iter().for_each(|(name, value)| response.headers.push(name, value));
    response
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

/// When everything here was received.
const RECEIVED: Timestamp = Timestamp::from_secs(9);

/// What is known of the events of a page.
fn seen(parts: &str, body: &str) -> Vec<Seen> {
    let response = answer(body);
    let page = reader(parts).page(&response, RECEIVED).unwrap();
    page.events.iter().map(|event| event.seen).collect()
}

mod pages {
    use super::*;

    #[test]
    fn events_carry_their_id_time_and_bytes() {
        let definition = catalog::find("entra_signins").unwrap();
        let reader = PageReader::new(definition, [7; 16]).unwrap();
        let response = answer(
            r#"{"value":[{"id":"a","createdDateTime":"2026-01-01T00:00:00Z"}],"@odata.nextLink":"https://x/y"}"#,
        );
        let page = reader.page(&response, RECEIVED).unwrap();
        assert_eq!(page.next.as_deref(), Some("https://x/y"));
        let event = &page.events[0];
        assert_eq!(event.seen.time, at("2026-01-01T00:00:00Z"));
        assert_eq!(event.seen.selected, event.seen.time);
        assert_eq!(event.seen.key.bucket, Bucket::of(event.seen.time));
        assert_eq!(event.raw, r#"{"id":"a","createdDateTime":"2026-01-01T00:00:00Z"}"#);
        assert_eq!(event.seen.fault, None);
    }

    #[test]
    fn an_event_without_id_or_time_is_kept_and_marked() {
        let good = r#""at":"2026-01-01T00:00:00Z""#;
        for (event, fault) in [
            (format!(r#"{{"id":"a",{good}}}"#), None),
            (format!(r#"{{"id":0,{good}}}"#), None),
            (format!("{{{good}}}"), Some(Fault::NoId)),
            (format!(r#"{{"id":null,{good}}}"#), Some(Fault::NoId)),
            (format!(r#"{{"id":{{}},{good}}}"#), Some(Fault::NoId)),
            (format!(r#"{{"id":"",{good}}}"#), Some(Fault::NoId)),
            (r#"{"id":"a"}"#.to_owned(), Some(Fault::NoTime)),
            (r#"{"id":"a","at":"soon"}"#.to_owned(), Some(Fault::NoTime)),
            (r#"{"id":"a","at":1767225600}"#.to_owned(), Some(Fault::NoTime)),
            ("{}".to_owned(), Some(Fault::NoId)),
            ("null".to_owned(), Some(Fault::NoId)),
        ] {
            let seen = seen(PLAIN, &format!(r#"{{"items":[{event}]}}"#));
            assert_eq!(seen[0].fault, fault, "{event}");
        }
    }

    #[test]
    fn an_event_without_a_time_has_the_one_when_it_was_received() {
        let seen = seen(PLAIN, r#"{"items":[{"id":"a"},{"id":"a","at":"soon"}]}"#);
        assert_eq!((seen[0].time, seen[0].selected), (RECEIVED, RECEIVED));
        assert_eq!(seen[0].key.bucket, Bucket::UNTIMED);
        assert_eq!(seen[0].key, seen[1].key);
    }

    #[test]
    fn events_without_an_id_are_told_apart_by_their_bytes() {
        let seen = seen(PLAIN, r#"{"items":[{"id":"","n":1},{"id":"","n":2},{"id":"","n":1}]}"#);
        assert_ne!(seen[0].key, seen[1].key);
        assert_eq!(seen[0].key, seen[2].key);
    }

    #[test]
    fn an_id_is_all_its_parts_and_their_types() {
        let parts = "records: ''\nid: [/a, /b]\ntime: /at";
        let ids = [
            r#"{"a":"x","b":"yz"}"#,
            r#"{"a":"xy","b":"z"}"#,
            r#"{"a":"","b":"z"}"#,
            r#"{"a":"1","b":"z"}"#,
            r#"{"a":1,"b":"z"}"#,
            r#"{"a":"true","b":"z"}"#,
            r#"{"a":true,"b":"z"}"#,
            r#"{"b":"x","a":"yz"}"#,
        ];
        let seen = seen(parts, &format!("[{}]", ids.join(",")));
        for (index, one) in seen.iter().enumerate() {
            assert!(seen[..index].iter().all(|other| other.key != one.key), "{}", ids[index]);
            assert_eq!(one.fault, Some(Fault::NoTime));
        }
    }

    #[test]
    fn with_hash_the_bytes_are_the_id_and_none_is_missed() {
        let parts = PLAIN.replace("id: /id", "id: hash");
        let event = |n| format!(r#"{{"id":"a","n":{n},"at":"2026-01-01T00:00:00Z"}}"#);
        let body = format!(r#"{{"items":[{},{},{}]}}"#, event(1), event(2), event(1));
        let seen = seen(&parts, &body);
        assert!(seen.iter().all(|seen| seen.fault.is_none()));
        assert_ne!(seen[0].key, seen[1].key);
        assert_eq!(seen[0].key, seen[2].key);
    }

    #[test]
    fn ids_depend_on_the_key_of_the_state() {
        let response = answer(r#"{"items":[{"id":"a"}]}"#);
        let id = |key| {
            let reader = PageReader::new(&definition(PLAIN), key).unwrap();
            reader.page(&response, RECEIVED).unwrap().events[0].seen.key.id
        };
        assert_ne!(id([1; 16]), id([2; 16]));
    }

    #[test]
    fn times_are_read_in_the_definitions_format() {
        for (format, time, expected) in [
            ("rfc3339", r#""2026-01-31T08:09:10Z""#, true),
            ("rfc3339", "1769846950", false),
            ("seconds", "1769846950", true),
            ("seconds", "1769846950.0", true),
            ("seconds", r#""1769846950""#, true),
            ("seconds", r#""2026-01-31T08:09:10Z""#, false),
            ("milliseconds", "1769846950000", true),
            ("milliseconds", r#""1769846950000""#, true),
            ("milliseconds", "true", false),
            ("'%Y-%m-%dT%H:%M:%S'", r#""2026-01-31T08:09:10""#, true),
            ("'%Y-%m-%dT%H:%M:%S'", r#""2026-01-31""#, false),
            ("'%Y%m%d%H%M%S'", "20260131080910", false),
        ] {
            let parts = PLAIN.replace("/at", &format!("{{at: /at, format: {format}}}"));
            let seen = seen(&parts, &format!(r#"{{"items":[{{"id":1,"at":{time}}}]}}"#));
            let fault = if expected { None } else { Some(Fault::NoTime) };
            assert_eq!(seen[0].fault, fault, "{format} {time}");
            let wanted = if expected { at("2026-01-31T08:09:10Z") } else { RECEIVED };
            assert_eq!(seen[0].time, wanted, "{format} {time}");
        }
    }

    #[test]
    fn a_time_that_was_never_set_does_not_keep_other_ids_from_being_forgotten() {
        let items = r#"{"items":[{"id":"a","at":"1970-01-01T00:00:00Z"}]}"#;
        let seen = seen(PLAIN, items);
        assert_eq!((seen[0].time, seen[0].fault), (Timestamp::from_secs(0), None));
        assert_eq!(seen[0].key.bucket, Bucket::UNTIMED);
    }

    #[test]
    fn the_time_that_reads_select_by_can_be_another_than_the_events_own() {
        let parts = format!("{PLAIN}window_on: {{at: /stored, format: seconds}}");
        let own = at("2026-01-01T00:00:00Z");
        for (members, time, selected) in [
            (r#""at":"2026-01-01T00:00:00Z","stored":5"#, own, Timestamp::from_secs(5)),
            (r#""at":"2026-01-01T00:00:00Z","stored":"soon""#, own, own),
            (r#""at":"2026-01-01T00:00:00Z""#, own, own),
            (r#""stored":5"#, RECEIVED, Timestamp::from_secs(5)),
            (r#""more":5"#, RECEIVED, RECEIVED),
        ] {
            let seen = seen(&parts, &format!(r#"{{"items":[{{"id":1,{members}}}]}}"#));
            assert_eq!((seen[0].time, seen[0].selected), (time, selected), "{members}");
            assert_eq!(seen[0].key.bucket == Bucket::UNTIMED, time == RECEIVED, "{members}");
        }
    }

    #[test]
    fn a_body_that_is_not_a_page_does_not_count_as_read() {
        for (body, message) in [
            (&b"{\"items\":[{\"id\":\"a\""[..], "no valid JSON"),
            (b"{\"items\":[]}x", "no valid JSON"),
            (b"\xff\xfe", "expected UTF-8, found a byte that is not at 0"),
            (b"{\"values\":[]}", "expected an array at '/items' of the body, found none"),
            (b"{\"items\":{}}", "expected an array at '/items' of the body, found none"),
            (b"", "expected a value, found nothing"),
            (b"<html>", "no valid JSON"),
        ] {
            let response = Response { status: 200, body: body.to_vec(), ..Response::default() };
            let error = reader(PLAIN).page(&response, RECEIVED).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn an_answer_without_content_is_an_empty_page() {
        let response = Response { status: 204, ..Response::default() };
        for parts in [PLAIN, LINES] {
            assert!(reader(parts).page(&response, RECEIVED).unwrap().events.is_empty());
        }
        let blobs = reader(BLOBS);
        assert!(blobs.listing(&response).unwrap().entries.is_empty());
        assert!(blobs.blob(&response, RECEIVED, RECEIVED).unwrap().events.is_empty());
        assert!(blobs.subscriptions(&response).unwrap().is_empty());
    }
}

const LINES: &str = "
records: lines
id: /id
time: /at
";

mod lines {
    use super::*;

    #[test]
    fn each_line_is_an_event() {
        let response = answer("{\"id\":1}\r\n\n{\"id\":2}");
        let page = reader(LINES).page(&response, RECEIVED).unwrap();
        let raws: Vec<_> = page.events.iter().map(|event| event.raw).collect();
        assert_eq!(raws, ["{\"id\":1}", "{\"id\":2}"]);
        assert!(reader(LINES).page(&answer(""), RECEIVED).unwrap().events.is_empty());
    }

    #[test]
    fn a_line_that_is_no_json_makes_the_body_invalid() {
        let response = answer("{\"id\":1}\n{\"id\":\n");
        let error = reader(LINES).page(&response, RECEIVED).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the body is no valid JSON: ended at byte 15 in the middle of the document"
        );
    }

    #[test]
    fn the_next_page_of_lines_stands_in_a_header_only() {
        for (next, works) in [
            ("{link: /next}", false),
            ("{cursor: /next, query: c}", false),
            ("{header: Next}", true),
            ("{link_header: next}", true),
            ("{page: p}", true),
            ("{offset: o}", true),
        ] {
            let definition = definition(&format!("{LINES}next: {next}"));
            match PageReader::new(&definition, [7; 16]) {
                Ok(_) => assert!(works, "{next}"),
                Err(error) => {
                    assert!(!works, "{next}: {error}");
                    assert!(error.contains("records: lines") && error.contains("link_header"));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn lines_give_the_same_events_as_the_array_of_them(
            ids in vec((any::<Option<u8>>(), "\\PC{0,8}"), 0..20),
        ) {
            let event = |(id, text): &(Option<u8>, String)| {
                serde_json::json!({"id": id, "at": "2026-01-01T00:00:00Z", "text": text}).to_string()
            };
            let events: Vec<String> = ids.iter().map(event).collect();
            let (array, lines) = (format!("[{}]", events.join(",")), events.join("\n"));
            let of_array = seen(&LINES.replace("lines", "''"), &array);
            prop_assert_eq!(seen(LINES, &lines), of_array);
        }
    }
}

mod next_pages {
    use super::*;

    /// A page's words for the next one, by a definition's.
    fn next(paging: &str, headers: &[(&str, &str)], body: &str) -> Option<String> {
        let response = with(answer(body), headers);
        let reader = reader(&format!("{PLAIN}next: {paging}"));
        reader.page(&response, RECEIVED).unwrap().next.map(Cow::into_owned)
    }

    #[test]
    fn words_in_the_body_are_strings_or_for_a_cursor_numbers() {
        let (link, cursor) = ("{link: [/a.next, /next]}", "{cursor: /next, query: c}");
        for (paging, members, expected) in [
            (link, r#""next":"https://x/2""#, Some("https://x/2")),
            (link, r#""next":"https:\/\/x\/2""#, Some("https://x/2")),
            (link, r#""next":"second","a.next":"first""#, Some("first")),
            (link, r#""next":"second","a.next":"""#, Some("second")),
            (link, r#""next":"second","a.next":null"#, Some("second")),
            (link, r#""next":false"#, None),
            (link, r#""next":"""#, None),
            (link, r#""next":null"#, None),
            (link, r#""next":{}"#, None),
            (link, r#""other":1"#, None),
            (cursor, r#""next":"c""#, Some("c")),
            (cursor, r#""next":17"#, Some("17")),
            (cursor, r#""next":0"#, Some("0")),
            (cursor, r#""next":"""#, None),
            (cursor, r#""next":null"#, None),
            (cursor, r#""next":false"#, None),
            (cursor, r#""other":1"#, None),
            ("{page: p}", r#""next":"x""#, None),
            ("{offset: o}", r#""next":"x""#, None),
        ] {
            for body in [
                format!(r#"{{{members},"items":[]}}"#),
                format!(r#"{{"items":[{{"next":"no"}}],{members}}}"#),
            ] {
                assert_eq!(next(paging, &[], &body).as_deref(), expected, "{paging} {body}");
            }
        }
    }

    #[test]
    fn what_is_no_link_is_not_taken_for_the_end() {
        for (paging, headers, body) in [
            ("{link: /next}", &[][..], r#"{"items":[],"next":7}"#),
            ("{link_header: next}", &[("Link", "https://x/2; rel=next")], r#"{"items":[]}"#),
        ] {
            let response = with(answer(body), headers);
            let reader = reader(&format!("{PLAIN}next: {paging}"));
            let read = reader.page(&response, RECEIVED);
            assert!(matches!(read, Err(BodyError::Next(_))), "{paging}");
        }
    }

    #[test]
    fn words_in_a_header_are_found_in_any_case() {
        let (header, link) = ("{header: NextPageUri}", "{link_header: next}");
        let own = ("Link", r#"<https://x/1>; rel="self""#);
        for (paging, headers, expected) in [
            (header, &[("nextpageuri", "https://x/2")][..], Some("https://x/2")),
            (header, &[("NEXTPAGEURI", " https://x/2 ")], Some("https://x/2")),
            (header, &[("NextPageUri", "")], None),
            (header, &[own], None),
            (link, &[own, ("link", r#"<https://x/2>; rel="next""#)], Some("https://x/2")),
            (link, &[("LINK", "<https://x/1>; rel=self, </2>; rel=next")], Some("/2")),
            (link, &[("Link", "<>; rel=next")], None),
            (link, &[own], None),
            (link, &[], None),
        ] {
            let found = next(paging, headers, r#"{"items":[]}"#);
            assert_eq!(found.as_deref(), expected, "{paging} {headers:?}");
        }
    }

    #[test]
    fn an_empty_page_can_have_a_next_one() {
        let body = r#"{"items":[],"next":"x"}"#;
        assert_eq!(next("{link: /next}", &[], body).as_deref(), Some("x"));
        let response = with(Response { status: 204, ..Response::default() }, &[("Next", "x")]);
        let page = reader(&format!("{LINES}next: {{header: Next}}"));
        assert_eq!(page.page(&response, RECEIVED).unwrap().next.as_deref(), Some("x"));
    }
}

mod listings {
    use super::*;

    const GOOD: &str =
        r#"{"contentUri":"https://x/b1","contentId":"b1","contentCreated":"2026-01-01T00:00:00Z"}"#;

    #[test]
    fn entries_carry_their_link_id_and_time() {
        let other = GOOD.replace("b1", "b2");
        let response =
            with(answer(&format!("[{GOOD},{other}]")), &[("NextPageURI", "https://x/next")]);
        let listing = reader(BLOBS).listing(&response).unwrap();
        assert_eq!(listing.next.as_deref(), Some("https://x/next"));
        let [one, two] = listing.entries.as_slice() else { panic!("{listing:?}") };
        assert_eq!((one.link.as_ref(), two.link.as_ref()), ("https://x/b1", "https://x/b2"));
        assert_eq!(one.made, at("2026-01-01T00:00:00Z"));
        assert_eq!(one.key.bucket, Bucket::of(one.made));
        assert_ne!(one.key, two.key);
    }

    #[test]
    fn an_entry_that_cannot_be_followed_makes_the_body_invalid() {
        for (from, to, message) in [
            (r#""https://x/b1""#, "null", "expected a link at '/contentUri', found nothing"),
            (r#""https://x/b1""#, "\"\"", "expected a link at '/contentUri', found an empty text"),
            (r#""https://x/b1""#, "7", "expected a link at '/contentUri', found a number"),
            (r#""b1""#, "[]", "expected an id at '/contentId', found nothing"),
            (r#""b1""#, "\"\"", "expected an id at '/contentId', found an empty text"),
            ("Created", "Made", "expected a readable time at '/contentCreated', found nothing"),
            (
                "2026-01-01T00:00:00Z",
                "yesterday",
                "expected a readable time at '/contentCreated', found 'yesterday'",
            ),
            (
                r#""2026-01-01T00:00:00Z""#,
                "1767225600",
                "expected a readable time at '/contentCreated', found 1767225600",
            ),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let bad = GOOD.replace(from, to);
            let error = reader(BLOBS).listing(&answer(&format!("[{GOOD},{bad},7]"))).unwrap_err();
            assert_eq!(error.to_string(), format!("entry 2 of the listing: {message}"));
        }
    }

    #[test]
    fn a_listing_that_breaks_off_is_no_valid_json_whatever_its_entries_lack() {
        let error = reader(BLOBS).listing(&answer("[{},")).unwrap_err();
        assert!(matches!(error, BodyError::Json(_)), "{error}");
    }

    #[test]
    fn a_listing_can_be_lines_and_have_its_times_in_another_format() {
        let parts = BLOBS
            .replace("records: ''", "records: lines")
            .replace("window_on: /contentCreated", "window_on: {at: /made, format: seconds}");
        let response = answer("{\"contentUri\":\"/b\",\"contentId\":1,\"made\":5}\n");
        let listing = reader(&parts).listing(&response).unwrap();
        assert_eq!(listing.entries[0].made, Timestamp::from_secs(5));
    }

    #[test]
    fn the_events_of_a_blob_are_selected_by_when_it_was_made() {
        let made = at("2026-01-02T00:00:00Z");
        let response = with(
            answer(r#"[{"Id":"e","CreationTime":"2026-01-01T00:00:00"},{"Id":"f"}]"#),
            &[("NextPageUri", "https://x/next")],
        );
        let blob = reader(BLOBS).blob(&response, made, RECEIVED).unwrap();
        let times: Vec<_> = blob.events.iter().map(|e| (e.seen.time, e.seen.selected)).collect();
        assert_eq!(times, [(at("2026-01-01T00:00:00Z"), made), (RECEIVED, made)]);
        assert_eq!(blob.events[1].seen.fault, Some(Fault::NoTime));
        assert_eq!(blob.next, None);
    }

    #[test]
    fn a_blob_has_its_own_place_for_events() {
        let made = at("2026-01-02T00:00:00Z");
        for (records, body) in [
            ("/events", r#"{"events":[{"Id":1},{"Id":2}]}"#),
            ("lines", "{\"Id\":1}\n{\"Id\":2}\n"),
        ] {
            let with_records = format!("id: /contentId, records: {records}}}");
            let reader = reader(&BLOBS.replace("id: /contentId}", &with_records));
            let blob = answer(body);
            let events = reader.blob(&blob, made, RECEIVED).unwrap().events;
            assert_eq!(events.len(), 2, "{records}");
        }
    }

    #[test]
    fn a_blob_and_an_event_with_one_id_are_two_things() {
        let reader = reader(BLOBS);
        let listing = answer(&format!("[{GOOD}]"));
        let blob = answer(r#"[{"Id":"b1","CreationTime":"2026-01-01T00:00:00"}]"#);
        let entry = reader.listing(&listing).unwrap().entries[0].key;
        let event = reader.blob(&blob, RECEIVED, RECEIVED).unwrap().events[0].seen.key;
        assert_eq!(entry.bucket, event.bucket);
        assert_ne!(entry.id, event.id);
    }

    #[test]
    fn the_subscriptions_that_are_on_are_named() {
        let list = r#"[{"kind":"a","status":"enabled"},{"kind":"b","status":"disabled"},
            {"kind":"c"},{"status":"enabled"},{"kind":"d","status":"enabled","more":null}]"#;
        assert_eq!(reader(BLOBS).subscriptions(&answer(list)).unwrap(), ["a", "d"]);
        assert!(reader(BLOBS).subscriptions(&answer("[]")).unwrap().is_empty());
        let error = reader(BLOBS).subscriptions(&answer("{}")).unwrap_err();
        assert_eq!(error.to_string(), "expected an array at '' of the body, found none");
        let switch = BLOBS.replace("is: enabled", "is: 'true'");
        let list = r#"[{"kind":"a","status":true},{"kind":"b","status":false}]"#;
        assert_eq!(reader(&switch).subscriptions(&answer(list)).unwrap(), ["a"]);
    }

    #[test]
    fn a_body_that_the_definition_does_not_have_is_refused() {
        let response = answer("[]");
        let (plain, blobs) = (reader(PLAIN), reader(BLOBS));
        let undefined = |error| matches!(error, BodyError::Undefined(_));
        assert!(undefined(plain.listing(&response).unwrap_err()));
        assert!(undefined(plain.blob(&response, RECEIVED, RECEIVED).unwrap_err()));
        assert!(undefined(plain.subscriptions(&response).unwrap_err()));
        assert!(undefined(blobs.page(&response, RECEIVED).unwrap_err()));
    }
}

mod failures {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    fn refusal(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
        with(Response { status, ..answer(body) }, headers)
    }

    fn wait(seconds: u64) -> FailureKind {
        FailureKind::Throttled(Some(Duration::from_secs(seconds)))
    }

    #[test]
    fn answers_are_told_apart_by_what_to_do() {
        let after = &[("Retry-After", "7")][..];
        for (status, headers, expected) in [
            (429, after, wait(7)),
            (429, &[], FailureKind::Throttled(None)),
            (503, after, wait(7)),
            (503, &[], FailureKind::Transient),
            (500, &[], FailureKind::Transient),
            (500, after, wait(7)),
            (403, after, wait(7)),
            (408, &[], FailureKind::Transient),
            (401, &[], FailureKind::Unauthorized),
            (403, &[], FailureKind::Refused),
            (404, &[], FailureKind::Refused),
            (410, &[], FailureKind::Refused),
            (400, &[], FailureKind::Refused),
            (302, &[], FailureKind::Refused),
        ] {
            let kind = failure(&refusal(status, headers, ""), None, NOW).unwrap().kind;
            assert_eq!(kind, expected, "{status} {headers:?}");
            let known = failure(&refusal(status, headers, ""), Some(&definition(PLAIN)), NOW);
            assert_eq!(known.unwrap().kind, expected, "{status} {headers:?}");
        }
        for status in [200, 204] {
            assert_eq!(failure(&refusal(status, &[], ""), None, NOW), None);
        }
    }

    #[test]
    fn what_a_code_means_counts_more_than_the_status() {
        let errors = "errors: {fine: ok, slow: throttled, who: unauthorized, dead: restart, lost: gone, off: subscribe, hiccup: retry}";
        let definition = definition(&format!("{PLAIN}{errors}"));
        for (status, code, expected) in [
            (400, "fine", None),
            (403, "slow", Some(FailureKind::Throttled(None))),
            (403, "who", Some(FailureKind::Unauthorized)),
            (500, "dead", Some(FailureKind::Refused)),
            (404, "lost", Some(FailureKind::Gone)),
            (400, "off", Some(FailureKind::Unsubscribed)),
            (400, "hiccup", Some(FailureKind::Transient)),
            (401, "hiccup", Some(FailureKind::Transient)),
            (403, "other", Some(FailureKind::Refused)),
            (404, "Lost", Some(FailureKind::Refused)),
            // Too many requests are too many, whatever else there is.
            (429, "fine", Some(FailureKind::Throttled(None))),
            (429, "who", Some(FailureKind::Throttled(None))),
            (200, "slow", None),
        ] {
            let body = format!(r#"{{"error":{{"code":"{code}","message":"m"}}}}"#);
            let found = failure(&refusal(status, &[], &body), Some(&definition), NOW);
            assert_eq!(found.as_ref().map(|failure| failure.kind), expected, "{status} {code}");
            if let Some(failure) = found {
                assert_eq!((failure.status, failure.error.as_str()), (status, code));
            }
        }
        let body = r#"{"error":{"code":"slow"}}"#;
        let told = refusal(403, &[("Retry-After", "7")], body);
        assert_eq!(failure(&told, Some(&definition), NOW).unwrap().kind, wait(7));
        // Without the definition, a code is but a word.
        let untold = refusal(403, &[], body);
        assert_eq!(failure(&untold, None, NOW).unwrap().kind, FailureKind::Refused);
    }

    #[test]
    fn without_retry_after_the_wait_ends_when_the_budget_is_whole_again() {
        let parts = format!(
            "{PLAIN}quota: {{remaining: X-Left, reset: X-Reset}}\nerrors: {{slow: throttled}}"
        );
        let definition = definition(&parts);
        for (headers, expected) in [
            (&[("X-Reset", "1030")][..], wait(30)),
            (&[("X-Reset", "1030"), ("Retry-After", "7")], wait(7)),
            (&[("X-Reset", "1030"), ("Retry-After", "soon")], wait(30)),
            (&[("X-Reset", "1030"), ("Date", "Thu, 01 Jan 1970 00:16:50 GMT")], wait(20)),
            (&[("X-Reset", "99999999")], wait(3_600)),
            (&[("X-Reset", "1000")], FailureKind::Throttled(None)),
            (&[("X-Reset", "10")], FailureKind::Throttled(None)),
            (&[("X-Reset", "soon")], FailureKind::Throttled(None)),
            (&[], FailureKind::Throttled(None)),
        ] {
            for (status, body) in [(429, ""), (403, r#"{"code":"slow"}"#)] {
                let kind = failure(&refusal(status, headers, body), Some(&definition), NOW);
                assert_eq!(kind.unwrap().kind, expected, "{status} {headers:?}");
            }
            // A server's error is none of the budget.
            let told = headers.contains(&("Retry-After", "7"));
            let kind = failure(&refusal(503, headers, ""), Some(&definition), NOW).unwrap().kind;
            assert_eq!(kind, if told { wait(7) } else { FailureKind::Transient }, "{headers:?}");
        }
    }

    #[test]
    fn an_error_is_named_by_its_code_never_by_its_text() {
        let long = format!(r#"{{"code":"{}"}}"#, "x".repeat(81));
        for (body, expected) in [
            (r#"{"error":{"code":"BadRequest","message":"x"}}"#, "BadRequest"),
            (r#"{"error":{"code":429}}"#, "429"),
            (r#"{"error":"invalid_client"}"#, "invalid_client"),
            (r#"{"errorCode":"E0000047"}"#, "E0000047"),
            (r#"{"code":50}"#, "50"),
            (r#"{"odata.error":{"code":"Request_BadRequest"}}"#, "Request_BadRequest"),
            (r#"{"code":"c","error":{"code":"first"}}"#, "first"),
            (r#"{"error":"the text of it","errorCode":"E1"}"#, "E1"),
            (r#"{"error":{"code":""},"code":"c"}"#, "c"),
            (r#"{"error":"the secret hunter2 is wrong"}"#, ""),
            (r#"{"error":{"message":"x"}}"#, ""),
            (r#"{"error":true}"#, ""),
            (r#"{"error":{"code":"cut"}"#, ""),
            (long.as_str(), ""),
            ("[]", ""),
            ("<html>", ""),
            ("", ""),
        ] {
            assert_eq!(error_code(body.as_bytes()), expected, "{body}");
        }
        assert_eq!(error_code(b"\xff"), "");
    }
}
