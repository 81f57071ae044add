//! What was asked and answered, counted.

use std::collections::BTreeMap;

use serde::Serialize;

/// The counters.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Stats {
    /// Events that have happened.
    pub(crate) events: u64,
    /// Those of them that show.
    pub(crate) visible: u64,
    /// Requests to the APIs and to the login service.
    pub(crate) requests: u64,
    /// The same by status; one that got no answer at all counts as `none`.
    pub(crate) requests_by_status: BTreeMap<String, u64>,
    /// Faults injected, by name; also `outage`, `login_outage` and `quota`.
    pub(crate) faults: BTreeMap<&'static str, u64>,
    /// Bytes of the bodies, as compressed; cut ones in full.
    pub(crate) bytes: u64,
    /// The most events on one page.
    pub(crate) max_page: u64,
    /// Access tokens given.
    pub(crate) tokens_issued: u64,
    /// The same by what was shown for them: a secret, a certificate, a federated token, or the
    /// place of a managed identity.
    pub(crate) tokens_by_proof: BTreeMap<&'static str, u64>,
    /// Office 365: requests without their `PublisherIdentifier`.
    pub(crate) missing_publisher: u64,
    /// Office 365: requests for a blob that had been answered whole before.
    pub(crate) blobs_fetched_again: u64,
    /// Okta: requests that took the last one of a minute's quota.
    pub(crate) quota_spent: u64,
    /// Requests that came while a Retry-After of the same service was running.
    pub(crate) requests_during_retry_after: u64,
}

impl Stats {
    /// Counts one answered request.
    pub(crate) fn count(&mut self, status: &str, fault: Option<&'static str>, bytes: usize) {
        self.requests += 1;
        *self.requests_by_status.entry(status.to_owned()).or_default() += 1;
        if let Some(fault) = fault {
            *self.faults.entry(fault).or_default() += 1;
        }
        self.bytes += bytes as u64;
    }
}
