//! The database: one of its own, which can be restarted and frozen; or one that runs already.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::process::Command;

use super::server::Server;

pub(crate) struct Database {
    own: Option<Server>,
    url: url::Url,
    frozen: bool,
}

impl Database {
    /// The one at `url`, else one of its own.
    pub(crate) fn start(url: Option<&str>) -> Result<Self, String> {
        let own = url.is_none().then(Server::start);
        let text = own
            .as_ref()
            .map_or_else(|| url.unwrap_or_default().to_owned(), |own| own.url("postgres"));
        let url = text.parse().map_err(|error| format!("--database: {error}"))?;
        Ok(Self { own, url, frozen: false })
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> Result<SocketAddr, String> {
        let host = self.url.host_str().unwrap_or("127.0.0.1");
        let mut found = (host, self.url.port().unwrap_or(5432))
            .to_socket_addrs()
            .map_err(|error| error.to_string())?;
        found.next().ok_or_else(|| format!("no address of {host}"))
    }

    /// What `db` is for who asks a relay at `port`.
    pub(crate) fn url_by(&self, port: u16) -> String {
        let mut url = self.url.clone();
        // Both can only fail for a URL that has no host.
        let _ = url.set_host(Some("127.0.0.1"));
        let _ = url.set_port(Some(port));
        url.to_string()
    }

    /// What must not be found anywhere.
    pub(crate) fn password(&self) -> Option<&str> {
        self.url.password()
    }

    /// Restarts it, after a crash or in order, and waits until it answers.
    pub(crate) fn restart(&mut self, crash: bool) {
        self.freeze(false);
        if let Some(own) = &mut self.own {
            own.stop(if crash { "immediate" } else { "fast" });
            own.run();
        }
    }

    /// SIGSTOP, or SIGCONT, for all its processes.
    pub(crate) fn freeze(&mut self, freeze: bool) {
        if self.frozen == freeze {
            return;
        }
        self.frozen = freeze;
        let Some(own) = &self.own else { return };
        let server = own.pid().to_string();
        let signal = if freeze { "-STOP" } else { "-CONT" };
        // The server first: one that is stopped begins no session.
        let _ = Command::new("kill").args([signal, &server]).status();
        for child in children(&server) {
            let _ = Command::new("kill").args([signal, &child]).status();
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.freeze(false);
    }
}

/// The processes that this one has started.
fn children(pid: &str) -> Vec<String> {
    let of = |task: &str| {
        let list = std::fs::read_to_string(format!("/proc/{pid}/task/{task}/children"));
        list.unwrap_or_default()
    };
    of(pid).split_whitespace().map(str::to_owned).collect()
}
