//! Where the API and its login service are: the cloud's hosts, unless the user names others.

use url::Url;

use super::cloud::Cloud;
use super::property::parsed;
use super::{ConfigError, Raw, values};
use crate::api::definition::{Audience, CloudHosts, Definition, Template};
use crate::api::origin;
use crate::api::template::Values;

/// The hosts of one cloud.
#[derive(Clone, Copy)]
pub(super) struct Hosts<'a> {
    /// Which cloud.
    pub(super) cloud: Cloud,
    raw: &'a Raw,
    definition: &'a Definition,
    values: &'a Values,
    own: Option<&'a CloudHosts>,
}

impl<'a> Hosts<'a> {
    /// The hosts of the cloud that was set.
    pub(super) fn choose(
        raw: &'a Raw,
        definition: &'a Definition,
        values: &'a Values,
    ) -> Result<Self, ConfigError> {
        let cloud = parsed(raw, "cloud", Cloud::parse)?;
        let own = definition.clouds.get(&cloud);
        if own.is_none() && cloud != Cloud::Global {
            let others = definition.clouds.keys().filter(|other| **other != Cloud::Global);
            let has: Vec<String> =
                [Cloud::Global].iter().chain(others).map(Cloud::to_string).collect();
            let problem =
                format!("the definition '{}' has no hosts for '{cloud}'", definition.name);
            return Err(ConfigError::new("cloud", problem, format!("set {}", has.join(", or "))));
        }
        Ok(Self { cloud, raw, definition, values, own })
    }

    /// The API's address.
    pub(super) fn base_url(&self) -> Result<Url, ConfigError> {
        let own = self.own.and_then(|own| own.base_url.as_ref());
        let url = self.endpoint("base_url", own.unwrap_or(&self.definition.base_url))?;
        if url.query().is_some() || url.fragment().is_some() {
            let problem = "has a query or a fragment, which no request would carry";
            return Err(ConfigError::new("base_url", problem, "set scheme, host and path alone"));
        }
        Ok(url)
    }

    /// The login service's address; `global` is the one of the global cloud.
    pub(super) fn token_url(&self, global: &Template) -> Result<Url, ConfigError> {
        self.endpoint(
            "token_url",
            self.own.and_then(|own| own.token_url.as_ref()).unwrap_or(global),
        )
    }

    /// What a token is asked for; `global` is what it is in the global cloud.
    pub(super) fn audience(&self, global: &Audience) -> Audience {
        let own =
            |name: fn(&CloudHosts) -> &Option<String>| self.own.and_then(|own| name(own).clone());
        match global {
            Audience::Scope(scope) => {
                Audience::Scope(own(|own| &own.scope).unwrap_or_else(|| scope.clone()))
            }
            Audience::Resource(resource) => {
                Audience::Resource(own(|own| &own.resource).unwrap_or_else(|| resource.clone()))
            }
        }
    }

    /// An address that the user may override.
    fn endpoint(&self, name: &str, template: &Template) -> Result<Url, ConfigError> {
        let text = match self.raw.get(name) {
            Some(text) => text.to_owned(),
            None => values::address(template, self.definition, self.values)?,
        };
        origin::endpoint(&text).map_err(|problem| {
            let mend = "set an https URL, or an http one to a loopback address";
            ConfigError::new(name, problem, mend)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "
name: acme
title: Acme
base_url: https://api.example
clouds:
  gcc: {}
  gcc_high: {base_url: 'https://api.gov.example', token_url: 'https://login.gov.example/{tenant}', scope: gov}
  china: {scope: cn}
auth: {kind: oauth2, token_url: 'https://login.example/{tenant}', scope: all}
request: {path: /events}
records: ''
id: /id
time: /t
limits: {page: 1, range: 1h, reach: 1d, requests_per_minute: 1}
window: 1h
";

    /// API, login service and scope, or the refusal.
    fn chosen(set: &[(&str, &str)]) -> Result<[String; 3], ConfigError> {
        let definition = Definition::parse(YAML).unwrap();
        let mut raw = Raw::default();
        set.iter().chain(&[("tenant", "t")]).for_each(|(name, value)| raw.set(name, value));
        let values = values::collect(&raw, &definition)?;
        let hosts = Hosts::choose(&raw, &definition, &values)?;
        let crate::api::definition::Auth::OAuth2 { token_url, audience } = &definition.auth else {
            panic!("an OAuth definition")
        };
        let Audience::Scope(scope) = hosts.audience(audience) else { panic!("a scope") };
        Ok([hosts.base_url()?.into(), hosts.token_url(token_url)?.into(), scope])
    }

    #[test]
    fn a_cloud_replaces_what_it_has_of_its_own_and_the_user_has_the_last_word() {
        let global = ["https://api.example/", "https://login.example/t", "all"];
        for (set, expected) in [
            (&[][..], global),
            (&[("cloud", "global")], global),
            (&[("cloud", "gcc")], global),
            (&[("cloud", "china")], [global[0], global[1], "cn"]),
            (
                &[("cloud", "gcc_high")],
                ["https://api.gov.example/", "https://login.gov.example/t", "gov"],
            ),
            (
                &[("cloud", "gcc_high"), ("base_url", "http://127.0.0.1:1")],
                ["http://127.0.0.1:1/", "https://login.gov.example/t", "gov"],
            ),
            (
                &[("cloud", "gcc_high"), ("token_url", "https://login.own.example")],
                ["https://api.gov.example/", "https://login.own.example/", "gov"],
            ),
        ] {
            assert_eq!(chosen(set).unwrap(), expected, "{set:?}");
        }
    }

    #[test]
    fn a_cloud_without_hosts_is_refused_with_the_ones_that_there_are() {
        assert_eq!(
            chosen(&[("cloud", "dod")]).unwrap_err().to_string(),
            "property 'cloud': the definition 'acme' has no hosts for 'dod'; \
             set global, or gcc, or gcc_high, or china"
        );
        let error = chosen(&[("cloud", "mars")]).unwrap_err().to_string();
        assert!(error.contains("'mars'") && error.contains("gcc_high"), "{error}");
    }
}
