//! What fills a definition's templates, and that nothing is missing of what is in use.

use super::{ConfigError, Raw, keys};
use crate::api::definition::{Body, Definition, Parameter, Template};
use crate::api::template::{self, Values};

/// What was set, else the parameters' defaults. What has neither is missed where it is used.
pub(super) fn collect(raw: &Raw, definition: &Definition) -> Result<Values, ConfigError> {
    let mut values = Values::default();
    let own = definition.parameters.keys().map(String::as_str);
    for name in template::ALWAYS.into_iter().chain(own) {
        let Some(value) = raw.get(name) else { continue };
        if value.contains(char::is_control) {
            let problem = "holds a line break or another control character";
            return Err(ConfigError::new(name, problem, "remove it"));
        }
        values.set(name, value);
    }
    for (name, parameter) in &definition.parameters {
        let default = parameter.default.as_ref();
        let default = default.and_then(|it| it.fill(&values, template::verbatim).ok());
        if let (None, Some(default)) = (values.get(name), default) {
            values.set(name, default);
        }
    }
    Ok(values)
}

/// Fills an address.
pub(super) fn address(
    template: &Template,
    definition: &Definition,
    values: &Values,
) -> Result<String, ConfigError> {
    require(&template.names(), definition, values)?;
    template
        .fill(values, template::percent)
        .map_err(|problem| ConfigError::new("api", problem, "mend the definition"))
}

/// Checks that no request can lack a value, so that no poll can fail to make one.
pub(super) fn require_for_requests(
    definition: &Definition,
    values: &Values,
) -> Result<(), ConfigError> {
    for template in request_templates(definition) {
        require(&template.names(), definition, values)?;
    }
    if let Some(Body::Json(value)) = &definition.request.body {
        let names = template::names_in(value);
        require(&names.iter().map(String::as_str).collect::<Vec<_>>(), definition, values)?;
    }
    if let Some(each) = &definition.for_each {
        require(&[&each.parameter], definition, values)?;
    }
    Ok(())
}

fn request_templates(definition: &Definition) -> impl Iterator<Item = &Template> {
    let request = &definition.request;
    let body = match &request.body {
        Some(Body::Text(template)) => Some(template),
        Some(Body::Json(_)) | None => None,
    };
    let calls = definition.subscriptions.iter().flat_map(|it| [&it.list, &it.start]);
    [&request.path]
        .into_iter()
        .chain(request.query.values())
        .chain(request.headers.values())
        .chain(body)
        .chain(definition.every_request.values())
        .chain(calls.flat_map(|call| [&call.path].into_iter().chain(call.query.values())))
}

/// Names the first value that is missing. What is no property comes with the request: `{from}`.
fn require(names: &[&str], definition: &Definition, values: &Values) -> Result<(), ConfigError> {
    for name in names {
        let parameter = definition.parameters.get(*name);
        if values.get(name).is_some() || (parameter.is_none() && !template::ALWAYS.contains(name)) {
            continue;
        }
        // A default that cannot be filled lacks what it names.
        if let Some(default) = parameter.and_then(|parameter| parameter.default.as_ref()) {
            require(&default.names(), definition, values)?;
        }
        return Err(ConfigError::new(name, "is missing", mend(name, parameter)));
    }
    Ok(())
}

fn mend(name: &str, parameter: Option<&Parameter>) -> String {
    let doc = match parameter {
        Some(parameter) => parameter.doc.trim(),
        None => keys::find(name).map_or("", |key| key.doc),
    };
    if doc.is_empty() { "set it".to_owned() } else { format!("set it: {doc}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "
name: acme
title: Acme
base_url: https://{domain}/root
parameters:
  domain: {doc: 'the account''s host'}
  kinds: {default: 'a, b'}
  label: {default: '{tenant}-x'}
  unused: {}
auth: {kind: none}
request: {path: '/{kind}', query: {l: '{label}', since: '{from}', until: '{to}'}}
for_each: {parameter: kinds, as: kind}
records: ''
id: /id
time: /t
limits: {page: 1, range: 1h, reach: 1d, requests_per_minute: 1}
window: 1h
";

    fn tried(set: &[(&str, &str)]) -> Result<String, ConfigError> {
        let definition = Definition::parse(YAML).unwrap();
        let mut raw = Raw::default();
        set.iter().for_each(|(name, value)| raw.set(name, value));
        let values = collect(&raw, &definition)?;
        require_for_requests(&definition, &values)?;
        address(&definition.base_url, &definition, &values)
    }

    #[test]
    fn a_value_is_missed_only_where_it_is_used_and_by_its_own_name() {
        assert_eq!(
            tried(&[("tenant", "t"), ("domain", "a.example")]).unwrap(),
            "https://a.example/root"
        );
        assert!(tried(&[("label", "l"), ("domain", "a.example")]).is_ok());
        let error = tried(&[("tenant", "t")]).unwrap_err().to_string();
        assert_eq!(error, "property 'domain': is missing; set it: the account's host");
        for (set, property) in [
            (&[("domain", "a.example")][..], "tenant"),
            (&[("domain", "a.example"), ("tenant", "a\nb")], "tenant"),
        ] {
            assert_eq!(tried(set).unwrap_err().property, property, "{set:?}");
        }
    }
}
