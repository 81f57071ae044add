//! One link a process to each database: a thread that does the waiting, and few connections for all sources.
//!
//! The calling thread blocks, and can be interrupted. A connection is used again only after it has done what was asked:
//! one that failed, or was given up on, may hold an answer to something else.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

use super::connect::{Session, connect};
use super::error::DatabaseError;
use super::schema;
use super::tried::Tried;
use crate::clock::Clock;
use crate::config::database::Database;
use crate::state::StateError;

/// Connections to one database that commits and look-ups may have at once; leases have one more.
const SESSIONS_MAX: usize = 3;

/// A connection that lay idle for longer may have been dropped by something between here and there.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// How often a waiting thread looks whether the host stops, and what it still waits for then.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const LAST_WAIT: Duration = Duration::from_millis(800);

/// The links of this process.
static LINKS: Mutex<Vec<(Database, Duration, Weak<Link>)>> = Mutex::new(Vec::new());

/// This process's way to a database. Dropping the last handle joins its thread.
#[derive(Debug)]
pub struct Link {
    runtime: Runtime,
    pool: Arc<Pool>,
}

impl Link {
    /// The process's link to a database, begun if there is none. Goes nowhere yet. A transaction that a frozen process leaves open is broken
    /// off after half a `lease`.
    ///
    /// # Errors
    /// If the system has no thread or no event loop left.
    pub fn to(database: &Database, lease: Duration) -> Result<Arc<Self>, StateError> {
        let mut links = LINKS.lock().unwrap_or_else(PoisonError::into_inner);
        let same = links.iter().find(|(to, span, _)| to == database && *span == lease);
        if let Some(link) = same.and_then(|(.., link)| link.upgrade()) {
            return Ok(link);
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("lookback-db")
            .enable_all()
            .build()?;
        let link = Arc::new(Self { runtime, pool: Arc::new(Pool::new(database.clone(), lease)) });
        links.push((database.clone(), lease, Arc::downgrade(&link)));
        Ok(link)
    }

    /// Does some work over a connection; blocks this thread until it is done, for `limit` at most. Once `stop` says so, it is
    /// given up within a second; a call that begins after that has its whole time.
    ///
    /// # Errors
    /// What the work returns; or there is no connection, or no time left: then the work may have been done or not.
    pub fn run<T>(
        &self,
        limit: Duration,
        stop: &dyn Fn() -> bool,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        let stops_later = !stop();
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                done = self.pool.run(limit, work) => done,
                () = stopped(stop), if stops_later => Err(StateError::Stopped),
            }
        })
    }

    /// The connections, for tasks. A task must hold no handle of the link itself: the last one cannot go on the link's own thread.
    pub fn pool(&self) -> Arc<Pool> {
        Arc::clone(&self.pool)
    }

    /// Runs a task on the link's thread, until it ends or the link does.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.runtime.spawn(task)
    }
}

impl Drop for Link {
    /// What leads to the database, a password perhaps, is not kept for longer than the way there.
    fn drop(&mut self) {
        let mut links = LINKS.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|(.., link)| link.strong_count() > 0);
    }
}

async fn stopped(stop: &dyn Fn() -> bool) {
    while !stop() {
        sleep(LOOK_EVERY).await;
    }
    sleep(LAST_WAIT).await;
}

/// Connections to one database, opened when they are needed.
#[derive(Debug)]
pub struct Pool {
    database: Database,
    lease: Duration,
    tried: Tried,
    /// Those that nobody uses, and since when, on the monotonic clock.
    idle: Mutex<Vec<(Session, Duration)>>,
    places: Semaphore,
    /// For leases: a queue of commits must not cost one.
    reserved: Semaphore,
}

impl Pool {
    fn new(database: Database, lease: Duration) -> Self {
        let (places, reserved) = (Semaphore::new(SESSIONS_MAX), Semaphore::new(1));
        Self { database, lease, tried: Tried::default(), idle: Mutex::default(), places, reserved }
    }

    /// Does some work over a connection, within `limit`. Dropping the future gives the connection up.
    ///
    /// # Errors
    /// As [`Link::run`].
    pub async fn run<T>(
        &self,
        limit: Duration,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        self.within(limit, self.work(&self.places, work)).await
    }

    /// The same for what must not wait behind commits: leases.
    ///
    /// # Errors
    /// As [`Link::run`].
    pub async fn run_first<T>(
        &self,
        limit: Duration,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        self.within(limit, self.work(&self.reserved, work)).await
    }

    async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, StateError>>,
    ) -> Result<T, StateError> {
        match timeout(limit, work).await {
            Ok(done) => done,
            Err(_) => {
                self.idle().clear();
                Err(StateError::TimedOut(limit))
            }
        }
    }

    async fn work<T>(
        &self,
        places: &Semaphore,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        // It is never closed.
        let _place = places.acquire().await;
        let session = self.take_idle();
        let mut session = match session {
            Some(session) => session,
            None => {
                let mut session = connect(&self.database, Some(self.lease), &self.tried).await?;
                let made = schema::ensure(&mut session.client).await;
                made.map_err(|error| session.unquoted(error))?;
                session
            }
        };
        match work(&mut session.client).await {
            Ok(done) => {
                let now = Clock::start().now().mono;
                self.idle().push((session, now));
                Ok(done)
            }
            Err(error) => {
                if matches!(&error, StateError::Database(error) if error.is_of_connection() || error.is_loss())
                {
                    self.idle().clear();
                }
                Err(session.unquoted(error))
            }
        }
    }

    /// The one that was used last.
    fn take_idle(&self) -> Option<Session> {
        let now = Clock::start().now().mono;
        let mut idle = self.idle();
        idle.retain(|(session, since)| {
            !session.client.is_closed() && now.saturating_sub(*since) <= IDLE_MAX
        });
        idle.pop().map(|(session, _)| session)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<(Session, Duration)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does some work over a session of its own, which it opens, for programs that look from outside: it makes no tables. Blocks this thread.
///
/// # Errors
/// As [`Link::run`].
pub(super) fn once<T>(
    opens: impl Future<Output = Result<Session, StateError>>,
    limit: Duration,
    work: impl AsyncFnOnce(&mut Client) -> Result<T, StateError>,
) -> Result<T, StateError> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let work = async {
            let mut session = opens.await?;
            let done = work(&mut session.client).await;
            done.map_err(|error| session.unquoted(error))
        };
        timeout(limit, work).await.unwrap_or(Err(StateError::TimedOut(limit)))
    })
}

impl From<DatabaseError> for StateError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_kept_for_no_longer_than_its_link() {
        let url = "postgresql://me:hunter2@127.0.0.1/only_here?sslmode=disable";
        let database = Database::parse(url).unwrap();
        let kept = || LINKS.lock().unwrap().iter().filter(|(to, ..)| *to == database).count();
        let [one, two] = [(); 2].map(|()| Link::to(&database, IDLE_MAX).unwrap());
        drop(one);
        assert_eq!(kept(), 1);
        drop(two);
        assert_eq!(kept(), 0);
    }
}
