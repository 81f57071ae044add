//! A value that may not be seen: it has no `Display`, its `Debug` is masked, its memory is wiped.

use std::fmt;

use zeroize::Zeroizing;

/// A credential or token.
#[derive(Clone)]
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
}
