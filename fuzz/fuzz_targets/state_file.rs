//! State files: whatever stands in one, it is opened, refused or set aside, and nothing panics.
//!
//! Either the input is the file itself (first byte `f`), or edits to a good one, four bytes each:
//! what, where (two bytes), and a value. Edits reach deeper than random files do.

#![no_main]

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use in_lookback::model::{Bucket, EventKey, IdHash, Known, Timestamp, Version};
use in_lookback::poll::Progress;
use in_lookback::poll::ledger::Ledger;
use in_lookback::poll::progress::Commit;
use in_lookback::state::sqlite::{self, SqliteState};
use in_lookback::state::{Opened, State, StateError};
use libfuzzer_sys::fuzz_target;
use lookback_fuzz::directory::directory;

/// A file and its log, as a crash may leave them.
struct Files {
    main: Vec<u8>,
    log: Vec<u8>,
}

/// After a clean end, and after a crash.
static GOOD: LazyLock<[Files; 2]> = LazyLock::new(|| {
    let dir = directory();
    let path = dir.path().join("good.db");
    let mut opened = open(&path).expect("a new state");
    let keys = (0..200).map(|n| key(n / 20, u128::from(n.unsigned_abs()) << 64)).collect();
    opened.state.commit(&commit(keys)).expect("a commit");
    let crashed = read(&path);
    drop(opened);
    [read(&path), crashed]
});

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else { return };
    let files = match choice {
        b'f' => Files { main: rest.to_vec(), log: Vec::new() },
        _ => edited(&GOOD[usize::from(choice % 2)], rest),
    };
    let dir = directory();
    let path = dir.path().join("x.db");
    fs::write(&path, &files.main).expect("room on the disk");
    if !files.log.is_empty() {
        fs::write(beside(&path, "-wal"), &files.log).expect("room on the disk");
    }
    // Some source has had a state here: what is no database at all is set aside as well.
    fs::write(beside(&path, ".lock-1"), "another").expect("room on the disk");
    let Ok(mut opened) = open(&path) else { return };
    let is_fresh = path.with_extension("db.damaged-7").exists();
    assert!(opened.damage.is_some() || !is_fresh, "set aside, and not told");
    let works = used(&mut opened.state);
    assert!(works.is_ok() || !is_fresh, "{works:?}");
    drop(opened);
    if is_fresh {
        let again = open(&path).expect("a fresh file");
        assert!(again.damage.is_none() && again.progress == progress());
    }
});

/// Everything that is done with a state.
fn used(state: &mut SqliteState) -> Result<(), StateError> {
    let key = key(5, 7);
    state.commit(&commit(vec![key]))?;
    let mut known = HashMap::from([(key.key(), Known::No)]);
    state.known(&mut known)?;
    assert!(known.len() == 1);
    state.doubt(&[key.key()])?;
    state.commit(&Commit { adopted: vec![key], ..commit(Vec::new()) })?;
    let old = Commit { expire_before: Bucket(3), ..commit(Vec::new()) };
    state.commit(&old)?;
    Ok(())
}

fn edited(good: &Files, edits: &[u8]) -> Files {
    let mut files = Files { main: good.main.clone(), log: good.log.clone() };
    for edit in edits.chunks_exact(4) {
        let [what, high, low, value] = [edit[0], edit[1], edit[2], edit[3]];
        let file =
            if what & 1 == 0 || files.log.is_empty() { &mut files.main } else { &mut files.log };
        let at = usize::from(u16::from_be_bytes([high, low]));
        let len = file.len();
        let Some(byte) = file.get_mut(at) else { continue };
        match what >> 1 & 7 {
            0..4 => *byte = value,
            4 => *byte ^= value,
            5 => file[at..(at + usize::from(value) * 16).min(len)].fill(0),
            6 => file[at..(at + usize::from(value)).min(len)].fill(0xff),
            _ => file.truncate(at),
        }
    }
    files
}

fn open(path: &Path) -> Result<Opened<SqliteState>, StateError> {
    sqlite::open(
        path,
        "source",
        Bucket::UNTIMED,
        |_| progress(),
        Timestamp::from_secs(7),
        Some(&|| true),
    )
}

fn progress() -> Progress {
    Progress::new(Timestamp::from_secs(5))
}

fn commit(keys: Vec<Version>) -> Commit {
    let (adopted, ledger) = (Vec::new(), Ledger::default());
    Commit { keys, adopted, progress: progress(), expire_before: Bucket(0), ledger }
}

fn key(bucket: i64, id: u128) -> Version {
    EventKey { bucket: Bucket(bucket), id: IdHash(id) }.into()
}

fn read(path: &Path) -> Files {
    let log = fs::read(beside(path, "-wal")).unwrap_or_default();
    Files { main: fs::read(path).expect("it is there"), log }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
