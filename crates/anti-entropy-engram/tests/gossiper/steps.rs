//! Rebuilds in steps: the same result as at once, a few patterns at a time, whatever happens in between.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use anti_entropy::store::{Commit, MetaSlot, StoreError};
use anti_entropy::{GossipConfig, KeyHash, KeyRange, MemoryStore, Store};
use anti_entropy_engram::gossiper::{
    BeliefUpdate, ConsolidationGossiper, GossiperConfig, RebuildProgress, Rebuilt, UpdateSource, Vanished,
};
use anti_entropy_engram::{ConsolidationSnapshot, Pattern, SemanticPattern};
use chrono::DateTime;

use crate::cluster::{Cluster, counts, held, open, pattern, seed, snapshot, space, start, versions};

/// Notes what is asked of the store in each operation: how many records are read or written.
#[derive(Clone, Debug, Default)]
struct Noting {
    store: Arc<Mutex<MemoryStore>>,
    loads: Arc<Mutex<usize>>,
    commits: Arc<Mutex<Vec<usize>>>,
}

impl Noting {
    fn loads(&self) -> usize {
        std::mem::take(&mut *self.loads.lock().unwrap())
    }

    fn commits(&self) -> Vec<usize> {
        std::mem::take(&mut *self.commits.lock().unwrap())
    }
}

impl Store for Noting {
    fn load(&self, key: KeyHash) -> Result<Option<Vec<u8>>, StoreError> {
        *self.loads.lock().unwrap() += 1;
        self.store.lock().unwrap().load(key)
    }

    fn scan(
        &self,
        range: KeyRange,
        visit: &mut dyn FnMut(KeyHash, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.store.lock().unwrap().scan(range, &mut |key, bytes| {
            *self.loads.lock().unwrap() += 1;
            visit(key, bytes)
        })
    }

    fn meta(&self, slot: MetaSlot) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.lock().unwrap().meta(slot)
    }

    fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        self.commits.lock().unwrap().push(commit.records.len());
        self.store.lock().unwrap().commit(commit)
    }
}

fn steps_of(most: usize) -> GossiperConfig {
    GossiperConfig::from(GossipConfig::lan()).with(|config| config.max_step = NonZeroUsize::new(most).unwrap())
}

fn noting(most: usize) -> (ConsolidationGossiper, Noting) {
    let store = Noting::default();
    (open(0, 1, space(), store.clone(), seed(0), steps_of(most), start()), store)
}

fn many(count: usize, percent: u8) -> Vec<SemanticPattern> {
    (0..count).map(|number| pattern(&format!("p{number:03}"), percent)).collect()
}

/// Goes on to the end, and calls `between` after each step.
fn finish(node: &mut ConsolidationGossiper, mut between: impl FnMut(&mut ConsolidationGossiper)) -> Rebuilt {
    loop {
        match node.continue_rebuild(start()).unwrap() {
            RebuildProgress::Ongoing => between(node),
            RebuildProgress::Finished(rebuilt) => return rebuilt,
            RebuildProgress::Idle => panic!("it was begun"),
        }
    }
}

fn begin(node: &mut ConsolidationGossiper, snapshot: &ConsolidationSnapshot, vanished: Vanished) {
    let prepared = node.preparer().prepare(snapshot);
    node.begin_rebuild(prepared, vanished);
}

#[test]
fn a_step_reads_and_writes_no_more_than_the_limit() {
    let (mut node, store) = noting(4);
    let mut most_loads = 0;
    begin(&mut node, &snapshot(many(30, 10)), Vanished::Keep);
    // Of the opening.
    store.loads();
    store.commits();
    let rebuilt = finish(&mut node, |_| most_loads = most_loads.max(store.loads()));
    assert_eq!((counts(&rebuilt), rebuilt.generation), ([30, 0, 0, 0, 0], 1));
    assert_eq!(store.commits(), [4, 4, 4, 4, 4, 4, 4, 2]);
    // Each is read to see what it replaces, read to be written, and may be read to be pushed.
    assert!(most_loads <= 3 * 4, "{most_loads}");

    // Another node's versions of all of them have arrived, and everything is read again, a few at a time.
    for value in many(30, 50) {
        let nothing = node.engine().replica().read(&value.id).unwrap().seen_where(|_| false);
        let other = Pattern::new(&value, "node-1", &space()).unwrap();
        node.engine_mut().replica_mut().write_seen(other, &nothing, start()).unwrap();
    }
    store.loads();
    store.commits();
    let changed: Vec<_> = many(30, 10).into_iter().take(10).chain(many(30, 11).into_iter().skip(10)).collect();
    begin(&mut node, &snapshot(changed), Vanished::Keep);
    let (mut most_loads, mut steps) = (0, 0);
    let rebuilt = finish(&mut node, |_| {
        most_loads = most_loads.max(store.loads());
        steps += 1;
    });
    assert_eq!(counts(&rebuilt), [20, 10, 0, 0, 0]);
    assert!(most_loads <= 3 * 4 && steps >= 30 / 4 + 20 / 4, "{most_loads} {steps}");
    assert!(store.commits().iter().all(|written| *written <= 4));

    // What it wrote itself it need not read again.
    store.loads();
    let unchanged = many(30, 10).into_iter().take(10).chain(many(30, 11).into_iter().skip(10));
    begin(&mut node, &snapshot(unchanged), Vanished::Keep);
    assert_eq!(counts(&finish(&mut node, |_| {})), [0, 30, 0, 0, 0]);
    assert_eq!((store.loads(), store.commits().len()), (0, 0));
}

#[test]
fn steps_end_as_one_call_does() {
    let first = many(20, 10);
    let mut second: Vec<_> = many(20, 10).into_iter().skip(5).chain(many(30, 20).into_iter().skip(20)).collect();
    second[3].strength = f32::INFINITY;
    second[4].schema_confidence = 0.9;
    for vanished in [Vanished::Keep, Vanished::Delete] {
        for most in [1, 3, 1000] {
            let (mut stepped, _) = noting(most);
            let (mut at_once, _) = noting(most);
            for patterns in [&first, &second, &first, &second] {
                let said = snapshot(patterns.clone());
                begin(&mut stepped, &said, vanished);
                assert_eq!(finish(&mut stepped, |_| {}), at_once.rebuild_with(&said, vanished, start()).unwrap());
                assert_eq!(held(&stepped), held(&at_once));
            }
        }
    }
}

#[test]
fn what_happens_between_steps_is_made_up_for_by_the_next_rebuild() {
    let (mut node, _) = noting(2);
    let said = snapshot(many(9, 10));
    begin(&mut node, &said, Vanished::Keep);
    let mut step = 0;
    let rebuilt = finish(&mut node, |node| {
        step += 1;
        // Somebody deletes what was written a moment ago, and writes in the node's name what is not written yet.
        if step == 2 {
            node.engine_mut().delete(&"p000".to_string(), start()).unwrap().unwrap();
            let other = Pattern::new(&pattern("p008", 50), node.node().as_str(), &space()).unwrap();
            node.engine_mut().write(other, start()).unwrap();
        }
        if step == 4 {
            let other = Pattern::new(&pattern("p001", 50), node.node().as_str(), &space()).unwrap();
            node.engine_mut().write(other, start()).unwrap();
        }
    });
    assert_eq!(counts(&rebuilt), [9, 0, 0, 0, 0]);
    begin(&mut node, &said, Vanished::Keep);
    // What was deleted stays deleted, and what is in the node's name is as the node says.
    assert_eq!(counts(&finish(&mut node, |_| {})), [1, 8, 0, 0, 0]);
    let mut expected: Vec<(&str, usize, u8)> = Vec::new();
    let ids: Vec<String> = (1..9).map(|number| format!("p{number:03}")).collect();
    expected.extend(ids.iter().map(|id| (id.as_str(), 0, 10)));
    assert_eq!(held(&node), versions(&expected));
}

#[test]
fn a_rebuild_that_begins_takes_the_place_of_one_that_goes_on() {
    let (mut node, _) = noting(2);
    begin(&mut node, &snapshot(many(9, 10)), Vanished::Delete);
    for _ in 0..3 {
        assert_eq!(node.continue_rebuild(start()).unwrap(), RebuildProgress::Ongoing);
    }
    assert_eq!(held(&node).len(), 4);
    begin(&mut node, &snapshot([pattern("p000", 20), pattern("q", 20)]), Vanished::Delete);
    assert_eq!(counts(&finish(&mut node, |_| {})), [2, 0, 3, 0, 0]);
    assert_eq!(held(&node), versions(&[("p000", 0, 20), ("q", 0, 20)]));
    assert_eq!(node.continue_rebuild(start()).unwrap(), RebuildProgress::Idle);
    // At once, too.
    begin(&mut node, &snapshot(many(9, 10)), Vanished::Delete);
    assert_eq!(node.continue_rebuild(start()).unwrap(), RebuildProgress::Ongoing);
    assert_eq!(counts(&node.rebuild_from_snapshot(&snapshot([pattern("q", 20)]), start()).unwrap()), [0, 1, 0, 1, 0]);
    assert_eq!(node.continue_rebuild(start()).unwrap(), RebuildProgress::Idle);
}

#[test]
fn only_as_much_is_pushed_as_of_one_transaction() {
    let never = std::time::Duration::from_secs(1_000_000);
    let config = steps_of(2).with(|config| {
        config.gossip.max_pushes = 4;
        (config.gossip.interval, config.gossip.min_interval) = (never, never);
    });
    let mut cluster = Cluster::new(2, config);
    let update = |id: &str, snapshot_generated_at| BeliefUpdate {
        pattern_id: id.to_string(),
        confidence_delta: 0.5,
        citation_delta: -3,
        novelty: 0.0,
        generated_at: DateTime::UNIX_EPOCH,
        snapshot_generated_at,
        source: UpdateSource::OnDemand,
    };
    let earlier = DateTime::from_timestamp(-1, 0).unwrap();
    let said = snapshot(many(9, 10));
    // Updates of all snapshots come along, of which only those of this one count.
    cluster.nodes[0].hint_for(said.generated_at, &[update("p007", earlier), update("p008", said.generated_at)]);
    begin(&mut cluster.nodes[0], &said, Vanished::Keep);
    finish(&mut cluster.nodes[0], |_| {});
    cluster.run(crate::cluster::MINUTE, |_| false);
    let pushed: Vec<String> = held(&cluster.nodes[1]).into_iter().map(|(id, ..)| id).collect();
    assert_eq!(pushed, ["p000", "p001", "p002", "p008"]);
}

#[test]
fn a_preparer_shares_what_did_not_change() {
    let (node, _) = noting(4);
    let mut preparer = node.preparer();
    let first = preparer.prepare(&snapshot(many(5, 10)));
    let again = preparer.prepare(&snapshot(many(4, 10)));
    assert_eq!((first.len(), again.len(), again.is_empty()), (5, 4, false));
    assert_eq!(first.generated_at(), DateTime::UNIX_EPOCH);
}
