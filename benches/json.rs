//! How fast pages are scanned and records written, beside `serde_json`.
//!
//! A page is made of 1000 events that look like the sign-ins of Microsoft Graph,
//! about 3 KB each. Throughput is in bytes of JSON; 100,000 such events are 307 MB.

// The macros write public functions without documentation.
#![allow(missing_docs)]

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use in_lookback::encode::record;
use in_lookback::json::{PageShape, Pointer, scan_page};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

const EVENTS: usize = 1000;

criterion_group!(benches, scan, transcode);
criterion_main!(benches);

fn scan(criterion: &mut Criterion) {
    let page = page();
    let shape = shape();
    let mut group = group(criterion, "scan", page.len());
    group.bench_function("lookback", |bencher| {
        bencher.iter(|| {
            let mut bytes = 0;
            let tail = scan_page(black_box(&page), &shape, &mut |event| {
                assert!(event.found.iter().all(Option::is_some));
                bytes += event.raw.len();
            });
            assert_eq!(tail.map(|tail| tail.events), Ok(EVENTS));
            bytes
        });
    });
    group.bench_function("serde_json IgnoredAny", |bencher| {
        bencher.iter(|| serde_json::from_str::<IgnoredAny>(black_box(&page)).is_ok());
    });
    group.bench_function("serde_json Value", |bencher| {
        bencher.iter(|| serde_json::from_str::<Value>(black_box(&page)).is_ok());
    });
    group.finish();
}

fn transcode(criterion: &mut Criterion) {
    let page = page();
    let mut events = Vec::new();
    let scanned = scan_page(&page, &shape(), &mut |event| events.push(event.raw));
    assert!(scanned.is_ok());
    let total = events.iter().map(|event| event.len()).sum();

    let mut group = group(criterion, "transcode", total);
    let mut out = Vec::new();
    group.bench_function("lookback", |bencher| {
        bencher.iter(|| {
            out.clear();
            for event in black_box(&events) {
                assert!(record::record(event, 1_700_000_000, 0, &mut out).is_ok());
            }
            out.len()
        });
    });
    group.bench_function("serde_json Value, without writing", |bencher| {
        bencher.iter(|| {
            let parsed = |event: &&&str| serde_json::from_str::<Value>(event).is_ok();
            black_box(&events).iter().filter(parsed).count()
        });
    });
    group.finish();
}

fn group<'c>(
    criterion: &'c mut Criterion,
    name: &str,
    bytes: usize,
) -> BenchmarkGroup<'c, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(bytes as u64));
    group.sample_size(30);
    group.measurement_time(Duration::from_secs(3));
    group
}

fn shape() -> PageShape {
    let pointer = |text| Pointer::parse(text).expect("written here");
    PageShape {
        records: pointer("/value"),
        of_event: vec![pointer("/id"), pointer("/createdDateTime")],
        of_page: vec![pointer("/@odata.nextLink")],
    }
}

/// One page of sign-ins, as the API prints it: compact, names in its order.
fn page() -> String {
    let events: Vec<String> = (0..EVENTS).map(event).collect();
    format!(
        r#"{{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#auditLogs/signIns","@odata.nextLink":"https://graph.microsoft.com/v1.0/auditLogs/signIns?$top=1000&$skiptoken=9177f2e3532fcd4c4d225f68f7b9bdf7_1","value":[{}]}}"#,
        events.join(",")
    )
}

/// Differs from its neighbours in lengths, in what is null, and in how many policies there are.
fn event(n: usize) -> String {
    let mut random = fastrand::Rng::with_seed(n as u64);
    let user = format!("user{}.{}", random.u16(..), "x".repeat(random.usize(1..12)));
    let cities = ["Zürich", "Berlin", "San Francisco", "Ho Chi Minh City", "Oslo"];
    let agents = [
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0.0.0 Safari/537.36 Edg/119.0.0.0",
        "python-requests/2.31.0",
        "Dalvik/2.1.0 (Linux; U; Android 13; SM-G991B \"Galaxy\")",
    ];
    let failed = random.u8(..10) == 0;
    let members = [
        ("id", json!(guid(&mut random))),
        (
            "createdDateTime",
            json!(format!(
                "2026-11-21T{:02}:{:02}:{:02}Z",
                random.u8(..24),
                random.u8(..60),
                random.u8(..60)
            )),
        ),
        (
            "userDisplayName",
            json!(format!("{} {}", random.alphabetic(), "n".repeat(random.usize(3..20)))),
        ),
        ("userPrincipalName", json!(format!("{user}@contoso.onmicrosoft.com"))),
        ("userId", json!(guid(&mut random))),
        ("appId", json!(guid(&mut random))),
        (
            "appDisplayName",
            json!(random.choice(["Graph Explorer", "Office 365 Exchange Online", "Azure Portal"])),
        ),
        (
            "ipAddress",
            json!(format!(
                "{}.{}.{}.{}",
                random.u8(..),
                random.u8(..),
                random.u8(..),
                random.u8(..)
            )),
        ),
        ("clientAppUsed", json!(random.choice(["Browser", "Mobile Apps and Desktop clients"]))),
        ("userAgent", json!(random.choice(agents))),
        ("correlationId", json!(guid(&mut random))),
        ("conditionalAccessStatus", json!(random.choice(["notApplied", "success", "failure"]))),
        ("originalRequestId", json!("")),
        ("isInteractive", json!(random.bool())),
        ("tokenIssuerName", json!("")),
        ("tokenIssuerType", json!("AzureAD")),
        ("processingTimeInMilliseconds", json!(random.u16(..900))),
        ("riskDetail", json!("none")),
        ("riskLevelAggregated", json!("none")),
        ("riskLevelDuringSignIn", json!("none")),
        ("riskState", json!("none")),
        ("riskEventTypes_v2", json!([])),
        ("resourceDisplayName", json!("Microsoft Graph")),
        ("resourceId", json!("00000003-0000-0000-c000-000000000000")),
        ("resourceTenantId", json!(guid(&mut random))),
        ("homeTenantId", json!(guid(&mut random))),
        ("authenticationMethodsUsed", json!([])),
        ("authenticationRequirement", json!("singleFactorAuthentication")),
        ("signInIdentifier", random.bool().then(|| user.clone()).into()),
        ("servicePrincipalId", json!("")),
        ("uniqueTokenIdentifier", json!(random_text(&mut random, 22))),
        ("incomingTokenType", json!("none")),
        ("autonomousSystemNumber", json!(random.u16(..))),
        ("crossTenantAccessType", json!("none")),
        (
            "status",
            json!({
                "errorCode": if failed { 50126 } else { 0 },
                "failureReason": if failed { "Error validating credentials due to invalid username or password." } else { "Other." },
                "additionalDetails": failed.then_some("The user didn't enter the right credentials.\u{a0}"),
            }),
        ),
        (
            "deviceDetail",
            json!({
                "deviceId": random.bool().then(|| guid(&mut random)),
                "displayName": random.bool().then(|| format!("DESKTOP-{}", random_text(&mut random, 7))),
                "operatingSystem": random.choice(["Windows 10", "MacOs", "Ios 17.1", "Android 13"]),
                "browser": random.choice(["Edge 119.0.0", "Chrome 119.0.0", "Mobile Safari 17.1"]),
                "isCompliant": random.bool(),
                "isManaged": random.bool(),
                "trustType": random.choice([Value::Null, json!("Azure AD joined"), json!("Hybrid Azure AD joined")]),
            }),
        ),
        (
            "location",
            json!({
                "city": random.choice(cities),
                "state": "State",
                "countryOrRegion": random.choice(["CH", "DE", "US", "VN", "NO"]),
                "geoCoordinates": {
                    "altitude": null,
                    "latitude": f64::from(random.i32(-9_000_000..9_000_000)) / 1e5,
                    "longitude": f64::from(random.i32(-18_000_000..18_000_000)) / 1e5,
                },
            }),
        ),
        ("appliedConditionalAccessPolicies", policies(&mut random)),
        (
            "authenticationDetails",
            json!([{
                "authenticationStepDateTime": "2026-11-21T12:00:00Z",
                "authenticationMethod": "Previously satisfied",
                "authenticationMethodDetail": null,
                "succeeded": !failed,
                "authenticationStepResultDetail": "First factor requirement satisfied by claim in the token",
                "authenticationStepRequirement": "",
            }]),
        ),
        (
            "authenticationProcessingDetails",
            json!([
                {"key": "Login Hint Present", "value": "True"},
                {"key": "Oauth Scope Info", "value": "[\"Calendars.Read\",\"Mail.Read\",\"User.Read\"]"},
            ]),
        ),
        ("networkLocationDetails", json!([])),
    ];
    let members = members.map(|(name, value)| format!("\"{name}\":{value}"));
    format!("{{{}}}", members.join(","))
}

fn policies(random: &mut fastrand::Rng) -> Value {
    let count = random.usize(2..6);
    let one = |n| {
        json!({
            "id": guid(random),
            "displayName": format!("CA{n:03}: Require multifactor authentication"),
            "enforcedGrantControls": if n % 2 == 0 { json!(["Mfa"]) } else { json!([]) },
            "enforcedSessionControls": [],
            "result": random.choice(["notApplied", "success", "reportOnlyNotApplied"]),
        })
    };
    (0..count).map(one).collect()
}

fn guid(random: &mut fastrand::Rng) -> String {
    let hex = format!("{:032x}", random.u128(..));
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    parts.join("-")
}

fn random_text(random: &mut fastrand::Rng, len: usize) -> String {
    (0..len).map(|_| random.alphanumeric()).collect()
}
