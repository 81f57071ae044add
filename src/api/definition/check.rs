//! What can be wrong between the parts of a definition.

use std::time::Duration;

use super::{
    Auth, Body, Definition, DefinitionError, Id, Into, Method, PARALLEL_MAX, Paging, Template,
};
use crate::api::origin;
use crate::api::template::{self, Values};
use crate::config::keys;

impl Definition {
    pub(super) fn check(&self) -> Result<(), DefinitionError> {
        self.check_parameters()?;
        self.check_templates()?;
        self.check_addresses()?;
        self.check_paging()?;
        self.check_listing()?;
        self.check_plan().map_err(DefinitionError::new)
    }

    fn check_parameters(&self) -> Result<(), DefinitionError> {
        for (name, parameter) in &self.parameters {
            if keys::find(name).is_some() {
                let problem = format!("parameters: '{name}' is a property of lookback itself");
                return Err(DefinitionError::new(problem));
            }
            if let Some(default) = &parameter.default {
                check_names(default, &template::ALWAYS)?;
            }
        }
        let Some(each) = &self.for_each else { return Ok(()) };
        if !self.parameters.contains_key(&each.parameter) {
            let problem = format!("for_each: '{}' is none of the parameters", each.parameter);
            return Err(DefinitionError::new(problem));
        }
        Ok(())
    }

    /// Every name in a template must have a value there.
    fn check_templates(&self) -> Result<(), DefinitionError> {
        let parameters = self.parameters.keys().map(String::as_str);
        let fixed: Vec<&str> = template::ALWAYS.into_iter().chain(parameters).collect();
        let each = self.for_each.iter().map(|each| each.name.as_str());
        let each: Vec<&str> = fixed.iter().copied().chain(each).collect();
        let ranged: Vec<&str> = each.iter().copied().chain(["from", "to"]).collect();

        for template in self.addresses().chain(self.every_request.values()) {
            check_names(template, &fixed)?;
        }
        if let Some(subscriptions) = &self.subscriptions {
            let list = &subscriptions.list;
            for template in list.query.values().chain([&list.path]) {
                check_names(template, &fixed)?;
            }
            let start = &subscriptions.start;
            for template in start.query.values().chain([&start.path]) {
                check_names(template, &each)?;
            }
        }
        let request = &self.request;
        for template in
            request.query.values().chain(request.headers.values()).chain([&request.path])
        {
            check_names(template, &ranged)?;
        }
        match &request.body {
            Some(Body::Text(template)) => check_names(template, &ranged),
            Some(Body::Json(value)) => {
                let names = template::names_in(value);
                let unknown = names.iter().find(|name| !ranged.contains(&name.as_str()));
                unknown
                    .map_or(Ok(()), |name| Err(DefinitionError::new(unknown_name(name, &ranged))))
            }
            None => Ok(()),
        }
    }

    /// The API's and the login service's addresses, in all clouds.
    fn addresses(&self) -> impl Iterator<Item = &Template> {
        let token_url = match &self.auth {
            Auth::OAuth2 { token_url, .. } => Some(token_url),
            _ => None,
        };
        let clouds = self.clouds.values().flat_map(|cloud| [&cloud.base_url, &cloud.token_url]);
        [&self.base_url].into_iter().chain(token_url).chain(clouds.flatten())
    }

    /// Credentials go to these: https, or loopback.
    fn check_addresses(&self) -> Result<(), DefinitionError> {
        for template in self.addresses() {
            let mut values = Values::default();
            template.names().iter().for_each(|name| values.set(name, "x"));
            let filled = template.fill(&values, template::percent).unwrap_or_default();
            origin::endpoint(&filled).map_err(|problem| template.error(problem))?;
        }
        Ok(())
    }

    fn check_paging(&self) -> Result<(), DefinitionError> {
        let into = match &self.next {
            Some(
                Paging::Cursor { into, .. } | Paging::Page { into, .. } | Paging::Offset { into },
            ) => Some(into),
            _ => None,
        };
        let has_json = matches!(self.request.body, Some(Body::Json(_)));
        if matches!(into, Some(Into::Body(_))) && !has_json {
            let problem = "next: it goes into the body, but request.body is no mapping";
            return Err(DefinitionError::new(problem));
        }
        if self.request.body.is_some() && self.request.method != Method::Post {
            return Err(DefinitionError::new("request: a body needs method: POST"));
        }
        let endless = matches!(
            self.next,
            Some(
                Paging::Link(_) | Paging::Header(_) | Paging::LinkHeader(_) | Paging::Cursor { .. }
            )
        );
        if self.follow && !endless {
            let problem = "follow: it needs a 'next' by link, header, link_header or cursor";
            return Err(DefinitionError::new(problem));
        }
        if self.follow && (self.blobs.is_some() || self.for_each.is_some()) {
            let problem = "follow: it cannot be combined with blobs or for_each";
            return Err(DefinitionError::new(problem));
        }
        Ok(())
    }

    fn check_listing(&self) -> Result<(), DefinitionError> {
        if let Some(blobs) = &self.blobs {
            if self.window_on.is_none() {
                let problem = "blobs: 'window_on' must say when an entry of the listing was made";
                return Err(DefinitionError::new(problem));
            }
            if !(1..=PARALLEL_MAX).contains(&blobs.parallel) {
                let problem = format!("blobs: expected 'parallel' from 1 to {PARALLEL_MAX}");
                return Err(DefinitionError::new(problem));
            }
        }
        if self.window_on.is_some() && self.id == Id::Hash && self.blobs.is_none() {
            let problem = "window_on: events need an id of their own";
            return Err(DefinitionError::new(problem));
        }
        if self.subscriptions.is_some() && self.for_each.is_none() {
            return Err(DefinitionError::new(
                "subscriptions: 'for_each' must say what there is to start",
            ));
        }
        Ok(())
    }

    fn check_plan(&self) -> Result<(), String> {
        if self.limits.requests_per_minute == 0 || self.limits.page == 0 {
            return Err("limits: page and requests_per_minute must be at least 1".to_owned());
        }
        if self.limits.range < Duration::from_secs(1) || self.limits.reach < self.limits.range {
            return Err("limits: range must be at least 1s, and reach no shorter".to_owned());
        }
        let deepest = self.sweeps.iter().map(|s| s.depth).chain([self.window]).max();
        if deepest > Some(self.limits.reach) {
            return Err("window or sweeps reach further back than limits.reach".to_owned());
        }
        if self.quota.as_ref().is_some_and(|quota| quota.reserve_percent > 90) {
            return Err("quota: expected a reserve_percent of at most 90".to_owned());
        }
        Ok(())
    }
}

fn check_names(template: &Template, known: &[&str]) -> Result<(), DefinitionError> {
    let unknown = template.names().into_iter().find(|name| !known.contains(name));
    unknown.map_or(Ok(()), |name| Err(template.error(unknown_name(name, known))))
}

fn unknown_name(name: &str, known: &[&str]) -> String {
    let known: Vec<String> = known.iter().map(|name| format!("{{{name}}}")).collect();
    format!("'{{{name}}}' has no value here; expected one of {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
name: acme
title: Acme
base_url: https://api.acme.example
auth:
  kind: oauth2
  token_url: https://login.acme.example/{tenant}/token
  scope: acme
request:
  path: /events
  query: {since: '{from}', until: '{to}'}
records: /value
id: /id
time: /at
next: {link: /next}
limits: {page: 1000, range: 24h, reach: 30d, requests_per_minute: 30}
window: 20m
";

    fn mistake(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from), "{from}");
        Definition::parse(&GOOD.replacen(from, to, 1)).unwrap_err().to_string()
    }

    #[test]
    fn a_mistake_is_shown_with_line_and_column_and_what_was_expected() {
        for (from, to, expected) in [
            ("records:", "record:", "unknown field"),
            ("id: /id", "id: id", "expected a JSON pointer"),
            ("time: /at", "time: {at: /x, format: unix}", "expected rfc3339"),
            ("kind: oauth2", "kind: oauth", "oauth2"),
            ("next: {link:", "next: {lnk:", "unknown field"),
            ("window: 20m", "window: soon", "expected a duration"),
            ("{from}", "{since}", "'{since}' has no value here"),
            ("{from}", "{from", "without its partner"),
            ("'{from}'", "\"{fr\\n\\rom}\"", "'{fr om}' has no value here"),
            ("https://api", "http://api", "unencrypted"),
            ("page: 1000", "page: many", "u32"),
        ] {
            let error = mistake(from, to);
            assert!(error.contains(expected), "{from} -> {to}: {error}");
            assert!(error.starts_with("line ") && error.contains(", column "), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn parts_that_cannot_work_together_are_refused() {
        for (from, to, expected) in [
            ("reach: 30d", "reach: 1s", "limits"),
            ("scope:", "resource: x\n  scope:", "either 'scope'"),
            ("window: 20m", "window: 40d", "limits.reach"),
            ("records: /value", "records: /value\nfollow: on\nblobs: {link: /l, id: /i}", "follow"),
            ("records: /value", "records: /value\nblobs: {link: /l, id: /i}", "window_on"),
            ("records: /value", "records: /value\nfor_each: {parameter: x, as: y}", "for_each"),
            ("next: {link: /next}", "next: {cursor: /c, body: c}", "no mapping"),
            ("next: {link: /next}", "next: {cursor: /c}", "where to send it"),
            ("next: {link: /next}", "next: {page: p, offset: o}", "exactly one"),
            ("auth:", "parameters: {window: {}}\nauth:", "a property of lookback itself"),
        ] {
            let error = mistake(from, to);
            assert!(error.contains(expected), "{from} -> {to}: {error}");
        }
    }
}
