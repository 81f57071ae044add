//! The report for programs.

use serde_json::{Value, json};

use super::books::Hour;
use super::outcome::{List, Outcome, QUANTILES};

pub(crate) fn report(outcome: &Outcome) -> Value {
    let total = outcome.balance.total();
    let hours = outcome.balance.hours.iter();
    let hours: Vec<Value> = hours
        .map(|(start, hour)| {
            let mut row = counts(hour);
            row["hour"] = json!(start.to_string());
            row
        })
        .collect();
    let untimed = outcome.balance.untimed;
    let tally = &outcome.tally;
    json!({
        "verdict": outcome.verdict().as_str(),
        "exit_code": outcome.verdict().code(),
        "source": outcome.source,
        "from": outcome.range.from.to_string(),
        "to": outcome.range.to.to_string(),
        "made": outcome.made.to_string(),
        "total": counts(&total),
        "hours": hours,
        "untimed": (untimed != Hour::default()).then(|| counts(&untimed)),
        "missing": list(&outcome.missing),
        "doubled": list(&outcome.doubled),
        "unknown": list(&outcome.unknown),
        "lateness_seconds": lateness(outcome),
        "export": {
            "file": outcome.export,
            "documents": tally.documents,
            "records": tally.records,
            "outside": tally.outside,
            "health": tally.health,
            "without_id": tally.unidentified,
            "unreadable": tally.unreadable,
        },
        "api": {
            "requests": outcome.reading.requests,
            "undecided": outcome.undecided,
            "unread": outcome.reading.unread.iter().map(|range| json!({
                "from": range.from.to_string(), "to": range.to.to_string(),
            })).collect::<Vec<_>>(),
        },
        "doubts": outcome.doubts(),
        "notes": outcome.notes(),
    })
}

fn counts(hour: &Hour) -> Value {
    let Hour { api, siem, missing, doubled, unknown } = hour;
    json!({"api": api, "siem": siem, "missing": missing, "doubled": doubled, "unknown": unknown})
}

fn list(list: &List) -> Value {
    let events = list.listed.iter().map(|event| {
        let mut row = json!({"id": event.id, "time": event.time.map(|time| time.to_string())});
        if let Some(bytes) = &event.bytes {
            row["event"] = json!(bytes);
        }
        row
    });
    json!({"events": events.collect::<Vec<_>>(), "not_listed": list.unlisted})
}

fn lateness(outcome: &Outcome) -> Value {
    let lateness = &outcome.lateness;
    let quantiles =
        QUANTILES.iter().filter_map(|(_, q)| Some((q.to_string(), json!(lateness.quantile(*q)?))));
    let quantiles: serde_json::Map<String, Value> = quantiles.collect();
    if quantiles.is_empty() {
        return Value::Null;
    }
    json!({"records": lateness.seconds.len(), "quantiles": quantiles})
}
