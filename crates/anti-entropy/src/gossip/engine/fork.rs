//! Copies of a whole engine, as a snapshot of a machine's memory is one.

use alloc::sync::Arc;

use super::Engine;
use super::group::Group;
use crate::replica::{Replicated, Resolver, Store};

impl<V: Replicated> Engine<V> {
    /// A copy of this engine over `store`, with its sessions, queues and random numbers. Only for simulations of machines that
    /// are put back or cloned: two engines in use with one id make two writes with one name.
    #[doc(hidden)]
    #[must_use]
    pub fn fork(&self, store: impl Store + 'static, resolver: impl Resolver<V> + 'static) -> Self {
        Self {
            replica: self.replica.fork(store, resolver),
            config: self.config.clone(),
            zone: self.zone.clone(),
            space: Arc::clone(&self.space),
            peers: self.peers.clone(),
            sessions: self.sessions.clone(),
            waiting: self.waiting.clone(),
            group: Group::default(),
            pushing: self.pushing.clone(),
            random: self.random.clone(),
            bucket: self.bucket.clone(),
            turns: self.turns.clone(),
            pushed_last: self.pushed_last,
            refusals: self.refusals.clone(),
            events: self.events.clone(),
            pace: self.pace,
            next_round: self.next_round,
            stats: self.stats,
            waits_for_second_peer: self.waits_for_second_peer,
            new_ids: self.new_ids,
            last_joined: self.last_joined,
            is_shutting_down: self.is_shutting_down,
            transport: self.transport,
        }
    }
}
