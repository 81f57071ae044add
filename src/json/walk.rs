//! The grammar of JSON, once, without recursion.

use super::JsonError;
use super::lexer::Lexer;
use super::text::{RawStr, Span};

/// What can hold values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Container {
    Object,
    Array,
}

/// Is told of the parts of a value, in order. Keys come just before their values.
pub(crate) trait Visit<'a> {
    /// How the visitor can stop the walk.
    type Error: From<JsonError>;

    /// A container opens at byte `offset`.
    fn begin(&mut self, container: Container, offset: usize) -> Result<(), Self::Error>;
    /// The innermost open container closes.
    fn end(&mut self, container: Container);
    /// A member's name.
    fn key(&mut self, key: RawStr<'a>);
    /// A string that is a value.
    fn string(&mut self, string: RawStr<'a>);
    /// A number.
    fn number(&mut self, literal: Span<'a>);
    /// `true` or `false`.
    fn bool(&mut self, value: bool);
    /// `null`.
    fn null(&mut self);
}

/// Walks a text that is one value and nothing else.
pub(crate) fn walk_document<'a, V: Visit<'a>>(
    text: &'a str,
    visit: &mut V,
) -> Result<(), V::Error> {
    let mut lexer = Lexer::new(text);
    walk(&mut lexer, visit)?;
    Ok(lexer.finish()?)
}

/// Walks the value that is next. On an error, where the lexer stands is unspecified.
pub(super) fn walk<'a, V: Visit<'a>>(lexer: &mut Lexer<'a>, visit: &mut V) -> Result<(), V::Error> {
    // A copy, so that the position can live in a register.
    let mut at = *lexer;
    let mut nesting = Nesting::default();
    loop {
        let mut open = match at.peek() {
            Some(b'{') => begin(&mut at, visit, &mut nesting, Container::Object)?,
            Some(b'[') => begin(&mut at, visit, &mut nesting, Container::Array)?,
            Some(b'"') => {
                visit.string(at.string()?);
                false
            }
            _ => {
                plain(&mut at, visit, &nesting)?;
                false
            }
        };
        // After a value: on to the next one, or out of what is complete.
        while !open {
            let Some(container) = nesting.top() else {
                *lexer = at;
                return Ok(());
            };
            open = at.next_or_close(container)?;
            if !open {
                nesting.pop();
                visit.end(container);
            }
        }
        if nesting.top() == Some(Container::Object) {
            visit.key(at.key()?);
        }
    }
}

/// Enters a container: true if a value (or a key) is next in it.
#[inline]
fn begin<'a, V: Visit<'a>>(
    at: &mut Lexer<'a>,
    visit: &mut V,
    nesting: &mut Nesting,
    container: Container,
) -> Result<bool, V::Error> {
    visit.begin(container, at.pos())?;
    let open = at.open(container);
    if open {
        nesting.push(container);
    } else {
        visit.end(container);
    }
    Ok(open)
}

/// A number, `true`, `false` or `null`.
#[inline]
fn plain<'a, V: Visit<'a>>(
    at: &mut Lexer<'a>,
    visit: &mut V,
    nesting: &Nesting,
) -> Result<(), JsonError> {
    match at.peek() {
        Some(b'-' | b'0'..=b'9') => visit.number(at.number()?),
        Some(b't') => {
            at.literal("true")?;
            visit.bool(true);
        }
        Some(b'f') => {
            at.literal("false")?;
            visit.bool(false);
        }
        Some(b'n') => {
            at.literal("null")?;
            visit.null();
        }
        _ => return Err(at.value_error(nesting.top())),
    }
    Ok(())
}

impl Container {
    #[inline]
    pub(super) fn close(self) -> u8 {
        match self {
            Container::Object => b'}',
            Container::Array => b']',
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Container::Object => "an object",
            Container::Array => "an array",
        }
    }
}

/// The open containers, one bit each. Allocates beyond 64 only.
#[derive(Default)]
struct Nesting {
    depth: usize,
    /// The innermost ones, the last in the lowest bit: set for an object.
    word: u64,
    /// The ones outside of them, 64 each.
    full: Vec<u64>,
}

impl Nesting {
    #[inline]
    fn top(&self) -> Option<Container> {
        match (self.depth, self.word & 1) {
            (0, _) => None,
            (_, 0) => Some(Container::Array),
            _ => Some(Container::Object),
        }
    }

    #[inline]
    fn push(&mut self, container: Container) {
        if self.depth != 0 && self.depth.is_multiple_of(64) {
            self.full.push(self.word);
        }
        self.word = self.word << 1 | u64::from(container == Container::Object);
        self.depth += 1;
    }

    #[inline]
    fn pop(&mut self) {
        self.depth -= 1;
        self.word >>= 1;
        if self.depth != 0 && self.depth.is_multiple_of(64) {
            self.word = self.full.pop().unwrap_or_default();
        }
    }
}

/// Only checks.
pub(super) struct Skip;

impl<'a> Visit<'a> for Skip {
    type Error = JsonError;

    #[inline]
    fn begin(&mut self, _: Container, _: usize) -> Result<(), JsonError> {
        Ok(())
    }
    #[inline]
    fn end(&mut self, _: Container) {}
    #[inline]
    fn key(&mut self, _: RawStr<'a>) {}
    #[inline]
    fn string(&mut self, _: RawStr<'a>) {}
    #[inline]
    fn number(&mut self, _: Span<'a>) {}
    #[inline]
    fn bool(&mut self, _: bool) {}
    #[inline]
    fn null(&mut self) {}
}
