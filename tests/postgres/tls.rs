//! Which servers are talked to, and which are not.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use in_lookback::config::database::{Host, Tls};

use crate::bench::{Bench, link, run};
use crate::server::Server;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls");

fn file(name: &str) -> PathBuf {
    Path::new(DATA).join(name)
}

/// Has a server show a certificate from now on.
fn show(server: &Server, certificate: &str) {
    let owner = server.data().metadata().unwrap();
    for (from, to) in [(certificate, "server.crt"), ("server.key", "server.key")] {
        let to = server.data().join(to);
        std::fs::copy(file(from), &to).unwrap();
        std::fs::set_permissions(&to, PermissionsExt::from_mode(0o600)).unwrap();
        chown(&to, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    server.psql("ALTER SYSTEM SET ssl = on").unwrap();
    server.psql("SELECT pg_reload_conf()").unwrap();
    let wanted = certificate.to_owned();
    let deadline = std::time::Instant::now() + crate::bench::LONG;
    while server.psql("SHOW ssl").unwrap() != "on" {
        assert!(std::time::Instant::now() < deadline, "{wanted} is not shown");
    }
}

#[test]
fn a_server_is_talked_to_as_sslmode_says() {
    let bench = Bench::on(Arc::new(Server::start()), "tls");
    let reach = |tls: Tls, name: &str, ca: Option<&str>| {
        let mut database = bench.database();
        database.hosts[0].0 = Host::Name(name.to_owned());
        (database.tls, database.ca_file) = (tls, ca.map(file));
        let query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        let encrypted = run(&link(&database), async |client| {
            Ok(client.query_one(query, &[]).await?.get::<_, bool>(0))
        });
        encrypted.map_err(|error| format!("{error}; {}", error.mend()))
    };
    let (here, other) = ("127.0.0.1", "localhost");
    let ca = Some("ca.pem");
    use Tls::{Disable, Prefer, Require, VerifyCa, VerifyFull};
    for (tls, name, authority, certificate, expected) in [
        (Disable, here, None, None, Ok(false)),
        (Prefer, here, None, None, Ok(false)),
        (Require, here, None, None, Err(["does not support TLS", "turn ssl on"])),
        (VerifyFull, here, ca, None, Err(["does not support TLS", "turn ssl on"])),
        (Disable, here, None, Some("server.pem"), Ok(false)),
        (Prefer, here, None, Some("server.pem"), Ok(true)),
        (Require, here, None, Some("server.pem"), Ok(true)),
        (VerifyCa, here, ca, Some("server.pem"), Ok(true)),
        (VerifyFull, here, ca, Some("server.pem"), Ok(true)),
        (VerifyFull, other, ca, Some("server.pem"), Ok(true)),
        // The system's authorities have not signed it.
        (VerifyFull, here, None, Some("server.pem"), Err(["UnknownIssuer", "set sslrootcert"])),
        (VerifyCa, here, ca, Some("elsewhere.pem"), Ok(true)),
        (
            VerifyFull,
            here,
            ca,
            Some("elsewhere.pem"),
            Err(["not valid for name", "set the host in db"]),
        ),
        (Require, here, None, Some("self-signed.pem"), Ok(true)),
        (
            Require,
            here,
            ca,
            Some("self-signed.pem"),
            Err(["invalid peer certificate", "sslrootcert"]),
        ),
        (
            VerifyCa,
            here,
            ca,
            Some("self-signed.pem"),
            Err(["invalid peer certificate", "sslrootcert"]),
        ),
        (VerifyFull, here, ca, Some("expired.pem"), Err(["expired", "clock right"])),
        (
            VerifyFull,
            here,
            Some("server.key"),
            Some("server.pem"),
            Err(["no PEM certificate", "set a PEM file"]),
        ),
        (
            VerifyFull,
            here,
            Some("no-such.pem"),
            Some("server.pem"),
            Err(["is of no use", "set a PEM file"]),
        ),
    ] {
        if let Some(certificate) = certificate {
            show(&bench.server, certificate);
        }
        let found = reach(tls, name, authority);
        let is_right = match (&found, &expected) {
            (Ok(found), Ok(expected)) => found == expected,
            (Err(found), Err(expected)) => expected.iter().all(|it| found.contains(it)),
            _ => false,
        };
        assert!(is_right, "{tls:?} to {name} by {authority:?} with {certificate:?}: {found:?}");
    }
}

#[test]
fn a_certificate_is_shown_where_one_is_set() {
    let bench = Bench::on(Arc::new(Server::start()), "certificate");
    let authority = bench.server.data().join("ca.pem");
    std::fs::copy(file("ca.pem"), &authority).unwrap();
    std::fs::set_permissions(&authority, PermissionsExt::from_mode(0o644)).unwrap();
    bench.server.psql("ALTER SYSTEM SET ssl_ca_file = 'ca.pem'").unwrap();
    show(&bench.server, "server.pem");
    let hba = bench.server.data().join("pg_hba.conf");
    let rules = std::fs::read_to_string(&hba).unwrap();
    let only = "hostssl certificate all all scram-sha-256 clientcert=verify-ca\n";
    std::fs::write(&hba, format!("{only}{rules}")).unwrap();
    bench.server.psql("SELECT pg_reload_conf()").unwrap();
    let mut database = bench.database();
    (database.tls, database.ca_file) = (Tls::VerifyFull, Some(file("ca.pem")));
    let query = "SELECT client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let mut shown = |client: Option<(PathBuf, PathBuf)>| {
        database.client = client;
        let link = link(&database);
        run(&link, async |client| Ok(client.query_one(query, &[]).await?.get::<_, String>(0)))
    };
    let error = shown(None).unwrap_err();
    assert!(error.to_string().contains("valid client certificate"), "{error}");
    assert!(error.mend().contains("sslcert") && error.mend().contains("pg_hba.conf"), "{error}");
    let name = shown(Some((file("tls-client.pem"), file("server.key")))).unwrap();
    assert_eq!(name, "/CN=lookback test server");
}
