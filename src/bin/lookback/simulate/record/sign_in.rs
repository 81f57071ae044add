//! Sign-ins.

use std::fmt::{self, Write as _};

use super::{
    super::{
        api::Api,
        chance::{Purpose, draws, guid, mix},
        feed::{Event, Feed},
        kind::sign_in_type,
    },
    people::{PLACES, address, someone},
};

/// Writes the fields of a sign-in, all but the policies.
pub(super) fn write_fields(
    out: &mut String,
    feed: &Feed,
    event: &Event,
    state: &str,
    api: Api,
) -> fmt::Result {
    let rng = &mut draws(feed.seed(), event.number, Purpose::Fields);
    let person = someone(feed.seed(), rng);
    let app = rng.usize(..APPS.len());
    // Most people sign in at home, some on a journey.
    let place = &PLACES[if rng.u8(..) < 240 { person.home } else { rng.usize(..PLACES.len()) }];
    let kind = sign_in_type(event.number);
    let interactive = api != Api::GraphBeta || kind == "interactiveUser";
    let (os, browser, client) = DEVICES[rng.usize(..DEVICES.len())];
    let (code, reason) =
        if rng.u8(..) < 225 { OUTCOMES[0] } else { OUTCOMES[rng.usize(..OUTCOMES.len())] };

    write!(
        out,
        r#"{{"id":"{}","{}":"{:.7}","userDisplayName":"{} {}","userPrincipalName":"{}","userId":"{}""#,
        feed.id(event.number),
        api.time_field(),
        event.happened,
        person.given,
        person.family,
        person.mail,
        person.id,
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
        r#","conditionalAccessStatus":"{}","isInteractive":{interactive},"riskDetail":"none","riskLevelAggregated":"none","riskLevelDuringSignIn":"none","riskState":"{state}","riskEventTypes_v2":[],"resourceDisplayName":"Microsoft Graph","resourceId":"00000003-0000-0000-c000-000000000000""#,
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
    )?;
    if api == Api::GraphBeta {
        write!(out, r#","signInEventTypes":["{kind}"]"#)?;
    }
    Ok(())
}

/// Writes policies until `out` is about `until` long.
pub(super) fn write_policies(out: &mut String, seed: u64, number: u64, until: usize) {
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
