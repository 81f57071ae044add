//! The files of a fleet in `conf/fleet`: configuration, Kubernetes manifest and systemd unit fit together.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use in_lookback::config::{keys, units};
use serde_json::Value;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("conf/fleet").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).expect("it is there")
}

/// The documents of a YAML file.
fn documents(name: &str) -> Vec<Value> {
    let text = read(name);
    let parse =
        |text| serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    text.split("\n---\n").map(parse).collect()
}

fn of_kind<'d>(documents: &'d [Value], kind: &str) -> &'d Value {
    documents.iter().find(|it| it["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

/// What a text says behind each of these: words of letters, digits and `_-.`.
fn behind(text: &str, mark: &str) -> BTreeSet<String> {
    let word = |rest: &str| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"_-.".contains(c));
        rest[..end.unwrap_or(rest.len())].to_owned()
    };
    text.split(mark).skip(1).map(word).collect()
}

/// The variables that the configuration fills in, without its comments.
fn variables() -> BTreeSet<String> {
    let text = read("lookback.yaml");
    let code: Vec<&str> = text.lines().filter(|line| !line.trim().starts_with('#')).collect();
    behind(&code.join("\n"), "${")
}

/// The files that it reads secrets from.
fn credentials() -> BTreeSet<String> {
    let found = behind(&read("lookback.yaml"), "${CREDENTIALS_DIRECTORY}/");
    assert!(found.len() >= 4, "{found:?}");
    found
}

#[test]
fn the_manifest_gives_a_node_every_variable_and_secret_that_its_configuration_names() {
    let documents = documents("kubernetes.yaml");
    let pod = &of_kind(&documents, "StatefulSet")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let env = container["env"].as_array().unwrap();
    let set: BTreeSet<String> =
        env.iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(set, variables());
    let secret = &self::documents("secret.yaml")[0];
    let keys = secret["stringData"].as_object().unwrap();
    for name in credentials() {
        assert!(keys.contains_key(&name), "no {name} in the secret");
    }
    let of_secret = env.iter().filter_map(|it| it["valueFrom"]["secretKeyRef"]["key"].as_str());
    let of_secret: BTreeSet<String> = of_secret.map(str::to_owned).collect();
    let all: BTreeSet<String> = keys.keys().cloned().collect();
    assert_eq!(credentials().union(&of_secret).cloned().collect::<BTreeSet<_>>(), all);
    let mounted = |volume: &str| {
        let mounts = container["volumeMounts"].as_array().unwrap();
        let mount = mounts.iter().find(|it| it["name"] == volume).unwrap();
        mount["mountPath"].as_str().unwrap().to_owned()
    };
    let directory = env.iter().find(|it| it["name"] == "CREDENTIALS_DIRECTORY").unwrap();
    assert_eq!(directory["value"], mounted("credentials"));
    let secret_name = &pod["volumes"][1]["secret"]["secretName"];
    assert_eq!(secret_name, &secret["metadata"]["name"]);
    let storage = mounted("storage");
    assert!(read("lookback.yaml").contains(&format!("storage.path: {storage}/storage")));
    assert_eq!(container["args"][1], format!("{}/lookback.yaml", mounted("config")));
    let generated = &self::documents("kustomization.yaml")[0]["configMapGenerator"][0];
    assert_eq!(pod["volumes"][0]["configMap"]["name"], generated["name"]);
}

#[test]
fn a_rollout_goes_no_faster_than_leases_do_and_takes_one_node_at_a_time() {
    let documents = documents("kubernetes.yaml");
    let set = &of_kind(&documents, "StatefulSet")["spec"];
    let lease = units::duration(keys::find("lease").unwrap().default).unwrap();
    let ready = Duration::from_secs(set["minReadySeconds"].as_u64().unwrap());
    assert!(ready > lease, "{ready:?} is not longer than {lease:?}");
    assert_eq!(of_kind(&documents, "PodDisruptionBudget")["spec"]["maxUnavailable"], 1);
    let pod = &set["template"]["spec"];
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    let yaml = &self::documents("lookback.yaml")[0];
    assert!(grace >= 2 * yaml["service"]["grace"].as_u64().unwrap(), "{grace}");
    let labels = &set["template"]["metadata"]["labels"];
    for kind in ["StatefulSet", "PodDisruptionBudget"] {
        assert_eq!(&of_kind(&documents, kind)["spec"]["selector"]["matchLabels"], labels, "{kind}");
    }
    assert_eq!(&of_kind(&documents, "Service")["spec"]["selector"], labels);
    let inside = &pod["containers"][0]["securityContext"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(inside["readOnlyRootFilesystem"], true);
    assert_eq!(inside["allowPrivilegeEscalation"], false);
}

#[test]
fn the_unit_gives_a_node_every_variable_and_credential_that_its_configuration_names() {
    let unit = read("lookback.service");
    let loaded = behind(&unit, "LoadCredential=");
    assert_eq!(loaded, credentials());
    let mut set = behind(&unit, "Environment=");
    set.insert("CREDENTIALS_DIRECTORY".to_owned());
    // What the administrator writes down, as the unit's head says.
    let own = variables();
    for name in own.difference(&set) {
        assert!(unit.contains(&format!("{name}=…")), "the unit does not say where {name} is set");
    }
}

#[test]
fn systemd_accepts_the_unit() {
    let Ok(found) = Command::new("systemd-analyze").arg("--version").output() else {
        eprintln!("skipped: no systemd-analyze on the PATH (Debian's package systemd has it)");
        return;
    };
    // Older ones do not know what the unit asks for.
    let version = String::from_utf8_lossy(&found.stdout);
    let version = version.split_whitespace().nth(1).and_then(|it| it.parse::<u32>().ok());
    if version.is_none_or(|version| version < 250) {
        eprintln!("skipped: systemd {version:?} is older than 250");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let unit = dir.path().join("lookback.service");
    // It must be there for the verdict.
    let text = read("lookback.service").replace("/opt/fluent-bit/bin/fluent-bit", "/bin/true");
    std::fs::write(&unit, text).unwrap();
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // Of other units of the machine it may say what it likes.
    let ours = said.lines().filter(|line| line.contains("lookback.service"));
    let ours: Vec<&str> = ours.collect();
    assert!(ours.is_empty(), "{said}");
}
