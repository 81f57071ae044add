//! Where the state is: in a file of this machine, or in a database that several machines share.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{ConfigError, Raw, Secret, database_url, property, units};

/// A shorter lease would run out between two renewals on a machine that is busy for a moment.
const LEASE_MIN: Duration = Duration::from_secs(2);

/// As long as a name in the DNS may be.
const NODE_BYTES_MAX: usize = 253;

/// What a look at the database may take, by the lease: a third one may still renew in time, if two fail.
pub fn look_limit(lease: Duration) -> Duration {
    (lease / 4).max(Duration::from_secs(1))
}

/// How long trying all hosts of a database may take that nobody holds a lease in.
const LOOK: Duration = Duration::from_secs(10);

/// Where the state is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Db {
    /// A file, which the instances of one machine may share.
    File(PathBuf),
    /// A database, which the nodes of a fleet share.
    Shared(Box<Fleet>),
}

/// This node's place in a fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fleet {
    /// The database.
    pub database: Database,
    /// This node's name.
    pub node: String,
    /// How long a source stays with a node that fell silent.
    pub lease: Duration,
}

/// A PostgreSQL database, and how to get in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// Where to try, in this order: a host's name or address, or the directory of a Unix socket; and the port.
    pub hosts: Vec<(Host, u16)>,
    /// Who asks.
    pub user: String,
    /// The database's name.
    pub name: String,
    /// The password, if it stands in the config.
    pub password: Option<Secret>,
    /// A file that holds nothing but the password, read again for every connection.
    pub password_file: Option<PathBuf>,
    /// A file of passwords in libpq's form, likewise.
    pub passfile: Option<PathBuf>,
    /// Whether the connection is encrypted, and who may be at its other end.
    pub tls: Tls,
    /// Certificates to trust instead of the system's (PEM).
    pub ca_file: Option<PathBuf>,
    /// A certificate to show, and its key (PEM).
    pub client: Option<(PathBuf, PathBuf)>,
    /// Settings of the session, as `options` gives them.
    pub options: Option<String>,
    /// Of one host, whatever addresses it has.
    pub connect_timeout: Duration,
}

/// One place to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name or an address.
    Name(String),
    /// A directory with a Unix socket.
    Socket(PathBuf),
}

/// libpq's `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// In clear text.
    Disable,
    /// Encrypted if the server can; nobody's certificate is looked at.
    Prefer,
    /// Encrypted; nobody's certificate is looked at. With authorities named it is as `VerifyCa`, as libpq has it.
    Require,
    /// Encrypted, with a certificate that a trusted authority has signed, for whatever host.
    VerifyCa,
    /// Encrypted, with a certificate for this host that a trusted authority has signed.
    VerifyFull,
}

impl Db {
    /// Where the properties say that the state is.
    pub(super) fn of(raw: &Raw) -> Result<Self, ConfigError> {
        let db = raw.get_or_default("db").unwrap_or_default();
        if !database_url::is_meant(db) {
            // Whoever sets one of them believes that several machines share the sources.
            if let Some(name) = ["node", "lease"].into_iter().find(|name| raw.get(name).is_some()) {
                let problem = "is set, but db is a file, which no other machine shares";
                let mend =
                    "remove it, or set db to the URL of a database: postgresql://user@host/name";
                return Err(ConfigError::new(name, problem, mend));
            }
            return Ok(Self::File(PathBuf::from(db)));
        }
        let lease = property::parsed(raw, "lease", units::duration)?;
        if lease < LEASE_MIN {
            let problem = format!("{} is too short to be renewed in time", units::show(lease));
            let mend = format!("set at least {}", units::show(LEASE_MIN));
            return Err(ConfigError::new("lease", problem, mend));
        }
        let limit = look_limit(lease);
        let database = database_url::parse(db, limit)?;
        let tries =
            database.connect_timeout * u32::try_from(database.hosts.len()).unwrap_or(u32::MAX);
        if tries > limit {
            let problem = format!(
                "{} leaves each look at db {} s: too little to try each of its hosts for its connect_timeout, {} s in all",
                units::show(lease),
                limit.as_secs_f32(),
                tries.as_secs_f32()
            );
            return Err(ConfigError::new(
                "lease",
                problem,
                "raise lease, or lower connect_timeout",
            ));
        }
        let node = node(raw)?;
        Ok(Self::Shared(Box::new(Fleet { database, node, lease })))
    }

    /// Whether a `db` names a database, right or wrong. Then it may hold a password, and is not to be shown.
    pub fn is_shared(db: &str) -> bool {
        database_url::is_meant(db)
    }

    /// Whether both are one state, whatever else they say.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Shared(one), Self::Shared(other)) => one.database == other.database,
            _ => self == other,
        }
    }

    /// What is wrong with it, though the user wants it so.
    pub fn warning(&self) -> Option<String> {
        let Self::Shared(fleet) = self else { return None };
        let open = match fleet.database.tls {
            Tls::Require => "any server is believed to be the database",
            Tls::VerifyCa => {
                "any server with a certificate of that authority is believed to be the database"
            }
            Tls::Disable | Tls::Prefer | Tls::VerifyFull => return None,
        };
        Some(format!(
            "property 'db': sslmode is {}: {open}, and gets the password; set verify-full, with sslrootcert if the authority is your own",
            fleet.database.tls
        ))
    }

    /// The file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Shared(_) => None,
        }
    }
}

impl fmt::Display for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Shared(fleet) => fleet.database.fmt(f),
        }
    }
}

/// This node's name: it stands in logs and health records, and decides about shares.
fn node(raw: &Raw) -> Result<String, ConfigError> {
    let mend = "set a name that no other node of the fleet has";
    let node = raw.get("node").ok_or_else(|| {
        ConfigError::new("node", "is missing, and the machine does not tell its name", mend)
    })?;
    if node.len() > NODE_BYTES_MAX || node.contains(char::is_control) {
        let problem =
            format!("is longer than {NODE_BYTES_MAX} bytes, or holds a control character");
        return Err(ConfigError::new("node", problem, mend));
    }
    Ok(node.to_owned())
}

impl Database {
    /// Reads a URL, as `db` holds it.
    ///
    /// # Errors
    /// What is wrong with it; without the password, wherever that may stand.
    pub fn parse(url: &str) -> Result<Self, ConfigError> {
        database_url::parse(url, LOOK)
    }
}

impl Host {
    /// Whether what is sent there stays on this machine.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::Socket(_) => true,
            Self::Name(name) => {
                let is_loopback = |ip: IpAddr| ip.is_loopback();
                name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(is_loopback)
            }
        }
    }
}

impl Tls {
    /// All of them, as they are written.
    pub(super) const MODES: [(&'static str, Self); 5] = [
        ("disable", Self::Disable),
        ("prefer", Self::Prefer),
        ("require", Self::Require),
        ("verify-ca", Self::VerifyCa),
        ("verify-full", Self::VerifyFull),
    ];
}

impl fmt::Display for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::MODES.iter().find(|(_, mode)| mode == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// Without a password.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgresql://{}@", self.user)?;
        for (nth, (host, port)) in self.hosts.iter().enumerate() {
            let comma = if nth == 0 { "" } else { "," };
            match host {
                Host::Name(name) if name.contains(':') => write!(f, "{comma}[{name}]:{port}")?,
                Host::Name(name) => write!(f, "{comma}{name}:{port}")?,
                Host::Socket(path) => write!(f, "{comma}{}:{port}", path.display())?,
            }
        }
        write!(f, "/{}", self.name)
    }
}
