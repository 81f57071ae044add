//! The language of `conf/apis/*.yaml`: one document describes one API.
//!
//! What can be wrong with one value is found where it is read, so that the mistake is shown with its
//! line and column; what can be wrong between values is in `check`.

mod ask;
mod auth;
mod check;
mod limits;
mod paging;
mod place;
mod records;
mod template;
mod users;
mod values;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

pub use ask::{Body, Call, Equals, ForEach, Method, Request, Subscriptions};
pub use auth::{Audience, Auth};
pub use limits::{ErrorMeaning, Limits, Quota, Reset};
pub use paging::{Into, Paging};
pub use place::{DefinitionError, Place, Placed};
pub use records::{Blobs, Id, MomentAt, PARALLEL_MAX, Records};
pub use template::Template;
pub use users::{CloudHosts, Parameter};
pub use values::OneOrMany;

use crate::config::cloud::Cloud;
use crate::config::sweeps::Sweep;

/// A definition larger than this is refused.
pub const DEFINITION_BYTES_MAX: u64 = 256 * 1024;

/// One API.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Its name, the first half of the default `source`.
    pub name: String,
    /// What it is, for people.
    pub title: String,
    /// Scheme, host, port, and a path prefix if there is one.
    pub base_url: Template,
    /// The hosts of other clouds than the global one.
    #[serde(default)]
    pub clouds: BTreeMap<Cloud, CloudHosts>,
    /// Parameters of its own, set like properties; `{name}` in templates.
    #[serde(default)]
    pub parameters: BTreeMap<String, Parameter>,
    /// How to authenticate.
    pub auth: Auth,
    /// What to ask.
    pub request: Request,
    /// Query parameters of every request to the API, next-page and blob links included.
    #[serde(default)]
    pub every_request: BTreeMap<String, Template>,
    /// One walk for each value of a list parameter.
    #[serde(default)]
    pub for_each: Option<ForEach>,
    /// What must be switched on first.
    #[serde(default)]
    pub subscriptions: Option<Subscriptions>,
    /// Where the events of a page are, or a listing's entries.
    pub records: Records,
    /// What tells an event from others.
    pub id: Id,
    /// When an event happened.
    pub time: MomentAt,
    /// How a page names the next one; nothing if there is only one.
    #[serde(default)]
    pub next: Option<Paging>,
    /// Whether the API gives an endless next link: live polls follow it, sweeps read bounded ranges.
    #[serde(default, deserialize_with = "values::switch")]
    pub follow: bool,
    /// The listing's entries are links to blobs of records.
    #[serde(default)]
    pub blobs: Option<Blobs>,
    /// The time that `{from}` and `{to}` select on, in an entry, where it is not the event's own.
    #[serde(default)]
    pub window_on: Option<MomentAt>,
    /// What the codes of errors mean, where the status does not say it.
    #[serde(default)]
    pub errors: BTreeMap<String, ErrorMeaning>,
    /// The headers that tell what is left of the request budget.
    #[serde(default)]
    pub quota: Option<Quota>,
    /// What the API can bear.
    pub limits: Limits,
    /// How far back a live poll reads unless the user says otherwise.
    #[serde(deserialize_with = "values::duration")]
    pub window: Duration,
    /// Deeper re-reads unless the user says otherwise.
    #[serde(default, deserialize_with = "values::sweep_list")]
    pub sweeps: Vec<Sweep>,
}

impl Definition {
    /// Reads and checks one YAML document.
    ///
    /// # Errors
    /// Line, column, and what was expected there; or which parts cannot work together.
    pub fn parse(yaml: &str) -> Result<Self, DefinitionError> {
        let definition: Self =
            serde_saphyr::from_str(yaml).map_err(|error| DefinitionError::from_yaml(&error))?;
        definition.check()?;
        Ok(definition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As large as a file may be.
    const SIZE: usize = DEFINITION_BYTES_MAX as usize;

    #[test]
    fn a_document_made_to_fill_the_memory_or_the_stack_is_refused() {
        // A body may be any tree.
        let mut laughs = "name: a\ntitle: a\nbase_url: https://a.example\nauth: {kind: none}\nrequest:\n  path: /\n  method: POST\n  body:\n    a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..20 {
            let alias = format!("*a{}", level - 1);
            laughs += &format!("    a{level}: &a{level} [{}]\n", [alias.as_str(); 10].join(", "));
        }
        let columns = |open: &str| open.repeat(SIZE / open.len());
        let documents = [
            laughs,
            columns("["),
            columns("{a: "),
            columns("- "),
            columns("? "),
            columns("&a "),
            columns("!!x "),
        ];
        for document in documents {
            let error = Definition::parse(&document).map(|_| ()).unwrap_err().to_string();
            assert!(error.len() < 1_000, "{error}");
        }
    }
}
