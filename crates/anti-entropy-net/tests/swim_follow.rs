//! Replicas that find each other by membership, and become equal over TCP.
#![cfg(feature = "swim")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anti_entropy::clock::{ReplicaId, Seed};
use anti_entropy::engine::{Engine, drive};
use anti_entropy::{
    Clock, DriverConfig, GossipConfig, Handle, Keyed, LastWriterWins, MemoryStore, PeerId, Replica, SystemClock,
};
use anti_entropy_net::swim::{
    AnnounceError, ClusterKey, Membership, MembershipEvent, SpaceReplica, SwimConfig, SwimTimings, follow,
};
use anti_entropy_net::{TcpConfig, TcpTransport};

type Value = Keyed<u32, String>;

/// How long a test waits for what must happen; never reached when all is well.
const DEADLINE: Duration = Duration::from_secs(120);

struct Node {
    membership: Arc<Membership>,
    transport: Arc<TcpTransport>,
    handle: Handle<Value>,
    following: tokio::task::JoinHandle<Result<(), AnnounceError>>,
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn start(name: &str, seeds: Vec<String>) -> Node {
    start_with(name, seeds, |_| ()).await
}

async fn start_with(name: &str, seeds: Vec<String>, change: impl FnOnce(&mut SwimConfig)) -> Node {
    let transport = Arc::new(
        TcpTransport::bind(TcpConfig::new("test".parse().expect("a short name"), name.into(), loopback()))
            .await
            .expect("loopback"),
    );
    let (clock, seed) = (SystemClock::new(), name.as_bytes()[0]);
    let replica =
        Replica::open(MemoryStore::new(), LastWriterWins, Seed::from_bytes([seed; 32])).expect("an empty store");
    let engine = Engine::new(replica, GossipConfig::test(), seed.into(), clock.now()).expect("the settings are valid");
    let (handle, driver) =
        drive(engine, Arc::clone(&transport), clock, DriverConfig::default()).expect("the settings are valid");
    tokio::spawn(driver);
    let timings = SwimTimings::default().with(|timings| timings.seed_retry_min = Duration::from_millis(50));
    let config = SwimConfig::new(
        "test".parse().expect("a short name"),
        name.into(),
        loopback(),
        transport.local_addr(),
        ClusterKey::new([7; 32]),
    );
    let membership = Arc::new(
        Membership::join(config.with(|config| {
            config.seeds = seeds;
            config.timings = timings;
            change(config);
        }))
        .await
        .expect("loopback"),
    );
    let space: Arc<dyn SpaceReplica> = Arc::new(handle.clone());
    let following = follow(Arc::clone(&membership), Arc::clone(&transport) as _, [(1, space)].into());
    Node { membership, transport, handle, following: tokio::spawn(following) }
}

impl Node {
    async fn until(&self, what: impl AsyncFn(&Self) -> bool) {
        tokio::time::timeout(DEADLINE, async {
            while !what(self).await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("it must not take that long");
    }

    async fn peers(&self) -> Vec<PeerId> {
        self.handle.status().await.expect("it runs").peers.into_iter().map(|peer| peer.peer).collect()
    }

    async fn id(&self) -> ReplicaId {
        self.handle.with(|engine, _| engine.replica().id()).await.expect("it runs")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_find_each_other_become_equal_and_part() {
    let a = start("a", Vec::new()).await;
    a.handle.write(Keyed::new(1, "one".to_owned())).await.unwrap();
    let b = start("b", vec![a.membership.local_addr().to_string()]).await;
    b.until(async |b| b.handle.read(1).await.unwrap().value().is_some()).await;
    a.until(async |a| a.peers().await == ["b".into()]).await;
    b.handle.write(Keyed::new(2, "two".to_owned())).await.unwrap();
    a.until(async |a| a.handle.read(2).await.unwrap().value().is_some()).await;

    b.membership.leave().await;
    tokio::time::timeout(DEADLINE, b.following).await.unwrap().unwrap().unwrap();
    a.until(async |a| a.peers().await.is_empty()).await;
    assert!(!a.transport.remove_peer(&"b".into()), "the transport has forgotten it, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_busy_engine_holds_is_announced_without_waiting_for_it() {
    let a = start("a", Vec::new()).await;
    a.handle.write(Keyed::new(1, "one".to_owned())).await.unwrap();
    let state = a.handle.announcement().await.unwrap();
    // It is published when nothing waits for the engine.
    a.until(async |a| a.handle.announced().unwrap().state == state).await;
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (began, has_begun) = tokio::sync::oneshot::channel();
    a.handle
        .post(move |_, _| {
            began.send(()).unwrap();
            assert!(released.recv().is_err(), "the sender is dropped");
        })
        .unwrap();
    has_begun.await.unwrap();
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 7_001));
    let cluster = "test".parse().expect("a short name");
    let config = SwimConfig::new(cluster, "b".into(), loopback(), nowhere, ClusterKey::new([7; 32]));
    let seeds = vec![a.membership.local_addr().to_string()];
    let b = Membership::join(config.with(|config| config.seeds = seeds)).await.expect("loopback");
    // If it waited for the engine, this would not come before the deadline.
    let announced = async {
        while b.next_event().await != Some(MembershipEvent::Announced { peer: "a".into(), space: 1, state }) {}
    };
    tokio::time::timeout(DEADLINE, announced).await.expect("it must not take that long");
    drop(release);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_takes_a_new_id_each_time_that_its_machine_is_put_back() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("generation");
    std::fs::write(&file, "0").unwrap();
    let watch = |config: &mut SwimConfig| {
        config.snapshots.generation_files = vec![file.clone()];
        config.snapshots.check_interval = Duration::from_millis(5);
        // A machine that stands still while the tests run is not what is tested.
        config.snapshots.clock_jump = Duration::from_secs(60 * 60);
    };
    let a = start("a", Vec::new()).await;
    let b = start_with("b", vec![a.membership.local_addr().to_string()], watch).await;
    b.handle.write(Keyed::new(0, "before".to_owned())).await.unwrap();
    a.until(async |a| a.handle.read(0).await.unwrap().value().is_some()).await;
    let other = a.id().await;
    for generation in 1..=2 {
        let old = b.id().await;
        std::fs::write(&file, generation.to_string()).unwrap();
        b.until(async |b| b.id().await != old).await;
        // It goes on: what it writes from then on gets to its peer.
        b.handle.write(Keyed::new(generation, "after".to_owned())).await.unwrap();
        a.until(async |a| a.handle.read(generation).await.unwrap().value().is_some()).await;
    }
    assert_eq!((b.membership.stats().put_backs, a.membership.stats().put_backs), (2, 0));
    assert_eq!(a.id().await, other);
}

#[tokio::test]
async fn more_spaces_than_can_be_announced_are_refused() {
    let a = start("a", Vec::new()).await;
    let spaces = (0..65).map(|id| (id, Arc::new(a.handle.clone()) as Arc<dyn SpaceReplica>)).collect();
    let refused = follow(Arc::clone(&a.membership), Arc::clone(&a.transport) as _, spaces).await;
    assert_eq!(refused, Err(AnnounceError::TooManySpaces { max: 64 }));
}
