//! Five nodes, and the cut between two sides of them.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use anti_entropy::engine::Engine;
use anti_entropy::{GossipConfig, Handle, PeerId, Replicated, SessionConfig};
use futures::future::try_join_all;

use super::lines::{self, DataError, Line};

/// How many nodes there are.
pub(crate) const NODES: usize = 5;

/// How many of them are on the left of the cut: {1, 2} from {3, 4, 5}.
pub(crate) const LEFT: usize = 2;

/// How long convergence may take at most; it takes a second or so.
const PATIENCE: Duration = Duration::from_secs(60);

/// An error that is not expected: no socket, no randomness, a store in memory that fails.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// One node while its engine runs.
pub(crate) struct Node<V: Replicated, E = Engine<V>> {
    pub(crate) name: PeerId,
    pub(crate) handle: Handle<V, E>,
}

/// The names of the nodes.
pub(crate) fn names() -> Vec<PeerId> {
    (1..=NODES).map(|node| PeerId::from(format!("node{node}").as_str())).collect()
}

/// What each node consolidated in each of two generations; see [`lines::load`].
pub(crate) fn load<T>(
    directory: &Path,
    pattern: impl Fn(Line) -> Result<T, String>,
) -> Result<[[Vec<T>; NODES]; 2], DataError> {
    let mut generations = [const { [const { Vec::new() }; NODES] }; 2];
    for (generation, nodes) in (1..).zip(&mut generations) {
        for (node, patterns) in (1..).zip(nodes) {
            *patterns = lines::load(directory, node, generation, &pattern)?;
        }
    }
    Ok(generations)
}

/// Gossip settings for somebody who watches.
pub(crate) fn config() -> GossipConfig {
    GossipConfig::test().with(|config| {
        config.push = false;
        config.session = SessionConfig::default().with(|config| {
            config.resend_after = Duration::from_secs(1);
            config.idle_timeout = Duration::from_secs(3);
        });
    })
}

/// Waits until all nodes that reach each other have certified one root. `false` if that takes too long.
pub(crate) async fn converge<V: Replicated, E: AsMut<Engine<V>>>(
    nodes: &[Node<V, E>],
    is_cut: bool,
) -> Result<bool, Failure> {
    let converged = nodes.iter().enumerate().map(|(index, node)| {
        let reachable =
            |(peer, _): &(usize, &Node<V, E>)| *peer != index && !(is_cut && on_left(*peer) != on_left(index));
        let peers: Vec<PeerId> =
            nodes.iter().enumerate().filter(reachable).map(|(_, peer)| peer.name.clone()).collect();
        node.handle.wait_converged(peers)
    });
    match tokio::time::timeout(PATIENCE, try_join_all(converged)).await {
        Ok(converged) => Ok(converged.map(|_| true)?),
        Err(_) => Ok(false),
    }
}

/// Ends the engines.
pub(crate) async fn shut_down<V: Replicated, E: AsMut<Engine<V>>>(nodes: &[Node<V, E>]) -> Result<(), Failure> {
    try_join_all(nodes.iter().map(|node| node.handle.shutdown(Duration::from_millis(100)))).await?;
    Ok(())
}

/// Whether the node with this index is on the left of the cut.
fn on_left(index: usize) -> bool {
    index < LEFT
}
