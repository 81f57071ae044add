//! Okta: polling, bounded queries, the quota.

use super::*;

const TOKEN: &str = "SSWS simulator-token";

impl Client {
    fn log(&mut self, target: &str) -> Reply {
        self.ask(Api::Okta, target, TOKEN)
    }

    /// Follows the next links until a page is empty, or there is none; the ids.
    fn drain(&mut self, target: &str) -> (Vec<String>, Option<String>) {
        let mut ids = Vec::new();
        let mut target = target.to_owned();
        loop {
            let reply = self.log(&target);
            assert_eq!(reply.status, 200, "{target}");
            let page = all(&json_of(&reply), "uuid");
            let next = link(&reply, "next");
            let end = page.is_empty() || next.is_none();
            ids.extend(page);
            match next {
                Some(next) if !end => target = next,
                next => return (ids, next),
            }
        }
    }
}

#[test]
fn polling_shows_everything_once_in_the_order_of_showing() {
    let mut client = Client::new(json!({}));
    let (mut ids, mut next) = client.drain("/api/v1/logs?since=2026-03-01T11:00:00Z&limit=1000");
    assert_eq!(ids.len() as u64, client.world.feed.visible(start()));
    for minute in 1..20 {
        client.now = after(60 * minute);
        let (more, link) = client.drain(&next.unwrap());
        (next, ids) = (link, [ids, more].concat());
    }
    let feed = &client.world.feed;
    let mut shown: Vec<_> = (0..feed.generated(client.now))
        .map(|number| feed.event(number))
        .filter(|event| event.visible_at <= client.now)
        .collect();
    shown.sort_by_key(|event| (event.visible_at, event.number));
    assert_eq!(ids, shown.iter().map(|event| feed.id(event.number)).collect::<Vec<_>>());
}

#[test]
fn a_poll_leaves_out_what_was_published_before() {
    let mut client = Client::new(json!({}));
    let reply = client.log("/api/v1/logs?since=2026-03-01T11:50:00Z&limit=1000");
    let published = all(&json_of(&reply), "published");
    assert!(published.len() > 400 && published.iter().all(|at| at.as_str() >= "2026-03-01T11:50"));
    assert!(!published.is_sorted(), "they are in another order");
    assert!(link(&reply, "self").is_some() && link(&reply, "next").is_some());
}

#[test]
fn an_empty_page_and_a_repeated_link_lose_nothing() {
    let mut client = Client::new(json!({}));
    let target = "/api/v1/logs?since=2026-03-01T11:50:00Z&limit=200";
    let first = all(&json_of(&client.log(target)), "uuid");
    client.world.faults.change(json!({"empty_page": 1.0}).as_object().unwrap()).unwrap();
    let empty = client.log(target);
    assert_eq!(json_of(&empty), json!([]));
    let page = client.log(&link(&empty, "next").unwrap());
    assert_eq!(all(&json_of(&page), "uuid"), first);

    let faults = json!({"empty_page": 0.0, "next": ["repeat_link"]});
    client.world.faults.change(faults.as_object().unwrap()).unwrap();
    let page = client.log(target);
    let again = client.log(&link(&page, "next").unwrap());
    assert_eq!(all(&json_of(&again), "uuid"), first);
}

#[test]
fn a_bounded_query_is_by_time_and_ends() {
    let mut client = Client::new(json!({}));
    let range = "since=2026-03-01T11:10:00.5Z&until=2026-03-01T11:20:00.25Z";
    let reply = client.log(&format!("/api/v1/logs?{range}&limit=1000"));
    let published = all(&json_of(&reply), "published");
    assert!(link(&reply, "next").is_none());
    assert!((599..=601).contains(&published.len()), "{}", published.len());
    assert!(published.is_sorted());
    assert!(published.iter().all(|at| at.len() == "2026-03-01T11:10:00.500Z".len()));
    let (ids, next) = client.drain(&format!("/api/v1/logs?{range}"));
    assert_eq!((ids.len(), next), (published.len(), None));
    let down = client.log(&format!("/api/v1/logs?{range}&limit=1000&sortOrder=DESCENDING"));
    assert!(all(&json_of(&down), "published").is_sorted_by(|a, b| a >= b));
}

#[test]
fn a_bounded_query_may_miss_what_was_late() {
    let range = "/api/v1/logs?since=2026-03-01T11:10:00Z&until=2026-03-01T11:20:00Z&limit=1000";
    let count = |misses| {
        let listing = ListingOptions { bounded_misses: misses, ..Default::default() };
        all(&json_of(&Client::with(listing, json!({})).log(range)), "uuid").len()
    };
    // Of an exponential lateness, a share of 1/e is over its mean.
    let (whole, half, none) = (count(0.0), count(0.5), count(1.0));
    assert!((350..410).contains(&none), "{none} of {whole}");
    assert!(none + 70 < half && half + 70 < whole, "{none} {half} {whole}");
}

#[test]
fn refusals() {
    let mut client = Client::new(json!({}));
    for (target, code) in [
        ("/api/v1/logs?limit=1001", "E0000001"),
        ("/api/v1/logs?since=yesterday", "E0000001"),
        ("/api/v1/logs?after=abc", "E0000031"),
        ("/api/v1/logs?after=abc&until=2026-03-01T11:10:00Z", "E0000031"),
    ] {
        let reply = client.log(target);
        assert_eq!((reply.status, &json_of(&reply)["errorCode"]), (400, &json!(code)), "{target}");
    }
    let reply = client.ask(Api::Okta, "/api/v1/logs", "Bearer simulator-token");
    assert_eq!((reply.status, &json_of(&reply)["errorCode"]), (401, &json!("E0000011")));
    assert!(header(&reply, "x-rate-limit-remaining").is_some(), "on every answer");

    let next = link(&client.log("/api/v1/logs"), "next").unwrap();
    client.world.feed.pause(start());
    client.now = after(30 * 86_400);
    assert_eq!(client.log(&next).status, 200, "an old position is good");
    client.world.faults.change(json!({"next": ["expire_link"]}).as_object().unwrap()).unwrap();
    assert_eq!(client.log(&next).status, 400, "unless it is killed");
}

#[test]
fn the_quota_is_told_and_kept() {
    let listing = ListingOptions { token_quota: 2, ..Default::default() };
    let mut client = Client::with(listing, json!({}));
    let ask = |client: &mut Client| {
        let reply = client.log("/api/v1/logs?limit=1");
        assert_eq!(header(&reply, "x-rate-limit-limit"), Some("2"));
        let reset: i64 = header(&reply, "x-rate-limit-reset").unwrap().parse().unwrap();
        assert_eq!(reset % 60, 0);
        let remaining = header(&reply, "x-rate-limit-remaining").unwrap().to_owned();
        assert!(header(&reply, "retry-after").is_none());
        (reply.status, remaining)
    };
    assert_eq!(ask(&mut client), (200, "1".to_owned()));
    assert_eq!(client.world.stats.quota_spent, 0);
    assert_eq!(ask(&mut client), (200, "0".to_owned()));
    assert_eq!(client.world.stats.quota_spent, 1);
    assert_eq!(ask(&mut client), (429, "0".to_owned()));
    assert_eq!(client.world.stats.quota_spent, 1);
    client.now = after(60);
    assert_eq!(ask(&mut client), (200, "1".to_owned()));
}

#[test]
fn the_reset_of_a_throttled_request_may_have_passed() {
    let mut client = Client::new(json!({"throttle": 1.0}));
    let now = start().as_second();
    let mut passed = 0;
    for _ in 0..100 {
        let reply = client.log("/api/v1/logs");
        assert_eq!((reply.status, &json_of(&reply)["errorCode"]), (429, &json!("E0000047")));
        assert_eq!(header(&reply, "retry-after"), None);
        let reset: i64 = header(&reply, "x-rate-limit-reset").unwrap().parse().unwrap();
        assert!(reset == now + 2 || reset < now, "{reset}");
        passed += u32::from(reset < now);
    }
    assert!((5..50).contains(&passed), "{passed}");
}
