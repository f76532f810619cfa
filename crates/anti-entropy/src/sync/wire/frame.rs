//! Frames, as a transport carries them (docs/protocol.md, "Frames").
//!
//! ```text
//! version u8 | kind u8 | session u64 | exchange varint | fragment varint | fragments varint | payload | checksum u64
//! ```
//!
//! Version, kind and session have the same places in every version of the protocol, and every version reads a refusal.
//! Bit 7 of the kind says whether there is a checksum: the first eight bytes of SHA-256 over everything before it.

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use sha2::{Digest, Sha256};

use crate::refusal::Refusal;
use crate::sync::SessionConfig;

/// The protocol versions that this release supports.
pub const PROTOCOL_VERSIONS: RangeInclusive<u8> = 2..=2;

const CHECKSUM_BIT: u8 = 0x80;
const CHECKSUM_BYTES: usize = 8;
/// Version, kind and session.
const FIXED_BYTES: usize = 10;

/// A frame that was read: its header and checksum are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the frame is part of.
    pub kind: FrameKind,
    /// The number of the session: the opener's in its first request, and the answerer's in further ones. In a reply, the
    /// opener's and the tag of the request that is answered.
    pub session: u64,
    /// The number of the request, from 0, that the frame is part of or replies to.
    pub exchange: u32,
    /// Which of the message's fragments this is, from 0.
    pub fragment: u32,
    /// How many fragments the message has, at least 1.
    pub fragments: u32,
    /// The bytes of the fragment.
    pub payload: &'a [u8],
    len: usize,
}

/// What a frame is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameKind {
    /// A request from the opener of a session.
    Request,
    /// A reply to it.
    Reply,
    /// A write or delete that is sent at once, outside of sessions.
    Push,
    /// The receiver does not support the sender's protocol version. The payload says which versions it supports.
    Refusal,
}

impl<'a> Frame<'a> {
    /// Reads a frame. It must have a checksum if [`SessionConfig::checksum`] says so.
    ///
    /// # Errors
    /// If the bytes are not a frame of a supported version.
    pub fn decode(bytes: &'a [u8], config: &SessionConfig) -> Result<Self, Refusal> {
        let (fixed, _) = bytes.split_first_chunk::<FIXED_BYTES>().ok_or(Refusal::FrameTooShort)?;
        let [version, kind, session @ ..] = *fixed;
        let session = u64::from_be_bytes(session);
        let refusal = kind & !CHECKSUM_BIT == FrameKind::Refusal.code();
        if !PROTOCOL_VERSIONS.contains(&version) && !refusal {
            return Err(Refusal::FrameVersion { version, session });
        }
        let content = match (kind & CHECKSUM_BIT != 0, config.checksum) {
            (false, true) => return Err(Refusal::FrameUnchecked),
            (false, false) => bytes,
            (true, _) => verified(bytes)?,
        };
        let rest = content.get(FIXED_BYTES..).ok_or(Refusal::FrameTooShort)?;
        let kind = FrameKind::from_code(kind & !CHECKSUM_BIT)?;
        let ((exchange, fragment, fragments), payload): ((u32, u32, u32), _) =
            postcard::take_from_bytes(rest).map_err(|_| Refusal::FrameHeader)?;
        if fragment >= fragments {
            return Err(Refusal::FrameHeader);
        }
        Ok(Self { kind, session, exchange, fragment, fragments, payload, len: bytes.len() })
    }

    /// The length of the whole frame in bytes.
    pub const fn len_bytes(&self) -> usize {
        self.len
    }

    /// Whether these are the bytes of pushes, if they are a frame at all.
    #[cfg(feature = "std")]
    pub(crate) fn carries_pushes(bytes: &[u8]) -> bool {
        bytes.get(1).is_some_and(|kind| kind & !CHECKSUM_BIT == FrameKind::Push.code())
    }

    /// Whether this is the first frame of a session.
    pub fn opens(&self) -> bool {
        self.kind == FrameKind::Request && self.exchange == 0
    }
}

impl FrameKind {
    const fn code(self) -> u8 {
        match self {
            Self::Request => 0,
            Self::Reply => 1,
            Self::Push => 2,
            Self::Refusal => 3,
        }
    }

    const fn from_code(code: u8) -> Result<Self, Refusal> {
        match code {
            0 => Ok(Self::Request),
            1 => Ok(Self::Reply),
            2 => Ok(Self::Push),
            3 => Ok(Self::Refusal),
            other => Err(Refusal::FrameKind(other)),
        }
    }
}

/// The frame without its checksum, if that is right.
fn verified(bytes: &[u8]) -> Result<&[u8], Refusal> {
    let (content, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(Refusal::FrameTooShort)?;
    if content.len() < FIXED_BYTES {
        return Err(Refusal::FrameTooShort);
    }
    if checksum(content) == *sum { Ok(content) } else { Err(Refusal::FrameDamaged) }
}

fn checksum(content: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let hash: [u8; 32] = Sha256::digest(content).into();
    *hash.first_chunk().expect("32 bytes start with 8")
}

/// What all frames of a message have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) kind: FrameKind,
    pub(crate) session: u64,
    pub(crate) exchange: u32,
}

impl Header {
    /// The most bytes that a header and a checksum take.
    pub(crate) const MAX_BYTES: usize = FIXED_BYTES + 3 * 5 + CHECKSUM_BYTES;

    pub(crate) fn encode(self, fragment: u32, fragments: u32, payload: &[u8], with_checksum: bool) -> Vec<u8> {
        let mut frame = Vec::with_capacity(Self::MAX_BYTES + payload.len());
        frame.push(*PROTOCOL_VERSIONS.end());
        frame.push(self.kind.code() | if with_checksum { CHECKSUM_BIT } else { 0 });
        frame.extend_from_slice(&self.session.to_be_bytes());
        let numbers = (self.exchange, fragment, fragments);
        let mut frame = postcard::to_extend(&numbers, frame).expect("numbers serialise, and memory grows");
        frame.extend_from_slice(payload);
        if with_checksum {
            let sum = checksum(&frame);
            frame.extend_from_slice(&sum);
        }
        frame
    }
}

/// The frame that tells a peer of another version which versions are spoken here.
pub(crate) fn encode_version_refusal(session: u64, with_checksum: bool) -> Vec<u8> {
    let versions = [*PROTOCOL_VERSIONS.start(), *PROTOCOL_VERSIONS.end()];
    Header { kind: FrameKind::Refusal, session, exchange: 0 }.encode(0, 1, &versions, with_checksum)
}
