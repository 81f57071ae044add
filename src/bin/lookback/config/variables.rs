//! `${NAME}` and `${NAME:-default}`, from the configuration's own settings first, then the environment's.

use std::collections::BTreeMap;

/// Where variables come from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Variables {
    own: BTreeMap<String, String>,
    process: BTreeMap<String, String>,
}

pub(super) struct Expanded {
    pub(super) text: String,
    /// Names without a value and without a default: they read as nothing.
    pub(super) unset: Vec<String>,
    /// Whether the environment had a value for one: then not all of the text stands in a file.
    pub(super) from_environment: bool,
}

impl Variables {
    pub(crate) fn of_process() -> Self {
        let text = |part: std::ffi::OsString| part.to_string_lossy().into_owned();
        let process = std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
        Self { own: BTreeMap::new(), process }
    }

    pub(super) fn set(&mut self, name: &str, value: String) {
        self.own.insert(name.to_owned(), value);
    }

    pub(super) fn expand(&self, text: &str) -> Expanded {
        let mut expanded =
            Expanded { text: String::new(), unset: Vec::new(), from_environment: false };
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((inside, tail)) = after.split_once('}') else {
                break;
            };
            expanded.text.push_str(before);
            self.expand_one(inside, &mut expanded);
            rest = tail;
        }
        expanded.text.push_str(rest);
        expanded
    }

    fn expand_one(&self, inside: &str, expanded: &mut Expanded) {
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        let own = self.own.get(name);
        let value = own.or_else(|| self.process.get(name)).map(String::as_str);
        match (value, default) {
            (Some("") | None, Some(default)) => expanded.text.push_str(default),
            (Some(value), _) => {
                expanded.from_environment |= own.is_none();
                expanded.text.push_str(value);
            }
            (None, None) => expanded.unset.push(name.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expansion() {
        let mut variables = Variables::default();
        variables.set("A", "1".into());
        variables.set("EMPTY", String::new());
        variables.process.insert("A".into(), "never".into());
        variables.process.insert("B".into(), "2".into());
        for (text, expected) in [
            ("plain", "plain"),
            ("${A}", "1"),
            ("x${A}y${B}z", "x1y2z"),
            ("${NONE}", ""),
            ("${NONE:-d}", "d"),
            ("${EMPTY:-d}", "d"),
            ("${A:-d}", "1"),
            ("${A", "${A"),
            ("$A {A}", "$A {A}"),
        ] {
            assert_eq!(variables.expand(text).text, expected, "{text}");
        }
        assert_eq!(variables.expand("${NONE}").unset, ["NONE"]);
        for (text, from_environment) in [
            ("${B}", true),
            ("x${A}${B}", true),
            ("${A}", false),
            ("${NONE:-d}", false),
            ("B", false),
        ] {
            assert_eq!(variables.expand(text).from_environment, from_environment, "{text}");
        }
    }
}
