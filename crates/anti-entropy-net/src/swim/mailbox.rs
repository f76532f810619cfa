use std::collections::{BTreeMap, VecDeque};
use std::sync::MutexGuard;

use anti_entropy::PeerId;
use anti_entropy::engine::StateDigest;

use super::event::{Member, MembershipEvent};
use super::link::Link;
use crate::monitor::Monitor;

/// The events that the application has not taken yet. It keeps the present state and the state that the application
/// knows, not each change between the two, so it is bounded by the members and their spaces however slow the
/// application is.
#[derive(Debug)]
pub(super) struct Mailbox {
    state: Monitor<State>,
    max_spaces: usize,
    link: Link,
}

#[derive(Debug, Default)]
struct State {
    /// The members that are up.
    members: BTreeMap<PeerId, Member>,
    /// The members that were reported to the application, as they were then.
    reported: BTreeMap<PeerId, Member>,
    /// What members have announced and is not reported yet, the oldest first.
    announced: BTreeMap<PeerId, VecDeque<(u64, StateDigest)>>,
    /// The names of which there is something to report, the oldest first.
    news: VecDeque<PeerId>,
    closed: bool,
}

impl Mailbox {
    pub(super) fn new(max_spaces: usize) -> Self {
        Self { state: Monitor::default(), max_spaces, link: Link::of([]) }
    }

    /// The same mailbox of a node on this link.
    pub(super) fn on(self, link: Link) -> Self {
        Self { link, ..self }
    }

    pub(super) fn up(&self, member: Member) {
        let member = self.link.scoped_member(member);
        let mut state = self.state.lock();
        let name = member.name.clone();
        state.members.insert(name.clone(), member);
        self.news(state, name);
    }

    pub(super) fn down(&self, peer: &PeerId) {
        let mut state = self.state.lock();
        state.announced.remove(peer);
        if state.members.remove(peer).is_some() {
            self.news(state, peer.clone());
        }
    }

    /// Reports an announcement, if the member is up. If there are too many spaces, the oldest announcement is dropped.
    pub(super) fn announced(&self, peer: &PeerId, space: u64, digest: StateDigest) {
        let mut state = self.state.lock();
        if state.members.contains_key(peer) {
            let announced = state.announced.entry(peer.clone()).or_default();
            match announced.iter_mut().find(|(before, _)| *before == space) {
                Some((_, state)) => *state = digest,
                None => announced.push_back((space, digest)),
            }
            if announced.len() > self.max_spaces {
                announced.pop_front();
            }
            self.news(state, peer.clone());
        }
    }

    /// Ends the events, after those that wait are taken.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.state.wake();
    }

    pub(super) fn members(&self) -> Vec<Member> {
        self.state.lock().members.values().cloned().collect()
    }

    /// Waits for the next event. Dropping this before it is ready loses none.
    pub(super) async fn next(&self) -> Option<MembershipEvent> {
        self.state.wait(|state| state.take().map(Some).or_else(|| state.closed.then_some(None))).await
    }

    /// The next event, if there is one.
    pub(super) fn try_next(&self) -> Option<MembershipEvent> {
        self.state.lock().take()
    }

    fn news(&self, mut state: MutexGuard<'_, State>, peer: PeerId) {
        if !state.news.contains(&peer) {
            state.news.push_back(peer);
        }
        drop(state);
        self.state.wake();
    }
}

impl State {
    fn take(&mut self) -> Option<MembershipEvent> {
        while let Some(peer) = self.news.front() {
            match (self.reported.get(peer), self.members.get(peer)) {
                (None, Some(member)) => {
                    let member = member.clone();
                    self.reported.insert(peer.clone(), member.clone());
                    return Some(MembershipEvent::Up { member });
                }
                (Some(_), None) => {
                    let peer = peer.clone();
                    self.reported.remove(&peer);
                    return Some(MembershipEvent::Down { peer });
                }
                (Some(reported), Some(member)) if reported != member => {
                    let member = member.clone();
                    self.reported.insert(peer.clone(), member.clone());
                    return Some(MembershipEvent::Changed { member });
                }
                _ => {}
            }
            let announced = self.announced.get_mut(peer).and_then(VecDeque::pop_front);
            if let Some((space, state)) = announced {
                return Some(MembershipEvent::Announced { peer: peer.clone(), space, state });
            }
            self.announced.remove(&peer.clone());
            self.news.pop_front();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, generation: u32) -> Member {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        Member { name: name.into(), address, transport: address, zone: None, generation }
    }

    #[tokio::test]
    async fn a_slow_consumer_is_told_how_it_is_and_not_how_it_came_about() {
        let mailbox = Mailbox::new(64);
        mailbox.announced(&"a".into(), 1, StateDigest::from_bytes([9; 32]));
        for round in 0..100_u8 {
            mailbox.up(member("a", round.into()));
            mailbox.announced(&"a".into(), 1, StateDigest::from_bytes([round; 32]));
            mailbox.up(member("b", 1));
            mailbox.announced(&"b".into(), 1, StateDigest::from_bytes([7; 32]));
            mailbox.down(&"b".into());
        }
        assert_eq!(mailbox.next().await, Some(MembershipEvent::Up { member: member("a", 99) }));
        assert_eq!(
            mailbox.next().await,
            Some(MembershipEvent::Announced { peer: "a".into(), space: 1, state: StateDigest::from_bytes([99; 32]) })
        );
        mailbox.up(member("a", 100));
        assert_eq!(mailbox.next().await, Some(MembershipEvent::Changed { member: member("a", 100) }));
        mailbox.down(&"a".into());
        mailbox.close();
        assert_eq!(mailbox.next().await, Some(MembershipEvent::Down { peer: "a".into() }));
        assert_eq!((mailbox.next().await, mailbox.next().await), (None, None));
    }

    #[test]
    fn of_spaces_that_come_and_go_while_nobody_listens_the_newest_are_told() {
        let mailbox = Mailbox::new(3);
        mailbox.up(member("a", 1));
        for space in 0..100 {
            mailbox.announced(&"a".into(), space, StateDigest::from_bytes([7; 32]));
        }
        let events: Vec<_> = std::iter::from_fn(|| mailbox.try_next()).skip(1).collect();
        let newest = [97, 98, 99].map(|space| MembershipEvent::Announced {
            peer: "a".into(),
            space,
            state: StateDigest::from_bytes([7; 32]),
        });
        assert_eq!(events, newest);
    }
}
