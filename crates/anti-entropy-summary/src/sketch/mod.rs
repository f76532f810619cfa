//! The rateless sketch: finds what differs between two sets in one round trip, however large they are.
//!
//! Each entry is a [`Symbol`] of 16 bytes. A sketch is an endless row of [`Cell`]s, each the sum of some of the
//! symbols; which ones, their hash decides. Cell 0 holds all, cell *i* each with probability 1 / (1 + *i*/2). The
//! sketches of two sets, subtracted cell by cell, are the sketch of their difference. Where just one symbol is left in
//! a cell, it is read off and taken out of all others, which leaves more cells with one symbol. *d* symbols take about
//! 1.36 *d* cells, 1.7 *d* where they are few, and nobody has to know *d*: more cells are sent until it works.
//!
//! - A [`Sketch`] keeps the first cells of a set up to date while the set changes.
//! - An [`Encoder`] gives the cells of a snapshot, or of a range of it, as many as are asked for.
//! - A [`Chunk`] is a piece of the row on its way to a peer.
//! - A [`Decoder`] takes in a peer's chunks and says what differs.
//!
//! **A sketch finds, it never decides.** Symbols are not keyed and cells are sums, so that a peer can make up what it
//! likes. The decoder ends within its [limits](DecoderLimits) whatever it is fed. What it found wrongly, or not at all,
//! shows when the roots of the two sets are compared.
//!
//! The construction is from Yang, Gilad, Alizadeh, "Practical Rateless Set Reconciliation", SIGCOMM 2024. What is
//! summed up and sent is defined byte by byte in docs/protocol.md, "Sketch".
//!
//! ```
//! use anti_entropy_summary::sketch::{Chunk, DecodeStatus, Decoder, DecoderLimits, Encoder};
//! use anti_entropy_summary::{Fingerprint, KeyHash, MerkleTree};
//!
//! let entries = (0..10_000).map(|number| (KeyHash::from_u128(number << 100), Fingerprint::from_bytes([7; 32])));
//! let mut tree: MerkleTree = MerkleTree::from_entries(entries);
//! let theirs = tree.snapshot();
//! let (changed, added) = (KeyHash::from_u128(5 << 100), KeyHash::from_u128(1 << 64));
//! tree.insert(changed, Fingerprint::from_bytes([8; 32]));
//! tree.insert(added, Fingerprint::from_bytes([9; 32]));
//!
//! let mut peer = Encoder::new(theirs);
//! let sent = peer.chunk(0, 16).to_bytes();
//!
//! let mut decoder = Decoder::new(Encoder::new(tree.snapshot()), DecoderLimits::default())?;
//! assert_eq!(decoder.handle_chunk(&Chunk::from_bytes(&sent)?), DecodeStatus::Complete);
//! let found: Vec<_> = decoder.differences().unwrap().into_iter().map(|found| (found.key, found.theirs.is_some())).collect();
//! assert_eq!(found, [(added, false), (changed, true)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cell;
mod chunk;
mod decoded;
mod decoder;
mod differences;
mod encoder;
mod estimate;
mod maintained;
mod symbol;

pub use cell::Cell;
pub use chunk::{Chunk, ChunkError};
pub use decoded::{DecodeFailure, DecodedSymbol, Side};
pub use decoder::{DecodeStatus, Decoder, DecoderLimits};
pub use encoder::Encoder;
pub use estimate::cells_for;
pub use maintained::{Sketch, SketchConfig};
pub use symbol::{Indices, Symbol};

/// No more cells of a sketch than these are ever made or taken in: 20 MB as they are sent, for some 760,000 symbols.
pub const MAX_CELLS: usize = 1 << 20;
