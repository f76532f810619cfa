//! The engine's sessions: opening them when they are due, answering those of peers, and what their ends mean.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::time::Duration;

use super::Engine;
use super::conversation::{Conversation, Ended, OpenedBy};
use crate::PeerId;
use crate::clock::Now;
use crate::gossip::event::Event;
use crate::gossip::lease::Lease;
use crate::gossip::peer::EndedSession;
use crate::refusal::Refusal;
use crate::replica::Replicated;
use crate::sync::session::encode_busy;
use crate::sync::wire::encode_version_refusal;
use crate::sync::{Frame, FrameKind, Outcome, PartialReason, Session, SessionConfig};

/// Frames of peers.
impl<V: Replicated> Engine<V> {
    /// Handles a frame that the transport received from this peer. A frame that does not parse, or whose peer is
    /// unknown, is counted and dropped.
    pub fn handle_frame(&mut self, from: &PeerId, bytes: &[u8], now: Now) {
        self.events.set_now(now.elapsed);
        self.stats.frames_received += 1;
        self.stats.bytes_received += bytes.len() as u64;
        if self.leaves_if_stopped(now) {
            return;
        }
        let Some(peer) = self.peers.get_mut(from) else {
            self.stats.frames_refused += 1;
            return;
        };
        if peer.heard(now.elapsed) {
            self.pushing.peers_changed();
        }
        match Frame::decode(bytes, &self.config.session) {
            Ok(frame) if self.is_put_off(from, &frame, now) => self.stats.frames_put_off += 1,
            Ok(frame) if frame.kind == FrameKind::Push => self.handle_pushes(from, frame, now),
            Ok(frame) => self.handle_session_frame(from, frame, now),
            Err(error) => self.refuse_frame(from, error),
        }
    }

    /// Whether a frame is dropped that would have this replica do more for its peer than that may have done. What answers
    /// this replica's own requests is not.
    fn is_put_off(&self, from: &PeerId, frame: &Frame<'_>, now: Now) -> bool {
        matches!(frame.kind, FrameKind::Request | FrameKind::Push)
            && self.peers.get(from).is_some_and(|peer| !peer.work.overdrawn(now.elapsed).is_zero())
    }

    /// Notes what was done for a peer.
    pub(super) fn charge(&mut self, peer: &PeerId, work: u64, now: Now) {
        self.stats.work_for_peers = self.stats.work_for_peers.saturating_add(work);
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.work.charge(work, &self.config, now.elapsed);
        }
    }

    fn refuse_frame(&mut self, from: &PeerId, error: Refusal) {
        self.stats.frames_refused += 1;
        if let Refusal::FrameVersion { session, .. } = error {
            self.refuse(from, encode_version_refusal(session, self.config.session.checksum));
        }
        self.events.push(Event::FrameRefused { peer: from.clone(), error });
    }

    fn handle_session_frame(&mut self, from: &PeerId, frame: Frame<'_>, now: Now) {
        let known = self.sessions.iter().position(|open| open.session.is_for(&frame) && open.peer == *from);
        let Some(index) = known.or_else(|| self.accept(from, &frame, now)) else { return };
        if !self.has_room_to_hold(index, &frame) {
            return;
        }
        let span = self.sessions[index].span.clone();
        span.within(|| self.handle_in_session(index, frame, now));
    }

    /// Whether there is room for a fragment. If there is none, the peer that holds most loses what it holds, unless that is
    /// the one that sends.
    fn has_room_to_hold(&mut self, index: usize, frame: &Frame<'_>) -> bool {
        // A message of one frame is not held.
        if frame.fragments == 1 {
            return true;
        }
        let bytes = frame.payload.len();
        loop {
            let mut held: BTreeMap<&PeerId, usize> = BTreeMap::new();
            for conversation in &self.sessions {
                *held.entry(&conversation.peer).or_default() += conversation.session.held_bytes();
            }
            if held.values().sum::<usize>() + bytes <= self.config.max_held_bytes {
                return true;
            }
            let Some((longest, held)) = held.into_iter().max_by_key(|(_, held)| *held) else { return true };
            if held == 0 || *longest == self.sessions[index].peer {
                self.stats.fragment_bytes_dropped += bytes as u64;
                return false;
            }
            let longest = longest.clone();
            self.stats.fragment_bytes_dropped += held as u64;
            for conversation in self.sessions.iter_mut().filter(|open| open.peer == longest) {
                conversation.session.drop_fragments();
            }
        }
    }

    fn handle_in_session(&mut self, index: usize, frame: Frame<'_>, now: Now) {
        let room = self.room_for_transfer(index, now);
        self.end_turn(index, now);
        let conversation = &mut self.sessions[index];
        let (before, moved) = (conversation.session.stats(), conversation.moved());
        let compares = conversation.is_open() && !conversation.session.is_transferring();
        let from = conversation.peer.clone();
        let handled = self.within_growth(&from, now, |engine| {
            let session = &mut engine.sessions[index].session;
            session.handle_frame_if(room == Room::Free, frame, &mut engine.replica, now)
        });
        let conversation = &mut self.sessions[index];
        let after = conversation.session.stats();
        self.stats.value_bytes_received += after.value_bytes_received - before.value_bytes_received;
        self.stats.keys_changed += after.changed - before.changed;
        let work = if conversation.is_opened_here() { 0 } else { after.work - before.work };
        if after.changed > before.changed {
            self.last_joined = Some(now.elapsed);
            self.stats.frames_joined += 1;
        } else if compares {
            self.stats.frames_compared += 1;
        }
        if let Err(error) = handled {
            conversation.session.abort(PartialReason::StoreFailed, now);
            self.report_store(&error);
        }
        let conversation = &mut self.sessions[index];
        let is_busy = conversation.session.outcome() == Some(&Outcome::Partial(PartialReason::Busy));
        conversation.has_to_wait |= is_busy && room == Room::Taken;
        let moved = conversation.moved() - moved;
        if let Some(lease) = &mut conversation.lease {
            lease.pay(moved, &self.config, now.elapsed);
        } else if conversation.session.is_transferring() {
            conversation.lease = Some(Lease::begin(&self.config, now.elapsed));
            self.waiting.begin(&conversation.peer);
            self.events.push(Event::Diverged { peer: conversation.peer.clone() });
        }
        self.charge(&from, work, now);
    }

    /// Queues a refusal: at most one waits for a peer, however many frames of it come.
    fn refuse(&mut self, peer: &PeerId, refusal: Vec<u8>) {
        if !self.refusals.iter().any(|(to, _)| to == peer) {
            self.refusals.push_back((peer.clone(), refusal));
        }
    }

    /// Whether a session may go on to move entries: it does already, or there is room for another, it is the peer's turn,
    /// and no session with a greater number was just opened from here. So of several that get in each other's way, one
    /// goes on.
    fn room_for_transfer(&self, index: usize, now: Now) -> Room {
        let this = &self.sessions[index];
        if this.session.is_transferring() {
            return Room::Free;
        }
        let is_idle = self.sessions.iter().all(|other| other.transfer().is_none());
        if !self.has_room_to_transfer(now) || !self.waiting.admits(&this.peer, is_idle, now.elapsed) {
            return Room::Taken;
        }
        let others = || self.sessions.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, other)| other);
        // A peer that is slow to answer, or dead, stands in nobody's way.
        let fresh =
            |other: &Conversation| now.elapsed.saturating_sub(other.began_at) < self.config.session.resend_after;
        let gives_way = others().any(|other| {
            other.is_opened_here()
                && other.is_open()
                && !other.session.is_transferring()
                && fresh(other)
                && other.nonce > this.nonce
        });
        if this.is_opened_here() || !gives_way { Room::Free } else { Room::GivesWay }
    }

    fn has_room_to_transfer(&self, now: Now) -> bool {
        let transfers = self.sessions.iter().filter_map(Conversation::transfer);
        let holding = transfers.filter(|lease| now.elapsed < lease.holds_until(&self.config));
        holding.count() < self.config.max_transfers.get()
    }

    /// Has a transfer whose turn is over end with the message that is about to be handled, if another peer waits.
    fn end_turn(&mut self, index: usize, now: Now) {
        let conversation = &mut self.sessions[index];
        let is_over = conversation.transfer().is_some_and(|lease| lease.turn_ends_at(&self.config) <= now.elapsed);
        // A comparison that takes longer than a turn would have to begin again in each.
        let stats = conversation.session.stats();
        let has_brought_something = stats.changed > 0 || stats.value_bytes_sent > 0;
        if is_over && has_brought_something && self.waiting.has_other_than(&conversation.peer) {
            conversation.session.wind_up();
            conversation.has_to_wait = true;
            self.waiting.end_turn(&conversation.peer);
        }
    }

    /// If there is room for a transfer, opens a session with the peer that has waited longest for it.
    pub(super) fn call_who_waits(&mut self, now: Now) {
        if self.waiting.is_empty() || !self.has_room_to_transfer(now) {
            return;
        }
        let answers_until = now.elapsed.saturating_add(self.config.session.resend_after.saturating_mul(2));
        let comes = |peer: &PeerId| self.peers.get(peer).is_some_and(|peer| !peer.is_backing_off(now.elapsed));
        let called = self.waiting.call(answers_until, now.elapsed, comes);
        if let Some(peer) = called.and_then(|called| self.peers.get_mut(&called)) {
            peer.schedule(now.elapsed);
        }
    }

    /// When [`call_who_waits`](Self::call_who_waits) is due next, if nothing happens before.
    pub(super) fn calls_at(&self, now: Now) -> Option<Duration> {
        if self.waiting.is_empty() {
            return None;
        }
        let leases = self.sessions.iter().filter_map(Conversation::transfer);
        let ends = leases.map(|lease| lease.holds_until(&self.config)).chain(self.waiting.calls_at());
        ends.filter(|at| *at > now.elapsed).min()
    }
}

/// Whether a session may begin to move entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Free,
    /// Others do, or have waited for longer.
    Taken,
    /// A session that was just opened from here goes first.
    GivesWay,
}

/// Sessions that begin.
impl<V: Replicated> Engine<V> {
    /// Prepares to answer a session that a peer opens. One that it opened before is given up: so has the peer.
    fn accept(&mut self, from: &PeerId, frame: &Frame<'_>, now: Now) -> Option<usize> {
        if self.is_shutting_down {
            return None;
        }
        let nonce = self.session_number(now);
        let session = Session::accept_valid(frame, nonce, self.config.session, now)?;
        self.give_up_accepted(from);
        let is_welcome = self.peers.get_mut(from).is_some_and(|peer| peer.may_open(&self.config, now.elapsed));
        if !is_welcome || !self.has_room_to_accept() {
            let busy = encode_busy(frame, self.config.session.checksum)?;
            self.refuse(from, busy);
            return None;
        }
        if !self.has_its_store(now) {
            return None;
        }
        self.stats.sessions_accepted += 1;
        let conversation = Conversation::new(from.clone(), session, OpenedBy::Peer, frame.session, self.space(), now);
        self.sessions.push(conversation);
        Some(self.sessions.len() - 1)
    }

    /// Gives up the session that a peer opened before. If that was in a transfer, the peer has had its turn: otherwise it
    /// could keep the room, by a new lease each time.
    fn give_up_accepted(&mut self, from: &PeerId) {
        let is_its = |other: &Conversation| !other.is_opened_here() && other.is_open() && other.peer == *from;
        let had_room = self.sessions.iter().any(|other| is_its(other) && other.transfer().is_some());
        if had_room && self.waiting.has_other_than(from) {
            self.waiting.end_turn(from);
        }
        self.give_up_sessions(is_its);
    }

    /// Whether there is room for another session of a peer's. Of those that have ended and only wait to repeat
    /// themselves one gives way, of the peer that has most of them. It is the oldest: the last reply of a younger one may
    /// still be on its way, or be lost.
    fn has_room_to_accept(&mut self) -> bool {
        let accepted = self.sessions.iter().filter(|session| !session.is_opened_here()).count();
        if accepted < self.config.max_accepted() {
            return true;
        }
        let idle =
            || self.sessions.iter().enumerate().filter_map(|(index, other)| Some((other, other.idle_until()?, index)));
        let mut most: BTreeMap<&PeerId, usize> = BTreeMap::new();
        for (other, ..) in idle() {
            *most.entry(&other.peer).or_default() += 1;
        }
        let gives_way = idle().min_by_key(|(other, until, index)| (Reverse(most[&other.peer]), *until, *index));
        let gives_way = gives_way.map(|(.., index)| index);
        gives_way.map(|index| self.sessions.remove(index)).is_some()
    }

    /// Opens the sessions that are due, as far as there is room.
    pub(super) fn open_due_sessions(&mut self, now: Now) {
        if self.is_shutting_down {
            return;
        }
        for id in self.peers_due(now) {
            let is_open = self.opened().any(|session| session.peer == id);
            if !is_open && !self.has_room_to_open() {
                break;
            }
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.unschedule();
            }
            if !is_open {
                self.open(id, now);
            }
        }
    }

    fn open(&mut self, peer: PeerId, now: Now) {
        if !self.has_its_store(now) {
            return;
        }
        let nonce = self.session_number(now);
        let config = self.session_config();
        let session = Session::open_valid(nonce, &mut self.replica, config, now);
        self.stats.sessions_opened += 1;
        let conversation = Conversation::new(peer, session, OpenedBy::Us, nonce, self.space(), now);
        self.sessions.push(conversation);
    }

    /// A number that no session had before. The times are in it, since a process whose memory is put back draws what it
    /// drew before.
    fn session_number(&mut self, now: Now) -> u64 {
        let elapsed = u64::try_from(now.elapsed.as_micros()).unwrap_or(u64::MAX);
        let drawn = self.random.u64(..);
        plant!(reply_number(drawn));
        drawn ^ now.unix_ms.rotate_left(32) ^ elapsed
    }

    /// The settings of a session that is about to be opened. One of several goes on, and what the others were answered
    /// is lost: they ask for no more cells than fit into a packet.
    fn session_config(&self) -> SessionConfig {
        const FEW_CELLS: usize = 64;
        let config = self.config.session;
        let most = if self.opened().next().is_some() { FEW_CELLS } else { config.max_first_cells };
        SessionConfig { max_first_cells: most.min(config.max_first_cells), ..config }
    }

    /// The peers with which a session is due, the one that has waited longest first: otherwise those that are due again
    /// and again would take all the room.
    fn peers_due(&self, now: Now) -> Vec<PeerId> {
        let scheduled = self.peers.iter().filter_map(|(id, peer)| Some((peer.next_session_at()?, id)));
        let mut due: Vec<(Duration, &PeerId)> = scheduled.filter(|(at, _)| *at <= now.elapsed).collect();
        due.sort_unstable();
        due.into_iter().map(|(_, id)| id.clone()).collect()
    }

    fn opened(&self) -> impl Iterator<Item = &Conversation> {
        self.sessions.iter().filter(|session| session.is_opened_here() && session.is_open())
    }

    pub(super) fn has_room_to_open(&self) -> bool {
        self.opened().count() < self.config.max_opened()
    }
}

/// Sessions that go on, and end.
impl<V: Replicated> Engine<V> {
    /// Ends the sessions that are over and whose frames have all left.
    pub(super) fn end_sessions(&mut self, now: Now) {
        let mut index = 0;
        while let Some(conversation) = self.sessions.get_mut(index) {
            let Some(ended) = conversation.take_end(self.config.session.idle_timeout, now.elapsed) else {
                index += 1;
                continue;
            };
            // Only the answering side may be asked to repeat its last reply.
            if ended.opened_at.is_some() {
                self.sessions.remove(index);
            }
            self.session_ended(ended, now);
        }
    }

    pub(super) fn has_session_frame(&self, to: &PeerId) -> bool {
        self.sessions.iter().any(|open| open.peer == *to && open.session.has_frames())
    }

    /// The next frame of a session with this peer.
    pub(super) fn session_frame_to(&mut self, to: &PeerId) -> Option<Vec<u8>> {
        let conversation = self.sessions.iter_mut().find(|open| open.peer == *to && open.session.has_frames())?;
        let (frame, values) = conversation.poll_frame()?;
        // Counted at once, not at the session's end: it may be given up before that.
        self.stats.count_sent(values);
        Some(frame)
    }

    /// Drops sessions; those that were open count as ended early.
    pub(super) fn give_up_sessions(&mut self, is_given_up: impl Fn(&Conversation) -> bool) {
        let open = self.sessions.iter().filter(|session| is_given_up(session) && session.is_open());
        self.stats.partial += open.count() as u64;
        self.sessions.retain(|session| !is_given_up(session));
    }

    fn session_ended(&mut self, ended: Ended, now: Now) {
        let Ended { peer, span, opened_at, finished, has_to_wait } = ended;
        let was_put_off = matches!(finished.outcome, Outcome::Partial(PartialReason::Busy | PartialReason::Budget));
        if has_to_wait && was_put_off {
            self.waiting.add(&peer);
        } else {
            self.waiting.remove(&peer);
        }
        span.ended(&finished);
        span.within(|| {
            let jitter = self.random.u32(500..1500);
            let is_renamed =
                matches!(finished.outcome, Outcome::Refused(Refusal::ClaimsMyWrites { .. } | Refusal::IdInUse));
            if finished.stats.changed > 0 || finished.stats.differences > 0 || is_renamed {
                self.speed_up(now);
            }
            self.stats.count_outcome(&finished.outcome);
            self.update_peer(&peer, &EndedSession { finished: &finished, opened_at, jitter }, now);
            match (&finished.outcome, finished.root) {
                (Outcome::Converged, Some(root)) => self.events.push(Event::Converged { peer: peer.clone(), root }),
                (Outcome::ConvergedExcept { keys }, _) => {
                    self.events.push(Event::ConvergedExcept { peer: peer.clone(), keys: *keys });
                }
                (Outcome::Refused(reason), _) => {
                    self.events.push(Event::Refused { peer: peer.clone(), reason: reason.clone() });
                }
                _ => {}
            }
            self.events.push(Event::SessionEnded { peer, finished });
        });
    }

    fn update_peer(&mut self, id: &PeerId, ended: &EndedSession<'_>, now: Now) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        let was_silent = peer.is_silent();
        peer.session_ended(ended, &self.config, now.elapsed);
        if peer.is_silent() != was_silent {
            self.pushing.peers_changed();
        }
    }
}
