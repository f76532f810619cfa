use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anti_entropy::PeerId;
use anti_entropy::engine::StateDigest;
use anti_entropy::summary::Root;
use tokio::net::{UdpSocket, lookup_host};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::announce::{ALL_SHARED, Announcements};
use super::boot_id::BootId;
use super::config::SwimConfig;
use super::entropy::{NoEntropy, SystemEntropy, draw};
use super::error::{AnnounceError, JoinError, KeysError};
use super::event::{Member, MembershipEvent};
use super::header::MAX_DATAGRAM_BYTES;
use super::key::ClusterKeys;
use super::link::Link;
use super::mailbox::Mailbox;
use super::node::{Node, Shared};
use super::stats::{Stats, SwimStats};
use crate::monitor::Monitor;
use crate::snapshot::{PutBack, SnapshotDetector, SnapshotReading};
use crate::task::Task;

/// How many datagrams are read before anything else gets its turn.
const BURST: usize = 64;

/// A member of a cluster whose nodes watch each other. It runs on tokio.
///
/// Dropping it has the effect of a crash: the other nodes notice after a while. [`leave`](Self::leave) tells them at
/// once.
///
/// The documentation of the [module](super) has an example, and the bytes of the datagrams.
#[derive(Debug)]
pub struct Membership {
    local_addr: SocketAddr,
    shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
    /// `None` once it has left.
    running: Mutex<Option<Task>>,
    probe_interval: Duration,
    max_spaces: usize,
}

/// What the running node is told, besides datagrams.
#[derive(Debug)]
enum Order {
    Seeds(Vec<SocketAddr>),
    Keys(ClusterKeys),
    PutBack(PutBack),
    Leave,
}

impl Membership {
    /// Listens for datagrams, and looks for other nodes.
    ///
    /// # Errors
    /// [`JoinError`] if the configuration is invalid or the operating system refuses the address. It is no error if no
    /// seed answers: they are asked until one does.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its I/O and time drivers enabled.
    pub async fn join(mut config: SwimConfig) -> Result<Self, JoinError> {
        config.validate()?;
        let mut entropy = Box::new(SystemEntropy::new());
        let boot = BootId::draw(&mut *entropy).map_err(|NoEntropy| JoinError::NoRandom)?;
        let seed = u64::from_be_bytes(draw(&mut *entropy).map_err(|NoEntropy| JoinError::NoRandom)?);
        let failed = |source| JoinError::Listen { address: config.listen, source };
        let socket = UdpSocket::bind(config.listen).await.map_err(failed)?;
        let local_addr = socket.local_addr().map_err(failed)?;
        let link = config.settle_addresses(local_addr)?;
        let shared = Arc::new(Shared {
            announcements: Announcements::new(config.limits.max_spaces),
            mailbox: Mailbox::new(config.limits.max_spaces).on(link),
            stats: Stats::default(),
            put_back: Monitor::default(),
        });
        let (orders, given) = mpsc::channel(1);
        let (probe_interval, max_spaces) = (config.timings.probe_interval, config.limits.max_spaces);
        let address = config.advertise.unwrap_or(local_addr);
        let detector = SnapshotDetector::new(config.snapshots.clone(), SnapshotReading::now(&config.snapshots))?;
        let node = Node::new(config, address, (boot, seed), entropy, Arc::clone(&shared), Duration::ZERO)
            .map_err(|NoEntropy| JoinError::NoRandom)?;
        let run = Run {
            node,
            socket,
            takes_ipv6: local_addr.is_ipv6(),
            link,
            shared: Arc::clone(&shared),
            began: Instant::now(),
            orders: orders.downgrade(),
            resolving: JoinSet::new(),
        };
        let running = Mutex::new(Some(Task::spawn(&Handle::current(), run.run(given))));
        tokio::spawn(watch(detector, orders.downgrade()));
        Ok(Self { local_addr, shared, orders, running, probe_interval, max_spaces })
    }

    /// The number that no space has. What a member announces under it is its digest over all spaces that it shares with
    /// this node.
    pub const ALL_SHARED: u64 = ALL_SHARED;

    /// The address that this node listens on, with the port that was taken if the configuration left it open.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Waits for the next event. Returns `None` after this node has left. Dropping the future loses no event.
    ///
    /// Changes that cancel each other out before they are taken give no event, so the memory for events is bounded. The
    /// events that are taken always add up to the present state.
    pub async fn next_event(&self) -> Option<MembershipEvent> {
        self.shared.mailbox.next().await
    }

    /// The next event, if there is one already.
    pub fn try_next_event(&self) -> Option<MembershipEvent> {
        self.shared.mailbox.try_next()
    }

    /// The other nodes that are up now, in the order of their names.
    pub fn members(&self) -> Vec<Member> {
        self.shared.mailbox.members()
    }

    /// Announces the state of this node's replica of a space, with all datagrams from now on.
    ///
    /// # Errors
    /// [`AnnounceError::TooManySpaces`] and [`AnnounceError::Reserved`].
    pub fn announce(&self, space: u64, state: StateDigest) -> Result<(), AnnounceError> {
        self.shared.announcements.set(space, state)
    }

    /// Announces to each of these nodes a digest over all spaces that are shared with it, in place of what was announced
    /// so before; see [`SharedSpaces::digest`](anti_entropy::engine::SharedSpaces::digest). It comes first in each
    /// datagram to the node, which is told it as [`Announced`](MembershipEvent::Announced) under
    /// [`ALL_SHARED`](Self::ALL_SHARED).
    pub fn announce_shared(&self, digests: BTreeMap<PeerId, Root>) {
        self.shared.announcements.set_shared(digests);
    }

    /// Stops announcing the state of a space. Returns `false` if it was not announced.
    pub fn retract(&self, space: u64) -> bool {
        self.shared.announcements.remove(space)
    }

    /// Accepts other keys from now on, and sends with the first of them. Sessions and members stay.
    ///
    /// To change the key of a cluster that runs: first let every node accept the new key too, then send with it, then
    /// forget the old one, each on all nodes before the next. docs/operations.md has the steps.
    ///
    /// # Errors
    /// [`KeysError::Config`] if there are too many keys or one is there twice, and [`KeysError::Left`] if this node has
    /// left; nothing has changed.
    pub async fn set_keys(&self, keys: impl Into<ClusterKeys>) -> Result<(), KeysError> {
        let keys = keys.into();
        keys.validate()?;
        self.orders.send(Order::Keys(keys)).await.map_err(|_| KeysError::Left)
    }

    /// Waits until this node notices that it was put back to an earlier state, or that it runs twice: by its clocks, by
    /// the virtual machine's generation, or by what peers have heard of it. The membership itself comes back under a new
    /// boot id. Replicas have to take new ids then, since what they have written since may be known to others under dots
    /// that are given out again: [`follow`](super::follow()) and [`follow_shared`](super::follow_shared()) see to that for
    /// those that they are given, and [`Handle::put_back`](anti_entropy::Handle::put_back) does it for others.
    ///
    /// It also comes when this was noticed before it was waited for;
    /// several are told as one. Returns `None` after this node has left. Dropping the future loses nothing.
    pub async fn put_back(&self) -> Option<PutBack> {
        self.shared
            .put_back
            .wait(|noticed| noticed.how.take().map(Some).or_else(|| noticed.closed.then_some(None)))
            .await
    }

    /// Waits until this has been noticed more or less often than `known` times, and says how often.
    pub(super) async fn put_backs_other_than(&self, known: u64) -> u64 {
        self.shared.put_back.wait(|noticed| (noticed.times != known).then_some(noticed.times)).await
    }

    /// Tells the membership that the process was put back, if the application noticed it by other means, such as the
    /// hook of a hypervisor or of a tool for checkpoints. [`put_back`](Self::put_back) reports it as well.
    pub async fn report_put_back(&self) {
        // If the node has left there is nothing to come back to.
        let _ = self.orders.send(Order::PutBack(PutBack::Reported)).await;
    }

    /// The counters as they are now.
    pub fn stats(&self) -> SwimStats {
        self.shared.stats.snapshot()
    }

    /// Tells the other nodes that this one leaves, and frees the port; when this completes, both are done. Events that
    /// were not taken yet still can be; after them, [`next_event`](Self::next_event) returns `None`.
    pub async fn leave(&self) {
        // If the node has ended already, there is nobody to tell.
        let _ = self.orders.send(Order::Leave).await;
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(running) = running {
            running.ended().await;
        }
    }

    pub(super) fn probe_interval(&self) -> Duration {
        self.probe_interval
    }

    pub(super) fn max_spaces(&self) -> usize {
        self.max_spaces
    }
}

/// Looks again and again whether the process was put back, until the node has ended.
async fn watch(mut detector: SnapshotDetector, orders: mpsc::WeakSender<Order>) {
    loop {
        sleep(detector.config().check_interval).await;
        let Some(orders) = orders.upgrade() else { return };
        if let Some(how) = detector.observe(SnapshotReading::now(detector.config())) {
            let _ = orders.send(Order::PutBack(how)).await;
        }
    }
}

/// The node with its socket and its clock.
struct Run {
    node: Node,
    socket: UdpSocket,
    takes_ipv6: bool,
    link: Link,
    shared: Arc<Shared>,
    began: Instant,
    orders: mpsc::WeakSender<Order>,
    resolving: JoinSet<()>,
}

impl Run {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut buffer = vec![0; MAX_DATAGRAM_BYTES + 1];
        // Until it has been writable once, the socket takes nothing.
        let _ = self.socket.writable().await;
        loop {
            self.receive(&mut buffer);
            self.node.handle_timeout(self.now());
            self.transmit();
            if self.node.take_seeds_wanted() {
                self.resolve();
            }
            let next = self.node.next_timeout().map_or(Duration::from_secs(60), |at| at.saturating_sub(self.now()));
            tokio::select! {
                _ = self.socket.readable() => {}
                () = sleep_until(Instant::now() + next) => {}
                order = orders.recv() => match order {
                    Some(Order::Seeds(addresses)) => self.node.handle_seeds(self.now(), addresses),
                    Some(Order::Keys(keys)) => self.node.set_keys(keys),
                    Some(Order::PutBack(how)) => self.node.was_put_back(self.now(), how),
                    Some(Order::Leave) | None => break,
                },
            }
        }
        self.node.leave(self.now());
        self.transmit();
        self.shared.mailbox.close();
        self.shared.put_back.lock().closed = true;
        self.shared.put_back.wake();
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn receive(&mut self, buffer: &mut [u8]) {
        for _ in 0..BURST {
            match self.socket.try_recv_from(buffer) {
                Ok((length, from)) => {
                    // Nobody on another link could be answered.
                    let Some(from) = self.link.bare(from) else {
                        self.shared.stats.count(|stats| stats.receive_errors += 1);
                        continue;
                    };
                    self.shared.stats.count(|stats| {
                        stats.datagrams_received += 1;
                        stats.bytes_received += length as u64;
                    });
                    self.node.handle_datagram(self.now(), from, &buffer[..length]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Some systems report here what became of an earlier datagram; that one was lost, and that is all.
                Err(_) => self.shared.stats.count(|stats| stats.receive_errors += 1),
            }
        }
    }

    /// Sends what the node has to send. A datagram that the operating system refuses, for whatever reason, counts as
    /// lost.
    fn transmit(&mut self) {
        while let Some((to, datagram)) = self.node.poll_transmit() {
            let to = match self.link.scoped(to) {
                SocketAddr::V4(to) if self.takes_ipv6 => SocketAddr::new(to.ip().to_ipv6_mapped().into(), to.port()),
                to => to,
            };
            let sent = self.socket.try_send_to(&datagram, to);
            self.shared.stats.count(|stats| match sent {
                Ok(_) => {
                    stats.datagrams_sent += 1;
                    stats.bytes_sent += datagram.len() as u64;
                }
                Err(_) => stats.send_errors += 1,
            });
        }
    }

    /// Resolves the seeds in tasks of their own, since the node must not wait for name servers. Each is asked as soon
    /// as its address is known.
    fn resolve(&mut self) {
        while self.resolving.try_join_next().is_some() {}
        if !self.resolving.is_empty() {
            // Name servers are slower than we ask; those that wait now will do.
            return;
        }
        let within = self.node.config.timings.resolve_timeout;
        for seed in self.node.config.seeds.clone() {
            let (orders, link) = (self.orders.clone(), self.link);
            self.resolving.spawn(async move {
                // What cannot be resolved may be so the next time.
                let Ok(Ok(found)) = timeout(within, lookup_host(&seed)).await else {
                    #[cfg(feature = "tracing")]
                    tracing::warn!(seed, "a seed cannot be resolved now");
                    return;
                };
                let found: Vec<SocketAddr> = found.filter_map(|address| link.bare(address)).collect();
                #[cfg(feature = "tracing")]
                if found.is_empty() {
                    tracing::warn!(seed, "a seed is on another link than this node; advertise an address on its link");
                }
                if let Some(orders) = orders.upgrade() {
                    let _ = orders.send(Order::Seeds(found)).await;
                }
            });
        }
    }
}
