//! The disk of the state: a small file system of its own, which can be filled, or made read-only.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Fills it up.
const BALLAST: &str = "ballast";

pub(crate) struct Disk {
    dir: PathBuf,
    mounted: bool,
}

impl Disk {
    /// A file system of so many bytes, if this is a mount namespace of the test's own; else a directory.
    pub(crate) fn new(dir: PathBuf, bytes: u64, namespace: bool) -> Result<Self, String> {
        fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let disk = Self { dir, mounted: namespace };
        if namespace {
            disk.mount(&["-t", "tmpfs", "-o", &format!("size={bytes}"), "none"])?;
        }
        Ok(disk)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.dir.join("lookback.db")
    }

    pub(crate) fn fill(&self) -> io::Result<()> {
        let mut file = File::create(self.dir.join(BALLAST))?;
        for block in [1 << 20, 4096, 1] {
            let zeros = vec![0; block];
            while file.write_all(&zeros).is_ok() {}
        }
        Ok(())
    }

    pub(crate) fn empty(&self) -> io::Result<()> {
        match fs::remove_file(self.dir.join(BALLAST)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Fails while a file is open for writing.
    pub(crate) fn write_protect(&self, on: bool) -> Result<(), String> {
        self.mount(&["-o", if on { "remount,ro" } else { "remount,rw" }])
    }

    /// Deletes the state, cuts it off or garbles it, under whoever has it open.
    pub(crate) fn damage(&self, form: u32) -> io::Result<&'static str> {
        let path = self.file();
        match form % 3 {
            0 => {
                for suffix in ["", "-wal", "-shm"] {
                    let mut name = path.clone().into_os_string();
                    name.push(suffix);
                    let _ = fs::remove_file(Path::new(&name));
                }
                Ok("deleted")
            }
            1 => {
                let file = File::options().write(true).open(&path)?;
                file.set_len(file.metadata()?.len() / 3)?;
                Ok("cut off")
            }
            _ => {
                use std::os::unix::fs::FileExt as _;
                let file = File::options().write(true).open(&path)?;
                let length = file.metadata()?.len();
                let noise: Vec<u8> = (0..8192).map(|_| fastrand::u8(..)).collect();
                for at in [0, length / 2] {
                    file.write_all_at(&noise, at)?;
                }
                Ok("garbled")
            }
        }
    }

    /// Copies what is there to `to`: the file system goes with its namespace.
    pub(crate) fn save(&self, to: &Path) -> io::Result<()> {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            fs::copy(&path, to.join(path.file_name().unwrap_or_default()))?;
        }
        Ok(())
    }

    fn mount(&self, options: &[&str]) -> Result<(), String> {
        let output = Command::new("mount").args(options).arg(&self.dir).output();
        match output {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            let _ = Command::new("umount").arg("-l").arg(&self.dir).status();
        }
    }
}
