//! A request as the APIs see it, and the links that lead back to its place.

use std::borrow::Cow;

/// A request to an API, as far as it matters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    /// Scheme, host and port that the client spoke to.
    pub(crate) origin: String,
    /// The path, as sent.
    pub(crate) path: String,
    /// The query, as sent.
    pub(crate) query: String,
    /// The `Authorization` field.
    pub(crate) authorization: Option<String>,
    /// The `X-Api-Key` field.
    pub(crate) api_key: Option<String>,
    /// The body, if it is a `POST`.
    pub(crate) body: Option<Vec<u8>>,
}

impl Ask {
    /// The query, taken apart.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        url::form_urlencoded::parse(self.query.as_bytes())
    }

    /// The first value of a name in the query.
    pub(crate) fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        self.pairs().find(|(given, _)| given == name).map(|(_, value)| value)
    }

    /// The absolute URL of `path` at this host.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// The absolute URL that was asked for.
    pub(crate) fn url(&self) -> String {
        let mark = if self.query.is_empty() { "" } else { "?" };
        format!("{}{}{mark}{}", self.origin, self.path, self.query)
    }

    /// The absolute URL of the same with `name=value` in its query, in the place of what it has of
    /// `name`, and without what it has of `secret`.
    pub(crate) fn link(&self, name: &str, value: &str, secret: &str) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.pairs().filter(|(given, _)| given != name && given != secret));
        query.append_pair(name, value);
        // Spaces as the APIs write them, and dollars as people do.
        let query = query.finish().replace('+', "%20").replace("%24", "$");
        format!("{}{}?{query}", self.origin, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_repeats_the_query_but_not_the_secret() {
        let ask = Ask {
            origin: "http://h:1".to_owned(),
            path: "/p".to_owned(),
            query: "$top=5&key=k&at=old&x=a%20b".to_owned(),
            ..Default::default()
        };
        assert_eq!(ask.link("at", "new", "key"), "http://h:1/p?$top=5&x=a%20b&at=new");
        assert_eq!(ask.url(), "http://h:1/p?$top=5&key=k&at=old&x=a%20b");
    }
}
