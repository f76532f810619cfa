//! What the engine wants from its caller: frames to send, events, and until when to wait.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;

use super::Engine;
use crate::PeerId;
use crate::clock::Now;
use crate::gossip::event::Event;
use crate::gossip::peer::Peer;
use crate::replica::Replicated;

/// What the engine wants from its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineOutput<K> {
    /// Send this frame. One that cannot be sent counts as lost, and the engine makes up for it.
    Send {
        /// The peer.
        to: PeerId,
        /// The frame.
        frame: Vec<u8>,
    },
    /// Something happened.
    Event(Event<K>),
    /// Nothing to do until a frame arrives or [`Now::elapsed`] reaches this time; then call [`Engine::handle_timeout`].
    Wait(Duration),
}

impl<V: Replicated> Engine<V> {
    /// Does what is due by now: a round, repetitions, time-outs. A call before anything is due does nothing.
    ///
    /// O(sessions + peers), and a round resolves conflicts if the resolver asks for that.
    pub fn handle_timeout(&mut self, now: Now) {
        self.events.set_now(now.elapsed);
        self.leaves_if_stopped(now);
        for conversation in &mut self.sessions {
            conversation.handle_timeout(&self.config, now);
        }
        self.handle_overdue_pushes(now);
        self.sessions.retain(|conversation| conversation.kept_until.is_none_or(|until| now.elapsed < until));
        if now.elapsed >= self.next_round && !self.is_shutting_down {
            self.start_round(now);
        }
        self.call_who_waits(now);
        self.open_due_sessions(now);
    }

    /// The next thing to do. Call it after every other call, until it returns [`EngineOutput::Wait`].
    pub fn poll_output(&mut self, now: Now) -> EngineOutput<V::Key> {
        self.leaves_if_stopped(now);
        while let Some(notice) = self.replica.poll_notice() {
            self.events.push(Event::Notice(notice));
        }
        if self.bucket.allows(&self.config, now.elapsed)
            && let Some((to, frame)) = self.next_frame(now)
        {
            self.bucket.take(frame.len());
            self.stats.frames_sent += 1;
            self.stats.bytes_sent += frame.len() as u64;
            return EngineOutput::Send { to, frame };
        }
        match self.events.pop() {
            Some(event) => EngineOutput::Event(event),
            None => EngineOutput::Wait(self.next_deadline(now)),
        }
    }

    /// The next frame, to the peer whose turn it is. Refusals come first: they are short, and one a peer.
    fn next_frame(&mut self, now: Now) -> Option<(PeerId, Vec<u8>)> {
        self.end_sessions(now);
        if let Some(refusal) = self.refusals.pop_front() {
            return Some(refusal);
        }
        let pushes_until = if self.is_shutting_down { Duration::MAX } else { now.elapsed };
        let in_sessions = self.sessions.iter().filter(|open| open.session.has_frames()).map(|open| &open.peer);
        let ready: BTreeSet<&PeerId> = in_sessions.chain(self.pushing.due(pushes_until)).collect();
        let to = self.turns.next(&ready, self.config.session.max_frame_bytes)?;
        let is_push_due = self.pushing.due(pushes_until).any(|peer| *peer == to);
        let frame = self.frame_to(&to, is_push_due)?;
        self.turns.sent(&to, frame.len());
        Some((to, frame))
    }

    /// A push and a frame of a session by turns, if both wait, so that neither keeps the other from leaving.
    fn frame_to(&mut self, to: &PeerId, is_push_due: bool) -> Option<Vec<u8>> {
        let is_push = is_push_due && !(self.pushed_last && self.has_session_frame(to));
        self.pushed_last = is_push;
        if !is_push {
            return self.session_frame_to(to);
        }
        let push = self.pushing.take_frame(to, &self.config)?;
        self.stats.count_sent(push.value_bytes);
        Some(push.frame)
    }

    fn next_deadline(&mut self, now: Now) -> Duration {
        let sessions = self.sessions.iter().map(|conversation| conversation.deadline(&self.config));
        // Without room for another session, the end of one is what to wait for.
        let may_open = !self.is_shutting_down && self.has_room_to_open();
        let scheduled = self.peers.values().filter(|_| may_open).filter_map(Peer::next_session_at);
        let round = if self.is_shutting_down { Duration::MAX } else { self.next_round };
        let overdue = self.pushing.next_overdue_at().into_iter().chain(self.calls_at(now));
        let mut deadline = sessions.chain(scheduled).chain(overdue).fold(round, Duration::min);
        let may_send = self.bucket.allows(&self.config, now.elapsed);
        if !may_send {
            deadline = deadline.min(self.bucket.allows_at(&self.config));
        }
        // What is due and waits for room must not make the caller spin.
        let deadline = deadline.max(now.elapsed.saturating_add(Duration::from_millis(1)));
        // If frames may be sent, the pushes that were due have left, so that the next one lies ahead.
        self.pushing.next_send_at().filter(|_| may_send).map_or(deadline, |send_at| deadline.min(send_at))
    }
}
