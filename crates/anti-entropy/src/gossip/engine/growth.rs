//! Whose frame it is that adds replicas and pieces to the context, or says that this replica's id is in use.

use super::Engine;
use crate::PeerId;
use crate::clock::Now;
use crate::replica::{Growth, Replicated, Speaker};

impl<V: Replicated> Engine<V> {
    /// Does what a peer wants, within what it may add to the context, and what new ids are left.
    pub(super) fn within_growth<T>(&mut self, from: &PeerId, now: Now, act: impl FnOnce(&mut Self) -> T) -> T {
        let left = self.peers.get_mut(from).map(|peer| peer.growth.left(now.elapsed, self.replica.config()));
        // Of a peer that is gone, a push may be waiting still.
        self.replica.allow_growth(Some(left.unwrap_or(Growth { replicas: 0, pieces: 0 })));
        let new_ids_left = self.new_ids.left(self.config.max_renamings_per_day, now.elapsed);
        self.replica.listen_to(Some(Speaker { name: from.clone(), new_ids_left }));
        let done = act(self);
        if let Some(speaker) = self.replica.listen_to(None) {
            self.new_ids.use_up(new_ids_left.saturating_sub(speaker.new_ids_left));
        }
        let left = self.replica.allow_growth(None);
        if let (Some(peer), Some(left)) = (self.peers.get_mut(from), left) {
            peer.growth.leave(left);
        }
        done
    }
}
