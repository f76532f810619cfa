//! Cells as they are sent to a peer.

use alloc::vec::Vec;
use core::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};
use thiserror::Error;

use super::MAX_CELLS;
use super::cell::Cell;

/// Consecutive cells of a sketch.
///
/// Encoded as the index of the first cell, and a byte string with [`Cell::LEN`] bytes for each cell.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Chunk {
    start: u32,
    cells: Vec<Cell>,
}

/// Why bytes do not decode to a [`Chunk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChunkError {
    /// The bytes are cut off.
    #[error("the chunk is cut off; nothing was decoded")]
    Truncated,
    /// The bytes are not a chunk, are not in the shortest form, or are followed by others.
    #[error("not the encoding of a chunk of cells; nothing was decoded")]
    Malformed,
    /// The chunk has cells at or above index [`MAX_CELLS`].
    #[error("the chunk reaches beyond the greatest number of cells; nothing was decoded")]
    TooManyCells,
}

impl Chunk {
    /// A chunk of cells, the first of which has index `start`. `None` if one has an index of [`MAX_CELLS`] or more.
    pub fn new(start: usize, cells: Vec<Cell>) -> Option<Self> {
        let end = start.checked_add(cells.len())?;
        let start = u32::try_from(start).ok()?;
        (end <= MAX_CELLS).then_some(Self { start, cells })
    }

    /// The index of the first cell.
    pub fn start(&self) -> usize {
        self.start as usize
    }

    /// The index after the last cell.
    pub fn end(&self) -> usize {
        self.start() + self.cells.len()
    }

    /// The cells.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Encodes the chunk, as it is encoded within a message.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Numbers and byte strings encode to memory without fail.
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// Decodes a chunk from exactly these bytes.
    ///
    /// # Errors
    /// If the bytes are not the encoding of a chunk. Memory is bounded by the length of the bytes, whatever lengths
    /// they state.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ChunkError> {
        let (start, bytes) = read_varint(bytes)?;
        let (length, bytes) = read_varint(bytes)?;
        let length = length as usize;
        if bytes.len() < length {
            return Err(ChunkError::Truncated);
        }
        if bytes.len() > length {
            return Err(ChunkError::Malformed);
        }
        let cells = cells_of(bytes).ok_or(ChunkError::Malformed)?;
        Self::new(start as usize, cells).ok_or(ChunkError::TooManyCells)
    }
}

/// The number that the bytes start with, if it has the shortest form, and what is behind it.
fn read_varint(bytes: &[u8]) -> Result<(u32, &[u8]), ChunkError> {
    let (number, rest) = postcard::take_from_bytes::<u32>(bytes).map_err(|error| match error {
        postcard::Error::DeserializeUnexpectedEnd => ChunkError::Truncated,
        _ => ChunkError::Malformed,
    })?;
    let shortest = (u32::BITS - number.leading_zeros()).div_ceil(7).max(1) as usize;
    if bytes.len() - rest.len() == shortest { Ok((number, rest)) } else { Err(ChunkError::Malformed) }
}

/// The cells that were sent as these bytes. `None` if that is no whole number of cells.
fn cells_of(bytes: &[u8]) -> Option<Vec<Cell>> {
    let (cells, rest) = bytes.as_chunks::<{ Cell::LEN }>();
    rest.is_empty().then(|| cells.iter().map(|bytes| Cell::from_bytes(*bytes)).collect())
}

/// Cells as a byte string.
struct CellBytes(Vec<Cell>);

impl Serialize for Chunk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.start, SentCells(&self.cells)).serialize(serializer)
    }
}

struct SentCells<'a>(&'a [Cell]);

impl Serialize for SentCells<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|cell| cell.to_bytes()).collect();
        serializer.serialize_bytes(&bytes)
    }
}

impl<'de> Deserialize<'de> for Chunk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (start, CellBytes(cells)) = <(u32, CellBytes)>::deserialize(deserializer)?;
        Self::new(start as usize, cells).ok_or_else(|| de::Error::custom(ChunkError::TooManyCells))
    }
}

impl<'de> Deserialize<'de> for CellBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;

        impl Visitor<'_> for Bytes {
            type Value = CellBytes;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("the bytes of some cells")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<CellBytes, E> {
                cells_of(bytes).map(CellBytes).ok_or_else(|| E::custom(ChunkError::Malformed))
            }
        }

        deserializer.deserialize_bytes(Bytes)
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({}..{})", self.start(), self.end())
    }
}
