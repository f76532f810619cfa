//! A thousand spaces on five nodes, each space on three, on virtual time: what an idle cluster sends beside its pings,
//! and how a lost write is found.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use anti_entropy::clock::{Now, Seed};
use anti_entropy::engine::{Engine, EngineOutput, SharedSpaces, SharedSpacesConfig, SpacesOutput};
use anti_entropy::{GossipConfig, Keyed, LastWriterWins, MemoryStore, PeerId, Replica};

type Item = Keyed<u32, String>;

const NODES: usize = 5;
const COPIES: usize = 3;
const SPACES: u64 = 1000;

struct Node {
    shared: SharedSpaces,
    /// The engine of each space, and when it is to be woken.
    engines: BTreeMap<u64, (Engine<Item>, Duration)>,
    /// The spaces whose state may have changed since it was last announced.
    changed: BTreeSet<u64>,
}

struct Frame {
    from: usize,
    to: PeerId,
    /// `None` for the channel of all spaces.
    space: Option<u64>,
    bytes: Vec<u8>,
}

struct Cluster {
    nodes: Vec<Node>,
    now: Now,
    second: usize,
    flying: VecDeque<Frame>,
    loses_all: bool,
    /// How many frames were sent in each space, and on the channel of all.
    sent: BTreeMap<Option<u64>, u64>,
}

fn name(node: usize) -> PeerId {
    PeerId::from(format!("node-{node}").as_str())
}

/// The nodes of a space: three in a row, beginning anywhere.
fn placed_on(space: u64) -> BTreeSet<usize> {
    let first = usize::try_from(space).unwrap() % NODES;
    (first..first + COPIES).map(|node| node % NODES).collect()
}

impl Cluster {
    fn new() -> Self {
        let now = Now { elapsed: Duration::ZERO, unix_ms: 1_700_000_000_000 };
        let mut random = fastrand::Rng::with_seed(1);
        let mut node = |node: usize| {
            let mut shared = SharedSpaces::new(SharedSpacesConfig::default(), node as u64).unwrap();
            let mut engines = BTreeMap::new();
            for space in (0..SPACES).filter(|space| placed_on(*space).contains(&node)) {
                let seed = Seed::from_bytes(std::array::from_fn(|_| random.u8(..)));
                let replica = Replica::open(MemoryStore::new(), LastWriterWins, seed).unwrap();
                let mut engine = Engine::new(replica, GossipConfig::default(), random.u64(..), now).unwrap();
                engine.set_name(Some(name(node)));
                engine.set_members(&placed_on(space).into_iter().map(|node| (name(node), None)).collect());
                shared.share(space, placed_on(space).into_iter().filter(|other| *other != node).map(name));
                engines.insert(space, (engine, Duration::ZERO));
            }
            let changed = engines.keys().copied().collect();
            Node { shared, engines, changed }
        };
        let nodes = (0..NODES).map(&mut node).collect();
        Self { nodes, now, second: 0, flying: VecDeque::new(), loses_all: false, sent: BTreeMap::new() }
    }

    fn send(&mut self, frame: Frame) {
        *self.sent.entry(frame.space).or_default() += 1;
        if !self.loses_all {
            self.flying.push_back(frame);
        }
    }

    /// Lets an engine do something, and takes what comes of it.
    fn act(&mut self, node: usize, space: u64, act: impl FnOnce(&mut Engine<Item>, Now)) {
        let now = self.now;
        let Some((engine, wake_at)) = self.nodes[node].engines.get_mut(&space) else { return };
        act(engine, now);
        let mut sent = Vec::new();
        loop {
            match engine.poll_output(now) {
                EngineOutput::Send { to, frame } => sent.push((to, frame)),
                EngineOutput::Event(_) => {}
                EngineOutput::Wait(until) => break *wake_at = until,
            }
        }
        self.nodes[node].changed.insert(space);
        for (to, bytes) in sent {
            self.send(Frame { from: node, to, space: Some(space), bytes });
        }
    }

    fn poll_shared(&mut self, node: usize) {
        while let Some(output) = self.nodes[node].shared.poll_output() {
            match output {
                SpacesOutput::Send { to, frame } => self.send(Frame { from: node, to, space: None, bytes: frame }),
                SpacesOutput::Announced { peer, space, state } => self.act(node, space, |engine, now| {
                    engine.handle_announcement(&peer, state, now);
                }),
            }
        }
    }

    fn deliver(&mut self) {
        while let Some(Frame { from, to, space, bytes }) = self.flying.pop_front() {
            let to = (0..NODES).find(|node| name(*node) == to).unwrap();
            if let Some(space) = space {
                self.act(to, space, |engine, now| engine.handle_frame(&name(from), &bytes, now));
            } else {
                self.nodes[to].shared.handle_frame(&name(from), &bytes, self.now.elapsed);
                self.poll_shared(to);
            }
        }
    }

    /// What a failure detector's ping, or its answer, brings along.
    fn ping(&mut self, from: usize, to: usize) {
        for node in [from, to] {
            let node = &mut self.nodes[node];
            for space in std::mem::take(&mut node.changed) {
                let (engine, _) = node.engines.get_mut(&space).unwrap();
                node.shared.announce(space, engine.announcement());
            }
        }
        let digest = self.nodes[from].shared.digest(&name(to)).unwrap();
        self.nodes[to].shared.handle_digest(&name(from), digest, self.now.elapsed);
        self.poll_shared(to);
        self.deliver();
    }

    /// In each second, each node pings another one.
    fn run(&mut self, seconds: usize) {
        for _ in 0..seconds {
            self.second += 1;
            self.now.elapsed += Duration::from_secs(1);
            self.now.unix_ms += 1_000;
            for node in 0..NODES {
                let engines = self.nodes[node].engines.iter();
                let due: Vec<u64> =
                    engines.filter(|(_, (_, at))| *at <= self.now.elapsed).map(|(space, _)| *space).collect();
                for space in due {
                    self.act(node, space, Engine::handle_timeout);
                }
                let other = (node + 1 + self.second % (NODES - 1)) % NODES;
                self.ping(node, other);
                self.ping(other, node);
            }
        }
    }

    fn is_equal(&mut self, space: u64) -> bool {
        let mut of = |node: usize| self.nodes[node].engines.get_mut(&space).unwrap().0.announcement();
        let states: BTreeSet<_> = placed_on(space).into_iter().map(|node| of(node).to_bytes()).collect();
        states.len() == 1
    }
}

#[test]
fn a_thousand_idle_spaces_send_no_frames_and_lost_writes_are_found_by_the_pings() {
    let mut cluster = Cluster::new();
    for space in 0..SPACES {
        let writer = *placed_on(space).first().unwrap();
        cluster.act(writer, space, |engine, now| {
            engine.write(Keyed::new(1, format!("of {space}")), now).unwrap();
        });
    }
    cluster.deliver();
    cluster.run(120);
    assert!((0..SPACES).all(|space| cluster.is_equal(space)));

    // Rounds are due ten times in this time, and all of their peers are known to be equal.
    cluster.sent.clear();
    let rounds =
        |cluster: &Cluster| cluster.nodes[0].engines.values().map(|(engine, _)| engine.stats().rounds).sum::<u64>();
    let before = rounds(&cluster);
    cluster.run(600);
    assert!(rounds(&cluster) > before + 5 * 600);
    assert_eq!(cluster.sent, BTreeMap::new());

    // Nobody hears of these writes but by the digests.
    let lost = [3, 500, 998];
    cluster.loses_all = true;
    for space in lost {
        let writer = *placed_on(space).last().unwrap();
        cluster.act(writer, space, |engine, now| {
            engine.write(Keyed::new(2, "lost".to_string()), now).unwrap();
        });
    }
    cluster.loses_all = false;
    cluster.sent.clear();
    cluster.run(10);
    assert!(lost.iter().all(|space| cluster.is_equal(*space)));
    let spaces: BTreeSet<_> = cluster.sent.keys().copied().collect();
    assert_eq!(spaces, [None, Some(3), Some(500), Some(998)].into(), "{:?}", cluster.sent);
    // A comparison takes four frames, and is made by the few nodes that are pinged before the spaces are equal.
    assert!(cluster.sent[&None] <= 40, "{:?}", cluster.sent);
}
