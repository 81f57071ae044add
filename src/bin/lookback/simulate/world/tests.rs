//! The services' answers, with the time in the test's hand.

use serde_json::{Value, json};

use super::{
    super::{kind::SIGN_IN_TYPES, units::later},
    *,
};

mod acme;
mod activity;
mod github;
mod okta;

const FORM: &[u8] =
    b"grant_type=client_credentials&client_id=simulator&client_secret=simulator-secret\
    &scope=https%3A%2F%2Fgraph.microsoft.com%2F.default";

const URL: &str = "http://127.0.0.1:1/contoso/oauth2/v2.0/token";

fn start() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn after(seconds: u64) -> Timestamp {
    later(start(), Duration::from_secs(seconds))
}

/// A client with a token.
struct Client {
    world: World,
    bearer: String,
    now: Timestamp,
}

impl Client {
    fn new(faults: Value) -> Self {
        Self::with(ListingOptions::default(), faults)
    }

    fn with(listing: ListingOptions, faults: Value) -> Self {
        let feed =
            FeedOptions { rate: 1.0, lateness: "exp:60s".parse().unwrap(), ..Default::default() };
        let login = LoginOptions::default();
        let world = World::new(feed, listing, login, FaultOptions::default(), start());
        let mut client = Self { world, bearer: String::new(), now: start() };
        client.sign_in();
        client.world.faults.change(faults.as_object().unwrap()).unwrap();
        client
    }

    /// Gets a token that is good from now on.
    fn sign_in(&mut self) {
        let token = json_of(&self.world.token(Version::V2, URL, FORM, self.now));
        self.bearer = format!("Bearer {}", token["access_token"].as_str().unwrap());
    }

    fn get(&mut self, query: &str) -> Reply {
        let bearer = self.bearer.clone();
        self.ask(Api::Graph, &format!("/v1.0/auditLogs/signIns?{query}"), &bearer)
    }

    /// A `GET` of path and query, or of a URL, with that `Authorization`.
    fn ask(&mut self, api: Api, target: &str, authorization: &str) -> Reply {
        let target = target.strip_prefix("http://127.0.0.1:1").unwrap_or(target);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let ask = Ask {
            origin: "http://127.0.0.1:1".to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            authorization: Some(authorization.to_owned()),
            ..Default::default()
        };
        self.world.listing(api, &ask, self.now)
    }

    /// Follows the links of a walk to its end, a second a page; the ids of each page.
    fn walk(&mut self, query: &str) -> Vec<Vec<String>> {
        let mut query = query.to_owned();
        let mut pages = Vec::new();
        loop {
            let reply = self.get(&query);
            assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
            let body = json_of(&reply);
            let ids = body["value"]
                .as_array()
                .unwrap()
                .iter()
                .map(|event| event["id"].as_str().unwrap().to_owned());
            pages.push(ids.collect());
            let Some(link) = body["@odata.nextLink"].as_str() else {
                return pages;
            };
            query =
                link.strip_prefix("http://127.0.0.1:1/v1.0/auditLogs/signIns?").unwrap().to_owned();
            self.now = later(self.now, Duration::from_secs(1));
        }
    }

    /// The ids that show now, newest first.
    fn shown(&self) -> Vec<String> {
        let feed = &self.world.feed;
        let shows = |number: &u64| feed.event(*number).visible_at <= self.now;
        (0..feed.generated(self.now)).rev().filter(shows).map(|number| feed.id(number)).collect()
    }
}

fn json_of(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap()
}

/// The values of a member of each record, as texts.
fn all(records: &Value, member: &str) -> Vec<String> {
    let records = records.as_array().unwrap();
    records.iter().map(|record| record[member].as_str().unwrap().to_owned()).collect()
}

/// The URL of the `Link` header that is called `rel`.
fn link(reply: &Reply, rel: &str) -> Option<String> {
    let end = format!(">; rel=\"{rel}\"");
    reply
        .headers
        .iter()
        .filter(|(name, _)| *name == "link")
        .find_map(|(_, value)| Some(value.strip_prefix('<')?.strip_suffix(&end)?.to_owned()))
}

fn header<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
    reply.headers.iter().find(|(given, _)| *given == name).map(|(_, value)| value.as_str())
}

#[test]
fn a_walk_shows_what_showed_at_its_beginning() {
    let mut client = Client::new(json!({}));
    let shown = client.shown();
    let pages = client.walk("$top=500&$filter=createdDateTime ge 2026-03-01T00:00:00Z");
    assert_eq!(pages.len(), shown.len().div_ceil(500));
    assert_eq!(pages.concat(), shown);
    assert_eq!(client.world.stats.max_page, 500);
    assert_ne!(client.shown(), shown, "and the world went on");
}

#[test]
fn a_filter_selects_by_event_time() {
    let mut client = Client::new(json!({}));
    let query = "$orderby=createdDateTime&$filter=createdDateTime%20ge%202026-03-01T11:10:00Z+and+createdDateTime%20le%202026-03-01T11:20:00Z";
    let body = json_of(&client.get(query));
    let times: Vec<&str> = body["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["createdDateTime"].as_str().unwrap())
        .collect();
    assert_eq!(times.len(), 600);
    assert!(times.is_sorted());
    assert!(
        *times.first().unwrap() >= "2026-03-01T11:10:00"
            && *times.last().unwrap() < "2026-03-01T11:20:01"
    );
}

#[test]
fn what_is_refused() {
    let mut client = Client::new(json!({}));
    for query in [
        "$filter=x",
        "$filter=createdDateTime ge 2026-01-01T00:00:00Z",
        "$top=1001",
        "$top=0",
        "$orderby=id",
    ] {
        assert_eq!(client.get(query).status, 400, "{query}");
    }
    let reply = client.get("$skiptoken=abc");
    let message = json_of(&reply)["error"]["message"].as_str().unwrap().to_owned();
    assert!(
        reply.status == 400 && message.contains("token is either invalid or expired"),
        "{message}"
    );

    client.now = after(3600);
    let reply = client.get("");
    assert_eq!(json_of(&reply)["error"]["code"], "InvalidAuthenticationToken");
    assert_eq!(reply.status, 401);
}

#[test]
fn a_link_expires() {
    let mut client = Client::new(json!({}));
    let body = json_of(&client.get("$top=10"));
    let query = body["@odata.nextLink"].as_str().unwrap().split_once('?').unwrap().1.to_owned();
    client.now = after(300);
    assert_eq!(client.get(&query).status, 200);
    client.now = after(301);
    assert_eq!(client.get(&query).status, 400);
}

#[test]
fn an_empty_page_loses_nothing() {
    let mut client = Client::new(json!({"empty_page": 1.0}));
    let shown = client.shown();
    let pages = client.walk("$top=1000");
    assert_eq!(pages.iter().filter(|page| page.is_empty()).count(), shown.len().div_ceil(1000));
    assert_eq!(pages.concat(), shown);
}

#[test]
fn a_repeated_link_leads_to_where_it_stands() {
    let mut client = Client::new(json!({"next": ["pass", "repeat_link"]}));
    let first = json_of(&client.get("$top=10"));
    let link = first["@odata.nextLink"].as_str().unwrap();
    let second = json_of(&client.get(link.split_once('?').unwrap().1));
    assert_eq!(second["@odata.nextLink"], link);
    assert_eq!(second["value"].as_array().unwrap().len(), 10);
}

#[test]
fn throttling_comes_in_three_forms_and_early_requests_are_counted() {
    let mut client = Client::new(json!({"throttle": 1.0}));
    let mut forms = [0; 3];
    for round in 0..200 {
        client.now = after(10 * round);
        let reply = client.get("");
        assert_eq!(reply.status, 429);
        match header(&reply, "retry-after") {
            None => forms[0] += 1,
            Some("2") => forms[1] += 1,
            Some(date) => {
                httpdate::parse_http_date(date).unwrap();
                forms[2] += 1;
            }
        }
    }
    assert!(forms.iter().all(|count| *count > 10), "{forms:?}");
    assert_eq!(client.world.stats.requests_during_retry_after, 0);

    let mut client = Client::new(json!({"next": ["unavailable"]}));
    assert_eq!(client.get("").status, 503);
    client.now = after(1);
    client.get("");
    client.now = after(2);
    client.get("");
    assert_eq!(client.world.stats.requests_during_retry_after, 1);
}

#[test]
fn a_quota_is_kept() {
    let mut client = Client::new(json!({"quota": "5/10s"}));
    let statuses: Vec<u16> = (0..6).map(|_| client.get("$top=1").status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429]);
    client.now = after(4);
    assert_eq!(header(&client.get("$top=1"), "retry-after"), Some("6"));
    client.now = after(10);
    assert_eq!(client.get("$top=1").status, 200);
}

#[test]
fn outages_begin_and_end() {
    let mut client = Client::new(json!({"outage": true, "login_outage": true}));
    assert_eq!(client.get("").status, 503);
    assert_eq!(client.world.token(Version::V2, URL, FORM, start()).status, 503);
    client
        .world
        .faults
        .change(json!({"outage": false, "login_outage": false}).as_object().unwrap())
        .unwrap();
    assert_eq!(client.get("").status, 200);
    assert_eq!(client.world.token(Version::V2, URL, FORM, start()).status, 200);

    client.world.faults.options.outages = vec!["90s@60s".parse().unwrap()];
    for (seconds, status) in [(59, 200), (60, 503), (149, 503), (150, 200)] {
        client.now = after(seconds);
        assert_eq!(client.get("").status, status, "{seconds}");
    }
}

#[test]
fn the_old_api_has_its_own_names() {
    let mut client = Client::new(json!({}));
    client.world.options.plain_next_link = true;
    let ask = Ask {
        path: "/contoso/activities/signinEvents".to_owned(),
        query: "api-version=beta&$filter=signinDateTime%20ge%202026-03-01T11:00:00Z".to_owned(),
        authorization: Some(client.bearer.clone()),
        ..Default::default()
    };
    let body = json_of(&client.world.listing(Api::Aad, &ask, start()));
    assert!(body["value"][0]["signinDateTime"].is_string());
    assert!(body["odata.nextLink"].as_str().unwrap().contains("api-version=beta"));
    let reply = client.world.listing(Api::Aad, &Ask { authorization: None, ..ask }, start());
    assert!(json_of(&reply)["odata.error"]["message"]["value"].is_string());
}

#[test]
fn a_type_of_sign_ins_is_its_share_of_the_events() {
    let mut client = Client::new(json!({}));
    let mut ids = Vec::new();
    for kind in SIGN_IN_TYPES {
        let filter = format!("$top=100&$filter=signInEventTypes/any(t: t eq '{kind}')");
        let mut target = Some(format!("/beta/auditLogs/signIns?{filter}"));
        while let Some(next) = target {
            let body = json_of(&client.ask(Api::GraphBeta, &next, &client.bearer.clone()));
            let records = body["value"].as_array().unwrap();
            assert!(records.iter().all(|record| record["signInEventTypes"] == json!([kind])));
            ids.extend(all(&body["value"], "id"));
            target = body["@odata.nextLink"].as_str().map(str::to_owned);
        }
    }
    let mut shown = client.shown();
    shown.sort();
    ids.sort();
    assert_eq!(ids, shown);
}

#[test]
fn the_identity_fails_in_three_ways() {
    let mut client = Client::new(json!({"auth_fail": 1.0}));
    let ask = IdentityAsk {
        query: "api-version=2018-02-01&resource=r".to_owned(),
        metadata: "true".to_owned(),
        forwarded: false,
    };
    let ask = |client: &mut Client| client.world.identity(&ask, start()).status;
    let statuses: HashSet<u16> = (0..50).map(|_| ask(&mut client)).collect();
    assert_eq!(statuses, HashSet::from([500, 429, 410]));
    client.world.faults.change(json!({"auth_fail": 0.0}).as_object().unwrap()).unwrap();
    assert_eq!(ask(&mut client), 200);
    assert_eq!(client.world.stats(start()).tokens_by_proof["managed_identity"], 1);
}
