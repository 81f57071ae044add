//! The example pipelines in `conf`, and the ones in README.md: each parses, sets only properties that
//! there are, makes a plan, and loses nothing by its own fault. Where there is a Fluent Bit (`FLUENT_BIT`,
//! else the PATH), it checks them too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use in_lookback::config::{keys, load};
use serde_json::Value;

/// Where the files say that the plugin is.
const INSTALLED: &str = "/usr/lib/fluent-bit/libin_lookback.so";

/// Where the files keep their state.
const STATE_DIR: &str = "/var/lib/fluent-bit";

/// Properties of an input that are the host's business.
const HOSTS: &[&str] = &["name", "tag", "alias", "log_level", "storage.type", "mem_buf_limit"];

type Section = BTreeMap<String, String>;

/// One pipeline, from a file or from a block of the README.
struct Pipeline {
    place: String,
    text: String,
    service: Section,
    inputs: Vec<Section>,
    outputs: Vec<Section>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn conf_files(extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("conf")).expect("conf is there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.retain(|path| path.extension().is_some_and(|it| it == extension));
    files.sort();
    files
}

fn name_of(path: &Path) -> String {
    path.file_name().expect("a file").to_string_lossy().into_owned()
}

fn pipelines() -> Vec<Pipeline> {
    // A host that is not named yet is refused: where it is not set, no node begins a state of its own.
    let read = |path: &PathBuf| fs::read_to_string(path).expect("readable");
    let text = |path: &PathBuf| read(path).replace("${LOOKBACK_DB_HOST}", "db.example");
    let file = |path: &PathBuf| (name_of(path), text(path));
    let fleet = root().join("conf/fleet/lookback.yaml");
    let mut texts: Vec<_> = conf_files("yaml").iter().chain([&fleet]).map(file).collect();
    assert!(texts.len() >= 8, "the example pipelines are there");
    texts.extend(readme_blocks().into_iter().map(|text| ("README.md".to_owned(), text)));
    let yaml = texts.into_iter().map(|(place, text)| from_yaml(place, text));
    yaml.chain([from_classic()]).collect()
}

/// The README's YAML blocks that are whole pipelines.
fn readme_blocks() -> Vec<String> {
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md is there");
    let blocks = readme.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.filter(|block| block.contains("pipeline:")).map(str::to_owned).collect()
}

fn from_yaml(place: String, text: String) -> Pipeline {
    let parsed: Value =
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{place}: {error}"));
    let sections = |kind: &str| {
        let list = parsed["pipeline"][kind].as_array();
        list.unwrap_or_else(|| panic!("{place}: no {kind}")).iter().map(section).collect()
    };
    let plugins = parsed["plugins"].as_array().unwrap_or_else(|| panic!("{place}: no plugins"));
    assert!(plugins.iter().any(|path| path == INSTALLED), "{place}: the plugin is not loaded");
    let (inputs, outputs) = (sections("inputs"), sections("outputs"));
    Pipeline { service: section(&parsed["service"]), place, text, inputs, outputs }
}

fn section(node: &Value) -> Section {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let pairs = node.as_object().expect("a map");
    pairs.iter().map(|(key, value)| (key.clone(), text(value))).collect()
}

/// `conf/classic.conf`: sections in brackets, a key and a value a line.
fn from_classic() -> Pipeline {
    let text = fs::read_to_string(root().join("conf/classic.conf")).expect("readable");
    let mut sections: Vec<(String, Section)> = Vec::new();
    for line in
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            sections.push((name.to_owned(), Section::new()));
        } else {
            let (key, value) = line.split_once(char::is_whitespace).expect("a key and a value");
            let (_, section) = sections.last_mut().expect("a section");
            section.insert(key.to_owned(), value.trim().to_owned());
        }
    }
    let all = |wanted: &str| {
        let found = sections.iter().filter(|(name, _)| name == wanted);
        found.map(|(_, section)| section.clone()).collect::<Vec<_>>()
    };
    let service = all("SERVICE").pop().expect("a service");
    let (inputs, outputs) = (all("INPUT"), all("OUTPUT"));
    Pipeline { place: "classic.conf".to_owned(), text, service, inputs, outputs }
}

#[test]
fn every_property_is_in_the_table_and_makes_a_plan() {
    for Pipeline { place, inputs, .. } in pipelines() {
        for input in inputs {
            assert_eq!(input["name"], "lookback", "{place}");
            let definition = load::definition(&input["api"]).expect("a definition");
            for key in input.keys().filter(|key| !HOSTS.contains(&key.as_str())) {
                let known = keys::find(key).is_some() || definition.parameters.contains_key(key);
                assert!(known, "{place}: `{key}` is no property of lookback");
            }
            load::plan(|name| input.get(name).cloned())
                .unwrap_or_else(|error| panic!("{place}: {error}"));
        }
    }
}

#[test]
fn secrets_come_from_the_environment() {
    let secrets = keys::KEYS.iter().filter(|key| key.secret).map(|key| key.name);
    let outputs = ["splunk_token", "http_passwd", "shared_key", "rdkafka.sasl.password"];
    let secrets: Vec<&str> = secrets.chain(outputs).collect();
    for Pipeline { place, inputs, outputs, .. } in pipelines() {
        for (key, value) in inputs.iter().chain(&outputs).flatten() {
            let in_clear = secrets.contains(&key.as_str()) && !value.starts_with("${");
            assert!(!in_clear, "{place}: {key} stands in the file");
        }
    }
}

/// Fluent Bit's own defaults lose records: memory storage at a crash, a retry limit of 1 at an outage.
#[test]
fn nothing_is_lost_by_the_hosts_defaults() {
    for Pipeline { place, service, inputs, outputs, .. } in pipelines() {
        assert!(service.contains_key("storage.path"), "{place}: no storage.path");
        for input in &inputs {
            let storage = input.get("storage.type").map(String::as_str);
            assert_eq!(storage, Some("filesystem"), "{place}");
        }
        for output in &outputs {
            let limit = output.get("retry_limit").map(String::as_str);
            assert_eq!(limit, Some("no_limits"), "{place}: output {}", output["name"]);
            assert!(!output.contains_key("storage.total_limit_size"), "{place}: drops the oldest");
        }
        let matches = |tag: &str| {
            let takes = |output: &Section| match (output.get("match"), output.get("match_regex")) {
                (Some(glob), _) => {
                    glob.strip_suffix('*').map_or(glob == tag, |it| tag.starts_with(it))
                }
                (None, Some(regex)) => regex.contains(tag.split('.').next().unwrap_or(tag)),
                (None, None) => false,
            };
            outputs.iter().any(takes)
        };
        assert!(matches("lookback.health"), "{place}: health records go nowhere");
        assert!(inputs.iter().all(|input| matches(&input["tag"])), "{place}: records go nowhere");
    }
}

#[test]
fn fluent_bit_accepts_every_pipeline() {
    let Some(fluent_bit) = fluent_bit() else {
        eprintln!("skipped: no Fluent Bit found (set FLUENT_BIT)");
        return;
    };
    let plugin = built_plugin();
    let dir = tempfile::tempdir().expect("a directory");
    let adapt = |text: &str| {
        let text = text.replace(INSTALLED, &plugin.to_string_lossy());
        text.replace(STATE_DIR, &dir.path().to_string_lossy())
    };
    let plugins = fs::read_to_string(root().join("conf/plugins.conf")).expect("readable");
    fs::write(dir.path().join("plugins.conf"), adapt(&plugins)).expect("writable");
    for (index, Pipeline { place, text, .. }) in pipelines().into_iter().enumerate() {
        let extension = if place.ends_with(".conf") { "conf" } else { "yaml" };
        let file = dir.path().join(format!("pipeline-{index}.{extension}"));
        fs::write(&file, adapt(&text)).expect("writable");
        let mut command = Command::new(&fluent_bit);
        command.arg("--dry-run").arg("-c").arg(&file);
        command.envs(variables(&text).into_iter().map(|name| (name, "not-a-secret")));
        let output = command.output().expect("Fluent Bit starts");
        let said = [&output.stdout[..], &output.stderr[..]].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success(), "{place}: {} says\n{said}", fluent_bit.display());
    }
}

/// The names of `${...}` in a text.
fn variables(text: &str) -> Vec<&str> {
    text.split("${").skip(1).filter_map(|rest| rest.split('}').next()).collect()
}

fn fluent_bit() -> Option<PathBuf> {
    if let Some(path) = env::var_os("FLUENT_BIT").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        assert!(path.exists(), "FLUENT_BIT={} is not there", path.display());
        return Some(path);
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join("fluent-bit")).find(|file| file.is_file())
}

/// The plugin of the profile that this test was built in.
fn built_plugin() -> PathBuf {
    let test = env::current_exe().expect("the test is a file");
    let profile = test.ancestors().nth(2).expect("it lies in target/<profile>/deps");
    let plugin = profile.join("libin_lookback.so");
    assert!(plugin.exists(), "{} is not there: run `cargo build` first", plugin.display());
    plugin
}
