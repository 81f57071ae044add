//! Both formats against tables, through real files.

use std::fs;

use tempfile::TempDir;

use super::*;

struct Files {
    dir: TempDir,
}

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        Self { dir }
    }

    fn read(&self, name: &str) -> Result<Config, String> {
        let prefix = format!("{}/", self.dir.path().display());
        let config = read_with(&self.dir.path().join(name), Variables::default());
        config.map_err(|error| error.to_string().replace(&prefix, ""))
    }
}

/// `plugin: key=value …` of each section.
fn show(sections: &[Section]) -> Vec<String> {
    let pairs = |section: &Section| {
        let pairs = section.properties.iter().map(|it| format!(" {}={}", it.key, it.value));
        pairs.collect::<String>()
    };
    sections.iter().map(|section| format!("{}:{}", section.plugin, pairs(section))).collect()
}

fn inputs(name: &str, text: &str) -> Result<Vec<String>, String> {
    Files::new(&[(name, text)]).read(name).map(|config| show(&config.inputs))
}

#[test]
fn yaml_values_reach_the_plugin_as_written() {
    for (written, handed) in [
        ("x", "x"),
        ("on", "on"),
        ("true", "true"),
        ("1e3", "1e3"),
        ("007", "007"),
        ("3m", "3m"),
        ("~", "~"),
        ("null", "null"),
        ("'a # b'", "a # b"),
        ("\" padded \"", "padded"),
        ("a b # comment", "a b"),
        ("''", ""),
        ("[first, second]", "first p=second"),
    ] {
        let text = format!("pipeline:\n  inputs:\n    - name: lookback\n      p: {written}\n");
        assert_eq!(inputs("c.yaml", &text), Ok(vec![format!("lookback: p={handed}")]), "{written}");
    }
}

#[test]
fn yaml_keys_are_translated_as_the_host_does() {
    for (written, read) in [
        ("clientId", "client_id"),
        ("client_Id", "client_id"),
        ("Client_ID", "Client_ID"),
        ("storage.type", "storage.type"),
    ] {
        let text = format!("pipeline:\n  inputs:\n    - {{name: lookback, {written}: x}}\n");
        assert_eq!(inputs("c.yml", &text), Ok(vec![format!("lookback: {read}=x")]));
    }
}

#[test]
fn yaml_whole() {
    let files = Files::new(&[
        (
            "main.yaml",
            "env:\n  SECRET: s3\nincludes:\n  - more_*.yaml\nplugins:\n  - /opt/${SECRET}.so\n\
             service:\n  log_level: debug\npipeline:\n  inputs:\n    - Name: cpu\n    - name: lookback\n\
             \x20     client_secret: ${SECRET}\n      none: ${NOT_SET}\n      processors: {logs: []}\n\
             \x20 outputs:\n    - {name: stdout, match: '*'}\n",
        ),
        ("more_a.yaml", "pipeline:\n  inputs:\n    - {name: lookback, api: '${SECRET}'}\n"),
    ]);
    let config = files.read("main.yaml").unwrap();
    assert_eq!(
        show(&config.inputs),
        ["lookback: api=s3", "cpu:", "lookback: client_secret=s3 none="]
    );
    assert_eq!(show(&config.outputs), ["stdout: match=*"]);
    assert_eq!(config.plugins[0].value, "/opt/s3.so");
    assert_eq!(config.service("Log_Level"), Some("debug"));
    assert_eq!(config.inputs[2].properties[0].place.line, 13);
    assert_eq!(config.warnings.len(), 1);
    assert!(config.warnings[0].ends_with("main.yaml:14: variable ${NOT_SET} is used but not set"));
}

#[test]
fn classic_whole() {
    let files = Files::new(&[
        (
            "main.conf",
            "@SET secret=s3\n# comment\n[SERVICE]\n    Log_Level debug\n    plugins_file plugins.conf\n\
             [INPUT]\n    Name  lookback\n    API   entra signins # no comment\n    Client_Secret ${secret}\n\
             \n    # comment\n@INCLUDE more.conf\n[OUTPUT]\n    Name stdout\n    [processors]\n        x y\n",
        ),
        ("more.conf", "[input]\n\tName lookback\n\tdb x.db\n"),
        ("plugins.conf", "[PLUGINS]\n    Path /opt/libin_lookback.so\n    other x\n"),
    ]);
    let config = files.read("main.conf").unwrap();
    assert_eq!(
        show(&config.inputs),
        ["lookback: db=x.db", "lookback: api=entra signins # no comment client_secret=s3"]
    );
    assert_eq!(show(&config.outputs), ["stdout:"]);
    assert_eq!(config.plugins.len(), 1);
    assert_eq!(config.plugins[0].value, "/opt/libin_lookback.so");
    assert_eq!(config.service("log_level"), Some("debug"));
}

#[test]
fn errors_say_where_and_what() {
    for (name, text, expected) in [
        (
            "c.yaml",
            "pipeline: x",
            "c.yaml:1: expected `pipeline` to be a map (`key: value`), found a value",
        ),
        (
            "c.yaml",
            "pipeline:\n  input: []\n",
            "c.yaml:2: expected `inputs`, `filters` or `outputs`, found `input`",
        ),
        (
            "c.yaml",
            "pipeline:\n  inputs:\n    name: x\n",
            "c.yaml:3: expected `inputs` to be a list (`- …`), found a map",
        ),
        (
            "c.yaml",
            "pipeline:\n  inputs:\n    - api: x\n",
            "c.yaml:3: this input has no `name`: expected the plugin's name",
        ),
        (
            "c.yaml",
            "includes: [gone.yaml]\n",
            "c.yaml:1: cannot read gone.yaml: No such file or directory (os error 2)",
        ),
        ("c.yaml", "includes: [c.yaml]\n", "c.yaml:1: includes go round in a circle"),
        ("c.conf", "[INPUT\n", "c.conf:1: expected `]` after the section's name"),
        (
            "c.conf",
            "  Name x\n",
            "c.conf:1: expected a section, as in `[INPUT]`, before the first key",
        ),
        ("c.conf", "[INPUT]\n  Name\n", "c.conf:2: expected a value after the key"),
        (
            "c.conf",
            "[INPUT]\n  Name\tx\n",
            "c.conf:2: expected a space between key and value: a tab does not part them",
        ),
        (
            "c.conf",
            "[INPUT]\nName x\n",
            "c.conf:2: expected an indented `Key Value`, a `[SECTION]` or a `# comment`",
        ),
        ("c.conf", "@SET x\n", "c.conf:1: expected `@SET name=value`"),
        ("c.conf", "@GET x\n", "c.conf:1: expected `@SET` or `@INCLUDE`, found `@GET`"),
    ] {
        assert_eq!(inputs(name, text), Err(expected.to_owned()), "{text}");
    }
}

#[test]
fn broken_yaml_names_the_line() {
    let error = inputs("c.yaml", "a: b\nc: [d\n").unwrap_err();
    assert!(error.starts_with("c.yaml:") && error.contains("this is not YAML"), "{error}");
}
