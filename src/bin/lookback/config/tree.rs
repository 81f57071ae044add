//! YAML as a small tree that keeps lines, the order of keys, and scalars as they are written: `on`, `1e3`
//! and `007` reach the plugin so.

use serde_saphyr::granit_parser::{Event, Parser};

use super::{ConfigError, Place};

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl Value {
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Scalar(_) => "a value",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// The first document of the file; None: it is empty.
pub(super) fn parse(text: &str, place: &Place) -> Result<Option<Node>, ConfigError> {
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|cause| {
            let place = Place { line: cause.marker().line(), ..place.clone() };
            place.error(format!("this is not YAML: {}", cause.info()))
        })?;
        let line = span.start.line();
        let done = match event {
            Event::Scalar(text, ..) => Node { line, value: Value::Scalar(text.into_owned()) },
            Event::SequenceStart(..) => {
                open.push(Open::new(line, false));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::new(line, true));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(open) => open.close(),
                None => continue,
            },
            Event::Alias(_) => {
                let place = Place { line, ..place.clone() };
                return Err(
                    place.error("Fluent Bit reads no YAML aliases: expected the value itself")
                );
            }
            _ => continue,
        };
        match open.last_mut() {
            Some(parent) => parent.children.push(done),
            None => return Ok(Some(done)),
        }
    }
    Ok(None)
}

/// A list or map whose end has not come yet. A map's keys and values take turns.
struct Open {
    line: usize,
    is_map: bool,
    children: Vec<Node>,
}

impl Open {
    fn new(line: usize, is_map: bool) -> Self {
        Self { line, is_map, children: Vec::new() }
    }

    fn close(self) -> Node {
        if !self.is_map {
            return Node { line: self.line, value: Value::List(self.children) };
        }
        let mut pairs = Vec::with_capacity(self.children.len() / 2);
        let mut children = self.children.into_iter();
        while let (Some(key), Some(value)) = (children.next(), children.next()) {
            pairs.push((key, value));
        }
        Node { line: self.line, value: Value::Map(pairs) }
    }
}
