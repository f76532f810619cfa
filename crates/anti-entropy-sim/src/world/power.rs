//! Starting and stopping nodes.

use std::collections::{BTreeSet, VecDeque};

use anti_entropy::clock::{Context, Seed};
use anti_entropy::engine::Engine;
use anti_entropy::{Continuity, Opening, Replica, ReplicaConfig};

use super::clock::NodeClock;
use super::node::{Node, Seen};
use super::queue::What;
use super::replies::Replies;
use super::resolving::Resolving;
use super::{Disk, Sabotage, World, name_of};
use crate::history::{NodeIndex, Opened};
use crate::random::stream;
use crate::scenario::{Fault, Step};
use crate::subject::{Release, Subject, set_release};

/// How long it takes until a node whose store failed is started again.
const RESTART_US: u64 = 100_000;
/// How long a process at most lives on after a commit that may have been kept or not.
const LIVES_ON_US: u64 = 2_000_000;

impl<S: Subject> World<S> {
    pub(super) fn build(&mut self) {
        let graph = self.draw_peers();
        for (at, peers) in (0..).zip(graph) {
            let node = self.new_node(at, peers);
            self.nodes.push(node);
        }
        let joins_later: BTreeSet<NodeIndex> = self
            .scenario
            .steps
            .iter()
            .filter(|step| step.start_ms > 0)
            .flat_map(|step| step.joining().iter().copied())
            .collect();
        for node in &mut self.nodes {
            node.member = !joins_later.contains(&super::index_of(&node.name));
        }
        self.agreement.members = self.nodes.iter().filter(|node| node.member).count();
        for at in 0..self.scenario.nodes {
            if self.nodes[at as usize].member {
                self.start(at, Opened::New, Continuity::Unproven);
            }
        }
    }

    /// The peers of each node: all others, or those in a random symmetric graph of about the degree that the scenario sets.
    fn draw_peers(&mut self) -> Vec<BTreeSet<NodeIndex>> {
        let nodes = self.scenario.nodes;
        let degree = self.scenario.peers;
        let everybody = degree == 0 || degree >= nodes - 1;
        let mut graph: Vec<BTreeSet<NodeIndex>> = vec![BTreeSet::new(); nodes as usize];
        for at in 0..nodes {
            if everybody {
                graph[at as usize] = (0..nodes).filter(|other| *other != at).collect();
                continue;
            }
            // A ring, so that the graph is connected whatever is drawn.
            let ring = core::iter::once((at + 1) % nodes);
            let drawn: Vec<NodeIndex> = ring.chain((1..degree / 2).map(|_| self.random.u32(0..nodes))).collect();
            for other in drawn.into_iter().filter(|other| *other != at) {
                graph[at as usize].insert(other);
                graph[other as usize].insert(at);
            }
        }
        graph
    }

    fn new_node(&mut self, at: NodeIndex, peers: BTreeSet<NodeIndex>) -> Node<S> {
        let random = stream(self.random.u64(..), &[2, u64::from(at)]);
        let disk = Disk::new(self.subject.store(), random);
        disk.fail(|faults| faults.promises_too_much = self.sabotage == Some(Sabotage::StorePromisesTooMuch));
        let nothing = Context::new(anti_entropy::clock::ReplicaId::from_u128(0));
        Node {
            name: name_of(at),
            disk,
            engine: None,
            clock: NodeClock::new(self.random.i64(-1000..1000)),
            member: true,
            peers,
            pauses: 0,
            inbox: VecDeque::new(),
            life: 0,
            timer_at: u64::MAX,
            busy_until: 0,
            commit_us: self.scenario.commit_us,
            commits: 0,
            marker: None,
            backup: None,
            seen: Seen {
                root: anti_entropy::summary::MerkleTree::<sha2::Sha256>::new().root(),
                context_hash: nothing.hash(),
                context: nothing,
                held: vec![Vec::new(); self.keys.len()],
                open: Vec::new(),
            },
            unknown: Vec::new(),
            lie: None,
            has_forged: false,
            twin: None,
            said: Vec::new(),
            claims: 0,
            replies: Replies::default(),
            longest_frame: 0,
            value_bytes_counted: 0,
            up_since: 0,
            opens_as: Opened::Restarted,
            held_down: false,
            is_doubtful: false,
            accounted: 0,
            seed: None,
            engine_seed: 0,
            repeats_seed: false,
            release: self.release_at_first(at),
            memory: None,
        }
    }

    /// The release that a node runs from the start.
    fn release_at_first(&self, at: NodeIndex) -> Release {
        let is_old =
            |step: &Step| step.fault == Fault::OldRelease && (step.nodes.is_empty() || step.nodes.contains(&at));
        if self.scenario.steps.iter().any(is_old) { Release::Old } else { Release::New }
    }

    pub(super) fn replica_config(&self, at: NodeIndex) -> ReplicaConfig {
        let gossip = &self.scenario.gossip;
        ReplicaConfig::default().with(|config| {
            config.max_context_pieces = gossip.context_pieces.unwrap_or(config.max_context_pieces);
            config.max_clock_replicas = gossip.clock_replicas.unwrap_or(config.max_clock_replicas);
            config.new_replicas_per_hour = gossip.new_replicas.unwrap_or(config.new_replicas_per_hour);
            if let Some(bytes) = gossip.first_message_bytes {
                config.min_peer_message_bytes = config.min_peer_message_bytes.min(bytes);
                config.max_value_bytes =
                    if at == 0 { config.max_value_bytes.min(bytes) } else { config.max_value_bytes };
            }
        })
    }

    pub(super) fn resolver(&self) -> Resolving<S::Resolver> {
        Resolving { inner: self.subject.resolver(), compacts: self.scenario.compacts }
    }

    pub(super) fn fresh_seed(&mut self) -> Seed {
        Seed::from_bytes(core::array::from_fn(|_| self.random.u8(..)))
    }

    /// Starts a node from its disk. If the disk fails, tries again later.
    pub(super) fn start(&mut self, at: NodeIndex, opened: Opened, continuity: Continuity) {
        let Some(engine) = self.counted(at, |world| world.open(at, opened, continuity)) else {
            let node = &mut self.nodes[at as usize];
            node.disk.take_failed();
            node.opens_as = opened;
            self.queue.push(self.now + RESTART_US, What::Start { node: at, life: node.life });
            return;
        };
        let node = &mut self.nodes[at as usize];
        node.engine = Some(engine);
        node.life += 1;
        node.timer_at = u64::MAX;
        node.busy_until = self.now;
        (node.is_doubtful, node.repeats_seed) = (false, false);
        node.up_since = self.now;
        node.value_bytes_counted = 0;
        node.disk.sync();
        self.observe_life(at, opened);
        self.drive(at, None, |_, _| {});
    }

    fn open(&mut self, at: NodeIndex, opened: Opened, continuity: Continuity) -> Option<Engine<S::Value>> {
        let mut replica_seed = self.fresh_seed();
        let mut seed = self.random.u64(..);
        if self.nodes[at as usize].repeats_seed {
            let node = &self.nodes[at as usize];
            (replica_seed, seed) = (node.seed.clone().unwrap_or(replica_seed), node.engine_seed);
        }
        if opened == Opened::Wiped && self.sabotage == Some(Sabotage::WipedStoreKeepsItsId) {
            replica_seed = self.nodes[at as usize].seed.clone().unwrap_or(replica_seed);
        }
        let node = &mut self.nodes[at as usize];
        (node.seed, node.engine_seed) = (Some(replica_seed.clone()), seed);
        set_release(node.release);
        let opening = Opening::from(replica_seed).with(|config| {
            config.continuity = continuity;
            config.config = self.replica_config(at);
        });
        let node = &self.nodes[at as usize];
        let replica = Replica::open(node.disk.handle(), self.resolver(), opening).ok()?;
        let now = node.clock.now(self.now);
        let engine = Engine::new(replica, self.scenario.gossip.config_of(at), seed, now);
        let mut engine = engine.expect("the settings of a scenario are checked before it runs");
        engine.set_name(Some(node.name.clone()));
        for peer in &node.peers {
            if self.nodes[*peer as usize].member {
                engine.add_peer(self.nodes[*peer as usize].name.clone(), None);
            }
        }
        Some(engine)
    }

    pub(super) fn start_again(&mut self, at: NodeIndex, life: u32) {
        let node = &self.nodes[at as usize];
        if node.life == life && !node.is_up() && node.member && !node.held_down {
            let opened = core::mem::replace(&mut self.nodes[at as usize].opens_as, Opened::Restarted);
            // Whoever starts it may vouch for a store that nobody has touched since, or not.
            let vouched = opened == Opened::Restarted && self.random.bool();
            let continuity = if vouched { Continuity::Vouched } else { Continuity::Unproven };
            self.start(at, opened, continuity);
        }
    }

    /// Ends a process by a crash.
    pub(super) fn crash(&mut self, at: NodeIndex) {
        if self.nodes[at as usize].is_up() {
            self.counts.crashes += 1;
            self.nodes[at as usize].disk.crash();
            self.take_down(at);
        }
    }

    /// Ends a process in order, and keeps the marker that proves that its store is the last one.
    pub(super) fn close(&mut self, at: NodeIndex) {
        let node = &mut self.nodes[at as usize];
        if let Some(engine) = node.engine.take() {
            node.marker = engine.into_replica().close().ok();
            node.disk.take_failed();
            self.take_down(at);
        }
    }

    fn take_down(&mut self, at: NodeIndex) {
        self.count_value_bytes(at);
        let node = &mut self.nodes[at as usize];
        self.counts.node_us += self.now - node.up_since;
        (node.engine, node.twin) = (None, None);
        self.clear_heap(at);
        let node = &mut self.nodes[at as usize];
        node.life += 1;
        node.inbox.clear();
        node.replies.clear();
        self.agreement.set(at, None);
    }

    /// What follows a commit that may have been kept or not: the process ends, or lives on for a while with a replica that has
    /// stopped. Nobody can say what such a replica has seen until it is opened again.
    pub(super) fn lose_the_store(&mut self, at: NodeIndex) {
        if self.random.bool() {
            return self.restart_soon(at);
        }
        let wait = self.random.u64(0..LIVES_ON_US);
        let node = &mut self.nodes[at as usize];
        if !core::mem::replace(&mut node.is_doubtful, true) {
            self.queue.push(self.now + wait, What::Restart { node: at, life: node.life });
        }
        self.agreement.set(at, None);
    }

    /// Restarts a node whose store may have kept a commit or not.
    pub(super) fn restart_soon(&mut self, at: NodeIndex) {
        self.crash(at);
        let life = self.nodes[at as usize].life;
        self.queue.push(self.now + RESTART_US, What::Start { node: at, life });
    }

    pub(super) fn count_uptime(&mut self) {
        for node in &mut self.nodes {
            if node.is_up() {
                self.counts.node_us += self.now - node.up_since;
                node.up_since = self.now;
            }
        }
    }

    /// Makes a node a member: it and its peers know each other from now on.
    pub(super) fn admit(&mut self, at: NodeIndex) {
        self.nodes[at as usize].member = true;
        let name = self.nodes[at as usize].name.clone();
        for peer in self.nodes[at as usize].peers.clone() {
            self.drive(peer, None, |engine, _| engine.add_peer(name.clone(), None));
        }
    }

    pub(super) fn dismiss(&mut self, at: NodeIndex) {
        self.nodes[at as usize].member = false;
        let name = self.nodes[at as usize].name.clone();
        for peer in self.nodes[at as usize].peers.clone() {
            self.drive(peer, None, |engine, _| engine.remove_peer(&name));
        }
    }
}
