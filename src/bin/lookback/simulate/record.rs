//! An event as the API's JSON.

use std::fmt::{self, Write as _};

use super::{
    api::Api,
    feed::{CHANGES_MAX, Event, Feed},
};

mod acme;
mod activity;
mod directory;
mod github;
mod okta;
mod people;
mod sign_in;

/// What an event says of itself that changes, by how often it has changed. It may return to what it said before.
pub(crate) const STATES: [&str; CHANGES_MAX + 1] = ["none", "atRisk", "remediated", "atRisk"];

/// Appends `event` to `out`, padded to about `bytes`, as it is after `revision` changes.
pub(crate) fn write_record(
    out: &mut String,
    feed: &Feed,
    event: &Event,
    revision: usize,
    api: Api,
    bytes: usize,
) {
    let until = out.len() + bytes;
    // Writing to a string cannot fail.
    let _ = write_all(out, feed, event, STATES[revision.min(CHANGES_MAX)], api, until);
}

fn write_all(
    out: &mut String,
    feed: &Feed,
    event: &Event,
    state: &str,
    api: Api,
    until: usize,
) -> fmt::Result {
    match api {
        Api::Graph | Api::GraphBeta | Api::Aad => {
            sign_in::write_fields(out, feed, event, state, api)?;
            out.push_str(r#","appliedConditionalAccessPolicies":["#);
            sign_in::write_policies(out, feed.seed(), event.number, until.saturating_sub(2));
            out.push_str("]}");
            return Ok(());
        }
        Api::DirectoryAudits => directory::write_audit(out, feed, event)?,
        Api::Provisioning => directory::write_provisioning(out, feed, event)?,
        Api::Alerts => directory::write_alert(out, feed, event)?,
        Api::Activity => activity::write_fields(out, feed, event)?,
        Api::Okta => okta::write_fields(out, feed, event)?,
        Api::Github => github::write_fields(out, feed, event)?,
        Api::Acme => acme::write_fields(out, feed, event)?,
    }
    if state != STATES[0] {
        write!(out, r#","riskState":"{state}""#)?;
    }
    write_padding(out, api, until)
}

/// Ends the record with a text as long as it takes.
fn write_padding(out: &mut String, api: Api, until: usize) -> fmt::Result {
    let name = match api {
        Api::Activity => "ExtendedProperties",
        Api::Acme => "text",
        _ => "additionalInformation",
    };
    write!(out, r#","{name}":""#)?;
    let length = until.saturating_sub(out.len() + 2);
    // As compressible as logs are.
    for chunk in 0..length / FILLER.len() {
        write!(out, "{chunk:04}{}", &FILLER[4..])?;
    }
    out.push_str(&FILLER[..length % FILLER.len()]);
    out.push_str("\"}");
    Ok(())
}

const FILLER: &str = "0000 Lorem ipsum dolor sit amet, consetetur sadipscing elitr; ";

#[cfg(test)]
mod tests {
    use super::super::feed::FeedOptions;
    use super::*;

    fn feed() -> Feed {
        Feed::new(FeedOptions::default(), "2026-03-01T12:00:00Z".parse().unwrap())
    }

    fn record(api: Api, number: u64, bytes: usize) -> String {
        let feed = feed();
        let mut out = String::new();
        write_record(&mut out, &feed, &feed.event(number), 0, api, bytes);
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
    fn every_api_has_the_id_the_size_and_its_time() {
        for api in Api::ALL {
            let text = record(api, 5, 1500);
            assert!((1300..1700).contains(&text.len()), "{api:?}: {}", text.len());
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert!(!value[api.time_field()].is_null(), "{text}");
            assert!(text.contains(&feed().id(5)), "{text}");
            // Past 9999 chunks of padding, and with none.
            serde_json::from_str::<serde_json::Value>(&record(api, 6, 700_000)).unwrap();
            serde_json::from_str::<serde_json::Value>(&record(api, 6, 0)).unwrap();
        }
    }

    #[test]
    fn a_change_shows_in_the_state_of_every_api() {
        let feed = feed();
        for api in Api::ALL {
            let states = [0, 1, 2, 3].map(|revision| {
                let mut out = String::new();
                write_record(&mut out, &feed, &feed.event(5), revision, api, 1500);
                let value: serde_json::Value = serde_json::from_str(&out).unwrap();
                value["riskState"].as_str().unwrap_or("none").to_owned()
            });
            assert_eq!(states, STATES, "{api:?}");
        }
    }

    #[test]
    fn the_beta_tells_the_type() {
        let value: serde_json::Value = serde_json::from_str(&record(Api::GraphBeta, 6, 0)).unwrap();
        assert_eq!(value["signInEventTypes"][0], "servicePrincipal");
        assert_eq!(value["isInteractive"], false);
    }

    #[test]
    fn both_apis_show_the_same_event() {
        let graph: serde_json::Value = serde_json::from_str(&record(Api::Graph, 5, 0)).unwrap();
        let aad: serde_json::Value = serde_json::from_str(&record(Api::Aad, 5, 0)).unwrap();
        assert_eq!(graph["id"], aad["id"]);
        assert_eq!(graph["createdDateTime"], aad["signinDateTime"]);
    }
}
