//! A mount and a network namespace of the test's own: a disk that it may fill, a port 53 that it may serve.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

/// Set in the process that runs inside.
const INSIDE: &str = "LOOKBACK_TORTURE_INSIDE";

/// Whether this process runs in namespaces already.
pub(crate) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Whether this process has namespaces of its own. The first call, at the very start, may replace the
/// process by itself inside of them.
pub(crate) fn enter() -> bool {
    if is_inside() {
        return true;
    }
    let Ok(program) = std::env::current_exe() else { return false };
    let ways: [&[&str]; 2] = [&["-m", "-n"], &["-U", "-r", "-m", "-n"]];
    for way in ways {
        let unshare = |script: &str| {
            let mut command = Command::new("unshare");
            command.args(way).args(["--", "sh", "-c", script, "torture"]);
            command
        };
        let tried = unshare("ip link set lo up && mount -t tmpfs none /mnt")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if tried.is_ok_and(|status| status.success()) {
            let error = unshare("ip link set lo up && exec \"$@\"")
                .arg(&program)
                .args(std::env::args_os().skip(1))
                .env(INSIDE, "1")
                .exec();
            eprintln!("torture: {error}");
        }
    }
    false
}
