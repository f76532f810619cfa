//! Whole clusters of engines on virtual time, over links that delay, lose and repeat frames, and can be cut.

mod announcement;
mod budgets;
mod causal_buffer;
mod fairness;
mod group;
mod holes;
mod identity;
mod life;
mod limit;
mod member;
mod members;
mod planted;
mod push;
mod status;
mod timing;
mod tree;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::num::NonZeroU64;
use core::time::Duration;

use crate::PeerId;
use crate::clock::{Now, Seed};
use crate::gossip::*;
use crate::replica::{Keyed, LastWriterWins, MemoryStore, Replica, Replicated, Resolver, Semilattice, SemilatticeJoin};

pub(in crate::gossip) type Item = Keyed<u32, String>;

pub(in crate::gossip) struct Cluster<V: Replicated> {
    pub(in crate::gossip) engines: BTreeMap<PeerId, Engine<V>>,
    /// Frames on their way, by time of arrival and a number that keeps them apart.
    flying: BTreeMap<(Duration, u64), (PeerId, PeerId, Vec<u8>)>,
    pub(super) cut: BTreeSet<(PeerId, PeerId)>,
    /// Frames that arrived at names without an engine: from whom, and to whom.
    heard: Vec<(PeerId, PeerId, Vec<u8>)>,
    events: Vec<(PeerId, Event<V::Key>)>,
    random: fastrand::Rng,
    pub(super) now: Now,
    sent: u64,
    lost_percent: u8,
    pub(super) repeated_percent: u8,
}

pub(in crate::gossip) fn name(index: usize) -> PeerId {
    PeerId::from(alloc::format!("node-{index}").as_str())
}

impl<V: Replicated> Cluster<V> {
    pub(in crate::gossip) fn new<R: Resolver<V> + Clone + 'static>(
        nodes: usize,
        resolver: &R,
        config: &GossipConfig,
        seed: u64,
    ) -> Self {
        let now = Now { elapsed: Duration::ZERO, unix_ms: 1_700_000_000_000 };
        let engine = |index: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&seed.to_be_bytes());
            bytes[8] = u8::try_from(index).unwrap();
            let replica = Replica::open(MemoryStore::new(), resolver.clone(), Seed::from_bytes(bytes)).unwrap();
            let mut engine = Engine::new(replica, config.clone(), seed * 1000 + index as u64, now).unwrap();
            engine.set_name(Some(name(index)));
            (0..nodes).filter(|peer| *peer != index).for_each(|peer| engine.add_peer(name(peer), None));
            (name(index), engine)
        };
        Self {
            engines: (0..nodes).map(engine).collect(),
            flying: BTreeMap::new(),
            cut: BTreeSet::new(),
            heard: Vec::new(),
            events: Vec::new(),
            random: fastrand::Rng::with_seed(seed),
            now,
            sent: 0,
            lost_percent: 0,
            repeated_percent: 0,
        }
    }

    pub(in crate::gossip) fn engine(&mut self, index: usize) -> &mut Engine<V> {
        self.engines.get_mut(&name(index)).unwrap()
    }

    /// Changes settings of one node's sessions while it runs.
    #[cfg(feature = "tracing")]
    pub(in crate::gossip) fn set_session_config(&mut self, index: usize, session: crate::sync::SessionConfig) {
        self.engine(index).config.session = session;
    }

    /// Cuts every link between the two sides.
    pub(in crate::gossip) fn split(&mut self, left: &[usize], right: &[usize]) {
        for (a, b) in left.iter().flat_map(|a| right.iter().map(move |b| (*a, *b))) {
            self.cut.extend([(name(a), name(b)), (name(b), name(a))]);
        }
    }

    /// Collects what the engines want; returns when the next of them wants to be woken.
    fn collect(&mut self) -> Duration {
        let mut wake = Duration::MAX;
        let names: Vec<PeerId> = self.engines.keys().cloned().collect();
        for from in names {
            loop {
                match self.engines.get_mut(&from).unwrap().poll_output(self.now) {
                    EngineOutput::Send { to, frame } => self.fly(&from, &to, &frame),
                    EngineOutput::Event(event) => self.events.push((from.clone(), event)),
                    EngineOutput::Wait(until) => {
                        wake = wake.min(until);
                        break;
                    }
                }
            }
        }
        wake
    }

    fn fly(&mut self, from: &PeerId, to: &PeerId, frame: &[u8]) {
        let copies = 1 + usize::from(self.random.u8(0..100) < self.repeated_percent);
        for _ in 0..copies {
            self.sent += 1;
            let delay = Duration::from_micros(self.random.u64(200..5000));
            if self.random.u8(0..100) >= self.lost_percent && !self.cut.contains(&(from.clone(), to.clone())) {
                self.flying.insert((self.now.elapsed + delay, self.sent), (from.clone(), to.clone(), frame.to_vec()));
            }
        }
    }

    /// Takes out what has arrived at a name without an engine, from one peer.
    pub(super) fn take_heard(&mut self, at: &PeerId, sender: &PeerId) -> Vec<Vec<u8>> {
        let is_it = |(from, to, _): &(PeerId, PeerId, Vec<u8>)| from == sender && to == at;
        let (taken, kept): (Vec<_>, Vec<_>) = self.heard.drain(..).partition(is_it);
        self.heard = kept;
        taken.into_iter().map(|(_, _, frame)| frame).collect()
    }

    pub(in crate::gossip) fn run(&mut self, span: Duration, mut done: impl FnMut(&mut Self) -> bool) -> bool {
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
                match self.engines.get_mut(&to) {
                    Some(engine) => engine.handle_frame(&from, &frame, self.now),
                    None => self.heard.push((from, to, frame)),
                }
            }
            let now = self.now;
            self.engines.values_mut().for_each(|engine| engine.handle_timeout(now));
        }
    }

    pub(in crate::gossip) fn equal(&mut self) -> bool {
        let mut states = self.engines.values_mut().map(|engine| (engine.replica.root(), engine.replica.context_hash()));
        let first = states.next().unwrap();
        states.all(|state| state == first)
    }

    fn converge(&mut self, within: Duration) {
        assert!(self.run(within, Self::equal), "not equal after {within:?}");
    }
}

impl Cluster<Item> {
    pub(in crate::gossip) fn write(&mut self, node: usize, key: u32, value: &str) {
        let now = self.now;
        self.engine(node).write(Keyed::new(key, value.to_string()), now).unwrap();
    }

    pub(in crate::gossip) fn value(&mut self, node: usize, key: u32) -> Option<String> {
        self.engine(node).replica.read(&key).unwrap().into_value().map(|item| item.value)
    }
}

/// The frames that an engine sends now, and until when it waits.
pub(in crate::gossip) fn frames(engine: &mut Engine<Item>, now: Now) -> (Vec<Vec<u8>>, Duration) {
    let mut frames = Vec::new();
    loop {
        match engine.poll_output(now) {
            EngineOutput::Send { frame, .. } => frames.push(frame),
            EngineOutput::Event(_) => {}
            EngineOutput::Wait(until) => return (frames, until),
        }
    }
}

#[test]
fn five_replicas_converge_by_rounds_alone() {
    let config = GossipConfig { push: false, ..GossipConfig::lan() };
    let mut cluster = Cluster::new(5, &LastWriterWins, &config, 1);
    for key in 0..200 {
        cluster.write(key as usize % 5, key, "value");
    }
    cluster.converge(Duration::from_secs(100));
    assert!(cluster.engines.values().all(|engine| engine.replica.len() == 200));
}

#[test]
fn a_write_is_pushed_to_everybody_at_once() {
    let mut cluster = Cluster::new(4, &LastWriterWins, &GossipConfig::default(), 1);
    cluster.run(Duration::from_secs(30), |_| false);
    cluster.write(0, 7, "now");
    assert!(cluster.run(Duration::from_millis(10), Cluster::equal), "pushes take one delay, not a round");
    assert_eq!(cluster.value(3, 7).as_deref(), Some("now"));
}

#[test]
fn pushes_leave_no_gaps_in_a_cluster_that_is_larger_than_their_fanout() {
    let config = GossipConfig {
        interval: Duration::from_secs(100_000),
        min_interval: Duration::from_secs(100_000),
        ..GossipConfig::default()
    };
    let mut cluster = Cluster::new(10, &LastWriterWins, &config, 1);
    for key in 0..30 {
        cluster.write(0, key, "value");
        cluster.run(Duration::from_millis(10), |_| false);
    }
    let taken: u64 = cluster.engines.values().map(|engine| engine.stats().pushes_taken).sum();
    assert_eq!(taken, 90);
}

#[test]
fn loss_and_repetition_cost_time_only() {
    for seed in 0..10 {
        let mut cluster = Cluster::new(5, &LastWriterWins, &GossipConfig::lan(), seed);
        (cluster.lost_percent, cluster.repeated_percent) = (20, 20);
        for key in 0..100 {
            cluster.write(key as usize % 5, key % 30, &alloc::format!("value {key}"));
            cluster.run(Duration::from_millis(10), |_| false);
        }
        cluster.converge(Duration::from_secs(600));
    }
}

#[test]
fn a_partition_heals_without_losing_or_reviving_anything() {
    let mut cluster = Cluster::new(5, &LastWriterWins, &GossipConfig::lan(), 3);
    (0..50).for_each(|key| cluster.write(0, key, "before"));
    cluster.converge(Duration::from_secs(100));
    cluster.split(&[0, 1], &[2, 3, 4]);
    let now = cluster.now;
    for key in 0..10 {
        cluster.engine(0).delete(&key, now).unwrap();
        cluster.write(1, key + 10, "left");
        cluster.write(2, key + 10, "right");
        cluster.write(3, key + 100, "new");
    }
    cluster.run(Duration::from_secs(60), |_| false);
    assert!(!cluster.equal());
    cluster.cut.clear();
    cluster.converge(Duration::from_secs(300));
    assert_eq!(cluster.engine(4).replica.len(), 50);
    assert_eq!(cluster.engine(4).replica.conflicts(), 10);
    assert_eq!(cluster.value(4, 3), None);
    assert_eq!(cluster.value(0, 103).as_deref(), Some("new"));
}

#[test]
fn no_value_moves_twice_while_one_replica_learns_from_four() {
    let config = GossipConfig { push: false, ..GossipConfig::lan() };
    let mut cluster = Cluster::new(5, &LastWriterWins, &config, 5);
    cluster.split(&[4], &[0, 1, 2, 3]);
    (0..500).for_each(|key| cluster.write(0, key, "a value of some length, so that it shows in the sum"));
    cluster.run(Duration::from_secs(200), |_| false);
    cluster.cut.clear();
    cluster.converge(Duration::from_secs(300));
    let sent: u64 = cluster.engines.values().map(|engine| engine.stats().value_bytes_sent).sum();
    let needed: u64 = cluster.engines.values().map(|engine| engine.replica.stats().value_bytes_needed).sum();
    assert_eq!(sent, needed);
}

#[test]
fn equal_replicas_exchange_roots_and_nothing_else() {
    let mut cluster = Cluster::new(5, &LastWriterWins, &GossipConfig::default(), 1);
    (0..100).for_each(|key| cluster.write(0, key, "value"));
    cluster.converge(Duration::from_secs(300));
    cluster.run(Duration::from_secs(300), |_| false);
    let before: Vec<EngineStats> = cluster.engines.values().map(Engine::stats).collect();
    cluster.run(Duration::from_secs(600), |_| false);
    for (before, engine) in before.iter().zip(cluster.engines.values()) {
        assert_eq!(engine.stats().value_bytes_sent, before.value_bytes_sent);
        // Ten rounds of three openings, and about as many replies.
        let bytes = engine.stats().bytes_sent - before.bytes_sent;
        assert!(bytes < 12 * 3 * 200, "{bytes} bytes in ten quiet minutes");
    }
}

#[test]
fn a_dead_peer_is_left_alone_and_found_again() {
    let mut cluster = Cluster::new(3, &LastWriterWins, &GossipConfig::lan(), 1);
    cluster.split(&[2], &[0, 1]);
    cluster.run(Duration::from_secs(300), |_| false);
    let now = cluster.now;
    let status = cluster.engine(0).status(now);
    let dead = status.peers.iter().find(|peer| peer.peer == name(2)).unwrap();
    assert!(dead.failures > 2 && dead.lag.is_none(), "{dead:?}");
    cluster.write(0, 1, "meanwhile");
    cluster.cut.clear();
    cluster.converge(Duration::from_secs(100));
}

#[test]
fn sync_now_pursues_a_peer_until_converged() {
    let config = GossipConfig {
        interval: Duration::from_secs(100_000),
        min_interval: Duration::from_secs(100_000),
        push: false,
        ..GossipConfig::lan()
    };
    let mut cluster = Cluster::new(2, &LastWriterWins, &config, 1);
    cluster.split(&[0], &[1]);
    cluster.write(0, 1, "one");
    let now = cluster.now;
    cluster.engine(0).sync_until_converged(&name(1), now);
    cluster.run(Duration::from_secs(60), |_| false);
    cluster.cut.clear();
    cluster.converge(Duration::from_secs(100));
    cluster.run(Duration::from_secs(1), |_| false);
    assert!(cluster.events.iter().any(|(_, event)| matches!(event, Event::Converged { .. })));
}

#[test]
fn the_rate_of_bytes_is_bounded() {
    let rate = NonZeroU64::new(10_000).unwrap();
    let config = GossipConfig { bytes_per_second: rate, burst_bytes: rate, ..GossipConfig::lan() };
    let mut cluster = Cluster::new(2, &LastWriterWins, &config, 1);
    (0..1000).for_each(|key| cluster.write(0, key, &"x".repeat(200)));
    let start = cluster.now.elapsed;
    cluster.run(Duration::from_secs(1000), Cluster::equal);
    let (span, sent) = (cluster.now.elapsed.saturating_sub(start), cluster.engine(0).stats().bytes_sent);
    assert!(cluster.equal(), "a slow link is slow, not stuck");
    // The last frame, of 64 KiB at most, is on its way before time has made up for it.
    assert!(span.as_secs() >= (sent - 10_000 - (64 << 10)) / 10_000, "{span:?} for {sent} bytes");
    // A batch may go over by one frame.
    assert!(sent <= 10_000 * (span.as_secs() + 2) + 300_000, "{sent} bytes in {span:?}");
}

#[test]
fn pushes_that_wait_are_bounded_and_the_rounds_make_up_for_the_rest() {
    let one = NonZeroU64::new(1).unwrap();
    let mut config =
        GossipConfig { max_queued_pushes: 10, bytes_per_second: one, burst_bytes: one, ..GossipConfig::lan() };
    let mut cluster = Cluster::new(2, &LastWriterWins, &config, 1);
    (0..50).for_each(|key| cluster.write(0, key, "value"));
    assert_eq!(cluster.engine(0).pushing.queued_len(), 10);
    assert_eq!(cluster.engine(0).stats().pushes_dropped, 40);
    config.bytes_per_second = GossipConfig::lan().bytes_per_second;
    cluster.engine(0).config = config.clone();
    cluster.engine(1).config = config;
    cluster.converge(Duration::from_secs(100));
}

#[test]
fn a_store_that_fails_is_reported_and_the_peer_need_not_wait() {
    let mut cluster = Cluster::new(2, &LastWriterWins, &GossipConfig { push: false, ..GossipConfig::lan() }, 1);
    cluster.write(1, 1, "one");
    cluster.engine(0).replica.stop_for_test();
    cluster.run(Duration::from_secs(30), |_| false);
    assert!(cluster.events.iter().any(|(node, event)| *node == name(0) && matches!(event, Event::StoreFailed { .. })));
    assert!(cluster.engine(1).sessions.iter().all(|open| !open.session.is_transferring()));
}

/// A set that grows.
#[derive(Clone, Debug, PartialEq)]
struct Grown(Keyed<u32, BTreeSet<u32>>);

impl crate::replica::Digest for Grown {
    fn digest<H: digest::Update>(&self, hash: &mut H) {
        self.0.digest(hash);
    }
}

impl Replicated for Grown {
    type Key = u32;
    fn key(&self) -> u32 {
        self.0.key
    }
    fn encode(&self) -> crate::replica::Encoded {
        self.0.encode()
    }
    fn decode(key: &u32, encoded: &crate::replica::Encoded) -> Result<Self, crate::replica::DecodeError> {
        Keyed::decode(key, encoded).map(Self)
    }
}

impl Semilattice for Grown {
    fn join(&self, other: &Self) -> Self {
        Self(Keyed::new(self.0.key, self.0.value.union(&other.0.value).copied().collect()))
    }
}

#[test]
fn siblings_of_a_semilattice_are_compacted_and_come_to_rest() {
    let mut cluster = Cluster::new(4, &SemilatticeJoin, &GossipConfig::lan(), 1);
    cluster.split(&[0, 1], &[2, 3]);
    let now = cluster.now;
    for node in 0..4u32 {
        let value = Grown(Keyed::new(1, BTreeSet::from([node])));
        cluster.engine(node as usize).write(value, now).unwrap();
    }
    cluster.run(Duration::from_secs(60), |_| false);
    cluster.cut.clear();
    cluster.run(Duration::from_secs(300), |_| false);
    assert!(cluster.equal());
    assert_eq!(cluster.engine(0).replica.conflicts(), 0);
    let value = cluster.engine(3).replica.read(&1).unwrap().into_value().unwrap();
    assert_eq!(value.0.value, BTreeSet::from([0, 1, 2, 3]));
    let writes: u64 = cluster.engines.values().map(|engine| engine.replica.context().own_counter()).sum();
    assert!(writes < 20, "compaction makes {writes} writes of 4");
}

#[test]
fn strangers_and_garbage_are_refused_and_counted() {
    let mut cluster = Cluster::new(2, &LastWriterWins, &GossipConfig::lan(), 1);
    let now = cluster.now;
    let mut random = fastrand::Rng::with_seed(7);
    cluster.engine(0).handle_frame(&PeerId::from("stranger"), &[1, 0, 0], now);
    for _ in 0..10_000 {
        let bytes: Vec<u8> = (0..random.usize(0..100)).map(|_| random.u8(..)).collect();
        cluster.engine(0).handle_frame(&name(1), &bytes, now);
    }
    assert_eq!(cluster.engine(0).stats().frames_refused, 10_001);
    cluster.write(0, 1, "still at work");
    cluster.converge(Duration::from_secs(100));
}
