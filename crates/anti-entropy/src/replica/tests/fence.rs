//! The row "memory put back on a later disk": a replica whose store is not the one that it left.

use alloc::string::{String, ToString};

use super::disk::Disk;
use crate::clock::{Now, Seed};
use crate::mutant::{Mutant, with};
use crate::replica::{Continuity, Error, Keyed, LastWriterWins, Opening, Replica};

type Item = Keyed<u32, String>;

fn open(disk: &Disk, seed: u8, continuity: Continuity) -> Replica<Item> {
    let opening = Opening::from(Seed::from_bytes([seed; 32])).with(|opening| opening.continuity = continuity);
    Replica::open(disk.clone(), LastWriterWins, opening).unwrap()
}

fn write(replica: &mut Replica<Item>, key: u32, value: &str) -> Result<(), Error> {
    replica.write(Keyed::new(key, value.to_string()), Now::default()).map(drop)
}

/// What is read of a key after memory was put back to before the write of key 2, and wrote to key 3; and how that ended.
fn put_back_on_a_later_disk(key: u32) -> (Option<String>, Result<(), Error>) {
    let disk = Disk::default();
    let mut replica = open(&disk, 1, Continuity::Unproven);
    write(&mut replica, 1, "before").unwrap();
    let mut back = replica.fork(disk.clone(), LastWriterWins);
    write(&mut replica, 2, "acknowledged").unwrap();
    drop(replica);
    let result = write(&mut back, 3, "after");
    assert_eq!(back.is_stopped(), result.is_err());
    let read = open(&disk, 2, Continuity::Unproven).read(&key).unwrap();
    (read.value().map(|item| item.value.clone()), result)
}

#[test]
fn a_replica_whose_disk_is_later_than_its_memory_stops_and_changes_nothing() {
    let (read, result) = put_back_on_a_later_disk(2);
    assert_eq!(read.as_deref(), Some("acknowledged"));
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Stopped { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("put back") && text.ends_with("nothing was changed; open it again"), "{text}");
    assert_eq!(put_back_on_a_later_disk(3).0, None);
}

/// Who is told that the process was put back must not write under the old id, whatever happens.
#[test]
fn a_replica_that_is_put_back_and_cannot_take_a_new_id_stops() {
    let disk = Disk::default();
    let mut replica = open(&disk, 1, Continuity::Unproven);
    let mut back = replica.fork(disk.clone(), LastWriterWins);
    write(&mut replica, 1, "later").unwrap();
    let (id, error) = (back.id(), back.put_back(Seed::from_bytes([9; 32])).unwrap_err());
    assert!(error.to_string().contains("the memory of this process or its disk was put back"), "{error}");
    assert!(back.is_stopped() && back.id() == id && back.poll_notice().is_none());
}

/// The two writes have one name, so a store that is opened again cannot have both for new.
#[test]
fn without_the_fence_it_goes_on() {
    let result = with(Some(Mutant::StoreOfAnotherTimeNotNoticed), || put_back_on_a_later_disk(3));
    assert!(matches!(&result, (Some(read), Ok(())) if read == "after"), "{result:?}");
}

/// Reads do not count: what is noticed at the next commit is noticed before a session says anything of the store, too.
#[test]
fn a_store_is_checked_without_a_commit_and_a_commit_that_failed_changes_nothing() {
    let disk = Disk::default();
    let mut replica = open(&disk, 1, Continuity::Unproven);
    let mut back = replica.fork(disk.clone(), LastWriterWins);
    back.check_store().unwrap();
    assert!(
        matches!(replica.commit(crate::replica::Transaction::new(), Now::default()), Ok(written) if written.is_empty())
    );
    back.check_store().unwrap();
    write(&mut replica, 1, "a").unwrap();
    replica.check_store().unwrap();
    assert!(matches!(back.check_store(), Err(Error::Stopped { .. })));
    assert!(matches!(back.check_store(), Err(Error::Stopped { .. })), "it stays so");
}

/// A store that is opened again counts from the beginning, and is not taken for the one of the opening before.
#[test]
fn an_opening_by_somebody_else_is_noticed() {
    let disk = Disk::default();
    let mut replica = open(&disk, 1, Continuity::Unproven);
    let mut other = open(&disk, 2, Continuity::Vouched);
    assert_eq!((replica.id(), replica.commits), (other.id(), other.commits));
    assert!(write(&mut replica, 1, "a").is_err());
    write(&mut other, 1, "b").unwrap();
}
