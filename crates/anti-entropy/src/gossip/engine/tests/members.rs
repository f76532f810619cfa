//! Peers that follow an assignment.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Cluster, Item, name};
use crate::PeerId;
use crate::gossip::*;
use crate::replica::LastWriterWins;

fn assignment(nodes: &[usize]) -> BTreeMap<PeerId, Option<String>> {
    nodes.iter().map(|&node| (name(node), None)).collect()
}

fn peers(cluster: &mut Cluster<Item>, node: usize) -> Vec<PeerId> {
    let now = cluster.now;
    cluster.engine(node).status(now).peers.into_iter().map(|peer| peer.peer).collect()
}

#[test]
fn peers_become_those_of_the_assignment_without_the_node_itself() {
    let mut cluster = Cluster::<Item>::new(5, &LastWriterWins, &GossipConfig::default(), 1);
    cluster.engine(0).set_members(&assignment(&[0, 3, 4]));
    assert_eq!(peers(&mut cluster, 0), [name(3), name(4)]);
    cluster.engine(0).set_members(&assignment(&[4, 0, 1]));
    assert_eq!(peers(&mut cluster, 0), [name(1), name(4)]);
    let with_zone = BTreeMap::from([(name(4), Some("b".to_string()))]);
    cluster.engine(0).set_members(&with_zone);
    let now = cluster.now;
    let status = cluster.engine(0).status(now);
    assert_eq!(
        status.peers.iter().map(|peer| (&peer.peer, &peer.zone)).collect::<Vec<_>>(),
        [(&name(4), &with_zone[&name(4)])]
    );
}

#[test]
fn a_peer_that_stays_keeps_its_session_and_one_that_goes_loses_it() {
    let mut cluster = Cluster::<Item>::new(3, &LastWriterWins, &GossipConfig::default(), 1);
    let now = cluster.now;
    for peer in [1, 2] {
        assert!(cluster.engine(0).sync_now(&name(peer), now));
    }
    assert_eq!(cluster.engine(0).status(now).sessions, 2);
    cluster.engine(0).set_members(&assignment(&[1, 2]));
    assert_eq!(cluster.engine(0).status(now).sessions, 2);
    cluster.engine(0).set_members(&assignment(&[2]));
    assert_eq!(cluster.engine(0).status(now).sessions, 1);
}
