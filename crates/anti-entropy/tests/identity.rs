//! Who a replica is after its store was closed, left open, put back or damaged; and what an audit says of it.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use anti_entropy::clock::{Now, Seed};
use anti_entropy::store::{Commit, MetaSlot, StoreError};
use anti_entropy::{
    Continuity, Discrepancy, Error, KeyHash, KeyRange, Keyed, LastWriterWins, MemoryStore, Opening, Replica, Store,
};

type Item = Keyed<u32, String>;

/// A disk that outlives the replicas opened on it, and can fail.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<(MemoryStore, Option<Failure>)>>);

#[derive(Clone, Copy)]
enum Failure {
    Full,
    SyncFailedButKept,
}

impl Disk {
    fn open(&self, seed: u8, continuity: Continuity) -> Replica<Item> {
        let opening = Opening::from(Seed::from_bytes([seed; 32])).with(|config| config.continuity = continuity);
        Replica::open(self.clone(), LastWriterWins, opening).unwrap()
    }

    fn backup(&self) -> MemoryStore {
        self.0.lock().unwrap().0.clone()
    }

    fn restore(&self, backup: MemoryStore) {
        self.0.lock().unwrap().0 = backup;
    }

    fn fail(&self, failure: Option<Failure>) {
        self.0.lock().unwrap().1 = failure;
    }
}

impl Store for Disk {
    fn load(&self, key: KeyHash) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.lock().unwrap().0.load(key)
    }
    fn scan(
        &self,
        range: KeyRange,
        visit: &mut dyn FnMut(KeyHash, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.backup().scan(range, visit)
    }
    fn meta(&self, slot: MetaSlot) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.lock().unwrap().0.meta(slot)
    }
    fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        let mut disk = self.0.lock().unwrap();
        match disk.1 {
            None => disk.0.commit(commit),
            Some(Failure::Full) => Err(StoreError::unchanged("the disk is full")),
            Some(Failure::SyncFailedButKept) => {
                disk.0.commit(commit)?;
                Err(StoreError::unknown("sync failed"))
            }
        }
    }
}

fn item(key: u32, value: &str) -> Item {
    Keyed::new(key, value.to_string())
}

#[test]
fn a_closed_store_goes_on_under_its_id_and_a_crashed_one_does_not() {
    let disk = Disk::default();
    let mut replica = disk.open(1, Continuity::Unproven);
    let (id, root) = (replica.id(), {
        replica.write(item(1, "one"), Now::default()).unwrap();
        replica.root()
    });
    let marker = replica.close().unwrap();
    let mut replica = disk.open(2, Continuity::Marker(marker));
    assert_eq!((replica.id(), replica.root()), (id, root));
    drop(replica);
    let replica = disk.open(3, Continuity::Marker(marker));
    assert_ne!(replica.id(), id, "the marker was used up");
    assert!(replica.context().max_counter(id) == 1, "what was written under the old id is known");
}

#[test]
fn a_backup_passes_for_the_store_with_no_marker_that_there_was() {
    let disk = Disk::default();
    let mut replica = disk.open(1, Continuity::Unproven);
    replica.write(item(1, "one"), Now::default()).unwrap();
    let of_the_open_store = disk.backup();
    replica.write(item(2, "two"), Now::default()).unwrap();
    let id = replica.id();
    let marker = replica.close().unwrap();
    disk.restore(of_the_open_store);
    assert_ne!(disk.open(2, Continuity::Marker(marker)).id(), id);
}

#[test]
fn a_full_disk_changes_nothing_and_the_replica_goes_on() {
    let disk = Disk::default();
    let mut replica = disk.open(1, Continuity::Unproven);
    replica.write(item(1, "one"), Now::default()).unwrap();
    let root = replica.root();
    disk.fail(Some(Failure::Full));
    assert!(matches!(replica.write(item(2, "two"), Now::default()), Err(Error::Store(_))));
    assert_eq!(replica.root(), root);
    disk.fail(None);
    let written = replica.write(item(2, "two"), Now::default()).unwrap();
    assert_eq!(written.dot.counter, 2, "a dot that was certainly not kept is minted again");
}

#[test]
fn a_commit_that_may_have_been_kept_stops_the_replica_and_its_dot_is_never_used_again() {
    let disk = Disk::default();
    let mut replica = disk.open(1, Continuity::Unproven);
    disk.fail(Some(Failure::SyncFailedButKept));
    assert!(replica.write(item(1, "one"), Now::default()).is_err());
    disk.fail(None);
    assert!(matches!(replica.write(item(2, "two"), Now::default()), Err(Error::Stopped { .. })));
    let mut replica = disk.open(2, Continuity::Vouched);
    assert_eq!(replica.read(&1).unwrap().value().unwrap().value, "one");
    assert_eq!(replica.write(item(2, "two"), Now::default()).unwrap().dot.counter, 2);
}

#[test]
fn an_audit_finds_each_kind_of_damage() {
    let disk = Disk::default();
    let mut replica = disk.open(1, Continuity::Unproven);
    for key in 0..4 {
        replica.write(item(key, "value"), Now::default()).unwrap();
    }
    assert!(replica.audit().unwrap().discrepancies.is_empty());
    let mut records = Vec::new();
    disk.backup()
        .scan(KeyRange::ALL, &mut |key, record| {
            records.push((key, record.to_vec()));
            ControlFlow::Continue(())
        })
        .unwrap();
    let mut damage = Commit::default();
    let (changed, lost, garbled) = (records[0].0, records[1].0, records[2].0);
    let mut other = records[0].1.clone();
    // The last letter of the value, before the number of its parts.
    let letter = other.len() - 2;
    other[letter] ^= 1;
    damage.records.insert(changed, Some(other));
    damage.records.insert(lost, None);
    damage.records.insert(garbled, Some(vec![1, 2, 3]));
    disk.clone().commit(damage).unwrap();
    let audit = replica.audit().unwrap();
    assert_eq!(audit.records, 3);
    let found: Vec<_> = audit.discrepancies.iter().map(|(key, what)| (*key, core::mem::discriminant(what))).collect();
    let expected = [
        (changed, core::mem::discriminant(&Discrepancy::Changed)),
        (lost, core::mem::discriminant(&Discrepancy::Lost)),
        (garbled, core::mem::discriminant(&Discrepancy::Damaged(String::new()))),
    ];
    assert_eq!(found, expected);
    // A damaged store is not opened as if nothing were the matter.
    let opening = Opening::from(Seed::from_bytes([9; 32]));
    let error = Replica::<Item>::open(disk, LastWriterWins, opening).unwrap_err();
    assert!(matches!(error, Error::DamagedRecord { key, .. } if key == garbled), "{error}");
}

#[test]
fn a_store_in_another_format_is_refused_with_what_to_do() {
    let disk = Disk::default();
    drop(disk.open(1, Continuity::Unproven));
    let mut identity = disk.meta(MetaSlot::Identity).unwrap().unwrap();
    identity[0] = 200;
    let mut commit = Commit::default();
    commit.meta.insert(MetaSlot::Identity, identity);
    disk.clone().commit(commit).unwrap();
    let opening = Opening::from(Seed::from_bytes([9; 32]));
    let error = Replica::<Item>::open(disk, LastWriterWins, opening).unwrap_err().to_string();
    assert!(error.contains("format 200") && error.contains("reads format 1"), "{error}");
}
