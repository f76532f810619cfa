//! Eager push: local writes go to some peers at once; the rounds make up for what does not arrive.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::push_queue::QueuedPush;
use super::tree::neighbours;
use super::{Engine, PeerId, PushRoute};
use crate::clock::Now;
use crate::replica::{Replicated, ValueBytes, Written};
use crate::sync::session::{encode_push, encode_push_frame, max_push_bytes};
use crate::sync::wire::Push;

impl<V: Replicated> Engine<V> {
    /// Pushes the first of what was just written to a few peers that are not failing. The first, since a push is taken only
    /// after those before it: the order of a transaction is that of importance.
    pub(super) fn push(&mut self, written: &[Written], now: Now) {
        if !written.is_empty() {
            self.speed_up(now);
        }
        if !self.config.push {
            return;
        }
        for written in written.iter().take(self.config.max_pushes) {
            match self.replica.push_of(written) {
                Ok(Some(push)) => self.push_to_some(&push, now),
                Ok(None) => {}
                Err(error) => self.report_store(&error),
            }
        }
    }

    pub(crate) fn push_to_some(&mut self, push: &Push, now: Now) {
        let Some(bytes) = encode_push(push, &self.config.session) else { return };
        let (bytes, value_bytes) = (Arc::from(bytes), push.value_bytes());
        let targets = self.tree_neighbours().unwrap_or_else(|| self.sticky_targets(now));
        for to in targets {
            self.queue_push(to, &bytes, value_bytes, false, now);
        }
    }

    pub(super) fn queue_push(
        &mut self,
        to: PeerId,
        bytes: &Arc<[u8]>,
        value_bytes: ValueBytes,
        relayed: bool,
        now: Now,
    ) {
        let full = self.pushes.len() >= self.config.max_queued_pushes;
        plant!(let full = queue_is_full(full));
        if full {
            self.stats.pushes_dropped += 1;
            return;
        }
        let due = now.elapsed.saturating_add(self.config.push_delay);
        self.pushes.add(QueuedPush { to, bytes: Arc::clone(bytes), value_bytes, relayed, due });
    }

    /// The next frame of pushes, if one is due: with all that waits for the same peer, as far as it fits.
    pub(super) fn next_push_frame(&mut self, now: Now) -> Option<(PeerId, Vec<u8>)> {
        let until = if self.draining { Duration::MAX } else { now.elapsed };
        let pushes = self.pushes.take_frame(until, max_push_bytes(&self.config.session));
        let to = pushes.first()?.to.clone();
        let mut payload = Vec::new();
        for push in pushes {
            payload.extend_from_slice(&push.bytes);
            self.stats.pushes_sent += 1;
            self.stats.pushes_relayed += u64::from(push.relayed);
            self.stats.count_sent(push.value_bytes);
        }
        let frame = encode_push_frame(&payload, &self.config.session);
        self.stats.push_bytes_sent += frame.len() as u64;
        Some((to, frame))
    }

    /// Keeps pushing to the same peers as long as they are healthy: a push is taken only by those that have the writer's one
    /// before, and peers chosen anew for each write would have gaps.
    fn sticky_targets(&mut self, now: Now) -> Vec<PeerId> {
        let peers = &self.peers;
        let healthy = |id: &PeerId| peers.get(id).is_some_and(|peer| peer.not_before <= now.elapsed);
        self.push_targets.retain(healthy);
        let mut others: Vec<&PeerId> =
            peers.keys().filter(|id| healthy(id) && !self.push_targets.contains(id)).collect();
        self.random.shuffle(&mut others);
        let missing = self.config.push_fanout.saturating_sub(self.push_targets.len());
        let others: Vec<PeerId> = others.into_iter().take(missing).cloned().collect();
        self.push_targets.extend(others);
        self.push_targets.clone()
    }

    /// The neighbours in the tree of those that answer, if writes go along one. They are worked out once for many pushes.
    pub(super) fn tree_neighbours(&mut self) -> Option<Vec<PeerId>> {
        let own = self.name.as_ref().filter(|_| self.config.push_route == PushRoute::Tree)?;
        let answering = self.peers.iter().filter(|(_, peer)| !peer.silent).map(|(id, _)| id);
        let work_out = || neighbours(own, answering, self.config.push_fanout);
        Some(self.tree.get_or_insert_with(work_out).clone())
    }

    /// Writes resolved values in place of conflicts where the resolver asks for it.
    pub(super) fn compact(&mut self, now: Now) {
        match self.replica.compact_some(self.config.max_pushes, now) {
            Ok(written) => self.push(&written, now),
            Err(error) => self.report_store(&error),
        }
    }
}
