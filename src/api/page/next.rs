//! A page's own words for the next one.

use std::borrow::Cow;

use super::{BodyError, Response};
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
///
/// # Errors
/// If there is something that cannot be read: it is not the end of the walk.
pub(super) fn words<'p>(
    paging: Option<&Paging>,
    response: &'p Response,
    found: Slots<'p>,
) -> Result<Option<Cow<'p, str>>, BodyError> {
    let found = found.into_iter().flatten();
    let Some(paging) = paging else { return Ok(None) };
    Ok(match paging {
        Paging::Link(_) => {
            let mut links = found.map(|scalar| match scalar {
                Scalar::Str(link) => Ok(link),
                Scalar::Bool(false) => Ok(Cow::Borrowed("")),
                Scalar::Number(_) | Scalar::Bool(true) => {
                    Err(BodyError::Next("expected a string, found another value"))
                }
            });
            links.find(|link| link.as_ref().map_or(true, |link| !link.is_empty())).transpose()?
        }
        Paging::Cursor { .. } => {
            let mut cursors = found.filter_map(|scalar| filled(scalar.into_text()?));
            cursors.next()
        }
        Paging::Header(name) => {
            response.headers.get(name).and_then(|link| filled(link.trim().into()))
        }
        Paging::LinkHeader(relation) => {
            let link = link_header::find(response.headers.all("link"), relation);
            link.map_err(BodyError::Next)?.and_then(|link| filled(link.into()))
        }
        Paging::Page { .. } | Paging::Offset { .. } => None,
    })
}

fn filled(word: Cow<'_, str>) -> Option<Cow<'_, str>> {
    if word.is_empty() { None } else { Some(word) }
}
