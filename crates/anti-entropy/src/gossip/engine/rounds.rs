//! Rounds: at a pace that follows what is found, some peers are compared with.

use core::time::Duration;

use super::Engine;
use crate::PeerId;
use crate::clock::Now;
use crate::gossip::choice;
use crate::gossip::span::scaled;
use crate::replica::Replicated;

impl<V: Replicated> Engine<V> {
    /// One round: a session with some peers is wanted now, and resolved conflicts are written back where the resolver
    /// asks for it.
    pub(super) fn start_round(&mut self, now: Now) {
        plant!(start_round(self.sessions.iter().any(|open| open.is_opened_here() && open.is_open())));
        self.stats.rounds += 1;
        for id in self.choose_peers(now) {
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.schedule(now.elapsed);
            }
        }
        self.compact(now);
        plant!(push_again(self, now));
        let pace = self.pace;
        self.pace = self.slower(pace);
        self.next_round = now.elapsed.saturating_add(self.jittered(pace));
    }

    /// Peers with which a session is open, and those that are believed to have this replica's state, are passed over.
    fn choose_peers(&mut self, now: Now) -> alloc::vec::Vec<PeerId> {
        let own = self.announcement();
        let (zone, config) = (self.zone.as_deref(), &self.config);
        let is_busy = |peer: &PeerId| self.sessions.iter().any(|open| open.peer == *peer && open.is_open());
        let is_equal =
            |peer: &PeerId| self.peers.get(peer).is_some_and(|peer| peer.is_believed_to_have(own, config, now.elapsed));
        let excluded = |peer: &PeerId| is_busy(peer) || is_equal(peer);
        choice::choose(&self.peers, zone, config, &mut self.random, now.elapsed, excluded)
    }

    /// Writes resolved values in place of conflicts where the resolver asks for it.
    fn compact(&mut self, now: Now) {
        match self.replica.compact_some(self.config.max_pushes, now) {
            Ok(written) => self.push(&written, now),
            Err(error) => self.report_store(&error),
        }
    }

    /// The interval after this one, while nothing changes.
    fn slower(&self, pace: Duration) -> Duration {
        plant!(slower(self.config.min_interval));
        pace.saturating_mul(2).min(self.config.interval)
    }

    /// Something changes: rounds come faster for a while.
    pub(super) fn speed_up(&mut self, now: Now) {
        self.pace = self.config.min_interval;
        let soon = now.elapsed.saturating_add(self.jittered(self.config.min_interval));
        self.next_round = self.next_round.min(soon);
    }

    fn jittered(&mut self, span: Duration) -> Duration {
        let jitter = 10 * u32::from(self.config.jitter_percent);
        scaled(span, self.random.u32(1000 - jitter..=1000 + jitter))
    }
}
