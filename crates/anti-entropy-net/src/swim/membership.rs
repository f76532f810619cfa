use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anti_entropy::PeerId;
use anti_entropy::engine::StateDigest;
use anti_entropy::summary::Root;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::net::{UdpSocket, lookup_host};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::announce::{ALL_SHARED, Announcements};
use super::boot_id::BootId;
use super::config::SwimConfig;
use super::error::{AnnounceError, JoinError};
use super::event::{Member, MembershipEvent};
use super::header::MAX_DATAGRAM_BYTES;
use super::link::Link;
use super::mailbox::Mailbox;
use super::node::{Node, Shared};
use super::stats::{Stats, SwimStats};
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
        let drawn = draw()?;
        let failed = |source| JoinError::Listen { address: config.listen, source };
        let socket = UdpSocket::bind(config.listen).await.map_err(failed)?;
        let local_addr = socket.local_addr().map_err(failed)?;
        let link = config.settle_addresses(local_addr)?;
        let shared = Arc::new(Shared {
            announcements: Announcements::new(config.limits.max_spaces),
            mailbox: Mailbox::new(config.limits.max_spaces).on(link),
            stats: Stats::default(),
        });
        let (orders, given) = mpsc::channel(1);
        let (probe_interval, max_spaces) = (config.timings.probe_interval, config.limits.max_spaces);
        let address = config.advertise.unwrap_or(local_addr);
        let node = Node::new(config, address, drawn, Arc::clone(&shared), Duration::ZERO);
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

/// A boot id that no other process has, and a seed for random delays.
fn draw() -> Result<(BootId, u64), JoinError> {
    let mut drawn = [0; 16];
    SystemRandom::new().fill(&mut drawn).map_err(|_| JoinError::NoRandom)?;
    let (boot, seed) = drawn.split_at(8);
    let boot = BootId(boot.try_into().expect("half of 16 bytes"));
    if boot == BootId::UNKNOWN {
        return Err(JoinError::NoRandom);
    }
    Ok((boot, u64::from_be_bytes(seed.try_into().expect("half of 16 bytes"))))
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
                    Some(Order::Leave) | None => break,
                },
            }
        }
        self.node.leave(self.now());
        self.transmit();
        self.shared.mailbox.close();
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
                    self.node.handle_datagram(self.now(), from, &mut buffer[..length]);
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
