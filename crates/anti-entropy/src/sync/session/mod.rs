//! The session: the synchronisation of two replicas, as a state machine.
//!
//! One side opens the session, the other answers. If little differs, the first reply contains a sketch from which the
//! opener decodes the differing keys. If much differs, the opener compares Merkle trees step by step, until it knows
//! all differences in a range of key hashes. It sends a certified batch of its entries at these keys, and receives the
//! answerer's batch in return. At the end both sides compare their roots once more.
//!
//! Every message is a request or its reply. Requests are numbered, and are sent again until they are answered, so that
//! frames may be lost, repeated and reordered. The opener's last message has no reply. If it is lost, the answerer ends
//! all the same, by its time-out.
//!
//! A session does no IO. [`Session::handle_frame`] takes frames, and [`Session::poll_output`] returns what to send, how
//! long to wait, and how the session ended.
//!
//! ```
//! use anti_entropy::clock::{Now, Seed};
//! use anti_entropy::{Keyed, LastWriterWins, MemoryStore, Replica, SessionConfig};
//! use anti_entropy::session::{Frame, Outcome, Session, SessionOutput};
//!
//! let now = Now { elapsed: core::time::Duration::ZERO, unix_ms: 1_700_000_000_000 };
//! let mut alice = Replica::open(MemoryStore::new(), LastWriterWins, Seed::from_os()?)?;
//! let mut bob = Replica::open(MemoryStore::new(), LastWriterWins, Seed::from_os()?)?;
//! alice.write(Keyed::new("colour".to_string(), "green".to_string()), now)?;
//! bob.write(Keyed::new("shape".to_string(), "round".to_string()), now)?;
//!
//! let mut opener = Session::open(7, &mut alice, SessionConfig::default(), now)?;
//! let mut answerer = None;
//! let outcome = loop {
//!     match opener.poll_output() {
//!         SessionOutput::Send(frame) => {
//!             let frame = Frame::decode(&frame, &SessionConfig::default()).unwrap();
//!             if answerer.is_none() {
//!                 answerer = Session::accept(&frame, 8, SessionConfig::default(), now)?;
//!             }
//!             answerer.as_mut().unwrap().handle_frame(frame, &mut bob, now)?;
//!         }
//!         SessionOutput::Done(done) => break done.outcome,
//!         SessionOutput::Wait(_) => {
//!             while let Some(SessionOutput::Send(frame)) = answerer.as_mut().map(Session::poll_output) {
//!                 opener.handle_frame(Frame::decode(&frame, &SessionConfig::default()).unwrap(), &mut alice, now)?;
//!             }
//!         }
//!     }
//! };
//! assert_eq!(outcome, Outcome::Converged);
//! assert_eq!(alice.root(), bob.root());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answerer;
mod clocks;
mod config;
mod exchange;
mod limits;
mod opener;
mod outcome;

#[cfg(test)]
mod tests;

pub use config::SessionConfig;
use exchange::{Exchange, Received, Repeat};
pub(crate) use exchange::{encode_push, encode_push_frame, max_push_bytes};
#[cfg(test)]
pub(crate) use limits::state_of;
pub use outcome::{Finished, Outcome, PartialReason, SessionStats};

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::time::Duration;

use answerer::Answerer;
use opener::Opener;

use super::wire::message::{self, Message, RefusalCode, Reply, Request};
use super::wire::{Frame, FrameKind, Header};
use crate::clock::Now;
use crate::refusal::Refusal;
use crate::replica::{Error, Replica, Replicated, ValueBytes};
use crate::summary::Root;
use crate::{ConfigError, KeyHash};

/// One side of the synchronisation of two replicas.
#[derive(Clone, Debug)]
pub struct Session {
    exchange: Exchange,
    role: Role,
    finished: Option<Outcome>,
    /// The root that both sides had at the end.
    certified: Option<Root>,
    stats: SessionStats,
    /// The bytes of values in the last message, which are counted again if it is repeated.
    last_sent: ValueBytes,
    config: SessionConfig,
    /// Whether it ends with the next message.
    winds_up: bool,
    since: Duration,
    idle_deadline: Duration,
}

#[derive(Clone, Debug, Hash)]
enum Role {
    Opener(Box<Opener>),
    Answerer(Box<Answerer>),
}

impl Role {
    /// The outcome if the peer stays silent.
    fn end_by_silence(&self) -> Outcome {
        match self {
            // The opener's last word has no reply, and may be lost.
            Self::Answerer(answerer) if answerer.is_through() => Outcome::Progress,
            _ => Outcome::Partial(PartialReason::TimedOut),
        }
    }
}

/// What the caller of a session has to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionOutput {
    /// Send this frame to the peer. If that fails, the frame counts as lost.
    Send(Vec<u8>),
    /// The session is over and can be dropped.
    Done(Finished),
    /// Wait until a frame arrives, or until [`Now::elapsed`] reaches this time; then call [`Session::handle_timeout`].
    Wait(Duration),
}

impl Session {
    /// Opens a session. Its first frame is ready to be sent. `nonce` is a random number that was not used before.
    ///
    /// # Errors
    /// If a setting is out of its range or contradicts another one.
    pub fn open<V: Replicated>(
        nonce: u64,
        replica: &mut Replica<V>,
        config: SessionConfig,
        now: Now,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self::open_valid(nonce, replica, config, now))
    }

    /// The same with settings that are known to be valid.
    pub(crate) fn open_valid<V: Replicated>(
        nonce: u64,
        replica: &mut Replica<V>,
        config: SessionConfig,
        now: Now,
    ) -> Self {
        let mut exchange = Exchange::opener(nonce, &config);
        let (opener, request) = Opener::start(replica, &config);
        exchange.send(&request, &config, now);
        Self::new(exchange, Role::Opener(Box::new(opener)), config, now)
    }

    /// Opens a session that finds all differing keys and exchanges nothing, to measure the cost of discovery. Drop it
    /// once it has [`differing_keys`](Self::differing_keys).
    #[doc(hidden)]
    pub fn open_comparison<V: Replicated>(
        nonce: u64,
        replica: &mut Replica<V>,
        config: SessionConfig,
        now: Now,
    ) -> Self {
        let mut session = Self::open_valid(nonce, replica, config, now);
        if let Role::Opener(opener) = &mut session.role {
            opener.only_compare();
        }
        session
    }

    /// The keys that a session from [`open_comparison`](Self::open_comparison) has found, in order. `None` until all
    /// are known, and if none differs: then the session ends.
    #[doc(hidden)]
    pub fn differing_keys(&self) -> Option<impl ExactSizeIterator<Item = KeyHash> + '_> {
        match &self.role {
            Role::Opener(opener) => opener.differing_keys(),
            Role::Answerer(_) => None,
        }
    }

    /// Makes the answering side of the session that the frame `first` opens, or returns `None` if that frame opens no
    /// session. Pass the frame to [`handle_frame`](Self::handle_frame) next. `nonce` is a random number that was not
    /// used before.
    ///
    /// # Errors
    /// If a setting is out of its range or contradicts another one.
    pub fn accept(first: &Frame<'_>, nonce: u64, config: SessionConfig, now: Now) -> Result<Option<Self>, ConfigError> {
        config.validate()?;
        Ok(Self::accept_valid(first, nonce, config, now))
    }

    /// The same with settings that are known to be valid.
    pub(crate) fn accept_valid(first: &Frame<'_>, nonce: u64, config: SessionConfig, now: Now) -> Option<Self> {
        let exchange = Exchange::answerer(first, nonce, &config)?;
        Some(Self::new(exchange, Role::Answerer(Box::new(Answerer::new(nonce))), config, now))
    }

    fn new(exchange: Exchange, role: Role, config: SessionConfig, now: Now) -> Self {
        let idle_deadline = now.elapsed.saturating_add(config.idle_timeout);
        Self {
            exchange,
            role,
            finished: None,
            certified: None,
            stats: SessionStats::default(),
            last_sent: ValueBytes::default(),
            config,
            winds_up: false,
            since: now.elapsed,
            idle_deadline,
        }
    }

    /// Hashes the state that determines what this session does from here on: everything but its counters and times. For
    /// checkers that explore every order of events and must recognise a state.
    #[doc(hidden)]
    pub fn hash_state(&self, hasher: &mut impl Hasher) {
        self.exchange.hash(hasher);
        self.role.hash(hasher);
        self.finished.is_some().hash(hasher);
        self.certified.hash(hasher);
    }

    /// Whether the session has found that the roots differ, so that it exchanges data.
    pub fn is_transferring(&self) -> bool {
        self.finished.is_none()
            && match &self.role {
                Role::Opener(opener) => opener.is_transferring(),
                Role::Answerer(answerer) => answerer.is_transferring(),
            }
    }

    /// The bytes of messages that have arrived so far, here or at the peer.
    pub(crate) fn moved_bytes(&self) -> u64 {
        self.exchange.moved_bytes()
    }

    /// The bytes that it holds of a message that is not complete yet.
    pub(crate) fn held_bytes(&self) -> usize {
        self.exchange.held_bytes()
    }

    /// Drops what has arrived of that message, as if it had been lost: the peer repeats it.
    pub(crate) fn drop_fragments(&mut self) {
        self.exchange.drop_fragments();
    }

    /// Ends the session with the next message, so that another peer has its turn. What was joined until then is kept, and
    /// what was answered until then is repeated if it was lost: otherwise the peer would wait in vain.
    pub(crate) fn wind_up(&mut self) {
        self.winds_up = true;
    }

    /// Handles a frame from the peer.
    ///
    /// # Errors
    /// If this replica's own store fails. If the peer does something wrong, the session ends with a reason instead.
    pub fn handle_frame<V: Replicated>(
        &mut self,
        frame: Frame<'_>,
        replica: &mut Replica<V>,
        now: Now,
    ) -> Result<(), Error> {
        self.handle_frame_if(true, frame, replica, now)
    }

    /// Handles a frame from the peer while this replica cannot exchange data, because another session does: if this session
    /// finds differences, it ends as [busy](PartialReason::Busy).
    ///
    /// # Errors
    /// As for [`handle_frame`](Self::handle_frame).
    pub fn handle_frame_while_busy<V: Replicated>(
        &mut self,
        frame: Frame<'_>,
        replica: &mut Replica<V>,
        now: Now,
    ) -> Result<(), Error> {
        self.handle_frame_if(false, frame, replica, now)
    }

    pub(crate) fn handle_frame_if<V: Replicated>(
        &mut self,
        may_transfer: bool,
        frame: Frame<'_>,
        replica: &mut Replica<V>,
        now: Now,
    ) -> Result<(), Error> {
        // A session that is over still repeats its last reply, which may have been lost, and does nothing else.
        if self.finished.is_some() && !self.exchange.is_repeated(&frame) {
            return Ok(());
        }
        self.stats.bytes_received += frame.len_bytes() as u64;
        match self.exchange.receive(frame, &self.config) {
            Received::Nothing => return Ok(()),
            Received::Repeated => self.repeat_reply(now),
            Received::Piece => {}
            Received::TooLong => self.refuse_message(now),
            Received::Refused(reason) => self.finish(Outcome::Refused(reason), now),
            Received::Message(message) => {
                if self.winds_up {
                    self.config.max_session_bytes = 0;
                }
                let before = self.stats.values_sent();
                self.handle_message(&message, replica, may_transfer, now)?;
                self.last_sent = self.stats.values_sent() - before;
            }
        }
        self.idle_deadline = now.elapsed.saturating_add(self.config.idle_timeout);
        self.exchange.heard(now);
        Ok(())
    }

    /// Sends the last reply again, within the session's budget.
    fn repeat_reply(&mut self, now: Now) {
        // The last reply of a session that is over may be the word that it is, which may be lost too.
        if self.finished.is_none() && self.stats.is_over(&self.config) {
            self.finish(Outcome::Partial(PartialReason::Budget), now);
            self.exchange.drop_last();
            return;
        }
        match self.exchange.repeat(self.config.max_repeats) {
            Repeat::Repeats => self.stats.count_sent(self.last_sent),
            Repeat::StillLeaving => {}
            Repeat::TooOften => {
                let limit = self.config.max_repeats;
                self.finish(Outcome::Refused(Refusal::TooManyRepeats { limit }), now);
                self.exchange.drop_last();
            }
        }
    }

    fn handle_message<V: Replicated>(
        &mut self,
        message: &[u8],
        replica: &mut Replica<V>,
        may_transfer: bool,
        now: Now,
    ) -> Result<(), Error> {
        self.stats.round_trips += 1;
        self.stats.count_work(MESSAGE_WORK + message.len() / DECODED_BYTES);
        let (config, stats) = (&self.config, &mut self.stats);
        let mut turn = Turn { replica, config, stats, may_transfer, now };
        let outcome = match &mut self.role {
            Role::Opener(opener) => {
                let Some(reply) = message::read::<Reply>(message) else {
                    self.finish(Outcome::Refused(Refusal::Malformed("an answer does not parse")), now);
                    return Ok(());
                };
                if let Reply::Differs(differs) = &reply {
                    self.exchange.rename(differs.nonce);
                    turn.replica.stir(differs.nonce);
                }
                let step = opener.handle_reply(reply, &mut turn)?;
                step.perform(&mut self.exchange, &self.config, now, self.stats)
            }
            Role::Answerer(answerer) => {
                let Some(request) = message::read::<Request>(message) else {
                    self.finish(Outcome::Refused(Refusal::Malformed("a request does not parse")), now);
                    return Ok(());
                };
                if let Request::Open(_) = request {
                    turn.replica.stir(self.exchange.numbers());
                }
                let is_about_trees = matches!(request, Request::Open(_) | Request::Ask(_));
                let step = answerer.handle_request(request, &mut turn)?;
                let ended = step.perform(&mut self.exchange, &self.config, now, self.stats);
                if is_about_trees {
                    self.stats.count_work(self.exchange.last_bytes() / DIGEST_BYTES);
                }
                ended
            }
        };
        if let Some(outcome) = outcome {
            self.finish(outcome, now);
        }
        Ok(())
    }

    /// Sends the last request again if its reply is late, or ends the session if the peer has been silent for too long.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.finished.is_none() && self.is_overdue(now) {
            self.finish(self.role.end_by_silence(), now);
        } else if self.finished.is_none() && self.exchange.handle_timeout(now) {
            self.stats.count_sent(self.last_sent);
        }
    }

    fn is_overdue(&self, now: Now) -> bool {
        plant!(is_overdue(matches!(self.role, Role::Opener(_))));
        now.elapsed >= self.idle_deadline
    }

    /// Ends the session early. Everything that was joined is kept. An opener tells the peer, which then need not wait.
    pub fn abort(&mut self, reason: PartialReason, now: Now) {
        if self.finished.is_none() && matches!(self.role, Role::Opener(_)) {
            self.exchange.send(&Request::Abort, &self.config, now);
        }
        self.finish(Outcome::Partial(reason), now);
    }

    /// Returns what to do next. Call it until it returns [`SessionOutput::Wait`] or [`SessionOutput::Done`].
    pub fn poll_output(&mut self) -> SessionOutput {
        if let Some(frame) = self.poll_frame() {
            return SessionOutput::Send(frame);
        }
        match self.finished() {
            Some(finished) => SessionOutput::Done(finished),
            None => SessionOutput::Wait(self.poll_deadline()),
        }
    }

    /// Whether there are frames to be sent.
    pub(crate) fn has_frames(&self) -> bool {
        self.exchange.has_frames()
    }

    /// The next frame to be sent, if there is one.
    pub(crate) fn poll_frame(&mut self) -> Option<Vec<u8>> {
        let frame = self.exchange.poll_frame()?;
        self.stats.bytes_sent += frame.len() as u64;
        Some(frame)
    }

    /// How the session ended, if it is over.
    pub(crate) fn outcome(&self) -> Option<&Outcome> {
        self.finished.as_ref()
    }

    /// How the session ended, if it is over, with its counters. There may still be frames to send.
    pub(crate) fn finished(&self) -> Option<Finished> {
        let outcome = self.finished.clone()?;
        Some(Finished { outcome, root: self.certified, stats: self.stats })
    }

    /// The counters so far.
    pub(crate) fn stats(&self) -> SessionStats {
        self.stats
    }

    /// Whether a frame from the peer belongs to this session.
    pub(crate) fn is_for(&self, frame: &Frame<'_>) -> bool {
        self.exchange.is_for(frame)
    }

    /// Whether this side has sent everything, and waits only for the peer's last message.
    pub(crate) fn is_through(&self) -> bool {
        matches!(&self.role, Role::Answerer(answerer) if answerer.is_through())
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due next.
    pub(crate) fn poll_deadline(&self) -> Duration {
        self.exchange.resend_at().map_or(self.idle_deadline, |at| at.min(self.idle_deadline))
    }

    fn refuse_message(&mut self, now: Now) {
        match &self.role {
            Role::Opener(_) => self.exchange.send(&Request::Abort, &self.config, now),
            Role::Answerer(_) => self.exchange.send(&Reply::give_up(RefusalCode::MessageTooLong), &self.config, now),
        };
        self.finish(Outcome::Refused(Refusal::MessageTooLong), now);
    }

    fn finish(&mut self, outcome: Outcome, now: Now) {
        if self.finished.is_none() {
            self.finished = Some(outcome);
            self.stats.duration = now.elapsed.saturating_sub(self.since);
            self.certified = match &self.role {
                Role::Opener(opener) => opener.certified(),
                Role::Answerer(answerer) => answerer.certified(),
            };
            // What is left is to repeat the last reply: the snapshots can go.
            if let Role::Answerer(answerer) = &mut self.role {
                **answerer = Answerer::new(0);
            }
        }
    }
}

/// What it takes to handle a message besides its bytes, in entries that are visited: about that of loading one.
pub(crate) const MESSAGE_WORK: usize = LOAD_WORK;
/// What it takes to load an entry from the store, in entries that are visited.
pub(crate) const LOAD_WORK: usize = 16;
/// How many bytes are decoded in the time that it takes to visit an entry.
pub(crate) const DECODED_BYTES: usize = 256;
/// How many bytes are loaded and hashed in that time.
const HASHED_BYTES: usize = 64;
/// What a digest, or an entry that is listed, takes in an answer at least.
const DIGEST_BYTES: usize = 16;

/// The surroundings of a side while it handles a message.
struct Turn<'a, V: Replicated> {
    replica: &'a mut Replica<V>,
    config: &'a SessionConfig,
    stats: &'a mut SessionStats,
    /// Whether this replica has room for a transfer.
    may_transfer: bool,
    now: Now,
}

/// The result of handling a message: a message to send, an end, or both.
#[derive(Debug)]
struct Step<M> {
    message: Option<M>,
    end: Option<Outcome>,
}

impl<M: Message> Step<M> {
    fn send(message: M) -> Self {
        Self { message: Some(message), end: None }
    }

    fn send_and_end(message: M, outcome: Outcome) -> Self {
        Self { message: Some(message), end: Some(outcome) }
    }

    fn end(outcome: Outcome) -> Self {
        Self { message: None, end: Some(outcome) }
    }

    /// Sends the message; returns the end, if the session is over.
    fn perform(
        self,
        exchange: &mut Exchange,
        config: &SessionConfig,
        now: Now,
        stats: SessionStats,
    ) -> Option<Outcome> {
        let Some(message) = self.message else {
            exchange.drop_last();
            return self.end;
        };
        if stats.is_over(config) && self.end.is_none() {
            exchange.send(&M::give_up(RefusalCode::Budget), config, now);
            return Some(Outcome::Partial(PartialReason::Budget));
        }
        if !exchange.send(&message, config, now) {
            exchange.send(&M::give_up(RefusalCode::EntryTooLong), config, now);
            return Some(Outcome::Refused(Refusal::EntryTooLong));
        }
        self.end
    }
}

/// The reply to the first request of a session if this side has no room for a session, or exchanges data with another
/// peer. `None` if the frame is no request.
pub(crate) fn encode_busy(first: &Frame<'_>, with_checksum: bool) -> Option<Vec<u8>> {
    let session = exchange::reply_number(first)?;
    let message = postcard::to_allocvec(&Reply::Busy).expect("a unit serialises");
    Some(Header { kind: FrameKind::Reply, session, exchange: 0 }.encode(0, 1, &message, with_checksum))
}
