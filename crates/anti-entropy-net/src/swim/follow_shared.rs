use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anti_entropy::engine::{SharedSpaces, SharedSpacesConfig, SpacesOutput, StateDigest};
use anti_entropy::summary::Root;
use anti_entropy::{ConfigError, HandleError, PeerId, Transport};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::event::MembershipEvent;
use super::follow::{Routes, SpaceReplica, Table};
use super::membership::Membership;

/// A space of which this node has a replica, and where else it is placed.
#[derive(Clone)]
pub struct PlacedSpace {
    /// The replica. The [`Handle`](anti_entropy::Handle) of a driver is one.
    pub replica: Arc<dyn SpaceReplica>,
    /// The nodes that the space is assigned to; this node may be among them or not.
    pub nodes: BTreeSet<PeerId>,
}

/// Keeps the peers of a transport equal to the members of the cluster, and those of many replicas to the members that
/// their spaces are placed on, until the membership has left.
///
/// Each space has its own assignment, and all may change while this runs: send the present spaces, by the numbers that
/// they have on all nodes, through the `watch`. The space of a replica that has stopped is no longer announced. One that was
/// opened again is told of its peers once it is sent in place of the other.
///
/// In place of an announcement for each space, a datagram carries one digest over all spaces that its sender shares with
/// its receiver ([`SharedSpaces`]), so that a thousand spaces send as many bytes as one. Where two digests differ, the
/// nodes find the spaces over `channel`, a transport with nothing else on it: a
/// [`Channel`](anti_entropy::transport::Channel) of the number that all nodes have agreed on.
///
/// When the membership notices that the process was put back, or runs twice, each replica takes a new id at once.
///
/// It waits for no engine: what a busy one has to know is queued for it. It takes the events of the membership; use
/// [`members`](Membership::members) to see the members meanwhile. Dropping the future ends it.
///
/// # Errors
/// [`ConfigError`] if a setting is out of its range. Nothing was done then.
///
/// # Panics
/// Outside of a tokio runtime.
pub async fn follow_shared(
    membership: Arc<Membership>,
    routes: Arc<dyn Routes>,
    channel: impl Transport,
    mut spaces: watch::Receiver<BTreeMap<u64, PlacedSpace>>,
    config: SharedSpacesConfig,
) -> Result<(), ConfigError> {
    let longest = channel.max_frame_bytes();
    let config = config.with(|config| config.max_frame_bytes = config.max_frame_bytes.min(longest));
    let mut follower = Follower {
        shared: SharedSpaces::new(config, fastrand::u64(..))?,
        own_name: channel.local_name(),
        table: Table::new(routes),
        placed: BTreeMap::new(),
        all_told: None,
        told: BTreeMap::new(),
        put_backs: 0,
        put_backs_told: BTreeMap::new(),
        began: Instant::now(),
    };
    follower.place(spaces.borrow_and_update().clone());
    let mut tick = Instant::now();
    loop {
        tokio::select! {
            event = membership.next_event() => {
                let Some(event) = event else { break };
                // All that are there are taken at once, so that a member is added together with what it announces.
                let events = std::iter::once(event).chain(std::iter::from_fn(|| membership.try_next_event()));
                follower.handle_events(events.collect());
            }
            Some((from, frame)) = channel.receive() => follower.handle_frame(&from, &frame),
            Ok(()) = spaces.changed() => follower.place(spaces.borrow_and_update().clone()),
            times = membership.put_backs_other_than(follower.put_backs) => {
                follower.put_backs = times;
                follower.tell_put_backs();
            }
            () = sleep_until(tick) => {
                tick = Instant::now() + membership.probe_interval();
                follower.tell_put_backs();
                membership.announce_shared(follower.digests());
                follower.tell_members();
            }
        }
        while let Some(output) = follower.shared.poll_output() {
            match output {
                // A failed send is a lost frame.
                SpacesOutput::Send { to, frame } => drop(channel.send(&to, frame).await),
                SpacesOutput::Announced { peer, space, state } => follower.announced(peer, space, state),
            }
        }
    }
    membership.announce_shared(BTreeMap::new());
    Ok(())
}

/// Members, each with its zone.
type Zones = BTreeMap<PeerId, Option<String>>;

struct Follower {
    shared: SharedSpaces,
    own_name: Option<PeerId>,
    table: Table,
    placed: BTreeMap<u64, PlacedSpace>,
    /// The members that the replicas were told of, unless one could not be told.
    all_told: Option<Zones>,
    /// The peers that each replica was told.
    told: BTreeMap<u64, Zones>,
    /// How often the process was put back, and how often of that each replica was told.
    put_backs: u64,
    put_backs_told: BTreeMap<u64, u64>,
    began: Instant,
}

fn is_same(one: &Arc<dyn SpaceReplica>, other: &Arc<dyn SpaceReplica>) -> bool {
    std::ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other))
}

impl Follower {
    fn place(&mut self, spaces: BTreeMap<u64, PlacedSpace>) {
        for gone in self.placed.keys().filter(|space| !spaces.contains_key(space)) {
            self.shared.remove(*gone);
            self.told.remove(gone);
            self.put_backs_told.remove(gone);
        }
        for (space, placed) in &spaces {
            let before = self.placed.get(space);
            // One that was opened again knows nobody.
            if before.is_some_and(|before| !is_same(&before.replica, &placed.replica)) {
                self.told.remove(space);
            }
        }
        self.placed = spaces;
        for (space, placed) in &self.placed {
            let others = placed.nodes.iter().filter(|node| Some(*node) != self.own_name.as_ref());
            self.shared.share(*space, others.cloned());
        }
        self.all_told = None;
        self.tell_members();
    }

    fn handle_events(&mut self, events: Vec<MembershipEvent>) {
        self.refresh();
        let mut digests = Vec::new();
        for event in events {
            match event {
                MembershipEvent::Up { member } | MembershipEvent::Changed { member } => self.table.set(member),
                MembershipEvent::Down { peer } => self.table.forget(&peer),
                MembershipEvent::Announced { peer, space: Membership::ALL_SHARED, state } => {
                    digests.push((peer, Root::from_bytes(state.to_bytes())));
                }
                MembershipEvent::Announced { .. } => {}
            }
        }
        // Members become peers before it is passed on what they announce.
        self.tell_members();
        for (peer, digest) in digests {
            let now = self.now();
            self.shared.handle_digest(&peer, digest, now);
        }
    }

    fn handle_frame(&mut self, from: &PeerId, frame: &[u8]) {
        let now = self.now();
        self.shared.handle_frame(from, frame, now);
    }

    /// Reads what the engines announce; none of them is waited for.
    fn refresh(&mut self) {
        for (space, placed) in &self.placed {
            match placed.replica.announced() {
                Ok(state) => self.shared.announce(*space, state),
                Err(HandleError::Stopped) => self.shared.remove(*space),
                // What was announced before stays.
                Err(_) => {}
            }
        }
    }

    /// What to announce to each member that shares a space with this node.
    fn digests(&mut self) -> BTreeMap<PeerId, Root> {
        self.refresh();
        let members = self.table.zones().into_keys();
        members.filter_map(|peer| self.shared.digest(&peer).map(|digest| (peer, digest))).collect()
    }

    /// Gives each replica those members as peers that its space is placed on.
    fn tell_members(&mut self) {
        self.table.route();
        let members = self.table.zones();
        if self.all_told.as_ref() == Some(&members) {
            return;
        }
        let mut all_told = true;
        for (space, placed) in &self.placed {
            let wanted: Zones = placed
                .nodes
                .iter()
                .filter(|node| Some(*node) != self.own_name.as_ref())
                .filter_map(|node| Some((node.clone(), members.get(node)?.clone())))
                .collect();
            // One that cannot be told now is told the next time.
            if self.told.get(space) == Some(&wanted) {
                continue;
            }
            match placed.replica.post_members(wanted.clone()) {
                Ok(()) => drop(self.told.insert(*space, wanted)),
                Err(HandleError::Stopped) => {}
                Err(_) => all_told = false,
            }
        }
        self.all_told = all_told.then_some(members);
    }

    /// Lets each replica take a new id that has not since the process was put back last. One that is placed later is opened
    /// later, or takes one id too many.
    fn tell_put_backs(&mut self) {
        for (space, placed) in &self.placed {
            let told = self.put_backs_told.entry(*space).or_default();
            // One that cannot be told now is told at the next tick.
            if *told != self.put_backs && placed.replica.post_put_back().is_ok() {
                *told = self.put_backs;
            }
        }
    }

    fn announced(&self, peer: PeerId, space: u64, state: StateDigest) {
        if let Some(placed) = self.placed.get(&space) {
            // A later announcement makes up for it.
            let _ = placed.replica.post_announced(peer, state);
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }
}

impl std::fmt::Debug for PlacedSpace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlacedSpace").field("nodes", &self.nodes).finish_non_exhaustive()
    }
}
