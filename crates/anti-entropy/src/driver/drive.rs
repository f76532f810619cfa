use std::future::Future;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use super::{Clock, Handle, NodeError, Pool, Transport};
use crate::gossip::Engine;
use crate::replica::Replicated;

/// Limits of the queues between transport, handles, subscribers and engine. Every value of the types is in range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct DriverConfig {
    /// How many received frames may wait for the engine, of all peers together. If there are more, the peer of which most
    /// wait loses its newest, as on a lossy network, and no other peer does. A transport that can push back does so to a peer
    /// of which half as many wait; see [`Transport::receive_with_room`]. At least 1; 1,024 by default: the longest message in
    /// frames of 64 KiB.
    pub max_queued_frames: NonZeroUsize,
    /// How many bytes of received frames may wait for the engine, of all peers together; one that waits alone may be
    /// longer. If there are more, the peer that takes most of it loses its newest frames, and no other peer does; a transport
    /// that can push back does so to a peer that takes half of it. At least 1; 64 MiB by default, as long as the longest
    /// message.
    pub max_queued_bytes: NonZeroUsize,
    /// How many calls of handles may wait for the engine; further ones fail with
    /// [`HandleError::Overloaded`](crate::HandleError::Overloaded), except that a call may
    /// [post](crate::Handle::post) the one that continues it. At least 1; 4,096 by default.
    pub max_queued_calls: NonZeroUsize,
    /// How many changes or events may wait for a subscriber; further ones are dropped, and the subscriber gets their
    /// number. At least 1; 1,024 by default.
    pub subscriber_queue: NonZeroUsize,
}

impl DriverConfig {
    /// The same settings with some changed.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

impl Default for DriverConfig {
    fn default() -> Self {
        let limit = |limit| NonZeroUsize::new(limit).expect("not zero");
        Self {
            max_queued_frames: limit(1024),
            max_queued_bytes: limit(64 << 20),
            max_queued_calls: limit(4096),
            subscriber_queue: limit(1024),
        }
    }
}

/// Runs an engine over a transport, on any async runtime. [`Node`](crate::Node) does this for most applications.
///
/// Returns a [`Handle`] and a future. The future moves frames between engine and transport, and has to be polled: spawn
/// it. The engine runs on a thread of its own, so that a store that blocks does not stall the runtime. A
/// [`Pool`](crate::engine::Pool) runs many engines on a few threads.
///
/// The future ends when the transport is closed or the engine has stopped. The thread ends when it was
/// [shut down](Handle::shutdown), or when the future and every handle are dropped.
///
/// `driven` is the engine, or a type of yours that contains it: state that belongs to the replica then lives on the
/// same thread, and [`Handle::with`] reaches both. Its `AsMut` has to return the same engine every time; its `Into`
/// returns that engine when it is shut down.
///
/// ```
/// use anti_entropy::clock::Seed;
/// use anti_entropy::engine::{Engine, drive};
/// use anti_entropy::{
///     Clock, DriverConfig, GossipConfig, Keyed, LastWriterWins, MemoryNetwork, MemoryStore, Replica, SystemClock,
/// };
/// use futures::executor::block_on;
///
/// let (seed, clock) = (Seed::from_os()?, SystemClock::new());
/// let replica = Replica::open(MemoryStore::new(), LastWriterWins, seed.clone())?;
/// let engine = Engine::new(replica, GossipConfig::default(), seed.derive_u64("gossip"), clock.now())?;
/// let transport = MemoryNetwork::new(1).join("alice".into());
/// let (alice, frames) = drive(engine, transport, clock, DriverConfig::default())?;
/// std::thread::spawn(|| block_on(frames)); // or `tokio::spawn(frames)`, for example
/// block_on(alice.write(Keyed::new(1, "green".to_string())))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`NodeError::Thread`] if the operating system cannot start a thread, and [`NodeError::Config`] if the transport
/// carries frames of less than [`SessionConfig::MIN_FRAME_BYTES`](crate::SessionConfig::MIN_FRAME_BYTES). Nothing runs
/// then.
pub fn drive<V, E>(
    driven: E,
    transport: impl Transport,
    clock: impl Clock,
    config: DriverConfig,
) -> Result<(Handle<V, E>, impl Future<Output = ()> + Send + 'static), NodeError>
where
    V: Replicated,
    E: AsMut<Engine<V>> + Into<Engine<V>> + Send + 'static,
{
    Ok(Pool::of_one().map_err(NodeError::Thread)?.drive(driven, transport, clock, config)?)
}
