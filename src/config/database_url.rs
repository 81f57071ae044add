//! `postgresql://user:password@host:port,host:port/name?parameter=value` becomes a [`Database`].
//!
//! A refusal quotes nothing of the URL but names of parameters: in one that is written wrongly, the password may
//! stand anywhere.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::time::Duration;

use super::database::{Database, Host, Tls};
use super::{ConfigError, Secret, units};

/// How a URL of ours begins.
const SCHEMES: [&str; 2] = ["postgresql://", "postgres://"];

/// PostgreSQL's own.
const PORT: u16 = 5432;

/// Waiting for one server that does not answer, while the next may, ends between these by default.
const CONNECT_TIMEOUT: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(5)];

/// What may stand behind the question mark. Each is libpq's of that name but `password_file`, which is ours.
const PARAMETERS: &[&str] = &[
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "password_file",
    "passfile",
    "connect_timeout",
    "options",
    "host",
    "port",
    "user",
    "dbname",
    "target_session_attrs",
];

/// Whether a `db` is meant to be a URL, or looks as if it held a password: then it is never shown, right or wrong.
pub(super) fn is_meant(db: &str) -> bool {
    let db = db.trim().to_ascii_lowercase();
    let schemes = ["postgresql:", "postgres:"];
    db.contains("://") || db.contains("password=") || schemes.iter().any(|it| db.starts_with(it))
}

/// Reads a URL. Unless it sets `connect_timeout`, trying all of its hosts in turn takes `within` at most, unless there are very many.
pub(super) fn parse(url: &str, within: Duration) -> Result<Database, ConfigError> {
    let url = url.trim();
    let rest = SCHEMES.iter().find_map(|scheme| url.strip_prefix(scheme)).ok_or_else(|| {
        refusal(
            "is neither a file's path nor a PostgreSQL URL",
            "write postgresql://user@host:5432/name, or the path of a file",
        )
    })?;
    if rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(refusal("holds a space or a control character", "write a space as %20"));
    }
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, name) = place.split_once('/').unwrap_or((place, ""));
    if authority.matches('@').count() != rest.matches('@').count() || rest.matches('@').count() > 1
    {
        return Err(refusal(
            "has an @ where none can be",
            "in user, password and parameters, write @ as %40, / as %2F, ? as %3F, : as %3A, % as %25",
        ));
    }
    let (login, hosts) = authority.split_once('@').unwrap_or(("", authority));
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let mut given = Given::default();
    given.add("user", user)?;
    given.add("dbname", name)?;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        given.add_parameter(pair)?;
    }
    let password = Some(decoded(password, "the password")?).filter(|it| !it.is_empty());
    given.database(hosts, password.map(Secret::new), within)
}

/// What a URL says, by libpq's names, percent-decoded; a blank says nothing.
#[derive(Default)]
struct Given(BTreeMap<&'static str, String>);

impl Given {
    fn add(&mut self, name: &'static str, encoded: &str) -> Result<(), ConfigError> {
        let value = decoded(encoded, name)?;
        if value.contains(char::is_control) {
            let problem = format!("has a control character in {name}");
            return Err(refusal(problem, "remove it"));
        }
        if !value.is_empty() && self.0.insert(name, value).is_some() {
            return Err(refusal(format!("sets {name} twice"), "set it once"));
        }
        Ok(())
    }

    fn add_parameter(&mut self, pair: &str) -> Result<(), ConfigError> {
        let all = || PARAMETERS.join(", ");
        let Some((name, value)) = pair.split_once('=') else {
            let problem = "has a parameter without a value";
            return Err(refusal(problem, format!("write name=value; there are {}", all())));
        };
        match PARAMETERS.iter().find(|known| **known == name) {
            Some(known) => self.add(known, value),
            None if name == "password" => Err(refusal(
                "has a parameter 'password'",
                "write it before the @, user:password@host, or better into a file: password_file=/path",
            )),
            None => {
                // What looks like a name is one; anything else may be half of a password with a ? in it.
                let is_name = name.bytes().all(|it| it.is_ascii_lowercase() || it == b'_');
                let name = if is_name { format!(" '{name}'") } else { String::new() };
                let mend = format!("there are {}", all());
                Err(refusal(format!("has an unknown parameter{name}"), mend))
            }
        }
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    fn path(&mut self, name: &str) -> Option<PathBuf> {
        self.take(name).map(PathBuf::from)
    }

    fn database(
        mut self,
        authority: &str,
        password: Option<Secret>,
        within: Duration,
    ) -> Result<Database, ConfigError> {
        let hosts = self.hosts(authority)?;
        let user = self.take("user").ok_or_else(|| {
            refusal("names no user", "write one before the host: postgresql://user@host/name")
        })?;
        let (password_file, passfile) = (self.path("password_file"), self.path("passfile"));
        let ways = [password.is_some(), password_file.is_some(), passfile.is_some()];
        if ways.into_iter().filter(|it| *it).count() > 1 {
            let problem = "says in more than one way where the password is";
            let mend = "keep one of user:password@, password_file and passfile";
            return Err(refusal(problem, mend));
        }
        let ca_file = self.path("sslrootcert").filter(|path| path.as_os_str() != "system");
        let client = match (self.path("sslcert"), self.path("sslkey")) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => {
                let problem = "sets one of sslcert and sslkey";
                return Err(refusal(problem, "set both, or neither"));
            }
        };
        if self.take("target_session_attrs").is_some_and(|wanted| wanted != "read-write") {
            let problem = "wants a target_session_attrs that cannot work: the state is written";
            return Err(refusal(problem, "remove it: read-write is what is always asked for"));
        }
        Ok(Database {
            tls: self.tls(&hosts, ca_file.is_some())?,
            connect_timeout: self.connect_timeout(hosts.len(), within)?,
            hosts,
            name: self.take("dbname").unwrap_or_else(|| user.clone()),
            user,
            password,
            password_file,
            passfile,
            ca_file,
            client,
            options: self.take("options"),
        })
    }

    /// They stand in the authority, or in the parameters `host` and `port`.
    fn hosts(&mut self, authority: &str) -> Result<Vec<(Host, u16)>, ConfigError> {
        let (hosts, ports) = (self.take("host"), self.take("port"));
        if !authority.is_empty() {
            if hosts.is_some() || ports.is_some() {
                let problem = "names hosts in two places";
                let mend = "write them either before the name, host:port, or as parameters";
                return Err(refusal(problem, mend));
            }
            return authority
                .split(',')
                .enumerate()
                .map(|(nth, it)| in_authority(nth, it))
                .collect();
        }
        let Some(hosts) = hosts else {
            let mend = "write one, postgresql://user@host/name, or a socket's directory, ?host=/var/run/postgresql";
            return Err(refusal("names no host", mend));
        };
        let hosts: Vec<&str> = hosts.split(',').collect();
        let ports = ports.unwrap_or_default();
        let ports: Vec<&str> = ports.split(',').collect();
        if ports.len() != 1 && ports.len() != hosts.len() {
            let problem = format!("has {} hosts and {} ports", hosts.len(), ports.len());
            return Err(refusal(problem, "write one port for all, or one for each"));
        }
        let ports = ports.iter().cycle();
        let pairs = hosts.iter().zip(ports).enumerate();
        pairs
            .map(|(nth, (host, port))| Ok((self::host(nth, host)?, self::port(nth, port)?)))
            .collect()
    }

    fn tls(&mut self, hosts: &[(Host, u16)], has_ca: bool) -> Result<Tls, ConfigError> {
        let is_local = hosts.iter().all(|(host, _)| host.is_local());
        let Some(mode) = self.take("sslmode") else {
            return Ok(if is_local { Tls::Prefer } else { Tls::VerifyFull });
        };
        let safe = "verify-full (the default), verify-ca or require";
        match Tls::MODES.iter().find(|(name, _)| *name == mode) {
            None => {
                let mend = match is_local {
                    true => format!("set {safe}, prefer or disable"),
                    false => format!("set {safe}"),
                };
                Err(refusal("has an unknown sslmode", mend))
            }
            Some((name, Tls::Disable | Tls::Prefer)) if !is_local => {
                let problem = format!(
                    "has sslmode {name}: password and state would cross the network in clear text"
                );
                Err(refusal(problem, format!("set {safe}")))
            }
            // As libpq has it: who names authorities wants the certificate looked at.
            Some((_, Tls::Require)) if has_ca => Ok(Tls::VerifyCa),
            Some((_, mode)) => Ok(*mode),
        }
    }

    fn connect_timeout(&mut self, hosts: usize, within: Duration) -> Result<Duration, ConfigError> {
        let second = Duration::from_secs(1);
        let Some(text) = self.take("connect_timeout") else {
            let each = within / u32::try_from(hosts).unwrap_or(u32::MAX);
            return Ok(each.clamp(CONNECT_TIMEOUT[0], CONNECT_TIMEOUT[1]));
        };
        let found = units::duration(&text).ok().filter(|found| *found >= second);
        found.ok_or_else(|| {
            refusal("has a connect_timeout that is none", "write seconds, at least 1")
        })
    }
}

/// `host`, `host:port`, `[address]:port`, or a socket's directory with its slashes encoded.
fn in_authority(nth: usize, text: &str) -> Result<(Host, u16), ConfigError> {
    let (name, after) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, after)) if address.parse::<Ipv6Addr>().is_ok() => (address, after),
        Some(_) => return Err(bad_host(nth)),
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = match after.strip_prefix(':') {
        None if !after.is_empty() => return Err(bad_host(nth)),
        port => port.unwrap_or_default(),
    };
    Ok((host(nth, &decoded(name, "host")?)?, self::port(nth, port)?))
}

fn host(nth: usize, name: &str) -> Result<Host, ConfigError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.starts_with('/') && !name.contains(char::is_control) {
        return Ok(Host::Socket(PathBuf::from(name)));
    }
    let is_name = !name.is_empty() && name.chars().all(is_plain);
    if !is_name && name.parse::<Ipv6Addr>().is_err() {
        return Err(bad_host(nth));
    }
    Ok(Host::Name(name.to_owned()))
}

fn port(nth: usize, text: &str) -> Result<u16, ConfigError> {
    if text.is_empty() {
        return Ok(PORT);
    }
    text.parse().ok().filter(|port| *port > 0).ok_or_else(|| {
        let problem = format!("has no port where host {} has one", nth + 1);
        let mend = "write a number from 1 to 65535 behind the colon, and a : in a password as %3A";
        refusal(problem, mend)
    })
}

fn bad_host(nth: usize) -> ConfigError {
    let mend = "write its name, its IPv4 address, its IPv6 address in [], or a socket's directory as ?host=/path";
    refusal(format!("has no host where host {} should be", nth + 1), mend)
}

/// `%41` is `A`. Unlike in a form, `+` is itself.
fn decoded(text: &str, what: &str) -> Result<String, ConfigError> {
    let bad = || refusal(format!("has a % in {what} that encodes nothing"), "write % as %25");
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend(parts.next().unwrap_or_default().bytes());
    for part in parts {
        let code = part.get(..2).filter(|code| code.bytes().all(|it| it.is_ascii_hexdigit()));
        let code = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        // The protocol ends a text at a zero.
        bytes.push(code.filter(|code| *code != 0).ok_or_else(bad)?);
        bytes.extend(part[2..].bytes());
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

fn refusal(problem: impl Into<String>, mend: impl Into<String>) -> ConfigError {
    ConfigError::new("db", problem, mend)
}

#[cfg(test)]
mod tests;
