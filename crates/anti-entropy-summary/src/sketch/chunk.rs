//! Cells on their way to a peer.

use alloc::vec::Vec;
use core::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};
use thiserror::Error;

use super::MAX_CELLS;
use super::cell::Cell;

/// Some cells of a sketch, one behind the other.
///
/// Encoded as the index of the first one, and a byte string of [`Cell::LEN`] bytes for each.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Chunk {
    start: u32,
    cells: Vec<Cell>,
}

/// Bytes that are no chunk's encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChunkError {
    /// They end before the chunk does.
    #[error("the chunk is cut off; nothing was decoded")]
    Truncated,
    /// They are no chunk, not in the shortest form, or go on behind it.
    #[error("not the encoding of a chunk of cells; nothing was decoded")]
    Malformed,
    /// The chunk reaches beyond [`MAX_CELLS`].
    #[error("the chunk reaches beyond the greatest number of cells; nothing was decoded")]
    TooManyCells,
}

impl Chunk {
    /// The cells from index `start` on. `None` if they reach beyond [`MAX_CELLS`].
    pub fn new(start: usize, cells: Vec<Cell>) -> Option<Self> {
        let end = start.checked_add(cells.len())?;
        let start = u32::try_from(start).ok()?;
        (end <= MAX_CELLS).then_some(Self { start, cells })
    }

    /// The index of the first cell.
    pub fn start(&self) -> usize {
        self.start as usize
    }

    /// The index behind the last cell.
    pub fn end(&self) -> usize {
        self.start() + self.cells.len()
    }

    /// The cells.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// The encoding by itself, as in a message.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Numbers and byte strings encode to memory without fail.
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// The chunk of which `bytes` are the encoding, and nothing else.
    ///
    /// # Errors
    /// If they are not; nothing was decoded. Takes no more memory than the bytes suggest, whatever they are.
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
