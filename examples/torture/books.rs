//! What arrived, and when.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::clock::{Moment, now};
use super::source::ID_FIELDS;

#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    /// When each record came to the receiver that nothing disturbs, by id.
    pub(crate) quiet: HashMap<String, Vec<Moment>>,
    /// How often each came to the receiver that is disturbed.
    pub(crate) disturbed: HashMap<String, u32>,
    /// Health records, by event.
    pub(crate) health: BTreeMap<String, u64>,
    /// Records that have no id at all.
    pub(crate) strange: u64,
}

/// Shared by the receivers and the verdict.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books(Arc<Mutex<Arrivals>>);

impl Books {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Arrivals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line for the receiver that nothing disturbs. One that was cut off by a crash is none.
    pub(crate) fn quiet(&self, line: &str) {
        let Ok(record) = serde_json::from_str::<Value>(line) else { return };
        let mut arrivals = self.lock();
        if let Some(event) = record["lookback"]["event"].as_str() {
            *arrivals.health.entry(event.to_owned()).or_default() += 1;
        } else if let Some(id) = id(&record) {
            arrivals.quiet.entry(id).or_default().push(now());
        } else {
            arrivals.strange += 1;
        }
    }

    /// A line for the other one.
    pub(crate) fn disturbed(&self, line: &str) {
        let Ok(record) = serde_json::from_str::<Value>(line) else { return };
        if let Some(id) = id(&record) {
            *self.lock().disturbed.entry(id).or_default() += 1;
        }
    }
}

fn id(record: &Value) -> Option<String> {
    ID_FIELDS.iter().find_map(|name| record[*name].as_str()).map(str::to_owned)
}

/// When the host took each record from the plugin, by id.
pub(crate) type HandOvers = HashMap<String, Vec<Moment>>;

/// The filter that keeps the journal of a Fluent Bit: filters see a record once, when the host takes it, and
/// not again when a chunk is sent again or found in a file after a restart. So a record that stands here twice
/// was handed over twice, whatever the outputs make of it.
pub(crate) fn journal_filter(journal: &Path) -> String {
    let fields: Vec<String> = ID_FIELDS.iter().map(|name| format!("record[\"{name}\"]")).collect();
    format!(
        "local journal = assert(io.open([[{}]], \"a\"))
journal:setvbuf(\"no\")
function note(tag, time, record)
  local id = {}
  if id then journal:write(os.time(), \" \", id, \"\\n\") end
  return 0, 0, 0
end
",
        journal.display(),
        fields.join(" or ")
    )
}

/// Reads that journal.
pub(crate) fn read_journal(journal: &Path) -> Result<HandOvers, String> {
    // A host that never came up has written none.
    if !journal.exists() {
        return Ok(HandOvers::new());
    }
    let text = std::fs::read_to_string(journal)
        .map_err(|error| format!("{}: {error}", journal.display()))?;
    let mut hand_overs = HandOvers::new();
    for line in text.lines() {
        let entry = line.split_once(' ').and_then(|(at, id)| Some((at.parse().ok()?, id)));
        let (at, id) =
            entry.ok_or_else(|| format!("the journal has a line that is none: {line}"))?;
        hand_overs.entry(id.to_owned()).or_default().push(Duration::from_secs(at));
    }
    Ok(hand_overs)
}
