//! A database of a test's own, on a server that all tests of the process share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use in_lookback::clock::Clock;
use in_lookback::config::Secret;
use in_lookback::config::database::{Database, Host, Tls};
use in_lookback::model::{Bucket, Content, EventKey, IdHash, Known, Timestamp, Version};
use in_lookback::poll::Progress;
use in_lookback::poll::ledger::Ledger;
use in_lookback::poll::progress::{Beginning, Commit};
use in_lookback::state::postgres::{Held, Link, PostgresState, open, source_id};
use in_lookback::state::{Opened, State, StateError};

use crate::server::{PASSWORD, Server, USER};

pub(crate) const LONG: Duration = Duration::from_secs(60);

/// The server, as long as a test needs it.
static SERVER: Mutex<Weak<Server>> = Mutex::new(Weak::new());

/// A database that nobody else uses.
pub(crate) struct Bench {
    pub(crate) server: Arc<Server>,
    pub(crate) name: &'static str,
}

impl Bench {
    /// An empty one.
    pub(crate) fn new(name: &'static str) -> Self {
        let mut shared = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
        let server = shared.upgrade().unwrap_or_else(|| Arc::new(Server::start()));
        *shared = Arc::downgrade(&server);
        drop(shared);
        Self::on(server, name)
    }

    pub(crate) fn on(server: Arc<Server>, name: &'static str) -> Self {
        server.database(name);
        Self { server, name }
    }

    pub(crate) fn database(&self) -> Database {
        self.through(self.server.port())
    }

    /// The same over another port of loopback.
    pub(crate) fn through(&self, port: u16) -> Database {
        Database {
            hosts: vec![(Host::Name("127.0.0.1".to_owned()), port)],
            user: USER.to_owned(),
            name: self.name.to_owned(),
            password: Some(Secret::new(PASSWORD.to_owned())),
            password_file: None,
            passfile: None,
            tls: Tls::Disable,
            ca_file: None,
            client: None,
            options: None,
            connect_timeout: Duration::from_secs(10),
        }
    }

    pub(crate) fn link(&self) -> Arc<Link> {
        link(&self.database())
    }

    /// What is stored, as `psql` shows it.
    pub(crate) fn psql(&self, sql: &str) -> String {
        self.server.psql_in(self.name, sql).unwrap()
    }

    /// The tables of ids, but for that of other days.
    pub(crate) fn tables(&self) -> usize {
        let count = "SELECT count(*) FROM pg_tables WHERE tablename ~ '^lookback_ids_2'";
        self.psql(count).parse().unwrap()
    }

    /// Everything that is stored, but for who holds what.
    pub(crate) fn everything(&self) -> String {
        let tables = self.psql("SELECT tablename FROM pg_tables WHERE tablename LIKE 'lookback_%'");
        let mut all = String::new();
        for table in tables.lines() {
            let rows = match table {
                "lookback_sources" => "SELECT id, name, progress, commits FROM lookback_sources",
                table => &format!("SELECT * FROM {table}"),
            };
            all.push_str(&self.psql(&format!("{rows} ORDER BY 1, 2")));
            all.push('\n');
        }
        all
    }
}

pub(crate) fn link(database: &Database) -> Arc<Link> {
    Link::to(database, Duration::from_secs(30)).unwrap()
}

/// Takes a source over from whoever has it.
pub(crate) fn take(link: &Link, name: &str, holder: i64) -> Held {
    let source = source_id(link, name, LONG, &|| false).unwrap();
    let take = format!(
        "UPDATE lookback_sources SET epoch = epoch + 1, holder = {holder}, node = 'n{holder}',
            lease_until = now() + interval '1 hour' WHERE id = {source} RETURNING epoch"
    );
    let epoch = run(link, async |client| Ok(client.query_one(&take, &[]).await?.get(0))).unwrap();
    Held { source, epoch, holder }
}

/// Does some work over a link.
pub(crate) fn run<T>(
    link: &Link,
    work: impl AsyncFnOnce(&mut tokio_postgres::Client) -> Result<T, StateError>,
) -> Result<T, StateError> {
    link.run(LONG, &|| false, work)
}

pub(crate) fn try_open(
    link: &Arc<Link>,
    held: Held,
    from: Bucket,
) -> Result<Opened<PostgresState>, StateError> {
    open(link, held, from, begin, false, Arc::new(|| false))
}

/// Opens what is held, with all of its ids.
pub(crate) fn opened(link: &Arc<Link>, held: Held) -> Opened<PostgresState> {
    try_open(link, held, Bucket(i64::MIN)).unwrap()
}

pub(crate) fn begin(beginning: &Beginning) -> Progress {
    match beginning {
        Beginning::First => progress(),
        Beginning::Lost(_) => Progress::new(Timestamp::from_secs(1)),
    }
}

pub(crate) fn progress() -> Progress {
    Progress::new(Timestamp::from_secs(5))
}

/// A bucket so many days after today.
pub(crate) fn day(days: i64) -> Bucket {
    let now = Clock::start().now().wall.as_secs();
    Bucket::of(Timestamp::from_secs(now - now.rem_euclid(86_400) + days * 86_400))
}

pub(crate) fn key(bucket: Bucket, id: u128) -> Version {
    EventKey { bucket, id: IdHash(id) }.into()
}

/// A version of an event.
pub(crate) fn saying(version: Version, content: u64) -> Version {
    Version { content: std::num::NonZeroU64::new(content).map(Content), ..version }
}

/// A commit that reads up to the second `until`, and counts its ids in the ledger.
pub(crate) fn commit(keys: Vec<Version>, until: i64) -> Commit {
    let mut ledger = Ledger::default();
    let now = Clock::start().now().wall;
    keys.iter().for_each(|key| ledger.record(key.bucket, false, now));
    let progress = Progress { live_until: Some(Timestamp::from_secs(until)), ..progress() };
    let expire_before = Bucket(i64::MIN);
    Commit { keys, adopted: Vec::new(), progress, expire_before, ledger }
}

/// What a state says of an event.
pub(crate) fn said(state: &mut dyn State, version: Version) -> Known {
    let mut keys = HashMap::from([(version.key(), Known::No)]);
    state.known(&mut keys).unwrap();
    keys[&version.key()]
}
