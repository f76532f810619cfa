//! Many spaces, each on some of the nodes, that find out by one digest for each pair of nodes what differs.
#![cfg(feature = "swim")]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anti_entropy::clock::ReplicaId;
use anti_entropy::engine::{Pool, PoolConfig, SharedSpacesConfig};
use anti_entropy::transport::{Channels, ChannelsConfig};
use anti_entropy::{GossipConfig, Handle, Keyed, LastWriterWins, MemoryNetwork, MemoryStore, PeerId};
use anti_entropy_net::swim::{
    ClusterKey, Membership, PlacedSpace, SpaceReplica, SwimConfig, SwimTimings, follow_shared,
};
use anti_entropy_net::{ClusterName, TcpConfig, TcpTransport};
use tokio::sync::watch;

type Value = Keyed<u32, String>;

const NODES: [&str; 3] = ["a", "b", "c"];
const SPACES: u64 = 30;
/// How long a test waits for what must happen; never reached when all is well.
const DEADLINE: Duration = Duration::from_secs(120);

struct Node {
    name: &'static str,
    membership: Arc<Membership>,
    handles: BTreeMap<u64, Handle<Value>>,
    spaces: watch::Sender<BTreeMap<u64, PlacedSpace>>,
    _pool: Pool,
}

/// Each space is on all nodes but one.
fn placed_on(space: u64) -> BTreeSet<PeerId> {
    let left_out = usize::try_from(space).unwrap() % NODES.len();
    NODES.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, name)| PeerId::from(*name)).collect()
}

/// Nothing but what is announced begins a session.
fn announcements_alone() -> GossipConfig {
    let never = Duration::from_secs(1_000_000);
    GossipConfig::test().with(|config| {
        (config.interval, config.min_interval) = (never, never);
        config.push = false;
    })
}

async fn start(name: &'static str, seeds: Vec<String>) -> Node {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let cluster = ClusterName::new("test").unwrap();
    let config = TcpConfig::new(cluster.clone(), name.into(), loopback);
    let transport = Arc::new(TcpTransport::bind(config).await.expect("loopback"));
    let (channels, carry) = Channels::new(Arc::clone(&transport), ChannelsConfig::default()).unwrap();
    tokio::spawn(carry);
    let pool = Pool::new(PoolConfig::default().with(|config| config.threads = 2.try_into().unwrap())).unwrap();
    let mut handles = BTreeMap::new();
    for space in (0..SPACES).filter(|space| placed_on(*space).contains(&name.into())) {
        let node = anti_entropy::Node::<Value>::new(MemoryStore::new(), LastWriterWins).gossip(announcements_alone());
        let (handle, frames) = node.on(&pool).start(channels.open(space).unwrap()).unwrap();
        tokio::spawn(frames);
        handles.insert(space, handle);
    }
    let config = SwimConfig::new(cluster, name.into(), loopback, transport.local_addr(), ClusterKey::new([7; 32]));
    let config = config.with(|config| {
        config.seeds = seeds;
        config.timings = SwimTimings::default().with(|timings| {
            timings.seed_retry_min = Duration::from_millis(50);
        });
    });
    let membership = Arc::new(Membership::join(config).await.expect("loopback"));
    let (spaces, placed) = watch::channel(BTreeMap::new());
    let channel = channels.open(Membership::ALL_SHARED).unwrap();
    let routes = transport as _;
    tokio::spawn(follow_shared(Arc::clone(&membership), routes, channel, placed, SharedSpacesConfig::default()));
    let node = Node { name, membership, handles, spaces, _pool: pool };
    node.place(placed_on);
    node
}

impl Node {
    fn place(&self, nodes: impl Fn(u64) -> BTreeSet<PeerId>) {
        let placed = self.handles.iter().map(|(space, handle)| {
            let replica: Arc<dyn SpaceReplica> = Arc::new(handle.clone());
            (*space, PlacedSpace { replica, nodes: nodes(*space) })
        });
        self.spaces.send(placed.collect()).unwrap();
    }

    async fn peers(&self, space: u64) -> BTreeSet<PeerId> {
        self.handles[&space].status().await.unwrap().peers.into_iter().map(|peer| peer.peer).collect()
    }

    /// Under which ids its replicas write.
    async fn ids(&self) -> BTreeMap<u64, ReplicaId> {
        let mut ids = BTreeMap::new();
        for (space, handle) in &self.handles {
            ids.insert(*space, handle.with(|engine, _| engine.replica().id()).await.unwrap());
        }
        ids
    }

    fn others(&self, nodes: BTreeSet<PeerId>) -> BTreeSet<PeerId> {
        nodes.into_iter().filter(|node| node.as_str() != self.name).collect()
    }
}

async fn until(what: impl AsyncFn() -> bool) {
    tokio::time::timeout(DEADLINE, async {
        while !what().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("it must not take that long");
}

#[tokio::test(flavor = "multi_thread")]
async fn spaces_become_equal_where_they_are_placed_and_follow_their_assignments() {
    let mut nodes: Vec<Node> = Vec::new();
    for name in NODES {
        let seeds = nodes.first().map(|first: &Node| first.membership.local_addr().to_string());
        nodes.push(start(name, seeds.into_iter().collect()).await);
    }
    for node in &nodes {
        for &space in node.handles.keys() {
            until(async || node.peers(space).await == node.others(placed_on(space))).await;
        }
    }
    // A write on one node in some spaces, and on another node in others: only the digests tell of them.
    for (node, spaces) in [(&nodes[0], [1, 2, 4]), (&nodes[2], [3, 6, 7])] {
        for space in spaces {
            node.handles[&space].write(Keyed::new(1, node.name.to_owned())).await.unwrap();
        }
    }
    let read =
        async |node: &Node, space| node.handles[&space].read(1).await.unwrap().value().map(|value| value.value.clone());
    for (space, writer, reader) in [(1, 0, 2), (2, 0, 1), (4, 0, 2), (3, 2, 1), (6, 2, 1), (7, 2, 0)] {
        until(async || read(&nodes[reader], space).await.as_deref() == Some(NODES[writer])).await;
    }
    // Those that are equal were told so, which is no certificate.
    let equal = async || {
        let status = nodes[0].handles[&5].status().await.unwrap();
        status.peers.iter().all(|peer| peer.lag.is_some() && peer.certified_lag.is_none())
    };
    until(equal).await;

    // The assignment of one space changes.
    let moved = |space| if space == 1 { BTreeSet::from(["a".into()]) } else { placed_on(space) };
    nodes[0].place(moved);
    until(async || nodes[0].peers(1).await.is_empty()).await;
    assert_eq!(nodes[0].peers(2).await, nodes[0].others(placed_on(2)));

    // A replica stops and is opened again: it knows nobody, and is told.
    nodes[0].handles[&2].shutdown(Duration::ZERO).await.unwrap();
    let opened = anti_entropy::Node::<Value>::new(MemoryStore::new(), LastWriterWins).gossip(announcements_alone());
    let opened = opened.spawn(MemoryNetwork::new(1).join("a".into())).unwrap();
    nodes[0].handles.insert(2, opened);
    nodes[0].place(moved);
    until(async || nodes[0].peers(2).await == nodes[0].others(placed_on(2))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_replicas_of_a_pool_take_a_new_id_each_time_that_their_machine_is_put_back() {
    let a = start("a", Vec::new()).await;
    let b = start("b", vec![a.membership.local_addr().to_string()]).await;
    for node in [&a, &b] {
        for handle in node.handles.values() {
            handle.write(Keyed::new(1, node.name.to_owned())).await.unwrap();
        }
    }
    let (mut old, others) = (b.ids().await, a.ids().await);
    for times in 1..=2 {
        b.membership.report_put_back().await;
        until(async || b.ids().await.iter().all(|(space, id)| *id != old[space])).await;
        old = b.ids().await;
        assert_eq!(b.membership.stats().put_backs, times);
    }
    // They go on, under the ids that they have, and meet those of the other node.
    let values = async || {
        let read = a.handles[&5].read(1).await.unwrap();
        read.siblings().iter().map(|version| version.value.value.clone()).collect::<BTreeSet<_>>()
    };
    until(async || values().await == BTreeSet::from(["a".to_owned(), "b".to_owned()])).await;
    assert_eq!((b.ids().await, a.ids().await), (old, others));
}
