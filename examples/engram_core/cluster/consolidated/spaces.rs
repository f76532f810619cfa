//! All spaces of a node.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anti_entropy::clock::Seed;
use anti_entropy::engine::{Pool, PoolConfig, SharedSpaces, SharedSpacesConfig, SpacesOutput};
use anti_entropy::summary::Root;
use anti_entropy::transport::{Channel, Channels, ChannelsConfig};
use anti_entropy::{Clock, HandleError, Opening, PeerId, Store, SystemClock, Transport};
use anti_entropy_engram::MemorySpace;
use anti_entropy_engram::gossiper::GossiperConfig;
use tokio::sync::mpsc;

use super::space::{BoxError, ConsolidatedSpace};
use crate::cluster::NodeInfo;

/// The channel on which nodes find the spaces that differ. On all nodes the same, and no space's.
const SHARED: u64 = 0;

/// The memory spaces of a node: over one transport, and on a few threads, however many they are.
pub struct Spaces {
    node: String,
    channels: Channels,
    pool: Pool,
    clock: SystemClock,
    open: Mutex<Open>,
    frames: mpsc::Sender<(PeerId, Vec<u8>)>,
}

struct Open {
    replicas: BTreeMap<u64, ConsolidatedSpace>,
    shared: SharedSpaces,
}

impl Spaces {
    /// Over this transport. To be called in a tokio runtime.
    pub fn new(node: &str, transport: impl Transport) -> Result<Arc<Self>, BoxError> {
        let (channels, carry) = Channels::new(transport, ChannelsConfig::default())?;
        tokio::spawn(carry);
        let channel = channels.open(SHARED)?;
        let longest = channel.max_frame_bytes();
        let config = SharedSpacesConfig::default().with(|c| c.max_frame_bytes = c.max_frame_bytes.min(longest));
        let shared = SharedSpaces::new(config, Seed::from_os()?.derive_u64("shared spaces"))?;
        let (pool, clock) = (Pool::new(PoolConfig::default())?, SystemClock::new());
        let open = Mutex::new(Open { replicas: BTreeMap::new(), shared });
        let (frames, queue) = mpsc::channel(64);
        let spaces = Arc::new(Self { node: node.to_owned(), channels, pool, clock, open, frames });
        tokio::spawn(Arc::clone(&spaces).find_differing(channel, queue));
        Ok(spaces)
    }

    /// Opens a space, and starts to gossip. To be called in a tokio runtime.
    pub fn start(
        &self,
        space: MemorySpace,
        config: GossiperConfig,
        store: impl Store + 'static,
        opening: Opening,
    ) -> Result<ConsolidatedSpace, BoxError> {
        let number = space.channel();
        let channel = self.channels.open(number)?;
        let replica = ConsolidatedSpace::start(&self.pool, (space, &self.node, config), (store, opening), channel)?;
        self.open().replicas.insert(number, replica.clone());
        Ok(replica)
    }

    /// Makes the nodes on which a space is placed its peers: at its start, and whenever its assignment changes. A space that is
    /// not placed on this node has none.
    pub async fn place(&self, space: &MemorySpace, nodes: &[NodeInfo]) -> Result<(), HandleError> {
        let is_here = nodes.iter().any(|node| node.id == self.node);
        let others = nodes.iter().filter(|node| is_here && node.id != self.node);
        let peers: BTreeMap<PeerId, _> = others.map(|node| (node.id.as_str().into(), node.zone.clone())).collect();
        let number = space.channel();
        self.open().shared.share(number, peers.keys().cloned());
        let replica = self.open().replicas.get(&number).cloned();
        replica.ok_or(HandleError::Stopped)?.gossiper.set_members(peers).await
    }

    /// One digest over all spaces that are shared with a peer, for a ping to it. What engines hold is read from cells;
    /// none of them is waited for.
    pub fn digest(&self, peer: &PeerId) -> Option<Root> {
        let open = &mut *self.open();
        open.refresh();
        open.shared.digest(peer)
    }

    /// Takes in the digest of a peer's ping, and asks for the spaces that differ.
    pub fn handle_digest(&self, from: &PeerId, digest: Root) {
        let open = &mut *self.open();
        open.refresh();
        open.shared.handle_digest(from, digest, self.clock.now().elapsed);
        self.act(open);
    }

    async fn find_differing(self: Arc<Self>, channel: Channel, mut queue: mpsc::Receiver<(PeerId, Vec<u8>)>) {
        loop {
            tokio::select! {
                received = channel.receive() => {
                    let Some((from, frame)) = received else { break };
                    let open = &mut *self.open();
                    open.shared.handle_frame(&from, &frame, self.clock.now().elapsed);
                    self.act(open);
                }
                // A failed send is a lost frame, which a later digest makes up for.
                Some((to, frame)) = queue.recv() => drop(channel.send(&to, frame).await),
            }
        }
    }

    /// Does what the shared spaces want. Where a queue is full, a later ping will do.
    fn act(&self, open: &mut Open) {
        while let Some(output) = open.shared.poll_output() {
            match output {
                SpacesOutput::Send { to, frame } => drop(self.frames.try_send((to, frame))),
                SpacesOutput::Announced { peer, space, state } => {
                    let Some(replica) = open.replicas.get(&space) else { continue };
                    let _ = replica.gossiper.post(move |gossiper, now| {
                        gossiper.engine_mut().handle_announcement(&peer, state, now);
                    });
                }
            }
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn refresh(&mut self) {
        let Self { replicas, shared } = self;
        replicas.retain(|number, replica| {
            let held = replica.gossiper.announced();
            match &held {
                Ok(held) => shared.announce(*number, held.state),
                Err(_) => shared.remove(*number), // It has stopped.
            }
            held.is_ok()
        });
    }
}
