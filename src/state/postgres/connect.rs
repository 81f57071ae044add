//! From a configured database to a session that may write.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use super::error::DatabaseError;
use super::tried::Tried;
use super::{password, tls};
use crate::config::Secret;
use crate::config::database::{Database, Host, Tls};
use crate::state::StateError;

/// One statement may take so long: longer than any of ours, shorter than anybody would wait.
const STATEMENT_MAX: Duration = Duration::from_secs(60);

/// And may wait so long for whoever has locked what it needs.
const LOCKED_MAX: Duration = Duration::from_secs(10);

/// An open transaction whose client says nothing is broken off after between so much and so much.
const SILENT: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(15)];

/// An open connection. Dropping it closes it, whatever it is doing.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    task: AbortHandle,
    /// What the server must not be quoted with.
    password: Option<Secret>,
}

impl Session {
    /// An error of this session, without the password.
    pub(super) fn unquoted(&self, error: StateError) -> StateError {
        match error {
            StateError::Database(error) => error.without(self.password.as_ref()).into(),
            error => error,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Connects to the first host that takes writes, from where `tried` says on. With a `lease`, no transaction that this process leaves open lasts much longer than half of it.
pub(super) async fn connect(
    database: &Database,
    lease: Option<Duration>,
    tried: &Tried,
) -> Result<Session, StateError> {
    first(database, lease, tried, &mut None).await
}

/// The same for someone who only looks: if no host takes writes, the first that does not will do.
pub(super) async fn connect_to_look(database: &Database) -> Result<Session, StateError> {
    let mut reads = None;
    let session = first(database, None, &Tried::default(), &mut reads).await;
    session.or_else(|error| reads.ok_or(error))
}

/// The first session that may write, and the first one of those that may not.
async fn first(
    database: &Database,
    lease: Option<Duration>,
    tried: &Tried,
    reads: &mut Option<Session>,
) -> Result<Session, StateError> {
    let mut failed: Option<DatabaseError> = None;
    for nth in tried.hosts(database.hosts.len()) {
        let (host, port) = &database.hosts[nth];
        tried.host(nth, false);
        match to_host(database, nth, lease, tried, reads).await {
            Ok(session) => {
                tried.host(nth, true);
                return Ok(session);
            }
            Err(error) => {
                let error = error.at(&shown(host, *port));
                failed = Some(match failed {
                    Some(before) => before.and(error),
                    None => error,
                });
            }
        }
    }
    Err(failed.unwrap_or_else(|| DatabaseError::new("no host is set", "set one")).into())
}

async fn to_host(
    database: &Database,
    nth: usize,
    lease: Option<Duration>,
    tried: &Tried,
    reads: &mut Option<Session>,
) -> Result<Session, DatabaseError> {
    let (host, port) = &database.hosts[nth];
    let password = password::find(database, host, *port)?;
    let config = config(database, password.as_ref());
    let limit = database.connect_timeout;
    let session = |client, task| Session { client, task, password: password.clone() };
    let opened = async {
        match host {
            Host::Socket(dir) => {
                let stream = UnixStream::connect(dir.join(format!(".s.PGSQL.{port}"))).await;
                let (client, task) = start(stream.map_err(unreachable)?, NoTls, &config).await?;
                settle(session(client, task), lease, reads).await
            }
            Host::Name(name) => {
                let addresses = tried.addresses(nth, addresses(name).await?);
                // One that is silent leaves time for the others.
                let each = limit / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
                let mut failed = None;
                for address in addresses {
                    tried.address(nth, address, false);
                    let opened = within(each, async {
                        let place = (address, *port).into();
                        let (client, task) = to_address(database, name, place, &config).await?;
                        settle(session(client, task), lease, reads).await
                    });
                    match opened.await {
                        Ok(session) => {
                            tried.address(nth, address, true);
                            return Ok(session);
                        }
                        Err(error) => failed = Some(error),
                    }
                }
                Err(failed.unwrap_or_else(|| no_address("it has no address")))
            }
        }
    };
    within(limit, opened).await.map_err(|error| match &password {
        None if error.to_string().contains("password missing") => DatabaseError::new(
            "it asks for a password, and none is set",
            "set password_file, passfile, or PGPASSWORD in the environment",
        ),
        password => error.without(password.as_ref()),
    })
}

async fn within<T>(
    limit: Duration,
    opens: impl Future<Output = Result<T, DatabaseError>>,
) -> Result<T, DatabaseError> {
    let late = |_| {
        let problem = format!("no session within {} s", limit.as_secs_f32());
        DatabaseError::new(problem, "see that this machine can reach the database")
    };
    timeout(limit, opens).await.map_err(late).flatten()
}

async fn to_address(
    database: &Database,
    name: &str,
    address: SocketAddr,
    config: &Config,
) -> Result<(Client, AbortHandle), DatabaseError> {
    let stream = TcpStream::connect(address).await.map_err(unreachable)?;
    // A commit is several small messages, each of which is waited for.
    stream.set_nodelay(true).map_err(unreachable)?;
    match tls::connector(database)? {
        None => start(stream, NoTls, config).await,
        Some(mut tls) => {
            let tls = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut tls, name);
            let Ok(tls) = tls;
            start(stream, tls, config).await
        }
    }
}

/// Has a session begun over a stream; what it says later is read by a task.
async fn start<S, T>(
    stream: S,
    tls: T,
    config: &Config,
) -> Result<(Client, AbortHandle), DatabaseError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: TlsConnect<S>,
    T::Stream: Send + 'static,
{
    let (client, connection) = config.connect_raw(stream, tls).await?;
    let task = tokio::spawn(async move {
        // Whoever uses the client is told.
        let _ = connection.await;
    });
    Ok((client, task.abort_handle()))
}

fn config(database: &Database, password: Option<&Secret>) -> Config {
    let mut config = Config::new();
    config.user(&database.user).dbname(&database.name).application_name("lookback");
    if let Some(password) = password {
        config.password(password.expose());
    }
    if let Some(options) = &database.options {
        config.options(options);
    }
    // Of the server's certificate, the TLS library knows more.
    config.ssl_mode(match database.tls {
        Tls::Disable => SslMode::Disable,
        Tls::Prefer => SslMode::Prefer,
        Tls::Require | Tls::VerifyCa | Tls::VerifyFull => SslMode::Require,
    });
    config
}

/// Sets what a session needs, and refuses one that may not write; the first of those is kept.
async fn settle(
    session: Session,
    lease: Option<Duration>,
    reads: &mut Option<Session>,
) -> Result<Session, DatabaseError> {
    let silent = lease.map_or(SILENT[1], |lease| (lease / 2).clamp(SILENT[0], SILENT[1]));
    let settings = format!(
        "SET idle_in_transaction_session_timeout = {}; SET lock_timeout = {};
        SET statement_timeout = {}; SHOW transaction_read_only",
        silent.as_millis(),
        LOCKED_MAX.as_millis(),
        STATEMENT_MAX.as_millis(),
    );
    let answers = session.client.simple_query(&settings).await?;
    let read_only = answers.iter().any(|answer| match answer {
        SimpleQueryMessage::Row(row) => row.get(0) == Some("on"),
        _ => false,
    });
    if read_only {
        reads.get_or_insert(session);
        let mend = "name the host that takes writes as well; if this one does, see that default_transaction_read_only is off for the user";
        return Err(DatabaseError::new("it takes no writes: a replica, most likely", mend));
    }
    Ok(session)
}

/// The addresses of a host. Not by the system's own resolver: that one cannot be interrupted.
async fn addresses(name: &str) -> Result<Vec<IpAddr>, DatabaseError> {
    if let Ok(address) = name.parse() {
        return Ok(vec![address]);
    }
    // Read anew each time: after a failover it may be another.
    let mut builder = TokioResolver::builder_tokio().map_err(no_address)?;
    builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    let found = builder.build().map_err(no_address)?.lookup_ip(name).await.map_err(no_address)?;
    Ok(found.iter().collect())
}

fn no_address(error: impl std::fmt::Display) -> DatabaseError {
    DatabaseError::new(
        format!("its address cannot be found: {error}"),
        "see that the host's name is right, and that this machine's name service knows it",
    )
}

fn unreachable(error: std::io::Error) -> DatabaseError {
    DatabaseError::new(
        error.to_string(),
        "see that the database runs, and that this machine can reach it",
    )
}

fn shown(host: &Host, port: u16) -> String {
    match host {
        Host::Name(name) if name.contains(':') => format!("[{name}]:{port}"),
        Host::Name(name) => format!("{name}:{port}"),
        Host::Socket(dir) => format!("{}/.s.PGSQL.{port}", dir.display()),
    }
}
