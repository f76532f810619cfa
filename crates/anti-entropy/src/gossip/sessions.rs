//! The engine's sessions: opening them when due, answering peers', and what their ends mean.

use alloc::vec::Vec;
use core::time::Duration;

use super::engine::{Conversation, scaled};
use super::trace::SessionSpan;
use super::{Engine, Event, PeerId};
use crate::clock::Now;
use crate::refusal::Refusal;
use crate::replica::{Replicated, ValueBytes};
use crate::sync::session::encode_busy;
use crate::sync::wire::encode_version_refusal;
use crate::sync::{Finished, Frame, FrameKind, Outcome, PartialReason, Session, SessionConfig};

/// How often in a row a busy peer is tried again, each time after twice as long, before it is left to the next round.
const MAX_BUSY: u32 = 6;

impl Conversation {
    fn new(peer: PeerId, session: Session, opened: bool, nonce: u64, space: &str, now: Now) -> Self {
        Self {
            span: SessionSpan::new(space, &peer, opened, nonce),
            peer,
            session,
            opened,
            nonce,
            since: now.elapsed,
            values_counted: ValueBytes::default(),
            over_at: None,
            diverged: false,
        }
    }

    pub(super) fn deadline(&self) -> Duration {
        match (self.over_at, self.session.poll_deadline()) {
            (Some(over_at), _) => over_at,
            (None, deadline) => deadline,
        }
    }

    /// Until when one waits that only waits to repeat itself, or for a last word.
    fn gives_way_from(&self) -> Option<Duration> {
        self.over_at.or_else(|| self.session.is_through().then(|| self.deadline()))
    }

    fn is_open(&self) -> bool {
        self.over_at.is_none()
    }
}

impl<V: Replicated> Engine<V> {
    /// Takes a frame that the transport says is from this peer.
    pub fn handle_frame(&mut self, from: &PeerId, bytes: &[u8], now: Now) {
        self.stats.frames_received += 1;
        self.stats.bytes_received += bytes.len() as u64;
        let Some(peer) = self.peers.get_mut(from) else {
            self.stats.frames_refused += 1;
            return;
        };
        peer.heard = Some(now.elapsed);
        if core::mem::take(&mut peer.silent) {
            self.tree = None;
        }
        match Frame::decode(bytes, self.config.session.checksum) {
            Ok(frame) if frame.kind == FrameKind::Push => self.handle_pushes(from, frame, now),
            Ok(frame) => self.handle_session_frame(from, frame, now),
            Err(error) => self.refuse_frame(from, error),
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
        let index = match known {
            Some(index) => index,
            None => match self.accept(from, &frame, now) {
                Some(index) => index,
                None => return,
            },
        };
        let span = self.sessions[index].span.clone();
        span.within(|| self.handle_in_session(index, frame, now));
    }

    fn handle_in_session(&mut self, index: usize, frame: Frame<'_>, now: Now) {
        let may_transfer = self.may_transfer(index, now);
        let conversation = &mut self.sessions[index];
        let before = conversation.session.stats();
        let compares = conversation.is_open() && !conversation.session.is_transferring();
        let handled = conversation.session.handle_frame(frame, &mut self.replica, may_transfer, now);
        let after = conversation.session.stats();
        self.stats.value_bytes_received += after.value_bytes_received - before.value_bytes_received;
        self.stats.keys_changed += after.changed - before.changed;
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
        if conversation.session.is_transferring() && !conversation.diverged {
            conversation.diverged = true;
            self.events.push(Event::Diverged { peer: conversation.peer.clone() });
        }
    }

    /// Prepares to answer a session that a peer opens. One that it opened before is given up: so has the peer.
    fn accept(&mut self, from: &PeerId, frame: &Frame<'_>, now: Now) -> Option<usize> {
        if self.draining {
            return None;
        }
        let nonce = self.random.u64(..);
        let session = Session::accept(frame, nonce, self.config.session, now)?;
        self.give_up_sessions(|other| !other.opened && other.is_open() && other.peer == *from);
        if !self.has_room_to_accept() {
            let busy = encode_busy(frame.session, self.config.session.checksum);
            self.refuse(from, busy);
            return None;
        }
        self.stats.sessions_accepted += 1;
        let conversation = Conversation::new(from.clone(), session, false, frame.session, self.space(), now);
        self.sessions.push(conversation);
        Some(self.sessions.len() - 1)
    }

    /// Whether there is room for another session of a peer's. Of those that are over and only wait to repeat themselves the
    /// oldest gives way: the last reply of a younger one may still be on its way, or be lost.
    fn has_room_to_accept(&mut self) -> bool {
        let accepted = self.sessions.iter().filter(|session| !session.opened).count();
        if accepted < self.config.max_accepted() {
            return true;
        }
        let over =
            self.sessions.iter().enumerate().filter_map(|(index, other)| Some((other.gives_way_from()?, index))).min();
        over.map(|(_, oldest)| self.sessions.remove(oldest)).is_some()
    }

    /// Queues a refusal: at most one waits for a peer, however many frames of it come.
    fn refuse(&mut self, peer: &PeerId, refusal: Vec<u8>) {
        if !self.refusals.iter().any(|(to, _)| to == peer) {
            self.refusals.push_back((peer.clone(), refusal));
        }
    }

    /// Drops sessions; those that were open count as ended early.
    pub(super) fn give_up_sessions(&mut self, is_given_up: impl Fn(&Conversation) -> bool) {
        let open = self.sessions.iter().filter(|session| is_given_up(session) && session.is_open());
        self.stats.partial += open.count() as u64;
        self.sessions.retain(|session| !is_given_up(session));
    }

    /// Whether a session may go on to move entries: it does already, or there is room for another, and none with a greater
    /// number was just opened from here. So of several that get in each other's way, one goes on.
    fn may_transfer(&self, index: usize, now: Now) -> bool {
        let this = &self.sessions[index];
        let others = || self.sessions.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, other)| other);
        let transfers = others().filter(|other| other.session.is_transferring()).count();
        // A peer that is slow to answer, or dead, stands in nobody's way.
        let fresh = |other: &Conversation| now.elapsed.saturating_sub(other.since) < self.config.session.resend_after;
        let gives_way = others().any(|other| {
            other.opened
                && other.is_open()
                && !other.session.is_transferring()
                && fresh(other)
                && other.nonce > this.nonce
        });
        this.session.is_transferring() || (transfers < self.config.max_transfers.get() && (this.opened || !gives_way))
    }

    /// Opens sessions with the peers that are due, as far as there is room.
    pub(super) fn open_due(&mut self, now: Now) {
        if self.draining {
            return;
        }
        for peer in self.due_now(now) {
            if self.opened().any(|session| session.peer == peer) {
                self.due.remove(&peer);
                continue;
            }
            if !self.has_room_to_open() {
                break;
            }
            self.due.remove(&peer);
            let nonce = self.random.u64(..);
            let config = self.session_config();
            let session = Session::open(nonce, &mut self.replica, config, now);
            self.stats.sessions_opened += 1;
            let conversation = Conversation::new(peer, session, true, nonce, self.space(), now);
            self.sessions.push(conversation);
        }
    }

    /// The settings of a session that is about to be opened. One of several goes on, and what the others were answered is
    /// lost: they ask for no more cells than fit into a packet.
    fn session_config(&self) -> SessionConfig {
        const FEW_CELLS: usize = 64;
        let config = self.config.session;
        let most = if self.opened().next().is_some() { FEW_CELLS } else { config.max_first_cells };
        SessionConfig { max_first_cells: most.min(config.max_first_cells), ..config }
    }

    /// The peers that are due, who has waited longest first: or those who are due again and again would take all the room.
    fn due_now(&self, now: Now) -> Vec<PeerId> {
        let since = self.due.iter().map(|(peer, due)| (self.due_at(peer, *due), peer));
        let mut due: Vec<(Duration, &PeerId)> = since.filter(|(due, _)| *due <= now.elapsed).collect();
        due.sort_unstable();
        due.into_iter().map(|(_, peer)| peer.clone()).collect()
    }

    /// Has a peer talked to from then on. One that waits for room already keeps its place.
    pub(super) fn make_due(&mut self, peer: PeerId, at: Duration) {
        let due = self.due.entry(peer).or_insert(at);
        *due = at.min(*due);
    }

    /// When a peer that is due then may be talked to.
    pub(super) fn due_at(&self, peer: &PeerId, due: Duration) -> Duration {
        self.peers.get(peer).map_or(due, |peer| due.max(peer.not_before))
    }

    fn opened(&self) -> impl Iterator<Item = &Conversation> {
        self.sessions.iter().filter(|session| session.opened && session.is_open())
    }

    pub(super) fn has_room_to_open(&self) -> bool {
        self.opened().count() < self.config.max_opened()
    }

    /// The next frame of any session; sessions that are through are seen off on the way.
    pub(super) fn next_session_frame(&mut self, now: Now) -> Option<(PeerId, Vec<u8>)> {
        let mut index = 0;
        while index < self.sessions.len() {
            let conversation = &mut self.sessions[index];
            if let Some(frame) = conversation.session.poll_frame() {
                // At once, not at the session's end: it may be given up before that.
                let sent = conversation.session.stats().values_sent();
                self.stats.count_sent(sent - conversation.values_counted);
                conversation.values_counted = sent;
                return Some((conversation.peer.clone(), frame));
            }
            if !conversation.is_open() {
                index += 1;
                continue;
            }
            let Some(finished) = conversation.session.finished() else {
                index += 1;
                continue;
            };
            let (peer, opened, since) = (conversation.peer.clone(), conversation.opened, conversation.since);
            // Its span ends with it, however long it stays to repeat itself.
            let span = core::mem::take(&mut conversation.span);
            conversation.over_at = Some(now.elapsed.saturating_add(self.config.session.idle_timeout));
            if opened {
                self.sessions.remove(index);
            }
            span.ended(&finished);
            span.within(|| self.session_ended(&peer, opened.then_some(since), finished, now));
        }
        None
    }

    /// What the end of a session means for its peer.
    fn session_ended(&mut self, id: &PeerId, asked: Option<Duration>, finished: Finished, now: Now) {
        let opened = asked.is_some();
        let busy = self.peers.get(id).map_or(0, |peer| peer.busy);
        let retry = self.config.busy_retry.saturating_mul(1 << busy.min(MAX_BUSY));
        let retry = scaled(retry, self.random.u32(500..1500));
        let soon = now.elapsed.saturating_add(retry);
        if finished.stats.changed > 0 || finished.stats.differences > 0 {
            self.speed_up(now);
        }
        let Some(peer) = self.peers.get_mut(id) else { return };
        peer.differences = finished.stats.differences;
        let was_busy = finished.outcome == Outcome::Partial(PartialReason::Busy);
        peer.busy = if was_busy { peer.busy.saturating_add(1) } else { 0 };
        let mut is_due = false;
        let silence = now.elapsed.saturating_sub(self.config.session.idle_timeout);
        match &finished.outcome {
            Outcome::Converged => {
                self.stats.converged += 1;
                peer.succeeded();
                peer.pursued = false;
                if let Some(root) = finished.root {
                    peer.converged = Some((now.elapsed, root));
                    // What the peer said in a session that it opened, or that was open before, may be older than it looks.
                    peer.asked = asked.map(|asked| (asked, root)).or(peer.asked);
                    self.events.push(Event::Converged { peer: id.clone(), root });
                }
            }
            Outcome::Progress => {
                self.stats.progressed += 1;
                peer.succeeded();
            }
            Outcome::Partial(reason) => {
                self.stats.partial += 1;
                // One that was started anew knows nothing of the session, and is there all the same.
                if *reason == PartialReason::TimedOut && !peer.is_heard_since(silence) {
                    peer.silent = true;
                    self.tree = None;
                }
                match reason {
                    PartialReason::Busy if opened && peer.busy <= MAX_BUSY => is_due = true,
                    PartialReason::Budget if opened => is_due = true,
                    // A peer that makes this side wait for it, or gives up, is left alone for a while, whoever opened; and
                    // so is every peer with which a store that fails would fail again.
                    PartialReason::TimedOut
                    | PartialReason::Uncertified
                    | PartialReason::AbortedByPeer
                    | PartialReason::TooManyPieces
                    | PartialReason::StoreFailed => peer.failed(&self.config, now.elapsed),
                    PartialReason::Busy | PartialReason::Budget | PartialReason::Shutdown => {}
                }
            }
            Outcome::Refused(reason) => {
                self.stats.refused += 1;
                peer.failed(&self.config, now.elapsed);
                self.events.push(Event::Refused { peer: id.clone(), reason: reason.clone() });
            }
        }
        if is_due || peer.pursued && opened {
            self.make_due(id.clone(), soon);
        }
        self.events.push(Event::SessionEnded { peer: id.clone(), finished });
    }
}
