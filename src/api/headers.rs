//! The headers of an answer, as far as anybody looks at them.

/// Names without regard to case, and their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// Adds one.
    pub fn push(&mut self, name: &str, value: &str) {
        self.0.push((name.to_ascii_lowercase(), value.to_owned()));
    }

    /// The first value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of a name: some headers come several times.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let of_name = self.0.iter().filter(move |(present, _)| present.eq_ignore_ascii_case(name));
        of_name.map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case() {
        let mut headers = Headers::default();
        headers.push("Link", "a");
        headers.push("LINK", "b");
        assert_eq!(headers.get("link"), Some("a"));
        assert_eq!(headers.all("lInK").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(headers.get("next"), None);
    }
}
