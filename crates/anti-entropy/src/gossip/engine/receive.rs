//! Pushes that peers send: taken in and relayed, or buffered until the writes before them are there.

use super::Engine;
use crate::PeerId;
use crate::clock::Now;
use crate::gossip::causal_buffer::Arrived;
use crate::gossip::event::Event;
use crate::gossip::pushing::Buffered;
use crate::gossip::tree::PushRoute;
use crate::refusal::Refusal;
use crate::replica::Replicated;
use crate::sync::Frame;
use crate::sync::session::{DECODED_BYTES, LOAD_WORK, MESSAGE_WORK};
use crate::sync::transfer::PushOutcome;
use crate::sync::wire::Push;

impl<V: Replicated> Engine<V> {
    /// Takes in the pushes of a frame, one after the other, and commits them together. One that does not parse ends this,
    /// and so does a store that fails.
    pub(super) fn handle_pushes(&mut self, from: &PeerId, frame: Frame<'_>, now: Now) {
        if frame.session != self.config.session.schema_id {
            self.stats.pushes_rejected += 1;
            self.events.push(Event::Refused { peer: from.clone(), reason: Refusal::SchemaId });
            return;
        }
        let until = now.elapsed.saturating_add(self.config.session.resend_after);
        let begins = self.begin_group();
        let (mut payload, taken) = (frame.payload, self.pushes_taken());
        let mut work = MESSAGE_WORK + payload.len() / DECODED_BYTES;
        loop {
            work += LOAD_WORK;
            let Some((arrived, push, rest)) = Arrived::read(payload, from, until) else {
                self.reject_push(from, Refusal::Malformed("a push does not parse"));
                break;
            };
            self.stats.value_bytes_received += arrived.value_bytes.all;
            if !self.handle_push(arrived, push, now) || rest.is_empty() {
                break;
            }
            payload = rest;
        }
        self.charge(from, work as u64, now);
        self.group.frames_joined += u64::from(self.pushes_taken() > taken);
        self.end_pushes(begins, now);
    }

    /// Tries those pushes once more that have waited long enough for the writes before them.
    pub(super) fn handle_overdue_pushes(&mut self, now: Now) {
        let overdue = self.pushing.take_overdue(now.elapsed);
        if overdue.is_empty() {
            return;
        }
        let begins = self.begin_group();
        for overdue in overdue {
            let push = overdue.push();
            self.handle_push(overdue, push, now);
        }
        self.end_pushes(begins, now);
    }

    /// Commits the group of pushes, unless whoever opened it earlier does.
    fn end_pushes(&mut self, begun: bool, now: Now) {
        if begun {
            // A failure has been reported. What is lost by it, rounds bring.
            let _ = self.commit_group(now);
        }
    }

    /// Takes in a push, and those that waited for it. `false` if the store failed.
    fn handle_push(&mut self, arrived: Arrived, push: Push, now: Now) -> bool {
        if self.replica.is_stopped() {
            return false;
        }
        let (mut next, mut decoded) = (alloc::vec![arrived], Some(push));
        while let Some(arrived) = next.pop() {
            let push = decoded.take().unwrap_or_else(|| arrived.push());
            let received = self.within_growth(&arrived.from, now, |engine| {
                // Nobody but its writer pushes a write directly: whoever does makes it up, or is a copy of the writer.
                if engine.config.push_route == PushRoute::Direct
                    && engine.replica.is_of_another(arrived.dot.replica.first_eight())
                {
                    return None;
                }
                Some(engine.replica.receive_push(push, now))
            });
            let Some(received) = received else {
                self.leave_to_rounds(1, now);
                continue;
            };
            match received {
                Ok(PushOutcome::Taken) => {
                    self.group.pushes_taken += 1;
                    self.pushing.relay(&arrived, &self.peers, &self.config, now.elapsed);
                    next.extend(self.pushing.take_waiting_for(arrived.dot));
                    if self.replica.group_is_full() && !self.continue_group(now) {
                        return false;
                    }
                }
                Ok(PushOutcome::Seen) => {
                    self.stats.pushes_seen += 1;
                    self.relay_seen(&arrived, now);
                }
                Ok(PushOutcome::NotReady) => self.buffer(arrived, now),
                // A part that the writer named by its hash is missing here: a session sends it.
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

    /// Relays a write that a session has brought already, if it was not relayed before: the replicas behind this one in
    /// the tree have not heard of it. Each writer's pushes are relayed in ascending order only, so that they come to
    /// rest even if replicas disagree about the tree.
    fn relay_seen(&mut self, arrived: &Arrived, now: Now) {
        if arrived.dot.replica != self.replica.id() && !self.pushing.has_relayed(arrived.dot) {
            self.pushing.relay(arrived, &self.peers, &self.config, now.elapsed);
        }
    }

    fn buffer(&mut self, arrived: Arrived, now: Now) {
        match self.pushing.buffer(arrived, &self.config, now.elapsed) {
            Buffered::Waits { gave_way } => self.leave_to_rounds(gave_way, now),
            Buffered::Duplicate => self.stats.pushes_seen += 1,
            Buffered::Overdue => self.leave_to_rounds(1, now),
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
