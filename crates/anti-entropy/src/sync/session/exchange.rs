//! Requests and replies over frames that may be lost, repeated and reordered.
//!
//! The opener's requests are numbered, and each is repeated until its reply is there; the answerer answers each once and
//! repeats its last reply when it is asked again. Messages longer than a frame go in fragments; fragments that arrived
//! are kept while the rest is repeated.
//!
//! A reply names the request that it answers by a hash of it. Numbers alone would not do: a process whose memory is put
//! back, and a clone, number their requests as they did before, and an earlier answer may still be on its way.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::time::Duration;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::SessionConfig;
use crate::clock::Now;
use crate::refusal::Refusal;
use crate::sync::wire::Push;
use crate::sync::wire::{Frame, FrameKind, Header, PROTOCOL_VERSIONS};

/// One side's view of the requests and replies of a session.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    side: Side,
    /// The opener's number, which names the session in its first request, and, with the tag of a request, in the reply.
    opener: u64,
    /// The answerer's number, which names the session in all further requests. The opener's until that is known.
    answerer: u64,
    /// The tag of the request that opened the session: another one with the same number opens another session.
    opened: u64,
    /// The tag of the request that the opener waits for a reply to, or that the answerer has last read.
    asked: u64,
    /// The request that is open, or the next one.
    number: u32,
    /// The frames of the last message, to be repeated.
    last: Vec<Vec<u8>>,
    /// How many of them have left since it was sent, or repeated.
    left: usize,
    /// How often the answerer has repeated it.
    repeats: u32,
    incoming: Assembly,
    /// The bytes of messages that have arrived so far, here or at the peer.
    moved_bytes: u64,
    resend_at: Option<Duration>,
    resend_after: Duration,
    max_payload: usize,
    checksum: bool,
}

/// Without times, which say when something happens and not what, and without counters.
impl Hash for Exchange {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { side, opener, answerer, opened, asked, number, last, left, incoming, .. } = self;
        (side, opener, answerer, opened, asked, number, last, left, incoming).hash(state);
        self.is_leaving_first().hash(state);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Side {
    Opener,
    Answerer,
}

/// What a frame came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// It does not belong here, or is an old one.
    Nothing,
    /// A piece of a message that is not complete.
    Piece,
    /// The peer repeats what was answered.
    Repeated,
    /// A message is complete.
    Message(Vec<u8>),
    /// The peer's message is too long.
    TooLong,
    /// The peer refuses.
    Refused(Refusal),
}

/// What became of a peer's asking again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// The reply is sent again.
    Repeats,
    /// It has not left yet.
    StillLeaving,
    /// It was repeated often enough.
    TooOften,
}

impl Exchange {
    pub(super) fn opener(nonce: u64, config: &SessionConfig) -> Self {
        Self::new(Side::Opener, nonce, nonce, 0, config)
    }

    /// The answering side of the session that `first` opens, if it opens one.
    pub(super) fn answerer(first: &Frame<'_>, nonce: u64, config: &SessionConfig) -> Option<Self> {
        let asked = request_tag(first).filter(|_| first.opens())?;
        Some(Self::new(Side::Answerer, first.session, nonce, asked, config))
    }

    fn new(side: Side, opener: u64, answerer: u64, asked: u64, config: &SessionConfig) -> Self {
        Self {
            side,
            opener,
            answerer,
            opened: asked,
            asked,
            number: 0,
            last: Vec::new(),
            left: 0,
            repeats: 0,
            incoming: Assembly::default(),
            moved_bytes: 0,
            resend_at: None,
            resend_after: config.resend_after,
            max_payload: config.max_frame_bytes.saturating_sub(Header::MAX_BYTES),
            checksum: config.checksum,
        }
    }

    /// The opener learns by which number the answerer knows the session.
    pub(super) fn rename(&mut self, nonce: u64) {
        self.answerer = nonce;
    }

    /// Sends a message: the opener's next request, or the answerer's reply to the last one. `false` if it is longer than a
    /// message may be.
    pub(super) fn send(&mut self, message: &impl Serialize, config: &SessionConfig, now: Now) -> bool {
        let Ok(bytes) = postcard::to_allocvec(message) else { return false };
        if bytes.len() > config.max_message_bytes {
            return false;
        }
        let (kind, session) = match self.side {
            Side::Opener => (FrameKind::Request, self.request_number()),
            Side::Answerer => (FrameKind::Reply, self.reply_number()),
        };
        let header = Header { kind, session, exchange: self.number };
        let Some(frames) = frames(header, &bytes, self.max_payload, self.checksum) else { return false };
        self.last = frames;
        match self.side {
            Side::Opener => self.asked = u64::from_be_bytes(tag(&bytes)),
            Side::Answerer => self.number += 1,
        }
        self.incoming = Assembly::default();
        (self.left, self.repeats) = (0, 0);
        self.wait_for_reply(now);
        true
    }

    /// Repeats the last reply for a peer that asks for it again, unless it is still leaving. Says what it did.
    pub(super) fn repeat(&mut self, max_repeats: u32) -> Repeat {
        plant!(let max_repeats = most_repeats(max_repeats));
        if self.has_frames() {
            Repeat::StillLeaving
        } else if self.repeats >= max_repeats {
            Repeat::TooOften
        } else {
            self.repeats += 1;
            self.left = 0;
            Repeat::Repeats
        }
    }

    fn wait_for_reply(&mut self, now: Now) {
        if self.side == Side::Opener {
            self.resend_at = Some(now.elapsed.saturating_add(self.resend_after));
        }
    }

    /// The peer is alive: a repetition can wait.
    pub(super) fn heard(&mut self, now: Now) {
        if self.resend_at.is_some() {
            self.resend_at = Some(now.elapsed.saturating_add(self.resend_after));
        }
    }

    /// Repeats a request whose reply is late, unless it is still leaving, and waits twice as long for it. Says whether it
    /// repeats it.
    pub(super) fn handle_timeout(&mut self, now: Now) -> bool {
        let late = self.resend_at.is_some_and(|at| now.elapsed >= at);
        let repeats = late && !self.has_frames();
        if late {
            self.resend_after = self.resend_after.saturating_mul(2);
            self.wait_for_reply(now);
        }
        if repeats {
            self.left = 0;
        }
        repeats
    }

    pub(super) fn resend_at(&self) -> Option<Duration> {
        self.resend_at
    }

    pub(super) fn poll_frame(&mut self) -> Option<Vec<u8>> {
        let frame = self.last.get(self.left)?.clone();
        self.left += 1;
        Some(frame)
    }

    /// Whether there are frames to be sent.
    pub(super) fn has_frames(&self) -> bool {
        self.left < self.last.len()
    }

    /// Whether the last message has not left as a whole yet, not even once.
    fn is_leaving_first(&self) -> bool {
        self.has_frames() && self.repeats == 0
    }

    /// The bytes of the last message's frames.
    pub(super) fn last_bytes(&self) -> usize {
        self.last.iter().map(Vec::len).sum()
    }

    pub(super) fn receive(&mut self, frame: Frame<'_>, config: &SessionConfig) -> Received {
        if !self.is_for(&frame) {
            return Received::Nothing;
        }
        match (self.side, frame.kind) {
            (Side::Opener, FrameKind::Refusal) => refusal(frame.payload),
            (Side::Opener, _) if frame.exchange == self.number => {
                let received = self.take_in(frame, config);
                if matches!(received, Received::Message(_)) {
                    self.number += 1;
                    self.resend_at = None;
                    self.resend_after = config.resend_after;
                }
                received
            }
            // An honest opener asks again only once it has the whole reply, so that the reply has left.
            (Side::Answerer, _) if frame.exchange == self.number && self.is_leaving_first() => Received::Nothing,
            (Side::Answerer, _) if frame.exchange == self.number => {
                let tag = request_tag(&frame);
                let received = self.take_in(frame, config);
                if matches!(received, Received::Message(_) | Received::TooLong) {
                    self.asked = tag.unwrap_or(self.asked);
                }
                received
            }
            _ if self.is_repeated(&frame) => Received::Repeated,
            _ => Received::Nothing,
        }
    }

    /// Adds a frame to the message that it is of. A whole message says that the peer has the one before.
    fn take_in(&mut self, frame: Frame<'_>, config: &SessionConfig) -> Received {
        let held = self.incoming.bytes;
        let received = self.incoming.add(frame, config);
        self.moved_bytes += match &received {
            Received::Message(message) => (message.len().saturating_sub(held) + self.last_bytes()) as u64,
            _ => self.incoming.bytes.saturating_sub(held) as u64,
        };
        received
    }

    /// The bytes of the message that is not complete yet.
    pub(super) fn held_bytes(&self) -> usize {
        self.incoming.bytes
    }

    /// Drops what has arrived of it, as if it had been lost.
    pub(super) fn drop_fragments(&mut self) {
        self.incoming = Assembly::default();
    }

    /// Drops the last message: the peer has said its last word, and asks for nothing again.
    pub(super) fn drop_last(&mut self) {
        (self.last, self.left) = (Vec::new(), 0);
    }

    /// The bytes of messages that have arrived so far, here or at the peer; what arrives again counts once.
    pub(super) fn moved_bytes(&self) -> u64 {
        self.moved_bytes
    }

    /// Whether a frame asks for the last reply again.
    pub(super) fn is_repeated(&self, frame: &Frame<'_>) -> bool {
        let last = frame.exchange.checked_add(1) == Some(self.number) && frame.fragment == 0;
        self.side == Side::Answerer && last && self.is_for(frame) && request_tag(frame) == Some(self.asked)
    }

    pub(super) fn is_for(&self, frame: &Frame<'_>) -> bool {
        match (self.side, frame.kind) {
            (Side::Opener, FrameKind::Reply) => frame.session == self.reply_number(),
            (Side::Opener, FrameKind::Refusal) => frame.session == self.opener,
            (Side::Answerer, FrameKind::Request) if frame.exchange == 0 => {
                frame.session == self.opener && request_tag(frame) == Some(self.opened)
            }
            (Side::Answerer, FrameKind::Request) => frame.session == self.answerer,
            _ => false,
        }
    }

    /// What only this session has, from both sides.
    pub(super) fn numbers(&self) -> u64 {
        self.opener ^ self.answerer
    }

    /// The number in the next request.
    fn request_number(&self) -> u64 {
        if self.number == 0 { self.opener } else { self.answerer }
    }

    /// The number in the reply to the request that is open.
    pub(super) fn reply_number(&self) -> u64 {
        plant!(reply_number(self.opener));
        self.opener ^ self.asked
    }
}

/// The number in the reply to a request by itself, if it is one.
pub(super) fn reply_number(request: &Frame<'_>) -> Option<u64> {
    request_tag(request).map(|tag| request.session ^ tag)
}

/// The tag of the request that a frame is all or a fragment of.
fn request_tag(frame: &Frame<'_>) -> Option<u64> {
    let tag = if frame.fragments == 1 { tag(frame.payload) } else { *frame.payload.first_chunk()? };
    Some(u64::from_be_bytes(tag))
}

fn refusal(payload: &[u8]) -> Received {
    match payload {
        // A peer that speaks our version got a frame whose first byte was damaged: the frame is repeated.
        [min, max, ..] if *min <= *PROTOCOL_VERSIONS.end() && *PROTOCOL_VERSIONS.start() <= *max => Received::Nothing,
        [min, max, ..] => Received::Refused(Refusal::Version { min: *min, max: *max }),
        _ => Received::Nothing,
    }
}

/// The longest first request: a few numbers, and the cuts of a context that is full of them.
const MAX_OPENING_BYTES: usize = 64 << 10;
/// What fragments carry on average at least, the last one left out: less than fits into the shortest frame that may be
/// set. Without it, a message of empty fragments would be short and take any amount of memory.
const MIN_FRAGMENT_BYTES: usize = SessionConfig::MIN_FRAME_BYTES / 2;

/// How many bytes of a message's hash each of its fragments begins with.
pub(super) const TAG_BYTES: usize = 8;

/// Tells the fragments of one message from those of another: a peer that lost its answer makes a new one, under the same
/// number, while fragments of the old one are still on their way.
fn tag(message: &[u8]) -> [u8; TAG_BYTES] {
    let mut tag = [0; TAG_BYTES];
    tag.copy_from_slice(&Sha256::digest(message)[..TAG_BYTES]);
    tag
}

/// The frames of a message: one, or several that each begin with the message's tag. `None` if the frames cannot be
/// numbered, or if frames are too short to carry anything: settings do not allow that, but a transport may.
pub(super) fn frames(header: Header, message: &[u8], max_payload: usize, checksum: bool) -> Option<Vec<Vec<u8>>> {
    if message.len() <= max_payload {
        return Some(alloc::vec![header.encode(0, 1, message, checksum)]);
    }
    let piece_bytes = max_payload.checked_sub(TAG_BYTES).filter(|bytes| *bytes > 0)?;
    let pieces = message.chunks(piece_bytes);
    let count = u32::try_from(pieces.len()).ok()?;
    let tag = tag(message);
    let payloads = pieces.map(|piece| [&tag, piece].concat());
    Some((0..).zip(payloads).map(|(index, payload)| header.encode(index, count, &payload, checksum)).collect())
}

/// The fragments of a message that have arrived. Grows with what has arrived, whatever the header says.
#[derive(Clone, Debug, Default, Hash)]
struct Assembly {
    fragments: BTreeMap<u32, Vec<u8>>,
    /// Of which message: how many fragments it has, and its tag.
    message: Option<(u32, [u8; TAG_BYTES])>,
    bytes: usize,
}

impl Assembly {
    fn add(&mut self, frame: Frame<'_>, config: &SessionConfig) -> Received {
        // Whoever has not opened a session yet is not worth more memory than that takes.
        let limit = if frame.opens() { MAX_OPENING_BYTES } else { config.max_message_bytes };
        if frame.fragments == 1 {
            *self = Self::default();
            return if frame.payload.len() > limit {
                Received::TooLong
            } else {
                Received::Message(frame.payload.to_vec())
            };
        }
        let Some((tag, piece)) = frame.payload.split_first_chunk() else { return Received::Nothing };
        if self.message != Some((frame.fragments, *tag)) {
            *self = Self { message: Some((frame.fragments, *tag)), ..Self::default() };
        }
        if !self.fragments.contains_key(&frame.fragment) {
            self.bytes += piece.len();
            if self.bytes > limit || frame.fragments as usize > limit / MIN_FRAGMENT_BYTES + 1 {
                return Received::TooLong;
            }
            self.fragments.insert(frame.fragment, piece.to_vec());
        }
        if self.fragments.len() < frame.fragments as usize {
            return Received::Piece;
        }
        self.complete()
    }

    /// The message, if the fragments are one: otherwise they are lost, and will be repeated.
    fn complete(&mut self) -> Received {
        let whole = core::mem::take(self);
        let message = whole.fragments.into_values().collect::<Vec<_>>().concat();
        match whole.message {
            Some((_, expected)) if tag(&message) == expected => Received::Message(message),
            _ => Received::Nothing,
        }
    }
}

/// How many bytes of pushes fit into a frame.
pub(crate) fn max_push_bytes(config: &SessionConfig) -> usize {
    config.max_frame_bytes.saturating_sub(Header::MAX_BYTES)
}

/// A push as it goes into a frame, if it fits into one: what is longer is left to anti-entropy.
pub(crate) fn encode_push(push: &Push, config: &SessionConfig) -> Option<Vec<u8>> {
    postcard::to_allocvec(push).ok().filter(|bytes| bytes.len() <= max_push_bytes(config))
}

/// The frame of one encoded push, or of several one behind the other. There is no session, and where its number stands is the
/// `schema_id`: a push comes without a session in which the sides would find out that their settings differ.
pub(crate) fn encode_push_frame(pushes: &[u8], config: &SessionConfig) -> Vec<u8> {
    Header { kind: FrameKind::Push, session: config.schema_id, exchange: 0 }.encode(0, 1, pushes, config.checksum)
}
