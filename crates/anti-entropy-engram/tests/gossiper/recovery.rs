//! Restarts, crashes and restored backups: a node's name outlives its replica.

use anti_entropy::engine::Engine;
use anti_entropy::{Continuity, Event, GossipConfig, MemoryStore, Notice, Opening, ReplicaConfig};
use anti_entropy_engram::gossiper::{ConsolidationGossiper, Vanished};
use anti_entropy_engram::{Encoding, MemorySpace, Pattern, PatternField};

use crate::cluster::{Cluster, Disk, MINUTE, counts, held, open, pattern, seed, snapshot, space, start, versions};

fn old() -> anti_entropy_engram::ConsolidationSnapshot {
    snapshot(["a", "b", "c"].map(|id| pattern(id, 10)))
}

fn new() -> anti_entropy_engram::ConsolidationSnapshot {
    snapshot([pattern("a", 11), pattern("b", 11), pattern("c", 10)])
}

#[test]
fn after_a_restart_the_previous_snapshot_is_what_the_store_holds() {
    for with_marker in [true, false] {
        let mut cluster = Cluster::new(2, GossipConfig::lan());
        cluster.rebuild(0, &old());
        cluster.rebuild(1, &old());
        cluster.converge();
        let (disk, seed) = (cluster.disks[0].clone(), cluster.fresh_seed());
        let id = cluster.nodes[0].engine().replica().id();
        let mut opening = Opening::from(seed);
        if with_marker {
            // The gossiper that takes its place while it is closed has another disk.
            let place = open(0, 2, space(), MemoryStore::new(), cluster.fresh_seed(), GossipConfig::lan(), start());
            let closed: Engine<Pattern> = std::mem::replace(&mut cluster.nodes[0], place).into();
            opening.continuity = Continuity::Marker(closed.into_replica().close().unwrap());
        }
        cluster.restart(0, disk, opening);
        assert_eq!(cluster.nodes[0].engine().replica().id() == id, with_marker);
        let unchanged = cluster.rebuild(0, &old());
        assert_eq!((counts(&unchanged), unchanged.generation), ([0, 3, 0, 0, 0], 0));
        assert_eq!(counts(&cluster.rebuild(0, &new())), [2, 1, 0, 0, 0]);
        cluster.converge();
        let one_a_node = [("a", 0, 11), ("a", 1, 10), ("b", 0, 11), ("b", 1, 10), ("c", 0, 10), ("c", 1, 10)];
        assert_eq!(held(&cluster.nodes[1]), versions(&one_a_node));
    }
}

#[test]
fn after_a_restart_what_was_deleted_is_written_again() {
    let mut cluster = Cluster::new(1, GossipConfig::lan());
    cluster.rebuild(0, &old());
    let now = cluster.now;
    cluster.nodes[0].engine_mut().delete(&"a".to_string(), now).unwrap().unwrap();
    assert_eq!(counts(&cluster.rebuild(0, &old())), [0, 3, 0, 0, 0]);
    let (disk, seed) = (cluster.disks[0].clone(), cluster.fresh_seed());
    cluster.restart(0, disk, seed);
    assert_eq!(counts(&cluster.rebuild(0, &old())), [1, 2, 0, 0, 0]);
}

/// Node 0 of two, restored from a backup of before [`new`], and with patterns changed before its peer brought those back:
/// it holds several versions of its own.
fn restored() -> Cluster {
    let mut cluster = Cluster::new(2, GossipConfig::lan());
    cluster.rebuild(0, &old());
    cluster.converge();
    let backup = cluster.disks[0].backup();
    cluster.rebuild(0, &new());
    cluster.converge();
    let seed = cluster.fresh_seed();
    cluster.restart(0, backup, seed);
    assert_eq!(
        counts(&cluster.rebuild(0, &snapshot([pattern("a", 12), pattern("b", 12), pattern("c", 10)]))),
        [2, 1, 0, 0, 0]
    );
    cluster.converge();
    let several = [("a", 0, 11), ("a", 0, 12), ("b", 0, 11), ("b", 0, 12), ("c", 0, 10)];
    assert_eq!(held(&cluster.nodes[0]), versions(&several));
    cluster
}

#[test]
fn own_versions_that_came_back_are_replaced_even_if_nothing_changed() {
    let mut cluster = restored();
    let same = snapshot([pattern("a", 12), pattern("b", 12), pattern("c", 10)]);
    assert_eq!(counts(&cluster.rebuild(0, &same)), [2, 1, 0, 0, 0]);
    cluster.converge();
    assert_eq!(held(&cluster.nodes[1]), versions(&[("a", 0, 12), ("b", 0, 12), ("c", 0, 10)]));
    assert_eq!(counts(&cluster.rebuild(0, &same)), [0, 3, 0, 0, 0]);
}

#[test]
fn own_versions_that_came_back_are_united_where_the_snapshot_has_none_of_them() {
    let mut cluster = restored();
    // One is refused, one has vanished.
    let mut refused = pattern("b", 13);
    refused.strength = f32::NAN;
    assert_eq!(counts(&cluster.rebuild(0, &snapshot([refused, pattern("c", 10)]))), [2, 1, 0, 1, 1]);
    cluster.converge();
    assert_eq!(held(&cluster.nodes[1]), versions(&[("a", 0, 12), ("b", 0, 12), ("c", 0, 10)]));
}

#[test]
fn all_own_versions_that_came_back_are_deleted_if_the_pattern_vanished() {
    let mut cluster = restored();
    let now = cluster.now;
    let rebuilt = cluster.nodes[0].rebuild_with(&snapshot([]), Vanished::Delete, now).unwrap();
    assert_eq!(counts(&rebuilt), [0, 0, 3, 0, 0]);
    cluster.converge();
    assert!(held(&cluster.nodes[1]).is_empty());
}

#[test]
fn several_own_versions_are_found_after_another_restart() {
    let mut cluster = restored();
    let (disk, seed) = (cluster.disks[0].clone(), cluster.fresh_seed());
    cluster.restart(0, disk, seed);
    let same = snapshot([pattern("a", 12), pattern("b", 12), pattern("c", 10)]);
    assert_eq!(counts(&cluster.rebuild(0, &same)), [2, 1, 0, 0, 0]);
    assert_eq!(held(&cluster.nodes[0]), versions(&[("a", 0, 12), ("b", 0, 12), ("c", 0, 10)]));
}

#[test]
fn what_peers_bring_back_to_a_lost_store_is_the_previous_snapshot() {
    let mut cluster = Cluster::new(2, GossipConfig::lan());
    cluster.rebuild(0, &new());
    cluster.converge();
    let seed = cluster.fresh_seed();
    cluster.restart(0, Disk::default(), seed);
    cluster.converge();
    assert_eq!(counts(&cluster.rebuild(0, &new())), [0, 3, 0, 0, 0]);
    let now = cluster.now;
    let rebuilt = cluster.nodes[0].rebuild_with(&snapshot([pattern("a", 11)]), Vanished::Delete, now).unwrap();
    assert_eq!(counts(&rebuilt), [0, 1, 2, 0, 0]);
}

#[test]
fn a_node_that_rebuilds_before_its_lost_store_is_whole_ends_with_one_version() {
    let mut cluster = Cluster::new(3, GossipConfig::lan());
    cluster.rebuild(0, &new());
    cluster.converge();
    let seed = cluster.fresh_seed();
    cluster.restart(0, Disk::default(), seed);
    assert_eq!(counts(&cluster.rebuild(0, &new())), [3, 0, 0, 0, 0]);
    cluster.converge();
    assert_eq!(held(&cluster.nodes[0]).len(), 6);
    assert_eq!(counts(&cluster.rebuild(0, &new())), [3, 0, 0, 0, 0]);
    cluster.converge();
    assert_eq!(held(&cluster.nodes[2]), versions(&[("a", 0, 11), ("b", 0, 11), ("c", 0, 10)]));
    cluster.run(MINUTE, |_| false);
    assert_eq!(counts(&cluster.rebuild(0, &new())), [0, 3, 0, 0, 0]);
}

#[test]
fn patterns_are_written_again_in_an_encoding_that_the_space_has_changed_to() {
    let disk = Disk::default();
    let open = |space: MemorySpace, number| open(0, 1, space, disk.clone(), seed(number), GossipConfig::lan(), start());
    let mut exact: ConsolidationGossiper = open(space(), 1);
    exact.rebuild_from_snapshot(&old(), start()).unwrap();
    drop(exact);
    let mut halved = open(space().with(|space| space.encoding = Encoding::F16), 2);
    assert_eq!(counts(&halved.rebuild_from_snapshot(&old(), start()).unwrap()), [3, 0, 0, 0, 0]);
    assert_eq!(counts(&halved.rebuild_from_snapshot(&old(), start()).unwrap()), [0, 3, 0, 0, 0]);
}

/// Node 0 with several versions of its own at `a`, and limits that have been lowered since.
fn restored_with(config: ReplicaConfig) -> Cluster {
    let mut cluster = restored();
    let (disk, seed) = (cluster.disks[0].clone(), cluster.fresh_seed());
    cluster.restart(0, disk, Opening::from(seed).with(|changed| changed.config = config));
    cluster
}

#[test]
fn limits_that_were_lowered_since_hold_up_nothing_else() {
    let several = [("a", 0, 11), ("a", 0, 12), ("b", 0, 11), ("b", 0, 12), ("c", 0, 10)];
    let mut long = pattern("a", 13);
    long.source_episodes = vec!["e".repeat(1000)];
    // Neither the snapshot's version nor those that are held can be written.
    let mut cluster = restored_with(ReplicaConfig::default().with(|config| config.max_value_bytes = 10));
    assert_eq!(counts(&cluster.rebuild(0, &snapshot([long, pattern("c", 10)]))), [0, 1, 0, 1, 1]);
    assert_eq!(held(&cluster.nodes[0]), versions(&several));

    let mut cluster = restored_with(ReplicaConfig::default().with(|config| config.max_key_bytes = 1));
    assert_eq!(counts(&cluster.rebuild(0, &snapshot([pattern("c", 10)]))), [0, 1, 0, 2, 0]);
    let now = cluster.now;
    let rebuilt = cluster.nodes[0].rebuild_with(&snapshot([pattern("c", 10)]), Vanished::Delete, now).unwrap();
    assert_eq!(counts(&rebuilt), [0, 1, 0, 0, 2]);
    assert!(rebuilt.refused.iter().all(|refused| refused.field == PatternField::Id));
    assert_eq!(held(&cluster.nodes[0]), versions(&several));
}

#[test]
fn a_replica_that_takes_another_id_while_it_runs_goes_on_under_its_name() {
    let mut cluster = Cluster::new(2, GossipConfig::lan());
    cluster.rebuild(0, &old());
    cluster.converge();
    let backup = cluster.disks[0].backup();
    cluster.rebuild(0, &new());
    cluster.converge();
    // Somebody vouches for what is not the latest state; the node's next writes get names that are taken.
    let opening = Opening::from(cluster.fresh_seed()).with(|config| config.continuity = Continuity::Vouched);
    cluster.restart(0, backup, opening);
    let id = cluster.nodes[0].engine().replica().id();
    let said = snapshot([pattern("a", 12), pattern("b", 10), pattern("c", 10)]);
    assert_eq!(counts(&cluster.rebuild(0, &said)), [1, 2, 0, 0, 0]);
    cluster.converge();
    assert_ne!(cluster.nodes[0].engine().replica().id(), id);
    assert!(cluster.events.iter().any(|(_, event)| matches!(event, Event::Notice(Notice::Renamed { .. }))));
    cluster.rebuild(0, &said);
    cluster.converge();
    for node in &cluster.nodes {
        assert_eq!(held(node), versions(&[("a", 0, 12), ("b", 0, 10), ("c", 0, 10)]));
    }
    assert_eq!(counts(&cluster.rebuild(0, &said)), [0, 3, 0, 0, 0]);
}
