//! The kinds of events, where an API tells kinds apart. They go by the event's number.

/// The types of sign-ins that a filter of the beta may choose.
pub(crate) const SIGN_IN_TYPES: [&str; 4] =
    ["interactiveUser", "nonInteractiveUser", "servicePrincipal", "managedIdentity"];

/// The content types of the activity feed.
pub(crate) const CONTENT_TYPES: [&str; 5] = [
    "Audit.AzureActiveDirectory",
    "Audit.Exchange",
    "Audit.SharePoint",
    "Audit.General",
    "DLP.All",
];

/// The type of sign-in that event number `number` is.
pub(crate) fn sign_in_type(number: u64) -> &'static str {
    SIGN_IN_TYPES[(number % SIGN_IN_TYPES.len() as u64) as usize]
}

/// The place in `CONTENT_TYPES` of event number `number`.
pub(crate) fn content_type(number: u64) -> usize {
    (number % CONTENT_TYPES.len() as u64) as usize
}
