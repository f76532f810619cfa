//! A damaged file is refused and left as it was, or has everything that was committed.
#![cfg(feature = "simulated-disk")]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::ops::ControlFlow;

use anti_entropy::store::{Commit, MetaSlot};
use anti_entropy::{KeyHash, KeyRange, Store};
use anti_entropy_redb::simulated_disk::SimulatedDisk;
use anti_entropy_redb::{FileError, RedbConfig, RedbFile, Schema};

/// redb's own header.
const HEADER_BYTES: usize = 320;
/// Says which of two commits is the last one; no checksum covers it.
const LAST_COMMIT_BIT: usize = 9 * 8;

fn config() -> RedbConfig {
    RedbConfig::new(Schema::new("damage", 1))
}

type Content = Vec<(KeyHash, Vec<u8>)>;

fn content(file: &RedbFile) -> Content {
    let mut held = Vec::new();
    let space = file.space("s").unwrap();
    let scanned = space.scan(KeyRange::ALL, &mut |key, record| {
        held.push((key, record.to_vec()));
        ControlFlow::Continue(())
    });
    scanned.unwrap();
    held.push((KeyHash::MAX, space.meta(MetaSlot::Identity).unwrap().unwrap()));
    held
}

/// A file after several commits: closed, or as a crash leaves it.
fn file(closed: bool) -> (Vec<u8>, Content) {
    let disk = SimulatedDisk::new(3);
    let file = RedbFile::with_backend(disk.backend(), config()).unwrap();
    let mut store = file.space("s").unwrap();
    for number in 0..60_u8 {
        let mut commit = Commit::default();
        commit.records.insert(KeyHash::from_bytes([number; 16]), Some(vec![number; 400]));
        commit.records.insert(KeyHash::from_bytes([number / 2; 16]), Some(vec![number; 300]));
        commit.meta.insert(MetaSlot::Identity, vec![number; 40]);
        store.commit(commit).unwrap();
    }
    drop(store);
    let held = content(&file);
    if closed {
        drop(file);
    } else {
        disk.cut_power();
    }
    (disk.content(), held)
}

/// Whether it was refused.
fn check(damaged: &[u8], held: &Content, what: &dyn Fn() -> String) -> bool {
    let disk = SimulatedDisk::new(1);
    disk.set_content(damaged.to_vec());
    match RedbFile::with_backend(disk.backend(), config()) {
        Ok(file) => {
            assert!(content(&file) == *held, "{}: opened, and holds something else", what());
            false
        }
        Err(error) => {
            let named = matches!(error, FileError::Damaged(_) | FileError::NotRedb | FileError::OtherRedb(_));
            assert!(named, "{}: {error:?}", what());
            assert!(disk.content() == damaged, "{}: refused, and changed", what());
            true
        }
    }
}

#[test]
fn flipped_bits_are_noticed_or_do_not_matter() {
    let mut random = fastrand::Rng::with_seed(5);
    for closed in [true, false] {
        let (sound, held) = file(closed);
        assert!(!check(&sound, &held, &|| "sound".to_string()));
        let in_header = (0..HEADER_BYTES * 8).step_by(if closed { 1 } else { 3 });
        let used = sound.iter().rposition(|byte| *byte != 0).unwrap();
        let elsewhere: Vec<usize> = (0..400).map(|_| random.usize(HEADER_BYTES * 8..used * 8)).collect();
        let mut refused = 0;
        for bit in in_header.chain(elsewhere).filter(|bit| closed || *bit != LAST_COMMIT_BIT) {
            let mut damaged = sound.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            refused += u32::from(check(&damaged, &held, &|| format!("closed {closed}, bit {bit}")));
        }
        assert!(refused > 100, "{refused}");
    }
}

#[test]
fn truncated_and_longer_files_are_refused() {
    let (sound, held) = file(true);
    for len in [1, 8, 9, 100, 320, 512, 4_095, 4_096, 8_192, sound.len() / 2, sound.len() - 4_096, sound.len() - 1] {
        assert!(check(&sound[..len], &held, &|| format!("{len} bytes")), "{len} bytes");
    }
    let mut longer = sound;
    longer.extend([0; 100]);
    assert!(check(&longer, &held, &|| "longer".to_string()));
}
