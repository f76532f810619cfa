//! Many spaces between the same nodes: one digest over all that two nodes share, and which of them differ.

mod config;
mod frame;
mod pair;
#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use sha2::{Digest as _, Sha256};

pub use self::config::SharedSpacesConfig;
use self::frame::Body;
use self::pair::{News, Pair, Step};
use super::announcement::StateDigest;
use crate::summary::Root;
use crate::{ConfigError, KeyHash, PeerId};

/// Tells the engines of many spaces what their peers hold, by one digest for each pair of nodes.
///
/// A space is a data set that some nodes of a cluster replicate, each with an engine of its own. Two nodes may share
/// thousands. The Merkle root over the states of all spaces that two nodes share is the same on both if all are equal,
/// and fits into a failure detector's ping. Where the roots differ, the two compare their trees in a few frames and find
/// the spaces. A sum of the states would be as short, but a peer could make up states for any sum.
///
/// It does no I/O and reads no clock. After each `handle_*`, call [`poll_output`](Self::poll_output) until it returns
/// `None`.
///
/// A peer that lies about its states costs bounded work (see [`SharedSpacesConfig`]), and hides no more than if it had
/// announced the states one by one: what is reported goes to [`Engine::handle_announcement`], and after
/// [`certify_every`](crate::GossipConfig::certify_every) reports a session has to certify it.
///
/// [`Engine::handle_announcement`]: super::Engine::handle_announcement
///
/// ```
/// use anti_entropy::engine::{SharedSpaces, SharedSpacesConfig, SpacesOutput, StateDigest};
/// use anti_entropy::PeerId;
/// use core::time::Duration;
///
/// let (alice, bob) = (PeerId::from("alice"), PeerId::from("bob"));
/// let node = |peer: &PeerId, seed| {
///     let mut node = SharedSpaces::new(SharedSpacesConfig::default(), seed)?;
///     for space in 0..100 {
///         node.share(space, [peer.clone()]);
///         node.announce(space, StateDigest::from_bytes([1; 32]));
///     }
///     Ok::<_, anti_entropy::ConfigError>(node)
/// };
/// let (mut at_alice, mut at_bob, now) = (node(&bob, 1)?, node(&alice, 2)?, Duration::ZERO);
/// assert_eq!(at_alice.digest(&bob), at_bob.digest(&alice));
///
/// let news = StateDigest::from_bytes([2; 32]);
/// at_alice.announce(42, news);
/// let ping = at_alice.digest(&bob).unwrap();
/// at_bob.handle_digest(&alice, ping, now);
/// let mut differing = Vec::new();
/// while let Some(output) = at_bob.poll_output() {
///     match output {
///         SpacesOutput::Send { frame, .. } => {
///             at_alice.handle_frame(&bob, &frame, now); // The frame travels on a channel of its own,
///             while let Some(SpacesOutput::Send { frame, .. }) = at_alice.poll_output() {
///                 at_bob.handle_frame(&alice, &frame, now); // and so do the answers.
///             }
///         }
///         SpacesOutput::Announced { space, state, .. } if state == news => differing.push(space),
///         SpacesOutput::Announced { .. } => {} // One that is equal.
///     }
/// }
/// assert_eq!(differing, [42]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SharedSpaces {
    config: SharedSpacesConfig,
    spaces: BTreeMap<KeyHash, Space>,
    pairs: BTreeMap<PeerId, Pair>,
    outputs: VecDeque<SpacesOutput>,
    next_number: u64,
    refused: u64,
}

/// What a [`SharedSpaces`] wants from its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpacesOutput {
    /// Send this frame, on a channel that has nothing else. One that is lost is made up for after a later digest.
    Send {
        /// The peer.
        to: PeerId,
        /// The frame.
        frame: Vec<u8>,
    },
    /// A peer holds this in a space, be it the same as this node or not: hand it to
    /// [`Engine::handle_announcement`](super::Engine::handle_announcement).
    Announced {
        /// The peer.
        peer: PeerId,
        /// The space.
        space: u64,
        /// What the peer holds.
        state: StateDigest,
    },
}

struct Space {
    number: u64,
    /// What this node holds, once it is known.
    state: Option<StateDigest>,
    peers: BTreeSet<PeerId>,
}

impl SharedSpaces {
    /// Without spaces. `seed` is a fresh random number each time that the process starts: the numbers by which answers
    /// find their questions begin with it.
    ///
    /// # Errors
    /// [`ConfigError`] if a setting is out of its range.
    pub fn new(config: SharedSpacesConfig, seed: u64) -> Result<Self, ConfigError> {
        config.validate()?;
        let (spaces, pairs, outputs) = (BTreeMap::new(), BTreeMap::new(), VecDeque::new());
        Ok(Self { config, spaces, pairs, outputs, next_number: seed, refused: 0 })
    }

    /// Shares a space with these peers and no others: those of its assignment, without this node. O(log n) in the number
    /// of spaces, for each peer.
    pub fn share(&mut self, space: u64, peers: impl IntoIterator<Item = PeerId>) {
        let key = key_of(space);
        let held = self.spaces.entry(key).or_insert(Space { number: space, state: None, peers: BTreeSet::new() });
        let before = core::mem::replace(&mut held.peers, peers.into_iter().collect());
        for gone in before.difference(&held.peers) {
            remove_from(&mut self.pairs, gone, key);
        }
        let Some(state) = held.state else { return };
        for added in held.peers.difference(&before) {
            self.pairs.entry(added.clone()).or_default().insert(key, state);
        }
    }

    /// Sets what this node holds in a space. O(log n) in the number of spaces, for each peer that shares it.
    pub fn announce(&mut self, space: u64, state: StateDigest) {
        let key = key_of(space);
        let held = self.spaces.entry(key).or_insert(Space { number: space, state: None, peers: BTreeSet::new() });
        if held.state.replace(state) == Some(state) {
            return;
        }
        for peer in &held.peers {
            self.pairs.entry(peer.clone()).or_default().insert(key, state);
        }
    }

    /// Forgets a space that this node no longer holds.
    pub fn remove(&mut self, space: u64) {
        let key = key_of(space);
        if let Some(held) = self.spaces.remove(&key) {
            for peer in &held.peers {
                remove_from(&mut self.pairs, peer, key);
            }
        }
    }

    /// The digest over all spaces that are shared with a peer, for a ping to it; `None` if none is. Hashes what has
    /// changed since the last call: O(changes · log n).
    pub fn digest(&mut self, peer: &PeerId) -> Option<Root> {
        self.pairs.get_mut(peer).map(Pair::root)
    }

    /// Handles the digest that a peer has sent with a ping. The caller has to know that it is the peer's, and recent.
    ///
    /// If it is this node's too, each shared space is reported, those left out of which that was reported less than
    /// [`equal_again`](SharedSpacesConfig::equal_again) ago. If not, the peer is asked which spaces differ; and asked again
    /// less and less often while neither digest changes.
    pub fn handle_digest(&mut self, from: &PeerId, theirs: Root, now: Duration) {
        let number = self.next_number;
        let Some(pair) = self.pairs.get_mut(from) else { return };
        if pair.root() == theirs {
            let news = pair.all_equal(&self.config, now);
            self.report(from, news);
            return;
        }
        let (news, ask) = (pair.still_equal(theirs, &self.config, now), pair.begin(theirs, number, &self.config, now));
        self.report(from, news);
        if let Some(ask) = ask {
            self.ask(from, ask);
        }
    }

    /// Handles a frame that this node's channel for it has received. One that does not parse, is too long, was not asked
    /// for, or comes from a node that shares nothing, is counted and dropped.
    pub fn handle_frame(&mut self, from: &PeerId, frame: &[u8], now: Duration) {
        let decoded = if frame.len() <= self.config.max_frame_bytes { frame::decode(frame) } else { None };
        let handled = decoded.is_some_and(|(number, body)| match body {
            Body::Ask(ask) => self.answer(from, number, &ask, now),
            Body::Answer(answer) => self.handle_answer(from, number, &answer, now),
        });
        self.refused += u64::from(!handled);
    }

    /// The next thing to do, if there is any.
    pub fn poll_output(&mut self) -> Option<SpacesOutput> {
        self.outputs.pop_front()
    }

    /// How many frames were dropped: malformed, too many, or not asked for.
    pub fn refused_frames(&self) -> u64 {
        self.refused
    }

    fn answer(&mut self, from: &PeerId, number: u64, ask: &crate::summary::compare::Ask, now: Duration) -> bool {
        let Some(pair) = self.pairs.get_mut(from).filter(|_| !ask.is_empty()) else { return false };
        if !pair.may_answer(&self.config, now) {
            return false;
        }
        let answer = pair.answer(ask, self.config.max_frame_bytes - frame::HEADER_BYTES);
        self.send(from, number, &Body::Answer(answer));
        true
    }

    fn handle_answer(
        &mut self,
        from: &PeerId,
        number: u64,
        answer: &crate::summary::compare::Answer,
        now: Duration,
    ) -> bool {
        let (next, config) = (self.next_number, &self.config);
        let Some(pair) = self.pairs.get_mut(from) else { return false };
        match pair.handle_answer(number, answer, next, config, now) {
            Some(Ok(Step::Ask(ask))) => self.ask(from, ask),
            Some(Ok(Step::Ended(news))) => self.report(from, news),
            Some(Err(_)) | None => return false,
        }
        true
    }

    fn ask(&mut self, peer: &PeerId, ask: crate::summary::compare::Ask) {
        let number = self.next_number;
        self.next_number = number.wrapping_add(1);
        self.send(peer, number, &Body::Ask(ask));
    }

    fn send(&mut self, to: &PeerId, number: u64, body: &Body) {
        self.outputs.push_back(SpacesOutput::Send { to: to.clone(), frame: frame::encode(number, body) });
    }

    fn report(&mut self, peer: &PeerId, news: News) {
        let spaces = &self.spaces;
        let number = |key| spaces.get(&key).map(|space| space.number);
        self.outputs.extend(news.into_iter().filter_map(|(key, state)| {
            Some(SpacesOutput::Announced { peer: peer.clone(), space: number(key)?, state })
        }));
    }
}

impl core::fmt::Debug for SharedSpaces {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SharedSpaces")
            .field("spaces", &self.spaces.len())
            .field("peers", &self.pairs.len())
            .finish_non_exhaustive()
    }
}

/// A peer with which nothing is shared any more is forgotten.
fn remove_from(pairs: &mut BTreeMap<PeerId, Pair>, peer: &PeerId, key: KeyHash) {
    let Some(pair) = pairs.get_mut(peer) else { return };
    pair.remove(key);
    if pair.is_empty() {
        pairs.remove(peer);
    }
}

/// Numbers may be small and close together; their hashes are spread, so that the tree is shallow.
fn key_of(space: u64) -> KeyHash {
    let hash = Sha256::new().chain_update(b"anti-entropy shared space").chain_update(space.to_be_bytes()).finalize();
    let first: &[u8; KeyHash::LEN] = hash.first_chunk().expect("a hash is longer");
    KeyHash::from_bytes(*first)
}
