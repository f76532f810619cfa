use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use anti_entropy::clock::Seed;
use anti_entropy::engine::{Engine, StateDigest};
use anti_entropy::{Handle, HandleError, PeerId, Replicated};
use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::error::AnnounceError;
use super::event::{Member, MembershipEvent};
use super::membership::Membership;
use crate::error::PeerError;
#[cfg(feature = "quic")]
use crate::quic::QuicTransport;
use crate::tcp::TcpTransport;

/// A transport to which [`follow`] adds the members of a cluster as peers.
pub trait Routes: Send + Sync {
    /// Adds a peer, or moves it to another address.
    ///
    /// # Errors
    /// [`PeerError`] if the peer is refused; the peers are as they were.
    fn set_peer(&self, peer: PeerId, address: SocketAddr) -> Result<(), PeerError>;

    /// Removes a peer. Returns `false` if it was unknown.
    fn remove_peer(&self, peer: &PeerId) -> bool;
}

impl Routes for TcpTransport {
    fn set_peer(&self, peer: PeerId, address: SocketAddr) -> Result<(), PeerError> {
        self.set_peer(peer, address)
    }

    fn remove_peer(&self, peer: &PeerId) -> bool {
        self.remove_peer(peer)
    }
}

#[cfg(feature = "quic")]
impl Routes for QuicTransport {
    fn set_peer(&self, peer: PeerId, address: SocketAddr) -> Result<(), PeerError> {
        self.set_peer(peer, address)
    }

    fn remove_peer(&self, peer: &PeerId) -> bool {
        self.remove_peer(peer)
    }
}

/// The replica of one space, to which [`follow`] adds the members of a cluster as peers. The [`Handle`] of a driver is
/// one, whatever its replica holds.
#[async_trait]
pub trait SpaceReplica: Send + Sync {
    /// Adds a peer, or changes the zone of a known one. `announced` is what it announces for this space, if that is
    /// known.
    ///
    /// # Errors
    /// [`HandleError`] if the engine does not take it. It is tried again later.
    async fn set_peer(
        &self,
        peer: PeerId,
        zone: Option<String>,
        announced: Option<StateDigest>,
    ) -> Result<(), HandleError>;

    /// Removes a peer.
    ///
    /// # Errors
    /// [`HandleError`] if the engine does not take it. It is tried again later.
    async fn remove_peer(&self, peer: PeerId) -> Result<(), HandleError>;

    /// The state that this replica announces, at once: it must not wait for an engine that is busy.
    ///
    /// # Errors
    /// [`HandleError::Stopped`] once the engine has stopped; the space is not announced any more. After another error
    /// the state that was announced before stays announced.
    fn announced(&self) -> Result<StateDigest, HandleError>;

    /// Makes these the peers, each with its zone, without waiting for an engine that is busy.
    ///
    /// # Errors
    /// [`HandleError`] if that was not queued. It is tried again later.
    fn post_members(&self, members: BTreeMap<PeerId, Option<String>>) -> Result<(), HandleError>;

    /// Lets the replica start over under a new id, since the process was put back to an earlier state of its memory or runs
    /// twice, without waiting for an engine that is busy.
    ///
    /// # Errors
    /// [`HandleError`] if that was not queued. It is tried again later.
    fn post_put_back(&self) -> Result<(), HandleError>;

    /// Passes on what a peer announces, without waiting for an engine that is busy.
    ///
    /// # Errors
    /// [`HandleError`] if that was not queued. A later announcement makes up for it.
    fn post_announced(&self, peer: PeerId, state: StateDigest) -> Result<(), HandleError>;
}

#[async_trait]
impl<V: Replicated, E: AsMut<Engine<V>> + 'static> SpaceReplica for Handle<V, E> {
    async fn set_peer(
        &self,
        peer: PeerId,
        zone: Option<String>,
        announced: Option<StateDigest>,
    ) -> Result<(), HandleError> {
        // In one call, so that the engine begins nothing with the peer before it knows what that has announced.
        self.with(move |driven, now| {
            let engine = driven.as_mut();
            engine.add_peer(peer.clone(), zone);
            if let Some(state) = announced {
                engine.handle_announcement(&peer, state, now);
            }
        })
        .await
    }

    async fn remove_peer(&self, peer: PeerId) -> Result<(), HandleError> {
        self.remove_peer(peer).await
    }

    fn announced(&self) -> Result<StateDigest, HandleError> {
        Ok(self.announced()?.state)
    }

    fn post_members(&self, members: BTreeMap<PeerId, Option<String>>) -> Result<(), HandleError> {
        self.post(move |driven, _| driven.as_mut().set_members(&members))
    }

    fn post_put_back(&self) -> Result<(), HandleError> {
        let seed = Seed::from_os()?;
        // A replica that cannot take a new id stops, and says so in an event.
        self.post(move |driven, now| drop(driven.as_mut().put_back(seed, now)))
    }

    fn post_announced(&self, peer: PeerId, state: StateDigest) -> Result<(), HandleError> {
        self.post(move |driven, now| {
            driven.as_mut().handle_announcement(&peer, state, now);
        })
    }
}

/// Keeps the peers of a transport and of replicas equal to the members of the cluster, until the membership has left.
///
/// Members become peers of the transport and of all replicas, with what they announce. Members that leave or fail are
/// removed; peers that were never members stay. The states of the replicas are announced to the members.
///
/// Each replica is served by a task of its own, so that a busy engine delays neither the others nor the membership.
/// When it has time, it is given the present state. What fails is tried again after each probe interval, except if the
/// engine has stopped. A member that the transport refuses becomes a peer of no replica.
///
/// When the membership notices that the process was put back, or runs twice, each replica takes a new id at once.
///
/// It takes the events of the membership; use [`members`](Membership::members) to see the members meanwhile. Dropping
/// the future ends it. The README of the crate has an example.
///
/// # Errors
/// [`AnnounceError::TooManySpaces`] if there are more spaces than [`max_spaces`](super::SwimLimits::max_spaces).
/// Nothing was done then.
///
/// # Panics
/// Outside of a tokio runtime.
pub async fn follow(
    membership: Arc<Membership>,
    routes: Arc<dyn Routes>,
    spaces: BTreeMap<u64, Arc<dyn SpaceReplica>>,
) -> Result<(), AnnounceError> {
    if spaces.len() > membership.max_spaces() {
        return Err(AnnounceError::TooManySpaces { max: membership.max_spaces() });
    }
    let mut tasks = JoinSet::new();
    let mut views = BTreeMap::new();
    for (id, space) in spaces {
        let (publish, view) = watch::channel(View::default());
        views.insert(id, publish);
        tasks.spawn(Follower { id, space, membership: Arc::clone(&membership), done: View::default() }.run(view));
    }
    let mut table = Table::new(routes);
    let mut put_backs = 0;
    loop {
        let waited = tokio::select! {
            waited = timeout(membership.probe_interval(), membership.next_event()) => waited,
            times = membership.put_backs_other_than(put_backs) => {
                put_backs = times;
                for view in views.values() {
                    view.send_modify(|view| view.put_backs = times);
                }
                continue;
            }
        };
        if let Ok(None) = waited {
            break;
        }
        // All events that are there are taken at once, so that a member is added together with what it announces.
        let events = waited.ok().flatten().into_iter().chain(std::iter::from_fn(|| membership.try_next_event()));
        for event in events {
            match event {
                MembershipEvent::Up { member } | MembershipEvent::Changed { member } => table.set(member),
                MembershipEvent::Down { peer } => table.remove(&peer, &views),
                MembershipEvent::Announced { peer, space, state } => announced(&views, &peer, space, state),
            }
        }
        table.publish(&views);
    }
    // The last events count too: each task ends once it has served them.
    drop(views);
    while tasks.join_next().await.is_some() {}
    Ok(())
}

/// What one replica should know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct View {
    zones: BTreeMap<PeerId, Option<String>>,
    /// What peers announce, and how often it was reported: a repeated announcement differs by this number.
    announced: BTreeMap<PeerId, (StateDigest, u64)>,
    /// How often the process was put back.
    put_backs: u64,
}

type Views = BTreeMap<u64, watch::Sender<View>>;

fn announced(views: &Views, peer: &PeerId, space: u64, state: StateDigest) {
    if let Some(view) = views.get(&space) {
        view.send_modify(|view| {
            let told = view.announced.get(peer).map_or(0, |(_, told)| told + 1);
            view.announced.insert(peer.clone(), (state, told));
        });
    }
}

/// The members, and which of them the transport has taken.
pub(super) struct Table {
    routes: Arc<dyn Routes>,
    members: BTreeMap<PeerId, Row>,
}

struct Row {
    member: Member,
    /// The address that the transport has accepted.
    taken: Option<SocketAddr>,
    /// The address that the transport has refused last, so that each is logged once.
    refused: Option<SocketAddr>,
}

impl Row {
    fn is_routed(&self) -> bool {
        self.taken == Some(self.member.transport)
    }
}

impl Table {
    pub(super) fn new(routes: Arc<dyn Routes>) -> Self {
        Self { routes, members: BTreeMap::new() }
    }

    pub(super) fn set(&mut self, member: Member) {
        match self.members.get_mut(&member.name) {
            Some(row) => row.member = member,
            None => drop(self.members.insert(member.name.clone(), Row { member, taken: None, refused: None })),
        }
    }

    fn remove(&mut self, peer: &PeerId, views: &Views) {
        self.forget(peer);
        for view in views.values() {
            view.send_if_modified(|view| view.announced.remove(peer).is_some());
        }
    }

    pub(super) fn forget(&mut self, peer: &PeerId) {
        if self.members.remove(peer).is_some_and(|row| row.taken.is_some()) {
            self.routes.remove_peer(peer);
        }
    }

    /// Gives the transport the members that it does not have yet.
    pub(super) fn route(&mut self) {
        for (peer, row) in self.members.iter_mut().filter(|(_, row)| !row.is_routed()) {
            let address = row.member.transport;
            match self.routes.set_peer(peer.clone(), address) {
                Ok(()) => (row.taken, row.refused) = (Some(address), None),
                #[cfg_attr(not(feature = "tracing"), allow(unused_variables, reason = "it is only logged"))]
                Err(error) => {
                    #[cfg(feature = "tracing")]
                    if row.refused != Some(address) {
                        tracing::warn!(%peer, "the transport refuses a member: {error}");
                    }
                    row.refused = Some(address);
                }
            }
        }
    }

    /// The members that the transport has, each with its zone.
    pub(super) fn zones(&self) -> BTreeMap<PeerId, Option<String>> {
        let routed = self.members.values().filter(|row| row.is_routed()).map(|row| &row.member);
        routed.map(|member| (member.name.clone(), member.zone.clone())).collect()
    }

    /// Gives the transport the members that it does not have yet, and then the spaces those that it has.
    fn publish(&mut self, views: &Views) {
        self.route();
        let zones = self.zones();
        for view in views.values() {
            view.send_if_modified(|view| {
                let changed = view.zones != zones;
                view.zones.clone_from(&zones);
                changed
            });
        }
    }
}

/// The task that serves one space.
struct Follower {
    id: u64,
    space: Arc<dyn SpaceReplica>,
    membership: Arc<Membership>,
    /// What the replica knows.
    done: View,
}

impl Follower {
    async fn run(mut self, mut wanted: watch::Receiver<View>) {
        loop {
            let view = wanted.borrow_and_update().clone();
            if let Err(HandleError::Stopped) = self.serve(&view).await {
                self.membership.retract(self.id);
                return;
            }
            if let Ok(Err(_)) = timeout(self.membership.probe_interval(), wanted.changed()).await {
                return;
            }
        }
    }

    /// Brings the replica and its announcement up to date, until something fails.
    async fn serve(&mut self, view: &View) -> Result<(), HandleError> {
        if self.done.put_backs != view.put_backs {
            self.space.post_put_back()?;
            self.done.put_backs = view.put_backs;
        }
        let state = self.space.announced()?;
        // There is room, since there are no more spaces than that; unless the application announces others, too.
        let _ = self.membership.announce(self.id, state);
        let gone = self.done.zones.keys().filter(|peer| !view.zones.contains_key(*peer)).cloned();
        for peer in gone.collect::<Vec<_>>() {
            self.space.remove_peer(peer.clone()).await?;
            self.done.zones.remove(&peer);
            self.done.announced.remove(&peer);
        }
        for (peer, zone) in &view.zones {
            let announced = view.announced.get(peer);
            if self.done.zones.get(peer) == Some(zone) && self.done.announced.get(peer) == announced {
                continue;
            }
            self.space.set_peer(peer.clone(), zone.clone(), announced.map(|(state, _)| *state)).await?;
            self.done.zones.insert(peer.clone(), zone.clone());
            if let Some(&announced) = announced {
                self.done.announced.insert(peer.clone(), announced);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    use super::*;

    /// Takes ports below 100.
    #[derive(Default)]
    struct LowPorts(Mutex<BTreeSet<PeerId>>);

    impl Routes for LowPorts {
        fn set_peer(&self, peer: PeerId, address: SocketAddr) -> Result<(), PeerError> {
            if address.port() >= 100 {
                return Err(PeerError::NotLoopback { peer, address });
            }
            self.0.lock().unwrap().insert(peer);
            Ok(())
        }

        fn remove_peer(&self, peer: &PeerId) -> bool {
            self.0.lock().unwrap().remove(peer)
        }
    }

    fn at(port: u16) -> Member {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Member { name: "a".into(), address, transport: address, zone: None, generation: 1 }
    }

    #[test]
    fn a_member_that_moves_where_the_transport_refuses_it_is_forgotten_when_it_goes() {
        let routes = Arc::new(LowPorts::default());
        let mut table = Table { routes: Arc::clone(&routes) as _, members: BTreeMap::new() };
        let (publish, view) = watch::channel(View::default());
        let views = BTreeMap::from([(1, publish)]);
        for (port, told) in [(1, 1), (100, 0), (1, 1), (100, 0)] {
            table.set(at(port));
            table.publish(&views);
            assert_eq!(view.borrow().zones.len(), told, "{port}");
        }
        table.remove(&"a".into(), &views);
        assert!(routes.0.lock().unwrap().is_empty());
    }

    #[cfg(feature = "tracing")]
    #[test]
    fn an_address_that_the_transport_refuses_is_logged_once() {
        let mut table = Table { routes: Arc::<LowPorts>::default(), members: BTreeMap::new() };
        for (port, logged) in [(100, 1), (100, 0), (101, 1), (1, 0), (101, 1)] {
            let warnings = crate::swim::tests::log::warnings(|| {
                table.set(at(port));
                // As often as it is tried again.
                (0..10).for_each(|_| table.publish(&BTreeMap::new()));
            });
            assert_eq!(warnings.len(), logged, "{port}: {warnings:?}");
        }
    }
}
