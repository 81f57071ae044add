//! What the host is told.

use std::net::TcpListener;
use std::path::Path;

use super::binaries::Binaries;
use super::books;
use super::host::GRACE;

/// Writes the filter that keeps the journal, and gives the configuration, one for both hosts; the embedded one passes
/// over filters and outputs.
pub(crate) fn write(
    binaries: &Binaries,
    dir: &Path,
    inputs: &str,
    (quiet, disturbed): (u16, u16),
) -> Result<String, String> {
    let wrong = |error: std::io::Error| format!("{}: {error}", dir.display());
    let filter = books::journal_filter(&dir.join("journal"));
    std::fs::write(dir.join("journal.lua"), filter).map_err(wrong)?;
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let http_port = free.map_err(wrong)?.port();
    let (plugin, dir, grace) = (binaries.plugin.display(), dir.display(), GRACE.as_secs());
    Ok(format!(
        "service: {{flush: 1, grace: {grace}, log_level: info, http_server: on, http_port: {http_port}, hot_reload: on,
          storage.path: {dir}/storage, storage.sync: normal, scheduler.base: 1, scheduler.cap: 4}}
plugins: [{plugin}]
pipeline:
  inputs:
{inputs}  filters:
    - {{name: lua, match: '*', script: {dir}/journal.lua, call: note}}
  outputs:
    - {{name: tcp, match: '*', host: 127.0.0.1, port: {quiet}, format: json_lines, retry_limit: no_limits}}
    - {{name: http, match: 'torture.*', host: 127.0.0.1, port: {disturbed}, uri: /, format: json_lines, retry_limit: no_limits}}
"
    ))
}
