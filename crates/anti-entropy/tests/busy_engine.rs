//! What a handle can do while its engine's thread is busy.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};

use anti_entropy::transport::SendError;
use anti_entropy::{
    DriverConfig, GossipConfig, Handle, HandleError, Keyed, LastWriterWins, MemoryNetwork, MemoryStore, Node, PeerId,
    Transport,
};
use async_trait::async_trait;
use futures::executor::block_on;

type Item = Keyed<u32, String>;

fn start(config: DriverConfig) -> Handle<Item> {
    start_over(MemoryNetwork::new(1).join("alice".into()), config)
}

fn start_over(transport: impl Transport, config: DriverConfig) -> Handle<Item> {
    let node = Node::<Item>::new(MemoryStore::new(), LastWriterWins).gossip(GossipConfig::test()).driver(config);
    node.spawn(transport).unwrap()
}

/// Occupies the engine's thread from when this returns until the returned sender is dropped.
fn occupy(handle: &Handle<Item>) -> mpsc::Sender<()> {
    occupy_and(handle, || {})
}

/// The same, and does something at the end, before the call ends.
fn occupy_and(handle: &Handle<Item>, end: impl FnOnce() + Send + 'static) -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel::<()>();
    let (began, has_begun) = mpsc::channel();
    handle
        .post(move |_, _| {
            began.send(()).unwrap();
            // Ends when the sender is dropped.
            let _ = released.recv();
            end();
        })
        .unwrap();
    has_begun.recv().unwrap();
    release
}

/// Waits until all that was queued has been carried out: a call after it has been then.
fn await_room(handle: &Handle<Item>) {
    while matches!(block_on(handle.status()), Err(HandleError::Overloaded { .. })) {
        std::thread::yield_now();
    }
}

#[test]
fn posts_return_while_the_engine_is_busy_and_are_carried_out_in_order() {
    const POSTS: u32 = 1000;
    let handle = start(DriverConfig::default());
    let release = occupy(&handle);
    let (done, was_done) = mpsc::channel();
    for number in 0..POSTS {
        let done = done.clone();
        // If it waited for the thread, this would never return.
        handle
            .post(move |engine, now| {
                engine.write(Keyed::new(number, "posted".to_string()), now).unwrap();
                done.send(number).unwrap();
            })
            .unwrap();
    }
    assert!(was_done.try_recv().is_err(), "the thread is occupied");
    drop((done, release));
    assert!(was_done.iter().eq(0..POSTS), "each of them, in order");
    assert_eq!(block_on(handle.status()).unwrap().entries, u64::from(POSTS));
}

#[test]
fn more_posts_than_may_wait_are_refused_and_nothing_is_lost_of_those_before() {
    let handle = start(DriverConfig::default().with(|config| config.max_queued_calls = 3.try_into().unwrap()));
    let release = occupy(&handle);
    let (done, was_done) = mpsc::channel();
    let post = |number| {
        let done = done.clone();
        handle.post(move |_, _| done.send(number).unwrap())
    };
    (0..3).for_each(|number| post(number).unwrap());
    assert!(matches!(post(3), Err(HandleError::Overloaded { limit: 3 })));
    drop(release);
    await_room(&handle);
    assert!(was_done.try_iter().eq(0..3));
    block_on(handle.shutdown(std::time::Duration::ZERO)).unwrap();
    assert!(matches!(post(4), Err(HandleError::Stopped)), "it is not accepted and then lost");
}

#[test]
fn a_call_has_room_for_the_one_that_continues_it_whatever_waits() {
    let handle = start(DriverConfig::default().with(|config| config.max_queued_calls = 1.try_into().unwrap()));
    let (told, posted) = mpsc::channel();
    let again = handle.clone();
    let release = occupy_and(&handle, move || {
        let elsewhere = again.clone();
        let filled = std::thread::spawn(move || elsewhere.post(|_, _| {})).join().unwrap();
        let result = |posted: Result<(), HandleError>| posted.map_err(|error| error.to_string());
        let continued = again.post(|_, _| {});
        told.send([filled, continued, again.post(|_, _| {})].map(result)).unwrap();
    });
    assert!(matches!(handle.post(|_, _| {}), Ok(())), "the only place");
    drop(release);
    let [filled, continued, further] = posted.recv().unwrap();
    let overloaded = HandleError::Overloaded { limit: 1 }.to_string();
    assert_eq!((filled, continued, further), (Err(overloaded.clone()), Ok(()), Err(overloaded)));
    // A frame, or a call that has ended, keeps no place.
    await_room(&handle);
    let release = occupy(&handle);
    handle.post(|_, _| {}).unwrap();
    assert!(matches!(handle.post(|_, _| {}), Err(HandleError::Overloaded { limit: 1 })));
    drop(release);
}

#[test]
fn what_is_announced_is_read_while_the_engine_is_busy() {
    let handle = start(DriverConfig::default());
    let empty = handle.announced().unwrap();
    block_on(handle.write(Keyed::new(1, "one".to_string()))).unwrap();
    let written = block_on(handle.announcement()).unwrap();
    assert_ne!(empty.state, written);
    // It is published when nothing waits for the thread.
    let published = until(|| handle.announced().unwrap(), |announced| announced.state == written);
    assert_eq!((empty.generation, published.generation), (0, 1));
    assert_eq!(published.root, block_on(handle.status()).unwrap().root);

    let release = occupy(&handle);
    // If it waited for the thread, this would never return.
    assert_eq!(handle.announced().unwrap(), published);
    drop(release);
    block_on(handle.shutdown(std::time::Duration::ZERO)).unwrap();
    assert!(matches!(handle.announced(), Err(HandleError::Stopped)));
}

#[test]
fn an_engine_for_which_something_always_waits_announces_what_it_holds() {
    let handle = start(DriverConfig::default());
    let before = handle.announced().unwrap();
    let release = occupy(&handle);
    handle.post(|engine, now| drop(engine.write(Keyed::new(1, "one".to_string()), now).unwrap())).unwrap();
    for _ in 0..1000 {
        handle.post(|_, _| {}).unwrap();
    }
    // The last of what waits ends when it is told to: the queue is not empty before.
    let (end, ended) = mpsc::channel::<()>();
    handle.post(move |_, _| assert!(ended.recv().is_err())).unwrap();
    handle.post(|_, _| {}).unwrap();
    drop(release);
    until(|| handle.announced().unwrap(), |announced| announced.generation > before.generation);
    drop(end);
}

/// Looks until something holds of what is seen.
fn until<T>(look: impl Fn() -> T, holds: impl Fn(&T) -> bool) -> T {
    loop {
        let seen = look();
        if holds(&seen) {
            return seen;
        }
        std::thread::yield_now();
    }
}

/// A transport with room for a few frames of each peer, which reads no more of a peer that has used up its own.
#[derive(Clone, Default)]
struct Rooms(Arc<Mutex<Read>>);

#[derive(Default)]
struct Read {
    /// Frames that the peers send.
    unread: BTreeMap<PeerId, VecDeque<Vec<u8>>>,
    /// How many frames of each take room.
    held: BTreeMap<PeerId, usize>,
    waker: Option<Waker>,
}

/// Gives room back when it is dropped.
struct Room(Rooms, PeerId);

impl Drop for Room {
    fn drop(&mut self) {
        let mut read = self.0.0.lock().unwrap();
        *read.held.get_mut(&self.1).unwrap() -= 1;
        let waker = read.waker.take();
        drop(read);
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Rooms {
    const OF_PEER: usize = 16;

    fn send(&self, from: &str, frames: usize) {
        let mut read = self.0.lock().unwrap();
        read.unread.entry(from.into()).or_default().extend(vec![vec![7; 20]; frames]);
        let waker = read.waker.take();
        drop(read);
        waker.into_iter().for_each(Waker::wake);
    }

    fn unread(&self, from: &str) -> usize {
        self.0.lock().unwrap().unread[&from.into()].len()
    }
}

#[async_trait]
impl Transport for Rooms {
    async fn send(&self, _: &PeerId, _: Vec<u8>) -> Result<(), SendError> {
        Err(SendError::Closed)
    }

    async fn receive(&self) -> Option<(PeerId, Vec<u8>)> {
        self.receive_with_room().await.map(|(from, frame, _)| (from, frame))
    }

    async fn receive_with_room(&self) -> Option<(PeerId, Vec<u8>, Box<dyn Send>)> {
        let next = futures::future::poll_fn(|context| {
            let mut read = self.0.lock().unwrap();
            let Read { unread, held, waker } = &mut *read;
            for (peer, frames) in unread {
                let held = held.entry(peer.clone()).or_default();
                if let Some(frame) = (*held < Self::OF_PEER).then(|| frames.pop_front()).flatten() {
                    *held += 1;
                    return Poll::Ready((peer.clone(), frame));
                }
            }
            *waker = Some(context.waker().clone());
            Poll::Pending
        });
        let (from, frame) = next.await;
        let room = Room(self.clone(), from.clone());
        Some((from, frame, Box::new(room)))
    }

    fn max_frame_bytes(&self) -> usize {
        1 << 16
    }
}

#[test]
fn who_sends_more_than_is_handled_is_read_no_further_and_nothing_is_lost() {
    let transport = Rooms::default();
    let handle = start_over(transport.clone(), DriverConfig::default());
    let frames = DriverConfig::default().max_queued_frames.get();
    let release = occupy(&handle);
    transport.send("floods", 10 * frames);
    transport.send("honest", 10);
    until(|| transport.unread("honest"), |unread| *unread == 0);
    let taken = until(|| 10 * frames - transport.unread("floods"), |taken| *taken >= frames / 2 + Rooms::OF_PEER);
    assert_eq!(taken, frames / 2 + Rooms::OF_PEER, "half of what may wait, and what the transport has room for");
    drop(release);
    let received = || block_on(handle.status()).unwrap().engine.frames_received;
    until(received, |received| *received == 10 * frames as u64 + 10);
}
