//! The store keeps the laws of its trait, and a commit that fails is there as a whole or not at all.

use std::cell::Cell;

use anti_entropy_conformance::check_store;
use anti_entropy_redb::{RedbConfig, RedbFile, RedbStore, Schema};

fn config() -> RedbConfig {
    RedbConfig::new(Schema::new("conformance", 1))
}

#[test]
fn the_store_keeps_the_laws() {
    let directory = tempfile::tempdir().unwrap();
    let number = Cell::new(0);
    let open = || -> RedbStore {
        let path = directory.path().join(number.get().to_string());
        RedbFile::create(path, config()).unwrap().space("s").unwrap()
    };
    let new = || {
        number.set(number.get() + 1);
        open()
    };
    let reopen = |store| {
        drop(store);
        open()
    };
    check_store(new, reopen).unwrap();
}

/// A neighbour in the same file must not show.
#[test]
fn spaces_of_one_file_keep_the_laws() {
    use anti_entropy::Store;
    use anti_entropy::store::{Commit, MetaSlot};
    let directory = tempfile::tempdir().unwrap();
    let file = RedbFile::create(directory.path().join("all"), config()).unwrap();
    let mut neighbour = file.space("0/neighbour").unwrap();
    let mut commit = Commit::default();
    commit.records.insert(anti_entropy::KeyHash::MIN, Some(vec![1]));
    commit.meta.insert(MetaSlot::Identity, vec![2]);
    neighbour.commit(commit).unwrap();
    let number = Cell::new(0);
    let new = || {
        number.set(number.get() + 1);
        file.space(&number.get().to_string()).unwrap()
    };
    check_store(new, |store: RedbStore| {
        let space = store.space().to_string();
        drop(store);
        file.space(&space).unwrap()
    })
    .unwrap();
    assert_eq!(neighbour.load(anti_entropy::KeyHash::MIN).unwrap(), Some(vec![1]));
}

#[cfg(feature = "simulated-disk")]
#[test]
fn failed_commits_are_whole_or_not_there() {
    use std::cell::RefCell;

    use anti_entropy_conformance::check_failed_commits;
    use anti_entropy_redb::simulated_disk::SimulatedDisk;

    for cut in [false, true] {
        let disk = RefCell::new(SimulatedDisk::new(0));
        let open = || RedbFile::with_backend(disk.borrow().backend(), config()).unwrap().space("s").unwrap();
        let new = || {
            *disk.borrow_mut() = SimulatedDisk::new(1);
            open()
        };
        let fail = |_: &mut RedbStore, point: u32| {
            let disk = disk.borrow();
            if cut { disk.cut_power_after(point.into()) } else { disk.fail_after(point.into()) }
        };
        let reopen = |store| {
            drop(store);
            open()
        };
        check_failed_commits(new, fail, reopen).unwrap();
    }
}
