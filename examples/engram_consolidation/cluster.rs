//! Five nodes on a network in memory, each with a replica of the space, and the cut between two sides of them.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

use anti_entropy::clock::Seed;
use anti_entropy::engine::drive;
use anti_entropy::{
    Clock, DriverConfig, GossipConfig, Handle, MemoryNetwork, MemoryStore, PeerId, SessionConfig, SystemClock, Version,
};
use anti_entropy_engram::gossiper::{ConsolidationGossiper, ConsolidationStatus, Rebuilt};
use anti_entropy_engram::view::{SemanticView, ViewConfig};
use anti_entropy_engram::{ConsolidationSnapshot, Pattern, Space};
use futures::future::try_join_all;

use crate::data::NODES;
use crate::shared::sizes::value_bytes;
use crate::story::Failure;

/// How long convergence may take at most; it takes a second or so.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many nodes are on the left of the cut.
const LEFT: usize = 2;

/// The five, and the network between them.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    space: Space,
    network: MemoryNetwork,
    cut: bool,
}

/// One node while its engine runs.
pub(crate) struct Node {
    pub(crate) name: PeerId,
    handle: Handle<Pattern, ConsolidationGossiper>,
}

/// What a node holds and has counted at one instant.
pub(crate) struct State {
    pub(crate) status: ConsolidationStatus,
    /// Bytes of embeddings and episode lists that were sent from here, and that were new here.
    pub(crate) part_bytes: [u64; 2],
    /// Every pattern with the versions alive of it.
    pub(crate) entries: Vec<(String, Vec<Version<Pattern>>)>,
}

impl State {
    /// How many bytes all patterns have; what versions of one pattern have in common is there once.
    pub(crate) fn full_bytes(&self) -> u64 {
        self.entries.iter().map(|(id, versions)| id.len() as u64 + value_bytes(versions)).sum()
    }
}

impl Cluster {
    /// Starts five empty nodes that know each other.
    pub(crate) fn start(space: &Space) -> Result<Self, Failure> {
        let network = MemoryNetwork::new(1);
        let names: Vec<PeerId> = (1..=NODES).map(|node| PeerId::from(format!("node{node}").as_str())).collect();
        // Rounds several times a second, for somebody is watching; engram would take `GossipConfig::lan()`. Without pushes
        // all that moves was found missing by comparing, and nothing is sent into the cut.
        // The network loses no frame by itself, so a reply that is late is on its way: a repetition would move it twice.
        let patient = GossipConfig::test().session.with(|config| {
            config.resend_after = Duration::from_secs(1);
            config.idle_timeout = Duration::from_secs(3);
        });
        let config = GossipConfig::test().with(|config| {
            config.push = false;
            config.session = patient;
        });
        let start = |name: &PeerId| {
            let clock = SystemClock::new();
            let (store, seed) = (MemoryStore::new(), Seed::from_os()?);
            let mut gossiper =
                ConsolidationGossiper::open(space.clone(), name.clone(), store, seed, config.clone(), clock.now())?;
            for peer in names.iter().filter(|peer| *peer != name) {
                gossiper.engine_mut().add_peer(peer.clone(), None);
            }
            let (handle, driver) = drive(gossiper, network.join(name.clone()), clock, DriverConfig::default());
            tokio::spawn(driver);
            Ok(Node { name: name.clone(), handle })
        };
        let nodes = names.iter().map(start).collect::<Result<_, Failure>>()?;
        Ok(Self { nodes, space: space.clone(), network, cut: false })
    }

    /// Cuts the sides apart, or heals them.
    pub(crate) fn set_cut(&mut self, cut: bool) {
        let names: Vec<PeerId> = self.nodes.iter().map(|node| node.name.clone()).collect();
        if cut {
            self.network.partition(&[&names[..LEFT], &names[LEFT..]]);
        } else {
            self.network.heal();
        }
        self.cut = cut;
    }

    /// Hands a node what it has consolidated.
    pub(crate) async fn rebuild(&self, node: usize, snapshot: ConsolidationSnapshot) -> Result<Rebuilt, Failure> {
        let handle = &self.nodes[node].handle;
        Ok(handle.with(move |gossiper, now| gossiper.rebuild_from_snapshot(&snapshot, now)).await??)
    }

    /// Waits until all that can reach each other have certified one root. `false` if that takes too long.
    pub(crate) async fn converge(&self) -> Result<bool, Failure> {
        let converged = self.nodes.iter().enumerate().map(|(node, from)| {
            let reachable =
                |(peer, _): &(usize, &Node)| *peer != node && !(self.cut && (*peer < LEFT) != (node < LEFT));
            let peers: Vec<PeerId> =
                self.nodes.iter().enumerate().filter(reachable).map(|(_, peer)| peer.name.clone()).collect();
            from.handle.wait_converged(peers)
        });
        match tokio::time::timeout(PATIENCE, try_join_all(converged)).await {
            Ok(converged) => Ok(converged.map(|_| true)?),
            Err(_) => Ok(false),
        }
    }

    /// What every node holds and has counted.
    pub(crate) async fn states(&self) -> Result<Vec<State>, Failure> {
        let states = self.nodes.iter().map(|node| {
            node.handle.with(|gossiper, now| {
                let mut entries = Vec::new();
                gossiper.engine().replica().for_each(|id, read| {
                    entries.push((id.clone(), read.siblings().to_vec()));
                    ControlFlow::Continue(())
                })?;
                let engine = gossiper.engine();
                let part_bytes = [engine.stats().part_bytes_sent, engine.replica().stats().part_bytes_needed];
                Ok::<_, anti_entropy::Error>(State { status: gossiper.status(now), part_bytes, entries })
            })
        });
        Ok(try_join_all(states).await?.into_iter().collect::<Result<_, _>>()?)
    }

    /// How many different roots there are now.
    pub(crate) async fn distinct_roots(&self) -> Result<usize, Failure> {
        let roots = self.nodes.iter().map(|node| node.handle.with(|gossiper, now| gossiper.status(now).root));
        Ok(try_join_all(roots).await?.into_iter().collect::<BTreeSet<_>>().len())
    }

    /// What a node makes of all that it holds; computed here, while its engine goes on.
    pub(crate) async fn view(&self, node: usize) -> Result<SemanticView, Failure> {
        let mut view = SemanticView::new(self.space.clone(), ViewConfig::default())?;
        let until = view.until().clone();
        let changed = self.nodes[node].handle.with(move |gossiper, _| gossiper.changed_since(&until)).await??;
        view.apply(changed)?;
        let counts = view.counts();
        self.nodes[node].handle.with(move |gossiper, _| gossiper.note_view(counts)).await?;
        Ok(view)
    }

    /// Ends the engines.
    pub(crate) async fn shut_down(&self) -> Result<(), Failure> {
        try_join_all(self.nodes.iter().map(|node| node.handle.shutdown(Duration::from_millis(100)))).await?;
        Ok(())
    }
}
