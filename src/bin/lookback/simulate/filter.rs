//! The `$filter` and `$orderby` of the listings: only as much OData as the sign-in logs take.

use jiff::{SignedDuration, Timestamp};

use super::kind::SIGN_IN_TYPES;

/// The events asked for, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeRange {
    /// The earliest; `Timestamp::MIN` where none was given.
    pub(crate) from: Timestamp,
    /// The latest; `Timestamp::MAX` where none was given.
    pub(crate) to: Timestamp,
}

impl TimeRange {
    /// All of time.
    pub(crate) const ALL: Self = Self { from: Timestamp::MIN, to: Timestamp::MAX };
}

/// What a `$filter` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    /// When the events happened.
    pub(crate) range: TimeRange,
    /// Only this type of sign-ins.
    pub(crate) kind: Option<&'static str>,
}

impl Filter {
    /// Everything.
    pub(crate) const ALL: Self = Self { range: TimeRange::ALL, kind: None };
}

/// Which end comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The newest first, the default.
    Newest,
    /// The oldest first.
    Oldest,
}

/// Reads comparisons of `field` with times, joined by `and`. `None`: no such filter.
///
/// With `types`, a choice by `signInEventTypes` may stand among them.
pub(crate) fn parse_filter(text: &str, field: &str, types: bool) -> Option<Filter> {
    let mut filter = Filter::ALL;
    let words: Vec<&str> = text.split_whitespace().collect();
    for (index, clause) in words.split(|word| word.eq_ignore_ascii_case("and")).enumerate() {
        if types && let Some(kind) = parse_type(clause) {
            // Two types on end would leave nothing; nobody asks so.
            if filter.kind.replace(kind).is_some() {
                return None;
            }
            continue;
        }
        let [name, operator, time] = clause else {
            // Nothing at all is no filter; nothing beside an `and` is an error.
            return (words.is_empty() && index == 0).then_some(filter);
        };
        if *name != field {
            return None;
        }
        let at: Timestamp = time.parse().ok()?;
        filter.range = narrow(filter.range, operator, at)?;
    }
    Some(filter)
}

/// `signInEventTypes/any(t: t eq 'nonInteractiveUser')`
fn parse_type(clause: &[&str]) -> Option<&'static str> {
    let [any, variable, "eq", value] = clause else {
        return None;
    };
    let declared = any.strip_prefix("signInEventTypes/any(")?.strip_suffix(':')?;
    let quoted = value.strip_prefix('\'')?.strip_suffix("')")?;
    SIGN_IN_TYPES.into_iter().find(|kind| declared == *variable && *kind == quoted)
}

fn narrow(range: TimeRange, operator: &str, at: Timestamp) -> Option<TimeRange> {
    let step = SignedDuration::from_nanos(1);
    let (from, to) = match operator {
        "eq" => (at, at),
        "ge" => (at, Timestamp::MAX),
        "le" => (Timestamp::MIN, at),
        "gt" => (at.checked_add(step).ok()?, Timestamp::MAX),
        "lt" => (Timestamp::MIN, at.checked_sub(step).ok()?),
        _ => return None,
    };
    Some(TimeRange { from: range.from.max(from), to: range.to.min(to) })
}

/// Reads `field`, `field asc` or `field desc`. `None`: cannot order so.
pub(crate) fn parse_order(text: &str, field: &str) -> Option<Order> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        [name] | [name, "asc"] if *name == field => Some(Order::Oldest),
        [name, "desc"] if *name == field => Some(Order::Newest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn ranges() {
        let filter = parse_filter(
            "createdDateTime ge 2026-01-01T00:00:00Z and createdDateTime le 2026-01-02T00:00:00.1234567Z",
            "createdDateTime",
            false,
        );
        let range =
            TimeRange { from: at("2026-01-01T00:00:00Z"), to: at("2026-01-02T00:00:00.1234567Z") };
        assert_eq!(filter, Some(Filter { range, kind: None }));
        assert_eq!(parse_filter("", "t", false), Some(Filter::ALL));
        assert_eq!(
            parse_filter("t eq 2026-01-01T00:00:00Z", "t", false).unwrap().range,
            TimeRange { from: at("2026-01-01T00:00:00Z"), to: at("2026-01-01T00:00:00Z") }
        );
    }

    #[test]
    fn open_ends_leave_the_bound_out() {
        let range =
            parse_filter("t gt 2026-01-01T00:00:00Z and t lt 2026-01-02T00:00:00Z", "t", false)
                .unwrap()
                .range;
        assert_eq!(range.from, at("2026-01-01T00:00:00.000000001Z"));
        assert_eq!(range.to, at("2026-01-01T23:59:59.999999999Z"));
    }

    #[test]
    fn what_is_no_filter() {
        for bad in [
            "t",
            "t ge",
            "t ge yesterday",
            "t ge 2026-01-01",
            "u ge 2026-01-01T00:00:00Z",
            "t ne 2026-01-01T00:00:00Z",
            "t ge 2026-01-01T00:00:00Z and",
            "and t ge 2026-01-01T00:00:00Z",
            "t ge 2026-01-01T00:00:00Z or t le 2026-01-02T00:00:00Z",
        ] {
            assert_eq!(parse_filter(bad, "t", false), None, "{bad}");
        }
    }

    #[test]
    fn types_where_there_are_some() {
        let text = "t ge 2026-01-01T00:00:00Z and signInEventTypes/any(t: t eq 'servicePrincipal')";
        let filter = parse_filter(text, "t", true).unwrap();
        assert_eq!(filter.range.from, at("2026-01-01T00:00:00Z"));
        assert_eq!(filter.kind, Some("servicePrincipal"));
        assert_eq!(parse_filter(text, "t", false), None);
        assert_eq!(parse_filter(&text.replace("service", "sir"), "t", true), None);
        assert_eq!(parse_filter(&text.replace("any(t:", "any(u:"), "t", true), None);
    }

    #[test]
    fn orders() {
        assert_eq!(parse_order("t", "t"), Some(Order::Oldest));
        assert_eq!(parse_order("t asc", "t"), Some(Order::Oldest));
        assert_eq!(parse_order("t desc", "t"), Some(Order::Newest));
        assert_eq!(parse_order("u", "t"), None);
        assert_eq!(parse_order("t sideways", "t"), None);
    }
}
