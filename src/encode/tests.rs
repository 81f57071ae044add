//! What is written, read back by a decoder of our own that keeps order and duplicates.

use proptest::collection::vec;
use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::msgpack::{DEPTH_MAX, TranscodeError, transcode};
use super::provenance::{ADDED_BYTES, Provenance};
use super::record::{BODY_DEPTH_MAX, begin, raw, record};
use crate::model::Timestamp;

/// A value of JSON or MessagePack. Unlike `serde_json::Value`: names in order, also twice.
#[derive(Clone, Debug, PartialEq)]
enum Tree {
    Nil,
    Bool(bool),
    Int(i128),
    Double(f64),
    Text(String),
    List(Vec<Tree>),
    Map(Vec<(Tree, Tree)>),
    Time(u32, u32),
}

impl Tree {
    fn to_json(&self) -> String {
        let all = |parts: Vec<String>| parts.join(" , ");
        match self {
            Tree::Nil => "null".to_owned(),
            Tree::Bool(value) => value.to_string(),
            Tree::Int(number) => number.to_string(),
            Tree::Double(number) => serde_json::to_string(number).expect("printable"),
            Tree::Text(text) => serde_json::to_string(text).expect("printable"),
            Tree::List(items) => format!("[{}]", all(items.iter().map(Tree::to_json).collect())),
            Tree::Map(members) => {
                let member = |(key, value): &(Tree, Tree)| key.to_json() + ": " + &value.to_json();
                format!("{{ {} }}", all(members.iter().map(member).collect()))
            }
            Tree::Time(..) => unreachable!("not in JSON"),
        }
    }
}

/// Reads one value after the other; every number must have the shortest form.
struct Decoder<'a>(&'a [u8]);

impl Decoder<'_> {
    fn take(&mut self, len: usize) -> &[u8] {
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }

    fn uint(&mut self, len: usize) -> u64 {
        self.take(len).iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn len(&mut self, len: usize) -> usize {
        usize::try_from(self.uint(len)).expect("fits")
    }

    fn int(&mut self, len: usize) -> Tree {
        let shift = 64 - 8 * len;
        Tree::Int(i128::from((self.uint(len) << shift).cast_signed() >> shift))
    }

    fn text(&mut self, len: usize) -> Tree {
        Tree::Text(String::from_utf8(self.take(len).to_vec()).expect("UTF-8"))
    }

    fn list(&mut self, len: usize) -> Tree {
        Tree::List((0..len).map(|_| self.value()).collect())
    }

    fn map(&mut self, len: usize) -> Tree {
        Tree::Map((0..len).map(|_| (self.value(), self.value())).collect())
    }

    fn value(&mut self) -> Tree {
        let marker = self.take(1)[0];
        match marker {
            0x00..=0x7f => Tree::Int(i128::from(marker)),
            0x80..=0x8f => self.map(usize::from(marker & 15)),
            0x90..=0x9f => self.list(usize::from(marker & 15)),
            0xa0..=0xbf => self.text(usize::from(marker & 31)),
            0xc0 => Tree::Nil,
            0xc2 | 0xc3 => Tree::Bool(marker == 0xc3),
            0xcb => Tree::Double(f64::from_bits(self.uint(8))),
            0xcc..=0xcf => Tree::Int(i128::from(self.uint(1 << (marker - 0xcc)))),
            0xd0..=0xd3 => self.int(1 << (marker - 0xd0)),
            0xd7 => {
                assert_eq!(self.uint(1), 0, "the type of a time");
                let mut part = || u32::try_from(self.uint(4)).expect("four bytes");
                Tree::Time(part(), part())
            }
            0xd9..=0xdb => {
                let len = self.len(1 << (marker - 0xd9));
                self.text(len)
            }
            0xdc | 0xdd => {
                let len = self.len(2 << (marker - 0xdc));
                self.list(len)
            }
            0xde | 0xdf => {
                let len = self.len(2 << (marker - 0xde));
                self.map(len)
            }
            0xe0..=0xff => Tree::Int(i128::from(marker.cast_signed())),
            _ => panic!("unexpected marker {marker:#x}"),
        }
    }
}

fn decode(bytes: &[u8]) -> Tree {
    let mut decoder = Decoder(bytes);
    let value = decoder.value();
    assert_eq!(decoder.0, b"", "nothing is left");
    value
}

fn transcoded(json: &str) -> Vec<u8> {
    let mut out = Vec::new();
    transcode(json, &mut out).expect(json);
    out
}

fn text(text: &str) -> Tree {
    Tree::Text(text.to_owned())
}

mod values {
    use super::*;

    #[test]
    fn integers_take_the_fewest_bytes() {
        let table: [(&str, &[u8]); 20] = [
            ("0", &[0]),
            ("127", &[0x7f]),
            ("128", &[0xcc, 0x80]),
            ("255", &[0xcc, 0xff]),
            ("256", &[0xcd, 1, 0]),
            ("65535", &[0xcd, 0xff, 0xff]),
            ("65536", &[0xce, 0, 1, 0, 0]),
            ("4294967295", &[0xce, 0xff, 0xff, 0xff, 0xff]),
            ("4294967296", &[0xcf, 0, 0, 0, 1, 0, 0, 0, 0]),
            ("9223372036854775807", &[0xcf, 0x7f, 255, 255, 255, 255, 255, 255, 255]),
            ("18446744073709551615", &[0xcf, 255, 255, 255, 255, 255, 255, 255, 255]),
            ("-1", &[0xff]),
            ("-32", &[0xe0]),
            ("-33", &[0xd0, 0xdf]),
            ("-128", &[0xd0, 0x80]),
            ("-129", &[0xd1, 0xff, 0x7f]),
            ("-32768", &[0xd1, 0x80, 0]),
            ("-32769", &[0xd2, 0xff, 0xff, 0x7f, 0xff]),
            ("-2147483649", &[0xd3, 255, 255, 255, 255, 0x7f, 255, 255, 255]),
            ("-9223372036854775808", &[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        ];
        for (json, bytes) in table {
            assert_eq!(transcoded(json), bytes, "{json}");
        }
    }

    #[test]
    fn what_a_double_holds_is_a_double() {
        for json in [
            "0.0",
            "1.0",
            "1e2",
            "-1.50",
            "0.1",
            "1E+2",
            "1e-7",
            "47.36865",
            "1e22",
            "1e23",
            "5e-324",
            "2.2250738585072014e-308",
            "1.7976931348623157e308",
            "0.30000000000000004",
            "100000000000000000000",
            "0e999999999999999999999",
            "0.1000000000000000000000",
            "123456789012345.6",
            "1544692465434695.2",
            "1544692465434695.3",
        ] {
            let number: f64 = json.parse().expect(json);
            assert_eq!(decode(&transcoded(json)), Tree::Double(number), "{json}");
        }
    }

    #[test]
    fn the_zero_below_zero_stays_there() {
        for json in ["-0", "-0.0", "-0e5"] {
            assert_eq!(transcoded(json), [0xcb, 0x80, 0, 0, 0, 0, 0, 0, 0], "{json}");
        }
    }

    #[test]
    fn what_no_number_holds_is_a_string() {
        for json in [
            "18446744073709551616",
            "-9223372036854775809",
            "1e400",
            "-1e400",
            "1e-400",
            "0.1234567890123456789",
            "3.141592653589793238",
            "1e99999999999999999999",
            "1e-99999999999999999999",
            "123456789012345678901234567890",
            "4e-324",
            "1544692465434695.25",
        ] {
            assert_eq!(decode(&transcoded(json)), text(json), "{json}");
        }
    }

    #[test]
    fn strings_have_the_shortest_header() {
        for (len, header) in [(0, 1), (31, 1), (32, 2), (255, 2), (256, 3), (65535, 3), (65536, 5)]
        {
            let plain = "x".repeat(len);
            let out = transcoded(&format!("\"{plain}\""));
            assert_eq!(out.len(), header + len);
            assert_eq!(decode(&out), text(&plain));
        }
    }

    #[test]
    fn escaped_strings_have_the_shortest_header() {
        for (len, header) in [(1, 1), (31, 1), (32, 2), (255, 2), (256, 3), (65535, 3), (65536, 5)]
        {
            let out = transcoded(&format!("\"{}\"", "\\n".repeat(len)));
            assert_eq!(out.len(), header + len);
            assert_eq!(decode(&out), text(&"\n".repeat(len)));
        }
    }

    #[test]
    fn lone_surrogates_become_replacement_characters() {
        assert_eq!(decode(&transcoded(r#""a\ud800\ud83d\ude00""#)), text("a\u{fffd}\u{1f600}"));
    }

    #[test]
    fn containers_have_the_shortest_header() {
        for (count, header) in [(0, 1), (15, 1), (16, 3), (65535, 3), (65536, 5)] {
            let items = vec!["1"; count].join(",");
            let members = vec!["\"\":1"; count].join(",");
            assert_eq!(transcoded(&format!("[{items}]")).len(), header + count);
            assert_eq!(transcoded(&format!("{{{members}}}")).len(), header + 2 * count);
        }
    }

    #[test]
    fn names_keep_order_and_duplicates() {
        let pair = |name: &str, number| (text(name), Tree::Int(number));
        let out = transcoded(r#"{"b":1,"a":2,"b":3}"#);
        assert_eq!(decode(&out), Tree::Map(vec![pair("b", 1), pair("a", 2), pair("b", 3)]));
    }
}

mod limits {
    use super::*;

    fn nested(depth: usize) -> String {
        "[".repeat(depth) + &"]".repeat(depth)
    }

    fn nested_object(depth: usize) -> String {
        "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth)
    }

    #[test]
    fn depth_is_limited() {
        let mut out = vec![1, 2, 3];
        assert_eq!(transcode(&nested(DEPTH_MAX), &mut out), Ok(()));
        out.truncate(3);
        let error = transcode(&nested(DEPTH_MAX + 1), &mut out).unwrap_err();
        insta::assert_snapshot!(error, @"expected at most 256 levels of nesting, found one more at byte 256");
        assert_eq!(out, [1, 2, 3]);
    }

    #[test]
    fn errors_leave_the_buffer_alone() {
        let mut out = vec![9];
        for json in ["", "[1,2", "{\"a\":\"\\n\",}", "[1] x", "\"\\ud8", "nope"] {
            assert!(matches!(transcode(json, &mut out), Err(TranscodeError::Json(_))), "{json}");
            assert!(record(json, 1, 2, &mut out).is_err(), "{json}");
            assert_eq!(out, [9], "{json}");
        }
    }

    /// The host's unpacker follows 32 levels: the record, and 31 of its body.
    #[test]
    fn records_are_no_deeper_than_the_host_follows() {
        let mut out = Vec::new();
        assert_eq!(record(&nested_object(BODY_DEPTH_MAX), 0, 0, &mut out), Ok(()));
        assert!(record(&nested_object(BODY_DEPTH_MAX + 1), 0, 0, &mut out).is_err());
        assert_eq!(record(&nested(BODY_DEPTH_MAX - 1), 0, 0, &mut out), Ok(()));
        assert!(record(&nested(BODY_DEPTH_MAX), 0, 0, &mut out).is_err());
    }
}

mod records {
    use super::*;

    fn of(body: Tree) -> Tree {
        let head = Tree::List(vec![Tree::Time(1_700_000_000, 999_999_999), Tree::Map(vec![])]);
        Tree::List(vec![head, body])
    }

    fn written(json: &str) -> Tree {
        let mut out = Vec::new();
        record(json, 1_700_000_000, 999_999_999, &mut out).expect(json);
        decode(&out)
    }

    #[test]
    fn the_head_is_the_one_of_the_host() {
        let mut out = Vec::new();
        begin(&mut out, 0x0102_0304, 0x0506_0708);
        assert_eq!(out, [0x92, 0x92, 0xd7, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0x80]);
    }

    #[test]
    fn an_object_is_the_body() {
        let body = Tree::Map(vec![(text("a"), Tree::Bool(true))]);
        assert_eq!(written(" {\"a\": true}"), of(body));
    }

    #[test]
    fn anything_else_is_logged() {
        for (json, value) in
            [("null", Tree::Nil), ("\"x\"", text("x")), ("[1]", Tree::List(vec![Tree::Int(1)]))]
        {
            assert_eq!(written(json), of(Tree::Map(vec![(text("log"), value)])), "{json}");
        }
    }

    #[test]
    fn raw_keeps_the_bytes() {
        let mut out = Vec::new();
        let json = r#"{"a": "\u0061", broken"#;
        raw(json, "message", 1_700_000_000, 999_999_999, &mut out);
        assert_eq!(decode(&out), of(Tree::Map(vec![(text("message"), text(json))])));
    }

    #[test]
    fn records_follow_each_other() {
        let mut out = Vec::new();
        for _ in 0..2 {
            record("{}", 1, 2, &mut out).expect("valid");
        }
        let (first, second) = out.split_at(out.len() / 2);
        assert_eq!(decode(first), decode(second));
    }
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(Tree::Nil),
        any::<bool>().prop_map(Tree::Bool),
        any::<i64>().prop_map(|number| Tree::Int(number.into())),
        any::<u64>().prop_map(|number| Tree::Int(number.into())),
        (-300i128..70_000).prop_map(Tree::Int),
        any::<f64>().prop_map(Tree::Double),
        (-1_000_000i32..1_000_000).prop_map(|number| Tree::Double(f64::from(number) / 1e3)),
        any_text(),
    ];
    leaf.prop_recursive(6, 80, 20, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..20).prop_map(Tree::List),
            vec((any_text(), inner), 0..20).prop_map(Tree::Map),
        ]
    })
}

fn any_text() -> impl Strategy<Value = Tree> {
    prop_oneof![any::<String>(), "[a-c\"\\\\\u{1}\n é😀]{0,300}", "[ab]{0,1}"].prop_map(Tree::Text)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn decoding_gives_back_the_value(tree in tree()) {
        prop_assert_eq!(decode(&transcoded(&tree.to_json())), tree);
    }

    /// However it is written, the number is the same afterwards.
    #[test]
    fn numbers_keep_their_value(literal in "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?") {
        match decode(&transcoded(&literal)) {
            Tree::Text(same) => prop_assert_eq!(same, literal),
            Tree::Int(number) => prop_assert_eq!(number.to_string(), literal),
            Tree::Double(number) => {
                let same = same_decimal(&format!("{number:e}"), &literal)
                    || same_decimal(&serde_json::to_string(&number).expect("printable"), &literal);
                prop_assert!(same, "{} became {}", literal, number);
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn accepts_what_serde_json_accepts(tree in tree(), at: prop::sample::Index, with in "[\\[\\]{}:,\"\\\\a0 ]?") {
        let mut chars: Vec<String> = tree.to_json().chars().map(String::from).collect();
        let at = at.index(chars.len());
        chars[at] = with;
        let json = chars.concat();
        let valid = serde_json::from_str::<IgnoredAny>(&json).is_ok();
        prop_assert_eq!(transcode(&json, &mut Vec::new()).is_ok(), valid, "{}", json);
    }
}

/// Compares by scaling both to whole numbers written out in full.
fn same_decimal(a: &str, b: &str) -> bool {
    in_full(a) == in_full(b)
}

/// The digits of the number times 10^1100, without leading zeros, and its sign.
fn in_full(literal: &str) -> (bool, String) {
    let negative = literal.starts_with('-');
    let unsigned = literal.trim_start_matches('-').to_lowercase();
    let (mantissa, exponent) = unsigned.split_once('e').unwrap_or((&unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i32 = exponent.parse().expect("small");
    let fraction_len = i32::try_from(fraction.len()).expect("short");
    let zeros = usize::try_from(1100 + exponent - fraction_len).expect("large enough");
    let digits = format!("{whole}{fraction}{}", "0".repeat(zeros));
    (negative, digits.trim_start_matches('0').to_owned())
}

mod provenance {
    use super::*;

    const SOURCE: &str = "entra_signins/contoso";

    fn of(event: &str) -> Provenance<'_> {
        let (first_seen, happened) = (Timestamp::from_secs(1_800_000_000), Timestamp::from_secs(7));
        Provenance { source: SOURCE, first_seen, happened: Some(happened), poll: "sweep", event }
    }

    fn told(late_by: Tree) -> Tree {
        // What sha256sum says of `{}`.
        let sha256 = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        Tree::Map(vec![
            (text("source"), text(SOURCE)),
            (text("first_seen"), text("2027-01-15T08:00:00Z")),
            (text("poll"), text("sweep")),
            (text("sha256"), text(sha256)),
            (text("late_by_seconds"), late_by),
        ])
    }

    #[test]
    fn metadata_say_where_a_record_came_from() {
        let mut out = vec![0xc0];
        record("{}", 1, 2, &mut out).unwrap();
        let before = out.len();
        of("{}").into_metadata(1, &mut out);
        assert!(out.len() - before <= ADDED_BYTES + SOURCE.len());
        let head = Tree::List(vec![Tree::Time(1, 2), told(Tree::Double(1_799_999_993.0))]);
        assert_eq!(decode(&out[1..]), Tree::List(vec![head, Tree::Map(vec![])]));
    }

    #[test]
    fn an_event_without_a_time_is_late_by_nobody_knows_what() {
        let mut out = Vec::new();
        record("{}", 1, 2, &mut out).unwrap();
        Provenance { happened: None, ..of("{}") }.into_metadata(0, &mut out);
        let head = Tree::List(vec![Tree::Time(1, 2), told(Tree::Nil)]);
        assert_eq!(decode(&out), Tree::List(vec![head, Tree::Map(vec![])]));
    }

    #[test]
    fn a_body_of_any_size_gets_one_more_member() {
        for count in [0, 1, 14, 15, 16, 17, 65_534, 65_535, 65_536] {
            let members: Vec<String> = (0..count).map(|n| format!("\"{n}\":{n}")).collect();
            let mut out = Vec::new();
            record(&format!("{{{}}}", members.join(",")), 1, 2, &mut out).unwrap();
            let Tree::List(before) = decode(&out) else { panic!("a record") };
            of("{}").into_body(0, &mut out);
            let Tree::List(after) = decode(&out) else { panic!("a record") };
            let (Tree::Map(before), Tree::Map(after)) = (&before[1], &after[1]) else {
                panic!("bodies")
            };
            assert_eq!(after[..count], before[..]);
            assert_eq!(after[count..], [(text("_lookback"), told(Tree::Double(1_799_999_993.0)))]);
        }
    }

    #[test]
    fn a_text_gets_it_beside_itself() {
        let mut out = Vec::new();
        raw("{}", "log", 1, 2, &mut out);
        of("{}").into_body(0, &mut out);
        let Tree::List(parts) = decode(&out) else { panic!("a record") };
        let body = vec![
            (text("log"), text("{}")),
            (text("_lookback"), told(Tree::Double(1_799_999_993.0))),
        ];
        assert_eq!(parts[1], Tree::Map(body));
    }
}
