//! Nodes on a network that exists in memory only, with a time of its own.

mod announcing;
mod hostile;
mod joining;
mod limits;
mod put_back;
mod traffic;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anti_entropy::engine::StateDigest;

use super::{Node, Shared};
use crate::cluster_name::ClusterName;
use crate::monitor::Monitor;
use crate::swim::announce::Announcements;
use crate::swim::boot_id::BootId;
use crate::swim::config::SwimConfig;
use crate::swim::event::MembershipEvent;
use crate::swim::header::MAX_DATAGRAM_BYTES;
use crate::swim::key::ClusterKey;
use crate::swim::mailbox::Mailbox;
use crate::swim::stats::{Stats, SwimStats};
use crate::swim::tests::SeededEntropy;

/// A datagram on its way, or recorded.
#[derive(Clone, Debug)]
struct Packet {
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

/// What a node was told, with its own time.
#[derive(Clone)]
enum Input {
    Datagram { now: Duration, from: SocketAddr, bytes: Vec<u8> },
    Timeout { now: Duration },
    Seeds { now: Duration, seeds: Vec<SocketAddr> },
}

/// All that a node was told since it was started. Nodes are deterministic, so this is an image of its memory, with the
/// generator of its random numbers.
#[derive(Clone)]
struct Image {
    config: SwimConfig,
    boot: BootId,
    seed: u64,
    began: Duration,
    inputs: Vec<Input>,
}

impl Image {
    fn node(&self) -> Node {
        let config = self.config.clone();
        let shared = Arc::new(Shared {
            announcements: Announcements::new(config.limits.max_spaces),
            mailbox: Mailbox::new(config.limits.max_spaces),
            stats: Stats::default(),
            put_back: Monitor::default(),
        });
        let address = config.listen;
        let entropy = Box::new(SeededEntropy::new(self.seed));
        let mut node = Node::new(config, address, (self.boot, self.seed), entropy, shared, self.began).unwrap();
        for input in &self.inputs {
            match input.clone() {
                Input::Datagram { now, from, bytes } => node.handle_datagram(now, from, &bytes),
                Input::Timeout { now } => node.handle_timeout(now),
                Input::Seeds { now, seeds } => {
                    node.take_seeds_wanted();
                    node.handle_seeds(now, seeds);
                }
            }
            while node.poll_transmit().is_some() {}
        }
        node
    }
}

/// What stands between the nodes.
struct Net {
    now: Duration,
    nodes: BTreeMap<SocketAddr, Node>,
    random: fastrand::Rng,
    /// One in how many datagrams is lost, in percent.
    loss_percent: u8,
    /// Between which pairs nothing gets through.
    cut: Box<dyn Fn(SocketAddr, SocketAddr) -> bool>,
    /// By arrival and number.
    flying: BTreeMap<(Duration, u64), Packet>,
    /// Everything that was sent.
    sent: Vec<Packet>,
    boots: u64,
    images: BTreeMap<SocketAddr, Image>,
    /// How far behind the clocks of nodes are that were put back.
    behind: BTreeMap<SocketAddr, Duration>,
}

impl Net {
    fn new(seed: u64) -> Self {
        Self {
            now: Duration::ZERO,
            nodes: BTreeMap::new(),
            random: fastrand::Rng::with_seed(seed),
            loss_percent: 0,
            cut: Box::new(|_, _| false),
            flying: BTreeMap::new(),
            sent: Vec::new(),
            boots: 0,
            images: BTreeMap::new(),
            behind: BTreeMap::new(),
        }
    }

    /// Starts a node, in place of the one that has its address.
    fn start(&mut self, config: SwimConfig) -> SocketAddr {
        self.boots += 1;
        let address = config.listen;
        let boot = BootId(self.boots.to_be_bytes());
        let image = Image { config, boot, seed: self.random.u64(..), began: self.now, inputs: Vec::new() };
        self.nodes.insert(address, image.node());
        self.behind.remove(&address);
        self.images.insert(address, image);
        address
    }

    /// Puts a node back to an image that was taken at this time of its clock, which goes on from there.
    fn put_back(&mut self, address: SocketAddr, image: Image, taken: Duration) {
        self.nodes.insert(address, image.node());
        self.images.insert(address, image);
        self.behind.insert(address, self.now.checked_sub(taken).unwrap());
    }

    /// What a node's clock shows.
    fn local(&self, address: SocketAddr) -> Duration {
        self.now.saturating_sub(self.behind.get(&address).copied().unwrap_or_default())
    }

    fn note(&mut self, address: SocketAddr, input: Input) {
        self.images.get_mut(&address).unwrap().inputs.push(input);
    }

    /// Lets time pass.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    /// Lets time pass until something is so; fails when that takes too long.
    fn run_until(&mut self, mut so: impl FnMut(&mut Self) -> bool) {
        let end = self.now + Duration::from_secs(600);
        while !so(self) {
            assert!(self.step(end), "it takes too long");
        }
    }

    /// Does the next thing before the end.
    fn step(&mut self, end: Duration) -> bool {
        let arrival = self.flying.keys().next().map(|(at, _)| *at);
        let timeout = self.nodes.iter().filter_map(|(&address, node)| {
            let behind = self.behind.get(&address).copied().unwrap_or_default();
            Some((node.next_timeout()? + behind, address))
        });
        let timeout = timeout.min();
        let next = arrival.into_iter().chain(timeout.map(|(at, _)| at)).min();
        let Some(next) = next.filter(|next| *next <= end) else { return false };
        self.now = self.now.max(next);
        if arrival == Some(next) {
            let (_, packet) = self.flying.pop_first().unwrap();
            self.deliver(packet);
        } else if let Some((_, address)) = timeout {
            let now = self.local(address);
            self.note(address, Input::Timeout { now });
            let node = self.nodes.get_mut(&address).unwrap();
            node.handle_timeout(now);
            if node.take_seeds_wanted() {
                let seeds = node.config.seeds.iter().map(|seed| seed.parse().unwrap()).collect::<Vec<_>>();
                node.handle_seeds(now, seeds.clone());
                self.note(address, Input::Seeds { now, seeds });
            }
            self.collect(address);
        }
        true
    }

    /// Hands a datagram to the node that has the address, if any.
    fn deliver(&mut self, packet: Packet) {
        let Packet { from, to, bytes } = packet;
        let now = self.local(to);
        if self.nodes.contains_key(&to) {
            self.note(to, Input::Datagram { now, from, bytes: bytes.clone() });
            self.node(to).handle_datagram(now, from, &bytes);
            self.collect(to);
        }
    }

    /// Takes what a node sends; some of it is lost, and the rest is late.
    fn collect(&mut self, from: SocketAddr) {
        while let Some((to, bytes)) = self.nodes.get_mut(&from).unwrap().poll_transmit() {
            assert!(bytes.len() <= MAX_DATAGRAM_BYTES);
            let packet = Packet { from, to, bytes };
            self.sent.push(packet.clone());
            if self.random.u8(..100) >= self.loss_percent && !(self.cut)(from, to) {
                let late = Duration::from_micros(self.random.u64(100..20_000));
                self.flying.insert((self.now + late, self.sent.len() as u64), packet);
            }
        }
    }

    fn node(&mut self, address: SocketAddr) -> &mut Node {
        self.nodes.get_mut(&address).unwrap()
    }

    fn leave(&mut self, address: SocketAddr) {
        let now = self.local(address);
        self.node(address).leave(now);
        self.collect(address);
        self.nodes.remove(&address);
    }

    fn stats(&self, address: SocketAddr) -> SwimStats {
        self.nodes[&address].shared.stats.snapshot()
    }

    /// The names of the members that a node knows.
    fn members(&self, address: SocketAddr) -> Vec<String> {
        self.nodes[&address].shared.mailbox.members().iter().map(|member| member.name.to_string()).collect()
    }

    /// Whether all nodes know all nodes.
    fn is_complete(&self) -> bool {
        self.nodes.keys().all(|&address| self.members(address).len() == self.nodes.len() - 1)
    }

    /// What a node's consumer has not been told yet.
    fn events(&self, address: SocketAddr) -> Vec<MembershipEvent> {
        let mailbox = &self.nodes[&address].shared.mailbox;
        std::iter::from_fn(|| mailbox.try_next()).collect()
    }
}

fn address(number: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 7_000 + number))
}

/// The node of this number, which knows the first as its seed.
fn config(number: u16) -> SwimConfig {
    let transport = SocketAddr::from(([10, 0, 0, 1], 8_000 + number));
    let (name, key) = (name(number).as_str().into(), ClusterKey::new([7; 32]));
    let config = SwimConfig::new(test(), name, address(number), transport, key);
    SwimConfig { seeds: vec![address(1).to_string()], ..config }
}

fn test() -> ClusterName {
    ClusterName::new("test").unwrap()
}

fn name(number: u16) -> String {
    format!("node-{number}")
}

/// So many nodes that know each other.
fn cluster(seed: u64, nodes: u16) -> Net {
    let mut net = Net::new(seed);
    for number in 1..=nodes {
        net.start(config(number));
    }
    net.run_until(|net| net.is_complete());
    net
}

/// What a replica in this state announces.
fn digest(byte: u8) -> StateDigest {
    StateDigest::from_bytes([byte; 32])
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
