use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;

use futures::channel::mpsc;
use futures::future::{Either, select};
use futures::stream::StreamExt;
use serde::{Deserialize, Serialize};

use super::worker::{Job, Queued, Worker};
use super::{Clock, Handle, Transport};
use crate::PeerId;
use crate::gossip::Engine;
use crate::replica::Replicated;

/// Limits of the queues between transport, handles, subscribers and engine. Every value of the types is in range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct DriverConfig {
    /// How many received frames may wait for the engine; further ones are dropped, as on a lossy network. At least 1;
    /// 1,024 by default.
    pub max_queued_frames: NonZeroUsize,
    /// How many calls of handles may wait for the engine; further ones fail with
    /// [`HandleError::Overloaded`](crate::HandleError::Overloaded). At least 1; 4,096 by default.
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
        Self { max_queued_frames: limit(1024), max_queued_calls: limit(4096), subscriber_queue: limit(1024) }
    }
}

/// Runs an engine over a transport, on any async runtime. [`Node`](crate::Node) does this for most applications.
///
/// Returns a [`Handle`] and a future. The future moves frames between engine and transport, and has to be polled: spawn
/// it. The engine runs on a thread of its own, so that a store that blocks does not stall the runtime.
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
/// The operating system's error if it cannot start a thread; nothing runs then.
pub fn drive<V, E>(
    mut driven: E,
    transport: impl Transport,
    clock: impl Clock,
    config: DriverConfig,
) -> std::io::Result<(Handle<V, E>, impl Future<Output = ()> + Send + 'static)>
where
    V: Replicated,
    E: AsMut<Engine<V>> + Into<Engine<V>> + Send + 'static,
{
    let engine = driven.as_mut();
    engine.fit_transport(transport.max_frame_bytes(), transport.authenticated());
    engine.suggest_name(transport.local_name());
    let (jobs, inbox) = std::sync::mpsc::channel();
    let (frames, outgoing) = mpsc::unbounded();
    let queued = Arc::new(Queued::default());
    let worker = Worker::new(driven, Box::new(clock), frames, config);
    let announced = worker.announced();
    let thread_queued = Arc::clone(&queued);
    std::thread::Builder::new().name("anti-entropy".into()).spawn(move || worker.run(&inbox, &thread_queued))?;
    let handle = Handle::new(jobs.clone(), Arc::clone(&queued), announced, config);
    Ok((handle, carry(transport, outgoing, jobs, queued, config.max_queued_frames.get())))
}

/// Carries frames in both directions until one of them ends.
async fn carry<V: Replicated, E>(
    transport: impl Transport,
    outgoing: mpsc::UnboundedReceiver<(PeerId, Vec<u8>)>,
    jobs: Sender<Job<V, E>>,
    queued: Arc<Queued>,
    max_queued_frames: usize,
) {
    let incoming = async {
        while let Some((from, frame)) = transport.receive().await {
            if queued.frames.fetch_add(1, Ordering::Relaxed) >= max_queued_frames {
                queued.frames.fetch_sub(1, Ordering::Relaxed);
                queued.dropped_frames.fetch_add(1, Ordering::Relaxed);
            } else if jobs.send(Job::Frame(from, frame)).is_err() {
                return;
            }
        }
    };
    // A failed send is a lost frame.
    let sending = outgoing.for_each(|(to, frame)| {
        let transport = &transport;
        async move { drop(transport.send(&to, frame).await) }
    });
    match select(Box::pin(incoming), Box::pin(sending)).await {
        Either::Left(_) | Either::Right(_) => {}
    }
}
