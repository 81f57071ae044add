//! JSON pointers (RFC 6901), parsed once.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The longest pointer that is accepted, in tokens. Pointers are written by
/// hand; the scanner recurses once a token.
const TOKENS_MAX: usize = 64;

/// Where a value stands in a document. `''` is the whole document.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pointer {
    tokens: Vec<Token>,
}

/// One step of a pointer: a member's name, and an element's index if it can be one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Token {
    pub(super) name: String,
    pub(super) index: Option<usize>,
}

/// A text is not a JSON pointer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PointerError {
    /// It is neither empty nor starts with a slash.
    #[error("expected a JSON pointer to be empty or to start with '/', found {found:?}")]
    NoSlash {
        /// The text.
        found: String,
    },
    /// A `~` that is not part of `~0` or `~1`.
    #[error("expected '0' or '1' after the '~' at byte {offset} of JSON pointer {pointer:?}")]
    BadEscape {
        /// The text.
        pointer: String,
        /// Where the `~` is.
        offset: usize,
    },
    /// More tokens than anybody needs.
    #[error("expected a JSON pointer of at most {TOKENS_MAX} tokens, found {tokens}")]
    TooLong {
        /// How many there are.
        tokens: usize,
    },
}

impl Pointer {
    /// The whole document.
    pub fn root() -> Pointer {
        Pointer { tokens: Vec::new() }
    }

    /// Reads a pointer.
    ///
    /// # Errors
    ///
    /// If the text is not a pointer by RFC 6901, or has more than 64 tokens.
    pub fn parse(text: &str) -> Result<Pointer, PointerError> {
        if text.is_empty() {
            return Ok(Pointer { tokens: Vec::new() });
        }
        let Some(path) = text.strip_prefix('/') else {
            return Err(PointerError::NoSlash { found: text.to_owned() });
        };
        check_escapes(text)?;
        let tokens: Vec<Token> = path.split('/').map(Token::parse).collect();
        if tokens.len() > TOKENS_MAX {
            return Err(PointerError::TooLong { tokens: tokens.len() });
        }
        Ok(Pointer { tokens })
    }

    pub(super) fn tokens(&self) -> &[Token] {
        &self.tokens
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for token in &self.tokens {
            let escaped = token.name.replace('~', "~0").replace('/', "~1");
            write!(f, "/{escaped}")?;
        }
        Ok(())
    }
}

impl FromStr for Pointer {
    type Err = PointerError;

    fn from_str(text: &str) -> Result<Pointer, PointerError> {
        Pointer::parse(text)
    }
}

impl Token {
    fn parse(escaped: &str) -> Token {
        let name = escaped.replace("~1", "/").replace("~0", "~");
        let index = parse_index(&name);
        Token { name, index }
    }
}

/// An index is written without leading zeros and without a sign.
fn parse_index(name: &str) -> Option<usize> {
    let digits = name.bytes().all(|byte| byte.is_ascii_digit());
    let padded = name.len() > 1 && name.starts_with('0');
    if digits && !padded { name.parse().ok() } else { None }
}

fn check_escapes(text: &str) -> Result<(), PointerError> {
    for (offset, _) in text.match_indices('~') {
        if !matches!(text.as_bytes().get(offset + 1), Some(b'0' | b'1')) {
            return Err(PointerError::BadEscape { pointer: text.to_owned(), offset });
        }
    }
    Ok(())
}
