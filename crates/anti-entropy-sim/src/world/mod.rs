//! The world: nodes, the network between them, and all events in the order of simulated time.

mod announce;
mod clock;
pub(crate) mod disk;
mod heap;
mod hostile;
mod measure;
mod network;
mod node;
mod observe;
mod operate;
mod poison;
mod power;
mod queue;
mod replies;
mod resolving;
mod sabotage;
mod snapshots;
mod steps;
mod tongue;

use std::collections::{BTreeMap, BTreeSet};

use anti_entropy::clock::{ContextHash, Now};
use anti_entropy::engine::{Engine, EngineOutput};
use anti_entropy::summary::Root;
use anti_entropy::{Event as EngineEvent, KeyHash, PeerId, Replica, ReplicaConfig, Replicated, Seen as SeenToken};
use twox_hash::XxHash3_64;

use core::hash::Hasher;

use self::disk::Disk;
use self::heap::Account;
pub use self::heap::count_heap;
use self::hostile::{Hostile, Siege};
use self::network::Network;
use self::node::{Event, INBOX_FRAMES, Node};
use self::queue::{Queue, What};
use self::replies::begins_a_sketch;
pub use self::sabotage::Sabotage;
use crate::history::{Alarm, Converged, Delivery, NodeIndex, NodeLimits, Record, Start, Traffic, ValueHash};
use crate::random::stream;
use crate::scenario::{Lie, Operation, Scenario};
use crate::subject::{Subject, set_release};

/// How much of a run is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Everything, and every frame that arrives, for people who read histories.
    Deliveries,
    /// Every change of what a node holds and has seen, for the checkers.
    Everything,
    /// Only which nodes are equal, and the traffic, for measurements of many nodes.
    Roots,
}

type Key<S> = <<S as Subject>::Value as Replicated>::Key;

/// A simulated cluster.
///
/// It depends only on the scenario, the seed and the subject. The order of events is drawn from the seed, and it uses no clock,
/// no thread and no hash map with random keys.
pub struct World<S: Subject> {
    pub(crate) subject: S,
    pub(crate) scenario: Scenario,
    seed: u64,
    config: anti_entropy::GossipConfig,
    detail: Detail,
    now: u64,
    queue: Queue,
    network: Network,
    nodes: Vec<Node<S>>,
    keys: Vec<(Key<S>, KeyHash)>,
    ledger: Vec<Event>,
    /// What clients have read and may replace, by client and key.
    tokens: BTreeMap<(u32, u32), (SeenToken, Vec<crate::history::WriteName>)>,
    random: fastrand::Rng,
    writes: u64,
    operations_done: u64,
    /// The steps that have begun and not ended.
    under_way: BTreeSet<usize>,
    /// The clones that answer to another node's name, by that node.
    clones: BTreeMap<NodeIndex, NodeIndex>,
    /// The nodes that are hostile at present.
    hostile: BTreeMap<NodeIndex, Hostile>,
    /// What the others have to exchange while hostile nodes go on.
    siege: Option<Siege>,
    /// What nodes have on the heap, where that is counted.
    heaps: BTreeMap<NodeIndex, Account>,
    agreement: Agreement,
    changed: BTreeSet<NodeIndex>,
    healed: bool,
    records: Vec<Record>,
    trace: XxHash3_64,
    traffic: Traffic,
    counts: Counts,
    sabotage: Option<Sabotage>,
}

/// Counts of what happened in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames handed to the network.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of values among them.
    pub value_bytes: u64,
    /// Operations of clients that were answered.
    pub operations: u64,
    /// Partitions that ended.
    pub partitions_healed: u64,
    /// Processes that ended.
    pub crashes: u64,
    /// Microseconds that nodes were up, summed over all nodes.
    pub node_us: u64,
    /// Sketches that were sent in answer to an opening and fit into a frame, repeated ones included.
    pub sketches: u64,
    /// Sketches that failed, so that trees were compared instead.
    pub sketches_failed: u64,
    /// Batches that were refused because they could not be certified.
    pub uncertified: u64,
    /// Sessions that became bulk transfers.
    pub bulk_sessions: u64,
}

/// Which of the nodes that have to become equal are equal.
#[derive(Default)]
struct Agreement {
    states: BTreeMap<NodeIndex, (Root, ContextHash)>,
    counts: BTreeMap<(Root, ContextHash), usize>,
    members: usize,
    /// Nodes that never have to be equal, whatever state they have.
    outside: BTreeSet<NodeIndex>,
}

impl Agreement {
    fn set(&mut self, node: NodeIndex, state: Option<(Root, ContextHash)>) {
        let state = state.filter(|_| !self.outside.contains(&node));
        let old = match state {
            Some(state) => self.states.insert(node, state),
            None => self.states.remove(&node),
        };
        if let Some(old) = old
            && let Some(count) = self.counts.get_mut(&old)
        {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&old);
            }
        }
        if let Some(state) = state {
            *self.counts.entry(state).or_default() += 1;
        }
    }

    /// Whether all members are up and equal.
    fn is_complete(&self) -> bool {
        self.states.len() == self.members && self.counts.len() == 1
    }
}

impl<S: Subject> World<S> {
    /// A cluster before the first event. The scenario has to pass [`Scenario::check`]. Operations of a workload that is not
    /// [expanded](Scenario::expanded) do not happen.
    pub fn new(scenario: &Scenario, seed: u64, subject: S, detail: Detail) -> Self {
        Self::sabotaged(scenario, seed, subject, detail, None)
    }

    /// The same with a bug that the checkers have to find.
    #[doc(hidden)]
    pub fn sabotaged(scenario: &Scenario, seed: u64, subject: S, detail: Detail, sabotage: Option<Sabotage>) -> Self {
        let keys = (0..scenario.keys).map(|key| subject.value(key, 0).key());
        let keys = keys.map(|key| (key.clone(), KeyHash::of(&key))).collect();
        let mut world = Self {
            seed,
            config: scenario.gossip.config(),
            network: Network::new(seed, scenario.links.clone()),
            scenario: scenario.clone(),
            subject,
            detail,
            now: 0,
            queue: Queue::default(),
            nodes: Vec::new(),
            keys,
            ledger: Vec::new(),
            tokens: BTreeMap::new(),
            random: if sabotage == Some(Sabotage::DrawsFromTheMachine) {
                fastrand::Rng::with_seed(address_of_something())
            } else {
                stream(seed, &[0])
            },
            writes: 0,
            operations_done: 0,
            under_way: BTreeSet::new(),
            clones: BTreeMap::new(),
            hostile: BTreeMap::new(),
            siege: None,
            heaps: BTreeMap::new(),
            agreement: Agreement::default(),
            changed: BTreeSet::new(),
            healed: false,
            records: Vec::new(),
            trace: XxHash3_64::with_seed(seed),
            traffic: Traffic::default(),
            counts: Counts::default(),
            sabotage,
        };
        world.record_start(seed);
        world.build();
        world.schedule_scenario();
        world
    }

    /// Runs the next event. Returns whether there was one.
    pub fn step(&mut self) -> bool {
        let Some((at, what)) = self.queue.pop() else { return false };
        self.now = at;
        self.perform(what);
        true
    }

    /// Runs all events until a time in microseconds.
    pub fn run_until(&mut self, until: u64) {
        while self.queue.next_at().is_some_and(|at| at <= until) {
            self.step();
        }
        self.now = self.now.max(until);
    }

    /// The simulated time in microseconds.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Whether all nodes that have to become equal are up, and hold and have seen the same.
    pub fn is_converged(&self) -> bool {
        self.agreement.is_complete()
    }

    /// How many different states the nodes have.
    pub fn distinct_states(&self) -> usize {
        self.agreement.counts.len()
    }

    /// Counts of what happened so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// A hash of all events so far, in order.
    pub fn trace_hash(&self) -> u64 {
        self.trace.finish()
    }

    /// The records since the last call.
    pub fn take_records(&mut self) -> Vec<Record> {
        core::mem::take(&mut self.records)
    }

    /// Records what every node holds, for the checks at the end of a run.
    pub fn end(&mut self) {
        self.count_uptime();
        self.record_ends();
    }

    /// The replica of a node, if it is up.
    pub fn replica(&self, node: NodeIndex) -> Option<&Replica<S::Value>> {
        self.nodes.get(node as usize)?.engine.as_ref().map(Engine::replica)
    }

    fn record_start(&mut self, seed: u64) {
        let us = |span: core::time::Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let config = &self.config;
        let pieces = self.replica_config(0).max_context_pieces.get() * ReplicaConfig::PIECES_OF_PEERS;
        self.records.push(Record::Start(Start {
            seed,
            scenario: self.scenario.name.clone(),
            nodes: self.scenario.nodes,
            keys: self.scenario.keys,
            interval_us: us(config.interval),
            min_interval_us: us(config.min_interval),
            fanout: u32::try_from(config.fanout).unwrap_or(u32::MAX),
            idle_timeout_us: us(config.session.idle_timeout),
            healed_loss_permille: self.scenario.healed_links.loss_permille,
            limits: NodeLimits {
                frame_bytes: config.session.max_frame_bytes as u64,
                sessions: config.max_sessions.get().max(2) as u64,
                queued_frames: config.max_queued_pushes as u64 + u64::from(self.scenario.nodes),
                peers: u64::from(self.scenario.nodes),
                context_pieces: pieces as u64,
            },
        }));
    }

    fn perform(&mut self, what: What) {
        match what {
            What::Arrival { to, from, frame } => self.arrive(to, from, frame),
            What::Abuse { node, abuse } => self.abuse(node, abuse),
            What::Late { from, to, frame } if self.hostile.contains_key(&from) => self.transmit(from, to, frame),
            What::Ping(node) => self.ping(node),
            What::Announcement { to, from, state } => self.hear(to, from, state),
            What::Timer { node, life } => self.fire(node, life),
            What::Operation(index) => {
                let operation = self.scenario.operations[index].clone();
                self.operate(&operation);
            }
            What::Begins(step) => self.begin(step),
            What::Ends(step) => self.finish(step),
            What::Flap { step, apart } => self.flap(step, apart),
            What::Crash(node) if self.nodes[node as usize].held_down => self.crash(node),
            What::Restart { node, life } if self.nodes[node as usize].life == life => self.restart_soon(node),
            What::Crash(_) | What::Restart { .. } | What::Late { .. } => {}
            What::Start { node, life } => self.start_again(node, life),
            What::Heal => self.heal(),
            What::Tick => self.tick(),
        }
    }

    fn schedule_scenario(&mut self) {
        for (index, operation) in self.scenario.operations.iter().enumerate() {
            self.queue.push(operation.at_us, What::Operation(index));
        }
        let duration = self.scenario.duration_ms * 1000;
        // What is over when something else begins is over before it.
        for (index, step) in self.scenario.steps.iter().enumerate() {
            self.queue.push((step.end_ms * 1000).min(duration), What::Ends(index));
        }
        for (index, step) in self.scenario.steps.iter().enumerate() {
            self.queue.push(step.start_ms * 1000, What::Begins(index));
        }
        if duration > 0 {
            self.queue.push(duration, What::Heal);
        }
        self.queue.push(self.interval_us(), What::Tick);
        self.schedule_pings();
    }

    fn interval_us(&self) -> u64 {
        u64::try_from(self.config.interval.as_micros()).unwrap_or(u64::MAX).max(1)
    }

    /// A frame arrives. It is handled, or waits while the node is paused or busy, or is lost if the node is down.
    fn arrive(&mut self, to: NodeIndex, from: NodeIndex, frame: Vec<u8>) {
        let node = &mut self.nodes[to as usize];
        if node.pauses > 0 {
            if node.inbox.len() < INBOX_FRAMES {
                node.inbox.push_back((from, frame));
            }
            return;
        }
        if node.busy_until > self.now {
            self.queue.push(node.busy_until, What::Arrival { to, from, frame });
            return;
        }
        self.note(&[1, u64::from(to), u64::from(from)], &frame);
        if self.detail == Detail::Deliveries && self.nodes[to as usize].is_up() {
            let (bytes, hash) = (frame.len() as u64, ValueHash::from_u64(XxHash3_64::oneshot(&frame)));
            self.records.push(Record::Delivery(Delivery { at: self.now, from, to, bytes, frame: hash }));
        }
        let name = self.nodes[from as usize].name.clone();
        if !self.overhears(to, &frame) {
            self.drive(to, Some(from), |engine, now| engine.handle_frame(&name, &frame, now));
        }
    }

    fn fire(&mut self, node: NodeIndex, life: u32) {
        let state = &mut self.nodes[node as usize];
        let is_broken = self.sabotage == Some(Sabotage::TimersNeverFire);
        if state.life != life || state.timer_at > self.now || is_broken {
            return;
        }
        state.timer_at = u64::MAX;
        if state.pauses > 0 {
            return;
        }
        if state.busy_until > self.now {
            let at = state.busy_until;
            self.schedule_timer(node, at);
            return;
        }
        self.fire_twin(node);
        self.drive(node, None, Engine::handle_timeout);
    }

    fn schedule_timer(&mut self, node: NodeIndex, at: u64) {
        let state = &mut self.nodes[node as usize];
        // The earlier one finds the later one in its place, or sets it anew.
        if at < state.timer_at {
            state.timer_at = at;
            self.queue.push(at, What::Timer { node, life: state.life });
        }
    }

    /// Calls a node's engine, and then performs its outputs.
    fn drive(&mut self, at: NodeIndex, from: Option<NodeIndex>, act: impl FnOnce(&mut Engine<S::Value>, Now)) {
        let node = &mut self.nodes[at as usize];
        let now = node.clock.now(self.now);
        let is_twin = node.twin.is_some() && from.is_some_and(|from| from % 2 == 1);
        let Some(_) = (if is_twin { node.twin.as_mut() } else { node.engine.as_mut() }) else { return };
        set_release(node.release);
        self.counted(at, |world| {
            let node = &mut world.nodes[at as usize];
            let engine = if is_twin { node.twin.as_mut() } else { node.engine.as_mut() };
            engine.map(|engine| act(engine, now))
        });
        let mut events = Vec::new();
        let deadline = self.pump(at, is_twin, &mut events);
        if let Some(deadline) = deadline {
            let when = self.nodes[at as usize].clock.when(deadline).max(self.now + 1);
            self.schedule_timer(at, when);
        }
        self.take_time(at);
        // A replica that stopped is not what its store is: only the next one knows what was kept.
        if self.nodes[at as usize].disk.take_failed() {
            self.lose_the_store(at);
        } else if self.nodes[at as usize].has_stopped() {
            self.restart_soon(at);
        } else {
            self.observe(at, from);
        }
        // A session that ends with what it brings says so of a state that has to be known by then.
        for event in events {
            self.note_event(at, &event);
            self.drop_of(at, event);
        }
    }

    /// Performs an engine's outputs until it wants to wait, and returns until when. Its events are kept until then.
    fn pump(
        &mut self,
        at: NodeIndex,
        is_twin: bool,
        events: &mut Vec<EngineEvent<Key<S>>>,
    ) -> Option<core::time::Duration> {
        let now = self.nodes[at as usize].clock.now(self.now);
        loop {
            let output = self.counted(at, |world| {
                let node = &mut world.nodes[at as usize];
                let engine = if is_twin { node.twin.as_mut() } else { node.engine.as_mut() };
                engine.map(|engine| engine.poll_output(now))
            });
            match output? {
                EngineOutput::Send { to, frame } => {
                    self.hand_out(at, frame.capacity());
                    self.send(at, &to, frame);
                }
                EngineOutput::Event(event) => events.push(event),
                EngineOutput::Wait(deadline) => return Some(deadline),
            }
        }
    }

    fn send(&mut self, from: NodeIndex, to: &PeerId, frame: Vec<u8>) {
        let to = self.answers_to(index_of(to), from);
        self.counts.frames += 1;
        self.counts.bytes += frame.len() as u64;
        self.traffic.frames += 1;
        self.traffic.bytes += frame.len() as u64;
        self.counts.sketches += u64::from(begins_a_sketch(&frame));
        self.count_replies(from, to, &frame);
        let node = &mut self.nodes[from as usize];
        node.longest_frame = node.longest_frame.max(frame.len() as u64);
        for frame in self.with_poison(from, to, frame) {
            if self.hostile.contains_key(&from) {
                self.speak(from, to, frame);
            } else if self.nodes[from as usize].lie.is_some() {
                self.lie(from, to, frame);
            } else {
                self.transmit(from, to, frame);
            }
        }
    }

    fn transmit(&mut self, from: NodeIndex, to: NodeIndex, frame: Vec<u8>) {
        let queue = &mut self.queue;
        self.network.send(self.now, from, to, frame, |at, frame| queue.push(at, What::Arrival { to, from, frame }));
    }

    fn note_event(&mut self, at: NodeIndex, event: &EngineEvent<Key<S>>) {
        if self.detail != Detail::Roots && !self.is_forging(at) {
            self.record_event(at, event);
        }
    }

    /// A commit on a slow disk keeps the node busy.
    fn take_time(&mut self, at: NodeIndex) {
        let node = &mut self.nodes[at as usize];
        let commits = node.disk.commits();
        let took = (commits - node.commits) * node.commit_us;
        node.commits = commits;
        if took > 0 {
            node.busy_until = node.busy_until.max(self.now) + took;
        }
    }

    /// Whether a node is not the replica that it claims to be. Such a node is not observed. Other liars lie only in what they
    /// send.
    fn is_forging(&self, node: NodeIndex) -> bool {
        matches!(self.nodes[node as usize].lie, Some(Lie::Twin | Lie::Impersonate))
    }

    fn alarm(&mut self, node: NodeIndex, alarm: &str, detail: String) {
        self.records.push(Record::Alarm(Alarm { at: self.now, node, alarm: alarm.to_owned(), detail }));
    }

    /// Adds an event to the trace hash.
    fn note(&mut self, words: &[u64], bytes: &[u8]) {
        self.trace.write(&self.now.to_le_bytes());
        for word in words {
            self.trace.write(&word.to_le_bytes());
        }
        self.trace.write(bytes);
    }

    /// Records that all nodes that have to become equal are, for the first time since the network healed.
    fn note_agreement(&mut self) {
        if self.healed && self.agreement.is_complete() {
            self.healed = false;
            self.records.push(Record::Converged(Converged { at: self.now }));
        }
    }

    /// Writes at a node at once. Returns whether the node accepted it: it may be down, or its store may refuse.
    pub fn write(&mut self, node: NodeIndex, key: u32) -> bool {
        let before = self.counts.operations;
        let op = crate::history::OpKind::Write;
        self.operate(&Operation { at_us: self.now, process: node, node, op, keys: vec![key] });
        self.counts.operations > before
    }
}

/// The name of a node, from which its place can be read.
fn name_of(node: NodeIndex) -> PeerId {
    PeerId::from(format!("n{node}").as_str())
}

fn index_of(name: &PeerId) -> NodeIndex {
    name.as_str()[1..].parse().expect("nodes are named by their place")
}

/// What differs from process to process: where the system puts things.
fn address_of_something() -> u64 {
    let something = Box::new(0_u8);
    core::ptr::from_ref(&*something).addr() as u64
}
