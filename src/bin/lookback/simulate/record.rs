//! An event as the API's JSON.

use std::fmt::Write as _;

use super::{
    api::Api,
    chance::{Purpose, draws, guid, mix},
    feed::{Event, Feed},
};

/// Appends `event` to `out`, padded with policies to about `bytes`.
pub(crate) fn write_record(out: &mut String, feed: &Feed, event: &Event, api: Api, bytes: usize) {
    let begin = out.len();
    // Writing to a string cannot fail.
    let _ = write_fields(out, feed, event, api);
    out.push_str(r#","appliedConditionalAccessPolicies":["#);
    write_policies(out, feed.seed(), event.number, begin + bytes.saturating_sub(2));
    out.push_str("]}");
}

fn write_fields(out: &mut String, feed: &Feed, event: &Event, api: Api) -> std::fmt::Result {
    let rng = &mut draws(feed.seed(), event.number, Purpose::Fields);
    let user = rng.u64(..USERS);
    let (given, family) = name(user);
    let person = &mut draws(feed.seed(), user, Purpose::Fields);
    let app = rng.usize(..APPS.len());
    // Most people sign in at home, some on a journey.
    let home = person.usize(..PLACES.len());
    let place = &PLACES[if rng.u8(..) < 240 { home } else { rng.usize(..PLACES.len()) }];
    let (os, browser, client) = DEVICES[rng.usize(..DEVICES.len())];
    let (code, reason) =
        if rng.u8(..) < 225 { OUTCOMES[0] } else { OUTCOMES[rng.usize(..OUTCOMES.len())] };

    write!(
        out,
        r#"{{"id":"{}","{}":"{:.7}","userDisplayName":"{given} {family}","userPrincipalName":"{}.{}@contoso.example","userId":"{}""#,
        feed.id(event.number),
        api.time_field(),
        event.happened,
        ascii(given),
        ascii(family),
        guid(person),
    )?;
    write!(
        out,
        r#","appId":"{}","appDisplayName":"{}","ipAddress":"{}","clientAppUsed":"{client}","correlationId":"{}""#,
        guid(&mut draws(0, app as u64, Purpose::Fields)),
        APPS[app],
        address(rng),
        guid(rng),
    )?;
    write!(
        out,
        r#","conditionalAccessStatus":"{}","isInteractive":true,"riskDetail":"none","riskLevelAggregated":"none","riskLevelDuringSignIn":"none","riskState":"none","riskEventTypes_v2":[],"resourceDisplayName":"Microsoft Graph","resourceId":"00000003-0000-0000-c000-000000000000""#,
        if code == 53003 { "failure" } else { ["success", "notApplied"][rng.usize(..2)] },
    )?;
    write!(
        out,
        r#","status":{{"errorCode":{code},"failureReason":"{reason}","additionalDetails":null}},"deviceDetail":{{"deviceId":"","displayName":null,"operatingSystem":"{os}","browser":"{browser}","isCompliant":{},"isManaged":{},"trustType":null}}"#,
        rng.bool(),
        rng.bool(),
    )?;
    let (city, state, country, latitude, longitude) = place;
    write!(
        out,
        r#","location":{{"city":"{city}","state":"{state}","countryOrRegion":"{country}","geoCoordinates":{{"altitude":null,"latitude":{latitude},"longitude":{longitude}}}}}"#,
    )
}

/// Writes policies until `out` is about `until` long.
fn write_policies(out: &mut String, seed: u64, number: u64, until: usize) {
    let mut index = 0;
    while out.len() + POLICY_BYTES / 2 < until {
        if index > 0 {
            out.push(',');
        }
        let id = guid(&mut draws(0, mix(1, index), Purpose::Fields));
        let result = ["success", "notApplied", "reportOnlyNotApplied"]
            [(mix(seed ^ index, number) % 3) as usize];
        let _ = write!(
            out,
            r#"{{"id":"{id}","displayName":"CA{index:03}: require multifactor authentication","enforcedGrantControls":["Mfa"],"enforcedSessionControls":[],"result":"{result}"}}"#,
        );
        index += 1;
    }
}

/// About what one policy takes.
const POLICY_BYTES: usize = 190;

const USERS: u64 = 400;

fn name(user: u64) -> (&'static str, &'static str) {
    let user = user as usize;
    (GIVEN[user % GIVEN.len()], FAMILY[user / GIVEN.len() % FAMILY.len()])
}

/// A name as it stands in an address.
fn ascii(name: &str) -> String {
    name.chars()
        .filter_map(|c| match c {
            'ë' => Some('e'),
            'ü' => Some('u'),
            'ł' => Some('l'),
            'ø' => Some('o'),
            c if c.is_ascii_alphabetic() => Some(c.to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}

/// An address of the blocks kept for documentation.
fn address(rng: &mut fastrand::Rng) -> String {
    let low = rng.u8(1..255);
    match rng.u8(..8) {
        0 => format!("2001:db8:{:x}::{low:x}", rng.u16(..)),
        1..=3 => format!("198.51.100.{low}"),
        4..=5 => format!("192.0.2.{low}"),
        _ => format!("203.0.113.{low}"),
    }
}

const GIVEN: [&str; 20] = [
    "Adele", "Bianca", "Chidi", "Diego", "Emily", "Farah", "Grace", "Henrik", "Isaiah", "Johanna",
    "Kenji", "Lynne", "Megan", "Nestor", "Oksana", "Pradeep", "Quentin", "Rosa", "Sanjay", "Zoë",
];
const FAMILY: [&str; 20] = [
    "Vance",
    "Pisani",
    "Okafor",
    "Siciliani",
    "Braun",
    "Haddad",
    "Liu",
    "Sørensen",
    "Langer",
    "Lorenz",
    "Tanaka",
    "Robbins",
    "Bowen",
    "Wilke",
    "Kowal",
    "Gupta",
    "Dubois",
    "O'Neill",
    "Müller",
    "Pawłowski",
];
const APPS: [&str; 8] = [
    "Office 365 Exchange Online",
    "Microsoft Teams",
    "Azure Portal",
    "SharePoint Online",
    "Microsoft Graph Command Line Tools",
    "Salesforce",
    "GitHub Enterprise",
    "Payroll \\u0026 Expenses",
];
/// City, state, country, latitude and longitude, the numbers as the API writes them.
const PLACES: [(&str, &str, &str, &str, &str); 8] = [
    ("München", "Bayern", "DE", "48.13743", "11.57549"),
    ("Redmond", "Washington", "US", "47.68050", "-122.12094"),
    ("São Paulo", "Sao Paulo", "BR", "-23.5475", "-46.63611"),
    ("Nairobi", "Nairobi Area", "KE", "-1.28333", "36.81667"),
    ("東京", "Tokyo", "JP", "35.6895", "139.69171"),
    ("Wrocław", "Dolnoslaskie", "PL", "51.1", "17.03333"),
    ("Dublin", "Leinster", "IE", "53.33306", "-6.24889"),
    ("Sydney", "New South Wales", "AU", "-33.86785", "1.5120732E2"),
];
/// Operating system, browser, client.
const DEVICES: [(&str, &str, &str); 6] = [
    ("Windows10", "Edge 138.0.0", "Browser"),
    ("Windows10", "", "Mobile Apps and Desktop clients"),
    ("MacOs", "Safari 18.5", "Browser"),
    ("Ios 18.5", "Mobile Safari", "Browser"),
    ("Android 15", "", "Mobile Apps and Desktop clients"),
    ("Linux", "Firefox 140.0", "Browser"),
];
/// Error code and reason; the first one is success.
const OUTCOMES: [(u32, &str); 5] = [
    (0, "Other."),
    (50126, "Error validating credentials due to invalid username or password."),
    (50074, "Strong Authentication is required."),
    (
        53003,
        "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.",
    ),
    (
        50053,
        "The account is locked, you've tried to sign in too many times with an incorrect user ID or password.",
    ),
];

#[cfg(test)]
mod tests {
    use super::super::feed::FeedOptions;
    use super::*;

    fn record(api: Api, number: u64, bytes: usize) -> String {
        let feed = Feed::new(FeedOptions::default(), "2026-03-01T12:00:00Z".parse().unwrap());
        let mut out = String::new();
        write_record(&mut out, &feed, &feed.event(number), api, bytes);
        out
    }

    #[test]
    fn records_are_json_of_about_the_size() {
        for number in 0..300 {
            let text = record(Api::Graph, number, 1200);
            assert!((1000..1400).contains(&text.len()), "{}", text.len());
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            let time = value["createdDateTime"].as_str().unwrap();
            assert_eq!(time.len(), "2026-03-01T12:00:00.1234567Z".len(), "{time}");
            assert!(value["location"]["geoCoordinates"]["latitude"].is_number());
        }
        assert!((7_800..8_200).contains(&record(Api::Graph, 1, 8_000).len()));
        assert!(record(Api::Graph, 1, 0).len() > 500, "never without its fields");
    }

    #[test]
    fn both_apis_show_the_same_event() {
        let graph: serde_json::Value = serde_json::from_str(&record(Api::Graph, 5, 0)).unwrap();
        let aad: serde_json::Value = serde_json::from_str(&record(Api::Aad, 5, 0)).unwrap();
        assert_eq!(graph["id"], aad["id"]);
        assert_eq!(graph["createdDateTime"], aad["signinDateTime"]);
    }
}
