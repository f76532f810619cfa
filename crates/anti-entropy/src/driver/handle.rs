use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::Duration;

use futures::channel::oneshot;
use futures::stream::Stream;

use super::DriverConfig;
use super::worker::{Job, Queued, Worker};
use crate::PeerId;
use crate::clock::Now;
use crate::gossip::{Announced, Engine, Event, StateDigest, Status};
use crate::replica::{Adopted, Change, Error, Marker, Missing, Read, Replicated, Seen, Transaction, Written};

/// An application's way to a replica while its engine runs: reads, writes, subscriptions, and what an operator asks.
///
/// Handles are cheap to clone. Everything asked for is done in order, on the engine's thread; dropping the future of
/// something asked for does not undo it, and what a future has returned is durable. `E` is what [`drive`](super::drive) was
/// given to run: the engine, or something that contains it.
pub struct Handle<V: Replicated, E = Engine<V>> {
    jobs: Sender<Job<V, E>>,
    queued: Arc<Queued>,
    config: DriverConfig,
}

/// Something asked of a [`Handle`] that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandleError {
    /// The replica refused or its store failed.
    #[error(transparent)]
    Replica(#[from] Error),
    /// More is asked for than the engine's thread gets done. Nothing was done; try again later, or more slowly.
    #[error("{limit} calls wait for the engine already; nothing was done; try again later")]
    Overloaded {
        /// [`DriverConfig::max_queued_calls`].
        limit: usize,
    },
    /// The engine has no such peer. Nothing was done; add the peer first.
    #[error("the peer {0} is unknown; nothing was done; add it to the engine first")]
    UnknownPeer(PeerId),
    /// The engine has stopped. If it had begun with what was asked for, a write may have been made.
    #[error("the engine has stopped; whether the call was carried out is not known; open the replica again")]
    Stopped,
}

impl<V: Replicated, E: AsMut<Engine<V>>> Handle<V, E> {
    pub(super) fn new(jobs: Sender<Job<V, E>>, queued: Arc<Queued>, config: DriverConfig) -> Self {
        Self { jobs, queued, config }
    }

    /// Runs `call` with what is driven, on its thread: the engine, or what contains it.
    ///
    /// # Errors
    /// [`HandleError::Overloaded`] and [`HandleError::Stopped`].
    pub async fn with<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut E, Now) -> T + Send + 'static,
    ) -> Result<T, HandleError> {
        self.ask(|worker, now| call(&mut worker.driven, now)).await
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
        self.call(move |worker, now| {
            // Whoever asked may be gone; what it asked for is done all the same.
            let _ = done.send(call(worker, now));
        })?;
        result.await.map_err(|_| HandleError::Stopped)
    }

    fn call(&self, call: impl FnOnce(&mut Worker<V, E>, Now) + Send + 'static) -> Result<(), HandleError> {
        let limit = self.config.max_queued_calls.get();
        if self.queued.calls.fetch_add(1, Ordering::Relaxed) >= limit {
            self.queued.calls.fetch_sub(1, Ordering::Relaxed);
            return Err(HandleError::Overloaded { limit });
        }
        self.jobs.send(Job::Call(Box::new(call))).map_err(|_| {
            self.queued.calls.fetch_sub(1, Ordering::Relaxed);
            HandleError::Stopped
        })
    }

    /// Reads what is held at a key.
    ///
    /// # Errors
    /// As for [`Replica::read`](crate::replica::Replica::read), and those of [`with`](Self::with).
    pub async fn read(&self, key: V::Key) -> Result<Read<V>, HandleError> {
        Ok(self.with_engine(move |engine, _| engine.replica().read(&key)).await??)
    }

    /// Writes a value in place of everything held at its key. It is durable when this returns, and on its way to peers.
    ///
    /// # Errors
    /// As for [`Replica::commit`](crate::replica::Replica::commit), and those of [`with`](Self::with).
    pub async fn write(&self, value: V) -> Result<Written, HandleError> {
        Ok(self.with_engine(move |engine, now| engine.write(value, now)).await??)
    }

    /// Writes a value in place of what an earlier read saw; what arrived since stays as a sibling.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub async fn write_seen(&self, value: V, seen: Seen) -> Result<Written, HandleError> {
        Ok(self.with_engine(move |engine, now| engine.write_seen(value, &seen, now)).await??)
    }

    /// Deletes everything held at a key; `None` if nothing was.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub async fn delete(&self, key: V::Key) -> Result<Option<Written>, HandleError> {
        Ok(self.with_engine(move |engine, now| engine.delete(&key, now)).await??)
    }

    /// Makes several changes at once.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub async fn commit(&self, transaction: Transaction<V>) -> Result<Vec<Written>, HandleError> {
        Ok(self.with_engine(move |engine, now| engine.commit(transaction, now)).await??)
    }

    /// Takes over a snapshot from outside, writing only what differs.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub async fn adopt(&self, values: Vec<V>, missing: Missing) -> Result<Adopted, HandleError> {
        Ok(self.with_engine(move |engine, now| engine.adopt(values, missing, now)).await??)
    }

    /// The changes from now on. A subscriber that is slow gets [`Change::Missed`] in place of what did not fit.
    ///
    /// # Errors
    /// Those of [`with`](Self::with).
    pub async fn subscribe(&self) -> Result<impl Stream<Item = Change<V::Key>> + use<V, E>, HandleError> {
        self.ask(|worker, _| worker.subscribe_changes()).await
    }

    /// The engine's events from now on. A subscriber that is slow gets [`Event::Missed`] in place of what did not fit.
    ///
    /// # Errors
    /// Those of [`with`](Self::with).
    pub async fn events(&self) -> Result<impl Stream<Item = Event<V::Key>> + use<V, E>, HandleError> {
        self.ask(|worker, _| worker.subscribe_events()).await
    }

    /// Compares with a peer at once, whatever the rounds say. Returns when that is under way.
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

    /// Adds a peer, or gives a known one another zone; see [`Engine::add_peer`].
    ///
    /// # Errors
    /// Those of [`with`](Self::with).
    pub async fn add_peer(&self, peer: PeerId, zone: Option<String>) -> Result<(), HandleError> {
        self.with_engine(move |engine, _| engine.add_peer(peer, zone)).await
    }

    /// Forgets a peer; see [`Engine::remove_peer`].
    ///
    /// # Errors
    /// Those of [`with`](Self::with).
    pub async fn remove_peer(&self, peer: PeerId) -> Result<(), HandleError> {
        self.with_engine(move |engine, _| engine.remove_peer(&peer)).await
    }

    /// What this replica has to announce; see [`Engine::announcement`].
    ///
    /// # Errors
    /// Those of [`with`](Self::with).
    pub async fn announcement(&self) -> Result<StateDigest, HandleError> {
        self.with_engine(|engine, _| engine.announcement()).await
    }

    /// Takes what a peer announces; see [`Engine::handle_announcement`].
    ///
    /// # Errors
    /// Those of [`with`](Self::with).
    pub async fn handle_announcement(&self, from: PeerId, theirs: StateDigest) -> Result<Announced, HandleError> {
        self.with_engine(move |engine, now| engine.handle_announcement(&from, theirs, now)).await
    }

    /// Waits until this replica has converged with each of these peers: the root that it has now is the one that it and
    /// every one of them certified since the call. Waits for ever for a peer that never answers, or refuses.
    ///
    /// # Errors
    /// [`HandleError::UnknownPeer`], and those of [`with`](Self::with).
    pub async fn wait_converged(&self, peers: impl IntoIterator<Item = PeerId>) -> Result<(), HandleError> {
        let (done, converged) = oneshot::channel();
        let peers = peers.into_iter().collect();
        let unknown = self.ask(move |worker, now| worker.wait_converged(peers, done, now)).await?;
        if let Some(peer) = unknown {
            return Err(HandleError::UnknownPeer(peer));
        }
        converged.await.map_err(|_| HandleError::Stopped)
    }

    /// What the engine knows and has counted.
    ///
    /// # Errors
    /// Those of [`with`](Self::with).
    pub async fn status(&self) -> Result<Status, HandleError> {
        self.with_engine(Engine::status).await
    }

    /// Stops: opens no further session, lets open ones come to an end within this time, closes the replica, and ends the
    /// engine's thread. Returns what proves at the next opening that the store was not rolled back; see
    /// [`Continuity::Marker`](crate::replica::Continuity::Marker).
    ///
    /// # Errors
    /// As for [`Replica::close`](crate::replica::Replica::close), and [`HandleError::Stopped`] if it has stopped already, or
    /// somebody else has asked it to.
    pub async fn shutdown(&self, within: Duration) -> Result<Marker, HandleError> {
        let (done, stopped) = oneshot::channel();
        self.call(move |worker, now| worker.stop(within, done, now))?;
        Ok(stopped.await.map_err(|_| HandleError::Stopped)??)
    }
}

impl<V: Replicated, E> Clone for Handle<V, E> {
    fn clone(&self) -> Self {
        Self { jobs: self.jobs.clone(), queued: Arc::clone(&self.queued), config: self.config }
    }
}

impl<V: Replicated, E> std::fmt::Debug for Handle<V, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("queued", &self.queued).finish_non_exhaustive()
    }
}
