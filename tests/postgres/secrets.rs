//! The password is where it must be, and nowhere else.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use in_lookback::config::Secret;
use in_lookback::config::database::Host;

use crate::bench::{Bench, link, run};
use crate::server::{PASSWORD, USER};

#[test]
fn a_password_comes_from_where_the_config_says() {
    let bench = Bench::new("passwords");
    let dir = tempfile::tempdir().unwrap();
    let (alone, listed) = (dir.path().join("password"), dir.path().join("passfile"));
    std::fs::write(&alone, format!("{PASSWORD}\n")).unwrap();
    let port = bench.server.port();
    let lines = format!("other:*:*:*:no\n127.0.0.1:{port}:passwords:{USER}:{PASSWORD}\n");
    std::fs::write(&listed, lines).unwrap();
    std::fs::set_permissions(&listed, PermissionsExt::from_mode(0o600)).unwrap();
    let mut database = bench.database();
    let is_in = |database: &_| run(&link(database), async |_| Ok(())).map_err(|it| it.to_string());
    is_in(&database).unwrap();
    (database.password, database.password_file) = (None, Some(alone.clone()));
    is_in(&database).unwrap();
    (database.password_file, database.passfile) = (None, Some(listed));
    is_in(&database).unwrap();
    database.passfile = None;
    assert!(is_in(&database).unwrap_err().contains("none is set"));
    database.password_file = Some(dir.path().join("no such"));
    assert!(is_in(&database).unwrap_err().contains("cannot be read"));
    // It is read for every connection.
    database.password_file = Some(alone.clone());
    std::fs::write(&alone, "another").unwrap();
    let error = is_in(&database).unwrap_err();
    assert!(error.contains("password authentication failed"), "{error}");
}

#[test]
fn a_unix_socket_is_a_host_too() {
    let bench = Bench::new("socket");
    let mut database = bench.database();
    database.hosts[0].0 = Host::Socket(bench.server.data().parent().unwrap().to_owned());
    let address = "SELECT inet_client_addr() IS NULL";
    let is_local: bool =
        run(&link(&database), async |client| Ok(client.query_one(address, &[]).await?.get(0)))
            .unwrap();
    assert!(is_local);
}

/// A server that asks for the password in clear text, and says what it was given.
fn parrot() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut heard = [0; 1024];
            let _ = client.read(&mut heard);
            let _ = client.write_all(&[b'R', 0, 0, 0, 8, 0, 0, 0, 3]);
            let len = client.read(&mut heard).unwrap_or(0);
            // Without the message's head and its end.
            let password = &heard[5..len.max(6) - 1];
            let fields = [&b"SFATAL\0C28P01\0Mnot "[..], password, b"\0\0"].concat();
            let len = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
            let _ = client.write_all(&[&b"E"[..], &len, &fields].concat());
        }
    });
    port
}

#[test]
fn the_password_stands_in_no_error_and_in_no_debug_output() {
    let bench = Bench::new("secret");
    let mut wrong = bench.database();
    wrong.password = Some(Secret::new(format!("not {PASSWORD}")));
    let mut quoted = bench.through(parrot());
    let errors = [&wrong, &quoted].map(|database| {
        let link = link(database);
        let error = run(&link, async |_| Ok(())).unwrap_err();
        format!("{error} {error:?} {} {link:?} {database:?} {database}", error.mend())
    });
    assert!(errors[0].contains("28P01") && errors[1].contains("quotes the password"), "{errors:?}");
    quoted.connect_timeout = std::time::Duration::ZERO;
    let late = run(&link(&quoted), async |_| Ok(())).unwrap_err().to_string();
    let good = link(&bench.database());
    let said = format!("SELECT no_such_function('{PASSWORD}')");
    let error = run(&good, async |client| Ok(client.batch_execute(&said).await?)).unwrap_err();
    let echo = format!("DO $$ BEGIN RAISE '{PASSWORD}'; END $$");
    let echoed = run(&good, async |client| Ok(client.batch_execute(&echo).await?)).unwrap_err();
    for text in errors.iter().chain([&late, &error.to_string(), &format!("{echoed:?} {good:?}")]) {
        assert!(!text.contains(PASSWORD), "{text}");
    }
}
