//! Replies with sketches as they travel in frames (docs/protocol.md, "Frames" and "Messages").

use std::collections::BTreeMap;

use anti_entropy::KeyHash;
use anti_entropy::session::{Frame, PROTOCOL_VERSIONS};
use anti_entropy::summary::sketch::Chunk;
use sha2::{Digest, Sha256};

use crate::history::NodeIndex;

/// The length of a frame's checksum.
const CHECKSUM: usize = 8;
/// Fragments of a message begin with this many bytes of its hash.
pub(super) const TAG: usize = 8;

/// The fragments of replies that are not complete yet.
#[derive(Default)]
pub(crate) struct Replies {
    pieces: BTreeMap<ReplyName, BTreeMap<u32, Vec<u8>>>,
    /// The number of the first reply of the last session with each peer: later replies have other numbers.
    begun: BTreeMap<NodeIndex, u64>,
}

/// Identifies a reply among all those of a node.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct ReplyName {
    to: NodeIndex,
    session: u64,
    exchange: u32,
    tag: Vec<u8>,
}

impl Replies {
    pub(super) fn clear(&mut self) {
        self.pieces.clear();
        self.begun.clear();
    }

    /// What the replies of one session to a peer have in common.
    pub(super) fn session(&mut self, to: NodeIndex, header: &Header) -> u64 {
        if header.exchange == 0 {
            self.begun.insert(to, header.session);
        }
        self.begun.get(&to).copied().unwrap_or(header.session)
    }

    /// Adds a frame. Returns the message that is complete with it, if one is.
    pub(super) fn add(&mut self, to: NodeIndex, frame: &Frame<'_>) -> Option<Vec<u8>> {
        if frame.fragments == 1 {
            return Some(frame.payload.to_vec());
        }
        let (tag, piece) = frame.payload.split_at_checked(TAG)?;
        let name = ReplyName { to, session: frame.session, exchange: frame.exchange, tag: tag.to_vec() };
        let pieces = self.pieces.entry(name.clone()).or_default();
        pieces.insert(frame.fragment, piece.to_vec());
        if pieces.len() < frame.fragments as usize {
            return None;
        }
        let pieces = self.pieces.remove(&name)?;
        Some(pieces.into_values().collect::<Vec<_>>().concat())
    }
}

/// A reply with cells, in three parts.
pub(super) struct Split<'a> {
    pub(super) before: &'a [u8],
    pub(super) chunk: Chunk,
    pub(super) after: &'a [u8],
}

/// Splits a reply at its cells; `None` if it has none.
pub(super) fn split(message: &[u8]) -> Option<Split<'_>> {
    let cells = from_cells(message)?;
    let ((_, _), after) = postcard::take_from_bytes::<(u32, &[u8])>(cells).ok()?;
    let chunk = Chunk::from_bytes(&cells[..cells.len() - after.len()]).ok()?;
    Some(Split { before: &message[..message.len() - cells.len()], chunk, after })
}

/// The part of a reply from its chunk of cells on.
fn from_cells(message: &[u8]) -> Option<&[u8]> {
    const DIFFERS: u8 = 1;
    const CELLS: u8 = 5;
    const FIRST_IS_CELLS: u8 = 2;
    let (kind, rest) = message.split_first()?;
    match *kind {
        DIFFERS => {
            type Claims = ([u8; 8], u64, [u8; 8], [u8; 8], u64);
            type Fields = ([u8; 8], Option<Vec<KeyHash>>, Claims, u8);
            let (fields, cells) = postcard::take_from_bytes::<Fields>(rest).ok()?;
            (fields.3 == FIRST_IS_CELLS).then_some(cells)
        }
        CELLS => Some(rest),
        _ => None,
    }
}

/// Whether a frame is a whole reply with the first cells of a sketch.
pub(super) fn begins_a_sketch(frame: &[u8]) -> bool {
    const REPLY: u8 = 1;
    if frame.get(1).is_none_or(|kind| kind & 0x7f != REPLY) || frame.len() < HEADER + CHECKSUM {
        return false;
    }
    let Ok(((_, _, fragments), message)) = postcard::take_from_bytes::<(u32, u32, u32)>(&frame[HEADER..]) else {
        return false;
    };
    let message = &message[..message.len().saturating_sub(CHECKSUM)];
    fragments == 1 && split(message).is_some_and(|reply| reply.chunk.start() == 0)
}

/// The length of version, kind and session.
const HEADER: usize = 10;

/// A frame of one push (docs/protocol.md, "Frames").
pub(super) fn push_frame(schema_id: u64, push: &[u8]) -> Vec<u8> {
    const CHECKED_PUSH: u8 = 0x82;
    let numbers = postcard::to_allocvec(&(0_u32, 0_u32, 1_u32)).expect("numbers can be encoded");
    let mut frame = [&[*PROTOCOL_VERSIONS.end(), CHECKED_PUSH][..], &schema_id.to_be_bytes(), &numbers, push].concat();
    let checksum = Sha256::digest(&frame);
    frame.extend_from_slice(&checksum[..CHECKSUM]);
    frame
}

/// The fields that all frames of a message have in common.
pub(super) struct Header {
    pub(super) kind: u8,
    pub(super) session: u64,
    pub(super) exchange: u32,
}

impl Header {
    /// The kinds of frames with a checksum.
    pub(super) const REQUEST: u8 = 0x80;
    pub(super) const REPLY: u8 = 0x81;
    /// The greatest length of a frame without its payload: three varints of five bytes, and the checksum.
    pub(super) const MAX: usize = HEADER + 3 * 5 + CHECKSUM;

    pub(super) fn frames(&self, message: &[u8], max_frame_bytes: usize) -> Vec<Vec<u8>> {
        let most = max_frame_bytes - Self::MAX;
        if message.len() <= most {
            return vec![self.frame(0, 1, message)];
        }
        let pieces: Vec<_> = message.chunks(most - TAG).collect();
        let count = u32::try_from(pieces.len()).expect("a message is not that long");
        let tag = &Sha256::digest(message)[..TAG];
        (0..).zip(pieces).map(|(index, piece)| self.frame(index, count, &[tag, piece].concat())).collect()
    }

    fn frame(&self, fragment: u32, fragments: u32, payload: &[u8]) -> Vec<u8> {
        const VERSION: u8 = *PROTOCOL_VERSIONS.end();
        let numbers = postcard::to_allocvec(&(self.exchange, fragment, fragments)).expect("numbers can be encoded");
        let mut frame = [&[VERSION, self.kind][..], &self.session.to_be_bytes(), &numbers, payload].concat();
        let checksum = Sha256::digest(&frame);
        frame.extend_from_slice(&checksum[..CHECKSUM]);
        frame
    }
}
