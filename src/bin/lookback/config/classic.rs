//! The classic format: `[SECTION]`, then indented `Key Value` lines.

use std::path::PathBuf;
use std::sync::Arc;

use super::{ConfigError, Kind, Place, Property, Reader};

pub(super) fn read(
    reader: &mut Reader,
    file: &Arc<PathBuf>,
    text: &str,
) -> Result<(), ConfigError> {
    let mut current: Option<Open> = None;
    for (i, line) in text.lines().enumerate() {
        let place = Place { file: Arc::clone(file), line: i + 1 };
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        if line.starts_with('@') {
            // Included sections come after this one, as it goes on behind the line.
            read_command(reader, line, &place)?;
        } else if line.starts_with('[') {
            close(reader, current.take())?;
            current = Some(Open::new(content, place)?);
        } else if line.starts_with([' ', '\t']) {
            let Some(open) = &mut current else {
                return Err(
                    place.error("expected a section, as in `[INPUT]`, before the first key")
                );
            };
            open.read_line(content, place)?;
        } else {
            return Err(
                place.error("expected an indented `Key Value`, a `[SECTION]` or a `# comment`")
            );
        }
    }
    close(reader, current)
}

fn read_command(reader: &mut Reader, line: &str, place: &Place) -> Result<(), ConfigError> {
    let (command, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let rest = rest.trim();
    match command.to_ascii_uppercase().as_str() {
        "@SET" => {
            let Some((name, value)) = rest.split_once('=') else {
                return Err(place.error("expected `@SET name=value`"));
            };
            reader.variables.set(name.trim(), value.trim().to_owned());
            Ok(())
        }
        "@INCLUDE" if rest.is_empty() => Err(place.error("expected `@INCLUDE path`")),
        "@INCLUDE" => reader.read_included(rest, place),
        _ => Err(place.error(format!("expected `@SET` or `@INCLUDE`, found `{command}`"))),
    }
}

/// A section whose end has not come yet.
struct Open {
    name: String,
    place: Place,
    properties: Vec<Property>,
    in_group: bool,
}

impl Open {
    fn new(line: &str, place: Place) -> Result<Self, ConfigError> {
        let Some((name, _)) = line[1..].split_once(']') else {
            return Err(place.error("expected `]` after the section's name"));
        };
        let name = name.trim().to_ascii_uppercase();
        Ok(Self { name, place, properties: Vec::new(), in_group: false })
    }

    fn read_line(&mut self, content: &str, place: Place) -> Result<(), ConfigError> {
        if content.starts_with('[') {
            // A group within a section is the host's business.
            self.in_group = true;
            return Ok(());
        }
        if self.in_group {
            return Ok(());
        }
        let Some((key, value)) = content.split_once(' ') else {
            let message = match content.contains('\t') {
                true => "expected a space between key and value: a tab does not part them",
                false => "expected a value after the key",
            };
            return Err(place.error(message));
        };
        let (key, value) = (key.trim().to_ascii_lowercase(), value.trim().to_owned());
        self.properties.push(Property { key, value, from_environment: false, place });
        Ok(())
    }
}

fn close(reader: &mut Reader, open: Option<Open>) -> Result<(), ConfigError> {
    let Some(Open { name, place, properties, .. }) = open else {
        return Ok(());
    };
    match name.as_str() {
        "SERVICE" => reader.config.service.extend(properties),
        "PLUGINS" => {
            reader.config.plugins.extend(properties.into_iter().filter(|it| it.key == "path"))
        }
        "INPUT" => reader.add_section(Kind::Input, place, properties)?,
        "OUTPUT" => reader.add_section(Kind::Output, place, properties)?,
        _ => {}
    }
    Ok(())
}
