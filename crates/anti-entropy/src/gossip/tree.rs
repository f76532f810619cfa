//! The tree along which pushes are relayed. Each replica computes it by itself; replicas that know the same peers
//! compute the same tree.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::PeerId;

/// The route of a write that is pushed.
///
/// ```
/// use anti_entropy::{GossipConfig, PushRoute};
///
/// // 100 replicas that get every write within two hops: one of them relays to all others.
/// let star = GossipConfig::lan().with(|config| {
///     config.push_route = PushRoute::Tree;
///     config.push_fanout = 99;
/// });
/// // Within eight hops, and no replica sends more than four messages a write.
/// let tree = star.with(|config| config.push_fanout = 3);
/// assert_eq!(tree.push_route, PushRoute::Tree);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum PushRoute {
    /// From the writer to [`push_fanout`](crate::GossipConfig::push_fanout) peers, and no further. Replicas need not
    /// agree on anything.
    #[default]
    Direct,
    /// Along a tree of all replicas, in which each has up to [`push_fanout`](crate::GossipConfig::push_fanout)
    /// children. The writer pushes to its neighbours in the tree, and each replica that applies the write relays it to
    /// its own. So *n* replicas have it after *n* - 1 messages.
    ///
    /// All replicas should have this route, the same `push_fanout` and the same peers, and know [their own
    /// name](crate::engine::Engine::set_name). A replica that does not know its name pushes as [`Direct`](Self::Direct)
    /// does, and relays nothing. Where replicas disagree, pushes reach some of them, and the rounds the others.
    Tree,
}

/// The neighbours of `own` in the tree: all names, sorted by rank, make a heap in which each has `children` children.
pub(super) fn neighbours<'a>(own: &'a PeerId, peers: impl Iterator<Item = &'a PeerId>, children: usize) -> Vec<PeerId> {
    let mut ranked: Vec<([u8; 8], &PeerId)> = peers.chain([own]).map(|name| (rank(name), name)).collect();
    ranked.sort_unstable();
    ranked.dedup();
    let Ok(place) = ranked.binary_search(&(rank(own), own)) else { return Vec::new() };
    let parent = place.checked_sub(1).and_then(|before| before.checked_div(children));
    let first = place.saturating_mul(children).saturating_add(1);
    let below = ranked.iter().skip(first).take(children);
    parent.map(|parent| &ranked[parent]).into_iter().chain(below).map(|(_, name)| (*name).clone()).collect()
}

/// The rank of a name in the tree (docs/protocol.md, "Push"): a hash, so that the inner nodes are not all in one region
/// or rack because of how its machines are named.
pub(super) fn rank(name: &PeerId) -> [u8; 8] {
    let hash: [u8; 32] =
        Sha256::new().chain_update(b"anti-entropy push tree").chain_update(name.as_str()).finalize().into();
    *hash.first_chunk().expect("32 bytes start with 8")
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    fn names(count: usize) -> Vec<PeerId> {
        (0..count).map(|index| PeerId::from(alloc::format!("node-{index}").as_str())).collect()
    }

    #[test]
    fn ranks_are_those_of_the_protocol() {
        assert_eq!(u64::from_be_bytes(rank(&"node-1".into())), 0xb1ae_f881_695e_476c);
    }

    #[test]
    fn neighbours_know_each_other_and_make_a_tree() {
        for (count, children) in [(1, 3), (2, 1), (5, 1), (25, 3), (25, 24), (100, 4), (7, usize::MAX)] {
            let all = names(count);
            let mut edges = BTreeSet::new();
            for own in &all {
                let near = neighbours(own, all.iter(), children);
                assert!(near.len() <= children.saturating_add(1));
                edges.extend(near.into_iter().map(|other| (own.clone(), other)));
            }
            assert_eq!(edges.len(), 2 * (count - 1), "{count} of {children}");
            assert!(edges.iter().all(|(a, b)| edges.contains(&(b.clone(), a.clone()))));
            let mut reached = BTreeSet::from([all[0].clone()]);
            for _ in 0..count {
                let next = edges.iter().filter(|(a, _)| reached.contains(a)).map(|(_, b)| b.clone());
                reached.extend(next.collect::<Vec<_>>());
            }
            assert_eq!(reached.len(), count);
        }
    }

    #[test]
    fn nobody_has_children_where_there_are_none_to_have() {
        assert!(names(5).iter().all(|own| neighbours(own, names(5).iter(), 0).is_empty()));
    }

    #[test]
    fn it_does_not_matter_whether_the_own_name_is_among_the_peers() {
        let all = names(9);
        let others = all.iter().filter(|name| **name != all[4]);
        assert_eq!(neighbours(&all[4], others, 2), neighbours(&all[4], all.iter(), 2));
    }
}
