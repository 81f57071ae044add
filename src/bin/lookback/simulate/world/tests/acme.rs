//! All the usual ways of paging, of writing times, of showing a key.

use super::*;

const TOKEN: &str = "Bearer simulator-token";
const RANGE: &str = "from=2026-03-01T11:10:00Z&to=2026-03-01T11:19:59Z";

impl Client {
    fn acme(&mut self, target: &str) -> Reply {
        self.ask(Api::Acme, target, TOKEN)
    }

    fn post(&mut self, body: &Value) -> Reply {
        let ask = Ask {
            path: "/acme/post/events".to_owned(),
            authorization: Some(TOKEN.to_owned()),
            body: Some(body.to_string().into_bytes()),
            ..Default::default()
        };
        self.world.listing(Api::Acme, &ask, self.now)
    }

    /// The numbers of the events that show in `RANGE`.
    fn expected(&self) -> Vec<u64> {
        let feed = &self.world.feed;
        let (from, to) = ("2026-03-01T11:10:00Z".parse().unwrap(), "2026-03-01T11:20:00Z".parse());
        let numbers = feed.numbers(from, to.unwrap(), self.now);
        numbers.filter(|number| feed.event(*number).visible_at <= self.now).collect()
    }
}

fn items(reply: &Reply) -> Vec<u64> {
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    let body = json_of(reply);
    body["data"]["items"].as_array().unwrap().iter().map(|e| e["seq"].as_u64().unwrap()).collect()
}

/// Follows `next` from page to page, a minute each.
fn walk(client: &mut Client, first: &str, next: impl Fn(&Reply, usize) -> Option<String>) {
    let expected = client.expected();
    let (mut found, mut pages) = (Vec::new(), 0);
    let mut target = Some(first.to_owned());
    while let Some(at) = target {
        let reply = client.acme(&at);
        found.extend(items(&reply));
        pages += 1;
        target = next(&reply, pages);
        client.now = later(client.now, Duration::from_secs(60));
    }
    assert_eq!(found, expected);
    assert_eq!(pages, expected.len().div_ceil(70));
}

#[test]
fn links_lead_through_a_stable_walk() {
    for paging in ["link", "header", "link-header", "cursor"] {
        let mut client = Client::new(json!({}));
        let first = format!("/acme/{paging}/events?{RANGE}&size=70");
        walk(&mut client, &first, |reply, _| match paging {
            "link" => json_of(reply)["links"]["next"].as_str().map(str::to_owned),
            "header" => header(reply, "x-next-page").map(str::to_owned),
            "link-header" => link(reply, "next"),
            _ => match json_of(reply)["next_cursor"].as_str().unwrap() {
                "" => None,
                cursor => Some(format!("{first}&cursor={cursor}")),
            },
        });
    }
}

#[test]
fn pages_and_offsets_are_counted() {
    let mut client = Client::new(json!({}));
    client.now = after(3600);
    let last = client.expected().len().div_ceil(70);
    for paging in ["page", "offset"] {
        let first = format!("/acme/{paging}/events?{RANGE}&size=70");
        walk(&mut client, &first, |_, pages| {
            let place = if paging == "page" { pages + 1 } else { pages * 70 };
            (pages < last).then(|| format!("{first}&{paging}={place}"))
        });
        let behind = if paging == "page" { last + 1 } else { last * 70 };
        assert!(items(&client.acme(&format!("{first}&{paging}={behind}"))).is_empty());
    }
}

#[test]
fn a_post_says_all_in_its_body() {
    let mut client = Client::new(json!({}));
    let expected = client.expected();
    let mut ask = json!({"from": 1_772_363_400, "to": "2026-03-01T11:19:59Z", "size": 70});
    let mut found = Vec::new();
    loop {
        let reply = client.post(&ask);
        found.extend(items(&reply));
        match json_of(&reply)["next_cursor"].take() {
            Value::Null => break,
            cursor => ask["cursor"] = cursor,
        }
    }
    assert_eq!(found, expected);
    assert_eq!(client.post(&json!({"from": true})).status, 400);
    assert_eq!(client.acme("/acme/post/events").status, 405);
}

#[test]
fn lines_are_lines() {
    let mut client = Client::new(json!({}));
    let reply = client.acme(&format!("/acme/lines/events?{RANGE}"));
    let text = String::from_utf8(reply.body.clone()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 100);
    assert!(header(&reply, "x-next-page").is_some());
}

#[test]
fn times_are_told_by_their_shape_and_hold_whole_seconds() {
    let mut client = Client::new(json!({}));
    let mut ask = |from: &str, to: &str| {
        items(&client.acme(&format!("/acme/link/events?from={from}&to={to}")))
    };
    let whole = ask("2026-03-01T11:10:00Z", "2026-03-01T11:10:29Z");
    assert_eq!(whole.len(), 30);
    assert_eq!(ask("1772363400", "1772363429"), whole);
    assert_eq!(ask("1772363400900", "1772363429000"), whole);
    assert_eq!(ask("01/03/2026 11:10:00", "01/03/2026%2011:10:29"), whole);
    assert_eq!(client.acme("/acme/link/events?from=yesterday").status, 400);
    assert_eq!(client.acme("/acme/link/events?size=101").status, 400);
    assert_eq!(client.acme("/acme/link/events?cursor=x").status, 400);
    assert_eq!(client.acme("/acme/telepathy/events").status, 404);
}

#[test]
fn keys_come_in_four_kinds() {
    let basic = "Basic c2ltdWxhdG9yOnNpbXVsYXRvci10b2tlbg==";
    let with = |authorization: Option<&str>, api_key: Option<&str>, query: &str| {
        let ask = Ask {
            path: "/acme/link/events".to_owned(),
            query: query.to_owned(),
            authorization: authorization.map(str::to_owned),
            api_key: api_key.map(str::to_owned),
            ..Default::default()
        };
        Client::new(json!({})).world.listing(Api::Acme, &ask, start())
    };
    let key = Some("simulator-token");
    for wanted in ["bearer", "header", "query", "basic"] {
        let status = |kind| if kind == wanted { 200 } else { 403 };
        let auth = format!("auth={wanted}");
        assert_eq!(with(Some(TOKEN), None, &auth).status, status("bearer"));
        assert_eq!(with(Some(basic), None, &auth).status, status("basic"));
        assert_eq!(with(None, key, &auth).status, status("header"));
        let in_query = format!("{auth}&api_key=simulator-token");
        assert_eq!(with(None, None, &in_query).status, status("query"));
        assert_eq!(with(None, None, &auth).status, 401);
    }
    assert_eq!(with(Some("Bearer other"), Some("other"), "api_key=other").status, 401);
    let reply = with(None, None, "api_key=simulator-token&size=1");
    assert!(!json_of(&reply)["links"]["next"].as_str().unwrap().contains("api_key"));
}
