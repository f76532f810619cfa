//! The frames of a comparison of spaces (docs/protocol.md, "Spaces that two nodes share").

use alloc::vec::Vec;

use crate::replica::canonical_from_bytes;
use crate::summary::compare::{Answer, Ask};

const VERSION: u8 = 2;
const ASK: u8 = 0;
const ANSWER: u8 = 1;
/// Version, kind and number.
pub(super) const HEADER_BYTES: usize = 2 + size_of::<u64>();
/// The most bytes that a prefix takes in a question.
const PREFIX_BYTES: usize = 18;
/// The number of prefixes, and the width of what is asked for.
const ASK_BYTES: usize = 10 + 1;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Ask(Ask),
    Answer(Answer),
}

/// How many prefixes fit into a question of this length.
pub(super) fn prefixes_in(frame_bytes: usize) -> usize {
    frame_bytes.saturating_sub(HEADER_BYTES + ASK_BYTES) / PREFIX_BYTES
}

pub(super) fn encode(number: u64, body: &Body) -> Vec<u8> {
    let (kind, encoded) = match body {
        Body::Ask(ask) => (ASK, postcard::to_allocvec(ask)),
        Body::Answer(answer) => (ANSWER, postcard::to_allocvec(answer)),
    };
    let encoded = encoded.expect("a vector takes what there is memory for");
    let mut frame = Vec::with_capacity(HEADER_BYTES + encoded.len());
    frame.extend_from_slice(&[VERSION, kind]);
    frame.extend_from_slice(&number.to_be_bytes());
    frame.extend_from_slice(&encoded);
    frame
}

pub(super) fn decode(frame: &[u8]) -> Option<(u64, Body)> {
    let (head, rest) = frame.split_first_chunk::<2>()?;
    let (number, encoded) = rest.split_first_chunk()?;
    let body = match *head {
        [VERSION, ASK] => Body::Ask(canonical_from_bytes(encoded).ok()?),
        [VERSION, ANSWER] => Body::Answer(canonical_from_bytes(encoded).ok()?),
        _ => return None,
    };
    Some((u64::from_be_bytes(*number), body))
}
