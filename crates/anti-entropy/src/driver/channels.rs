use std::collections::BTreeMap;
use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::channel::mpsc;
use futures::future::FutureExt;
use futures::stream::StreamExt;
use serde::{Deserialize, Serialize};

use super::frame_queue::{FrameQueue, QueueLimits, Waiting};
use super::{SendError, Transport};
use crate::{ConfigError, PeerId};

/// Carries several replicas of a node over one transport: each has a channel, with the same number on all nodes.
///
/// A channel is a [`Transport`], so that an engine is driven over it as over any other. A node with many stores then
/// needs one address, and one connection to each peer. Frames for a channel that is not open here are dropped. On the
/// wire a frame has the channel's number before it (docs/protocol.md, "Channels").
///
/// ```
/// use anti_entropy::transport::{Channels, ChannelsConfig};
/// use anti_entropy::{MemoryNetwork, Transport};
/// use futures::executor::block_on;
///
/// let network = MemoryNetwork::new(1);
/// let node = |name: &str| {
///     let (channels, carry) = Channels::new(network.join(name.into()), ChannelsConfig::default())?;
///     std::thread::spawn(|| block_on(carry)); // or spawn it on any async runtime
///     Ok::<_, anti_entropy::ConfigError>(channels)
/// };
/// let (alice, bob) = (node("alice")?, node("bob")?);
/// let (songs, films) = (bob.open(1)?, bob.open(2)?); // to be driven, one with each replica
/// block_on(async {
///     alice.open(2)?.send(&"bob".into(), b"a frame".to_vec()).await?;
///     assert_eq!(films.receive().await, Some(("alice".into(), b"a frame".to_vec())));
///     Ok::<_, Box<dyn std::error::Error>>(())
/// })?;
/// # drop(songs);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Channels(Arc<Shared>);

/// Limits of [`Channels`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ChannelsConfig {
    /// How many frames may wait for a channel, of all peers together. If there are more, the peer of which most wait loses
    /// its newest, as on a lossy network, and no other peer does. At least 1; 1,024 by default, as for a driver: with one
    /// behind it a channel is always read.
    pub queue_frames: NonZeroUsize,
    /// How many bytes of frames may wait for a channel, of all peers together; one that waits alone may be longer. If
    /// there are more, the peer that takes most of it loses its newest frames. At least 1; 16 MiB by default: frames of
    /// 1 MiB, of a few peers at once.
    pub queue_bytes: usize,
}

impl ChannelsConfig {
    /// The same settings with some changed.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Checks every field's range. [`Channels::new`] calls this.
    ///
    /// # Errors
    /// The first field that is out of its range, with its value and its bound.
    pub fn validate(&self) -> Result<(), ConfigError> {
        ConfigError::at_least("queue_bytes", self.queue_bytes, 1)
    }
}

impl Default for ChannelsConfig {
    fn default() -> Self {
        Self { queue_frames: NonZeroUsize::new(1024).expect("not zero"), queue_bytes: 16 << 20 }
    }
}

/// How many frames did not reach a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelsStats {
    /// Frames for channels that are not open here.
    pub unopened: u64,
    /// Frames for which there was no room.
    pub overflowed: u64,
    /// Frames too short to name a channel.
    pub malformed: u64,
}

/// The channel of this number is open already. Nothing was changed; drop that channel first, or take another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("channel {0} is open already; nothing was changed; close the other first, or take another number")]
pub struct ChannelTaken(pub u64);

struct Shared {
    transport: Box<dyn Transport>,
    config: ChannelsConfig,
    open: Mutex<Open>,
    unopened: AtomicU64,
    overflowed: AtomicU64,
    malformed: AtomicU64,
}

struct Open {
    queues: BTreeMap<u64, Queue>,
    /// Whether the transport is closed, or nothing moves its frames any more.
    ended: bool,
}

/// The frames that wait for a channel.
struct Queue {
    frames: Arc<Mutex<FrameQueue>>,
    /// Told when frames wait and none did before.
    arrived: mpsc::UnboundedSender<()>,
}

/// Length of a channel's number before a frame.
const NUMBER_LEN: usize = size_of::<u64>();

impl Channels {
    /// Channels over a transport, and a future that delivers what arrives to them: spawn it. It ends when the transport
    /// is closed; all channels end with it, or when it is dropped.
    ///
    /// # Errors
    /// [`ConfigError`] if a setting is out of its range; nothing was started.
    pub fn new(
        transport: impl Transport,
        config: ChannelsConfig,
    ) -> Result<(Self, impl Future<Output = ()> + Send + 'static), ConfigError> {
        config.validate()?;
        let shared = Arc::new(Shared {
            transport: Box::new(transport),
            config,
            open: Mutex::new(Open { queues: BTreeMap::new(), ended: false }),
            unopened: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
            malformed: AtomicU64::new(0),
        });
        let end = End(Arc::clone(&shared));
        let carry = async move {
            while let Some((from, frame)) = end.0.transport.receive().await {
                end.0.deliver(from, frame);
            }
        };
        Ok((Self(shared), carry))
    }

    /// Opens the channel of this number. Dropping it closes it.
    ///
    /// # Errors
    /// [`ChannelTaken`] if it is open already.
    pub fn open(&self, number: u64) -> Result<Channel, ChannelTaken> {
        let (arrived, arrivals) = mpsc::unbounded();
        let ChannelsConfig { queue_frames, queue_bytes } = self.0.config;
        let limits = QueueLimits { frames: queue_frames.get(), bytes: queue_bytes };
        let frames = Arc::new(Mutex::new(FrameQueue::new(limits)));
        let mut open = self.0.open();
        if open.queues.contains_key(&number) {
            return Err(ChannelTaken(number));
        }
        if !open.ended {
            open.queues.insert(number, Queue { frames: Arc::clone(&frames), arrived });
        }
        drop(open);
        Ok(Channel { shared: Arc::clone(&self.0), number, frames, arrivals: futures::lock::Mutex::new(arrivals) })
    }

    /// How many frames did not reach a channel so far.
    pub fn stats(&self) -> ChannelsStats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ChannelsStats {
            unopened: count(&self.0.unopened),
            overflowed: count(&self.0.overflowed),
            malformed: count(&self.0.malformed),
        }
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deliver(&self, from: PeerId, mut frame: Vec<u8>) {
        let Some(number) = frame.first_chunk().map(|number| u64::from_be_bytes(*number)) else {
            self.malformed.fetch_add(1, Ordering::Relaxed);
            return;
        };
        frame.drain(..NUMBER_LEN);
        let mut open = self.open();
        let Some(queue) = open.queues.get_mut(&number) else {
            self.unopened.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let mut frames = queue.frames.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = frames.len() == 0;
        // Without its room in the transport: one channel that is not read must not keep its peers' frames for others away.
        let dropped = frames.push(from, Waiting::new(frame, Box::new(())));
        drop(frames);
        self.overflowed.fetch_add(dropped.len() as u64, Ordering::Relaxed);
        if is_first {
            // The receiver is there for as long as the queue is.
            let _ = queue.arrived.unbounded_send(());
        }
    }
}

/// Ends all channels when the future that moves frames is dropped or has ended.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        let mut open = self.0.open();
        open.ended = true;
        open.queues.clear();
    }
}

/// One channel of [`Channels`]: a transport for one replica. Dropping it closes it.
pub struct Channel {
    shared: Arc<Shared>,
    number: u64,
    frames: Arc<Mutex<FrameQueue>>,
    arrivals: futures::lock::Mutex<mpsc::UnboundedReceiver<()>>,
}

#[async_trait]
impl Transport for Channel {
    async fn send(&self, to: &PeerId, frame: Vec<u8>) -> Result<(), SendError> {
        let (bytes, max) = (frame.len(), self.max_frame_bytes());
        if bytes > max {
            return Err(SendError::TooLong { bytes, max });
        }
        let numbered = [&self.number.to_be_bytes()[..], &frame].concat();
        self.shared.transport.send(to, numbered).await
    }

    async fn receive(&self) -> Option<(PeerId, Vec<u8>)> {
        // Held while it waits: of several that wait, each looks at what waits before it does.
        let mut arrivals = self.arrivals.lock().await;
        loop {
            // Those of frames that were found without waiting would pile up.
            while let Some(Some(())) = arrivals.next().now_or_never() {}
            let next = self.frames.lock().unwrap_or_else(PoisonError::into_inner).pop();
            if let Some((from, waiting)) = next {
                return Some((from, waiting.frame));
            }
            arrivals.next().await?;
        }
    }

    fn max_frame_bytes(&self) -> usize {
        self.shared.transport.max_frame_bytes().saturating_sub(NUMBER_LEN)
    }

    fn authenticated(&self) -> bool {
        self.shared.transport.authenticated()
    }

    fn local_name(&self) -> Option<PeerId> {
        self.shared.transport.local_name()
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.shared.open().queues.remove(&self.number);
    }
}

impl std::fmt::Debug for Channels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channels").field("open", &self.0.open().queues.len()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").field("number", &self.number).finish_non_exhaustive()
    }
}
