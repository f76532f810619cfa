//! Frames and messages made by hand (docs/protocol.md, "Frames" and "Messages").

use anti_entropy::clock::{Dot, RangeClocks, ReplicaId, VectorClock};
use anti_entropy::summary::{MerkleTree, Root};
use anti_entropy::{KeyHash, KeyRange};
use serde::Serialize;
use sha2::{Digest, Sha256};

const VERSION: u8 = 2;
const REQUEST: u8 = 0;
const PUSH: u8 = 2;

const OPEN: u8 = 0;
const ASK: u8 = 1;
const BATCH: u8 = 2;
const ABORT: u8 = 5;

fn encoded(message: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(message).expect("numbers can be encoded")
}

/// A frame without a checksum, as the transport proves who has sent it.
fn frame(kind: u8, session: u64, numbers: (u32, u32, u32), payload: &[u8]) -> Vec<u8> {
    [&[VERSION, kind][..], &session.to_be_bytes(), &encoded(&numbers), payload].concat()
}

/// A request in one frame.
pub(super) fn request(session: u64, exchange: u32, message: &[u8]) -> Vec<u8> {
    frame(REQUEST, session, (exchange, 0, 1), message)
}

/// A fragment of a request whose last one never comes.
pub(super) fn fragment(session: u64, exchange: u32, (number, of): (u32, u32)) -> Vec<u8> {
    const TAG: [u8; 8] = [0xf1; 8];
    const BYTES: usize = 32 << 10;
    frame(REQUEST, session, (exchange, number, of), &[&TAG[..], &vec![0x5a; BYTES]].concat())
}

/// What names the reply to a request, beside the number of the session.
pub(super) fn tag(message: &[u8]) -> u64 {
    Sha256::digest(message).first_chunk().map_or(0, |tag| u64::from_be_bytes(*tag))
}

/// An opening by somebody who holds a million entries, and can decode no sketch.
pub(super) fn open(schema_id: u64) -> Vec<u8> {
    let root: [u8; 32] = core::array::from_fn(|_| fastrand::u8(..));
    let (context, own) = (fastrand::u64(..).to_be_bytes(), fastrand::u64(..).to_be_bytes());
    let (state, short_width, no_cuts) = ((root, context, None::<()>), 0_u8, None::<()>);
    let (entries, tally, max_cells) = (1_000_000_u64, [0_u8; 16], 0_u32);
    encoded(&(OPEN, schema_id, state, short_width, no_cuts, entries, tally, max_cells, own))
}

/// What is there at all?
pub(super) fn ask() -> Vec<u8> {
    let (everything, full_width): (&[u8], u8) = (&[0x80], 1);
    encoded(&(ASK, [everything].as_slice(), full_width))
}

pub(super) fn ask_for_nothing() -> Vec<u8> {
    let (nothing, full_width) = ([(); 0].as_slice(), 1_u8);
    encoded(&(ASK, nothing, full_width))
}

pub(super) fn abort() -> Vec<u8> {
    vec![ABORT]
}

/// No message.
pub(super) fn garbage() -> Vec<u8> {
    vec![0xff; 100]
}

/// A batch of somebody who holds nothing and has seen nothing: all that the other holds comes back.
pub(super) fn nothing() -> Vec<u8> {
    batch(vec![(KeyHash::MIN, VectorClock::default())], empty(), 0)
}

/// A batch whose digest is wrong.
pub(super) fn untrue() -> Vec<u8> {
    batch(vec![(KeyHash::MIN, VectorClock::default())], Root::from_bytes([0xee; 32]), 0)
}

/// A batch of somebody who has seen more writes of the receiver than the receiver has made.
pub(super) fn claim() -> Vec<u8> {
    batch(vec![(KeyHash::MIN, VectorClock::default())], empty(), 1 << 40)
}

/// A batch of somebody who has seen a write of another made-up id in each of many ranges.
pub(super) fn invention() -> Vec<u8> {
    const PIECES: u128 = 64;
    let piece = |number: u128| {
        let mut clock = VectorClock::default();
        clock.set(ReplicaId::from_u128(fastrand::u128(..)), 1);
        (KeyHash::from_u128(number * (u128::MAX / PIECES + 1)), clock)
    };
    batch((0..PIECES).map(piece).collect(), empty(), 0)
}

fn empty() -> Root {
    MerkleTree::<Sha256>::new().root()
}

/// A whole batch of all of the space without an entry.
fn batch(clocks: Vec<(KeyHash, VectorClock)>, digest: Root, knows: u64) -> Vec<u8> {
    let clocks = RangeClocks::new(KeyRange::ALL, clocks).expect("the starts ascend");
    let (whole_clocks, whole, changes, state) = (0_u8, 1_u8, [(); 0].as_slice(), None::<()>);
    let (claim, life) = ((knows, [0_u8; 8]), (1_u64.to_be_bytes(), 0_u64));
    let takes = (64_u64 << 20, [(); 0].as_slice());
    encoded(&(BATCH, whole_clocks, clocks, whole, digest, changes, state, claim, life, takes))
}

/// A frame full of pushes that have to be refused: deletes of nothing.
pub(super) fn refused_pushes(schema_id: u64) -> Vec<u8> {
    const PUSHES: usize = 1_000;
    let replica = ReplicaId::from_u128(fastrand::u128(..));
    let push = |_| {
        let (key, dot) = (KeyHash::from_u128(fastrand::u128(..)), Dot { replica, counter: 1 });
        encoded(&(key, dot, [(); 0].as_slice(), None::<()>))
    };
    frame(PUSH, schema_id, (0, 0, 1), &(0..PUSHES).flat_map(push).collect::<Vec<u8>>())
}

/// A frame of a session that does not exist.
pub(super) fn nonsense() -> Vec<u8> {
    const BYTES: usize = 16 << 10;
    frame(REQUEST, fastrand::u64(..), (1, 0, 1), &[0x5a; BYTES])
}
