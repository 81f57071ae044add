//! What a definition asks of a record, and how it is read: events, entries of a listing,
//! subscriptions.

use std::borrow::Cow;

use super::body::BodyError;
use super::identity::{Identity, Kind};
use super::{Entry, Event};
use crate::api::definition::{Blobs, Definition, Id, MomentAt, Subscriptions};
use crate::json::{Pointer, RawEvent, Scalar};
use crate::model::{Bucket, EventKey, Fault, Seen, TimeFormat, Timestamp};

/// A text that is quoted in an error is cut after so many characters.
const QUOTED_CHARS_MAX: usize = 40;

/// An event from before this day is none: its time is a zero, or was never set. It says nothing about
/// when the event's id may be forgotten, and must not keep all others from it.
const EARLIEST: Timestamp = Timestamp::from_secs(315_532_800); // 1980-01-01

/// How events are read. Asked of each: the id's parts, its time, the time it is selected by.
#[derive(Clone, Debug)]
pub(super) struct Events {
    /// So many parts has the id; none if the bytes are the id.
    id_parts: usize,
    time: TimeFormat,
    /// Where events are selected by a time that is not their own.
    selected: Option<TimeFormat>,
    /// Whether versions of an event are to be told from each other.
    pub(super) by_content: bool,
}

impl Events {
    /// The way to read a definition's events, and what is to be asked of them. What selects blobs
    /// stands in the listing, not in the events.
    pub(super) fn new(definition: &Definition) -> (Events, Vec<Pointer>) {
        let mut asked = match &definition.id {
            Id::At(parts) => parts.clone(),
            Id::Hash => Vec::new(),
        };
        let id_parts = asked.len();
        let selected = definition.window_on.as_ref().filter(|_| definition.blobs.is_none());
        asked.push(definition.time.at.clone());
        asked.extend(selected.map(|moment| moment.at.clone()));
        let time = definition.time.format.clone();
        let selected = selected.map(|moment| moment.format.clone());
        (Events { id_parts, time, selected, by_content: false }, asked)
    }

    /// One event; `made` is when its blob was made, if it came in one.
    pub(super) fn read<'p>(
        &self,
        raw: &RawEvent<'p>,
        identity: &Identity,
        made: Option<Timestamp>,
        received: Timestamp,
    ) -> Event<'p> {
        let (id, times) = raw.found.split_at(self.id_parts);
        let time = moment(&self.time, times.first());
        let by_id = identity.of_id(Kind::Event, id);
        let fault = if by_id.is_none() && self.id_parts > 0 {
            Some(Fault::NoId)
        } else {
            time.is_none().then_some(Fault::NoTime)
        };
        // Where the bytes are the id, another version is another event.
        let told = by_id.filter(|_| self.by_content);
        let content = told.map(|_| identity.of_content(raw.raw));
        let id = by_id.unwrap_or_else(|| identity.of_bytes(raw.raw));
        let bucket = time.filter(|time| *time >= EARLIEST).map_or(Bucket::UNTIMED, Bucket::of);
        let selected = self.selected.as_ref().and_then(|format| moment(format, times.get(1)));
        let time = time.unwrap_or(received);
        let selected = made.or(selected).unwrap_or(time);
        let seen = Seen { key: EventKey { bucket, id }, time, selected, fault, content };
        Event { seen, raw: raw.raw }
    }
}

/// How a listing's entries are read. Asked of each: its link, its id, when it was made.
#[derive(Clone, Debug)]
pub(super) struct Entries {
    link: Pointer,
    id: Pointer,
    made: MomentAt,
}

impl Entries {
    pub(super) fn new(blobs: &Blobs, made: &MomentAt) -> (Entries, Vec<Pointer>) {
        let entries =
            Entries { link: blobs.link.clone(), id: blobs.id.clone(), made: made.clone() };
        let asked = vec![entries.link.clone(), entries.id.clone(), entries.made.at.clone()];
        (entries, asked)
    }

    /// The entry of a number, from 1.
    pub(super) fn read<'p>(
        &self,
        raw: &RawEvent<'p>,
        number: usize,
        identity: &Identity,
    ) -> Result<Entry<'p>, BodyError> {
        let [link, id, made] = raw.found.as_slice() else {
            return Err(BodyError::Undefined("with blobs"));
        };
        let missing = |expected, at: &Pointer, found| {
            let at = at.to_string();
            BodyError::Entry { number, expected, at, found }
        };
        let target = match link {
            Some(Scalar::Str(link)) if !link.is_empty() => link.clone(),
            // It is not quoted: a link may carry what is nobody's business.
            _ => return Err(missing("a link", &self.link, kind_of(link.as_ref()))),
        };
        let id = identity
            .of_id(Kind::Blob, std::slice::from_ref(id))
            .ok_or_else(|| missing("an id", &self.id, kind_of(id.as_ref())))?;
        let made = moment(&self.made.format, Some(made))
            .ok_or_else(|| missing("a readable time", &self.made.at, quoted(made.as_ref())))?;
        Ok(Entry { key: EventKey { bucket: Bucket::of(made), id }, link: target, made })
    }
}

/// What is asked of a subscription: its name, and what says whether it is on.
pub(super) fn asked_of_subscription(subscriptions: &Subscriptions) -> Vec<Pointer> {
    vec![subscriptions.name.clone(), subscriptions.enabled.at.clone()]
}

/// The name of a subscription, if it is on.
pub(super) fn subscribed<'p>(raw: &RawEvent<'p>, on: &str) -> Option<Cow<'p, str>> {
    let [name, enabled] = raw.found.as_slice() else { return None };
    let is_on = enabled.as_ref()?.as_str() == on;
    name.clone()?.into_text().filter(|name| is_on && !name.is_empty())
}

/// The moment that stands at a place. Numbers count where the format is one of numbers.
fn moment(format: &TimeFormat, found: Option<&Option<Scalar<'_>>>) -> Option<Timestamp> {
    match (format, found?.as_ref()?) {
        (_, Scalar::Str(text)) => format.read(text),
        (TimeFormat::Seconds | TimeFormat::Milliseconds, Scalar::Number(text)) => format.read(text),
        _ => None,
    }
}

fn kind_of(found: Option<&Scalar<'_>>) -> String {
    let kind = match found {
        None => "nothing",
        Some(Scalar::Str(text)) if text.is_empty() => "an empty text",
        Some(Scalar::Str(_)) => "a text",
        Some(Scalar::Number(_)) => "a number",
        Some(Scalar::Bool(_)) => "true or false",
    };
    kind.to_owned()
}

fn quoted(found: Option<&Scalar<'_>>) -> String {
    match found {
        Some(Scalar::Str(text)) => {
            format!("'{}'", text.chars().take(QUOTED_CHARS_MAX).collect::<String>())
        }
        Some(Scalar::Number(text)) => text.chars().take(QUOTED_CHARS_MAX).collect(),
        Some(Scalar::Bool(_)) | None => kind_of(found),
    }
}
