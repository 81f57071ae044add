//! Pages: their events as slices, and the few members that matter.

use std::borrow::Cow;

use super::lexer::Lexer;
use super::trie::Trie;
use super::{Container, JsonError, Pointer};

/// Where things are in a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageShape {
    /// The array of events, from the root of the page.
    pub records: Pointer,
    /// What is asked of each event, from the root of the event.
    pub of_event: Vec<Pointer>,
    /// What is asked of the page, from its root.
    pub of_page: Vec<Pointer>,
}

/// One event, as it stands in its page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawEvent<'a> {
    /// Exactly the bytes of the element.
    pub raw: &'a str,
    /// The values of [`PageShape::of_event`], in that order.
    pub found: Slots<'a>,
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
    /// The values of [`PageShape::of_page`], in that order.
    pub found: Slots<'a>,
    /// How many events were delivered.
    pub events: usize,
    /// Whether there is an array at [`PageShape::records`].
    pub has_records: bool,
}

/// One value for each pointer: nothing where no scalar stands.
pub type Slots<'a> = Vec<Option<Scalar<'a>>>;

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
    let outer = Trie::new(&shape.of_page).with_records(&shape.records);
    let mut events = Events::new(&shape.of_event);
    let mut has_records = false;
    let mut found: Slots<'a> = vec![None; shape.of_page.len()];

    let mut lexer = Lexer::new(page);
    collect(&mut lexer, &outer, 0, &mut found, &mut |lexer| {
        has_records = true;
        events.read_array(lexer, on_event)
    })?;
    lexer.finish()?;

    Ok(PageTail { found, events: events.count, has_records })
}

/// One value anywhere in a document.
///
/// # Errors
///
/// If the document is not JSON, even if only after the value.
pub fn find<'a>(doc: &'a str, pointer: &Pointer) -> Result<Option<Scalar<'a>>, JsonError> {
    Ok(find_all(doc, std::slice::from_ref(pointer))?.swap_remove(0))
}

/// The values at several places in a document, in one pass.
///
/// # Errors
///
/// If the document is not JSON, even if only after the values.
pub fn find_all<'a>(doc: &'a str, pointers: &[Pointer]) -> Result<Slots<'a>, JsonError> {
    Finder::new(pointers).find(doc)
}

/// Several places, to be looked at in one document after the other.
pub struct Finder<'p> {
    trie: Trie<'p>,
    places: usize,
}

impl<'p> Finder<'p> {
    /// A finder that looks at these places.
    pub fn new(pointers: &'p [Pointer]) -> Self {
        Self { trie: Trie::new(pointers), places: pointers.len() }
    }

    /// The values there, in that order.
    ///
    /// # Errors
    ///
    /// If the document is not JSON, even if only after the values.
    pub fn find<'a>(&self, doc: &'a str) -> Result<Slots<'a>, JsonError> {
        let mut slots = vec![None; self.places];
        let mut lexer = Lexer::new(doc);
        collect(&mut lexer, &self.trie, 0, &mut slots, &mut no_records)?;
        lexer.finish()?;
        Ok(slots)
    }
}

impl<'a> Scalar<'a> {
    /// Its text, decoded if it is a string.
    pub fn as_str(&self) -> &str {
        match self {
            Scalar::Str(text) => text,
            Scalar::Number(literal) => literal,
            Scalar::Bool(value) => match value {
                true => "true",
                false => "false",
            },
        }
    }

    /// A string, or a number's literal text.
    pub fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Scalar::Str(text) => Some(text),
            Scalar::Number(literal) => Some(Cow::Borrowed(literal)),
            Scalar::Bool(_) => None,
        }
    }
}

/// Reads events. Keeps one event and its vector for all of them.
pub(super) struct Events<'a, 'p> {
    trie: Trie<'p>,
    event: RawEvent<'a>,
    pub(super) count: usize,
}

impl<'a, 'p> Events<'a, 'p> {
    pub(super) fn new(of_event: &'p [Pointer]) -> Events<'a, 'p> {
        let event = RawEvent { raw: "", found: vec![None; of_event.len()] };
        Events { trie: Trie::new(of_event), event, count: 0 }
    }

    fn read_array(
        &mut self,
        lexer: &mut Lexer<'a>,
        on_event: &mut dyn FnMut(&RawEvent<'a>),
    ) -> Result<(), JsonError> {
        each_element(lexer, |lexer, _| {
            on_event(self.read(lexer)?);
            Ok(())
        })
    }

    /// Reads the value that is next.
    pub(super) fn read(&mut self, lexer: &mut Lexer<'a>) -> Result<&RawEvent<'a>, JsonError> {
        lexer.peek();
        let start = lexer.pos();
        collect(lexer, &self.trie, 0, &mut self.event.found, &mut no_records)?;
        self.count += 1;
        self.event.raw = lexer.since(start);
        Ok(&self.event)
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
