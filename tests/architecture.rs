//! The rules of ARCHITECTURE.md that a compiler does not check: who may import whom, where `unsafe`, time,
//! vendors and foreign crates may stand. Tests in `src` are left out: they may use anything.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module of the library, and the ones that it may name.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("json", &[]),
    ("inflate", &[]),
    ("clock", &["model"]),
    ("config", &["api", "model"]),
    ("api", &["config", "json", "model", "poll::backoff"]),
    ("poll", &["api", "config", "model"]),
    ("encode", &["json", "model", "poll::report"]),
    ("fleet", &["model"]),
    ("handoff", &["fleet", "model", "poll::Mark"]),
    ("state", &["clock", "config", "fleet", "model", "poll::ledger", "poll::progress"]),
    ("auth", &["api", "config", "json", "model", "poll::tokens"]),
    ("http", &["api", "config", "inflate"]),
    (
        "worker",
        &[
            "api", "auth", "clock", "config", "encode", "fleet", "handoff", "http", "model",
            "poll", "state",
        ],
    ),
    ("host", &["model", "poll::stats", "worker"]),
];

/// Crates that stand behind one module each, so that changing one's mind costs one module.
const BEHIND: &[(&str, &[&str])] = &[
    ("reqwest", &["http.rs"]),
    ("rustls", &["http.rs", "state/postgres/tls.rs"]),
    ("rustls_pki_types", &["auth/assertion.rs"]),
    ("ring", &["auth/assertion.rs", "encode/provenance.rs", "http.rs", "state/postgres/"]),
    ("base64", &["auth/"]),
    ("tokio", &["http.rs", "state/postgres/", "worker/"]),
    ("tokio_postgres", &["state/postgres/"]),
    ("hickory_resolver", &["state/postgres/connect.rs"]),
    ("rusqlite", &["state/"]),
    ("rmp", &["encode/"]),
    ("jiff", &["model/time.rs", "model/time_format.rs"]),
    ("serde_saphyr", &["api/definition/"]),
    ("libdeflater", &["inflate.rs"]),
    ("flate2", &["inflate.rs"]),
    ("libc", &["host/"]),
    ("memchr", &["inflate.rs", "json/"]),
];

/// Reading a clock, and sleeping.
const TIME: &[&str] = &["SystemTime", "Instant", "thread::sleep"];

/// Names that belong into `conf/apis`.
const VENDORS: &[&str] =
    &["microsoft", "graph", "entra", "azure", "aad", "okta", "office", "office365", "o365"];

/// Where the vendors' APIs are listed, and where they are played.
const KNOWS_VENDORS: &[&str] = &["api/catalog.rs", "bin/lookback/simulate", "bin/lookback/demo"];

/// One source file without its tests.
struct Source {
    /// Below `src`, with `/`.
    path: String,
    text: String,
}

impl Source {
    /// Its lines that are no comments, with their numbers.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        lines.filter(|(_, line)| !line.starts_with("//"))
    }

    /// The module of the library that it belongs to.
    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    fn is_library(&self) -> bool {
        !self.path.starts_with("bin/") && self.path != "lib.rs"
    }

    fn is_under(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path.starts_with(place))
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    let source = |file: PathBuf| {
        let path = file.strip_prefix(&root).expect("below src").to_string_lossy().into_owned();
        let text = without_tests(&fs::read_to_string(&file).expect("readable"));
        Source { path, text }
    };
    let sources: Vec<Source> = files.into_iter().map(source).collect();
    assert!(sources.len() > 40, "the sources are there");
    sources
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("readable") {
        let path = entry.expect("readable").path();
        let name = path.file_stem().unwrap_or_default();
        if name == "tests" {
            continue;
        }
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|it| it == "rs") {
            files.push(path);
        }
    }
}

/// A module of tests stands at a file's end.
fn without_tests(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..end].to_owned()
}

/// What stands behind `crate::` in a line: `a::b`, or each of `{a::b, c}`.
fn imports(line: &str) -> Vec<String> {
    let path = |text: &str| {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
        text[..end.unwrap_or(text.len())].trim_end_matches(':').to_owned()
    };
    let after = line.split("crate::").skip(1);
    after
        .flat_map(|rest| match rest.strip_prefix('{') {
            Some(list) => list.split(',').map(path).collect(),
            None => vec![path(rest)],
        })
        .filter(|path| !path.is_empty())
        .collect()
}

fn words(line: &str) -> impl Iterator<Item = String> {
    line.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase)
}

/// Fails with everything that was found.
fn none(rule: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

#[test]
fn imports_go_one_way() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| source.is_library()) {
        let module = source.module();
        let row = MAY_IMPORT.iter().find(|(name, _)| *name == module);
        let Some((_, allowed)) = row else {
            found.push(format!("module {module} has no row in MAY_IMPORT"));
            continue;
        };
        for (number, line) in source.code() {
            for import in imports(line) {
                let is_below = |it: &str| {
                    import
                        .strip_prefix(it)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
                };
                if !is_below(module) && !allowed.iter().any(|it| is_below(it)) {
                    found.push(format!("src/{}:{number} imports {import}", source.path));
                }
            }
        }
    }
    none("a module may name only what its row in MAY_IMPORT allows", found);
}

/// `super` at the top of a module would be a way around the rule above.
#[test]
fn a_top_module_names_others_through_crate() {
    let at_top = |source: &&Source| {
        let parts: Vec<&str> = source.path.split('/').collect();
        source.is_library() && (parts.len() == 1 || (parts.len() == 2 && parts[1] == "mod.rs"))
    };
    let mut found = Vec::new();
    for source in sources().iter().filter(at_top) {
        let uses = source.code().filter(|(_, line)| line.starts_with("use super::"));
        found.extend(uses.map(|(number, line)| format!("src/{}:{number} {line}", source.path)));
    }
    none("write crate:: instead of super::", found);
}

#[test]
fn unsafe_stands_at_the_edge_only() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|it| !it.is_under(&["host/", "bin/lookback/embedded/"])) {
        let unsafes = source.code().filter(|(_, line)| words(line).any(|word| word == "unsafe"));
        found.extend(unsafes.map(|(number, _)| format!("src/{}:{number}", source.path)));
    }
    none("unsafe code belongs into src/host or the embedded host", found);
}

#[test]
fn only_the_clock_reads_time() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|it| it.is_library() && it.path != "clock.rs") {
        for (number, line) in source.code() {
            if TIME.iter().any(|name| line.contains(name)) {
                found.push(format!("src/{}:{number} {line}", source.path));
            }
        }
    }
    none("time comes in as an argument; src/clock.rs reads it", found);
}

#[test]
fn each_foreign_crate_stands_behind_one_module() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| source.is_library()) {
        for (number, line) in source.code() {
            for (name, places) in BEHIND {
                if names(line, name) && !source.is_under(places) {
                    found.push(format!("src/{}:{number} names {name}", source.path));
                }
            }
        }
    }
    none("a foreign crate is named in its own module only", found);
}

/// Whether a line names a crate: `ring::` is not in `String::`.
fn names(line: &str, name: &str) -> bool {
    let path = format!("{name}::");
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(&path).any(|(at, _)| !line[..at].ends_with(is_word))
        || line == format!("use {name};")
}

#[test]
fn no_vendor_is_named_in_code() {
    let vendors: BTreeSet<&str> = VENDORS.iter().copied().collect();
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| !source.is_under(KNOWS_VENDORS)) {
        for (index, line) in source.text.lines().enumerate() {
            if let Some(word) = words(line).find(|word| vendors.contains(word.as_str())) {
                found.push(format!("src/{}:{} names {word}", source.path, index + 1));
            }
        }
    }
    none("vendors' names belong into conf/apis", found);
}

#[test]
fn the_header_of_the_library_tells_every_module() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs"));
    let lib = lib.expect("readable");
    let modules = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let table: Vec<&str> = lib.lines().filter(|line| line.starts_with("//! |")).collect();
    for module in modules {
        let named = table.iter().any(|row| row.contains(&format!("`{module}`")));
        assert!(named, "`{module}` has no row in the table of src/lib.rs");
        assert!(MAY_IMPORT.iter().any(|(name, _)| *name == module), "{module} has no row here");
    }
}

/// Documents that back each promise with a test.
const PROMISES: &[&str] = &["SECURITY.md", "docs/guarantees.md"];

/// A name in backticks that can only be a test's: with its module, or too long for anything else.
fn test_names(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|name| {
        let is_path = name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_:".contains(&b));
        let is_long = name.matches('_').count() >= 4 && !name.starts_with("lookback_");
        is_path && (name.contains("::") || is_long)
    })
}

/// The tests of a file.
fn tests_in(text: &str) -> BTreeSet<&str> {
    let after = text.split("#[test]").skip(1);
    after.filter_map(|rest| rest.split("fn ").nth(1)?.split(['(', '<']).next()).collect()
}

#[test]
fn every_test_that_backs_a_promise_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    all_rust_files(&root.join("src"), &mut files);
    all_rust_files(&root.join("tests"), &mut files);
    let read = |path: &PathBuf| (path.clone(), fs::read_to_string(path).expect("readable"));
    let files: Vec<(PathBuf, String)> = files.iter().map(read).collect();
    let tests: Vec<(&PathBuf, BTreeSet<&str>)> =
        files.iter().map(|(path, text)| (path, tests_in(text))).collect();
    let exists = |name: &str| {
        let (module, name) = name.rsplit_once("::").unwrap_or(("", name));
        let module = module.rsplit("::").next().unwrap_or_default();
        let is_in = |path: &Path| {
            module.is_empty()
                || path.iter().any(|part| part.to_string_lossy().trim_end_matches(".rs") == module)
        };
        tests.iter().any(|(path, tests)| is_in(path) && tests.contains(name))
    };
    let mut found = Vec::new();
    for document in PROMISES {
        // A document that is not there promises nothing.
        let Ok(text) = fs::read_to_string(root.join(document)) else { continue };
        let missing = test_names(&text).filter(|name| !exists(name));
        found.extend(missing.map(|name| format!("{document} names {name}")));
    }
    none("a promise is backed by a test that exists", found);
    let security = fs::read_to_string(root.join("SECURITY.md")).expect("readable");
    assert!(test_names(&security).count() > 20, "the tests in SECURITY.md are found");
}

fn all_rust_files(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            all_rust_files(&path, files);
        } else if path.extension().is_some_and(|it| it == "rs") {
            files.push(path);
        }
    }
}

#[test]
fn names_of_tests_are_told_from_other_words() {
    let text = "`tls_client_key_file`, `origin::a_b` and `a_name_that_is_long`, \
        `lookback_last_success_timestamp_seconds`, `crate::Type`";
    assert_eq!(test_names(text).collect::<Vec<_>>(), ["origin::a_b", "a_name_that_is_long"]);
}

#[test]
fn imports_are_read_as_they_are_written() {
    assert_eq!(imports("use crate::model::{Now, TimeRange};"), ["model"]);
    assert_eq!(imports("use crate::{api::page, poll};"), ["api::page", "poll"]);
    assert_eq!(
        imports("fault: crate::model::Fault, x: crate::poll::Mark)"),
        ["model::Fault", "poll::Mark"]
    );
    assert!(imports("use std::fmt;").is_empty());
}

#[test]
fn the_readme_shows_the_command_that_ci_runs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ci = fs::read_to_string(root.join(".ci/run")).expect("readable");
    let command = ci.lines().last().expect("a command");
    let readme = fs::read_to_string(root.join("README.md")).expect("readable");
    assert!(readme.lines().any(|line| line == command), "README.md must contain:\n{command}");
}

/// The files that the tables of limits name, in the last column of each row.
fn files_with_limits() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).expect("readable");
    let section = text.split("\n## ").find(|section| section.starts_with("Limits\n"));
    let rows = section.expect("a section on limits").lines().filter(|line| line.ends_with(" |"));
    let last = rows.filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next());
    let files = last.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned);
    files.collect()
}

#[test]
fn every_limit_stands_in_the_table_of_limits() {
    let files = files_with_limits();
    assert!(files.len() > 20, "the tables are read");
    let (sources, mut found) = (sources(), Vec::new());
    for file in &files {
        if !sources.iter().any(|source| source.path == *file) {
            found.push(format!("src/{file} is named, and is not there"));
        }
    }
    let is_limit = |line: &str| {
        let name = line.trim_start_matches("pub ").strip_prefix("const ")?.split(':').next()?;
        name.ends_with("_MAX").then(|| name.to_owned())
    };
    for source in sources.iter().filter(|it| it.is_library() && !files.contains(&it.path)) {
        let limits = source.code().filter_map(|(_, line)| is_limit(line));
        found.extend(limits.map(|name| format!("{name} of src/{} is in no table", source.path)));
    }
    none("the Limits of ARCHITECTURE.md name every file with a limit", found);
}
