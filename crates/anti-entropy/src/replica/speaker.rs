//! The peer whose frame a replica is about to handle: what it may do is counted under its name.

use super::growth::Grown;
use super::{Replica, Replicated};
use crate::PeerId;

/// A peer, and what it has used up while it was listened to. A replica that listens to nobody believes every claim, and
/// lets in what there is room for.
#[derive(Clone, Debug)]
pub(crate) struct Speaker {
    pub(super) name: PeerId,
    /// How many replicas it may bring to a replica that has seen nobody's writes.
    pub(super) share: usize,
    /// How many of the replicas that come in now another peer has named.
    pub(super) vouched: usize,
    pub(crate) grown: Grown,
    /// How many more ids this replica may take because peers say that its id is in use.
    pub(crate) new_ids_left: u32,
}

impl Speaker {
    pub(crate) fn new(name: PeerId, share: usize, new_ids_left: u32) -> Self {
        Self { name, share, vouched: 0, grown: Grown::default(), new_ids_left }
    }
}

impl<V: Replicated> Replica<V> {
    /// From now on, what comes in is this peer's; nobody's in particular if it is `None`. Returns whose it was before.
    pub(crate) fn listen_to(&mut self, speaker: Option<Speaker>) -> Option<Speaker> {
        core::mem::replace(&mut self.speaker, speaker)
    }

    pub(super) fn speaker_name(&self) -> Option<&PeerId> {
        self.speaker.as_ref().map(|speaker| &speaker.name)
    }
}
