mod mailbox;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::vec::Vec;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use self::mailbox::Mailbox;
use super::{SendError, Transport};
use crate::{ConfigError, PeerId};

/// Faults of every link of a [`MemoryNetwork`], as chances out of 1,000: 0 means never and 1,000 always.
///
/// ```
/// use anti_entropy::transport::LinkFaults;
///
/// let rough = LinkFaults::default().with(|faults| faults.loss_per_mille = 200);
/// assert_eq!(rough.duplicate_per_mille, 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LinkFaults {
    /// How often a frame is lost without an error. At most 1,000; 0 by default.
    pub loss_per_mille: u32,
    /// How often a frame arrives twice. At most 1,000; 0 by default.
    pub duplicate_per_mille: u32,
    /// How often a frame is held back until the next one to the same receiver has overtaken it. At most 1,000; 0 by
    /// default.
    pub reorder_per_mille: u32,
}

impl LinkFaults {
    /// The same settings with some changed.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Checks every field's range. [`MemoryNetwork::set_faults`] calls this.
    ///
    /// # Errors
    /// The first field that is out of its range, with its value and its bound.
    pub fn validate(&self) -> Result<(), ConfigError> {
        ConfigError::at_most("loss_per_mille", self.loss_per_mille, 1_000)?;
        ConfigError::at_most("duplicate_per_mille", self.duplicate_per_mille, 1_000)?;
        ConfigError::at_most("reorder_per_mille", self.reorder_per_mille, 1_000)
    }
}

/// A network inside one process, for tests and demonstrations: with bounded queues, and with faults on demand.
///
/// Clones are handles to the same network. There are no timers, and every random choice comes from the seed, so that a
/// test that sends in the same order sees the same faults.
///
/// ```
/// use anti_entropy::{MemoryNetwork, PeerId, Transport};
///
/// let network = MemoryNetwork::new(7);
/// let (a, b) = (PeerId::from("a"), PeerId::from("b"));
/// let (from_a, at_b) = (network.join(a.clone()), network.join(b.clone()));
/// futures::executor::block_on(async {
///     from_a.send(&b, b"hello".to_vec()).await.unwrap();
///     assert_eq!(at_b.receive().await, Some((a, b"hello".to_vec())));
/// });
/// ```
#[derive(Clone, Debug)]
pub struct MemoryNetwork {
    state: Arc<Mutex<State>>,
}

impl MemoryNetwork {
    /// The longest frame that is carried, in bytes: the default of the TCP transport, so that what works here works
    /// there.
    pub const MAX_FRAME_BYTES: usize = 1 << 20;
    /// How many frames wait for a receiver at most; more are refused with [`SendError::QueueFull`].
    pub const RECEIVE_QUEUE_FRAMES: usize = 1_024;
    /// How many bytes of frames wait for a receiver at most; more are refused with [`SendError::QueueFull`].
    pub const RECEIVE_QUEUE_BYTES: usize = 16 << 20;

    /// A network without peers and without faults, whose random choices come from `seed`.
    pub fn new(seed: u64) -> Self {
        let state = State {
            random: fastrand::Rng::with_seed(seed),
            faults: LinkFaults::default(),
            groups: Vec::new(),
            mailboxes: BTreeMap::new(),
            lives: 0,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Joins the network under a name. An earlier transport of that name is closed, as if its node had restarted, and
    /// the frames that still waited for it are lost.
    pub fn join(&self, name: PeerId) -> MemoryTransport {
        let mut state = self.lock();
        state.lives += 1;
        let life = state.lives;
        let earlier = state.mailboxes.insert(name.clone(), Mailbox::new(life));
        drop(state);
        if let Some(mut earlier) = earlier {
            wake(earlier.close());
        }
        MemoryTransport { network: self.clone(), name, life, tickets: AtomicU64::new(0) }
    }

    /// Sets the faults of every link from now on.
    ///
    /// # Errors
    /// [`ConfigError`] if a chance is above 1,000; the faults stay what they were.
    pub fn set_faults(&self, faults: LinkFaults) -> Result<(), ConfigError> {
        faults.validate()?;
        self.lock().faults = faults;
        Ok(())
    }

    /// Cuts the network into groups: from now on a frame is lost, without an error, unless its sender and its receiver
    /// have a group in common.
    ///
    /// The peers that no group names form one more group, so naming one peer alone isolates it. A peer in two groups
    /// bridges them. An earlier partition is replaced.
    pub fn partition(&self, groups: &[&[PeerId]]) {
        self.lock().groups = groups.iter().map(|group| group.iter().cloned().collect()).collect();
    }

    /// Ends the partition.
    pub fn heal(&self) {
        self.lock().groups.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No state is left half changed where a panic could strike, so a poisoned lock is as good as any.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One node's end of a [`MemoryNetwork`]; made by [`MemoryNetwork::join`]. Dropping it closes it.
#[derive(Debug)]
pub struct MemoryTransport {
    network: MemoryNetwork,
    name: PeerId,
    /// Tells this transport from an earlier or later one of the same name.
    life: u64,
    tickets: AtomicU64,
}

impl MemoryTransport {
    /// The name under which the transport joined.
    pub fn name(&self) -> &PeerId {
        &self.name
    }

    /// Leaves the network: receiving ends, frames that still waited are lost, and peers can no longer send to this
    /// name.
    pub fn close(&self) {
        let wakers = self.network.lock().own_mailbox(&self.name, self.life).map(Mailbox::close);
        wake(wakers.unwrap_or_default());
    }
}

impl Drop for MemoryTransport {
    fn drop(&mut self) {
        self.close();
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    async fn send(&self, to: &PeerId, frame: Vec<u8>) -> Result<(), SendError> {
        let wakers = self.network.lock().send(&self.name, self.life, to, frame)?;
        wake(wakers);
        Ok(())
    }

    async fn receive(&self) -> Option<(PeerId, Vec<u8>)> {
        Receive { transport: self, ticket: self.tickets.fetch_add(1, Ordering::Relaxed) }.await
    }

    fn max_frame_bytes(&self) -> usize {
        MemoryNetwork::MAX_FRAME_BYTES
    }

    fn local_name(&self) -> Option<PeerId> {
        Some(self.name.clone())
    }
}

/// Waits for a frame. A frame leaves the queue only in the poll that returns it, so dropping this loses nothing.
struct Receive<'a> {
    transport: &'a MemoryTransport,
    /// Where this future's waker is kept, so that a dropped future leaves none behind.
    ticket: u64,
}

impl Future for Receive<'_> {
    type Output = Option<(PeerId, Vec<u8>)>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.transport.network.lock();
        let Some(mailbox) = state.own_mailbox(&self.transport.name, self.transport.life) else {
            return Poll::Ready(None);
        };
        if let Some(frame) = mailbox.pop() {
            return Poll::Ready(Some(frame));
        }
        let earlier = mailbox.waiting.insert(self.ticket, context.waker().clone());
        // What a waker drops may come back to this network, so none is dropped under the lock.
        drop(state);
        drop(earlier);
        Poll::Pending
    }
}

impl Drop for Receive<'_> {
    fn drop(&mut self) {
        let Self { transport, ticket } = self;
        let mut state = transport.network.lock();
        let mailbox = state.own_mailbox(&transport.name, transport.life);
        let waker = mailbox.and_then(|mailbox| mailbox.waiting.remove(ticket));
        drop(state);
        drop(waker);
    }
}

/// Wakes receivers; to be called without the lock.
fn wake(wakers: Vec<Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}

#[derive(Debug)]
struct State {
    random: fastrand::Rng,
    faults: LinkFaults,
    /// Empty: there is no partition.
    groups: Vec<BTreeSet<PeerId>>,
    mailboxes: BTreeMap<PeerId, Mailbox>,
    lives: u64,
}

impl State {
    /// The mailbox of a transport, unless that is closed or superseded.
    fn own_mailbox(&mut self, name: &PeerId, life: u64) -> Option<&mut Mailbox> {
        self.mailboxes.get_mut(name).filter(|mailbox| mailbox.open && mailbox.life == life)
    }

    /// Delivers a frame, or loses it as the faults will have it; returns whom to wake.
    fn send(&mut self, from: &PeerId, life: u64, to: &PeerId, frame: Vec<u8>) -> Result<Vec<Waker>, SendError> {
        if self.own_mailbox(from, life).is_none() {
            return Err(SendError::Closed);
        }
        if frame.len() > MemoryNetwork::MAX_FRAME_BYTES {
            return Err(SendError::TooLong { bytes: frame.len(), max: MemoryNetwork::MAX_FRAME_BYTES });
        }
        let open = self.mailboxes.get(to).ok_or_else(|| SendError::UnknownPeer(to.clone()))?.open;
        if !open {
            return Err(SendError::NotConnected(to.clone()));
        }
        // All three are drawn for every frame, so that changing one rate leaves the other draws where they were.
        let faults = self.faults;
        let [lost, twice, late] = [faults.loss_per_mille, faults.duplicate_per_mille, faults.reorder_per_mille]
            .map(|per_mille| self.random.u32(0..1_000) < per_mille);
        if lost || !self.reachable(from, to) {
            return Ok(Vec::new());
        }
        let mailbox = self.mailboxes.get_mut(to).expect("it was found above, under the same lock");
        let copy = twice.then(|| frame.clone());
        if !mailbox.accept(from, frame, late) {
            return Err(SendError::QueueFull(to.clone()));
        }
        if let Some(copy) = copy {
            // The copy is the network's doing; that it found no room is none of the sender's business.
            let _ = mailbox.accept(from, copy, false);
        }
        Ok(mailbox.take_wakers())
    }

    fn reachable(&self, from: &PeerId, to: &PeerId) -> bool {
        let together = |group: &BTreeSet<PeerId>| group.contains(from) && group.contains(to);
        let named = |peer| self.groups.iter().any(|group| group.contains(peer));
        self.groups.iter().any(together) || !(named(from) || named(to))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn pair(network: &MemoryNetwork) -> (MemoryTransport, MemoryTransport) {
        (network.join("a".into()), network.join("b".into()))
    }

    fn send(from: &MemoryTransport, to: &MemoryTransport, frame: &[u8]) -> Result<(), SendError> {
        from.send(to.name(), frame.to_vec()).now_or_never().expect("sending never waits")
    }

    /// All that has arrived, in order.
    fn drain(at: &MemoryTransport) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| at.receive().now_or_never().flatten()).map(|(_, frame)| frame).collect()
    }

    fn send_numbers(faults: LinkFaults, seed: u64, count: u8) -> Vec<u8> {
        let network = MemoryNetwork::new(seed);
        network.set_faults(faults).unwrap();
        let (a, b) = pair(&network);
        (0..count).for_each(|number| send(&a, &b, &[number]).unwrap());
        drain(&b).concat()
    }

    #[test]
    fn without_faults_all_arrives_in_order() {
        assert_eq!(send_numbers(LinkFaults::default(), 1, 200), (0..200).collect::<Vec<_>>());
    }

    #[test]
    fn each_fault_does_what_its_name_says() {
        let none = LinkFaults::default();
        assert!(send_numbers(LinkFaults { loss_per_mille: 1_000, ..none }, 1, 200).is_empty());
        let lossy = send_numbers(LinkFaults { loss_per_mille: 300, ..none }, 1, 200);
        assert!((100..180).contains(&lossy.len()) && lossy.is_sorted(), "{}", lossy.len());
        assert_eq!(send_numbers(LinkFaults { duplicate_per_mille: 1_000, ..none }, 1, 3), [0, 0, 1, 1, 2, 2]);
        assert_eq!(send_numbers(LinkFaults { reorder_per_mille: 1_000, ..none }, 1, 4), [1, 0, 3, 2]);
        let mut shuffled = send_numbers(LinkFaults { reorder_per_mille: 300, ..none }, 1, 200);
        assert!(!shuffled.is_sorted());
        shuffled.sort_unstable();
        assert!(shuffled.len() >= 199 && shuffled.windows(2).all(|pair| pair[0] < pair[1]), "lost or repeated");
    }

    #[test]
    fn the_seed_decides() {
        let faults = LinkFaults { loss_per_mille: 200, duplicate_per_mille: 200, reorder_per_mille: 200 };
        assert_eq!(send_numbers(faults, 5, 200), send_numbers(faults, 5, 200));
        assert_ne!(send_numbers(faults, 5, 200), send_numbers(faults, 6, 200));
    }

    #[test]
    fn partitions_cut_and_heal() {
        let network = MemoryNetwork::new(1);
        let names = ["a", "b", "c", "d"].map(PeerId::from);
        let [a, b, c, d] = names.clone().map(|name| network.join(name));
        let arrives = |from: &MemoryTransport, to: &MemoryTransport| {
            send(from, to, b"x").unwrap();
            !drain(to).is_empty()
        };
        network.partition(&[&names[..2], &names[1..3]]);
        assert!(arrives(&a, &b) && arrives(&b, &a) && arrives(&b, &c), "within a group, and at the bridge");
        assert!(!arrives(&a, &c) && !arrives(&a, &d) && !arrives(&d, &b));
        network.partition(&[&names[..1]]);
        assert!(!arrives(&a, &b) && !arrives(&b, &a) && arrives(&b, &d), "the unnamed ones stay together");
        network.heal();
        assert!(arrives(&a, &b) && arrives(&d, &a));
    }

    #[test]
    fn the_queue_is_bounded_in_frames_and_in_bytes() {
        let network = MemoryNetwork::new(1);
        let (a, b) = pair(&network);
        let full = Err(SendError::QueueFull("b".into()));
        (0..MemoryNetwork::RECEIVE_QUEUE_FRAMES).for_each(|_| send(&a, &b, b"").unwrap());
        assert_eq!(send(&a, &b, b""), full);
        assert_eq!(drain(&b).len(), MemoryNetwork::RECEIVE_QUEUE_FRAMES);
        let longest = vec![0; MemoryNetwork::MAX_FRAME_BYTES];
        (0..16).for_each(|_| send(&a, &b, &longest).unwrap());
        assert_eq!(send(&a, &b, b"x"), full);
        assert_eq!(drain(&b).len(), 16);
        assert_eq!(send(&a, &b, b"x"), Ok(()), "there is room again");
    }

    #[test]
    fn leaving_and_joining_again() {
        let network = MemoryNetwork::new(1);
        let (a, b) = pair(&network);
        send(&a, &b, b"before").unwrap();
        let again = network.join("b".into());
        assert_eq!(b.receive().now_or_never(), Some(None), "the earlier one is closed");
        assert_eq!(send(&b, &a, b"x"), Err(SendError::Closed));
        drop(b);
        send(&a, &again, b"after").unwrap();
        assert_eq!(drain(&again), [b"after"], "an earlier life that ends later leaves the present one alone");
        again.close();
        assert_eq!(send(&a, &again, b"x"), Err(SendError::NotConnected("b".into())));
        let nobody = a.send(&"nobody".into(), Vec::new()).now_or_never();
        assert_eq!(nobody, Some(Err(SendError::UnknownPeer("nobody".into()))));
    }

    #[test]
    fn dropped_receivers_leave_no_wakers_behind() {
        let network = MemoryNetwork::new(1);
        let (a, b) = pair(&network);
        (0..1_000).for_each(|_| assert_eq!(b.receive().now_or_never(), None));
        assert!(network.lock().mailboxes[b.name()].waiting.is_empty());
        let (mut first, mut second) = (b.receive(), b.receive());
        assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
        send(&a, &b, b"one").unwrap();
        drop(first);
        assert_eq!(futures::executor::block_on(second), Some(("a".into(), b"one".to_vec())));
    }
}
