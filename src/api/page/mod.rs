//! From an answer to what it holds, or to the kind of failure it is. Judges nothing further.
//!
//! ```text
//! failure    is there a body to read, and what to do if not
//! body       where the records of a body are
//! records    what is asked of a record: an event, an entry of a listing, a subscription
//! identity   what makes it the same one
//! next       the page's own words for the next one
//! ```

mod body;
mod failure;
mod identity;
mod next;
mod records;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use body::BodyError;
pub use failure::{Failure, FailureKind, error_code, failure};

use self::body::Layout;
use self::identity::Identity;
use self::records::{Entries, Events};
use super::Headers;
use super::definition::{Definition, Paging, Records};
pub use super::quota::spare;
use crate::config::plan::DedupOn;
use crate::json::{Pointer, Slots};
use crate::model::{EventKey, Seen, Timestamp};

/// A page has about so many events.
const PAGE_EVENTS: usize = 1_024;

/// A body with more events is refused: what is kept of each is more than the least of them has bytes.
const EVENTS_MAX: usize = 1 << 19;

/// The same of entries of a listing.
const ENTRIES_MAX: usize = 100_000;

/// An answer as it came, decompressed.
#[derive(Debug, Default)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
    /// How many bytes came over the wire for it.
    pub received_bytes: usize,
}

/// One event of a page.
#[derive(Debug)]
pub struct Event<'p> {
    /// Who it is and when it happened.
    pub seen: Seen,
    /// Its JSON text as the API sent it.
    pub raw: &'p str,
}

/// A page that was read to its end.
#[derive(Debug)]
pub struct Page<'p> {
    /// Its events, in the API's order.
    pub events: Vec<Event<'p>>,
    /// Its own words for the next page: a link or a cursor. Nothing if there is none, or if pages
    /// are numbered.
    pub next: Option<Cow<'p, str>>,
}

/// One entry of a listing: a blob of events.
#[derive(Debug)]
pub struct Entry<'p> {
    /// What makes it the same blob.
    pub key: EventKey,
    /// Where it is.
    pub link: Cow<'p, str>,
    /// When it was made: the time by which listings select it.
    pub made: Timestamp,
}

/// A page of a listing that was read to its end.
#[derive(Debug)]
pub struct Listing<'p> {
    /// Its entries, in the API's order.
    pub entries: Vec<Entry<'p>>,
    /// Its own words for the next page, as in [`Page::next`].
    pub next: Option<Cow<'p, str>>,
}

/// Turns answers into what they hold, for one source.
#[derive(Debug, Clone)]
pub struct PageReader {
    identity: Identity,
    paging: Option<Paging>,
    events: Events,
    /// Of a page of events; with blobs, of a blob.
    events_in: Layout,
    listing: Option<(Entries, Layout)>,
    subscriptions: Option<Subscribed>,
}

/// Which subscriptions are on.
#[derive(Debug, Clone)]
struct Subscribed {
    listed_in: Layout,
    on: String,
}

impl PageReader {
    /// A reader for the answers of a definition; ids are hashed with the key of the state.
    ///
    /// # Errors
    /// If parts of the definition do not go together.
    pub fn new(definition: &Definition, hash_key: [u8; 16]) -> Result<Self, String> {
        let paging = definition.next.clone();
        let asked_of_page = next::asked(paging.as_ref(), &definition.records)?;
        let (events, asked) = Events::new(definition);
        let (events_in, listing) = match &definition.blobs {
            None => (Layout::new(&definition.records, asked, asked_of_page), None),
            Some(blobs) => {
                let made = definition
                    .window_on
                    .as_ref()
                    .ok_or("blobs: 'window_on' must say when an entry of the listing was made")?;
                let (entries, asked_of_entry) = Entries::new(blobs, made);
                let listing = Layout::new(&definition.records, asked_of_entry, asked_of_page);
                (Layout::new(&blobs.records, asked, Vec::new()), Some((entries, listing)))
            }
        };
        let subscriptions = definition.subscriptions.as_ref().map(|subscriptions| Subscribed {
            listed_in: Layout::new(
                &Records::At(Pointer::root()),
                records::asked_of_subscription(subscriptions),
                Vec::new(),
            ),
            on: subscriptions.enabled.is.clone(),
        });
        let identity = Identity::new(hash_key);
        Ok(Self { identity, paging, events, events_in, listing, subscriptions })
    }

    /// The same reader; whether versions of an event are told from each other is as `dedup_on` says.
    #[must_use]
    pub fn on(mut self, dedup_on: DedupOn) -> Self {
        self.events.by_content = dedup_on == DedupOn::Content;
        self
    }

    /// Reads a page of events to its end.
    ///
    /// # Errors
    /// If the body is not whole: not UTF-8, no valid JSON, or without the array of events.
    pub fn page<'p>(
        &self,
        response: &'p Response,
        received: Timestamp,
    ) -> Result<Page<'p>, BodyError> {
        if self.listing.is_some() {
            return Err(BodyError::Undefined("without blobs"));
        }
        let mut events = Vec::with_capacity(PAGE_EVENTS);
        let found = self.read_events(response, None, received, &mut events)?;
        Ok(Page { events, next: self.next(response, found)? })
    }

    /// Reads a page of a listing to its end.
    ///
    /// # Errors
    /// As with a page of events; and if an entry has no link, id or time.
    pub fn listing<'p>(&self, response: &'p Response) -> Result<Listing<'p>, BodyError> {
        let (reader, layout) = self.listing.as_ref().ok_or(BodyError::Undefined("with blobs"))?;
        let mut entries = Ok(Vec::new());
        let found = layout.scan(response, ENTRIES_MAX, &mut |raw| {
            let Ok(read) = &mut entries else { return };
            match reader.read(raw, read.len() + 1, &self.identity) {
                Ok(entry) => read.push(entry),
                Err(error) => entries = Err(error),
            }
        })?;
        Ok(Listing { entries: entries?, next: self.next(response, found)? })
    }

    /// Reads a blob of events, which was made then, to its end. A blob has no next page.
    ///
    /// # Errors
    /// As with a page of events.
    pub fn blob<'p>(
        &self,
        response: &'p Response,
        made: Timestamp,
        received: Timestamp,
    ) -> Result<Page<'p>, BodyError> {
        if self.listing.is_none() {
            return Err(BodyError::Undefined("with blobs"));
        }
        let mut events = Vec::new();
        self.read_events(response, Some(made), received, &mut events)?;
        Ok(Page { events, next: None })
    }

    /// The names of the subscriptions that are on.
    ///
    /// # Errors
    /// If the body is no array of them.
    pub fn subscriptions(&self, response: &Response) -> Result<Vec<String>, BodyError> {
        let reader =
            self.subscriptions.as_ref().ok_or(BodyError::Undefined("with subscriptions"))?;
        let mut names = Vec::new();
        reader.listed_in.scan(response, ENTRIES_MAX, &mut |raw| {
            names.extend(records::subscribed(raw, &reader.on).map(Cow::into_owned));
        })?;
        Ok(names)
    }

    fn read_events<'p>(
        &self,
        response: &'p Response,
        made: Option<Timestamp>,
        received: Timestamp,
        events: &mut Vec<Event<'p>>,
    ) -> Result<Slots<'p>, BodyError> {
        self.events_in.scan(response, EVENTS_MAX, &mut |raw| {
            events.push(self.events.read(raw, &self.identity, made, received));
        })
    }

    fn next<'p>(
        &self,
        response: &'p Response,
        found: Slots<'p>,
    ) -> Result<Option<Cow<'p, str>>, BodyError> {
        next::words(self.paging.as_ref(), response, found)
    }
}
