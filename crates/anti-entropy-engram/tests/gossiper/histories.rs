//! Arbitrary histories of rebuilds, deletes, crashes and restored backups end with one version a node.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::time::Duration;

use anti_entropy::GossipConfig;
use anti_entropy_engram::ConsolidationSnapshot;
use anti_entropy_engram::gossiper::{GossiperConfig, RebuildProgress, Vanished};
use proptest::prelude::*;

use crate::cluster::{Cluster, Disk, MINUTE, counts, held, name, pattern, snapshot};

const NODES: usize = 3;
const IDS: [&str; 4] = ["a", "b", "c", "d"];

#[derive(Clone, Debug)]
enum Step {
    /// A rebuild from a snapshot that has some of the ids, each as one of a few patterns.
    Rebuild(usize, [Option<u8>; IDS.len()], bool),
    /// Somebody deletes all that is held of an id.
    Delete(usize, usize),
    Backup(usize),
    Restore(usize),
    /// A start from what the disk has, without a marker.
    Crash(usize),
    /// The disk is lost.
    Wipe(usize),
    Pass(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let node = 0..NODES;
    let percents = prop::array::uniform4(prop::option::weighted(0.8, 0..3u8));
    prop_oneof![
        6 => (node.clone(), percents, any::<bool>()).prop_map(|(node, ids, delete)| Step::Rebuild(node, ids, delete)),
        1 => (node.clone(), 0..IDS.len()).prop_map(|(node, id)| Step::Delete(node, id)),
        1 => node.clone().prop_map(Step::Backup),
        1 => node.clone().prop_map(Step::Restore),
        1 => node.clone().prop_map(Step::Crash),
        1 => node.prop_map(Step::Wipe),
        4 => (0..60u8).prop_map(Step::Pass),
    ]
}

struct History {
    cluster: Cluster,
    /// The last snapshot of each node.
    snapshots: Vec<ConsolidationSnapshot>,
    backups: Vec<Disk>,
}

impl History {
    fn take(&mut self, step: &Step) {
        let now = self.cluster.now;
        let cluster = &mut self.cluster;
        match *step {
            Step::Rebuild(node, ids, delete) => {
                let patterns = IDS.iter().zip(ids).filter_map(|(id, percent)| Some(pattern(id, percent?)));
                self.snapshots[node] = snapshot(patterns);
                let vanished = if delete { Vanished::Delete } else { Vanished::Keep };
                // One of the nodes writes its snapshots a pattern at a time.
                if node == 0 {
                    rebuild_in_steps(cluster, &self.snapshots[node], vanished);
                } else {
                    cluster.nodes[node].rebuild_with(&self.snapshots[node], vanished, now).unwrap();
                }
            }
            Step::Delete(node, id) => {
                drop(cluster.nodes[node].engine_mut().delete(&IDS[id].to_string(), now).unwrap());
            }
            Step::Backup(node) => self.backups[node] = cluster.disks[node].backup(),
            Step::Restore(node) => restart(cluster, node, self.backups[node].backup()),
            Step::Crash(node) => restart(cluster, node, cluster.disks[node].clone()),
            Step::Wipe(node) => restart(cluster, node, Disk::default()),
            Step::Pass(seconds) => drop(cluster.run(MINUTE * u32::from(seconds) / 60, |_| false)),
        }
    }
}

/// Time passes between the steps, in which things arrive.
fn rebuild_in_steps(cluster: &mut Cluster, snapshot: &ConsolidationSnapshot, vanished: Vanished) {
    let prepared = cluster.nodes[0].preparer().prepare(snapshot);
    cluster.nodes[0].begin_rebuild(prepared, vanished);
    while cluster.nodes[0].continue_rebuild(cluster.now).unwrap() == RebuildProgress::Ongoing {
        cluster.run(Duration::from_millis(3), |_| false);
    }
}

fn restart(cluster: &mut Cluster, node: usize, disk: Disk) {
    let seed = cluster.fresh_seed();
    cluster.restart(node, disk, seed);
}

/// Whether an id that a node has in its last snapshot may be gone: somebody deleted it, or the node did so itself before it
/// was put back to a backup. Then the peers return the delete, which counts like anybody else's.
fn is_deleted(steps: &[Step], node: usize, id: &str) -> bool {
    let mut deleted_by_itself = false;
    for step in steps {
        match step {
            Step::Delete(_, index) if IDS[*index] == id => return true,
            Step::Rebuild(by, percents, true) if *by == node => {
                deleted_by_itself |= IDS.iter().zip(percents).any(|(other, percent)| *other == id && percent.is_none());
            }
            Step::Restore(restored) if *restored == node && deleted_by_itself => return true,
            _ => {}
        }
    }
    false
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_history_ends_with_one_version_a_node(steps in prop::collection::vec(step(), 1..40)) {
        let config = GossiperConfig::from(GossipConfig::lan()).with(|config| config.max_step = NonZeroUsize::MIN);
        let mut cluster = Cluster::new(NODES, config);
        cluster.lost_percent = 10;
        let backups = vec![Disk::default(); NODES];
        let mut history = History { cluster, snapshots: vec![snapshot([]); NODES], backups };
        for step in &steps {
            history.take(step);
        }
        let History { mut cluster, snapshots, .. } = history;
        cluster.lost_percent = 0;
        cluster.converge();
        for (node, snapshot) in snapshots.iter().enumerate() {
            cluster.rebuild(node, snapshot);
        }
        cluster.converge();
        for (node, snapshot) in snapshots.iter().enumerate() {
            let again = counts(&cluster.rebuild(node, snapshot));
            prop_assert_eq!((again[0], again[1], again[4]), (0, snapshot.patterns.len(), 0));
        }
        let held = held(&cluster.nodes[0]);
        let by_node: BTreeSet<_> = held.iter().map(|(id, origin, _)| (id, origin)).collect();
        prop_assert_eq!(by_node.len(), held.len(), "{:?}", held);
        for (node, snapshot) in snapshots.iter().enumerate() {
            for said in &snapshot.patterns {
                let percent = (said.schema_confidence * 100.0).round();
                let version = (said.id.clone(), name(node).as_str().to_string(), percent);
                prop_assert!(held.contains(&version) || is_deleted(&steps, node, &said.id), "{:?} is not in {:?}", version, held);
            }
        }
    }
}
