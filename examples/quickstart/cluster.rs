//! Five replicas over loopback TCP, and the cut between two sides of them.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anti_entropy::clock::{ContextHash, Seed};
use anti_entropy::engine::{Engine, drive};
use anti_entropy::summary::Root;
use anti_entropy::transport::SendError;
use anti_entropy::{
    Clock, DriverConfig, LastWriterWins, MemoryStore, PeerId, Replica, Status, SystemClock, Transport, Version,
};
use anti_entropy_net::{ClusterName, TcpConfig, TcpTransport};
use async_trait::async_trait;
use futures::future::try_join_all;

use crate::pattern::Pattern;
use crate::shared::five::{self, Failure};
use crate::shared::sizes::value_bytes;

/// The five, and the switch that cuts the first two off from the others.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    cut: Arc<AtomicBool>,
}

/// One replica while its engine runs.
type Node = five::Node<Pattern>;

/// A replica's state at one instant.
pub(crate) struct State {
    pub(crate) status: Status,
    pub(crate) context: ContextHash,
    /// Every key with the versions alive there.
    pub(crate) entries: Vec<(String, Vec<Version<Pattern>>)>,
}

impl State {
    /// How many bytes all the values have; a part that siblings have in common is there once.
    pub(crate) fn value_bytes(&self) -> u64 {
        self.entries.iter().map(|(_, versions)| value_bytes(versions)).sum()
    }
}

impl Cluster {
    /// Starts five empty replicas that know each other.
    pub(crate) async fn start() -> Result<Self, Failure> {
        let names = five::names();
        let any_port = ([127, 0, 0, 1], 0).into();
        let cluster = ClusterName::new("quickstart")?;
        let bind = |name: &PeerId| TcpTransport::bind(TcpConfig::new(cluster.clone(), name.clone(), any_port));
        let transports = try_join_all(names.iter().map(bind)).await?;
        let addresses: Vec<_> = transports.iter().map(TcpTransport::local_addr).collect();
        let cut = Arc::new(AtomicBool::new(false));
        let mut nodes = Vec::new();
        for (name, transport) in names.iter().zip(transports) {
            let clock = SystemClock::new();
            let replica = Replica::open(MemoryStore::new(), LastWriterWins, Seed::from_os()?)?;
            let mut engine = Engine::new(replica, five::config(), nodes.len() as u64, clock.now())?;
            for (peer, address) in names.iter().zip(&addresses).filter(|(peer, _)| *peer != name) {
                transport.set_peer(peer.clone(), *address)?;
                engine.add_peer(peer.clone(), None);
            }
            let transport = Cut { inner: transport, name: name.clone(), active: Arc::clone(&cut) };
            let (handle, driver) = drive(engine, transport, clock, DriverConfig::default())?;
            tokio::spawn(driver);
            nodes.push(Node { name: name.clone(), handle });
        }
        Ok(Self { nodes, cut })
    }

    /// Cuts the sides apart, or heals them.
    pub(crate) fn set_cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::SeqCst);
    }

    /// Waits until all that can reach each other have certified one root. `false` if that takes too long.
    pub(crate) async fn converge(&self) -> Result<bool, Failure> {
        five::converge(&self.nodes, self.cut.load(Ordering::SeqCst)).await
    }

    /// What every replica holds and has counted.
    pub(crate) async fn states(&self) -> Result<Vec<State>, Failure> {
        let mut states = Vec::new();
        for node in &self.nodes {
            let state = node.handle.with(|engine, now| {
                let mut entries = Vec::new();
                engine.replica().for_each(|key, read| {
                    entries.push((key.clone(), read.siblings().to_vec()));
                    ControlFlow::Continue(())
                })?;
                let context = engine.replica().context_hash();
                Ok::<_, anti_entropy::Error>(State { status: engine.status(now), context, entries })
            });
            states.push(state.await??);
        }
        Ok(states)
    }

    /// How many different roots there are now.
    pub(crate) async fn distinct_roots(&self) -> Result<usize, Failure> {
        let mut roots = BTreeSet::new();
        for node in &self.nodes {
            roots.insert(node.handle.with(|engine, _| engine.replica_mut().root()).await?);
        }
        Ok(roots.len())
    }

    /// Ends the engines.
    pub(crate) async fn shut_down(&self) -> Result<(), Failure> {
        five::shut_down(&self.nodes).await
    }
}

/// The different roots of some replicas.
pub(crate) fn roots<'a>(states: impl IntoIterator<Item = &'a State>) -> BTreeSet<Root> {
    states.into_iter().map(|state| state.status.root).collect()
}

/// Whether a node is on the left of the cut: {1, 2} from {3, 4, 5}.
fn on_left(name: &PeerId) -> bool {
    five::names()[..five::LEFT].contains(name)
}

/// A transport in which frames across the cut vanish, as in a network that is partitioned.
struct Cut<T> {
    inner: T,
    name: PeerId,
    active: Arc<AtomicBool>,
}

impl<T> Cut<T> {
    fn is_cut(&self, peer: &PeerId) -> bool {
        self.active.load(Ordering::SeqCst) && on_left(peer) != on_left(&self.name)
    }
}

#[async_trait]
impl<T: Transport> Transport for Cut<T> {
    async fn send(&self, to: &PeerId, frame: Vec<u8>) -> Result<(), SendError> {
        // Nobody tells the sender.
        if self.is_cut(to) { Ok(()) } else { self.inner.send(to, frame).await }
    }

    async fn receive(&self) -> Option<(PeerId, Vec<u8>)> {
        loop {
            let (from, frame) = self.inner.receive().await?;
            if !self.is_cut(&from) {
                return Some((from, frame));
            }
        }
    }

    fn max_frame_bytes(&self) -> usize {
        self.inner.max_frame_bytes()
    }
}
