//! The traffic and the threads of an idle cluster with many spaces.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anti_entropy::engine::{Pool, PoolConfig, SharedSpacesConfig};
use anti_entropy::transport::{Channels, ChannelsConfig};
use anti_entropy::{Handle, Keyed, LastWriterWins, MemoryStore, Node, PeerId};
use anti_entropy_net::swim::{ClusterKey, Membership, PlacedSpace, SpaceReplica, SwimConfig, follow_shared};
use anti_entropy_net::{ClusterName, TcpConfig, TcpTransport};
use serde::Serialize;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

type Item = Keyed<u32, String>;

/// The headers of IPv4 and UDP.
const UDP_HEADER_BYTES: u64 = 20 + 8;
/// The headers of IPv4 and TCP, and the length of a frame; a frame here fits into a packet.
const TCP_HEADER_BYTES: u64 = 20 + 32 + 4;
/// On how many nodes a space is.
const COPIES: usize = 3;
const ENGINE_THREADS: usize = 4;
const RUNTIME_THREADS: usize = 2;
/// How long the nodes have to find each other.
const PATIENCE: Duration = Duration::from_secs(120);

/// What one idle node sent.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    nodes: usize,
    node: String,
    /// How many spaces the cluster has, and how many of them this node.
    spaces: u64,
    held: usize,
    seconds: u64,
    /// Without the headers that are counted in `bytes_per_second`.
    datagrams: u64,
    frames: u64,
    /// With the headers of IPv4 and UDP or TCP.
    bytes_per_second: f64,
    /// The threads that a node has added to the process; `None` where the system does not tell.
    threads: Option<usize>,
}

impl Row {
    pub(crate) const HEADERS: [&str; 8] =
        ["nodes", "node", "spaces", "of this node", "datagrams", "frames", "bytes a second", "threads"];
    pub(crate) const GOALS: [&str; 8] = ["goal", "", "", "", "", "", "<= 1,024 B", "<= 8"];

    pub(crate) fn cells(&self) -> Vec<String> {
        vec![
            self.nodes.to_string(),
            self.node.clone(),
            self.spaces.to_string(),
            self.held.to_string(),
            self.datagrams.to_string(),
            self.frames.to_string(),
            format!("{:.0} B", self.bytes_per_second),
            self.threads.map_or_else(|| "?".to_string(), |threads| threads.to_string()),
        ]
    }
}

/// Runs nodes on loopback, writes a value in each space, waits until all are equal and then for `settle`, and returns
/// what each of them sends in so many seconds. All settings are the defaults.
pub(crate) fn measure(nodes: usize, spaces: u64, settle: Duration, seconds: u64) -> Result<Vec<Row>, Box<dyn Error>> {
    let mut cluster: Vec<Running> = Vec::new();
    for number in 0..nodes {
        let seeds = cluster.iter().map(|node| node.membership.local_addr().to_string()).take(1).collect();
        cluster.push(Running::start(number, nodes, spaces, seeds)?);
    }
    for node in &cluster {
        node.write_own()?;
    }
    let began = Instant::now();
    while !cluster.iter().try_fold(true, |all, node| Ok::<_, Box<dyn Error>>(all && node.is_equal()?))? {
        if began.elapsed() > PATIENCE {
            return Err("the nodes did not become equal".into());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    std::thread::sleep(settle);
    let before: Vec<_> = cluster.iter().map(Running::sent).collect();
    std::thread::sleep(Duration::from_secs(seconds));
    Ok(cluster.iter().zip(before).map(|(node, before)| node.row(nodes, spaces, seconds, &before)).collect())
}

/// A node as an application would run it: a runtime, a pool for its engines, one transport.
struct Running {
    number: usize,
    runtime: Runtime,
    transport: Arc<TcpTransport>,
    membership: Arc<Membership>,
    handles: BTreeMap<u64, Handle<Item>>,
    _spaces: watch::Sender<BTreeMap<u64, PlacedSpace>>,
    threads: Option<usize>,
}

/// What a node has sent so far.
struct Sent {
    datagrams: u64,
    frames: u64,
    bytes: u64,
}

impl Running {
    fn start(number: usize, nodes: usize, spaces: u64, seeds: Vec<String>) -> Result<Self, Box<dyn Error>> {
        let threads = threads();
        let runtime = Builder::new_multi_thread().worker_threads(RUNTIME_THREADS).enable_all().build()?;
        let entered = runtime.enter();
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let transport =
            runtime.block_on(TcpTransport::bind(TcpConfig::new(ClusterName::new("bench")?, name(number), loopback)))?;
        let transport = Arc::new(transport);
        let (channels, carry) = Channels::new(Arc::clone(&transport), ChannelsConfig::default())?;
        runtime.spawn(carry);
        let pool = Pool::new(PoolConfig::default().with(|config| {
            config.threads = ENGINE_THREADS.try_into().expect("not zero");
        }))?;
        let (mut handles, mut placed) = (BTreeMap::new(), BTreeMap::new());
        for space in (0..spaces).filter(|space| placed_on(*space, nodes).contains(&name(number))) {
            let node = Node::<Item>::new(MemoryStore::new(), LastWriterWins);
            let (handle, frames) = node.on(&pool).start(channels.open(space)?)?;
            runtime.spawn(frames);
            let replica: Arc<dyn SpaceReplica> = Arc::new(handle.clone());
            placed.insert(space, PlacedSpace { replica, nodes: placed_on(space, nodes) });
            handles.insert(space, handle);
        }
        let config = SwimConfig::new(name(number), loopback, transport.local_addr(), ClusterKey::new([7; 32]));
        let config = config.with(|config| config.seeds = seeds);
        let membership = Arc::new(runtime.block_on(Membership::join(config))?);
        let (spaces, watched) = watch::channel(placed);
        let channel = channels.open(Membership::ALL_SHARED)?;
        let (of, routes) = (Arc::clone(&membership), Arc::clone(&transport) as _);
        runtime.spawn(follow_shared(of, routes, channel, watched, SharedSpacesConfig::default()));
        drop(entered);
        let threads = self::threads().zip(threads).map(|(after, before)| after - before);
        Ok(Self { number, runtime, transport, membership, handles, _spaces: spaces, threads })
    }

    /// Writes a value in each space of which this node is the first.
    fn write_own(&self) -> Result<(), Box<dyn Error>> {
        self.runtime.block_on(async {
            for (space, handle) in &self.handles {
                handle.write(Keyed::new(u32::try_from(self.number)?, format!("of space {space}"))).await?;
            }
            Ok(())
        })
    }

    /// Whether all peers of all spaces hold what this node holds.
    fn is_equal(&self) -> Result<bool, Box<dyn Error>> {
        self.runtime.block_on(async {
            for handle in self.handles.values() {
                let status = handle.status().await?;
                let equal = status.peers.iter().filter(|peer| peer.root == Some(status.root));
                if status.entries < COPIES as u64 || equal.count() < COPIES - 1 {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    fn sent(&self) -> Sent {
        let (swim, tcp) = (self.membership.stats(), self.transport.stats());
        let datagrams = swim.bytes_sent + swim.datagrams_sent * UDP_HEADER_BYTES;
        let frames = tcp.bytes_sent + tcp.frames_sent * TCP_HEADER_BYTES;
        Sent { datagrams: swim.datagrams_sent, frames: tcp.frames_sent, bytes: datagrams + frames }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    fn row(&self, nodes: usize, spaces: u64, seconds: u64, before: &Sent) -> Row {
        let after = self.sent();
        Row {
            nodes,
            node: name(self.number).to_string(),
            spaces,
            held: self.handles.len(),
            seconds,
            datagrams: after.datagrams - before.datagrams,
            frames: after.frames - before.frames,
            bytes_per_second: (after.bytes - before.bytes) as f64 / seconds as f64,
            threads: self.threads,
        }
    }
}

fn name(number: usize) -> PeerId {
    PeerId::from(format!("node-{number}").as_str())
}

/// The nodes of a space: so many in a row, beginning anywhere.
fn placed_on(space: u64, nodes: usize) -> BTreeSet<PeerId> {
    let first = usize::try_from(space % nodes as u64).expect("smaller than a usize");
    (first..first + COPIES).map(|node| name(node % nodes)).collect()
}

/// How many threads the process has, on Linux.
fn threads() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("Threads:"))?.trim().parse().ok()
}
