//! Many engines on few threads.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::mpsc;
use std::time::Duration;

use anti_entropy::clock::Now;
use anti_entropy::engine::{Engine, Pool, PoolConfig};
use anti_entropy::transport::{Channels, ChannelsConfig, MemoryTransport, SendError};
use anti_entropy::{
    Clock, GossipConfig, Handle, HandleError, Keyed, LastWriterWins, MemoryNetwork, MemoryStore, Node, NodeError,
    PeerId, SystemClock, Transport,
};
use async_trait::async_trait;
use futures::executor::block_on;

type Item = Keyed<u32, String>;

fn pool(threads: usize, jobs_per_turn: usize) -> Pool {
    Pool::new(PoolConfig::default().with(|config| {
        config.threads = threads.try_into().unwrap();
        config.jobs_per_turn = jobs_per_turn.try_into().unwrap();
    }))
    .unwrap()
}

fn node() -> Node<Item> {
    Node::new(MemoryStore::new(), LastWriterWins).gossip(GossipConfig::test())
}

fn alone(pool: &Pool) -> Handle<Item> {
    node().on(pool).spawn(MemoryNetwork::new(1).join("alice".into())).unwrap()
}

/// Occupies the thread that runs the engine, from when this returns until the returned sender is dropped.
fn occupy(handle: &Handle<Item>) -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel::<()>();
    let (began, has_begun) = mpsc::channel();
    handle
        .post(move |_, _| {
            began.send(()).unwrap();
            assert!(released.recv().is_err(), "the sender is dropped");
        })
        .unwrap();
    has_begun.recv().unwrap();
    release
}

#[test]
fn a_thousand_engines_on_four_threads_converge_and_end_with_their_markers() {
    const SPACES: u32 = 500;
    let (pool, network) = (pool(4, 64), MemoryNetwork::new(1));
    // Rounds come seldom enough for five hundred engines of a debug build.
    let gossip = GossipConfig::test().with(|config| {
        config.interval = Duration::from_secs(20);
        config.min_interval = Duration::from_secs(5);
        config.session.idle_timeout = Duration::from_secs(60);
    });
    let start = |name: &str, peer: &str| -> Vec<Handle<Item>> {
        let (channels, carry) = Channels::new(network.join(name.into()), ChannelsConfig::default()).unwrap();
        std::thread::spawn(|| block_on(carry));
        let space = |number: u32| {
            let channel = channels.open(number.into()).unwrap();
            node().gossip(gossip.clone()).peer(peer).on(&pool).spawn(channel).unwrap()
        };
        (0..SPACES).map(space).collect()
    };
    let (alice, bob) = (start("alice", "bob"), start("bob", "alice"));
    let (done, was_done) = mpsc::channel();
    for number in 0..10 {
        for (space, handle) in (0..).zip(&alice) {
            let done = done.clone();
            handle
                .post(move |engine, now| {
                    engine.write(Keyed::new(number, format!("{space}")), now).unwrap();
                    done.send((space, number, std::thread::current().id())).unwrap();
                })
                .unwrap();
        }
    }
    drop(done);
    let mut next = vec![0; SPACES as usize];
    let mut threads = HashSet::new();
    for (space, number, thread) in was_done {
        let next: &mut u32 = &mut next[space];
        assert_eq!(*next, number, "in order");
        *next += 1;
        threads.insert(thread);
    }
    assert!(next.iter().all(|next| *next == 10), "none is lost");
    assert!(threads.len() <= 4, "{}", threads.len());
    block_on(async {
        for (space, (alice, bob)) in (0..).zip(alice.iter().zip(&bob)) {
            bob.wait_converged(["alice".into()]).await.unwrap();
            assert_eq!(bob.read(9).await.unwrap().value().unwrap().value, format!("{space}"));
            assert_eq!(alice.status().await.unwrap().root, bob.status().await.unwrap().root);
        }
        let mut markers = HashSet::new();
        for handle in alice.iter().chain(&bob) {
            markers.insert(handle.shutdown(Duration::ZERO).await.unwrap().to_bytes());
            assert!(matches!(handle.post(|_, _| {}), Err(HandleError::Stopped)));
        }
        assert_eq!(markers.len(), alice.len() + bob.len());
    });
}

#[test]
fn an_engine_that_blocks_its_thread_delays_none_on_another_thread() {
    let pool = pool(2, 64);
    let (blocked, free) = (alone(&pool), alone(&pool));
    let release = occupy(&blocked);
    // If it waited for the other, this would never return.
    block_on(free.write(Keyed::new(1, "one".to_string()))).unwrap();
    let (first, second) = (alone(&pool), alone(&pool));
    block_on(first.status()).unwrap();
    block_on(second.status()).unwrap();
    drop(release);
    block_on(blocked.status()).unwrap();
}

#[test]
fn an_engine_with_much_to_do_lets_others_have_their_turns() {
    let pool = pool(1, 4);
    let (busy, other) = (alone(&pool), alone(&pool));
    let release = occupy(&busy);
    let (done, was_done) = mpsc::channel();
    for _ in 0..100 {
        let done = done.clone();
        busy.post(move |_, _| done.send("busy").unwrap()).unwrap();
    }
    other.post(move |_, _| done.send("other").unwrap()).unwrap();
    drop(release);
    let order: Vec<_> = was_done.iter().collect();
    // The call that occupied the thread was the first of that turn.
    assert_eq!((order.len(), order.iter().position(|name| *name == "other")), (101, Some(3)));
}

#[test]
fn engines_wake_for_their_deadlines_without_a_job() {
    let (pool, network) = (pool(1, 64), MemoryNetwork::new(1));
    let rounds_alone = GossipConfig::test().with(|config| config.push = false);
    let start = |name: &str, peer: &str| {
        node().gossip(rounds_alone.clone()).peer(peer).on(&pool).spawn(network.join(name.into())).unwrap()
    };
    let (alice, bob) = (start("alice", "bob"), start("bob", "alice"));
    let written = block_on(async {
        alice.write(Keyed::new(1, "one".to_string())).await.unwrap();
        alice.announcement().await.unwrap()
    });
    // Nobody calls anything: what is announced is read without a job.
    while bob.announced().unwrap().state != written {
        std::thread::yield_now();
    }
}

#[test]
fn a_call_that_panics_ends_its_engine_and_no_other() {
    let pool = pool(1, 64);
    let (broken, other) = (alone(&pool), alone(&pool));
    broken.post(|_, _| panic!("a call of this test panics, as it should")).unwrap();
    assert!(matches!(block_on(broken.status()), Err(HandleError::Stopped)));
    assert!(matches!(broken.announced(), Err(HandleError::Stopped)));
    block_on(other.status()).unwrap();
}

/// Tells when it is dropped.
struct Told(mpsc::Sender<()>);

impl Drop for Told {
    fn drop(&mut self) {
        // Nobody may be there to hear it.
        let _ = self.0.send(());
    }
}

thread_local! {
    static OF_THE_THREAD: RefCell<Option<Told>> = const { RefCell::new(None) };
}

#[test]
fn threads_end_with_the_pool_and_its_last_engine() {
    let pool = pool(3, 64);
    let (first, frames) = node().on(&pool).start(MemoryNetwork::new(1).join("alice".into())).unwrap();
    let second = alone(&pool);
    let (tell, ended) = mpsc::channel();
    let of_the_thread = Told(tell.clone());
    second.post(move |_, _| OF_THE_THREAD.with(|told| *told.borrow_mut() = Some(of_the_thread))).unwrap();
    let (of_the_call, was_called) = mpsc::channel();
    let of_the_call = Told(of_the_call);
    drop(tell);
    block_on(second.shutdown(Duration::ZERO)).unwrap();
    drop(pool);
    assert!(ended.try_recv().is_err(), "an engine is left");
    // What was posted before the last handle went is still done.
    let release = occupy(&first);
    first.post(move |_, _| drop(of_the_call)).unwrap();
    drop((release, first, frames));
    was_called.recv().unwrap();
    ended.recv().unwrap();
}

/// A part of what an application hands in whose drop panics.
struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("a drop of this test panics, as it should");
    }
}

/// Tells when the thread that runs this engine has ended.
fn tell_end_of_thread<E: AsMut<Engine<Item>>>(handle: &Handle<Item, E>) -> mpsc::Receiver<()> {
    let (tell, ended) = mpsc::channel();
    let told = Told(tell);
    handle.post(move |_, _| OF_THE_THREAD.with(|cell| *cell.borrow_mut() = Some(told))).unwrap();
    ended
}

/// What is left of a pool of one thread after an engine of it has ended by a panic: everything.
fn assert_goes_on<E: AsMut<Engine<Item>>>(pool: Pool, broken: Handle<Item, E>, other: &Handle<Item>) {
    assert!(matches!(block_on(broken.status()), Err(HandleError::Stopped)));
    assert!(matches!(broken.announced(), Err(HandleError::Stopped)));
    let ended = tell_end_of_thread(other);
    block_on(other.write(Keyed::new(1, "one".to_string()))).unwrap();
    assert!(ended.try_recv().is_err(), "an engine is left");
    block_on(other.shutdown(Duration::ZERO)).unwrap();
    drop((pool, broken));
    ended.recv().unwrap();
}

#[test]
fn calls_that_wait_for_an_engine_that_ends_may_panic_when_they_are_dropped() {
    let pool = pool(1, 64);
    let (broken, other) = (alone(&pool), alone(&pool));
    let release = occupy(&broken);
    broken.post(|_, _| panic!("a call of this test panics, as it should")).unwrap();
    for _ in 0..3 {
        let held = PanicsOnDrop;
        broken.post(move |_, _| drop(held)).unwrap();
    }
    let (tell, was_dropped) = mpsc::channel();
    let told = Told(tell);
    broken.post(move |_, _| drop(told)).unwrap();
    drop(release);
    was_dropped.recv().unwrap();
    assert_goes_on(pool, broken, &other);
}

#[test]
fn calls_that_wait_for_an_engine_that_shuts_down_may_panic_when_they_are_dropped() {
    let pool = pool(1, 64);
    let (stopping, other) = (alone(&pool), alone(&pool));
    let release = occupy(&stopping);
    let mut shutdown = Box::pin(stopping.shutdown(Duration::ZERO));
    block_on(async { assert!(futures::poll!(&mut shutdown).is_pending(), "its thread is occupied") });
    for _ in 0..3 {
        let held = PanicsOnDrop;
        stopping.post(move |_, _| drop(held)).unwrap();
    }
    drop(release);
    block_on(shutdown).unwrap();
    assert_goes_on(pool, stopping, &other);
}

#[test]
fn a_panic_that_carries_what_panics_when_it_is_dropped_ends_its_engine_and_no_other() {
    let pool = pool(1, 64);
    let (broken, other) = (alone(&pool), alone(&pool));
    broken.post(|_, _| std::panic::panic_any(PanicsOnDrop)).unwrap();
    assert_goes_on(pool, broken, &other);
}

/// A type that contains an engine, and panics when it is dropped.
struct Container(Engine<Item>, PanicsOnDrop);

impl AsMut<Engine<Item>> for Container {
    fn as_mut(&mut self) -> &mut Engine<Item> {
        &mut self.0
    }
}

impl From<Container> for Engine<Item> {
    fn from(container: Container) -> Self {
        // What else it contains is dropped here.
        container.0
    }
}

/// A clock that panics when it is dropped.
struct BrokenClock(SystemClock, PanicsOnDrop);

impl Clock for BrokenClock {
    fn now(&self) -> Now {
        self.0.now()
    }
}

fn container(pool: &Pool) -> Handle<Item, Container> {
    let transport = MemoryNetwork::new(1).join("alice".into());
    let clock = BrokenClock(SystemClock::new(), PanicsOnDrop);
    let node = node().clock(clock).on(pool);
    let (handle, frames) = node.start_with(transport, |engine| Container(engine, PanicsOnDrop)).unwrap();
    std::thread::spawn(|| block_on(frames));
    handle
}

#[test]
fn what_contains_an_engine_may_panic_when_it_is_dropped_after_a_call_that_panics() {
    let pool = pool(1, 64);
    let (broken, other) = (container(&pool), alone(&pool));
    broken.post(|_, _| panic!("a call of this test panics, as it should")).unwrap();
    assert_goes_on(pool, broken, &other);
}

#[test]
fn what_contains_an_engine_may_panic_when_it_shuts_down() {
    let pool = pool(1, 64);
    let (broken, other) = (container(&pool), alone(&pool));
    assert!(matches!(block_on(broken.shutdown(Duration::ZERO)), Err(HandleError::Stopped)));
    assert_goes_on(pool, broken, &other);
}

/// When a broken transport does not do what it is to do.
#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    Receives,
    Sends,
    Closes,
}

/// A transport that panics at some point, and whenever it is dropped.
struct BrokenTransport {
    inner: MemoryTransport,
    breaks: When,
    /// Is dropped before the drop panics.
    _told: Told,
    _panics: PanicsOnDrop,
}

#[async_trait]
impl Transport for BrokenTransport {
    async fn send(&self, to: &PeerId, frame: Vec<u8>) -> Result<(), SendError> {
        assert_ne!(self.breaks, When::Sends, "a transport of this test panics, as it should");
        self.inner.send(to, frame).await
    }

    async fn receive(&self) -> Option<(PeerId, Vec<u8>)> {
        let received = self.inner.receive().await;
        assert_ne!(self.breaks, When::Receives, "a transport of this test panics, as it should");
        received.filter(|_| self.breaks != When::Closes)
    }

    fn max_frame_bytes(&self) -> usize {
        self.inner.max_frame_bytes()
    }
}

#[test]
fn a_transport_that_panics_ends_its_own_frames_and_no_others() {
    for breaks in [When::Receives, When::Sends, When::Closes] {
        let (pool, network) = (pool(1, 64), MemoryNetwork::new(1));
        let start = |name: &str, peer: &str| node().peer(peer).on(&pool).spawn(network.join(name.into())).unwrap();
        let (alice, bob) = (start("alice", "bob"), start("bob", "alice"));
        let (tell, was_dropped) = mpsc::channel();
        let inner = network.join("carol".into());
        let transport = BrokenTransport { inner, breaks, _told: Told(tell), _panics: PanicsOnDrop };
        let carol = node().peer("alice").on(&pool).spawn(transport).unwrap();
        // Alice answers what carol sends.
        block_on(alice.add_peer("carol".into(), None)).unwrap();
        block_on(carol.write(Keyed::new(1, "one".to_string()))).unwrap();
        was_dropped.recv().unwrap();
        block_on(alice.write(Keyed::new(2, "two".to_string()))).unwrap();
        block_on(bob.wait_converged(["alice".into()])).unwrap();
        assert_eq!(block_on(bob.read(2)).unwrap().value().unwrap().value, "two", "{breaks:?}");
        // Its engine goes on without frames.
        block_on(carol.write(Keyed::new(3, "three".to_string()))).unwrap();
    }
}

/// A transport that carries frames of so many bytes.
struct Narrow(usize);

#[async_trait]
impl Transport for Narrow {
    async fn send(&self, _: &PeerId, _: Vec<u8>) -> Result<(), SendError> {
        Err(SendError::Closed)
    }

    async fn receive(&self) -> Option<(PeerId, Vec<u8>)> {
        None
    }

    fn max_frame_bytes(&self) -> usize {
        self.0
    }
}

#[test]
fn a_transport_that_carries_too_little_is_refused_by_name() {
    let pool = pool(1, 64);
    let refused = node().on(&pool).spawn(Narrow(511));
    let Err(NodeError::Config(error)) = refused else { panic!("it is refused") };
    assert_eq!((error.field.as_str(), error.value.as_str()), ("transport.max_frame_bytes", "511"));
    drop(node().on(&pool).spawn(Narrow(512)).unwrap());
}
