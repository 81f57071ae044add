//! A node: its host, and what lies between it and the database.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use tokio::runtime::Handle;

use super::args::Args;
use super::binaries::Binaries;
use super::books::{self, Books};
use super::clock::Moment;
use super::database::Database;
use super::host::{GRACE, Host, HostKind};
use super::relay::Relay;
use super::requests::Requests;
use super::sources;

pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) host: Host,
    /// To the database.
    pub(crate) link: Relay,
    /// To the API, one for each source.
    _api: Vec<Relay>,
    pub(crate) start_at: Option<Moment>,
}

/// What all nodes have in common.
pub(crate) struct Around<'a> {
    pub(crate) args: &'a Args,
    pub(crate) kind: HostKind,
    pub(crate) binaries: &'a Binaries,
    pub(crate) dir: &'a Path,
    pub(crate) serving: &'a Handle,
    pub(crate) database: &'a Database,
    pub(crate) api: SocketAddr,
    pub(crate) books: &'a Books,
    pub(crate) requests: &'a Requests,
}

impl Node {
    /// The nth node, not yet running.
    pub(crate) fn new(nth: usize, around: &Around<'_>) -> Result<Self, String> {
        let name = format!("n{}", nth + 1);
        let dir = around.dir.join(&name);
        std::fs::create_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let to_text = |error: std::io::Error| format!("{name}: {error}");
        let link = around.serving.block_on(Relay::start(around.database.addr()?, None, || {}));
        let link = link.map_err(to_text)?;
        let db = around.database.url_by(link.port);
        let (mut api, mut inputs) = (Vec::new(), String::new());
        for source in 0..around.args.sources as usize {
            let requests = around.requests.clone();
            let asked = move || requests.note(source, nth);
            let relay = around.serving.block_on(Relay::start(around.api, None, asked));
            let relay = relay.map_err(to_text)?;
            inputs += &sources::input(source, relay.port, &name, &db, around.args);
            api.push(relay);
        }
        let output = around.serving.block_on(around.books.receive(nth)).map_err(to_text)?;
        let filter = books::journal_filter(&dir.join("journal"));
        std::fs::write(dir.join("journal.lua"), filter).map_err(to_text)?;
        let config =
            configuration(&around.binaries.plugin, &dir, &inputs, output).map_err(to_text)?;
        let host = Host::new(around.kind, around.binaries, &dir, &config, output)?;
        Ok(Self { name, host, link, _api: api, start_at: None })
    }
}

/// One configuration for both hosts; the embedded one passes over filters and outputs.
fn configuration(plugin: &Path, dir: &Path, inputs: &str, output: u16) -> std::io::Result<String> {
    let http_port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let (plugin, dir, grace) = (plugin.display(), dir.display(), GRACE.as_secs());
    Ok(format!(
        "service: {{flush: 1, grace: {grace}, log_level: info, http_server: on, http_port: {http_port},
          storage.path: {dir}/storage, storage.sync: normal, scheduler.base: 1, scheduler.cap: 4}}
plugins: [{plugin}]
pipeline:
  inputs:
{inputs}  filters:
    - {{name: lua, match: 'fleet.*', script: {dir}/journal.lua, call: note}}
  outputs:
    - {{name: tcp, match: '*', host: 127.0.0.1, port: {output}, format: json_lines, retry_limit: no_limits}}
"
    ))
}
