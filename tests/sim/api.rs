//! The API: answers ranges page by page as of the walk's first page, and fails as it is told to.
//! It checks that its client keeps to what was agreed: the budget, and every `Retry-After`.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use in_lookback::api::RequestSpec;
use in_lookback::api::page::{Failure, FailureKind};
use in_lookback::config::Secret;
use in_lookback::model::Timestamp;
use in_lookback::poll::tokens::Grant;
use url::Url;

use crate::clock::{MINUTE, time};
use crate::event::Happening;

/// What is wrong with the API for a while.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    /// Every request fails.
    Down,
    /// The login service fails.
    NoLogin,
    /// Every request is told to come back so much later.
    Throttled(Duration),
    /// This share of requests fails, by bodies cut short, errors, and links that died.
    Flaky(f64),
    /// Pages take so long.
    Slow(Duration),
}

/// A trouble, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) from: Duration,
    pub(crate) to: Duration,
    pub(crate) trouble: Trouble,
}

/// What a request for a page comes to.
#[derive(Debug)]
pub(crate) struct Page {
    /// Events, or the listing's blobs, by index.
    pub(crate) events: Vec<usize>,
    pub(crate) next: Option<String>,
    /// As of when events say what they say.
    pub(crate) says_as_of: Duration,
}

/// Events that come together.
#[derive(Clone, Debug)]
pub(crate) struct Blob {
    pub(crate) made: Duration,
    visible: Duration,
    events: Vec<usize>,
}

#[derive(Debug)]
pub(crate) struct Api {
    events: Rc<[Happening]>,
    /// In the order in which they were made; two kinds of them, by turns.
    pub(crate) blobs: Vec<Blob>,
    /// Events in the order in which they become visible.
    stored: Vec<usize>,
    page: usize,
    faults: Vec<Fault>,
    latency: Duration,
    per_minute: usize,
    /// How far back it answers; further back it refuses.
    reach: Duration,
    rng: fastrand::Rng,
    closed_until: Duration,
    asked: VecDeque<Duration>,
    tokens: u64,
    refused_token: u64,
    /// Records served, each as often as it was.
    pub(crate) served: u64,
}

impl Api {
    pub(crate) fn new(events: Rc<[Happening]>, page: usize, per_minute: u32, seed: u64) -> Self {
        let blobs = blobs(&events);
        let mut stored: Vec<usize> = (0..events.len()).collect();
        stored.sort_by_key(|index| events[*index].visible);
        Self {
            events,
            blobs,
            stored,
            page,
            faults: Vec::new(),
            latency: Duration::from_millis(200),
            per_minute: per_minute as usize,
            reach: Duration::MAX,
            rng: fastrand::Rng::with_seed(seed),
            closed_until: Duration::ZERO,
            asked: VecDeque::new(),
            tokens: 0,
            refused_token: 0,
            served: 0,
        }
    }

    /// Answers take so long.
    pub(crate) fn with_latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    pub(crate) fn with_faults(mut self, faults: Vec<Fault>) -> Self {
        self.faults = faults;
        self
    }

    /// What is further back than `reach` it refuses to answer.
    pub(crate) fn with_reach(mut self, reach: Duration) -> Self {
        self.reach = reach;
        self
    }

    /// An answer has arrived: from now on its client knows what it was told.
    pub(crate) fn told<T>(&mut self, answer: &Result<T, Failure>, now: Duration) {
        if let Err(Failure { kind: FailureKind::Throttled(Some(wait)), .. }) = answer {
            self.closed_until = self.closed_until.max(now + *wait);
        }
    }

    /// A new process knows nothing of what the one before was told.
    pub(crate) fn forget_client(&mut self) {
        self.closed_until = Duration::ZERO;
        self.asked.clear();
    }

    /// How long the answer to a request sent now takes.
    pub(crate) fn delay(&mut self, now: Duration) -> Duration {
        let slow = self.troubles(now).find_map(|trouble| match trouble {
            Trouble::Slow(by) => Some(by),
            _ => None,
        });
        slow.unwrap_or(self.latency).mul_f64(0.5 + self.rng.f64() * 0.5)
    }

    /// Answers a login.
    pub(crate) fn login(&mut self, now: Duration) -> Result<Grant, Failure> {
        let down = self.troubles(now).any(|trouble| matches!(trouble, Trouble::NoLogin));
        if down {
            return Err(failure(FailureKind::Transient, 500));
        }
        self.tokens += 1;
        let token = Secret::new(self.tokens.to_string());
        Ok(Grant { token, expires_in: MINUTE * 60 })
    }

    /// Answers a request for a page.
    pub(crate) fn answer(&mut self, spec: &RequestSpec, now: Duration) -> Result<Page, Failure> {
        self.check_client(now);
        let path = spec.url.path().to_owned();
        let link = path == "/next" || spec.url.query_pairs().any(|(name, _)| name == "after");
        let troubles: Vec<Trouble> = self.troubles(now).collect();
        for trouble in troubles {
            self.fail(trouble, link || path == "/blob")?;
        }
        self.check_token(spec)?;
        match path.as_str() {
            "/list" | "/blob" => return self.blobs(&spec.url, now),
            "/log" => return self.log(&spec.url, now),
            _ => {}
        }
        let (at, end, shown) = if link { position(&spec.url) } else { self.first(&spec.url, now)? };
        Ok(self.page(at, end, shown, now))
    }

    fn troubles(&self, now: Duration) -> impl Iterator<Item = Trouble> {
        let running = self.faults.iter().filter(move |fault| fault.from <= now && now < fault.to);
        running.map(|fault| fault.trouble)
    }

    fn check_client(&mut self, now: Duration) {
        assert!(now >= self.closed_until, "asked while a Retry-After runs");
        self.asked.retain(|asked| *asked + MINUTE > now);
        self.asked.push_back(now);
        assert!(self.asked.len() <= self.per_minute, "asked more often than agreed");
    }

    fn fail(&mut self, trouble: Trouble, link: bool) -> Result<(), Failure> {
        match trouble {
            Trouble::Down => Err(failure(FailureKind::Transient, 503)),
            Trouble::Throttled(wait) => Err(failure(FailureKind::Throttled(Some(wait)), 429)),
            Trouble::Flaky(share) if self.rng.f64() < share => match self.rng.u8(..4) {
                0 if link => Err(failure(FailureKind::Refused, 410)),
                1 => Err(failure(FailureKind::Throttled(None), 429)),
                2 => Err(failure(FailureKind::Transient, 200)),
                _ => Err(failure(FailureKind::Transient, 500)),
            },
            Trouble::NoLogin | Trouble::Flaky(_) | Trouble::Slow(_) => Ok(()),
        }
    }

    /// A token is good for a while, and now and then for less than it promised.
    fn check_token(&mut self, spec: &RequestSpec) -> Result<(), Failure> {
        let Some(credential) = &spec.credential else { return Ok(()) };
        assert_eq!(credential.value.expose(), format!("Bearer {}", self.tokens));
        if self.rng.u16(..500) == 0 {
            self.refused_token = self.tokens;
        }
        if self.refused_token == self.tokens {
            return Err(failure(FailureKind::Unauthorized, 401));
        }
        Ok(())
    }

    /// Where a walk begins and ends, and as of when it shows events.
    fn first(&self, url: &Url, now: Duration) -> Result<(usize, usize, Duration), Failure> {
        let (from, to) = range(url);
        if now > time(from).saturating_add(self.reach) {
            return Err(failure(FailureKind::Refused, 400));
        }
        let (from, to) = (time(from), time(to));
        let at = self.events.partition_point(|event| event.happened < from);
        let end = self.events.partition_point(|event| event.happened <= to);
        Ok((at, end, now))
    }

    /// A listing of one kind of blobs, in pages of a few; or a blob, which may be away for a moment.
    fn blobs(&mut self, url: &Url, now: Duration) -> Result<Page, Failure> {
        if url.path() == "/blob" {
            let blob = &self.blobs[parameter(url, "n").parse::<usize>().expect("a number")];
            if self.rng.u8(..50) == 0 {
                return Err(failure(FailureKind::Gone, 400));
            }
            self.served += blob.events.len() as u64;
            return Ok(Page { events: blob.events.clone(), next: None, says_as_of: blob.visible });
        }
        let (from, to) = range(url);
        let (from, to) = (time(from), time(to));
        let kind = usize::from(parameter(url, "kind") == "odd");
        let skip = url.query_pairs().find(|(name, _)| name == "page");
        let skip: usize = skip.map_or(0, |(_, number)| number.parse().expect("a number"));
        let shown =
            |(_, blob): &(usize, &Blob)| from <= blob.made && blob.made < to && blob.visible <= now;
        let all = self.blobs.iter().enumerate().filter(|(number, _)| number % 2 == kind);
        let mut page: Vec<usize> =
            all.filter(shown).skip(skip * 3).take(4).map(|(number, _)| number).collect();
        let more = page.len() > 3;
        page.truncate(3);
        let mut next = url.clone();
        next.query_pairs_mut()
            .clear()
            .extend_pairs(url.query_pairs().filter(|(name, _)| name != "page"));
        next.query_pairs_mut().append_pair("page", &(skip + 1).to_string());
        Ok(Page { events: page, next: more.then(|| next.to_string()), says_as_of: now })
    }

    /// An endless log in the order of storing, or a range of it by time.
    fn log(&mut self, url: &Url, now: Duration) -> Result<Page, Failure> {
        let value = |name: &str| {
            url.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
        };
        if value("to").is_some() {
            let (at, end, shown) = self.first(url, now)?;
            return Ok(self.page(at, end, shown, now));
        }
        let since = value("from");
        let from = since.as_ref().map(|text| time(Timestamp::parse(text).expect("a moment")));
        let at = value("after").map_or(0, |text| text.parse().expect("a number"));
        let end = self.stored.partition_point(|index| self.events[*index].visible <= now);
        let mut events = Vec::new();
        let mut next = at;
        for (place, index) in self.stored.iter().enumerate().take(end).skip(at) {
            if events.len() == self.page {
                break;
            }
            next = place + 1;
            if from.is_none_or(|from| self.events[*index].happened >= from) {
                events.push(*index);
            }
        }
        self.served += events.len() as u64;
        // The link keeps to the moment that the walk began with.
        let since = since.map(|from| format!("&from={from}")).unwrap_or_default();
        let next = Some(format!("/log?after={next}{since}"));
        Ok(Page { events, next, says_as_of: now })
    }

    fn page(&mut self, at: usize, end: usize, shown: Duration, now: Duration) -> Page {
        let mut events: Vec<usize> = Vec::new();
        let visible = (at..end).filter(|index| self.events[*index].visible <= shown);
        events.extend(visible.take(self.page + 1));
        let more = (events.len() > self.page).then(|| events.pop()).flatten();
        self.served += events.len() as u64;
        let next = more.map(|at| format!("/next?at={at}&end={end}&shown={}", shown.as_nanos()));
        Page { events, next, says_as_of: now }
    }
}

/// The blobs that events are in: those that were made at the same time, and, for every tenth event,
/// the one after it as well.
fn blobs(events: &[Happening]) -> Vec<Blob> {
    let mut blobs = std::collections::BTreeMap::<Duration, Blob>::new();
    for (index, event) in events.iter().enumerate() {
        let (made, visible) = (event.selected, event.visible);
        let blob = blobs.entry(made).or_insert(Blob { made, visible, events: Vec::new() });
        blob.events.push(index);
    }
    let mut blobs: Vec<Blob> = blobs.into_values().collect();
    for number in 1..blobs.len() {
        let before = &blobs[number - 1];
        let own =
            |index: &usize| index.is_multiple_of(10) && events[*index].selected == before.made;
        let again: Vec<usize> = before.events.iter().copied().filter(own).collect();
        blobs[number].events.extend(again);
    }
    blobs
}

/// The range that a first page's URL asks for.
pub(crate) fn range(url: &Url) -> (Timestamp, Timestamp) {
    let moment = |name| Timestamp::parse(&parameter(url, name)).expect("a moment");
    (moment("from"), moment("to"))
}

fn position(url: &Url) -> (usize, usize, Duration) {
    let number = |name| parameter(url, name).parse::<u64>().expect("a number");
    (number("at") as usize, number("end") as usize, Duration::from_nanos(number("shown")))
}

fn parameter(url: &Url, name: &str) -> String {
    let found = url.query_pairs().find(|(found, _)| found == name);
    found.unwrap_or_else(|| panic!("{url} has no {name}")).1.into_owned()
}

pub(crate) fn failure(kind: FailureKind, status: u16) -> Failure {
    Failure { kind, status, error: String::new() }
}
