//! The audit log of a GitHub organisation.

use super::*;

const TOKEN: &str = "Bearer simulator-token";

impl Client {
    fn audit(&mut self, query: &str) -> Reply {
        self.ask(Api::Github, &format!("/orgs/contoso/audit-log?{query}"), TOKEN)
    }
}

#[test]
fn a_walk_shows_what_shows_in_the_range() {
    let mut client = Client::new(json!({}));
    let query = "phrase=created:>=2026-03-01T11:10:00%2B00:00 created:<=2026-03-01T11:20:00%2B00:00\
        &per_page=500&order=asc";
    let mut reply = client.audit(query);
    let mut times = Vec::new();
    let mut pages = 1;
    loop {
        let page = json_of(&reply);
        assert!(page.as_array().unwrap().len() <= 100, "more is cut down");
        times.extend(page.as_array().unwrap().iter().map(|e| e["@timestamp"].as_i64().unwrap()));
        assert!(all(&page, "_document_id").iter().all(|id| id.len() == 36));
        let Some(next) = link(&reply, "next") else {
            break;
        };
        reply = client.ask(Api::Github, &next, TOKEN);
        pages += 1;
    }
    assert_eq!(pages, 6);
    assert!((595..=601).contains(&times.len()), "{}", times.len());
    assert!(times.is_sorted());
    let from: Timestamp = "2026-03-01T11:10:00Z".parse().unwrap();
    assert!(times[0] >= from.as_millisecond() && times[0] < from.as_millisecond() + 2000);
}

#[test]
fn phrases() {
    let mut client = Client::new(json!({}));
    let mut count = |phrase: &str| {
        let reply = client.audit(&format!("per_page=100&phrase={phrase}"));
        let list = json_of(&reply);
        if reply.status == 200 { Ok(list.as_array().unwrap().len()) } else { Err(reply.status) }
    };
    assert_eq!(count("created:2026-03-01T11:10:00Z..2026-03-01T11:10:30Z"), Ok(30));
    assert_eq!(count("created:>2026-03-01T11:10:00Z created:<2026-03-01T11:10:30Z"), Ok(30));
    assert_eq!(count("created:*..2026-03-01T11:00:10Z"), Ok(10));
    assert_eq!(count("created:>=2026-03-01T13:00:00Z"), Ok(0));
    assert_eq!(count(""), Ok(100));
    for bad in ["created:", "created:>=then", "action:x", "created:>=2026-03-01T11:10:00+00:00"] {
        assert_eq!(count(bad), Err(422), "{bad}");
    }
}

#[test]
fn a_token_is_wanted() {
    let mut client = Client::new(json!({}));
    for bad in ["Bearer other", "Basic simulator-token", ""] {
        assert_eq!(client.ask(Api::Github, "/orgs/contoso/audit-log", bad).status, 401);
    }
    assert_eq!(client.audit("after=abc").status, 400);
}
