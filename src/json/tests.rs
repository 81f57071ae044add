//! Tables for what is easy to name, properties against `serde_json` for the rest.

use std::borrow::Cow;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::*;

fn pointer(text: &str) -> Pointer {
    Pointer::parse(text).expect("a pointer")
}

fn pointers(texts: &[&str]) -> Vec<Pointer> {
    texts.iter().copied().map(pointer).collect()
}

fn shape(records: &str, of_event: &[&str], of_page: &[&str]) -> PageShape {
    PageShape {
        records: pointer(records),
        of_event: pointers(of_event),
        of_page: pointers(of_page),
    }
}

/// The events and the tail, or the message.
fn scan<'a>(page: &'a str, shape: &PageShape) -> Result<(Vec<RawEvent<'a>>, PageTail<'a>), String> {
    let mut events = Vec::new();
    scan_page(page, shape, &mut |event| events.push(event.clone()))
        .map(|tail| (events, tail))
        .map_err(|error| error.to_string())
}

fn raws<'a>(page: &'a str, records: &str) -> Vec<&'a str> {
    let (events, _) = scan(page, &shape(records, &[], &[])).expect("valid");
    events.iter().map(|event| event.raw).collect()
}

fn of_page<'a>(page: &'a str, of_page: &[&str]) -> Slots<'a> {
    let (_, tail) = scan(page, &shape("/value", &[], of_page)).expect("valid");
    tail.found
}

fn found<'a>(doc: &'a str, at: &str) -> Option<Scalar<'a>> {
    find(doc, &pointer(at)).expect("valid")
}

fn text(text: &str) -> Option<Scalar<'_>> {
    Some(Scalar::Str(Cow::Borrowed(text)))
}

mod pointers {
    use super::*;

    #[test]
    fn printing_gives_back_what_was_parsed() {
        for source in ["", "/", "/a/b", "/a~1b/~0", "/~01", "//", "/0/01", "/@odata.nextLink", "/ü"]
        {
            assert_eq!(pointer(source).to_string(), source);
        }
    }

    #[test]
    fn a_pointer_starts_with_a_slash() {
        let error = Pointer::parse("value").unwrap_err();
        insta::assert_snapshot!(error, @r#"expected a JSON pointer to be empty or to start with '/', found "value""#);
    }

    #[test]
    fn a_tilde_needs_zero_or_one() {
        for (source, at) in [("/a~", 2), ("/~2", 1), ("/~0~/", 3)] {
            let error = Pointer::parse(source).unwrap_err();
            let pointer = source.to_owned();
            assert_eq!(error, PointerError::BadEscape { pointer, offset: at });
        }
    }

    #[test]
    fn a_pointer_has_a_limit() {
        assert!(Pointer::parse(&"/a".repeat(64)).is_ok());
        let error = Pointer::parse(&"/a".repeat(65)).unwrap_err();
        assert_eq!(error, PointerError::TooLong { tokens: 65 });
    }
}

mod finding {
    use super::*;

    #[test]
    fn scalars_come_as_they_stand() {
        let doc = r#" {"s": "x\ty", "n": -1.50e+3, "t": true, "f": false, "z": null} "#;
        assert_eq!(found(doc, "/s"), text("x\ty"));
        assert_eq!(found(doc, "/n"), Some(Scalar::Number("-1.50e+3")));
        assert_eq!(found(doc, "/t"), Some(Scalar::Bool(true)));
        assert_eq!(found(doc, "/f"), Some(Scalar::Bool(false)));
        assert_eq!(found(doc, "/z"), None);
        assert_eq!(found(doc, "/absent"), None);
    }

    #[test]
    fn a_string_without_escapes_is_borrowed() {
        let doc = r#"["plain", "esc\u0061ped"]"#;
        assert!(matches!(found(doc, "/0"), Some(Scalar::Str(Cow::Borrowed("plain")))));
        assert!(
            matches!(found(doc, "/1"), Some(Scalar::Str(Cow::Owned(text))) if text == "escaped")
        );
    }

    #[test]
    fn containers_are_no_scalars() {
        assert_eq!(found(r#"{"a": {}, "b": [1]}"#, "/a"), None);
        assert_eq!(found(r#"{"a": {}, "b": [1]}"#, "/b"), None);
    }

    #[test]
    fn the_empty_pointer_is_the_document() {
        assert_eq!(found(" 1 ", ""), Some(Scalar::Number("1")));
    }

    #[test]
    fn tokens_are_names_or_indices() {
        let doc = r#"{"a": [{"b": "x"}, ["y"]], "0": "z", "": "e", "m/n~": "t"}"#;
        for (at, value) in [
            ("/a/0/b", text("x")),
            ("/a/1/0", text("y")),
            ("/a/2", None),
            ("/a/01", None),
            ("/a/b", None),
            ("/0", text("z")),
            ("/", text("e")),
            ("/m~1n~0", text("t")),
        ] {
            assert_eq!(found(doc, at), value, "{at}");
        }
    }

    #[test]
    fn names_match_after_unescaping() {
        assert_eq!(found(r#"{"\u0061\/b": 1}"#, "/a~1b"), Some(Scalar::Number("1")));
    }

    #[test]
    fn the_last_of_equal_names_wins() {
        assert_eq!(found(r#"{"a": 1, "a": 2}"#, "/a"), Some(Scalar::Number("2")));
        assert_eq!(found(r#"{"a": 1, "a": null}"#, "/a"), None);
        assert_eq!(found(r#"{"a": {"b": 1}, "a": 2}"#, "/a/b"), None);
        assert_eq!(found(r#"{"a": {"b": 1}, "a": {}}"#, "/a/b"), None);
    }

    #[test]
    fn lone_surrogates_become_replacement_characters() {
        for (doc, value) in [
            (r#""\ud83d\ude00""#, "\u{1f600}"),
            (r#""\ud83d""#, "\u{fffd}"),
            (r#""\ude00x""#, "\u{fffd}x"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (r#""\ud83d\n""#, "\u{fffd}\n"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
            (r#""\ud83dé""#, "\u{fffd}é"),
        ] {
            assert_eq!(found(doc, ""), text(value), "{doc}");
        }
    }

    #[test]
    fn every_escape_is_undone() {
        let doc = r#""\"\\\/\b\f\n\r\t\u00e9\u20AC""#;
        assert_eq!(found(doc, ""), text("\"\\/\u{8}\u{c}\n\r\té€"));
    }
}

mod pages {
    use super::*;

    #[test]
    fn an_event_is_exactly_its_bytes() {
        let page = "{ \"value\" : [ {\"a\" : 1 } ,\n\t[ 1 ], \"s\",-1 , null,{} ] }";
        let events = raws(page, "/value");
        assert_eq!(events, ["{\"a\" : 1 }", "[ 1 ]", "\"s\"", "-1", "null", "{}"]);
    }

    #[test]
    fn the_whole_body_can_be_the_array() {
        assert_eq!(raws(" [1,2] ", ""), ["1", "2"]);
    }

    #[test]
    fn records_can_be_deep() {
        assert_eq!(raws(r#"{"d":[0,{"r":[1]}]}"#, "/d/1/r"), ["1"]);
    }

    #[test]
    fn no_array_no_records() {
        for (page, has_records) in [
            (r#"{"value": []}"#, true),
            (r#"{"value": {}}"#, false),
            (r#"{"value": "x"}"#, false),
            (r#"{"values": []}"#, false),
            ("[[]]", false),
            ("null", false),
        ] {
            let (events, tail) = scan(page, &shape("/value", &[], &[])).expect("valid");
            assert_eq!((events.len(), tail.has_records), (0, has_records), "{page}");
        }
    }

    #[test]
    fn what_is_found_comes_in_the_order_of_the_shape() {
        let page = r#"{"value": [
            {"t": "now", "b": {"c": 2}, "a": "x"},
            {"b": {"c": null}, "a": true},
            {"b": 1, "t": 5},
            7
        ]}"#;
        let (events, tail) =
            scan(page, &shape("/value", &["/a", "/b/c", "/t"], &[])).expect("valid");
        let found: Vec<_> = events.iter().map(|event| event.found.clone()).collect();
        let number = |digits| Some(Scalar::Number(digits));
        assert_eq!(tail.events, 4);
        assert_eq!(
            found,
            [
                vec![text("x"), number("2"), text("now")],
                vec![Some(Scalar::Bool(true)), None, None],
                vec![None, None, number("5")],
                vec![None, None, None],
            ]
        );
    }

    #[test]
    fn one_member_can_be_asked_for_twice() {
        let shape = shape("", &["/a", "/b", "/a"], &[]);
        let (events, _) = scan(r#"[{"a": 1}]"#, &shape).expect("valid");
        let one = Some(Scalar::Number("1"));
        assert_eq!(events[0].found, [one.clone(), None, one]);
    }

    #[test]
    fn what_is_asked_of_the_page_stands_before_or_after_the_records() {
        for page in [
            r#"{"next": "u", "value": [{"next": "no"}]}"#,
            r#"{"value": [{"next": "no"}], "next": "u"}"#,
        ] {
            assert_eq!(of_page(page, &["/next"]), [text("u")], "{page}");
        }
    }

    #[test]
    fn what_is_asked_of_the_page_can_stand_in_the_records() {
        let page = r#"{"value": [{"n": "u"}, {"n": "v"}]}"#;
        assert_eq!(of_page(page, &["/value/1/n"]), [text("v")]);
        assert_eq!(raws(page, "/value").len(), 2);
    }

    #[test]
    fn nesting_is_limited_by_the_length_only() {
        let deep =
            format!("{}{}", "[{\"a\":".repeat(10_000), "1".to_owned() + &"}]".repeat(10_000));
        let page = format!("{{\"value\":[{deep}],\"next\":\"u\"}}");
        assert_eq!(raws(&page, "/value"), [deep.as_str()]);
        assert!(scan(&"[".repeat(1_000_000), &shape("/value", &[], &[])).is_err());
    }

    #[test]
    fn brackets_match_at_every_depth() {
        for depth in [1, 2, 63, 64, 65, 128, 129, 200] {
            let page = |last: &str| {
                format!(
                    "{}{}{last}",
                    "[{\"a\":".repeat(depth),
                    "0".to_owned() + &"}]".repeat(depth - 1)
                )
            };
            assert!(find(&page("}]"), &pointer("/x")).is_ok(), "{depth}");
            assert!(find(&page("]]"), &pointer("/x")).is_err(), "{depth}");
            assert!(find(&page("}}"), &pointer("/x")).is_err(), "{depth}");
        }
    }
}

mod errors {
    use super::*;

    /// Every one of these is checked twice: where it is skipped and where it is looked at.
    #[test]
    fn say_where_and_what() {
        let table = [
            ("", "expected a value, found nothing in 0 bytes"),
            (" \n", "expected a value, found nothing in 2 bytes"),
            ("\u{feff}1", "expected a value at byte 0, found '\\u{feff}'"),
            ("[1x]", "expected ',' or ']' at byte 2, found 'x'"),
            ("[1,]", "expected a value at byte 3, found ']'"),
            ("[1", "ended at byte 2 in the middle of an array"),
            ("[", "ended at byte 1 in the middle of an array"),
            ("{\"a\":1]", "expected ',' or '}' at byte 6, found ']'"),
            ("{\"a\" 1}", "expected ':' after a key at byte 5, found '1'"),
            ("{a:1}", "expected a string as the next key at byte 1, found 'a'"),
            ("{\"a\":1,}", "expected a string as the next key at byte 7, found '}'"),
            ("{", "ended at byte 1 in the middle of an object"),
            ("1 ü", "expected the end of the text at byte 2, found 'ü'"),
            ("\"abc", "ended at byte 4 in the middle of a string"),
            ("\"abc\\", "ended at byte 5 in the middle of a string"),
            ("\"\n\"", "expected a control character to be escaped at byte 1, found '\\n'"),
            ("\"\\x\"", "expected one of \"\\/bfnrtu after a backslash at byte 2, found 'x'"),
            ("\"\\u12é4\"", "expected four hexadecimal digits after \\u at byte 5, found 'é'"),
            ("\"\\u12", "ended at byte 5 in the middle of a string"),
            ("-", "ended at byte 1 in the middle of a number"),
            ("1.", "ended at byte 2 in the middle of a number"),
            ("1.e1", "expected a digit at byte 2, found 'e'"),
            ("1e+", "ended at byte 3 in the middle of a number"),
            ("01", "expected no digit after a leading zero at byte 1, found '1'"),
            ("+1", "expected a value at byte 0, found '+'"),
            ("trup", "expected true at byte 3, found 'p'"),
            ("nul", "ended at byte 3 in the middle of a literal"),
            ("falsey", "expected the end of the text at byte 5, found 'y'"),
        ];
        for (text, message) in table {
            let skipped = find(text, &pointer("/x")).unwrap_err();
            let seen = find(text, &pointer("")).unwrap_err();
            assert_eq!(skipped.to_string(), message, "skipped {text:?}");
            assert_eq!(seen.to_string(), message, "looked at {text:?}");
            assert!(serde_json::from_str::<IgnoredAny>(text).is_err());
        }
    }

    #[test]
    fn a_page_that_breaks_off_is_not_empty() {
        let shape = shape("/value", &[], &[]);
        for page in [r#"{"other":"#, r#"{"value":[],"other": "#, r#"{"value":["#] {
            let message = scan(page, &shape).unwrap_err();
            assert!(message.starts_with(&format!("ended at byte {}", page.len())), "{message}");
        }
    }

    #[test]
    fn events_before_an_error_are_delivered() {
        let mut seen = Vec::new();
        let shape = shape("", &[], &[]);
        let result = scan_page("[1,2,x]", &shape, &mut |event| seen.push(event.raw));
        assert_eq!(seen, ["1", "2"]);
        assert!(result.is_err());
    }
}

mod lines {
    use super::*;

    #[test]
    fn each_line_is_a_value() {
        for (text, expected) in [
            ("", &[][..]),
            ("\n \r\n\t\n", &[]),
            ("1", &["1"]),
            ("1\n", &["1"]),
            ("1\r\n2\r\n", &["1", "2"]),
            ("\n\n {\"a\": 1} \n\n[2]\r", &["{\"a\": 1}", "[2]"]),
            ("\"\\n\"\n\"é\"", &["\"\\n\"", "\"é\""]),
        ] {
            assert_eq!(lines(text).map(|found| raws_of(&found)), Ok(expected.to_vec()), "{text:?}");
        }
    }

    #[test]
    fn a_line_that_is_no_value_spoils_the_text_and_is_shown_where_it_stands() {
        for (text, message) in [
            ("1\n{\"a\":\n2}", "ended at byte 7 in the middle of the document"),
            ("1\n2 3", "expected the end of the text at byte 4, found '3'"),
            ("1\n2,\n3", "expected the end of the text at byte 3, found ','"),
            ("1\r2", "expected the end of the text at byte 2, found '2'"),
            ("[1\n]", "ended at byte 2 in the middle of an array"),
            ("1\n\n{\"id\":\"x", "ended at byte 11 in the middle of a string"),
            ("1\nnul\n", "ended at byte 5 in the middle of a literal"),
        ] {
            assert_eq!(lines(text).unwrap_err(), message, "{text:?}");
        }
    }

    #[test]
    fn a_line_with_something_after_its_value_is_not_delivered() {
        let mut seen = Vec::new();
        let result = scan_lines("1\n2 x\n3", &[], &mut |event| seen.push(event.raw));
        assert_eq!(seen, ["1"]);
        assert!(result.is_err());
    }
}

/// The values of JSON lines, or the message.
fn lines(text: &str) -> Result<Vec<RawEvent<'_>>, String> {
    let mut events = Vec::new();
    let of_event = pointers(&["/id", "/time"]);
    let count = scan_lines(text, &of_event, &mut |event| events.push(event.clone()))
        .map_err(|error| error.to_string())?;
    assert_eq!(count, events.len());
    Ok(events)
}

fn raws_of<'a>(events: &[RawEvent<'a>]) -> Vec<&'a str> {
    events.iter().map(|event| event.raw).collect()
}

/// A tree of everything JSON has; strings in all lengths around the chunks of the scanner.
fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        string().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Value::from),
            btree_map(string(), inner, 0..8)
                .prop_map(|members| Value::from(Map::from_iter(members))),
        ]
    })
}

fn string() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-z\"\\\\\u{1}\n é😀]{0,40}",
        select(vec!["id", "time", "next", "value", ""]).prop_map(str::to_owned),
    ]
}

fn print(value: &Value, pretty: bool) -> String {
    let printed =
        if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
    printed.expect("a value can be printed")
}

/// What `serde_json` finds, in our words.
fn expected(value: Option<&Value>) -> Option<Scalar<'static>> {
    match value? {
        Value::String(text) => Some(Scalar::Str(Cow::Owned(text.clone()))),
        Value::Number(number) => Some(Scalar::Number(number.to_string().leak())),
        Value::Bool(value) => Some(Scalar::Bool(*value)),
        _ => None,
    }
}

/// All places in a tree.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    let mut below = |token: &str, value| {
        let token = token.replace('~', "~0").replace('/', "~1");
        places(value, &format!("{at}/{token}"), all);
    };
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                below(&index.to_string(), item);
            }
        }
        Value::Object(members) => members.iter().for_each(|(name, value)| below(name, value)),
        _ => {}
    }
}

/// A change of one character, or a cut.
fn mutate(text: &str, place: Index, kind: u8, with: char) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let at = place.index(chars.len());
    match kind {
        0 => chars[at] = with,
        1 => drop(chars.remove(at)),
        2 => chars.insert(at, with),
        _ => chars.truncate(at),
    }
    chars.into_iter().collect()
}

fn interesting() -> impl Strategy<Value = char> {
    let chars = "[]{}:,\"\\ \n\t\r\u{0}\u{1f}\u{7f}é0123456789-+.eEuUntfbrtru/xdDaf";
    select(chars.chars().collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn slices_are_the_elements(events in vec(tree(), 0..6), pretty: bool) {
        let page = serde_json::json!({"before": [{}], "value": &events, "z": "after"});
        let printed = print(&page, pretty);
        let slices = raws(&printed, "/value");
        let parsed: Vec<Value> = slices.iter().map(|raw| serde_json::from_str(raw).expect("valid")).collect();
        let reparsed: Value = serde_json::from_str(&printed).expect("valid");
        prop_assert_eq!(&Value::from(parsed), &reparsed["value"]);
        for (slice, event) in slices.iter().zip(&events) {
            prop_assert_eq!(slice.trim(), *slice);
            prop_assert!(pretty || *slice == print(event, false));
        }
    }

    #[test]
    fn every_place_is_found(value in tree(), place: Index, pretty: bool) {
        let mut all = Vec::new();
        places(&value, "", &mut all);
        let at = place.get(&all);
        let printed = print(&value, pretty);
        prop_assert_eq!(found(&printed, at), expected(value.pointer(at)));
    }

    #[test]
    fn what_is_asked_of_events_and_page_is_found(
        events in vec(tree(), 1..5),
        names in vec(string(), 4),
        next in tree(),
        first: bool,
    ) {
        let (of_event, of_page) = (["/id", "/id/id", "/time"], ["/a", "/z/next", "/z"]);
        let key = if first { "a" } else { "z" };
        let page = serde_json::json!({"value": &events, key: &next, "more": names});
        let printed = print(&page, false);
        let (scanned, tail) = scan(&printed, &shape("/value", &of_event, &of_page)).expect("valid");
        for (raw, event) in scanned.iter().zip(&events) {
            let wanted = of_event.map(|at| expected(event.pointer(at)));
            prop_assert_eq!(&raw.found, &wanted);
        }
        let wanted = of_page.map(|at| expected(page.pointer(at)));
        prop_assert_eq!(&tail.found, &wanted);
        prop_assert_eq!(&find_all(&printed, &pointers(&of_page)).expect("valid"), &wanted);
    }

    #[test]
    fn accepts_what_serde_json_accepts(
        value in tree(),
        pretty: bool,
        changes in vec((any::<Index>(), 0u8..4, interesting()), 1..4),
    ) {
        let mut text = print(&serde_json::json!({"value": [value]}), pretty);
        for (place, kind, with) in changes {
            if !text.is_empty() {
                text = mutate(&text, place, kind, with);
            }
        }
        let valid = serde_json::from_str::<IgnoredAny>(&text).is_ok();
        let shape = shape("/value", &["/id", "/time"], &["/next"]);
        prop_assert_eq!(scan(&text, &shape).is_ok(), valid, "{}", text);
        prop_assert_eq!(find(&text, &pointer("/value/0")).is_ok(), valid, "{}", text);
    }

    #[test]
    fn accepts_the_numbers_that_serde_json_accepts(text in "-?[0-9+.eE-]{0,8}") {
        let valid = serde_json::from_str::<IgnoredAny>(&text).is_ok();
        prop_assert_eq!(find(&text, &pointer("")).is_ok(), valid, "{}", text);
    }

    #[test]
    fn lines_give_the_same_events_as_the_array_of_them(
        events in vec(tree(), 0..8),
        ends in vec(select(vec!["\n", "\r\n", "\n\n", " \n\t\r\n"]), 8),
        ended: bool,
    ) {
        let printed: Vec<String> = events.iter().map(|event| print(event, false)).collect();
        let mut text = String::new();
        for (event, end) in printed.iter().zip(&ends) {
            text.push_str(event);
            text.push_str(end);
        }
        let text = if ended { text.as_str() } else { text.trim_end() };
        let array = format!("[{}]", printed.join(","));
        let (of_array, _) = scan(&array, &shape("", &["/id", "/time"], &[])).expect("valid");
        prop_assert_eq!(lines(text), Ok(of_array));
    }

    #[test]
    fn lines_are_accepted_if_each_of_them_is(
        events in vec(tree(), 1..4),
        changes in vec((any::<Index>(), 0u8..4, interesting()), 1..4),
    ) {
        let printed: Vec<String> = events.iter().map(|event| print(event, false)).collect();
        let mut text = printed.join("\n");
        for (place, kind, with) in changes {
            if !text.is_empty() {
                text = mutate(&text, place, kind, with);
            }
        }
        let is_blank = |line: &&str| line.chars().all(|c| matches!(c, ' ' | '\t' | '\r'));
        let mut written = text.split('\n').filter(|line| !is_blank(line));
        let valid = written.all(|line| serde_json::from_str::<IgnoredAny>(line).is_ok());
        prop_assert_eq!(lines(&text).is_ok(), valid, "{:?}", text);
    }
}
