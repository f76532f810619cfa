//! Many engines on few threads.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::mpsc;
use std::time::Duration;

use anti_entropy::engine::{Pool, PoolConfig};
use anti_entropy::transport::{Channels, ChannelsConfig};
use anti_entropy::{GossipConfig, Handle, HandleError, Keyed, LastWriterWins, MemoryNetwork, MemoryStore, Node};
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
