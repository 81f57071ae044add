//! `{name}` templates of a definition, filled from parameters and the range to read.

use std::collections::BTreeMap;

/// The properties that every template may name.
pub const ALWAYS: [&str; 2] = ["tenant", "client_id"];

/// The values that templates may name.
#[derive(Clone, Debug, Default)]
pub struct Values(BTreeMap<String, String>);

impl Values {
    /// Sets a value.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// Whether every brace has its partner.
///
/// # Errors
/// Which has none.
pub fn check(template: &str) -> Result<(), String> {
    let mut values = Values::default();
    names(template).into_iter().for_each(|name| values.set(name, ""));
    fill(template, &values, verbatim).map(drop)
}

/// The names that the strings of a JSON value mention.
pub fn names_in(value: &serde_json::Value) -> Vec<String> {
    match value {
        serde_json::Value::String(text) => names(text).into_iter().map(str::to_owned).collect(),
        serde_json::Value::Array(items) => items.iter().flat_map(names_in).collect(),
        serde_json::Value::Object(members) => members.values().flat_map(names_in).collect(),
        _ => Vec::new(),
    }
}

/// Fills the strings of a JSON value.
///
/// # Errors
/// The name that has no value.
pub fn fill_in(value: &serde_json::Value, values: &Values) -> Result<serde_json::Value, String> {
    Ok(match value {
        serde_json::Value::String(text) => fill(text, values, verbatim)?.into(),
        serde_json::Value::Array(items) => {
            items.iter().map(|item| fill_in(item, values)).collect::<Result<Vec<_>, _>>()?.into()
        }
        serde_json::Value::Object(members) => {
            let filled =
                members.iter().map(|(name, value)| Ok((name.clone(), fill_in(value, values)?)));
            serde_json::Value::Object(filled.collect::<Result<_, String>>()?)
        }
        other => other.clone(),
    })
}

/// Fills `{name}` from `values`, passing each value through `escape`. `{{` and `}}` stand for braces.
///
/// # Errors
/// The name that has no value, or a brace without its partner.
pub fn fill(template: &str, values: &Values, escape: fn(&str) -> String) -> Result<String, String> {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let brace = &rest[at..at + 1];
        let tail = &rest[at + 1..];
        if let Some(after) = tail.strip_prefix(brace) {
            out.push_str(brace);
            rest = after;
            continue;
        }
        let end = tail.find('}').filter(|_| brace == "{");
        let end = end.ok_or_else(|| format!("a '{brace}' without its partner in '{template}'"))?;
        let name = &tail[..end];
        let value = values.get(name).ok_or_else(|| format!("'{{{name}}}' has no value"))?;
        out.push_str(&escape(value));
        rest = &tail[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

/// The names that a template mentions.
pub fn names(template: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        let tail = &rest[at + 1..];
        if let Some(after) = tail.strip_prefix('{') {
            rest = after;
            continue;
        }
        let Some(end) = tail.find('}') else { break };
        found.push(&tail[..end]);
        rest = &tail[end + 1..];
    }
    found
}

/// Leaves a value as it is.
pub fn verbatim(value: &str) -> String {
    value.to_owned()
}

/// Escapes a value for the inside of a JSON string.
pub fn json(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Percent-encodes everything that could end a path segment or a query value.
pub fn percent(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z'
            | b'a'..=b'z'
            | b'0'..=b'9'
            | b'-'
            | b'.'
            | b'_'
            | b'~'
            | b':'
            | b'$'
            | b',' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Values {
        let mut values = Values::default();
        values.set("tenant", "a/b c");
        values
    }

    #[test]
    fn names_are_filled_and_escaped() {
        assert_eq!(fill("/{tenant}/x", &values(), percent).unwrap(), "/a%2Fb%20c/x");
        assert_eq!(fill("{{{tenant}}}", &values(), verbatim).unwrap(), "{a/b c}");
        assert_eq!(names("/{tenant}/{{no}}/{from}"), ["tenant", "from"]);
    }

    #[test]
    fn a_name_without_a_value_is_an_error() {
        assert_eq!(fill("{from}", &values(), verbatim).unwrap_err(), "'{from}' has no value");
        assert!(fill("{from", &values(), verbatim).is_err());
        assert!(fill("from}", &values(), verbatim).is_err());
    }
}
