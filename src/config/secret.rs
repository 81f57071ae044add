//! A value that may not be seen: it has no `Display`, its `Debug` is masked, its memory is wiped.

use std::fmt;

use zeroize::Zeroizing;

/// So many characters of a secret that stand in a text in a row are no coincidence.
const QUOTED_MIN: usize = 12;

/// A shorter secret would be found by chance.
const SOUGHT_MIN: usize = 6;

/// A credential or token.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text into custody.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text, to be put into a request and nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether a text quotes it, or a good part of it, in any case: servers echo what they were sent.
    pub fn is_quoted_in(&self, text: &str) -> bool {
        let (secret, text) = (self.0.as_bytes(), text.as_bytes());
        if secret.len() < SOUGHT_MIN {
            return false;
        }
        let mut parts = secret.windows(secret.len().min(QUOTED_MIN));
        parts.any(|part| text.windows(part.len()).any(|found| found.eq_ignore_ascii_case(part)))
    }

    /// Whether it can stand in a header: printable ASCII, and at least a character of it.
    pub fn is_printable(&self) -> bool {
        !self.0.is_empty() && self.0.bytes().all(|byte| matches!(byte, b' '..=b'~'))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_is_masked() {
        assert_eq!(format!("{:?}", Secret::new("hunter2".to_owned())), "***");
    }

    #[test]
    fn a_text_that_quotes_a_secret_is_found_out() {
        let long = "eyJhbGciOiJub25lIn0.e30.c2VjcmV0";
        for (secret, text, quoted) in [
            ("hunter2", "no such key: hunter2", true),
            ("hunter2", "HUNTER2", true),
            ("hunter2", "hunter", false),
            (long, "code eyJhbGciOiJub25l", true),
            (long, "invalid_client eyJhbGc", false),
            ("x", "x marks the spot", false),
            ("hunter2", "", false),
        ] {
            let found = Secret::new(secret.to_owned()).is_quoted_in(text);
            assert_eq!(found, quoted, "{secret} in {text}");
        }
    }
}
