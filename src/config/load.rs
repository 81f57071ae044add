//! From a lookup of properties to a plan: finds the definition, built in or in a file.

use std::io::Read;
use std::path::Path;

use super::{ConfigError, Db, Plan, Raw};
use crate::api::definition::DEFINITION_BYTES_MAX;
use crate::api::{Definition, catalog};

/// Asks `lookup` for every property that there is, and makes a plan of them.
///
/// # Errors
/// The first property that is missing or bad.
pub fn plan(lookup: impl Fn(&str) -> Option<String>) -> Result<Plan, ConfigError> {
    let api = lookup("api").filter(|api| !api.trim().is_empty()).ok_or_else(|| {
        let mend = format!("set it to one of {}, or to the path of a definition", catalog::names());
        ConfigError::new("api", "is missing", mend)
    })?;
    let definition = definition(api.trim())?;
    let mut raw = Raw::collect(definition.parameters.keys().map(String::as_str), lookup)?;
    if raw.get("db").is_some_and(Db::is_shared)
        && raw.get("node").is_none()
        && let Some(name) = host_name()
    {
        raw.set("node", &name);
    }
    Plan::new(&raw, definition)
}

/// What this machine, or this container, is called.
fn host_name() -> Option<String> {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let name = kernel.ok().or_else(|| std::env::var("HOSTNAME").ok())?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// The definition that `api` names.
///
/// # Errors
/// If there is none of that name, or the file cannot be read, or what is wrong in it.
pub fn definition(api: &str) -> Result<Definition, ConfigError> {
    if let Some(built_in) = catalog::find(api) {
        return Ok(built_in.clone());
    }
    if !api.contains(['/', '.']) {
        let mend = format!("set one of {}, or the path of a definition file", catalog::names());
        return Err(ConfigError::new("api", format!("'{api}' is not built in"), mend));
    }
    let yaml = read(Path::new(api)).map_err(|error| {
        ConfigError::new(
            "api",
            format!("'{api}' cannot be read in {}: {error}", here()),
            "set the path of a definition file, best an absolute one",
        )
    })?;
    Definition::parse(&yaml).map_err(|error| {
        ConfigError::new("api", format!("'{api}': {error}"), "mend the definition")
    })
}

/// Where relative paths begin.
fn here() -> String {
    std::env::current_dir().map_or("this directory".to_owned(), |dir| dir.display().to_string())
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(DEFINITION_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > DEFINITION_BYTES_MAX {
        return Err(std::io::Error::other(format!("larger than {DEFINITION_BYTES_MAX} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_or_unknown_api_is_answered_with_the_list() {
        let missing = plan(|_| None).unwrap_err().to_string();
        let unknown =
            plan(|name| (name == "api").then(|| "entra".to_owned())).unwrap_err().to_string();
        for error in [missing, unknown] {
            assert!(error.contains("entra_signins"), "{error}");
        }
    }

    #[test]
    fn a_node_without_a_name_has_the_machines() {
        let nodes = [None, Some("a"), Some(" ")].map(|node| {
            let plan = plan(|name| match name {
                "api" => Some("okta_system_log".to_owned()),
                "domain" | "token" => Some("x.example".to_owned()),
                "db" => Some("postgresql://me@db.example/fleet".to_owned()),
                "node" => node.map(str::to_owned),
                _ => None,
            });
            let Db::Shared(fleet) = plan.unwrap().db else { panic!("a file") };
            fleet.node
        });
        assert_eq!(nodes[1], "a");
        assert_eq!(nodes[0], host_name().unwrap());
        assert_eq!(nodes[0], nodes[2]);
    }

    #[test]
    fn a_definition_may_be_a_file() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/apis/entra_signins.yaml");
        let plan = plan(|name| match name {
            "api" => Some(file.to_owned()),
            "tenant" | "client_id" | "client_secret" => Some("x".to_owned()),
            _ => None,
        });
        assert_eq!(plan.unwrap().source, "entra_signins/x");
    }
}
