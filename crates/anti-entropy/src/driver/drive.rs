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

/// Limits of a driver's queues. The types exclude what is out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct DriverConfig {
    /// How many received frames wait for the engine; what is more is dropped, as a network would. 1,024 by default.
    pub max_queued_frames: NonZeroUsize,
    /// How many calls of handles wait for the engine; what is more is refused. 4,096 by default.
    pub max_queued_calls: NonZeroUsize,
    /// How many changes or events wait for a subscriber; what is more is dropped, and the subscriber told. 1,024 by
    /// default.
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

/// Runs an engine over a transport, on any async runtime.
///
/// Returns a [`Handle`] and a future. The future moves frames, and has to be polled: spawn it. The engine runs on a thread
/// of its own, so that a store that blocks does not stall the runtime. The future ends when the transport is closed or
/// the engine has stopped; the thread, when it was [shut down](Handle::shutdown), or the future and every handle are gone.
///
/// What is driven may also be something of yours that contains an engine: state that belongs to the replica then lives on
/// the same thread, and [`Handle::with`] reaches both. It gives the engine by `AsMut`, always the same one, and gives it up
/// by `Into` when it is shut down.
///
/// ```
/// use anti_entropy::clock::Seed;
/// use anti_entropy::{Clock, GossipConfig, Keyed, LastWriterWins, MemoryNetwork, MemoryStore, PeerId, Replica, SystemClock};
/// use anti_entropy::engine::{Engine, drive};
/// use futures::executor::block_on;
///
/// let network = MemoryNetwork::new(1);
/// let start = |name: &str, peer: &str, seed: u8| {
///     let replica = Replica::open(MemoryStore::new(), LastWriterWins, Seed::from_bytes([seed; 32]))?;
///     let clock = SystemClock::new();
///     let mut engine = Engine::new(replica, GossipConfig::test(), seed.into(), clock.now());
///     engine.add_peer(PeerId::from(peer), None);
///     let (handle, driver) = drive(engine, network.join(PeerId::from(name)), clock, Default::default());
///     std::thread::spawn(|| block_on(driver)); // or `tokio::spawn(driver)`, for example
///     Ok::<_, anti_entropy::Error>(handle)
/// };
/// let (alice, bob) = (start("alice", "bob", 1)?, start("bob", "alice", 2)?);
/// block_on(async {
///     alice.write(Keyed::new(1u32, "one".to_string())).await?;
///     bob.wait_converged([PeerId::from("alice")]).await?;
///     assert_eq!(bob.read(1).await?.value().unwrap().value, "one");
///     Ok::<_, anti_entropy::HandleError>(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the operating system cannot start a thread.
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
    let thread_queued = Arc::clone(&queued);
    std::thread::Builder::new().name("anti-entropy".into()).spawn(move || worker.run(&inbox, &thread_queued))?;
    let handle = Handle::new(jobs.clone(), Arc::clone(&queued), config);
    Ok((handle, carry(transport, outgoing, jobs, queued, config.max_queued_frames.get())))
}

/// Carries frames both ways until one of the two ways ends.
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
