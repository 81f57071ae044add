//! What arrived, when and by which node; and what each node was handed.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;

use super::clock::{Moment, now};
use super::source::ID_FIELDS;
use super::sources;

/// An event of a source: all sources show the same ones.
pub(crate) type Key = (usize, String);

/// By event: when, and at which node.
pub(crate) type Times = HashMap<Key, Vec<(Moment, usize)>>;

/// A node took a source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leader {
    pub(crate) at: Moment,
    pub(crate) source: usize,
    pub(crate) node: usize,
    pub(crate) epoch: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    pub(crate) records: Times,
    /// Health records, by event.
    pub(crate) health: BTreeMap<String, u64>,
    pub(crate) leaders: Vec<Leader>,
    /// Records that are of no source, or have no id.
    pub(crate) strange: u64,
    /// Lines in which the password stood.
    pub(crate) leaked: u64,
}

/// Shared by the receivers and the verdict.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books {
    arrivals: Arc<Mutex<Arrivals>>,
    /// What must not be found anywhere.
    secret: Option<String>,
}

impl Books {
    pub(crate) fn new(secret: Option<&str>) -> Self {
        Self { secret: secret.map(str::to_owned), ..Self::default() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Arrivals> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A receiver for what one node sends; gives its port. It lives as long as its runtime.
    pub(crate) async fn receive(&self, node: usize) -> io::Result<u16> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let books = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let books = books.clone();
                tokio::spawn(async move {
                    let mut lines = BufReader::new(stream).lines();
                    while let Ok(Some(line)) = lines.next_line().await {
                        books.note(node, &line);
                    }
                });
            }
        });
        Ok(port)
    }

    /// A line. One that was cut off by a crash is none.
    fn note(&self, node: usize, line: &str) {
        let Ok(record) = serde_json::from_str::<Value>(line) else { return };
        let mut arrivals = self.lock();
        arrivals.leaked += u64::from(self.secret.as_ref().is_some_and(|it| line.contains(it)));
        let health = &record["lookback"];
        if let Some(event) = health["event"].as_str() {
            *arrivals.health.entry(event.to_owned()).or_default() += 1;
            if event == "leader" {
                let source =
                    health["source"].as_str().and_then(sources::named).unwrap_or(usize::MAX);
                let at = Duration::from_secs_f64(record["date"].as_f64().unwrap_or_default());
                let epoch = health["epoch"].as_u64().unwrap_or_default();
                arrivals.leaders.push(Leader { at, source, node, epoch });
            }
        } else if let Some(key) = key(&record) {
            arrivals.records.entry(key).or_default().push((now(), node));
        } else {
            arrivals.strange += 1;
        }
    }
}

fn key(record: &Value) -> Option<Key> {
    let source = sources::named(record["_lookback"]["source"].as_str()?)?;
    let id = ID_FIELDS.iter().find_map(|name| record[*name].as_str())?;
    Some((source, id.to_owned()))
}

/// The filter that keeps the journal of a Fluent Bit: filters see a record once, when the host takes it, and not again
/// when a chunk is sent again or found in a file after a restart.
pub(crate) fn journal_filter(journal: &Path) -> String {
    let fields: Vec<String> = ID_FIELDS.iter().map(|name| format!("record[\"{name}\"]")).collect();
    format!(
        "local journal = assert(io.open([[{}]], \"a\"))
journal:setvbuf(\"no\")
function note(tag, time, record)
  local id = {}
  local from = record[\"_lookback\"]
  if id and from then journal:write(os.time() .. \" \" .. from[\"source\"] .. \" \" .. id .. \"\\n\") end
  return 0, 0, 0
end
",
        journal.display(),
        fields.join(" or ")
    )
}

/// Adds what stands in a node's journal.
pub(crate) fn read_journal(journal: &Path, node: usize, times: &mut Times) -> Result<(), String> {
    // A host that never came up has written none.
    if !journal.exists() {
        return Ok(());
    }
    let text = std::fs::read_to_string(journal);
    let text = text.map_err(|error| format!("{}: {error}", journal.display()))?;
    for line in text.lines() {
        let mut words = line.splitn(3, ' ');
        let entry = (|| {
            let at = Duration::from_secs(words.next()?.parse().ok()?);
            let source = sources::named(words.next()?)?;
            Some((at, (source, words.next()?.to_owned())))
        })();
        let (at, key) =
            entry.ok_or_else(|| format!("the journal has a line that is none: {line}"))?;
        times.entry(key).or_default().push((at, node));
    }
    Ok(())
}
