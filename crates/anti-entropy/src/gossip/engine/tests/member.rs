//! A cluster of which one member has no engine: tests say what it does.

use core::time::Duration;

use super::{Cluster, Item, name};
use crate::gossip::GossipConfig;
use crate::replica::LastWriterWins;
use crate::sync::wire::message::{Differs, Reply};
use crate::sync::{Frame, SessionConfig};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// The member without an engine.
pub(super) const MEMBER: usize = 2;

pub(super) fn by_rounds_alone() -> GossipConfig {
    GossipConfig { push: false, ..GossipConfig::default() }
}

/// So many nodes, and at least the first two beside the member.
pub(super) fn honest(nodes: usize, config: &GossipConfig) -> Cluster<Item> {
    let mut cluster = Cluster::new(3.max(nodes), &LastWriterWins, config, 1);
    cluster.engines.remove(&name(MEMBER));
    cluster
}

/// How many replicas a node's clock names.
pub(super) fn replicas(cluster: &mut Cluster<Item>, node: usize) -> usize {
    cluster.engine(node).replica.context().replicas_len()
}

/// What the victim answers to an opening of the member's, if it does.
pub(super) fn told(cluster: &mut Cluster<Item>, victim: usize) -> Option<Differs> {
    let heard = cluster.take_heard(&name(MEMBER), &name(victim));
    let mut told = heard.iter().filter_map(|frame| {
        let frame = Frame::decode(frame, &SessionConfig::default()).ok()?;
        match postcard::from_bytes::<Reply>(frame.payload) {
            Ok(Reply::Differs(differs)) => Some(differs),
            _ => None,
        }
    });
    told.next_back()
}
