//! Whose frame it is that adds replicas and pieces to the context, or says that this replica's id is in use.

use core::time::Duration;

use super::Engine;
use crate::PeerId;
use crate::clock::Now;
use crate::replica::{Brings, Growth, Replicated, Speaker};

/// For how long a replica that has seen nobody's writes waits for a second peer, if the first one names more replicas than
/// its share. If one of the others is there, a few rounds find it within this time.
const PATIENCE: Duration = Duration::from_secs(600);

impl<V: Replicated> Engine<V> {
    /// Does what a peer wants, within what it may add to the context, and what new ids are left.
    pub(super) fn within_growth<T>(&mut self, from: &PeerId, now: Now, act: impl FnOnce(&mut Self) -> T) -> T {
        let share = self.replica.config().share_of_peer(self.peers.len());
        let left = self.peers.get_mut(from).map(|peer| peer.growth.left(now.elapsed, share, self.replica.config()));
        let is_new = self.replica.has_seen_nobody();
        let brings = Brings::within(if is_new { self.share_of_first_peer(share, now) } else { share });
        // Of a peer that is gone, a push may be waiting still.
        self.replica.allow_growth(Some(left.unwrap_or(Growth { replicas: 0, pieces: 0 })));
        let new_ids_left = self.new_ids.left(self.config.max_renamings_per_day, now.elapsed);
        self.replica.listen_to(Some(Speaker { name: from.clone(), new_ids_left, brings }));
        let done = act(self);
        let (left, speaker) = (self.replica.allow_growth(None), self.replica.listen_to(None));
        let Some(speaker) = speaker else { return done };
        self.new_ids.use_up(new_ids_left.saturating_sub(speaker.new_ids_left));
        let grown = speaker.brings.grown();
        match (self.peers.get_mut(from), left) {
            (Some(peer), Some(left)) => peer.growth.settle(grown, left, self.replica.config()),
            _ => self.replica.forget_peer(from),
        }
        if is_new && grown.refused.replicas > 0 {
            self.waits_for_second_peer.get_or_insert(now.elapsed);
        }
        done
    }

    /// How many replicas a peer may bring to a replica that has seen nobody's writes: its share, or, if no other peer has
    /// come, nearly all.
    fn share_of_first_peer(&self, share: usize, now: Now) -> usize {
        let has_waited = self.waits_for_second_peer.is_some_and(|since| now.elapsed.saturating_sub(since) >= PATIENCE);
        if has_waited { self.replica.config().share_of_only_peer(self.peers.len()).max(share) } else { share }
    }
}
