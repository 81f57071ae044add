//! A page's own words for the next one.

use std::borrow::Cow;

use super::Response;
use crate::api::definition::{Paging, Records};
use crate::api::link_header;
use crate::json::{Pointer, Scalar, Slots};

/// What is asked of a page's body for the next one.
///
/// # Errors
/// If the body is no place for it.
pub(super) fn asked(paging: Option<&Paging>, records: &Records) -> Result<Vec<Pointer>, String> {
    let pointers = match paging {
        Some(Paging::Link(links)) => links.clone(),
        Some(Paging::Cursor { at, .. }) => vec![at.clone()],
        _ => return Ok(Vec::new()),
    };
    if *records == Records::Lines {
        return Err("next: with records: lines, the body holds nothing but records; expected a header or link_header, or a page or offset".to_owned());
    }
    Ok(pointers)
}

/// The words, given what was found of [`asked`]. An empty word is none: so some say that there is
/// no next page.
pub(super) fn words<'p>(
    paging: Option<&Paging>,
    response: &'p Response,
    found: Slots<'p>,
) -> Option<Cow<'p, str>> {
    let mut found = found.into_iter().flatten();
    match paging? {
        Paging::Link(_) => found.find_map(|scalar| match scalar {
            Scalar::Str(link) => filled(link),
            Scalar::Number(_) | Scalar::Bool(_) => None,
        }),
        Paging::Cursor { .. } => found.find_map(|scalar| filled(scalar.into_text()?)),
        Paging::Header(name) => filled(response.headers.get(name)?.trim().into()),
        Paging::LinkHeader(relation) => {
            filled(link_header::find(response.headers.all("link"), relation)?.into())
        }
        Paging::Page { .. } | Paging::Offset { .. } => None,
    }
}

fn filled(word: Cow<'_, str>) -> Option<Cow<'_, str>> {
    if word.is_empty() { None } else { Some(word) }
}
