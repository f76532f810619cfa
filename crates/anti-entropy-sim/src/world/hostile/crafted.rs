//! Messages made by hand (docs/protocol.md, "Messages").

use anti_entropy::clock::{Dot, RangeClocks, ReplicaId, VectorClock};
use anti_entropy::session::{Frame, FrameKind};
use anti_entropy::summary::MerkleTree;
use anti_entropy::{KeyHash, KeyRange};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::world::replies::{Header, TAG};

/// How many ranges clocks with made-up ids have.
const PIECES: u128 = 64;

/// The kinds of requests.
const OPEN: u8 = 0;
const ASK: u8 = 1;
const BATCH: u8 = 2;
const MORE: u8 = 3;
const CLOSE: u8 = 4;
const ABORT: u8 = 5;

/// What a reply says of the session that was opened.
pub(super) enum Differs {
    /// They differ, and the session has this number from now on.
    Yes(u64),
    /// The session goes on.
    Goes,
    /// The session is over.
    Over,
}

pub(super) fn differs(frame: &Frame<'_>) -> Differs {
    const EQUAL: u8 = 0;
    const DIFFERS: u8 = 1;
    const BUSY: u8 = 2;
    const REFUSED: u8 = 6;
    if frame.kind != FrameKind::Reply {
        return Differs::Over;
    }
    if frame.fragment > 0 {
        return Differs::Goes;
    }
    let payload = frame.payload.get(if frame.fragments > 1 { TAG } else { 0 }..).unwrap_or(&[]);
    match payload.split_first() {
        Some((&DIFFERS, rest)) => {
            rest.first_chunk().map_or(Differs::Over, |nonce| Differs::Yes(u64::from_be_bytes(*nonce)))
        }
        Some((&(EQUAL | BUSY | REFUSED), _)) => Differs::Over,
        _ => Differs::Goes,
    }
}

/// What names the reply to a request, besides its session.
pub(super) fn tag(message: &[u8]) -> u64 {
    Sha256::digest(message).first_chunk().map_or(0, |tag| u64::from_be_bytes(*tag))
}

fn encoded(message: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(message).expect("numbers can be encoded")
}

/// An opening by somebody who holds a million entries, and can decode no sketch.
pub(super) fn open(schema_id: u64, random: &mut fastrand::Rng) -> Vec<u8> {
    const ENTRIES: u64 = 1_000_000;
    const SHORT: u8 = 0;
    let root: [u8; 32] = core::array::from_fn(|_| random.u8(..));
    let context = random.u64(..).to_be_bytes();
    let state = (root, context, None::<()>);
    let (tally, max_cells, own) = ([0_u8; 16], 0_u32, random.u64(..).to_be_bytes());
    encoded(&(OPEN, schema_id, state, SHORT, None::<()>, ENTRIES, tally, max_cells, own))
}

/// What is there at all?
pub(super) fn ask() -> Vec<u8> {
    const FULL: u8 = 1;
    const EVERYTHING: &[u8] = &[0x80];
    encoded(&(ASK, [EVERYTHING].as_slice(), FULL))
}

pub(super) fn abort() -> Vec<u8> {
    vec![ABORT]
}

/// A batch of somebody who holds nothing, and has seen a write of a made-up id in each of many ranges.
pub(super) fn pieces(random: &mut fastrand::Rng) -> Vec<u8> {
    let piece = |number: u128| {
        let mut clock = VectorClock::default();
        clock.set(ReplicaId::from_u128(random.u128(..)), 1);
        (KeyHash::from_u128(number * (u128::MAX / PIECES + 1)), clock)
    };
    batch((0..PIECES).map(piece).collect(), &[[(); 0]; 0])
}

/// A batch of somebody who holds nothing, and has seen nothing.
pub(super) fn nothing() -> Vec<u8> {
    batch(vec![(KeyHash::MIN, VectorClock::default())], &[[(); 0]; 0])
}

/// A batch of one value that has a great many parts without a byte in them.
pub(super) fn empty_parts(writer: ReplicaId) -> Vec<u8> {
    const PARTS: usize = 100_000;
    const PRESENT: u8 = 1;
    const SENT: u8 = 1;
    let dot = Dot { replica: writer, counter: 1 };
    let mut clock = VectorClock::default();
    clock.observe(dot);
    let (key, timestamp, body) = ([0_u8].as_slice(), (1_u64, 0_u32), [0_u8; 0].as_slice());
    let parts = vec![(SENT, body); PARTS];
    let version = (dot, timestamp, SENT, body, parts);
    batch(vec![(KeyHash::MIN, clock)], &[(PRESENT, key, [version].as_slice())])
}

fn batch(clocks: Vec<(KeyHash, VectorClock)>, changes: &[impl Serialize]) -> Vec<u8> {
    const WHOLE_CLOCKS: u8 = 0;
    const WHOLE: u8 = 1;
    const LONGEST_MESSAGE: u64 = 64 << 20;
    let clocks = RangeClocks::new(KeyRange::ALL, clocks).expect("the starts ascend");
    let nothing = MerkleTree::<Sha256>::new().root();
    let life = (1_u64.to_be_bytes(), 0_u64);
    let claim = (0_u64, [0_u8; 8]);
    let (state, takes) = (None::<()>, (LONGEST_MESSAGE, [(); 0].as_slice()));
    encoded(&(BATCH, WHOLE_CLOCKS, clocks, WHOLE, nothing, changes, state, claim, life, takes))
}

/// The push of a delete that finds nothing, and says that it replaces the first write of another id.
pub(super) fn delete(replica: ReplicaId, counter: u64, other: ReplicaId, random: &mut fastrand::Rng) -> Vec<u8> {
    let seen = [Dot { replica: other, counter: 1 }];
    encoded(&(KeyHash::from_u128(random.u128(..)), Dot { replica, counter }, seen.as_slice(), None::<()>))
}

/// A whole frame of a session that nobody has opened.
pub(super) fn nonsense(random: &mut fastrand::Rng) -> Vec<u8> {
    let header = Header { kind: 0x80 | random.u8(0..3), session: random.u64(..), exchange: random.u32(0..3) };
    let message: Vec<u8> = (0..random.usize(1..400)).map(|_| random.u8(..)).collect();
    header.frames(&message, Header::MAX + 400).swap_remove(0)
}

/// Whether a frame says what became of a batch.
pub(super) fn acknowledges(frame: &Frame<'_>) -> bool {
    match frame.kind {
        FrameKind::Reply => frame.exchange > 0,
        FrameKind::Request => matches!(frame.payload.first(), Some(&(MORE | CLOSE))),
        _ => false,
    }
}
