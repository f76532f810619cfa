//! A disk that is full or dies loses nothing, and says what is certain.
#![cfg(feature = "simulated-disk")]
#![allow(clippy::unwrap_used, reason = "a test may")]

use anti_entropy::store::{Commit, MetaSlot};
use anti_entropy::{KeyHash, Store};
use anti_entropy_redb::simulated_disk::SimulatedDisk;
use anti_entropy_redb::{RedbConfig, RedbFile, Schema};

fn config() -> RedbConfig {
    RedbConfig::new(Schema::new("failing", 1))
}

fn commit(number: u8, bytes: usize) -> Commit {
    let mut commit = Commit::default();
    commit.records.insert(KeyHash::from_bytes([number; 16]), Some(vec![number; bytes]));
    commit.meta.insert(MetaSlot::Identity, vec![number]);
    commit
}

#[test]
fn whatever_operation_fails_nothing_is_lost() {
    let (mut failed, mut kept) = (0, 0);
    for point in 0.. {
        let disk = SimulatedDisk::new(point);
        let file = RedbFile::with_backend(disk.backend(), config()).unwrap();
        let (mut store, mut other) = (file.space("s").unwrap(), file.space("other").unwrap());
        store.commit(commit(1, 1_000)).unwrap();
        disk.fail_after(point);
        // Large enough for the file to grow.
        let Err(error) = store.commit(commit(2, 4 << 20)) else { break };
        failed += 1;
        assert!(error.may_have_changed() && error.to_string().contains("no space left on device"), "{error}");
        // Refused for certain, by this space and by its neighbour, with the way out in the message.
        for refused in [store.commit(commit(3, 10)), other.commit(commit(3, 10))] {
            let error = refused.unwrap_err();
            assert!(!error.may_have_changed() && error.to_string().contains("open it again"), "{error}");
            assert!(error.to_string().contains("no space left on device"), "{error}");
        }
        drop((store, other, file));
        let file = RedbFile::with_backend(disk.backend(), config()).unwrap();
        let (mut store, other) = (file.space("s").unwrap(), file.space("other").unwrap());
        assert_eq!(store.load(KeyHash::from_bytes([1; 16])).unwrap(), Some(vec![1; 1_000]));
        let (record, meta) =
            (store.load(KeyHash::from_bytes([2; 16])).unwrap(), store.meta(MetaSlot::Identity).unwrap());
        kept += u32::from(record.is_some());
        assert_eq!(
            (record.is_some(), meta.unwrap()),
            if record.is_some() { (true, vec![2]) } else { (false, vec![1]) }
        );
        assert_eq!(store.load(KeyHash::from_bytes([3; 16])).unwrap(), None);
        assert_eq!(other.meta(MetaSlot::Identity).unwrap(), None);
        store.commit(commit(4, 10)).unwrap();
    }
    assert!(failed > 5 && kept < failed, "{kept} of {failed} were kept");
}

#[test]
fn a_file_that_cannot_be_written_when_it_is_opened_stays_usable() {
    let disk = SimulatedDisk::new(1);
    let file = RedbFile::with_backend(disk.backend(), config()).unwrap();
    file.space("s").unwrap().commit(commit(1, 10)).unwrap();
    drop(file);
    let mut refused = 0;
    for point in 0.. {
        let backend = disk.backend();
        disk.fail_after(point);
        let Err(error) = RedbFile::with_backend(backend, config()) else { break };
        assert!(error.to_string().contains("nothing that was committed is lost"), "{error}");
        assert!(error.to_string().contains("no space left on device"), "{error}");
        refused += 1;
    }
    assert!(refused > 2);
    let file = RedbFile::with_backend(disk.backend(), config()).unwrap();
    assert_eq!(file.space("s").unwrap().load(KeyHash::from_bytes([1; 16])).unwrap(), Some(vec![1; 10]));
}
