use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

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

/// A transport that is told where peers are.
pub trait Routes: Send + Sync {
    /// Adds a peer, or moves it to another address.
    ///
    /// # Errors
    /// [`PeerError`] if the peer is refused; the peers are as they were.
    fn set_peer(&self, peer: PeerId, address: SocketAddr) -> Result<(), PeerError>;

    /// Removes a peer; `false` if it was not known.
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

/// A replica that is told of peers, whatever it holds: its driver's [`Handle`].
#[async_trait]
pub trait SpaceReplica: Send + Sync {
    /// Adds a peer, or gives a known one another zone; together with what it announces, if anything is known of that.
    ///
    /// # Errors
    /// [`HandleError`]; the peer is added the next time.
    async fn set_peer(
        &self,
        peer: PeerId,
        zone: Option<String>,
        announced: Option<StateDigest>,
    ) -> Result<(), HandleError>;

    /// Forgets a peer.
    ///
    /// # Errors
    /// [`HandleError`]; the peer is removed the next time.
    async fn remove_peer(&self, peer: PeerId) -> Result<(), HandleError>;

    /// What this replica has to announce.
    ///
    /// # Errors
    /// [`HandleError`]; what was announced before stays until the next time.
    async fn announcement(&self) -> Result<StateDigest, HandleError>;
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

    async fn announcement(&self) -> Result<StateDigest, HandleError> {
        self.announcement().await
    }
}

/// Tells a transport and the replicas of some spaces who is there and what that announces, and announces their states:
/// until the membership has left. Members that go are removed from all of them; peers that no member ever was stay.
///
/// Each space is served by a task of its own, so that one whose engine is busy holds up neither the others nor the
/// membership; it is told how things are once it has time. What fails is tried again each probe interval, except with
/// engines that have stopped. A member that the transport refuses is told to no space.
///
/// It takes the membership's events; [`members`](Membership::members) tells others. Dropping the future ends it. The
/// documentation of the [module](super) has an example.
///
/// # Errors
/// [`AnnounceError::TooManySpaces`], before anything is done.
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
    let mut table = Table { routes, members: BTreeMap::new() };
    loop {
        let waited = timeout(membership.probe_interval(), membership.next_event()).await;
        if let Ok(None) = waited {
            break;
        }
        // What has happened at once is told at once: a member together with what it announces.
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
    // The last events are told too: each task ends once it has seen that there will be no more.
    drop(views);
    while tasks.join_next().await.is_some() {}
    Ok(())
}

/// What one space is to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct View {
    zones: BTreeMap<PeerId, Option<String>>,
    /// What peers announce, and how often that was told.
    announced: BTreeMap<PeerId, (StateDigest, u64)>,
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

/// The members, and what the transport says of them.
struct Table {
    routes: Arc<dyn Routes>,
    members: BTreeMap<PeerId, Row>,
}

struct Row {
    member: Member,
    /// The address that the transport has taken for it.
    taken: Option<SocketAddr>,
    /// The address that it refused last, which is logged once.
    refused: Option<SocketAddr>,
}

impl Row {
    fn is_routed(&self) -> bool {
        self.taken == Some(self.member.transport)
    }
}

impl Table {
    fn set(&mut self, member: Member) {
        match self.members.get_mut(&member.name) {
            Some(row) => row.member = member,
            None => drop(self.members.insert(member.name.clone(), Row { member, taken: None, refused: None })),
        }
    }

    fn remove(&mut self, peer: &PeerId, views: &Views) {
        if self.members.remove(peer).is_some_and(|row| row.taken.is_some()) {
            self.routes.remove_peer(peer);
        }
        for view in views.values() {
            view.send_if_modified(|view| view.announced.remove(peer).is_some());
        }
    }

    /// Tells the transport what it was not told, and then the spaces.
    fn publish(&mut self, views: &Views) {
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
        let routed = self.members.values().filter(|row| row.is_routed()).map(|row| &row.member);
        let zones: BTreeMap<_, _> = routed.map(|member| (member.name.clone(), member.zone.clone())).collect();
        for view in views.values() {
            view.send_if_modified(|view| {
                let changed = view.zones != zones;
                view.zones.clone_from(&zones);
                changed
            });
        }
    }
}

/// Serves one space.
struct Follower {
    id: u64,
    space: Arc<dyn SpaceReplica>,
    membership: Arc<Membership>,
    /// What the space knows.
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

    /// Does what there is to do, up to the first failure.
    async fn serve(&mut self, view: &View) -> Result<(), HandleError> {
        let state = self.space.announcement().await?;
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
