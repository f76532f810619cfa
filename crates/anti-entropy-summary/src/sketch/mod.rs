//! The rateless sketch: finds the differences of two sets in one round trip, however large the sets are.
//!
//! Each entry is a [`Symbol`] of 16 bytes. A sketch is an endless row of [`Cell`]s, each of which is the sum of some of
//! the symbols. The hash of a symbol decides which cells it falls into: cell 0 has all symbols, cell *i* has each of
//! them with probability 1 / (1 + *i*/2). If the sketches of two sets are subtracted cell by cell, the result is the
//! sketch of their difference. A cell in which only one symbol is left shows that symbol. It is then removed from all
//! other cells, which leaves more cells with a single symbol. *d* symbols take about 1.36 *d* cells, or 1.7 *d* if they
//! are few. Nobody has to know *d* beforehand: the peer sends more cells until decoding succeeds.
//!
//! - A [`Sketch`] keeps the first cells of a set up to date while the set changes.
//! - An [`Encoder`] computes the cells of a snapshot, or of a range of it, as many as are asked for.
//! - A [`Chunk`] is a sequence of cells as it is sent to a peer.
//! - A [`Decoder`] takes in a peer's chunks and finds the differences.
//!
//! **A sketch finds differences, it does not prove that there are no others.** Cells are sums of symbols that are not
//! keyed, so that a peer can make up any cells. The decoder stays within its [limits](DecoderLimits) whatever it is
//! sent. If it found wrong differences or missed some, the roots of the two sets will differ afterwards.
//!
//! The construction is from Yang, Gilad, Alizadeh, "Practical Rateless Set Reconciliation", SIGCOMM 2024.
//! docs/protocol.md, "Sketch", defines symbols, sums and encoding byte by byte.
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

/// The most cells that a sketch ever has: 20 MB when they are sent, for about 760,000 symbols.
pub const MAX_CELLS: usize = 1 << 20;
