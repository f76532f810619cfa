//! A cluster of real processes: started, told what to do, stopped, killed, and watched.

mod load;
mod log;
mod process;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command as Program;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anti_entropy::{GossipConfig, ReplicaConfig};
use anti_entropy_net::{TestAuthority, TlsConfig, Trust};
use anti_entropy_sim::history::{NodeIndex, NodeLimits, OpKind, Opened, Record, Start, Traffic};
use anti_entropy_sim::rounds_allowed;
use tempfile::TempDir;

pub use self::load::{KEYS, Load};
pub use self::log::{Live, Log};
use self::process::Process;
use crate::history::{Happening, records};
use crate::network::Network;
use crate::node::name_of;
use crate::time::monotonic_us;
use crate::wire::{Broken, Carrier, Command, Options, Request, Tick};

/// How long to wait for what must happen: never reached when all is well, even where everything is slow.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Where nodes take the frames of their peers.
const TRANSPORT_PORT: u16 = 7400;

/// Where nodes take the datagrams of the membership.
const SWIM_PORT: u16 = 7946;

/// Where nodes run.
#[derive(Debug)]
pub enum Ground {
    /// Each in a namespace of its own, with a network that can be cut.
    Namespaces(Network),
    /// All on loopback addresses that nobody else is likely to have. Needs no privileges.
    Loopback([u8; 2]),
}

impl Ground {
    /// Loopback addresses drawn at random.
    pub fn loopback() -> Self {
        Self::Loopback([fastrand::u8(1..255), fastrand::u8(..)])
    }

    fn address(&self, node: NodeIndex, port: u16) -> SocketAddr {
        let address = match self {
            Self::Namespaces(network) => network.address(node),
            Self::Loopback([a, b]) => {
                let last = u8::try_from(node + 1).expect("a cluster has a few nodes");
                IpAddr::V4(Ipv4Addr::new(127, *a, *b, last))
            }
        };
        SocketAddr::new(address, port)
    }

    fn command(&self, node: NodeIndex, program: &str) -> Program {
        match self {
            Self::Namespaces(network) => network.command(node, program),
            Self::Loopback(_) => Program::new(program),
        }
    }
}

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What a run is called, in its history and on standard error.
    pub name: String,
    /// How many nodes.
    pub nodes: NodeIndex,
    /// What clients and faults are drawn from.
    pub seed: u64,
    /// The program of a node.
    pub program: PathBuf,
    /// What carries frames.
    pub carrier: Carrier,
    /// How nodes gossip.
    pub gossip: GossipConfig,
    /// Which nodes are broken on purpose.
    pub broken: BTreeMap<NodeIndex, Broken>,
}

impl Setup {
    /// Five sound nodes that gossip quickly.
    pub fn new(name: &str, seed: u64, program: &str) -> Self {
        let (name, program) = (name.to_owned(), program.into());
        let carrier = Carrier::Quic;
        Self { name, nodes: 5, seed, program, carrier, gossip: gossip(), broken: BTreeMap::new() }
    }
}

/// Rounds short enough for a test, and time-outs long enough for a slow machine.
fn gossip() -> GossipConfig {
    GossipConfig::test().with(|config| {
        config.interval = Duration::from_secs(2);
        config.min_interval = Duration::from_millis(250);
        config.backoff_min = Duration::from_millis(250);
        config.backoff_max = Duration::from_secs(2);
        config.busy_retry = Duration::from_millis(50);
        config.session.resend_after = Duration::from_millis(250);
        config.session.idle_timeout = Duration::from_secs(2);
    })
}

/// Processes, and what they have said.
#[derive(Debug)]
pub struct Cluster {
    setup: Setup,
    nodes: Vec<Arc<Process>>,
    log: Arc<Log>,
    ops: Arc<load::Counter>,
    /// How often clients were set to work: each time they do something else.
    loads: u64,
    /// What each node had sent when it was asked last.
    ticks: BTreeMap<NodeIndex, Tick>,
    ticked: u64,
    /// Other clusters on this machine have another one.
    key: [u8; 32],
    authority: TestAuthority,
    /// Behind the processes, so that it is dropped after them.
    ground: Ground,
    stores: TempDir,
}

impl Cluster {
    /// Starts all nodes, and waits until they are up.
    ///
    /// # Panics
    /// If a node does not come up.
    pub fn start(setup: Setup, ground: Ground) -> Self {
        let stores = tempfile::tempdir().expect("there is room for a directory");
        let log = Arc::new(Log::default());
        let nodes = (0..setup.nodes).map(|node| Arc::new(Process::new(node, Arc::clone(&log)))).collect();
        let (ops, ticks) = (Arc::default(), BTreeMap::new());
        let key = std::array::from_fn(|_| fastrand::u8(..));
        let authority = TestAuthority::new().expect("there is randomness");
        let mut cluster = Self { setup, nodes, log, ops, loads: 0, ticks, ticked: 0, key, authority, ground, stores };
        (0..cluster.setup.nodes).for_each(|node| cluster.start_node(node, Opened::New));
        cluster.wait_up();
        cluster
    }

    /// What the nodes run on.
    pub fn network(&mut self) -> &mut Network {
        match &mut self.ground {
            Ground::Namespaces(network) => network,
            Ground::Loopback(_) => panic!("what has no network cannot be cut"),
        }
    }

    /// What was said so far.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> NodeIndex {
        self.setup.nodes
    }

    /// Writes a line that shows that a long run is alive.
    pub fn tell(&self, what: &str) {
        eprintln!("[{} seed {}] {what}", self.setup.name, self.setup.seed);
    }

    /// Notes something that is not said by a node.
    pub fn note(&self, happening: Happening) {
        self.log.push(monotonic_us(), happening);
    }

    /// The directory of a node's store.
    pub fn store(&self, node: NodeIndex) -> PathBuf {
        self.stores.path().join(format!("n{node}"))
    }

    /// Starts a node; its store is what `opened` says.
    ///
    /// # Panics
    /// If the process cannot be started.
    pub fn start_node(&mut self, node: NodeIndex, opened: Opened) {
        std::fs::create_dir_all(self.store(node)).expect("there is room for a directory");
        self.note(Happening::Started(node, opened));
        let program = self.setup.program.to_str().expect("cargo's paths are text");
        let options = Options {
            node,
            listen: self.ground.address(node, TRANSPORT_PORT),
            carrier: self.setup.carrier,
            tls: self.tls(node),
            swim: self.ground.address(node, SWIM_PORT),
            seeds: (0..self.setup.nodes).map(|other| self.ground.address(other, SWIM_PORT)).collect(),
            key: self.key,
            store: self.store(node),
            gossip: self.setup.gossip.clone(),
            clock_offset_ms: 0,
            broken: self.setup.broken.get(&node).cloned(),
        };
        self.ticks.remove(&node);
        self.nodes[node as usize].start(self.ground.command(node, program), &options);
    }

    /// A certificate of a node's name, another one each time.
    fn tls(&self, node: NodeIndex) -> TlsConfig {
        let issued = self.authority.issue(name_of(node).as_str()).expect("the name is one of DNS");
        TlsConfig::new(issued.certificate, issued.key, Trust::Authorities(issued.authority.into()))
    }

    /// Kills a node's process; nothing of it is asked before.
    pub fn kill(&mut self, node: NodeIndex) {
        self.nodes[node as usize].kill();
        self.note(Happening::Ended(node));
    }

    /// Lets a node close its store and end.
    ///
    /// # Panics
    /// If it does not.
    pub fn shut_down(&mut self, node: NodeIndex) {
        self.nodes[node as usize].tell(&Command::Shutdown);
        self.log.wait(PATIENCE, "a node closes its store", |live| live.node(node).is_closed().then_some(()));
        self.kill(node);
    }

    /// Stops a process as if its machine stood still, or lets it go on.
    pub fn pause(&self, node: NodeIndex, paused: bool) {
        self.nodes[node as usize].pause(paused);
    }

    /// Sets how far the wall clock of a node is ahead.
    pub fn set_clock(&self, node: NodeIndex, offset_ms: i64) {
        self.nodes[node as usize].tell(&Command::Clock { offset_ms });
    }

    /// Waits until all nodes have opened their stores.
    ///
    /// # Panics
    /// If one does not.
    pub fn wait_up(&self) {
        let up = |live: &Live| (0..self.setup.nodes).all(|node| live.node(node).is_up()).then_some(());
        self.log.wait(PATIENCE, "all nodes are up", up);
    }

    /// Waits until all nodes are equal, and says how long it took; nothing if that takes twice as long as it may.
    pub fn wait_equal(&self) -> Option<Duration> {
        let start = Instant::now();
        let rounds = u32::try_from(2 * rounds_allowed(self.setup.nodes, 0)).unwrap_or(u32::MAX);
        let equal = |live: &Live| live.is_equal(self.setup.nodes).then_some(());
        self.log.wait_for(self.setup.gossip.interval * rounds, equal).map(|()| start.elapsed())
    }

    /// Lets clients work at all nodes until the load is stopped.
    pub fn load(&mut self) -> Load {
        self.loads += 1;
        Load::start(&self.nodes, &self.log, &self.ops, self.setup.seed ^ self.loads << 8)
    }

    /// Does one thing at a node for a client, and waits for the answer; nothing if the node ended meanwhile.
    pub fn ask(&self, node: NodeIndex, op: OpKind, key: u32, value: Option<String>) -> Option<crate::wire::Done> {
        let process = self.setup.nodes + node;
        let request = Request { op_id: self.ops.next(), process, op, key, value };
        load::ask(&self.nodes[node as usize], &self.log, request, PATIENCE)
    }

    /// Asks all nodes what they have sent, and notes how much that is since they were asked last.
    pub fn tick(&mut self) {
        let ticks: Vec<(NodeIndex, Tick)> = (0..self.setup.nodes).map(|node| (node, self.tick_of(node))).collect();
        let mut traffic = Traffic { from: self.ticked, to: monotonic_us(), ..Traffic::default() };
        for (node, tick) in ticks {
            let before = self.ticks.insert(node, tick.clone()).unwrap_or_default();
            traffic.nodes += 1;
            traffic.frames += tick.frames - before.frames;
            traffic.bytes += tick.bytes - before.bytes;
            traffic.value_bytes += tick.value_bytes - before.value_bytes;
        }
        if traffic.from > 0 {
            self.log.push(traffic.to, Happening::Traffic(traffic.clone()));
        }
        self.ticked = traffic.to;
    }

    fn tick_of(&self, node: NodeIndex) -> Tick {
        let before = self.log.look(|live| live.node(node).ticks);
        self.nodes[node as usize].tell(&Command::Tick);
        self.log.wait(PATIENCE, "a node says what it has sent", |live| {
            let said = live.node(node);
            (said.ticks > before).then_some(said.tick).flatten()
        })
    }

    /// Waits until these nodes have the others for down.
    ///
    /// # Panics
    /// If that does not happen.
    pub fn wait_down(&self, nodes: &[NodeIndex], others: &[NodeIndex]) {
        let deadline = Instant::now() + PATIENCE;
        while nodes.iter().any(|node| self.tick_of(*node).members.iter().any(|member| others.contains(member))) {
            assert!(Instant::now() < deadline, "{nodes:?} do not notice that {others:?} are down");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// The stretch that the next tick measures begins with it.
    pub fn forget_ticks(&mut self) {
        self.ticked = 0;
    }

    /// Reads every key at every node, as clients that come once all is equal.
    pub fn read_everywhere(&self) {
        for node in 0..self.setup.nodes {
            (0..KEYS).for_each(|key| drop(self.ask(node, OpKind::Read, key, None)));
        }
    }

    /// Lets every node say all that it holds.
    ///
    /// # Panics
    /// If one does not.
    pub fn end(&self) {
        for node in 0..self.setup.nodes {
            let before = self.log.look(|live| live.node(node).ends);
            self.nodes[node as usize].tell(&Command::End);
            let said = |live: &Live| (live.node(node).ends > before).then_some(());
            self.log.wait(PATIENCE, "a node says what it holds", said);
        }
    }

    /// The history so far.
    pub fn history(&self) -> Vec<Record> {
        records(self.first_record(), self.log.happenings())
    }

    fn first_record(&self) -> Start {
        let Setup { name, nodes, seed, gossip, .. } = &self.setup;
        let us = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let pieces = ReplicaConfig::default().max_context_pieces.get() * ReplicaConfig::PIECES_OF_PEERS;
        Start {
            seed: *seed,
            scenario: name.clone(),
            nodes: *nodes,
            keys: KEYS,
            interval_us: us(gossip.interval),
            min_interval_us: us(gossip.min_interval),
            fanout: u32::try_from(gossip.fanout).unwrap_or(u32::MAX),
            idle_timeout_us: us(gossip.session.idle_timeout),
            healed_loss_permille: 0,
            limits: NodeLimits {
                frame_bytes: gossip.session.max_frame_bytes as u64,
                sessions: gossip.max_sessions.get() as u64,
                queued_frames: gossip.max_queued_pushes as u64 + u64::from(*nodes),
                peers: u64::from(*nodes),
                context_pieces: pieces as u64,
            },
        }
    }
}
