//! What becomes of the state: disks that are full or read-only, files that are held, damaged or gone.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::bench::{Bench, LONG, eventually, history, stream, with};
use crate::crash::{self, Process, TOOL};
use crate::embedded::InputSpec;

/// A shell in namespaces of its own, where it may mount what it likes.
struct Namespace {
    shell: Child,
    commands: ChildStdin,
    answers: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Namespace {
    /// With a disk of half a megabyte at `disk`; nothing where namespaces are not permitted.
    fn new(disk: &Path) -> Option<Self> {
        std::fs::create_dir(disk).unwrap();
        let mut shell = Command::new("unshare")
            .args(["-Urm", "sh"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let (commands, answers) = (shell.stdin.take()?, BufReader::new(shell.stdout.take()?));
        let mut namespace = Self { shell, commands, answers: answers.lines() };
        let mounted =
            namespace.tell(&format!("mount -t tmpfs -o size=512k none {}", disk.display()));
        if mounted.is_none() {
            eprintln!(
                "SKIPPED: this machine does not permit namespaces, so there is no small disk"
            );
        }
        mounted.map(|_| namespace)
    }

    /// Runs a command, and gives the last line that it prints; nothing if it fails.
    fn tell(&mut self, command: &str) -> Option<String> {
        writeln!(self.commands, "{command} && echo \"=$said\" || echo !; said=").ok()?;
        loop {
            let line = self.answers.next()?.ok()?;
            match line.strip_prefix('=') {
                Some(said) => return Some(said.to_owned()),
                None if line == "!" => return None,
                None => {}
            }
        }
    }

    fn start(&mut self, bench: &Bench, input: &InputSpec) {
        let arguments = crash::arguments(bench, input).join("' '");
        let log = crash::log(bench);
        let start = format!("{{ {TOOL} '{arguments}' 2>>{} & }} && pid=$!", log.display());
        self.tell(&start).expect("it starts");
    }

    /// SIGTERM, and what it ends with is good.
    fn end(&mut self) {
        self.tell("kill -TERM $pid && wait $pid").expect("it ends when it is told to, and well");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = writeln!(self.commands, "kill -KILL $pid; exit");
        let _ = self.shell.wait();
    }
}

fn logged(bench: &Bench, text: &str) -> usize {
    std::fs::read_to_string(crash::log(bench)).unwrap_or_default().matches(text).count()
}

fn wait_for_log(bench: &Bench, text: &str, times: usize) {
    let found = eventually(LONG, || logged(bench, text) >= times);
    let log = || std::fs::read_to_string(crash::log(bench)).unwrap_or_default();
    assert!(found, "waited in vain for {times} x '{text}'\n{}", log());
}

fn wait_for_new_records(bench: &Bench) {
    let before = crash::ids(bench).len();
    assert!(eventually(LONG, || crash::ids(bench).len() > before + 200), "no records come");
}

fn assert_none_twice(bench: &Bench) {
    let twice = crash::ids(bench).values().filter(|times| **times > 1).count();
    assert_eq!(twice, 0, "came twice");
}

#[test]
fn a_disk_that_is_full_or_read_only_holds_up_no_record_and_nothing_is_forgotten() {
    let bench = Bench::new(stream());
    let disk = bench.path("disk");
    let Some(mut namespace) = Namespace::new(&disk) else { return };
    let input = with(bench.small_pages("in"), "db", disk.join("lookback.db").display());
    let fill = format!("{{ cat /dev/zero >{0}/filler 2>&-; [ -s {0}/filler ]; }}", disk.display());
    let free = format!("rm {}/filler", disk.display());

    // At the very first start, nothing is read before there is a state.
    namespace.tell(&fill).unwrap();
    namespace.start(&bench, &input);
    wait_for_log(&bench, "nothing is read until it can be", 1);
    assert!(crash::ids(&bench).is_empty());
    namespace.tell(&free).unwrap();
    wait_for_log(&bench, "state_recovered", 1);
    wait_for_new_records(&bench);

    // While it runs, records flow on.
    namespace.tell(&fill).unwrap();
    wait_for_log(&bench, "the state cannot be read or written", 1);
    wait_for_new_records(&bench);
    namespace.tell(&free).unwrap();
    wait_for_log(&bench, "state_recovered", 2);
    namespace.end();

    // At a restart, what happens meanwhile comes when it can be written again.
    namespace.tell(&format!("mount -o remount,ro {}", disk.display())).unwrap();
    let before = crash::ids(&bench).len();
    namespace.start(&bench, &input);
    wait_for_log(&bench, "nothing is read until it can be", 2);
    assert_eq!(crash::ids(&bench).len(), before);
    namespace.tell(&format!("mount -o remount,rw {}", disk.display())).unwrap();
    crash::wait_for_all(&bench);
    namespace.end();
    assert_none_twice(&bench);
}

#[test]
fn a_state_that_another_process_holds_for_long_holds_up_no_record_and_nothing_is_forgotten() {
    let bench = Bench::new(stream());
    let input = bench.small_pages("in");
    let process = Process::start(Path::new(TOOL), &bench, &input);
    wait_for_new_records(&bench);
    let other = rusqlite::Connection::open(bench.path("lookback.db")).unwrap();
    let hold = || {
        let held = || other.execute_batch("BEGIN EXCLUSIVE").is_ok();
        assert!(eventually(LONG, held), "the lock is never free");
    };
    hold();
    wait_for_log(&bench, "the state cannot be read or written", 1);
    wait_for_new_records(&bench);
    other.execute_batch("COMMIT").unwrap();
    wait_for_log(&bench, "state_recovered", 1);
    assert!(process.end());

    hold();
    let process = Process::start(Path::new(TOOL), &bench, &input);
    wait_for_log(&bench, "nothing is read until it can be", 1);
    other.execute_batch("COMMIT").unwrap();
    drop(other);
    crash::wait_for_all(&bench);
    assert!(process.end());
    assert_none_twice(&bench);
}

#[test]
fn a_state_that_is_deleted_while_it_runs_is_begun_anew_and_nothing_comes_twice() {
    for whole_directory in [true, false] {
        let bench = Bench::new(stream());
        let home = bench.path("home");
        std::fs::create_dir(&home).unwrap();
        let db = home.join("lookback.db");
        let input = || with(bench.small_pages("in"), "db", db.display());
        let host = bench.start(vec![input()]);
        bench.wait(&host, "records", || bench.count("in") > 500);
        if whole_directory {
            std::fs::rename(&home, bench.path("elsewhere")).unwrap();
            bench.wait(&host, "the failure", || bench.has_health("state_failed"));
            let before = bench.count("in");
            bench.wait(&host, "more records", || bench.count("in") > before + 200);
            assert!(!home.exists(), "a directory that is gone is nobody's to make");
            std::fs::create_dir(&home).unwrap();
        } else {
            for part in ["", "-wal", "-shm"] {
                std::fs::remove_file(home.join(format!("lookback.db{part}"))).unwrap();
            }
        }
        bench.wait(&host, "the mend", || bench.has_health("state_recovered"));
        bench.stop(host);
        let host = bench.start(vec![input()]);
        bench.finish(host, "in");
    }
}

#[test]
fn a_state_replaced_by_one_that_hashes_ids_otherwise_loses_nothing() {
    let bench = Bench::new(stream());
    let (home, other) = (bench.path("home"), bench.path("other"));
    let input = |dir: &Path, name: &str| {
        std::fs::create_dir_all(dir).unwrap();
        let input = bench.small_pages(name).set("source", name);
        with(input, "db", dir.join("lookback.db").display())
    };
    let host = bench.start(vec![input(&other, "b")]);
    bench.wait(&host, "records", || bench.count("b") > 0);
    bench.stop(host);
    let host = bench.start(vec![input(&home, "in")]);
    bench.wait(&host, "records", || bench.count("in") > 500);
    std::fs::rename(&home, bench.path("elsewhere")).unwrap();
    std::fs::rename(&other, &home).unwrap();
    bench.wait(&host, "the log line", || bench.has_logged("hashes ids otherwise"));
    bench.wait(&host, "the report", || bench.has_health("state_failed"));
    bench.wait_for_all(&host, "in");
    bench.stop(host);
    let thrice = bench.delivered_by("in").values().filter(|times| **times > 2).count();
    assert_eq!(thrice, 0);
    let twice = bench.delivered_by("in").values().filter(|times| **times > 1).count();
    // Its progress went along: no more than the window is read again, and what was on its way.
    assert!(twice < bench.count("in") / 2, "{twice} of {}", bench.count("in"));
}

/// Damages the file behind the plugin's back: by another process, for one that opens and closes the file
/// would let go the plugin's locks.
fn damage(db: &Path, how: &str) {
    let done = Command::new("sh").args(["-c", how, "sh"]).arg(db).status().unwrap();
    assert!(done.success(), "{how}");
}

#[test]
fn a_state_damaged_at_a_restart_loses_nothing() {
    let garble = "dd status=none if=/dev/urandom of=\"$1\" bs=4096 conv=notrunc";
    let cases = [
        format!("{garble} count=1"),
        format!("{garble} seek=2 count=12"),
        "truncate -s 9000 \"$1\"".to_owned(),
        ": >\"$1\"".to_owned(),
        "rm \"$1\"".to_owned(),
    ];
    for how in cases {
        let bench = Bench::new(history(1_500));
        let input = || with(bench.small_pages("in"), "sweeps", "10m/5m");
        let host = bench.start(vec![input()]);
        bench.wait_for_all(&host, "in");
        bench.assert_exact("in");
        bench.stop(host);
        damage(&bench.path("lookback.db"), &how);
        // A start that reaches less far than what was lost: it does not count from here.
        let before = bench.count("in");
        let host = bench.start(vec![with(input(), "start", "5s")]);
        bench.wait(&host, "the report", || bench.has_health("state_failed"));
        bench.wait(&host, "the mend", || bench.has_health("state_recovered"));
        bench.wait(&host, "all again, or known", || {
            let seen = bench.count("in") - before
                + host.instance("in").metrics.sum("lookback_duplicates_total", &[]).unwrap_or(0.0)
                    as usize;
            seen >= before
        });
        bench.stop(host);
        let thrice = bench.delivered_by("in").values().filter(|times| **times > 2).count();
        assert_eq!(thrice, 0, "{how}");
        let names = std::fs::read_dir(bench.path("")).unwrap();
        let asides = names.filter(|entry| {
            entry.as_ref().unwrap().file_name().to_string_lossy().contains(".db.damaged-")
        });
        let is_kept = asides.count() > 0;
        assert_eq!(is_kept, how.contains("dd ") || how.contains("9000"), "{how}");
    }
}

#[test]
fn a_state_damaged_while_two_sources_use_it_loses_nothing_of_either() {
    let bench = Bench::new(stream());
    let input = |name: &str| bench.small_pages(name).set("source", name);
    let host = bench.start(vec![input("a"), input("b")]);
    bench.wait(&host, "records", || bench.count("a") > 500 && bench.count("b") > 500);
    // Header, tables and all; and the log, so that nothing hides it. What is written anew is sound again: so over
    // and over, and by names of its own, which the file that is begun in its place does not have.
    let db = bench.path("lookback.db");
    damage(&db, "for part in '' -wal; do ln \"$1$part\" \"$1$part.same\"; done");
    bench.wait(&host, "the report", || {
        let garble =
            "dd status=none if=/dev/urandom of=\"$1$part.same\" bs=4096 count=64 conv=notrunc";
        damage(&db, &format!("for part in '' -wal; do {garble}; done"));
        bench.has_health("state_failed")
    });
    bench.wait(&host, "the mend", || bench.has_health("state_recovered"));
    bench.wait_for_all(&host, "a");
    bench.wait_for_all(&host, "b");
    bench.assert_exact("a");
    bench.assert_exact("b");
    bench.stop(host);
    assert!(
        std::fs::read_dir(bench.path(""))
            .unwrap()
            .any(|entry| { entry.unwrap().file_name().to_string_lossy().contains(".db.damaged-") })
    );
    let host = bench.start(vec![input("a"), input("b")]);
    bench.wait_for_all(&host, "a");
    bench.wait_for_all(&host, "b");
    bench.stop(host);
    bench.assert_exact("a");
    bench.assert_exact("b");
}
