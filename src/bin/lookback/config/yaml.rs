//! The YAML format.

use std::path::PathBuf;
use std::sync::Arc;

use super::tree::{self, Node, Value};
use super::{ConfigError, Kind, Place, Property, Reader};

/// Sections that Fluent Bit has, and that say nothing about inputs.
const OTHER_SECTIONS: &[&str] = &[
    "customs",
    "extensions",
    "multiline_parsers",
    "parsers",
    "stream_processor",
    "upstream_servers",
];

pub(super) fn read(
    reader: &mut Reader,
    file: &Arc<PathBuf>,
    text: &str,
) -> Result<(), ConfigError> {
    let file = File { file };
    let Some(root) = tree::parse(text, &file.place(0))? else {
        return Ok(());
    };
    for (key, value) in file.map(&root, "the file")? {
        let name = file.scalar(key, "a section's name")?.to_ascii_lowercase();
        match name.as_str() {
            "env" => read_env(reader, &file, value)?,
            "service" => {
                let service = properties(reader, &file, value, "service")?;
                reader.config.service.extend(service);
            }
            "plugins" => {
                for entry in file.list(value, "`plugins`")? {
                    let path = file.scalar(entry, "the path of a plugin")?;
                    let property = file.property("path", path, entry.line);
                    reader.config.plugins.push(property);
                }
            }
            "includes" => {
                for entry in file.list(value, "`includes`")? {
                    let pattern = file.scalar(entry, "the path of a file")?.to_owned();
                    reader.read_included(&pattern, &file.place(entry.line))?;
                }
            }
            "pipeline" => read_pipeline(reader, &file, value)?,
            other if OTHER_SECTIONS.contains(&other) => {}
            other => {
                let message = format!("Fluent Bit has no section `{other}` and passes it over");
                reader.warn(&file.place(key.line), message);
            }
        }
    }
    Ok(())
}

fn read_env(reader: &mut Reader, file: &File<'_>, node: &Node) -> Result<(), ConfigError> {
    // A list's entries are `{name, value}`.
    if let Value::List(entries) = &node.value {
        for entry in entries {
            let mut named = (None, None);
            for (key, value) in file.map(entry, "an entry of `env`")? {
                let value = file.scalar(value, "a value");
                match file.scalar(key, "a key")? {
                    "name" => named.0 = Some(value?.to_owned()),
                    "value" => named.1 = Some(value?.to_owned()),
                    _ => {}
                }
            }
            if let (Some(name), Some(value)) = named {
                reader.variables.set(&name, value);
            }
        }
        return Ok(());
    }
    for (key, value) in file.map(node, "`env`")? {
        let value = file.scalar(value, "a value")?.to_owned();
        reader.variables.set(file.scalar(key, "a variable's name")?, value);
    }
    Ok(())
}

fn read_pipeline(reader: &mut Reader, file: &File<'_>, node: &Node) -> Result<(), ConfigError> {
    for (key, value) in file.map(node, "`pipeline`")? {
        let kind = match file.scalar(key, "`inputs`, `filters` or `outputs`")? {
            "inputs" => Kind::Input,
            "outputs" => Kind::Output,
            "filters" => continue,
            other => {
                let message = format!("expected `inputs`, `filters` or `outputs`, found `{other}`");
                return Err(file.place(key.line).error(message));
            }
        };
        for entry in file.list(value, &format!("`{}s`", kind.word()))? {
            let properties = properties(reader, file, entry, kind.word())?;
            reader.add_section(kind, file.place(entry.line), properties)?;
        }
    }
    Ok(())
}

fn properties(
    reader: &mut Reader,
    file: &File<'_>,
    node: &Node,
    what: &str,
) -> Result<Vec<Property>, ConfigError> {
    let mut found = Vec::new();
    for (key, value) in file.map(node, &format!("this {what}"))? {
        let name = snake_case(file.scalar(key, "a property's name")?);
        match &value.value {
            Value::Scalar(text) => found.push(file.property(&name, text, key.line)),
            Value::List(entries) => {
                // The host sets the property once for each, and the plugin sees the first.
                for entry in entries {
                    let text = file.scalar(entry, "a value")?;
                    found.push(file.property(&name, text, entry.line));
                }
                if entries.len() > 1 && what == Kind::Input.word() {
                    let message = format!(
                        "Fluent Bit hands only the first entry of the list `{name}` to the plugin: \
                         write one value with commas"
                    );
                    reader.warn(&file.place(key.line), message);
                }
            }
            // `processors`, `routes` and the like: the host's business.
            Value::Map(_) => {}
        }
    }
    Ok(found)
}

/// The nodes of one file, with errors that name it.
struct File<'a> {
    file: &'a Arc<PathBuf>,
}

impl File<'_> {
    fn place(&self, line: usize) -> Place {
        Place { file: Arc::clone(self.file), line }
    }

    fn property(&self, key: &str, value: &str, line: usize) -> Property {
        Property {
            key: key.trim().to_owned(),
            value: value.trim().to_owned(),
            from_environment: false,
            place: self.place(line),
        }
    }

    fn scalar<'n>(&self, node: &'n Node, expected: &str) -> Result<&'n str, ConfigError> {
        match &node.value {
            Value::Scalar(text) => Ok(text),
            other => {
                let message = format!("expected {expected}, found {}", other.word());
                Err(self.place(node.line).error(message))
            }
        }
    }

    fn list<'n>(&self, node: &'n Node, what: &str) -> Result<&'n [Node], ConfigError> {
        match &node.value {
            Value::List(entries) => Ok(entries),
            Value::Scalar(text) if text.is_empty() => Ok(&[]),
            other => {
                let message =
                    format!("expected {what} to be a list (`- …`), found {}", other.word());
                Err(self.place(node.line).error(message))
            }
        }
    }

    fn map<'n>(&self, node: &'n Node, what: &str) -> Result<&'n [(Node, Node)], ConfigError> {
        match &node.value {
            Value::Map(pairs) => Ok(pairs),
            Value::Scalar(text) if text.is_empty() => Ok(&[]),
            other => {
                let message =
                    format!("expected {what} to be a map (`key: value`), found {}", other.word());
                Err(self.place(node.line).error(message))
            }
        }
    }
}

/// Keys that begin with a small letter and have no underscore may be written in camel case.
fn snake_case(key: &str) -> String {
    if !key.starts_with(|first: char| first.is_ascii_lowercase()) {
        return key.to_owned();
    }
    if key.contains('_') {
        return key.to_ascii_lowercase();
    }
    let mut snake = String::with_capacity(key.len() + 4);
    for letter in key.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
