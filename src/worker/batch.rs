//! New events into lots of at most `batch_size`.

use crate::api::page::Event;
use crate::config::plan::{self, Format};
use crate::encode::provenance::{self, Provenance};
use crate::encode::record;
use crate::handoff::Lot;
use crate::model::{Bucket, Timestamp};

/// The key that holds an event's text where it cannot be a record.
const TEXT_KEY: &str = "log";

/// What a record adds to its event's JSON text at most: time, metadata, key, headers. The rest is
/// as long as the text, or shorter.
const ADDED_MAX: usize = 64;

/// How events become records.
pub(super) struct Form<'a> {
    pub(super) format: &'a Format,
    pub(super) batch_size: usize,
    pub(super) provenance: plan::Provenance,
    /// The source's name.
    pub(super) source: &'a str,
    /// When the page came.
    pub(super) came: Timestamp,
    /// What read it.
    pub(super) poll: &'static str,
}

/// Encodes the `fresh` ones of `events`. `spare` gives empty buffers. Returns the lots, and how
/// many events had to be handed over as text.
pub(super) fn encode(
    events: &[Event<'_>],
    fresh: &[usize],
    form: &Form<'_>,
    mut spare: impl FnMut() -> Vec<u8>,
) -> (Vec<Lot>, u64) {
    let added = match form.provenance {
        plan::Provenance::Off => ADDED_MAX,
        _ => ADDED_MAX + provenance::ADDED_BYTES + form.source.len(),
    };
    let size = |index: &usize| events[*index].raw.len() + added;
    let mut left: usize = fresh.iter().map(size).sum();
    let (mut lots, mut as_text) = (Vec::<Lot>::new(), 0);
    for index in fresh {
        let size = size(index);
        if lots.last().is_none_or(|lot| lot.bytes.len() + size > form.batch_size) {
            let mut bytes = spare();
            // As much as it will hold, at once: growing step by step would leave copies behind.
            bytes.reserve_exact(left.min(form.batch_size));
            lots.push(Lot { bytes, ..Lot::default() });
        }
        left -= size;
        let Some(lot) = lots.last_mut() else { continue };
        let event = &events[*index];
        let start = lot.bytes.len();
        as_text += u64::from(!append(event, form.format, &mut lot.bytes));
        tell(event, form, start, &mut lot.bytes);
        lot.records += 1;
        lot.keys.push(event.seen.version());
    }
    (lots, as_text)
}

/// Appends one event; false if it had to be appended as text.
fn append(event: &Event<'_>, format: &Format, out: &mut Vec<u8>) -> bool {
    let (secs, nanos) = event_time(event.seen.time);
    match format {
        Format::Raw(key) => record::raw(event.raw, key, secs, nanos, out),
        Format::Record => {
            if record::record(event.raw, secs, nanos, out).is_err() {
                record::raw(event.raw, TEXT_KEY, secs, nanos, out);
                return false;
            }
        }
    }
    true
}

/// Adds to the record that begins at `start` where it came from, if that is wanted.
fn tell(event: &Event<'_>, form: &Form<'_>, start: usize, out: &mut Vec<u8>) {
    let seen = &event.seen;
    let provenance = Provenance {
        source: form.source,
        first_seen: form.came,
        happened: (seen.key.bucket != Bucket::UNTIMED).then_some(seen.time),
        poll: form.poll,
        event: event.raw,
    };
    match form.provenance {
        plan::Provenance::Off => {}
        plan::Provenance::Metadata => provenance.into_metadata(start, out),
        plan::Provenance::Record => provenance.into_body(start, out),
    }
}

/// Fluent Bit's event time has 32 bits of seconds.
fn event_time(time: Timestamp) -> (u32, u32) {
    match u32::try_from(time.as_secs()) {
        Ok(secs) => (secs, time.subsec_nanos()),
        Err(_) if time.as_secs() < 0 => (0, 0),
        Err(_) => (u32::MAX, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Bucket, EventKey, IdHash, Seen};

    fn events(texts: &[&'static str]) -> Vec<Event<'static>> {
        let event = |(index, raw): (usize, &&'static str)| {
            let key = EventKey { bucket: Bucket(0), id: IdHash(index as u128) };
            let time = Timestamp::from_secs(1);
            let seen = Seen { key, time, selected: time, fault: None, content: None };
            Event { seen, raw }
        };
        texts.iter().enumerate().map(event).collect()
    }

    fn form(format: &Format, batch_size: usize) -> Form<'_> {
        let (provenance, came) = (plan::Provenance::Off, Timestamp::from_secs(2));
        Form { format, batch_size, provenance, source: "s", came, poll: "live" }
    }

    #[test]
    fn room_for_what_provenance_adds_is_made_at_once() {
        let events = events(&["1", "2", "3"]);
        let form = Form { provenance: plan::Provenance::Record, ..form(&Format::Record, 1 << 20) };
        let (lots, _) = encode(&events, &[0, 1, 2], &form, Vec::new);
        let room = 3 * (1 + ADDED_MAX + provenance::ADDED_BYTES + 1);
        assert_eq!(lots[0].bytes.capacity(), room);
    }

    #[test]
    fn lots_hold_whole_records_within_the_batch_size_unless_one_alone_is_larger() {
        let long: &'static str = Box::leak(format!("\"{}\"", "d".repeat(300)).into());
        let events = events(&["\"a\"", "\"b\"", "\"c\"", long]);
        let format = Format::Raw("k".to_owned());
        let (lots, _) = encode(&events, &[0, 1, 2, 3], &form(&format, 100), Vec::new);
        let shape: Vec<_> = lots.iter().map(|lot| (lot.records, lot.keys.len())).collect();
        assert_eq!(shape, [(2, 2), (1, 1), (1, 1)]);
        assert!(lots[..2].iter().all(|lot| lot.bytes.len() <= 100));
        assert!(lots[2].bytes.len() > 100);
    }

    #[test]
    fn an_event_too_deep_for_a_record_is_handed_over_as_text() {
        let deep: &'static str =
            Box::leak(format!("{}1{}", "[".repeat(500), "]".repeat(500)).into());
        let form = form(&Format::Record, 4_096);
        let (lots, as_text) = encode(&events(&[deep]), &[0], &form, Vec::new);
        assert_eq!((lots[0].records, as_text), (1, 1));
        assert!(lots[0].bytes.ends_with(deep.as_bytes()));
    }
}
