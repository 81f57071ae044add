//! Reads Fluent Bit's configuration files, both formats, as far as inputs and outputs go: what comes out is
//! what Fluent Bit would hand to the plugin.
//!
//! | module | idea |
//! |---|---|
//! | [`yaml`] | the YAML format |
//! | [`tree`] | YAML with lines and with scalars as they are written |
//! | [`classic`] | the classic format |
//! | [`mod@include`] | include patterns to files |
//! | [`variables`] | `${NAME}` and `${NAME:-default}` |

mod classic;
mod include;
mod tree;
mod variables;
mod yaml;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use include::matches;
pub(crate) use variables::Variables;

/// Includes nested deeper than this are a loop.
const INCLUDE_DEPTH_MAX: usize = 16;

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: Arc<PathBuf>,
    /// From 1; 0 for the file as a whole.
    pub(crate) line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.file.display()),
            line => write!(f, "{}:{line}", self.file.display()),
        }
    }
}

/// Where the configuration is wrong, and what was expected there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigError {
    pub(crate) place: Place,
    pub(crate) message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for ConfigError {}

/// One key with its value, variables filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Property {
    pub(crate) key: String,
    pub(crate) value: String,
    /// Whether some of the value came from the environment, and does not stand in a file.
    pub(crate) from_environment: bool,
    pub(crate) place: Place,
}

/// An input or an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    /// The plugin's name.
    pub(crate) plugin: String,
    pub(crate) place: Place,
    /// Without `name`.
    pub(crate) properties: Vec<Property>,
}

impl Section {
    /// The first value under `key`, in any case, that is not empty.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        lookup(&self.properties, key)
    }
}

/// A whole configuration, includes and all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Config {
    pub(crate) service: Vec<Property>,
    /// Paths of external plugins.
    pub(crate) plugins: Vec<Property>,
    pub(crate) inputs: Vec<Section>,
    pub(crate) outputs: Vec<Section>,
    /// What Fluent Bit would pass over or take otherwise than it looks. Sentences with their place.
    pub(crate) warnings: Vec<String>,
}

impl Config {
    pub(crate) fn service(&self, key: &str) -> Option<&str> {
        lookup(&self.service, key)
    }
}

/// Reads a file and all it includes: `.yaml` and `.yml` as YAML, any other as classic.
pub(crate) fn read(path: &Path) -> Result<Config, ConfigError> {
    read_with(path, Variables::of_process())
}

pub(crate) fn read_with(path: &Path, variables: Variables) -> Result<Config, ConfigError> {
    let mut reader = Reader { config: Config::default(), variables, depth: 0 };
    reader.read_file(path, None)?;
    reader.read_plugins_file(path)?;
    Ok(reader.finish())
}

/// What the two formats fill in.
struct Reader {
    config: Config,
    variables: Variables,
    depth: usize,
}

impl Reader {
    fn read_file(&mut self, path: &Path, from: Option<&Place>) -> Result<(), ConfigError> {
        let file = Arc::new(path.to_owned());
        let whole = Place { file: Arc::clone(&file), line: 0 };
        let place = from.unwrap_or(&whole);
        if self.depth >= INCLUDE_DEPTH_MAX {
            return Err(place.error("includes go round in a circle"));
        }
        let text = fs::read_to_string(path)
            .map_err(|cause| place.error(format!("cannot read {}: {cause}", path.display())))?;
        self.depth += 1;
        if is_yaml(path) {
            yaml::read(self, &file, &text)?;
        } else {
            classic::read(self, &file, &text)?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn read_included(&mut self, pattern: &str, place: &Place) -> Result<(), ConfigError> {
        for path in include::resolve(pattern, place)? {
            self.read_file(&path, Some(place))?;
        }
        Ok(())
    }

    /// The service's `plugins_file` lists plugins in a file of its own.
    fn read_plugins_file(&mut self, main: &Path) -> Result<(), ConfigError> {
        let file =
            self.config.service.iter().find(|it| it.key.eq_ignore_ascii_case("plugins_file"));
        let Some(Property { value, place, .. }) = file.cloned() else {
            return Ok(());
        };
        let value = self.variables.expand(&value).text;
        let beside = main.with_file_name(&value);
        let path = if Path::new(&value).exists() { PathBuf::from(&value) } else { beside };
        self.read_file(&path, Some(&place))
    }

    fn add_section(
        &mut self,
        kind: Kind,
        place: Place,
        mut properties: Vec<Property>,
    ) -> Result<(), ConfigError> {
        let at = properties.iter().position(|property| property.key.eq_ignore_ascii_case("name"));
        let Some(at) = at else {
            let message = format!("this {} has no `name`: expected the plugin's name", kind.word());
            return Err(place.error(message));
        };
        let plugin = properties.remove(at).value;
        let section = Section { plugin, place, properties };
        match kind {
            Kind::Input => self.config.inputs.push(section),
            Kind::Output => self.config.outputs.push(section),
        }
        Ok(())
    }

    fn warn(&mut self, place: &Place, message: impl fmt::Display) {
        self.config.warnings.push(format!("{place}: {message}"));
    }

    /// Fills in the variables, which may be set after their use.
    fn finish(mut self) -> Config {
        let mut config = std::mem::take(&mut self.config);
        for section in config.inputs.iter_mut().chain(&mut config.outputs) {
            self.fill(&mut section.plugin, &section.place);
            self.fill_all(&mut section.properties);
        }
        self.fill_all(&mut config.service);
        self.fill_all(&mut config.plugins);
        config.warnings.append(&mut self.config.warnings);
        config
    }

    fn fill_all(&mut self, properties: &mut [Property]) {
        for property in properties {
            property.from_environment = self.fill(&mut property.value, &property.place);
        }
    }

    /// Says whether the environment had a part in it.
    fn fill(&mut self, text: &mut String, place: &Place) -> bool {
        let expanded = self.variables.expand(text);
        for name in expanded.unset {
            self.warn(place, format!("variable ${{{name}}} is used but not set"));
        }
        *text = expanded.text;
        expanded.from_environment
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Input,
    Output,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
        }
    }
}

impl Place {
    fn error(&self, message: impl Into<String>) -> ConfigError {
        ConfigError { place: self.clone(), message: message.into() }
    }
}

fn is_yaml(path: &Path) -> bool {
    let extension = path.extension().map(|it| it.to_string_lossy().to_ascii_lowercase());
    matches!(extension.as_deref(), Some("yaml" | "yml"))
}

fn lookup<'a>(properties: &'a [Property], key: &str) -> Option<&'a str> {
    let mut found = properties.iter().filter(|property| property.key.eq_ignore_ascii_case(key));
    found.next().map(|property| property.value.as_str()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests;
