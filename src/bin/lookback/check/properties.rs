//! Lints of an input's properties by themselves: is there such a one, is it set twice, is a secret in clear.

use in_lookback::config::{Db, keys};

use super::Input;
use super::finding::{Finding, Severity};
use crate::config::Property;

/// Properties of an input that Fluent Bit itself understands, whatever the plugin.
const HOSTS: &[&str] = &[
    "alias",
    "host",
    "ipv6",
    "listen",
    "log_level",
    "log_suppress_interval",
    "mem_buf_limit",
    "port",
    "processors",
    "routable",
    "routes",
    "storage.pause_on_chunks_overlimit",
    "storage.type",
    "tag",
    "thread.ring_buffer.capacity",
    "thread.ring_buffer.window",
    "threaded",
];

pub(crate) fn lint(input: &Input<'_>, findings: &mut Vec<Finding>) {
    unknown(input, findings);
    twice(input, findings);
    in_clear(input, findings);
}

fn unknown(input: &Input<'_>, findings: &mut Vec<Finding>) {
    let own = input.parameters.iter().flatten().map(String::as_str);
    let table = keys::KEYS.iter().map(|key| key.name);
    let all: Vec<&str> = table.chain(HOSTS.iter().copied()).chain(own).collect();
    for Property { key, place, .. } in &input.section.properties {
        if all.iter().any(|name| name.eq_ignore_ascii_case(key)) {
            continue;
        }
        let mend = match nearest(key, &all) {
            Some(name) => format!("write '{name}', if that is meant"),
            // It may be a parameter of the definition that cannot be had.
            None if input.parameters.is_none() => continue,
            None => "remove it: the README lists all that there are".to_owned(),
        };
        let problem = format!(
            "property '{key}': neither lookback nor Fluent Bit has it, and both pass over it"
        );
        findings.push(Finding::new(Severity::Error, place, problem, mend));
    }
}

/// The name that was probably meant.
fn nearest<'n>(key: &str, names: &[&'n str]) -> Option<&'n str> {
    let plain = |name: &str| name.to_ascii_lowercase().replace(['-', '.', ' '], "_");
    let key = plain(key);
    let far = |name: &&'n str| strsim::osa_distance(&key, &plain(name));
    let (distance, name) = names.iter().map(|name| (far(name), *name)).min()?;
    (distance <= (key.len() / 3).max(1)).then_some(name)
}

/// The host hands only the first of them to the plugin.
fn twice(input: &Input<'_>, findings: &mut Vec<Finding>) {
    let properties = &input.section.properties;
    for (i, Property { key, place, .. }) in properties.iter().enumerate() {
        let before = properties[..i].iter().find(|it| it.key.eq_ignore_ascii_case(key));
        let Some(first) = before else { continue };
        let problem =
            format!("property '{key}' is set before, at {}, and that counts", first.place);
        findings.push(Finding::new(Severity::Error, place, problem, "remove one of them"));
    }
}

fn in_clear(input: &Input<'_>, findings: &mut Vec<Finding>) {
    password_in_clear(input, findings);
    for property in &input.section.properties {
        let secret = keys::KEYS
            .iter()
            .find(|key| key.secret && key.name.eq_ignore_ascii_case(&property.key));
        let Some(key) = secret else { continue };
        if property.value.is_empty() || property.from_environment {
            continue;
        }
        let open = open(property);
        let problem = format!("property '{}': the secret stands in the file{open}", key.name);
        let mend = format!(
            "use a variable of the environment (`${{NAME}}`) or {}_file, and change the secret if others may have seen it",
            key.name
        );
        findings.push(Finding::new(Severity::Warning, &property.place, problem, mend));
    }
}

/// A database's URL may hold one.
fn password_in_clear(input: &Input<'_>, findings: &mut Vec<Finding>) {
    let Some(Db::Shared(fleet)) = input.plan.as_ref().ok().map(|plan| &plan.db) else { return };
    let mut properties = input.section.properties.iter();
    let property = properties.find(|it| it.key.eq_ignore_ascii_case("db") && !it.from_environment);
    if let Some(property) = property.filter(|_| fleet.database.password.is_some()) {
        let problem = format!("property 'db': the secret stands in the file{}", open(property));
        let mend = "use a variable of the environment (`${NAME}`) or `?password_file=/path`, and change the password if others may have seen it";
        findings.push(Finding::new(Severity::Warning, &property.place, problem, mend));
    }
}

fn open(property: &Property) -> &'static str {
    if is_open(property) { ", which everybody on this machine can read" } else { "" }
}

/// Whether the file that it stands in can be read by everybody.
fn is_open(property: &Property) -> bool {
    use std::os::unix::fs::PermissionsExt;

    let found = std::fs::metadata(property.place.file.as_path());
    found.is_ok_and(|it| it.permissions().mode() & 0o004 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_the_one_that_was_meant() {
        let mut names: Vec<&str> = keys::KEYS.iter().map(|key| key.name).collect();
        names.extend(HOSTS);
        for (written, meant) in [
            ("intervall", Some("interval")),
            ("client-secret", Some("client_secret")),
            ("Storage_Type", Some("storage.type")),
            ("tls.verify", Some("tls_verify")),
            ("sweep", Some("sweeps")),
            ("tenent", Some("tenant")),
            ("heart_beat", Some("heartbeat")),
            ("health_tags", Some("health_tag")),
            ("xyzzy", None),
            ("x", None),
        ] {
            assert_eq!(nearest(written, &names), meant, "{written}");
        }
    }
}
