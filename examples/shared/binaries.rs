//! The programs of the same build: the tool and the plugin; and Fluent Bit, if there is one.

use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Clone, Debug)]
pub(crate) struct Binaries {
    pub(crate) tool: PathBuf,
    pub(crate) plugin: PathBuf,
}

impl Binaries {
    /// Builds what cargo does not build for an example, if it is cargo that runs this.
    pub(crate) fn build() -> Result<(), String> {
        let Some(cargo) = std::env::var_os("CARGO") else { return Ok(()) };
        let mut command = Command::new(cargo);
        command.args(["build", "--quiet", "--lib", "--bin", "lookback", "--manifest-path"]);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        if !cfg!(debug_assertions) {
            command.arg("--release");
        }
        match command.status() {
            Ok(status) if status.success() => Ok(()),
            _ => Err("the tool and the plugin cannot be built".to_owned()),
        }
    }

    /// What lies in the directory of the build that `program` belongs to.
    pub(crate) fn beside(program: &Path) -> Result<Self, String> {
        let dir = program.ancestors().find(|dir| dir.join("lookback").is_file());
        let dir = dir.ok_or("no `lookback` beside this program: run `cargo build` first")?;
        Ok(Self { tool: dir.join("lookback"), plugin: newer(dir)? })
    }

    /// Whichever version this Fluent Bit is, for the record.
    pub(crate) fn version(fluent_bit: &Path) -> String {
        let output = Command::new(fluent_bit).arg("--version").output();
        let text = output.map(|it| String::from_utf8_lossy(&it.stdout).into_owned());
        text.unwrap_or_default().lines().next().unwrap_or("Fluent Bit").to_owned()
    }

    /// The binary named by `FLUENT_BIT`, else the one on the `PATH`.
    pub(crate) fn fluent_bit() -> Option<PathBuf> {
        if let Some(path) = std::env::var_os("FLUENT_BIT") {
            return Some(PathBuf::from(path));
        }
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|dir| dir.join("fluent-bit")).find(|file| file.is_file())
    }
}

/// The build leaves the library in one of two places.
fn newer(dir: &Path) -> Result<PathBuf, String> {
    let places = ["libin_lookback.so", "deps/libin_lookback.so"].map(|name| dir.join(name));
    let age = |path: &PathBuf| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let built = places.into_iter().filter(|path| path.exists()).max_by_key(age);
    built.ok_or_else(|| format!("no libin_lookback.so in {}: run `cargo build`", dir.display()))
}
