//! What a process acknowledged is there after it was killed.
//!
//! ```sh
//! KILLS=1000 cargo test --release -p anti-entropy-redb --test kills -- --ignored
//! ```
#![allow(clippy::unwrap_used, reason = "a test may")]

mod ledger;

use std::env;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anti_entropy::clock::{Dot, ReplicaId, Seed};
use anti_entropy::{Continuity, KeyHash, LastWriterWins, Opening, Replica, Written};
use anti_entropy_redb::{RedbConfig, RedbFile, Schema};
use fastrand::Rng;

use crate::ledger::{Changes, Item, Ledger, commit};

/// The file that the child writes to.
const FILE: &str = "ANTI_ENTROPY_KILLS_FILE";
/// What the child's changes follow from.
const SEED: &str = "ANTI_ENTROPY_KILLS_SEED";
/// How long the first answer of a child may take on a machine that does other things.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
#[ignore = "kills processes for a while; KILLS says how many"]
fn acknowledged_writes_survive_kills() {
    let kills: u64 = env::var("KILLS").map_or(20, |number| number.parse().expect("a number"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let mut random = Rng::with_seed(1);
    let mut ledger = Ledger::default();
    for kill in 0..kills {
        let seed = random.u64(..);
        write_until_killed(&path, seed, Duration::from_micros(random.u64(0..40_000)), &mut ledger);
        ledger.check(&mut open(&path)).unwrap_or_else(|violation| panic!("after kill {kill}: {violation}"));
    }
    println!("{kills} kills, {} transactions acknowledged", ledger.acknowledged());
    assert!(ledger.acknowledged() > kills / 2, "hardly anything was written");
}

/// Not a test of its own: what the parent starts.
#[test]
#[ignore = "started by the other test"]
fn child() {
    let (Ok(path), Ok(seed)) = (env::var(FILE), env::var(SEED)) else { return };
    let mut random = Rng::with_seed(seed.parse().unwrap());
    let mut replica = open(Path::new(&path));
    loop {
        // The parent makes the same ones.
        let changes = Ledger::some_changes(&mut random);
        let written = commit(&mut replica, &changes).unwrap();
        let said = |written: &Written| {
            format!(" {:x} {:x} {}", written.key.to_u128(), written.dot.replica.to_u128(), written.dot.counter)
        };
        let line: String = written.iter().map(said).collect();
        // One write, without a buffer, so that what was said is what was done.
        io::stderr().write_all(format!("done{line}\n").as_bytes()).unwrap();
    }
}

/// Nothing was rolled back, so the replica keeps its id, and would use a dot twice if it had forgotten it.
fn open(path: &Path) -> Replica<Item> {
    let file = RedbFile::create(path, RedbConfig::new(Schema::new("kills", 1))).unwrap();
    let opening = Opening::from(Seed::from_os().unwrap()).with(|config| config.continuity = Continuity::Vouched);
    Replica::open(file.space("s").unwrap(), LastWriterWins, opening).unwrap()
}

fn write_until_killed(path: &Path, seed: u64, after: Duration, ledger: &mut Ledger) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env(FILE, path)
        .env(SEED, seed.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stderr.take().unwrap();
    let (sender, said) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut bytes) {
            if sender.send(bytes[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    // One kill in four falls somewhere into the start of the child, the others after its first answer.
    let mut heard = if seed.is_multiple_of(4) { Vec::new() } else { said.recv_timeout(PATIENCE).unwrap_or_default() };
    let deadline = Instant::now() + after;
    while let Ok(bytes) = said.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        heard.extend(bytes);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
    heard.extend(said.try_iter().flatten());
    acknowledge(&String::from_utf8(heard).unwrap(), seed, ledger);
}

/// Replays what the child did: as many changes as it said, and the next one, which it may have made.
fn acknowledge(heard: &str, seed: u64, ledger: &mut Ledger) {
    let mut random = Rng::with_seed(seed);
    for line in heard.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let mut words = line.split_whitespace();
        assert_eq!(words.next(), Some("done"), "{heard}");
        let words: Vec<&str> = words.collect();
        let dots: Vec<_> = words.chunks_exact(3).map(dot).collect();
        let changes: Changes = Ledger::some_changes(&mut random);
        ledger.acknowledge(changes, &dots, None).unwrap();
    }
    ledger.ask(&Ledger::some_changes(&mut random));
}

fn dot(words: &[&str]) -> (KeyHash, Dot) {
    let number = |word: &str| u128::from_str_radix(word, 16).unwrap();
    let replica = ReplicaId::from_u128(number(words[1]));
    (KeyHash::from_u128(number(words[0])), Dot { replica, counter: words[2].parse().unwrap() })
}
