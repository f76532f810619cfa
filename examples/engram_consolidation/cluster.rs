//! Five nodes on a network in memory, each with a replica of the space, and the cut between two sides of them.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use anti_entropy::clock::Seed;
use anti_entropy::engine::drive;
use anti_entropy::{Clock, DriverConfig, MemoryNetwork, MemoryStore, PeerId, SystemClock, Version};
use anti_entropy_engram::gossiper::{ConsolidationGossiper, ConsolidationStatus, GossiperConfig, Rebuilt};
use anti_entropy_engram::view::{SemanticView, ViewConfig};
use anti_entropy_engram::{ConsolidationSnapshot, InputPolicy, MemorySpace, Pattern};
use futures::future::try_join_all;

use crate::shared::five::{self, Failure};
use crate::shared::sizes::value_bytes;

/// The five, and the network between them.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    space: MemorySpace,
    network: MemoryNetwork,
    cut: bool,
}

/// One node while its engine runs.
type Node = five::Node<Pattern, ConsolidationGossiper>;

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
    pub(crate) fn start(space: &MemorySpace, input: InputPolicy) -> Result<Self, Failure> {
        let network = MemoryNetwork::new(1);
        let names = five::names();
        let start = |name: &PeerId| {
            let clock = SystemClock::new();
            let (store, seed) = (MemoryStore::new(), Seed::from_os()?);
            let config = GossiperConfig::from(five::config()).with(|config| config.input = input);
            let mut gossiper =
                ConsolidationGossiper::open(space.clone(), name.clone(), store, seed, config, clock.now())?;
            for peer in names.iter().filter(|peer| *peer != name) {
                gossiper.engine_mut().add_peer(peer.clone(), None);
            }
            let (handle, driver) = drive(gossiper, network.join(name.clone()), clock, DriverConfig::default())?;
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
            self.network.partition(&[&names[..five::LEFT], &names[five::LEFT..]]);
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
        five::converge(&self.nodes, self.cut).await
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
        five::shut_down(&self.nodes).await
    }
}
