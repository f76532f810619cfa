//! Postcard with bounds: on how deep a value nests, on how many elements its lengths claim, and on the collections it
//! is decoded into.
//!
//! Serde recurses for each level of a value. Without a bound, a few kilobytes of a type that contains itself overflow
//! the stack, which no caller can catch. So serializer and deserializer are wrapped, and count.

mod de;
mod ser;

use alloc::vec::Vec;
use core::cell::Cell;

use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::de::Bounded as BoundedDeserializer;
use self::ser::Within;

/// The most levels of sequences, maps, optional values and contents of enum variants that a serde value nests.
///
/// 128: data that people design rarely nests ten levels, and a thread's usual stack of 2 MiB holds many times 128 levels
/// even without optimisation. Structs and tuples do not count: they nest as deep as their type says, whatever the data.
/// It is the same at every replica, since a value that one of them writes must decode at all others.
pub const MAX_NESTING: usize = 128;

/// The most elements that the lengths in an encoding claim beyond one for each of its bytes.
///
/// 65,536. Elements without any bytes, as those of a `Vec<()>`, can be claimed by the billion in ten bytes. Without them,
/// claims of more elements than there are bytes are untrue.
pub const MAX_EMPTY_ELEMENTS: usize = 1 << 16;

/// Why a value was not encoded or bytes were not decoded, where the bounds are the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Excess {
    /// It nests deeper than [`MAX_NESTING`].
    Nesting,
    /// Its lengths claim more elements than its bytes can have.
    Elements,
    /// It is decoded into a collection whose order differs from copy to copy.
    Unordered,
}

/// What has been seen of one value so far.
struct Tally {
    /// On the way in: how many more elements may be claimed. On the way out: how many were, counted down.
    elements_left: Cell<usize>,
    /// Whether there was a map; on the way in, one of a type that is not known to have an order.
    maps: Cell<bool>,
    excess: Cell<Option<Excess>>,
}

impl Tally {
    fn new(elements: usize) -> Self {
        Self { elements_left: Cell::new(elements), maps: Cell::new(false), excess: Cell::new(None) }
    }

    fn claim(&self, elements: usize) -> Result<(), &'static str> {
        match self.elements_left.get().checked_sub(elements) {
            Some(left) => self.elements_left.set(left),
            None => return Err(self.exceed(Excess::Elements)),
        }
        Ok(())
    }

    /// Notes the reason, because the errors of postcard do not carry one.
    fn exceed(&self, excess: Excess) -> &'static str {
        self.excess.set(Some(excess));
        "a bound was exceeded"
    }
}

/// A place in a value: how many more levels may follow.
#[derive(Clone, Copy)]
struct Level<'a> {
    tally: &'a Tally,
    left: usize,
}

impl<'a> Level<'a> {
    fn outermost(tally: &'a Tally) -> Self {
        Self { tally, left: MAX_NESTING }
    }

    fn enter(self) -> Result<Self, &'static str> {
        let left = self.left.checked_sub(1).ok_or_else(|| self.tally.exceed(Excess::Nesting))?;
        Ok(Self { left, ..self })
    }
}

/// What came of an attempt to encode.
pub(super) struct Written {
    pub(super) bytes: Vec<u8>,
    /// Whether the value contains a map.
    pub(super) maps: bool,
}

/// Encodes a value; `Err(None)` if its `Serialize` implementation failed.
pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Written, Option<Excess>> {
    // Room for a small value, so that the bytes do not move again and again while they are written one by one.
    let bytes = Vec::with_capacity(64);
    let tally = Tally::new(usize::MAX);
    let within = Within::new(value, Level::outermost(&tally));
    let bytes = postcard::to_extend(&within, bytes).map_err(|_| tally.excess.get())?;
    if usize::MAX - tally.elements_left.get() > most_elements(bytes.len()) {
        return Err(Some(Excess::Elements));
    }
    Ok(Written { bytes, maps: tally.maps.get() })
}

/// What came of an attempt to decode.
pub(super) struct Decoded<T> {
    pub(super) value: T,
    /// Whether it contains a map of a type that is not known to have an order.
    pub(super) doubtful: bool,
}

/// Decodes a value from the beginning of `bytes`; `Err(None)` if they do not parse.
///
/// Its collections are given room for at most [`MAX_EMPTY_ELEMENTS`] elements in all beyond one for each byte, whatever
/// lengths they claim.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<Decoded<T>, Option<Excess>> {
    let tally = Tally::new(most_elements(bytes.len()));
    let mut inner = postcard::Deserializer::from_bytes(bytes);
    let bounded = BoundedDeserializer::new(&mut inner, Level::outermost(&tally));
    let value = T::deserialize(bounded).map_err(|_| tally.excess.get())?;
    Ok(Decoded { value, doubtful: tally.maps.get() })
}

/// Whether the value's encoding is exactly these bytes.
pub(super) fn encodes_to<T: Serialize>(value: &T, bytes: &[u8]) -> bool {
    let tally = Tally::new(usize::MAX);
    let within = Within::new(value, Level::outermost(&tally));
    postcard::serialize_with_flavor(&within, Comparison { expected: bytes }).unwrap_or(false)
}

fn most_elements(bytes: usize) -> usize {
    bytes.saturating_add(MAX_EMPTY_ELEMENTS)
}

/// Compares what is written with what is expected, instead of keeping it: every record is read when a store is opened.
struct Comparison<'a> {
    expected: &'a [u8],
}

impl Flavor for Comparison<'_> {
    type Output = bool;

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.expected = self.expected.strip_prefix(data).ok_or(postcard::Error::SerializeBufferFull)?;
        Ok(())
    }

    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.try_extend(&[data])
    }

    fn finalize(self) -> postcard::Result<bool> {
        Ok(self.expected.is_empty())
    }
}
