use std::collections::BTreeMap;
use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::channel::mpsc;
use futures::stream::StreamExt;
use serde::{Deserialize, Serialize};

use super::{SendError, Transport};
use crate::PeerId;

/// Several replicas of a node over one transport: each has a channel, whose number is the same at all nodes.
///
/// A replica's engine is driven over its channel as over any transport, so that a node with many stores needs one
/// address, and one connection to each peer. What arrives for a channel that is not open here is dropped, as if it were
/// lost. A frame is one of the transport's, with the channel's number before it (docs/protocol.md, "Channels").
///
/// ```
/// use anti_entropy::transport::{Channels, ChannelsConfig};
/// use anti_entropy::{MemoryNetwork, Transport};
/// use futures::executor::block_on;
///
/// let network = MemoryNetwork::new(1);
/// let node = |name: &str| {
///     let (channels, carry) = Channels::new(network.join(name.into()), ChannelsConfig::default());
///     std::thread::spawn(|| block_on(carry)); // or spawn it on any async runtime
///     channels
/// };
/// let (alice, bob) = (node("alice"), node("bob"));
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
    /// How many frames wait for a channel; what is more is dropped, as a network would. 1,024 by default, as for a
    /// driver: with one behind it a channel is always read.
    pub queue_frames: NonZeroUsize,
    /// How many bytes of frames wait for a channel, unless one waits alone. 16 MiB by default: frames of 1 MiB, of a few
    /// peers at once.
    pub queue_bytes: usize,
}

impl ChannelsConfig {
    /// The same settings with some changed.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

impl Default for ChannelsConfig {
    fn default() -> Self {
        Self { queue_frames: NonZeroUsize::new(1024).expect("not zero"), queue_bytes: 16 << 20 }
    }
}

/// What did not reach a channel.
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

/// A channel that is open already. Nothing was changed; drop that one first, or take another number.
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
    /// Nothing arrives any more.
    ended: bool,
}

/// What waits for a channel.
struct Queue {
    frames: mpsc::UnboundedSender<(PeerId, Vec<u8>)>,
    waiting: Arc<Waiting>,
}

#[derive(Default)]
struct Waiting {
    frames: AtomicUsize,
    bytes: AtomicUsize,
}

/// Length of a channel's number before a frame.
const NUMBER_LEN: usize = size_of::<u64>();

impl Channels {
    /// Channels over a transport, and a future that carries what arrives to them: spawn it. It ends when the transport is
    /// closed; the channels end with it, or when it is dropped.
    pub fn new(transport: impl Transport, config: ChannelsConfig) -> (Self, impl Future<Output = ()> + Send + 'static) {
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
        (Self(shared), carry)
    }

    /// Opens the channel of this number. It is closed by being dropped.
    ///
    /// # Errors
    /// If it is open already.
    pub fn open(&self, number: u64) -> Result<Channel, ChannelTaken> {
        let (frames, incoming) = mpsc::unbounded();
        let waiting = Arc::new(Waiting::default());
        let mut open = self.0.open();
        if open.queues.contains_key(&number) {
            return Err(ChannelTaken(number));
        }
        if !open.ended {
            open.queues.insert(number, Queue { frames, waiting: Arc::clone(&waiting) });
        }
        drop(open);
        let incoming = futures::lock::Mutex::new(incoming);
        Ok(Channel { shared: Arc::clone(&self.0), number, incoming, waiting })
    }

    /// What did not reach a channel so far.
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
        let Waiting { frames, bytes } = &*queue.waiting;
        // Frames are added here alone, so that what was looked up is not exceeded.
        let (others, with_it) = (frames.load(Ordering::Relaxed), bytes.load(Ordering::Relaxed) + frame.len());
        let fits = others < self.config.queue_frames.get() && with_it <= self.config.queue_bytes;
        if others > 0 && !fits {
            self.overflowed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        frames.fetch_add(1, Ordering::Relaxed);
        bytes.fetch_add(frame.len(), Ordering::Relaxed);
        // The receiver is there for as long as the queue is.
        let _ = queue.frames.unbounded_send((from, frame));
    }
}

/// Ends all channels when nothing carries frames to them any more.
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
    incoming: futures::lock::Mutex<mpsc::UnboundedReceiver<(PeerId, Vec<u8>)>>,
    waiting: Arc<Waiting>,
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
        let (from, frame) = self.incoming.lock().await.next().await?;
        self.waiting.frames.fetch_sub(1, Ordering::Relaxed);
        self.waiting.bytes.fetch_sub(frame.len(), Ordering::Relaxed);
        Some((from, frame))
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
