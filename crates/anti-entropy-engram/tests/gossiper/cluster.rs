//! A cluster of gossipers on virtual time, over links that delay, lose and repeat frames; and patterns for it.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anti_entropy::clock::{Now, Seed};
use anti_entropy::engine::EngineOutput;
use anti_entropy::store::{Commit, MetaSlot, StoreError};
use anti_entropy::{Event, GossipConfig, KeyHash, KeyRange, MemoryStore, Opening, PeerId, Store};
use anti_entropy_engram::gossiper::{ConsolidationGossiper, GossiperConfig, Rebuilt};
use anti_entropy_engram::{ConsolidationSnapshot, MemorySpace, SemanticPattern};
use chrono::DateTime;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// A space of few dimensions.
pub(crate) fn space() -> MemorySpace {
    MemorySpace::new("test").with(|space| space.dimension = NonZeroUsize::new(4).unwrap())
}

/// A pattern that differs from others by its confidence, in per cent, and by its embedding.
pub(crate) fn pattern(id: &str, percent: u8) -> SemanticPattern {
    SemanticPattern {
        id: id.to_string(),
        embedding: vec![f32::from(percent), 1.0, 2.0, 3.0],
        source_episodes: vec!["episode_1".to_string(), format!("episode_{id}")],
        strength: 0.5,
        schema_confidence: f32::from(percent) / 100.0,
        last_consolidated: DateTime::UNIX_EPOCH,
    }
}

pub(crate) fn snapshot(patterns: impl IntoIterator<Item = SemanticPattern>) -> ConsolidationSnapshot {
    ConsolidationSnapshot { generated_at: DateTime::UNIX_EPOCH, patterns: patterns.into_iter().collect() }
}

/// What is left out of a rebuild's counts where they are compared.
pub(crate) fn counts(rebuilt: &Rebuilt) -> [usize; 5] {
    [rebuilt.written, rebuilt.unchanged, rebuilt.deleted, rebuilt.kept, rebuilt.refused.len()]
}

/// A store that outlives its replica, and can be copied.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<MemoryStore>>);

impl Disk {
    pub(crate) fn backup(&self) -> Self {
        Self(Arc::new(Mutex::new(self.0.lock().unwrap().clone())))
    }
}

impl Store for Disk {
    fn load(&self, key: KeyHash) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.lock().unwrap().load(key)
    }

    fn scan(
        &self,
        range: KeyRange,
        visit: &mut dyn FnMut(KeyHash, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.0.lock().unwrap().scan(range, visit)
    }

    fn meta(&self, slot: MetaSlot) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.lock().unwrap().meta(slot)
    }

    fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        self.0.lock().unwrap().commit(commit)
    }
}

pub(crate) fn name(index: usize) -> PeerId {
    PeerId::from(format!("node-{index}").as_str())
}

/// Opens a gossiper of a cluster of so many nodes.
pub(crate) fn open(
    index: usize,
    nodes: usize,
    space: MemorySpace,
    store: impl Store + 'static,
    opening: impl Into<Opening>,
    config: impl Into<GossiperConfig>,
    now: Now,
) -> ConsolidationGossiper {
    let mut gossiper = ConsolidationGossiper::open(space, name(index), store, opening, config, now).unwrap();
    let peers = (0..nodes).filter(|peer| *peer != index);
    peers.for_each(|peer| gossiper.engine_mut().add_peer(name(peer), None));
    gossiper
}

/// A gossiper on its own, with an empty store.
pub(crate) fn alone() -> ConsolidationGossiper {
    open(0, 1, space(), MemoryStore::new(), seed(0), GossipConfig::default(), start())
}

pub(crate) fn start() -> Now {
    Now { elapsed: Duration::ZERO, unix_ms: 1_700_000_000_000 }
}

pub(crate) fn seed(number: u8) -> Seed {
    Seed::from_bytes([number; 32])
}

pub(crate) struct Cluster {
    pub(crate) nodes: Vec<ConsolidationGossiper>,
    pub(crate) disks: Vec<Disk>,
    pub(crate) config: GossiperConfig,
    /// Frames on their way, by time of arrival and a number that keeps them apart.
    flying: BTreeMap<(Duration, u64), (usize, usize, Vec<u8>)>,
    pub(crate) down: BTreeSet<usize>,
    pub(crate) events: Vec<(usize, Event<String>)>,
    random: fastrand::Rng,
    pub(crate) now: Now,
    sent: u64,
    pub(crate) lost_percent: u8,
    seeds: u8,
}

impl Cluster {
    pub(crate) fn new(nodes: usize, config: impl Into<GossiperConfig>) -> Self {
        Self::of_spaces(&vec![space(); nodes], config)
    }

    pub(crate) fn of_spaces(spaces: &[MemorySpace], config: impl Into<GossiperConfig>) -> Self {
        let mut cluster = Self {
            nodes: Vec::new(),
            disks: Vec::new(),
            config: config.into(),
            flying: BTreeMap::new(),
            down: BTreeSet::new(),
            events: Vec::new(),
            random: fastrand::Rng::with_seed(1),
            now: start(),
            sent: 0,
            lost_percent: 0,
            seeds: 0,
        };
        for (index, space) in spaces.iter().enumerate() {
            let (disk, opening) = (Disk::default(), cluster.fresh_seed());
            let config = cluster.config.clone();
            cluster.nodes.push(open(index, spaces.len(), space.clone(), disk.clone(), opening, config, cluster.now));
            cluster.disks.push(disk);
        }
        cluster
    }

    pub(crate) fn fresh_seed(&mut self) -> Seed {
        self.seeds += 1;
        seed(self.seeds)
    }

    /// Starts a node anew, over this disk.
    pub(crate) fn restart(&mut self, index: usize, disk: Disk, opening: impl Into<Opening>) {
        let space = self.nodes[index].space().clone();
        let (nodes, config) = (self.nodes.len(), self.config.clone());
        self.nodes[index] = open(index, nodes, space, disk.clone(), opening, config, self.now);
        self.disks[index] = disk;
    }

    pub(crate) fn rebuild(&mut self, index: usize, snapshot: &ConsolidationSnapshot) -> Rebuilt {
        self.nodes[index].rebuild_from_snapshot(snapshot, self.now).unwrap()
    }

    /// Collects what the engines want; returns when the next of them wants to be woken.
    fn collect(&mut self) -> Duration {
        let mut wake = Duration::MAX;
        for from in (0..self.nodes.len()).filter(|index| !self.down.contains(index)).collect::<Vec<_>>() {
            loop {
                match self.nodes[from].engine_mut().poll_output(self.now) {
                    EngineOutput::Send { to, frame } => self.fly(from, &to, &frame),
                    EngineOutput::Event(event) => self.events.push((from, event)),
                    EngineOutput::Wait(until) => {
                        wake = wake.min(until);
                        break;
                    }
                }
            }
        }
        wake
    }

    fn fly(&mut self, from: usize, to: &PeerId, frame: &[u8]) {
        let to = (0..self.nodes.len()).find(|index| name(*index) == *to).unwrap();
        let copies = 1 + usize::from(self.lost_percent > 0 && self.random.u8(0..100) < 5);
        for _ in 0..copies {
            self.sent += 1;
            let delay = Duration::from_micros(self.random.u64(200..5000));
            if self.random.u8(0..100) >= self.lost_percent {
                self.flying.insert((self.now.elapsed + delay, self.sent), (from, to, frame.to_vec()));
            }
        }
    }

    /// Lets time pass, until `done` or for `span`; returns whether it is done.
    pub(crate) fn run(&mut self, span: Duration, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let end = self.now.elapsed + span;
        loop {
            let wake = self.collect();
            if done(self) {
                return true;
            }
            let arrival = self.flying.first_key_value().map_or(Duration::MAX, |(key, _)| key.0);
            let next = wake.min(arrival);
            if next > end {
                self.now = self.now.after(end.saturating_sub(self.now.elapsed));
                return false;
            }
            self.now = self.now.after(next.saturating_sub(self.now.elapsed));
            while let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= next) {
                let (from, to, frame) = entry.remove();
                if !self.down.contains(&to) {
                    self.nodes[to].engine_mut().handle_frame(&name(from), &frame, self.now);
                }
            }
            for index in (0..self.nodes.len()).filter(|index| !self.down.contains(index)) {
                self.nodes[index].engine_mut().handle_timeout(self.now);
            }
        }
    }

    pub(crate) fn equal(&mut self) -> bool {
        let replicas = self.nodes.iter_mut().map(|node| node.engine_mut().replica_mut());
        let states: Vec<_> = replicas.map(|replica| (replica.root(), replica.context_hash())).collect();
        states.iter().all(|state| *state == states[0])
    }

    pub(crate) fn converge(&mut self) {
        assert!(self.run(30 * MINUTE, Self::equal), "they did not converge");
    }

    pub(crate) fn value_bytes_sent(&self) -> u64 {
        self.nodes.iter().map(|node| node.engine().stats().value_bytes_sent).sum()
    }
}

/// What a node holds: the confidence, in per cent, of each version by pattern and origin.
pub(crate) fn held(gossiper: &ConsolidationGossiper) -> Vec<(String, String, f32)> {
    let mut held = Vec::new();
    let all = gossiper.engine().replica().for_each(|id, read| {
        held.extend(read.siblings().iter().map(|version| {
            (id.clone(), version.value.origin().to_string(), (version.value.confidence() * 100.0).round())
        }));
        ControlFlow::Continue(())
    });
    all.unwrap();
    held.sort_by(|a, b| a.partial_cmp(b).unwrap());
    held
}

/// The same, as literals in tests.
pub(crate) fn versions(versions: &[(&str, usize, u8)]) -> Vec<(String, String, f32)> {
    let version = |(id, node, percent): &(&str, usize, u8)| {
        ((*id).to_string(), name(*node).as_str().to_string(), f32::from(*percent))
    };
    versions.iter().map(version).collect()
}
