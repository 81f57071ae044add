//! Which input of a configuration is audited, and what it is to do.

use std::path::Path;

use in_lookback::config::{Plan, load};

use crate::config::{self, Section};

const PLUGIN_NAME: &str = "lookback";

type Problem = Box<dyn std::error::Error>;

/// The plan of the input that `name` names; of the only one if there is no name. With `rate_limit`, so many
/// requests a minute at most.
pub(crate) fn plan(
    path: &Path,
    name: Option<&str>,
    rate_limit: Option<u32>,
) -> Result<Plan, Problem> {
    let config = config::read(path)?;
    for warning in &config.warnings {
        eprintln!("lookback: {warning}");
    }
    let is_ours = |it: &&Section| it.plugin.eq_ignore_ascii_case(PLUGIN_NAME);
    let inputs: Vec<&Section> = config.inputs.iter().filter(is_ours).collect();
    let plan = |section: &Section| {
        load::plan(|key| match (key, rate_limit) {
            ("rate_limit", Some(limit)) => Some(limit.to_string()),
            _ => section.get(key).map(str::to_owned),
        })
    };
    let wrong = |section: &Section, error| format!("{}: {error}", section.place);
    match (inputs.as_slice(), name) {
        ([], _) => Err(format!("{}: no input is named `{PLUGIN_NAME}`", path.display()).into()),
        ([only], None) => plan(only).map_err(|error| wrong(only, error).into()),
        (several, name) => {
            // One that is broken must not keep the others from being audited.
            let plans = several.iter().map(|it| (*it, plan(it)));
            let named: Vec<_> =
                plans.map(|(it, plan)| (names(it, plan.as_ref().ok()), it, plan)).collect();
            let all: Vec<&str> =
                named.iter().filter_map(|(names, ..)| names.first()).map(String::as_str).collect();
            let known = all.join(", ");
            let Some(name) = name else {
                let several = format!("several inputs are named `{PLUGIN_NAME}`");
                return Err(format!(
                    "{}: {several}; choose one by --source: {known}",
                    path.display()
                )
                .into());
            };
            let chosen = named.iter().position(|(names, ..)| names.iter().any(|it| it == name));
            let Some(chosen) = chosen else {
                return Err(format!("--source {name}: {} has {known}", path.display()).into());
            };
            let (_, section, plan) = named.into_iter().nth(chosen).expect("it was found");
            plan.map_err(|error| wrong(section, error).into())
        }
    }
}

/// What an input may be called by: the best name first.
fn names(section: &Section, plan: Option<&Plan>) -> Vec<String> {
    let source = plan.map(|plan| plan.source.clone());
    let written = ["source", "alias", "tag"].into_iter().filter_map(|key| section.get(key));
    source.into_iter().chain(written.map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(inputs: &str, name: Option<&str>) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.yaml");
        std::fs::write(&path, format!("pipeline:\n  inputs:\n{inputs}")).unwrap();
        plan(&path, name, Some(7))
            .map(|plan| plan.source)
            .map_err(|error| error.to_string().replace(&path.display().to_string(), "c.yaml"))
    }

    #[test]
    fn an_input_is_chosen_by_its_name_and_a_broken_one_is_in_nobodys_way() {
        let input = |tenant: &str| {
            format!(
                "    - {{name: lookback, api: okta_system_log, base_url: 'https://{tenant}.example', token: t, tag: t.{tenant}, db: 'postgresql://me@db.example/x'}}\n"
            )
        };
        let broken = "    - {name: lookback, api: nope, tag: t.broken}\n";
        let both = format!("{}{}{broken}", input("a"), input("b"));
        let known = "okta_system_log/a.example, okta_system_log/b.example, t.broken";
        for (inputs, name, expected) in [
            (input("a"), None, Ok("okta_system_log/a.example".to_owned())),
            (
                both.clone(),
                Some("okta_system_log/b.example"),
                Ok("okta_system_log/b.example".to_owned()),
            ),
            (both.clone(), Some("t.a"), Ok("okta_system_log/a.example".to_owned())),
            (
                both.clone(),
                None,
                Err(format!(
                    "c.yaml: several inputs are named `lookback`; choose one by --source: {known}"
                )),
            ),
            (both.clone(), Some("x"), Err(format!("--source x: c.yaml has {known}"))),
            (
                "    - {name: dummy}\n".to_owned(),
                None,
                Err("c.yaml: no input is named `lookback`".to_owned()),
            ),
        ] {
            assert_eq!(choose(&inputs, name), expected);
        }
        assert!(
            choose(&both, Some("t.broken")).unwrap_err().starts_with("c.yaml:5: property 'api'")
        );
    }
}
