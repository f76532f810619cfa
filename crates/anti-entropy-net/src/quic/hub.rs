//! The open connections, and the rule for which of two is kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anti_entropy::PeerId;
use quinn::{Connection, Endpoint};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::config::QuicConfig;
use super::inbound::Inbound;
use super::live::{CLOSED, Live, Opener, REMOVED, SUPERSEDED};
use crate::handshake::{Incarnation, Status};
use crate::peers::Peers;
use crate::receive_queue::{PeerQueue, ReceiveQueue};
use crate::stats::Stats;
use crate::tls::TlsHandle;

/// What the tasks of a transport share.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) config: Arc<QuicConfig>,
    pub(super) tls: Arc<TlsHandle>,
    pub(super) peers: Peers,
    pub(super) stats: Arc<Stats>,
    pub(super) incarnation: Incarnation,
    /// `None` once the transport is closed.
    state: Mutex<Option<State>>,
    /// Notified of each new connection.
    opened: watch::Sender<()>,
}

#[derive(Debug)]
struct State {
    endpoint: Endpoint,
    queue: ReceiveQueue,
    open: BTreeMap<PeerId, Entry>,
    /// The peers to which tasks are connecting, and how many tasks: while a peer moves to another address, its previous
    /// task may still be there.
    dialling: BTreeMap<PeerId, usize>,
    tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Entry {
    live: Arc<Live>,
    task: AbortHandle,
    /// The task of the connection before this one, while it still reads what has arrived.
    before: Option<AbortHandle>,
}

/// What was open when a transport was closed.
pub(super) struct Closed {
    pub(super) endpoint: Endpoint,
    pub(super) tasks: JoinSet<()>,
}

impl Hub {
    pub(super) fn new(
        config: QuicConfig,
        tls: TlsHandle,
        stats: Arc<Stats>,
        endpoint: Endpoint,
        queue: ReceiveQueue,
        incarnation: Incarnation,
    ) -> Self {
        let peers = Peers::new(config.name.clone(), config.limits.clone(), config.seed, Arc::clone(&stats));
        let (open, dialling, tasks) = (BTreeMap::new(), BTreeMap::new(), JoinSet::new());
        let all = State { endpoint, queue, open, dialling, tasks };
        let (config, tls) = (Arc::new(config), Arc::new(tls));
        Self { config, tls, peers, stats, incarnation, state: Mutex::new(Some(all)), opened: watch::Sender::new(()) }
    }

    pub(super) fn endpoint(&self) -> Option<Endpoint> {
        self.lock().as_ref().map(|state| state.endpoint.clone())
    }

    /// Runs a task until the transport is closed.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(state) = self.lock().as_mut() {
            spawn(&mut state.tasks, work);
        }
    }

    /// Takes a new connection of a peer, whose certificate has proven its name. An error says why it is refused.
    ///
    /// If both nodes connect at the same time, that is decided before either connection is established: the node with
    /// the lesser name refuses the other's hello while it is connecting itself. If a hello arrives although there is a
    /// connection, then the peer has lost that connection, unless the hello was on its way when the peer accepted this
    /// node's.
    pub(super) fn register(
        self: &Arc<Self>,
        peer: PeerId,
        connection: Connection,
        incarnation: Incarnation,
        opener: Opener,
    ) -> Result<Arc<Live>, Status> {
        let mut guard = self.lock();
        let state = guard.as_mut().ok_or(Status::TooManyConnections)?;
        if opener == Opener::Peer {
            self.check(state, &peer, incarnation)?;
        }
        let live = Arc::new(Live::new(peer.clone(), connection, incarnation, opener));
        let task = spawn(&mut state.tasks, self.serve(Arc::clone(&live), state.queue.of(&peer)));
        let older = state.open.insert(peer, Entry { live: Arc::clone(&live), task, before: None });
        if let Some(older) = older {
            let before = self.supersede(older, incarnation);
            if let Some(entry) = state.open.get_mut(&live.peer) {
                entry.before = before;
            }
        }
        drop(guard);
        self.opened.send_replace(());
        Ok(live)
    }

    /// Serves a connection until it ends, and forgets it then, also if the task is aborted.
    fn serve(self: &Arc<Self>, live: Arc<Live>, queue: PeerQueue) -> impl Future<Output = ()> + use<> {
        let forget = Forget { hub: Arc::clone(self), live: Arc::clone(&live) };
        let (config, tls, stats) = (Arc::clone(&self.config), Arc::clone(&self.tls), Arc::clone(&self.stats));
        async move {
            let _forget = forget;
            Inbound { config, tls, stats, live, queue }.run().await;
        }
    }

    fn check(&self, state: &State, peer: &PeerId, incarnation: Incarnation) -> Result<(), Status> {
        // Asked under the lock: if the peer is being removed, either this sees it, or `disconnect` sees this.
        if !self.config.accept_unknown_peers && !self.peers.knows(peer) {
            return Err(Status::UnknownSender);
        }
        let first = self.config.name < *peer;
        if first && state.dialling.contains_key(peer) {
            return Err(Status::Crossed);
        }
        match state.open.get(peer) {
            Some(Entry { live, .. })
                if first && live.opener == Opener::ThisNode && live.incarnation == incarnation && live.is_usable() =>
            {
                Err(Status::Crossed)
            }
            Some(_) => Ok(()),
            None => {
                let inbound = state.open.values().filter(|entry| entry.live.opener == Opener::Peer).count();
                let full = inbound >= self.config.limits.max_connections;
                if full { Err(Status::TooManyConnections) } else { Ok(()) }
            }
        }
    }

    /// Ends a connection that a newer one replaces. If frames of the same process may still arrive over it, it is given
    /// up in good order.
    fn supersede(&self, older: Entry, incarnation: Incarnation) -> Option<AbortHandle> {
        // There are never more than two connections of a peer.
        if let Some(oldest) = older.before {
            oldest.abort();
        }
        if older.live.is_usable() {
            self.stats.count(|stats| stats.superseded += 1);
        }
        if older.live.incarnation == incarnation {
            older.live.retire();
            return Some(older.task);
        }
        older.live.connection.close(SUPERSEDED, b"superseded");
        older.task.abort();
        None
    }

    /// Forgets a connection that has ended, unless a newer one has its place.
    fn forget(&self, live: &Arc<Live>) {
        if let Some(state) = self.lock().as_mut()
            && state.open.get(&live.peer).is_some_and(|entry| Arc::ptr_eq(&entry.live, live))
        {
            state.open.remove(&live.peer);
        }
    }

    /// The connection over which to send to a peer, if there is one.
    pub(super) fn usable(&self, peer: &PeerId) -> Option<Arc<Live>> {
        let guard = self.lock();
        let live = &guard.as_ref()?.open.get(peer)?.live;
        live.is_usable().then(|| Arc::clone(live))
    }

    /// Waits until there is a connection over which to send to a peer.
    pub(super) async fn wait_for(&self, peer: &PeerId) -> Arc<Live> {
        let mut opened = self.opened.subscribe();
        loop {
            if let Some(live) = self.usable(peer) {
                return live;
            }
            // It cannot fail, since `self` has the sender.
            let _ = opened.changed().await;
        }
    }

    /// Notes that a task is connecting to a peer, until the value is dropped.
    pub(super) fn dialling<'a>(&'a self, peer: &'a PeerId) -> Dialling<'a> {
        if let Some(state) = self.lock().as_mut() {
            *state.dialling.entry(peer.clone()).or_default() += 1;
        }
        Dialling { hub: self, peer }
    }

    /// Ends the connection of a peer.
    pub(super) fn disconnect(&self, peer: &PeerId) {
        if let Some(Entry { live, task, before }) = self.lock().as_mut().and_then(|state| state.open.remove(peer)) {
            live.connection.close(REMOVED, b"removed");
            task.abort();
            if let Some(before) = before {
                before.abort();
            }
        }
    }

    /// How many connections are open.
    pub(super) fn connections(&self) -> usize {
        self.lock().as_ref().map_or(0, |state| {
            state.open.values().filter(|entry| entry.live.connection.close_reason().is_none()).count()
        })
    }

    pub(super) fn close(&self) -> Option<Closed> {
        let State { endpoint, mut tasks, .. } = self.lock().take()?;
        tasks.abort_all();
        endpoint.close(CLOSED, b"closed");
        Some(Closed { endpoint, tasks })
    }

    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn spawn(tasks: &mut JoinSet<()>, work: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
    while tasks.try_join_next().is_some() {}
    tasks.spawn(work)
}

struct Forget {
    hub: Arc<Hub>,
    live: Arc<Live>,
}

impl Drop for Forget {
    fn drop(&mut self) {
        self.hub.forget(&self.live);
    }
}

pub(super) struct Dialling<'a> {
    hub: &'a Hub,
    peer: &'a PeerId,
}

impl Drop for Dialling<'_> {
    fn drop(&mut self) {
        if let Some(state) = self.hub.lock().as_mut()
            && let Some(count) = state.dialling.get_mut(self.peer)
        {
            *count -= 1;
            if *count == 0 {
                state.dialling.remove(self.peer);
            }
        }
    }
}

#[cfg(all(test, feature = "test-ca"))]
impl Hub {
    pub(super) fn is_dialling(&self, peer: &PeerId) -> bool {
        self.lock().as_ref().is_some_and(|state| state.dialling.contains_key(peer))
    }
}
