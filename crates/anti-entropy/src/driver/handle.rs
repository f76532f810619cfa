use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

use futures::channel::oneshot;
use futures::stream::Stream;

use super::announcing::{Announced as Published, Announcement};
use super::contain::Contained;
use super::inbox::{Access, Answer, Job, Shared};
use super::pool::Jobs;
use super::worker::Worker;
use crate::clock::{Now, RandomnessUnavailable, Seed};
use crate::gossip::{Announced, Engine, Event, StateDigest, Status};
use crate::replica::{
    Adopted, Change, Error, Marker, Missing, Read, Replicated, Seen, StoreError, Transaction, Written,
};
use crate::{KeyHash, PeerId};

/// Reads from, writes to, and watches a replica while its engine runs.
///
/// Handles are cheap to clone. Calls are carried out in order, on the engine's thread. Dropping the future of a call
/// does not undo the call, and a write is durable when its future returns. Reads, writes and deletes that wait at the
/// same time, and the pushes of peers that do, are committed to the store together, within
/// [`max_commit_writes`](crate::ReplicaConfig::max_commit_writes): many callers at once wait for one sync of the disk. If
/// that commit fails, each of them gets the error, and none of the writes was made. `E` is what [`drive`](super::drive) runs:
/// the engine, or a type that contains it.
pub struct Handle<V: Replicated, E = Engine<V>> {
    jobs: Jobs<V, E>,
    announced: Published,
}

/// Why a call of a [`Handle`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandleError {
    /// The replica refused or its store failed.
    #[error(transparent)]
    Replica(#[from] Error),
    /// Too many calls wait for the engine's thread. Nothing was done; try again later, or call less often.
    #[error("{limit} calls wait for the engine already; nothing was done; try again later")]
    Overloaded {
        /// [`DriverConfig::max_queued_calls`](crate::DriverConfig::max_queued_calls).
        limit: usize,
    },
    /// The engine has no such peer, or no longer. Nothing was changed; add the peer first.
    #[error("the peer {0} is unknown; nothing was changed; add it to the engine first")]
    UnknownPeer(PeerId),
    /// What was [waited for](Handle::wait_converged) is certified, except at keys at which this replica or a peer has a
    /// [hole](crate::Replica::holes). All else is equal. What is missing comes by itself once whoever lacks it can take it:
    /// upgrade that node, or raise its limits.
    #[error(
        "this replica and the peers are equal except at holes: {} here, and with {} of the peers; all else is equal; \
         upgrade whoever cannot read what is missing, or raise its limits",
        holes.len(),
        peers.len()
    )]
    ConvergedExcept {
        /// The peers with which this replica is equal except at so many keys at most.
        peers: BTreeMap<PeerId, NonZeroU64>,
        /// The hashes of the keys at which this replica itself has a hole. A [`Notice`](crate::Notice) named each.
        holes: Vec<KeyHash>,
    },
    /// The operating system returns no random bytes. Nothing was done; try again.
    #[error("{0}; nothing was done")]
    NoRandomness(#[from] RandomnessUnavailable),
    /// The engine has stopped. Whether the call was carried out is not known.
    #[error("the engine has stopped; whether the call was carried out is not known; open the replica again")]
    Stopped,
}

impl<V: Replicated, E: AsMut<Engine<V>>> Handle<V, E> {
    pub(super) fn new(jobs: Jobs<V, E>, announced: Published) -> Self {
        Self { jobs, announced }
    }

    /// Runs `call` on the engine's thread, with the engine or with the type that contains it.
    ///
    /// # Errors
    /// [`HandleError::Overloaded`] and [`HandleError::Stopped`].
    pub async fn with<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut E, Now) -> T + Send + 'static,
    ) -> Result<T, HandleError> {
        self.ask(|worker, now| call(&mut worker.driven, now)).await
    }

    /// Queues `call` for the engine's thread and returns at once, without waiting for that thread: for callers that must
    /// not block and are not async.
    ///
    /// Calls are carried out in the order in which they were queued, whether they were posted or awaited. Nobody hears
    /// what becomes of this one unless it says so itself.
    ///
    /// A call that runs may itself post one call, whatever waits: that takes its place in the queue. So work of many steps
    /// lets others have their turn after each, and is never left half done because the queue is full.
    ///
    /// ```
    /// # use anti_entropy::{Keyed, LastWriterWins, MemoryNetwork, MemoryStore, Node};
    /// # use futures::executor::block_on;
    /// # let network = MemoryNetwork::new(1);
    /// let node = Node::<Keyed<u32, String>>::new(MemoryStore::new(), LastWriterWins);
    /// let alice = node.spawn(network.join("alice".into()))?;
    /// alice.post(|engine, now| {
    ///     if let Err(error) = engine.write(Keyed::new(1, "green".to_string()), now) {
    ///         eprintln!("it was not written: {error}");
    ///     }
    /// })?;
    /// assert_eq!(block_on(alice.read(1))?.value().unwrap().value, "green");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`HandleError::Overloaded`] and [`HandleError::Stopped`]; the call was not queued then. A call that was queued is
    /// dropped if the engine stops before its turn.
    pub fn post(&self, call: impl FnOnce(&mut E, Now) + Send + 'static) -> Result<(), HandleError> {
        self.call(|worker, now| call(&mut worker.driven, now))
    }

    async fn with_engine<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Engine<V>, Now) -> T + Send + 'static,
    ) -> Result<T, HandleError> {
        self.with(|driven, now| call(driven.as_mut(), now)).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Worker<V, E>, Now) -> T + Send + 'static,
    ) -> Result<T, HandleError> {
        let (done, result) = oneshot::channel();
        let (call, done) = (Contained::new(call), Contained::new(done));
        self.call(move |worker, now| {
            // The caller may have dropped its future; the call is carried out all the same.
            let _ = done.into_inner().send(call.into_inner()(worker, now));
        })?;
        result.await.map_err(|_| HandleError::Stopped)
    }

    fn call(&self, call: impl FnOnce(&mut Worker<V, E>, Now) + Send + 'static) -> Result<(), HandleError> {
        self.jobs.call(Job::Call(Contained::new(Box::new(call))))
    }

    /// Reads or writes, beside what else waits for the engine, and answers once all of that is committed. If the commit
    /// fails, `again` says what there is to say.
    async fn access<T: Send + 'static>(
        &self,
        access: impl FnOnce(&mut Engine<V>, Now) -> Result<T, Error> + Send + 'static,
        again: impl FnOnce(&Engine<V>, StoreError) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, HandleError> {
        let (done, result) = oneshot::channel();
        let done = Contained::new(done);
        let access: Access<V> = Box::new(move |engine, now| {
            let result = access(engine, now);
            Answer::new(Box::new(move |engine, committed| {
                let result = match committed {
                    Err(error) if result.is_ok() => again(engine, error),
                    _ => result,
                };
                // The caller may have dropped its future; what it asked for is done all the same.
                let _ = done.into_inner().send(result);
            }))
        });
        self.jobs.call(Job::Shared(Shared::Access(Contained::new(access))))?;
        Ok(result.await.map_err(|_| HandleError::Stopped)??)
    }

    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Engine<V>, Now) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, HandleError> {
        self.access(change, |_, error| Err(error.into())).await
    }

    /// Reads the versions at a key.
    ///
    /// # Errors
    /// As for [`Replica::read`](crate::Replica::read), and those of [`with`](Self::with).
    pub async fn read(&self, key: V::Key) -> Result<Read<V>, HandleError> {
        let again = key.clone();
        let read = move |engine: &mut Engine<V>, _| engine.replica().read(&key);
        // What it may have read of writes that have failed since is not there.
        self.access(read, move |engine, _| engine.replica().read(&again)).await
    }

    /// Writes a value in place of everything held at its key. When this returns, the write is durable, and queued for
    /// peers.
    ///
    /// # Errors
    /// As for [`Replica::commit`](crate::Replica::commit), and those of [`with`](Self::with).
    pub async fn write(&self, value: V) -> Result<Written, HandleError> {
        self.change(move |engine, now| engine.write(value, now)).await
    }

    /// Writes a value in place of what an earlier read saw; versions that have arrived since stay as siblings.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub async fn write_seen(&self, value: V, seen: Seen) -> Result<Written, HandleError> {
        self.change(move |engine, now| engine.write_seen(value, &seen, now)).await
    }

    /// Deletes everything held at a key. Returns `None` if nothing was held.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub async fn delete(&self, key: V::Key) -> Result<Option<Written>, HandleError> {
        self.change(move |engine, now| engine.delete(&key, now)).await
    }

    /// Makes all changes of a transaction, or none.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub async fn commit(&self, transaction: Transaction<V>) -> Result<Vec<Written>, HandleError> {
        self.change(move |engine, now| engine.commit(transaction, now)).await
    }

    /// Adopts a snapshot from outside, writing only what differs; see [`Replica::adopt`](crate::Replica::adopt).
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub async fn adopt(&self, values: Vec<V>, missing: Missing) -> Result<Adopted, HandleError> {
        Ok(self.with_engine(move |engine, now| engine.adopt(values, missing, now)).await??)
    }

    /// A stream of the changes from now on. When the subscriber's queue is full, changes are dropped, and
    /// [`Change::Missed`] says how many.
    ///
    /// # Errors
    /// Those of [`with`](Self::with).
    pub async fn subscribe(&self) -> Result<impl Stream<Item = Change<V::Key>> + use<V, E>, HandleError> {
        self.ask(|worker, _| worker.subscribe_changes()).await
    }

    /// A stream of the engine's events from now on. When the subscriber's queue is full, events are dropped, and
    /// [`Event::Missed`] says how many.
    ///
    /// # Errors
    /// Those of [`with`](Self::with).
    pub async fn events(&self) -> Result<impl Stream<Item = Event<V::Key>> + use<V, E>, HandleError> {
        self.ask(|worker, _| worker.subscribe_events()).await
    }

    /// Starts a session with a peer at once, and returns without waiting for its end; see [`Engine::sync_now`].
    ///
    /// # Errors
    /// [`HandleError::UnknownPeer`], and those of [`with`](Self::with).
    pub async fn sync_now(&self, peer: PeerId) -> Result<(), HandleError> {
        let known = self.with_engine({
            let peer = peer.clone();
            move |engine, now| engine.sync_now(&peer, now)
        });
        if known.await? { Ok(()) } else { Err(HandleError::UnknownPeer(peer)) }
    }

    /// Adds a peer, or changes the zone of a known one; see [`Engine::add_peer`].
    ///
    /// # Errors
    /// Those of [`with`](Self::with).
    pub async fn add_peer(&self, peer: PeerId, zone: Option<String>) -> Result<(), HandleError> {
        self.with_engine(move |engine, _| engine.add_peer(peer, zone)).await
    }

    /// Removes a peer; see [`Engine::remove_peer`].
    ///
    /// # Errors
    /// Those of [`with`](Self::with).
    pub async fn remove_peer(&self, peer: PeerId) -> Result<(), HandleError> {
        self.with_engine(move |engine, _| engine.remove_peer(&peer)).await
    }

    /// Makes these the peers, each with its zone; see [`Engine::set_members`].
    ///
    /// # Errors
    /// Those of [`with`](Self::with).
    pub async fn set_members(&self, members: BTreeMap<PeerId, Option<String>>) -> Result<(), HandleError> {
        self.with_engine(move |engine, _| engine.set_members(&members)).await
    }

    /// What the engine's thread published last of what it holds, to be announced to peers. Returns at once, also while
    /// that thread is busy: a failure detector's pings do not wait for a store.
    ///
    /// The thread publishes when nothing waits for it, and after every few dozen calls and frames if something always
    /// does. So a write that has just returned may be missing; [`announcement`](Self::announcement) has it.
    ///
    /// ```
    /// # use anti_entropy::{Keyed, LastWriterWins, MemoryNetwork, MemoryStore, Node};
    /// # use futures::executor::block_on;
    /// # let network = MemoryNetwork::new(1);
    /// let node = Node::<Keyed<u32, String>>::new(MemoryStore::new(), LastWriterWins);
    /// let alice = node.spawn(network.join("alice".into()))?;
    /// let (publish, published) = std::sync::mpsc::channel();
    /// let (release, released) = std::sync::mpsc::channel::<()>();
    /// alice.post(move |_, _| drop((publish.send(()), released.recv())))?;
    /// published.recv()?; // From here on the engine's thread is busy.
    /// let ping = alice.announced()?.state.to_bytes();
    /// # drop((ping, release));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`HandleError::Stopped`] once the engine has stopped: it announces nothing any more.
    pub fn announced(&self) -> Result<Announcement, HandleError> {
        self.announced.get().ok_or(HandleError::Stopped)
    }

    /// The digest of this replica's state at its turn among the calls; see [`Engine::announcement`]. For a failure
    /// detector take [`announced`](Self::announced), which does not wait for the engine's thread.
    ///
    /// # Errors
    /// Those of [`with`](Self::with).
    pub async fn announcement(&self) -> Result<StateDigest, HandleError> {
        self.with_engine(|engine, _| engine.announcement()).await
    }

    /// Handles what a peer announces; see [`Engine::handle_announcement`].
    ///
    /// # Errors
    /// Those of [`with`](Self::with).
    pub async fn handle_announcement(&self, from: PeerId, theirs: StateDigest) -> Result<Announced, HandleError> {
        self.with_engine(move |engine, now| engine.handle_announcement(&from, theirs, now)).await
    }

    /// Starts sessions with these peers, and waits until each of them has certified, in a session that began after this
    /// call, the root that this replica has by then. This waits for ever for a peer that never answers or always
    /// refuses: put a time-out around it.
    ///
    /// # Errors
    /// [`HandleError::ConvergedExcept`] if all of that is so except at [holes](crate::Replica::holes),
    /// [`HandleError::UnknownPeer`], also if a peer is removed meanwhile, and those of [`with`](Self::with).
    pub async fn wait_converged(&self, peers: impl IntoIterator<Item = PeerId>) -> Result<(), HandleError> {
        let (done, converged) = oneshot::channel();
        let peers = peers.into_iter().collect();
        self.call(move |worker, now| worker.wait_converged(peers, done, now))?;
        converged.await.map_err(|_| HandleError::Stopped)?
    }

    /// Lets the replica start over under a new id, since this process was put back to an earlier state of its memory, or
    /// runs twice; see [`Engine::put_back`]. What noticed it calls this: a hook of the hypervisor, or the
    /// `SnapshotDetector` of `anti-entropy-net`.
    ///
    /// # Errors
    /// As for [`Replica::put_back`](crate::Replica::put_back), [`HandleError::NoRandomness`], and those of
    /// [`with`](Self::with).
    pub async fn put_back(&self) -> Result<(), HandleError> {
        let seed = Seed::from_os()?;
        Ok(self.with_engine(move |engine, now| engine.put_back(seed, now)).await??)
    }

    /// What the engine knows and has counted.
    ///
    /// # Errors
    /// Those of [`with`](Self::with).
    pub async fn status(&self) -> Result<Status, HandleError> {
        self.with_engine(Engine::status).await
    }

    /// Stops the engine: no further session is opened, open ones may end within this time, the replica is closed, and
    /// the engine's thread ends. Returns the marker that proves at the next opening that the store was not rolled back;
    /// see [`Continuity::Marker`](crate::Continuity::Marker).
    ///
    /// # Errors
    /// As for [`Replica::close`](crate::Replica::close), and [`HandleError::Stopped`] if the engine has stopped
    /// already, or another call is stopping it.
    pub async fn shutdown(&self, within: Duration) -> Result<Marker, HandleError> {
        let (done, stopped) = oneshot::channel();
        self.call(move |worker, now| worker.stop(within, done, now))?;
        Ok(stopped.await.map_err(|_| HandleError::Stopped)??)
    }
}

impl<V: Replicated, E> Clone for Handle<V, E> {
    fn clone(&self) -> Self {
        Self { jobs: self.jobs.clone(), announced: self.announced.clone() }
    }
}

impl<V: Replicated, E> std::fmt::Debug for Handle<V, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("queued", &self.jobs.queued()).finish_non_exhaustive()
    }
}
