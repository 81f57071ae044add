//! How a page names the next one.

use serde::Deserialize;

use super::OneOrMany;
use super::auth::header_name;
use crate::json::Pointer;

/// How a page names the next one.
#[derive(Clone, Debug)]
pub enum Paging {
    /// A link in the body; the first pointer that holds one wins.
    Link(Vec<Pointer>),
    /// A link in a header of this name.
    Header(String),
    /// A link in the `Link` header with this relation.
    LinkHeader(String),
    /// A cursor in the body, to be sent back.
    Cursor {
        /// Where it stands.
        at: Pointer,
        /// Where to send it.
        into: Into,
    },
    /// Pages are numbered; the walk ends with an empty one.
    Page {
        /// Where to send the number.
        into: Into,
        /// The first page's number.
        first: u64,
    },
    /// The next page begins after so many events; the walk ends with an empty one.
    Offset {
        /// Where to send the count.
        into: Into,
    },
}

/// Where something is put into the next request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Into {
    /// A query parameter.
    Query(String),
    /// A member of the JSON body.
    Body(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    link: Option<OneOrMany<Pointer>>,
    header: Option<String>,
    link_header: Option<String>,
    cursor: Option<Pointer>,
    query: Option<String>,
    body: Option<String>,
    page: Option<String>,
    first: Option<u64>,
    offset: Option<String>,
    #[serde(default, rename = "in")]
    place: Place,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Place {
    #[default]
    Query,
    Body,
}

impl<'de> Deserialize<'de> for Paging {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let fields = super::Placed::<Fields>::deserialize(from)?.value;
        Self::from_fields(fields).map_err(serde::de::Error::custom)
    }
}

impl Paging {
    /// Whether a page says itself that there is a next one.
    pub fn is_by_word(&self) -> bool {
        !matches!(self, Self::Page { .. } | Self::Offset { .. })
    }

    fn from_fields(fields: Fields) -> Result<Self, String> {
        let Fields { link, header, link_header, cursor, query, body, page, first, offset, place } =
            fields;
        let ways = [
            link.is_some(),
            header.is_some(),
            link_header.is_some(),
            cursor.is_some(),
            page.is_some(),
            offset.is_some(),
        ];
        if ways.into_iter().filter(|set| *set).count() != 1 {
            let expected =
                "expected exactly one of link, header, link_header, cursor, page, offset";
            return Err(expected.to_owned());
        }
        if cursor.is_none() && (query.is_some() || body.is_some()) {
            return Err("'query' and 'body' belong to 'cursor'".to_owned());
        }
        if page.is_none() && first.is_some() {
            return Err("'first' belongs to 'page'".to_owned());
        }
        if page.is_none() && offset.is_none() && place != Place::Query {
            return Err("'in' belongs to 'page' and 'offset'".to_owned());
        }
        let put = |name| match place {
            Place::Query => Into::Query(name),
            Place::Body => Into::Body(name),
        };
        if let Some(link) = link {
            return Ok(Self::Link(link.0));
        }
        if let Some(name) = header {
            return header_name(name).map(Self::Header);
        }
        if let Some(relation) = link_header {
            return Ok(Self::LinkHeader(relation));
        }
        if let Some(name) = page {
            return Ok(Self::Page { into: put(name), first: first.unwrap_or(1) });
        }
        if let Some(name) = offset {
            return Ok(Self::Offset { into: put(name) });
        }
        let at = cursor.ok_or("expected a cursor")?;
        let into = match (query, body) {
            (Some(name), None) => Into::Query(name),
            (None, Some(name)) => Into::Body(name),
            _ => {
                return Err(
                    "'cursor' expects either 'query' or 'body': where to send it".to_owned()
                );
            }
        };
        Ok(Self::Cursor { at, into })
    }
}
