//! Eager push: local writes go to some peers at once; the rounds make up for what does not arrive.

use alloc::vec::Vec;
use core::ops::ControlFlow;

use super::{Engine, Event, PeerId};
use crate::KeyHash;
use crate::clock::Now;
use crate::mutant::{self, Mutant};
use crate::replica::{Push, PushOutcome, Rejection, Replicated, Written};
use crate::session::{Frame, encode_push};

impl<V: Replicated> Engine<V> {
    /// Pushes what was just written to a few peers that are not failing.
    pub(super) fn push(&mut self, written: &[Written], now: Now) {
        if !written.is_empty() {
            self.speed_up(now);
        }
        if !self.config.push || written.len() > self.config.max_pushes {
            return;
        }
        for written in written {
            match self.replica.push_of(written) {
                Ok(Some(push)) => self.push_to_some(&push, now),
                Ok(None) => {}
                Err(error) => self.report_store(&error),
            }
        }
    }

    fn push_to_some(&mut self, push: &Push, now: Now) {
        let nonce = self.random.u64(..);
        let Some(frame) = encode_push(push, nonce, &self.config.session) else { return };
        self.choose_push_targets(now);
        for peer in self.push_targets.clone() {
            let full = self.outbox.len() >= self.config.max_queued_pushes;
            if full && !mutant::active(Mutant::QueuesAreNotBounded) {
                self.stats.pushes_dropped += 1;
                continue;
            }
            self.stats.pushes_sent += 1;
            self.stats.value_bytes_sent += push.value_bytes();
            self.outbox.push_back((peer, frame.clone()));
        }
    }

    /// Keeps pushing to the same peers as long as they are healthy: a push is taken only by those that have the writer's one
    /// before, and peers chosen anew for each write would have gaps.
    fn choose_push_targets(&mut self, now: Now) {
        let peers = &self.peers;
        let healthy = |id: &PeerId| peers.get(id).is_some_and(|peer| peer.not_before <= now.elapsed);
        self.push_targets.retain(healthy);
        let mut others: Vec<&PeerId> =
            peers.keys().filter(|id| healthy(id) && !self.push_targets.contains(id)).collect();
        self.random.shuffle(&mut others);
        let missing = self.config.push_fanout.saturating_sub(self.push_targets.len());
        let others: Vec<PeerId> = others.into_iter().take(missing).cloned().collect();
        self.push_targets.extend(others);
    }

    pub(super) fn handle_push(&mut self, from: &PeerId, frame: Frame<'_>, now: Now) {
        let outcome = match postcard::take_from_bytes::<Push>(frame.payload) {
            Ok((push, [])) => self.replica.receive_push(push, now),
            _ => Ok(PushOutcome::Rejected(Rejection::Malformed("a push does not parse"))),
        };
        match outcome {
            Ok(PushOutcome::Taken) => self.stats.pushes_taken += 1,
            Ok(PushOutcome::Seen) => self.stats.pushes_seen += 1,
            // A part that was named on a guess is missing: a session sends it.
            Ok(PushOutcome::NotReady | PushOutcome::Rejected(Rejection::MissingContent)) => {
                self.stats.pushes_not_ready += 1;
                self.speed_up(now);
            }
            Ok(PushOutcome::Rejected(rejection)) => {
                self.stats.pushes_rejected += 1;
                self.events.push(Event::PushRejected { peer: from.clone(), rejection });
            }
            Err(error) => self.report_store(&error),
        }
    }

    /// Pushes a version that is held, whoever wrote it and whoever has it. Only a mutant does that.
    pub(super) fn push_something_again(&mut self, now: Now) {
        let mut held = None;
        let read = self.replica.for_each(|key, read| {
            let dot = read.siblings().first().map(|version| version.dot);
            held = dot.map(|dot| Written { key: KeyHash::of(key), dot, seen: Vec::new(), deleted: false });
            ControlFlow::Break(())
        });
        let push = read.and_then(|()| held.map_or(Ok(None), |written| self.replica.push_of(&written)));
        if let Ok(Some(push)) = push {
            self.push_to_some(&push, now);
        }
    }

    /// Writes resolved values in place of conflicts where the resolver asks for it.
    pub(super) fn compact(&mut self, now: Now) {
        match self.replica.compact_some(self.config.max_pushes, now) {
            Ok(written) => self.push(&written, now),
            Err(error) => self.report_store(&error),
        }
    }
}
