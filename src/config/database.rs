//! Where the state is: in a file of this machine, or in a database that several machines share.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Secret;

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
    /// Of one connection.
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
    /// Encrypted; nobody's certificate is looked at.
    Require,
    /// Encrypted, with a certificate that a trusted authority has signed, for whatever host.
    VerifyCa,
    /// Encrypted, with a certificate for this host that a trusted authority has signed.
    VerifyFull,
}

impl Db {
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
