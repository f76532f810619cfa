//! Rebuilds over stores that fail.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anti_entropy::store::StoreError;
use anti_entropy::{Error, GossipConfig, MemoryStore, Store};
use anti_entropy_conformance::{with_commit, with_load};
use anti_entropy_engram::Pattern;
use anti_entropy_engram::gossiper::{GossiperConfig, RebuildProgress, Vanished};

use crate::cluster::{counts, held, open, pattern, seed, snapshot, space, start, versions};

/// How many loads and commits do well until one fails; then all do well again.
#[derive(Clone, Debug, Default)]
struct Fuse(Arc<AtomicU32>);

impl Fuse {
    const OFF: u32 = 0;

    fn burn(&self) -> Result<(), StoreError> {
        let left = self.0.load(Ordering::Relaxed);
        self.0.store(left.saturating_sub(1), Ordering::Relaxed);
        if left == 1 { Err(StoreError::unchanged("the disk is busy")) } else { Ok(()) }
    }

    /// A store in memory whose loads and commits burn it.
    fn store(&self) -> impl Store + use<> {
        let (loads, commits) = (self.clone(), self.clone());
        let store = with_commit(MemoryStore::new(), move |store, commit| {
            commits.burn()?;
            store.commit(commit)
        });
        with_load(store, move |store, key| {
            loads.burn()?;
            store.load(key)
        })
    }
}

/// Rebuilds with a store whose `fails_at`th operation fails, and once more. Returns whether the first one failed.
fn rebuild_twice(fails_at: u32) -> bool {
    let fuse = Fuse::default();
    let store = fuse.store();
    let mut node = open(0, 1, space(), store, seed(1), GossipConfig::default(), start());
    let before = ["a", "b", "c", "e", "f"].map(|id| pattern(id, 10));
    node.rebuild_from_snapshot(&snapshot(before), start()).unwrap();
    // What the next rebuild has to follow: a delete, and another version in the node's name.
    node.engine_mut().delete(&"e".to_string(), start()).unwrap();
    let other = Pattern::new(&pattern("f", 20), node.node().as_str(), node.space()).unwrap();
    node.engine_mut().write(other, start()).unwrap();
    let held_before = held(&node);
    let said = [pattern("a", 11), pattern("b", 10), pattern("d", 10), pattern("e", 10), pattern("f", 10)];
    let next = snapshot(said);

    fuse.0.store(fails_at, Ordering::Relaxed);
    let first = node.rebuild_with(&next, Vanished::Delete, start());
    let failed = first.is_err();
    fuse.0.store(Fuse::OFF, Ordering::Relaxed);
    if failed {
        assert!(matches!(first, Err(Error::Store(_))), "{first:?}");
        assert_eq!(held(&node), held_before, "operation {fails_at}");
        let rebuilt = node.rebuild_with(&next, Vanished::Delete, start()).unwrap();
        assert_eq!((counts(&rebuilt), rebuilt.generation), ([3, 2, 1, 0, 0], 2), "operation {fails_at}");
    }
    assert_eq!(held(&node), versions(&[("a", 0, 11), ("b", 0, 10), ("d", 0, 10), ("f", 0, 10)]));
    assert_eq!(counts(&node.rebuild_with(&next, Vanished::Delete, start()).unwrap()), [0, 5, 0, 0, 0]);
    failed
}

#[test]
fn a_rebuild_that_fails_changes_nothing_and_the_next_makes_up_for_it() {
    let operations = (1..1000).find(|fails_at| !rebuild_twice(*fails_at)).unwrap();
    // Two to follow the store, two for each of four changes, a commit; then those of pushes, whose failures are events.
    assert!(operations > 2 + 2 * 4, "{operations}");
}

/// The same in steps of one pattern: what a failed step did not do, it does when it is tried again.
#[test]
fn a_step_that_fails_is_tried_again() {
    for fails_at in 1..40 {
        let fuse = Fuse::default();
        let store = fuse.store();
        let config = GossiperConfig::default().with(|config| config.max_step = NonZeroUsize::MIN);
        let mut node = open(0, 1, space(), store, seed(1), config, start());
        node.rebuild_from_snapshot(&snapshot(["a", "b", "c", "e"].map(|id| pattern(id, 10))), start()).unwrap();
        node.engine_mut().delete(&"e".to_string(), start()).unwrap();
        let next = snapshot([pattern("a", 11), pattern("b", 10), pattern("d", 10), pattern("e", 10)]);
        let prepared = node.preparer().prepare(&next);
        node.begin_rebuild(prepared, Vanished::Delete);
        fuse.0.store(fails_at, Ordering::Relaxed);
        let mut failures = 0;
        let rebuilt = loop {
            match node.continue_rebuild(start()) {
                Ok(RebuildProgress::Finished(rebuilt)) => break rebuilt,
                Ok(progress) => assert_eq!(progress, RebuildProgress::Ongoing),
                Err(_) => failures += 1,
            }
        };
        assert!(failures <= 1);
        assert!(fails_at > 3 || failures == 1, "operation {fails_at}");
        assert_eq!((counts(&rebuilt), rebuilt.generation), ([2, 2, 1, 0, 0], 2), "operation {fails_at}");
        assert_eq!(held(&node), versions(&[("a", 0, 11), ("b", 0, 10), ("d", 0, 10)]));
    }
}
