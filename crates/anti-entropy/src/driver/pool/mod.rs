mod carrier;
mod task;
mod threads;

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;

use futures::channel::mpsc;
use futures::future::{Either, select};
use futures::stream::StreamExt;
use serde::{Deserialize, Serialize};

use self::carrier::Carrier;
use self::task::Driven;
pub(super) use self::task::Jobs;
use self::threads::{Task, Threads};
use super::contain::Contained;
use super::frame_queue::Waiting;
use super::inbox::Inbox;
use super::worker::Worker;
use super::{Clock, DriverConfig, Handle, Transport, transport};
use crate::gossip::Engine;
use crate::replica::Replicated;
use crate::{ConfigError, PeerId};

/// A few threads that run any number of engines, where a process has a replica for each of many data sets.
///
/// An engine is run by one thread at a time, and in turns: when it has done so many jobs, the others that have something
/// to do come first. A store that blocks keeps one thread and no other: have as many threads as stores may block at
/// once. What is handed in for an engine ends that engine and no other if it panics: a call, a store, a transport, a
/// clock, also where it is dropped. A call must not wait for another engine of the same pool: if all
/// threads do that, none is left for the engines that they wait for.
///
/// Clones are the same pool. The threads end when all clones are dropped and no engine is left on them; the engines
/// themselves end as those of [`drive`](crate::engine::drive) do.
///
/// ```
/// use anti_entropy::engine::{Pool, PoolConfig};
/// use anti_entropy::transport::{Channels, ChannelsConfig};
/// use anti_entropy::{Keyed, LastWriterWins, MemoryNetwork, MemoryStore, Node};
/// use futures::executor::block_on;
///
/// let network = MemoryNetwork::new(1);
/// let start = |name: &str, peer: &str| {
///     // Two threads, one that moves frames, and one for the channels: for a hundred replicas as for one.
///     let pool = Pool::new(PoolConfig::default().with(|config| config.threads = 2.try_into().unwrap()))?;
///     let (channels, carry) = Channels::new(network.join(name.into()), ChannelsConfig::default())?;
///     std::thread::spawn(|| block_on(carry));
///     let space = |number| {
///         let node = Node::<Keyed<u32, String>>::new(MemoryStore::new(), LastWriterWins);
///         Ok::<_, Box<dyn std::error::Error>>(node.peer(peer).on(&pool).spawn(channels.open(number)?)?)
///     };
///     (0..100).map(space).collect::<Result<Vec<_>, _>>()
/// };
/// let (alice, bob) = (start("alice", "bob")?, start("bob", "alice")?);
/// block_on(alice[42].write(Keyed::new(1, "green".to_string())))?;
/// block_on(bob[42].wait_converged(["alice".into()]))?;
/// assert_eq!(block_on(bob[42].read(1))?.value().unwrap().value, "green");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Pool(Arc<Open>);

/// Dropped with the last clone of a pool.
struct Open {
    threads: Arc<Threads>,
    carrier: Carrier,
    config: PoolConfig,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.threads.close();
    }
}

/// Settings of a [`Pool`]. Every value of the types is in range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PoolConfig {
    /// How many threads run engines. At least 1; 4 by default, so that three stores may wait for a disk while the
    /// engines of others go on.
    pub threads: NonZeroUsize,
    /// How many frames and calls an engine handles in a turn before the others that are ready have theirs. At least 1;
    /// 64 by default: with the values of a few kilobytes that are common, a turn then takes milliseconds, and what is
    /// hashed once a turn, the root to be announced, is hashed for many writes together. Reads, writes and pushes that
    /// share a commit count as one, which is the last of its turn.
    pub jobs_per_turn: NonZeroUsize,
}

impl PoolConfig {
    /// The same settings with some changed.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

impl Default for PoolConfig {
    fn default() -> Self {
        let limit = |limit| NonZeroUsize::new(limit).expect("not zero");
        Self { threads: limit(4), jobs_per_turn: limit(64) }
    }
}

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// The operating system's error if it cannot start a thread; those that were started end.
    pub fn new(config: PoolConfig) -> std::io::Result<Self> {
        let threads = Arc::new(Threads::new(config.jobs_per_turn.get()));
        // Dropped on an error, which ends the threads.
        let pool = Self(Arc::new(Open { threads: Arc::clone(&threads), carrier: Carrier::default(), config }));
        for _ in 0..config.threads.get() {
            let threads = Arc::clone(&threads);
            std::thread::Builder::new().name("anti-entropy".into()).spawn(move || threads.work())?;
        }
        Ok(pool)
    }

    /// One thread, for one engine.
    pub(super) fn of_one() -> std::io::Result<Self> {
        Self::new(PoolConfig::default().with(|config| config.threads = NonZeroUsize::MIN))
    }

    /// Runs an engine on these threads. In all else this is [`drive`](crate::engine::drive), which has a thread for one
    /// engine: the returned future has to be polled.
    ///
    /// # Errors
    /// If the transport carries frames of less than
    /// [`SessionConfig::MIN_FRAME_BYTES`](crate::SessionConfig::MIN_FRAME_BYTES). Nothing runs then.
    pub fn drive<V, E, T, C>(
        &self,
        mut driven: E,
        transport: T,
        clock: C,
        config: DriverConfig,
    ) -> Result<(Handle<V, E>, impl Future<Output = ()> + Send + 'static + use<V, E, T, C>), ConfigError>
    where
        V: Replicated,
        E: AsMut<Engine<V>> + Into<Engine<V>> + Send + 'static,
        T: Transport,
        C: Clock,
    {
        transport::check(&transport)?;
        let engine = driven.as_mut();
        engine.fit_transport(transport.max_frame_bytes(), transport.authenticated());
        engine.suggest_name(transport.local_name());
        let (frames, outgoing) = mpsc::unbounded();
        let worker = Worker::new(driven, Box::new(clock), frames, config);
        let announced = worker.announced();
        let inbox = Arc::new(Inbox::ready(config));
        let task: Arc<dyn Task> = Arc::new(Driven::new(Arc::clone(&inbox), worker));
        let number = self.0.threads.begin(Arc::clone(&task));
        let jobs = Jobs::new(inbox, task, number, Arc::clone(&self.0.threads));
        Ok((Handle::new(jobs.clone(), announced), carry(transport, outgoing, jobs)))
    }

    /// Moves frames on a thread of the pool's own, until the future ends.
    pub(super) fn carry(&self, frames: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
        self.0.carrier.add(frames)
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("config", &self.0.config).finish_non_exhaustive()
    }
}

/// Carries frames in both directions until one of them ends.
async fn carry<V: Replicated, E>(
    transport: impl Transport,
    outgoing: mpsc::UnboundedReceiver<(PeerId, Vec<u8>)>,
    jobs: Jobs<V, E>,
) {
    let transport = Contained::new(transport);
    let incoming = async {
        while let Some((from, frame, room)) = transport.receive_with_room().await {
            if jobs.frame(from, Waiting::new(frame, room)).is_err() {
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
