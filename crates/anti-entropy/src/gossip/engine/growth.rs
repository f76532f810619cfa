//! Whose frame it is that adds replicas and pieces to the context.

use super::Engine;
use crate::PeerId;
use crate::clock::Now;
use crate::replica::{Growth, Replicated};

impl<V: Replicated> Engine<V> {
    /// Does what a peer wants, within what it may add to the context.
    pub(super) fn within_growth<T>(&mut self, from: &PeerId, now: Now, act: impl FnOnce(&mut Self) -> T) -> T {
        let left = self.peers.get_mut(from).map(|peer| peer.growth.left(now.elapsed, self.replica.config()));
        // Of a peer that is gone, a push may be waiting still.
        self.replica.allow_growth(Some(left.unwrap_or(Growth { replicas: 0, pieces: 0 })));
        let done = act(self);
        let left = self.replica.allow_growth(None);
        if let (Some(peer), Some(left)) = (self.peers.get_mut(from), left) {
            peer.growth.leave(left);
        }
        done
    }
}
