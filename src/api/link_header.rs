//! The `Link` header (RFC 8288): which link of it has a relation.

/// The target of the first link with a relation, among all `Link` headers of an answer.
///
/// # Errors
/// If none has it and a line breaks the grammar: what cannot be read may have been the link.
pub fn find<'h>(
    lines: impl Iterator<Item = &'h str>,
    relation: &str,
) -> Result<Option<&'h str>, &'static str> {
    let mut is_whole = true;
    for line in lines {
        let mut rest = line;
        while let Some(link) = Link::read(rest) {
            if link.is(relation) {
                return Ok(Some(link.target));
            }
            rest = link.rest;
        }
        is_whole &= rest.chars().all(|c| c == ',' || c.is_ascii_whitespace());
    }
    if is_whole { Ok(None) } else { Err("expected a list of <links>, found something else") }
}

/// One link of a line.
struct Link<'h> {
    target: &'h str,
    /// The relations it has, separated by white space.
    relations: &'h str,
    /// What follows it in the line.
    rest: &'h str,
}

impl<'h> Link<'h> {
    /// Reads the link that a text starts with.
    fn read(text: &'h str) -> Option<Self> {
        // A list may have empty elements.
        let text = text.trim_start_matches(|c: char| c == ',' || c.is_ascii_whitespace());
        let (target, mut rest) = text.strip_prefix('<')?.split_once('>')?;
        let mut relations = None;
        while let Some(parameter) = rest.trim_start().strip_prefix(';') {
            let (name, value, after) = read_parameter(parameter);
            // Only the first one counts, says the RFC.
            if name.eq_ignore_ascii_case("rel") && relations.is_none() {
                relations = Some(value);
            }
            rest = after;
        }
        Some(Self { target: target.trim(), relations: relations.unwrap_or_default(), rest })
    }

    fn is(&self, relation: &str) -> bool {
        self.relations.split_ascii_whitespace().any(|own| own.eq_ignore_ascii_case(relation))
    }
}

/// A parameter's name and value, and what follows. Either may be empty.
fn read_parameter(text: &str) -> (&str, &str, &str) {
    let end = text.find(['=', ';', ',']).unwrap_or(text.len());
    let (name, rest) = (text[..end].trim(), &text[end..]);
    let Some(value) = rest.strip_prefix('=').map(str::trim_start) else { return (name, "", rest) };
    if let Some(quoted) = value.strip_prefix('"') {
        let (value, rest) = read_quoted(quoted);
        return (name, value, rest);
    }
    let end = value.find([';', ',']).unwrap_or(value.len());
    (name, value[..end].trim(), &value[end..])
}

/// The text up to the closing quote, and what follows. Escapes stay: no relation has any.
fn read_quoted(text: &str) -> (&str, &str) {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return (&text[..at], &text[at + 1..]),
            _ => {}
        }
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_with_the_relation_is_found() {
        for (lines, expected) in [
            (&["<https://x/2>; rel=\"next\""][..], Some("https://x/2")),
            (&["<https://x/2>;rel=next"], Some("https://x/2")),
            (&["< /2 > ; REL = \"NEXT\""], Some("/2")),
            (&["<https://x/1>; rel=\"self\"", "<https://x/2>; rel=\"next\""], Some("https://x/2")),
            (&["<https://x/1>; rel=self, <https://x/2>; rel=next"], Some("https://x/2")),
            (&["<https://x/1>; rel=self,<https://x/2>;rel=next,"], Some("https://x/2")),
            (&[", ,<https://x/2>; rel=next"], Some("https://x/2")),
            (&["<https://x/1,2;3?a=b>; rel=\"next\", <y>; rel=self"], Some("https://x/1,2;3?a=b")),
            (&["<https://x/2>; rel=\"prev next\""], Some("https://x/2")),
            (&["<a>; rel=\"last\tnext\"; title=x"], Some("a")),
            (&["<a>; title=\"x, <b>; rel=next\"; rel=self, <c>; rel=next"], Some("c")),
            (&["<a>; title=\"say \\\"; rel=next\"; rel=self, <c>; rel=next"], Some("c")),
            (&["<a>; results=\"true\"; rel=\"next\"; cursor=\"1:0:0\""], Some("a")),
            (&["<a>; crossorigin; rel=next"], Some("a")),
            (&["<a>;; rel=next"], Some("a")),
            (&["<>; rel=next"], Some("")),
            (&["<ü>; rel=next"], Some("ü")),
            // The first of two relations of one name, and the first of two links.
            (&["<a>; rel=self; rel=next, <b>; rel=next, <c>; rel=next"], Some("b")),
            // A line that breaks off does not spoil the others.
            (&["<a", "<b>; rel=next"], Some("b")),
            (&["<a>; title=\"open", "<b>; rel=next"], Some("b")),
            (&["a; rel=next", "<b>; rel=next"], Some("b")),
            (&["<a>; rel=nextpage"], None),
            (&["<a>; rel=\"next-page\""], None),
            (&["<a>; rev=next"], None),
            (&["<a>; rel"], None),
            (&["<a>"], None),
            (&[""], None),
            (&[], None),
        ] {
            assert_eq!(find(lines.iter().copied(), "next"), Ok(expected), "{lines:?}");
        }
    }

    #[test]
    fn a_line_that_cannot_be_read_is_not_taken_for_the_end() {
        for line in ["next", "<a", "<b>; rel=self, next", "\u{fffd}"] {
            assert!(find([line].into_iter(), "next").is_err(), "{line}");
        }
    }
}
