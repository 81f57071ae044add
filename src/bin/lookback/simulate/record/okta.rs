//! Entries of the System Log.

use std::fmt::{self, Write as _};

use super::{
    super::{
        chance::{Purpose, draws},
        feed::{Event, Feed},
        units::whole_millis,
    },
    people::{PLACES, address, someone},
};

/// Writes an entry, but for its end.
pub(super) fn write_fields(out: &mut String, feed: &Feed, event: &Event) -> fmt::Result {
    let rng = &mut draws(feed.seed(), event.number, Purpose::Fields);
    let person = someone(feed.seed(), rng);
    let (event_type, message, severity, result) = TYPES[rng.usize(..TYPES.len())];
    let (city, state, country, ..) = PLACES[person.home];
    write!(
        out,
        r#"{{"uuid":"{}","published":"{:.3}","eventType":"{event_type}","version":"0","severity":"{severity}","displayMessage":"{message}","outcome":{{"result":"{result}","reason":null}}"#,
        feed.id(event.number),
        whole_millis(event.happened),
    )?;
    write!(
        out,
        r#","actor":{{"id":"{}","type":"User","alternateId":"{}","displayName":"{} {}"}},"client":{{"ipAddress":"{}","zone":"null","geographicalContext":{{"city":"{city}","state":"{state}","country":"{country}"}}}},"target":[],"transaction":{{"type":"WEB","id":"{:016x}"}}"#,
        person.id,
        person.mail,
        person.given,
        person.family,
        address(rng),
        rng.u64(..),
    )
}

/// Type, message, severity, result.
const TYPES: [(&str, &str, &str, &str); 5] = [
    ("user.session.start", "User login to Okta", "INFO", "SUCCESS"),
    ("user.session.start", "User login to Okta", "WARN", "FAILURE"),
    ("user.authentication.sso", "User single sign on to app", "INFO", "SUCCESS"),
    ("user.mfa.factor.activate", "Activate factor for user", "INFO", "SUCCESS"),
    ("policy.evaluate_sign_on", "Evaluation of sign-on policy", "INFO", "ALLOW"),
];
