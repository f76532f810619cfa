//! Pushes that peers send: taken in and relayed, or kept for a moment until what comes before them is there.

use super::causal_buffer::Arrived;
use super::{Engine, Event, PeerId};
use crate::clock::Now;
use crate::refusal::Refusal;
use crate::replica::Replicated;
use crate::sync::Frame;
use crate::sync::session::max_push_bytes;
use crate::sync::transfer::PushOutcome;

impl<V: Replicated> Engine<V> {
    /// Takes in the pushes of a frame, one after the other; what does not parse ends them, and so does a store that fails.
    pub(super) fn handle_pushes(&mut self, from: &PeerId, frame: Frame<'_>, now: Now) {
        if frame.session != self.config.session.schema_id {
            self.stats.pushes_rejected += 1;
            self.events.push(Event::Refused { peer: from.clone(), reason: Refusal::SchemaId });
            return;
        }
        let until = now.elapsed.saturating_add(self.config.session.resend_after);
        let (mut payload, taken) = (frame.payload, self.stats.pushes_taken);
        loop {
            let Some((arrived, rest)) = Arrived::read(payload, from, until) else {
                self.reject_push(from, Refusal::Malformed("a push does not parse"));
                break;
            };
            self.stats.value_bytes_received += arrived.value_bytes.all;
            if !self.handle_push(arrived, now) || rest.is_empty() {
                break;
            }
            payload = rest;
        }
        self.stats.frames_joined += u64::from(self.stats.pushes_taken > taken);
    }

    /// Tries those once more that what they need has not come for in time.
    pub(super) fn handle_overdue_pushes(&mut self, now: Now) {
        for overdue in self.early.take_overdue(now.elapsed) {
            self.handle_push(overdue, now);
        }
    }

    /// Takes in a push, and those that waited for it. `false` if the store failed.
    fn handle_push(&mut self, arrived: Arrived, now: Now) -> bool {
        let mut next = alloc::vec![arrived];
        while let Some(arrived) = next.pop() {
            match self.replica.receive_push(arrived.push(), now) {
                Ok(PushOutcome::Taken) => {
                    self.stats.pushes_taken += 1;
                    self.last_joined = Some(now.elapsed);
                    self.relay(&arrived, now);
                    next.extend(self.early.take_waiting_for(arrived.dot));
                }
                Ok(PushOutcome::Seen) => {
                    self.stats.pushes_seen += 1;
                    self.relay_seen(&arrived, now);
                }
                Ok(PushOutcome::NotReady) => self.keep_early(arrived, now),
                // A part that was named on a guess is missing: a session sends it.
                Ok(PushOutcome::Rejected(Refusal::MissingContent)) => self.leave_to_rounds(1, now),
                Ok(PushOutcome::Rejected(rejection)) => self.reject_push(&arrived.from, rejection),
                Err(error) => {
                    self.report_store(&error);
                    return false;
                }
            }
        }
        true
    }

    /// Hands on what a session has brought while it waited at its writer for others, or on its way: who is behind this
    /// replica in the tree has not heard of it. That each writer's pushes go on in ascending order only brings them to rest
    /// whatever the replicas take for their tree.
    fn relay_seen(&mut self, arrived: &Arrived, now: Now) {
        let dot = arrived.dot;
        let relayed = self.relayed.get(&dot.replica).copied().unwrap_or_default();
        if dot.counter > relayed && dot.replica != self.replica.id() {
            self.relay(arrived, now);
        }
    }

    /// Hands on a push as it came.
    fn relay(&mut self, arrived: &Arrived, now: Now) {
        let fits = arrived.bytes.len() <= max_push_bytes(&self.config.session);
        let Some(neighbours) = self.tree_neighbours().filter(|_| self.config.push && fits) else { return };
        let relayed = self.relayed.entry(arrived.dot.replica).or_default();
        *relayed = arrived.dot.counter.max(*relayed);
        for to in neighbours.into_iter().filter(|to| *to != arrived.from) {
            self.queue_push(to, &arrived.bytes, arrived.value_bytes, true, now);
        }
    }

    fn keep_early(&mut self, arrived: Arrived, now: Now) {
        if arrived.until <= now.elapsed {
            self.leave_to_rounds(1, now);
        } else if self.early.holds(arrived.dot) {
            self.stats.pushes_seen += 1;
        } else {
            let gone = self.early.keep(arrived, &self.config);
            self.leave_to_rounds(gone, now);
        }
    }

    fn leave_to_rounds(&mut self, pushes: u64, now: Now) {
        if pushes > 0 {
            self.stats.pushes_not_ready += pushes;
            self.speed_up(now);
        }
    }

    fn reject_push(&mut self, from: &PeerId, rejection: Refusal) {
        self.stats.pushes_rejected += 1;
        self.events.push(Event::PushRejected { peer: from.clone(), rejection });
    }
}
