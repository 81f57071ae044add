//! For programs.

use std::collections::BTreeMap;

use in_lookback::model::{TimeRange, Timestamp};
use in_lookback::poll::ledger::{Counts, Hour};
use in_lookback::poll::progress::SweepProgress;
use in_lookback::state::look::{HourRow, Source};
use in_lookback::state::postgres::look::Holder;
use serde_json::{Value, json};

use super::coverage::{Coverage, Hole, Judged};
use super::time;

pub(crate) fn sources(
    sources: &[Source],
    leaders: Option<&BTreeMap<String, Holder>>,
    now: Timestamp,
) -> Value {
    let each = |source: &Source| {
        let mut value = self::source(source, now);
        if let Some(leaders) = leaders {
            let holder = leaders.get(&source.name);
            value["is_led"] = json!(holder.is_some_and(|it| it.left > 0.0));
            value["node"] = json!(holder.map(|it| &it.node));
            value["epoch"] = json!(holder.map(|it| it.epoch));
            value["lease_until"] = json!(holder.map(|it| time(it.until)));
            value["lease_left_seconds"] = json!(holder.map(|it| it.left));
        }
        value
    };
    sources.iter().map(each).collect()
}

fn source(source: &Source, now: Timestamp) -> Value {
    let progress = source.progress.as_ref();
    let range = |range: &TimeRange| json!({"from": time(range.from), "to": time(range.to)});
    let ranges = |ranges: &[_]| ranges.iter().map(range).collect::<Vec<Value>>();
    let sweep = |sweep: &SweepProgress| {
        let unread = ranges(&sweep.unread);
        json!({"depth_seconds": sweep.depth_seconds, "began": time(sweep.began), "unread": unread})
    };
    json!({
        "source": source.name,
        "ids": source.ids,
        "read_until": progress.map(|it| time(it.read_until())),
        "behind_seconds": progress.map(|it| now.since(it.read_until()).as_secs()),
        "live_until": progress.and_then(|it| it.live_until).map(time),
        "to_catch_up": progress.map(|it| ranges(&it.holes)),
        "gaps": progress.map(|it| ranges(&it.gaps)),
        "sweeps": progress.map(|it| it.sweeps.iter().map(sweep).collect::<Vec<Value>>()),
        "newest": progress.and_then(|it| it.newest).map(time),
        "ledger": source.hours.as_ref().map(|rows| {
            let since = progress.and_then(|it| it.ledger_from).map(time);
            let mut value = counts(&super::text::total(rows));
            value["since"] = json!(since);
            value
        }),
    })
}

fn counts(counts: &Counts) -> Value {
    json!({"records": counts.records, "duplicates": counts.duplicates, "late": counts.late})
}

pub(crate) fn coverage(name: &str, coverage: &Coverage) -> Value {
    let hours: Vec<Value> = coverage.hours.iter().map(hour).collect();
    let holes: Vec<Value> = coverage.holes.iter().map(hole).collect();
    json!({
        "source": name,
        "since": start(coverage.since),
        "live_until": coverage.until.map(time),
        "judged": coverage.judged,
        "complete": coverage.whole,
        "holes": holes,
        "hours": hours,
        "other_times": counts(&coverage.other),
    })
}

fn hour(judged: &Judged) -> Value {
    let Judged { row, standing, quiet } = judged;
    let HourRow { hour, counts: came, first, last, gap } = row;
    let mut value = counts(came);
    value["hour"] = json!(start(*hour));
    value["state"] = json!(standing.as_str());
    value["quiet"] = json!(quiet);
    for (name, read) in [("first", first), ("last", last)] {
        value[format!("{name}_complete")] = json!(read.as_ref().map(|(at, _)| time(*at)));
        value[format!("{name}_by")] = json!(read.as_ref().map(|(_, by)| by));
    }
    value["gap_reported"] = json!(gap.map(time));
    value
}

fn hole(hole: &Hole) -> Value {
    json!({"from": start(hole.from), "to": start(hole.to), "state": hole.standing.as_str()})
}

fn start(hour: Hour) -> String {
    time(hour.start())
}
