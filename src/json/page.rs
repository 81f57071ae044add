//! Pages: their events as slices, and the few members that matter.

use std::borrow::Cow;
use std::mem;

use super::lexer::Lexer;
use super::trie::Trie;
use super::{Container, JsonError, Pointer};

/// Where things are in a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageShape {
    /// The array of events, from the root of the page.
    pub records: Pointer,
    /// What identifies an event, from the root of the event.
    pub id: Vec<Pointer>,
    /// When an event happened, from the root of the event.
    pub time: Option<Pointer>,
    /// Where the next page may be given, from the root of the page. The first
    /// place that holds a string or a number wins.
    pub next: Vec<Pointer>,
}

/// One event, as it stands in its page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawEvent<'a> {
    /// Exactly the bytes of the element.
    pub raw: &'a str,
    /// The values of [`PageShape::id`], in that order.
    pub id: Vec<Option<Scalar<'a>>>,
    /// The value of [`PageShape::time`].
    pub time: Option<Scalar<'a>>,
}

/// A scalar as it stands in the text. `null` is no scalar here: it counts as absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar<'a> {
    /// A string, decoded: borrowed unless it has escapes. Lone surrogates are U+FFFD.
    Str(Cow<'a, str>),
    /// A number's literal text.
    Number(&'a str),
    /// `true` or `false`.
    Bool(bool),
}

/// What is known once a page has been read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageTail<'a> {
    /// The value of the first of [`PageShape::next`] that has one.
    pub next: Option<Cow<'a, str>>,
    /// How many events were delivered.
    pub events: usize,
    /// Whether there is an array at [`PageShape::records`].
    pub has_records: bool,
}

type Slots<'a> = Vec<Option<Scalar<'a>>>;

/// Called with the lexer at the array of events.
type OnRecords<'h, 'a> = &'h mut dyn FnMut(&mut Lexer<'a>) -> Result<(), JsonError>;

/// Delivers the events of a page, in order.
///
/// Events are delivered while the page is being read. If the page turns out to
/// be invalid, some of them have been delivered already.
///
/// An element that is no object is an event, too. If a member occurs twice,
/// the last one counts; only that events which were delivered stay so.
///
/// # Errors
///
/// If the page is not JSON.
pub fn scan_page<'a>(
    page: &'a str,
    shape: &PageShape,
    on_event: &mut dyn FnMut(&RawEvent<'a>),
) -> Result<PageTail<'a>, JsonError> {
    let outer = Trie::new(&shape.next).with_records(&shape.records);
    let inner = Trie::new(shape.id.iter().chain(&shape.time));
    let mut events = Events::new(shape, inner);
    let mut has_records = false;
    let mut next: Slots<'a> = vec![None; shape.next.len()];

    let mut lexer = Lexer::new(page);
    collect(&mut lexer, &outer, 0, &mut next, &mut |lexer| {
        has_records = true;
        events.read(lexer, on_event)
    })?;
    lexer.finish()?;

    Ok(PageTail {
        next: next.into_iter().flatten().find_map(Scalar::into_text),
        events: events.count,
        has_records,
    })
}

/// One value anywhere in a document.
///
/// # Errors
///
/// If the document is not JSON, even if only after the value.
pub fn find<'a>(doc: &'a str, pointer: &Pointer) -> Result<Option<Scalar<'a>>, JsonError> {
    let trie = Trie::new([pointer]);
    let mut slots = vec![None];
    let mut lexer = Lexer::new(doc);
    collect(&mut lexer, &trie, 0, &mut slots, &mut no_records)?;
    lexer.finish()?;
    Ok(slots.swap_remove(0))
}

impl<'a> Scalar<'a> {
    /// A string, or a number's digits.
    fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Scalar::Str(text) => Some(text),
            Scalar::Number(literal) => Some(Cow::Borrowed(literal)),
            Scalar::Bool(_) => None,
        }
    }
}

/// Reads an array of events. Keeps one event and its vector for all of them.
struct Events<'a, 'p> {
    trie: Trie<'p>,
    has_time: bool,
    event: RawEvent<'a>,
    count: usize,
}

impl<'a, 'p> Events<'a, 'p> {
    fn new(shape: &PageShape, trie: Trie<'p>) -> Events<'a, 'p> {
        let event = RawEvent { raw: "", id: vec![None; shape.id.len()], time: None };
        Events { trie, has_time: shape.time.is_some(), event, count: 0 }
    }

    fn read(
        &mut self,
        lexer: &mut Lexer<'a>,
        on_event: &mut dyn FnMut(&RawEvent<'a>),
    ) -> Result<(), JsonError> {
        each_element(lexer, |lexer, _| {
            self.read_one(lexer)?;
            on_event(&self.event);
            Ok(())
        })
    }

    fn read_one(&mut self, lexer: &mut Lexer<'a>) -> Result<(), JsonError> {
        // One vector for all slots while reading: the time is the last of them.
        let mut slots = mem::take(&mut self.event.id);
        if self.has_time {
            slots.push(None);
        }
        lexer.peek();
        let start = lexer.pos();
        collect(lexer, &self.trie, 0, &mut slots, &mut no_records)?;
        self.count += 1;
        self.event.raw = lexer.since(start);
        self.event.time = if self.has_time { slots.pop().flatten() } else { None };
        self.event.id = slots;
        Ok(())
    }
}

fn no_records(_: &mut Lexer<'_>) -> Result<(), JsonError> {
    Ok(())
}

/// Reads a value; fills the slots of what is asked for in it. Recurses as deep
/// as the pointers are long.
fn collect<'a>(
    lexer: &mut Lexer<'a>,
    trie: &Trie<'_>,
    at: usize,
    slots: &mut [Option<Scalar<'a>>],
    on_records: OnRecords<'_, 'a>,
) -> Result<(), JsonError> {
    let node = trie.node(at);
    for &slot in &node.below {
        slots[slot] = None;
    }
    match lexer.peek() {
        Some(b'[') if trie.records == Some(at) => {
            let start = *lexer;
            on_records(lexer)?;
            if node.has_elements() {
                *lexer = start;
                collect_array(lexer, trie, at, slots, on_records)?;
            }
            Ok(())
        }
        Some(b'{') if !node.is_leaf() => each_member(lexer, |lexer, key| match node.member(key) {
            Some(child) => collect(lexer, trie, child, slots, on_records),
            None => lexer.skip(),
        }),
        Some(b'[') if node.has_elements() => collect_array(lexer, trie, at, slots, on_records),
        Some(b'{' | b'[') => lexer.skip(),
        _ => {
            let scalar = read_scalar(lexer)?;
            for &slot in &node.slots {
                slots[slot].clone_from(&scalar);
            }
            Ok(())
        }
    }
}

fn collect_array<'a>(
    lexer: &mut Lexer<'a>,
    trie: &Trie<'_>,
    at: usize,
    slots: &mut [Option<Scalar<'a>>],
    on_records: OnRecords<'_, 'a>,
) -> Result<(), JsonError> {
    let node = trie.node(at);
    each_element(lexer, |lexer, index| match node.element(index) {
        Some(child) => collect(lexer, trie, child, slots, on_records),
        None => lexer.skip(),
    })
}

/// Calls with the lexer at each member's value; that value is to be read.
#[inline]
fn each_member<'a>(
    lexer: &mut Lexer<'a>,
    mut member: impl FnMut(&mut Lexer<'a>, super::RawStr<'a>) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    let mut more = lexer.open(Container::Object);
    while more {
        let key = lexer.key()?;
        member(lexer, key)?;
        more = lexer.next_or_close(Container::Object)?;
    }
    Ok(())
}

/// Calls with the lexer at each element; that element is to be read.
#[inline]
fn each_element<'a>(
    lexer: &mut Lexer<'a>,
    mut element: impl FnMut(&mut Lexer<'a>, usize) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    let mut more = lexer.open(Container::Array);
    let mut index = 0;
    while more {
        element(lexer, index)?;
        index += 1;
        more = lexer.next_or_close(Container::Array)?;
    }
    Ok(())
}

/// Reads a value that is no container; `null` is none.
fn read_scalar<'a>(lexer: &mut Lexer<'a>) -> Result<Option<Scalar<'a>>, JsonError> {
    Ok(match lexer.peek() {
        Some(b'"') => Some(Scalar::Str(lexer.string()?.decode())),
        Some(b'-' | b'0'..=b'9') => Some(Scalar::Number(lexer.number()?.as_str())),
        Some(b't') => {
            lexer.literal("true")?;
            Some(Scalar::Bool(true))
        }
        Some(b'f') => {
            lexer.literal("false")?;
            Some(Scalar::Bool(false))
        }
        // `null`; anything else is an error that skipping finds.
        _ => {
            lexer.skip()?;
            None
        }
    })
}
