//! A bad configuration refuses to start, with one line that names the property, the value and the mend.

use crate::bench::{Bench, SECRET, history, with};
use crate::embedded::HostError;

#[test]
fn bad_properties_are_refused_in_one_line() {
    let bench = Bench::new(history(1));
    let not_a_definition = bench.write("broken.yaml", "name: x\nnonsense: [");
    let nowhere = bench.path("no/such/directory/lookback.db");
    let nowhere = nowhere.to_str().unwrap();
    // Property, value, and words of the line.
    let cases: &[(&str, &str, &[&str])] = &[
        ("api", "", &["api", "missing", "entra_signins"]),
        ("api", "entra_sign", &["api", "entra_sign", "entra_signins"]),
        ("api", "/no/such/file.yaml", &["api", "/no/such/file.yaml", "cannot be read"]),
        ("api", &not_a_definition, &["api", "broken.yaml", "line"]),
        ("interval", "soon", &["interval", "soon", "15m"]),
        ("interval", "0s", &["interval", "1s"]),
        ("interval", "5s", &["window", "4s", "interval", "5s"]),
        ("window", "1s", &["window", "1s", "raise window"]),
        ("window", "40d", &["window", "30d", "lower it"]),
        ("sweeps", "6h", &["sweeps", "6h", "depth/every"]),
        ("sweeps", "40d/1d", &["sweeps", "40d", "30d", "lower it"]),
        ("start", "yesterday", &["start", "yesterday", "7d"]),
        ("format", "xml", &["format", "xml", "record", "raw"]),
        ("widen", "maybe", &["widen", "maybe", "on"]),
        ("batch_size", "1", &["batch_size", "4096"]),
        ("tick_bytes", "1M", &["tick_bytes", "batch_size", "raise"]),
        ("client_secret_file", "/run/secret", &["client_secret", "two ways", "remove"]),
        ("client_secret", "", &["client_secret", "missing", "client_secret_file"]),
        ("client_id", "", &["client_id", "missing", "set"]),
        ("base_url", "http://graph.microsoft.com", &["base_url", "https", "loopback"]),
        ("token_url", "http://login.example/token", &["token_url", "https", "loopback"]),
        ("rate_limit", "0", &["rate_limit", "0", "at least 1"]),
        ("timeout", "-1s", &["timeout", "-1s", "90s"]),
        ("tls_ca_file", "/no/such/ca.pem", &["tls_ca_file", "/no/such/ca.pem"]),
        ("db", nowhere, &["db", nowhere, "writable"]),
        ("token", SECRET, &["token", "entra_signins", "remove it"]),
        ("cloud", "mars", &["cloud", "mars", "gcc_high"]),
        ("managed_identity", "on", &["client_secret", "managed_identity", "two ways"]),
    ];
    for (name, value, words) in cases {
        let before = bench.log().len();
        let input = with(bench.input("in"), name, value);
        let refused = bench.try_start(vec![input]);
        let log = bench.log()[before..].to_vec();
        assert!(
            matches!(refused, Err(HostError::Init { answer, .. }) if answer <= 0),
            "{name}={value} started"
        );
        assert_eq!(log.len(), 1, "{name}={value}: {log:#?}");
        for word in *words {
            assert!(log[0].contains(word), "{name}={value}: no '{word}' in: {}", log[0]);
        }
        assert!(!log[0].contains(SECRET), "{}", log[0]);
    }
}
