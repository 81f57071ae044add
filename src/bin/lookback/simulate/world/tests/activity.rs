//! Office 365: subscriptions, listings, blobs.

use std::collections::HashMap;

use super::*;

const FEED: &str = "/api/v1.0/contoso/activity/feed";

fn blobs(page: usize) -> ListingOptions {
    let blobs = BlobOptions { page, repeat: 0.1, ..Default::default() };
    ListingOptions { blobs, ..Default::default() }
}

impl Client {
    fn feed(&mut self, target: &str) -> Reply {
        let mark = if target.contains('?') { '&' } else { '?' };
        let bearer = self.bearer.clone();
        self.ask(Api::Activity, &format!("{target}{mark}PublisherIdentifier=p"), &bearer)
    }

    fn code(&mut self, target: &str) -> (u16, String) {
        let reply = self.feed(target);
        let code = json_of(&reply)["error"]["code"].as_str().unwrap_or_default().to_owned();
        (reply.status, code)
    }

    fn subscribe(&mut self, kind: &str) -> (u16, String) {
        self.code(&format!("{FEED}/subscriptions/start?contentType={kind}"))
    }

    fn content(&mut self, kind: &str, start: &str, end: &str) -> String {
        self.subscribe(kind);
        format!("{FEED}/subscriptions/content?contentType={kind}&startTime={start}&endTime={end}")
    }

    /// The items of all pages.
    fn list(&mut self, target: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut target = Some(target.to_owned());
        while let Some(at) = target {
            let reply = self.feed(&at);
            assert_eq!(reply.status, 200);
            items.extend(json_of(&reply).as_array().unwrap().iter().cloned());
            target = header(&reply, "nextpageuri").map(str::to_owned);
            self.now = later(self.now, Duration::from_secs(1));
        }
        items
    }
}

fn bad(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[test]
fn subscriptions_are_off_until_they_are_started() {
    let mut client = Client::new(json!({}));
    let list = format!("{FEED}/subscriptions/list");
    let states = |client: &mut Client| {
        let list = json_of(&client.feed(&list));
        (all(&list, "contentType"), all(&list, "status"))
    };
    assert!(states(&mut client).1.iter().all(|status| status == "disabled"));
    let content = format!("{FEED}/subscriptions/content?contentType=DLP.All");
    assert_eq!(client.code(&content), bad(400, "AF20022"));
    assert_eq!(client.subscribe("DLP.All"), bad(200, ""));
    assert_eq!(client.subscribe("DLP.All"), bad(400, "AF20024"));
    assert_eq!(client.subscribe("Audit.Nothing"), bad(400, "AF20020"));
    let (kinds, statuses) = states(&mut client);
    let on = kinds.iter().position(|kind| kind == "DLP.All").unwrap();
    assert_eq!(statuses[on], "enabled");
    assert_eq!(client.feed(&content).status, 200);
}

#[test]
fn every_event_arrives_in_a_listed_blob() {
    let mut client = Client::with(blobs(7), json!({}));
    client.now = after(7200);
    client.sign_in();
    let mut counts = HashMap::new();
    for kind in CONTENT_TYPES {
        let target = client.content(kind, "2026-03-01T11:00:00", "2026-03-01T14:00:00Z");
        for item in client.list(&target) {
            assert_eq!(item["contentType"], kind);
            let blob = json_of(&client.feed(item["contentUri"].as_str().unwrap()));
            for id in all(&blob, "Id") {
                *counts.entry(id).or_insert(0) += 1;
            }
            assert!(all(&blob, "CreationTime").iter().all(|time| time.len() == 19));
        }
    }
    let feed = &client.world.feed;
    let due = (0..feed.generated(after(7200)))
        .filter(|number| feed.event(*number).visible_at < after(7190));
    assert!(due.map(|number| feed.id(number)).all(|id| counts.contains_key(&id)));
    assert!(counts.values().any(|count| *count == 2), "some come again");
}

#[test]
fn a_blob_may_be_listed_late_and_out_of_order() {
    let lateness = "uniform:0s-10m".parse().unwrap();
    let blobs = BlobOptions { lateness, page: 1000, ..Default::default() };
    let mut client = Client::with(ListingOptions { blobs, ..Default::default() }, json!({}));
    client.now = after(3600);
    client.sign_in();
    let target = client.content("DLP.All", "2026-03-01T12:40:00", "2026-03-01T13:00:00");
    let early = client.list(&target);
    client.now = after(4200);
    let late = client.list(&target);
    assert!(early.len() < late.len());
    let gap = late.iter().position(|item| !early.contains(item)).unwrap();
    assert!(late[gap..].iter().any(|item| early.contains(item)), "a later one came first");
}

#[test]
fn ranges_that_are_refused() {
    let mut client = Client::new(json!({}));
    for (start, end, code) in [
        ("2026-02-28T11:59:59", "2026-03-01T12:00:00", "AF20030"),
        ("2026-02-22T11:59:59", "2026-02-22T12:00:00", "AF20030"),
        ("2026-03-01T12:00:00", "2026-03-01T11:00:00", "AF20030"),
        ("2026-03-01T11:00:00", "tomorrow", "AF20002"),
    ] {
        let target = client.content("DLP.All", start, end);
        assert_eq!(client.code(&target), bad(400, code), "{start} {end}");
    }
    let half =
        format!("{FEED}/subscriptions/content?contentType=DLP.All&endTime=2026-03-01T11:00:00");
    assert_eq!(client.code(&half), bad(400, "AF20030"));
    let target = client.content("DLP.All", "2026-02-28T12:00:00", "2026-03-01T12:00:00");
    assert_eq!(client.code(&target).0, 200);
}

#[test]
fn links_die_and_name_no_publisher() {
    let mut client = Client::with(blobs(2), json!({}));
    client.now = after(600);
    let target = client.content("DLP.All", "2026-03-01T12:00:00", "2026-03-01T12:10:00");
    let next = header(&client.feed(&target), "nextpageuri").unwrap().to_owned();
    assert!(!next.contains("Publisher"), "{next}");
    assert_eq!(client.code(&next.replace("nextPage=0", "nextPage=1")), bad(400, "AF20031"));
    client.now = after(901);
    assert_eq!(client.code(&next), bad(400, "AF20031"));

    assert_eq!(client.ask(Api::Activity, &next, &client.bearer.clone()).status, 400);
    assert_eq!(client.world.stats.missing_publisher, 1);
    assert_eq!(client.ask(Api::Activity, &next, "Bearer other").status, 401);
}

#[test]
fn a_blob_is_gone_by_chance_or_for_good() {
    let mut client = Client::with(blobs(5), json!({}));
    client.now = after(600);
    let target = client.content("DLP.All", "2026-03-01T12:00:00", "2026-03-01T12:10:00");
    let blob = client.list(&target)[0]["contentUri"].as_str().unwrap().to_owned();
    client.world.faults.change(json!({"next": ["blob_gone"]}).as_object().unwrap()).unwrap();
    assert_eq!(client.code(&blob), bad(400, "AF20051"));
    assert_eq!(client.code(&blob).0, 200);
    assert_eq!(client.world.stats.blobs_fetched_again, 0, "the first try was none");
    assert_eq!(client.code(&blob).0, 200);
    assert_eq!(client.world.stats.blobs_fetched_again, 1);
    assert_eq!(client.code(&blob.replace("DLP", "DPL")), bad(400, "AF20051"));

    client.world.feed.pause(client.now);
    client.now = after(8 * 86_400);
    client.sign_in();
    assert_eq!(client.code(&blob), bad(400, "AF20051"));
}

#[test]
fn throttling_is_429_or_403_and_errors_are_500() {
    let mut client = Client::new(json!({"throttle": 1.0}));
    let list = format!("{FEED}/subscriptions/list");
    let answers: HashSet<_> = (0..50).map(|_| client.code(&list)).collect();
    assert_eq!(answers, HashSet::from([bad(429, "AF429"), bad(403, "AF429")]));
    let mut client = Client::new(json!({"error": 1.0}));
    let answers: HashSet<_> = (0..50).map(|_| client.code(&list)).collect();
    assert_eq!(answers, HashSet::from([bad(500, "AF50000")]));
}

#[test]
fn an_empty_page_leads_on() {
    let mut client = Client::with(blobs(7), json!({}));
    client.now = after(3600);
    client.sign_in();
    let target = client.content("DLP.All", "2026-03-01T12:00:00", "2026-03-01T13:00:00");
    let items = client.list(&target);
    client.now = after(3500);
    let target = client.content("DLP.All", "2026-03-01T12:00:00", "2026-03-01T12:50:00");
    client.world.faults.change(json!({"empty_page": 1.0}).as_object().unwrap()).unwrap();
    let through_empty_pages = client.list(&target);
    assert_eq!(through_empty_pages, items[..through_empty_pages.len()]);
    assert!(through_empty_pages.len() > 200);
}
