//! The encoding of serde types: postcard in its canonical form and within bounds, and the errors of encodings.

use alloc::vec::Vec;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bounded::{self, Excess};
use super::item::Encoded;

/// How often a value is decoded before it is written, if it contains a map of a type that is not known to have an order.
///
/// Eight times: a copy of a map with two elements and a random order has the order of the first with a probability of one
/// half, so that such a value gets through with a probability of at most 2^-8; with more elements, with less.
const ORDER_TRIES: u32 = 8;

/// The error for a value that has no encoding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value has no encoding: {reason}; nothing was changed")]
pub struct EncodeError {
    reason: &'static str,
}

impl EncodeError {
    /// An error with this reason, which says what to do.
    pub const fn new(reason: &'static str) -> Self {
        Self { reason }
    }
}

impl From<Option<Excess>> for EncodeError {
    fn from(excess: Option<Excess>) -> Self {
        Self::new(match excess {
            Some(Excess::Nesting) => {
                "it nests deeper than 128 levels (MAX_NESTING); keep it flatter, as a list of nodes that name each other"
            }
            Some(Excess::Elements) => "most of its elements take no bytes; keep their number instead",
            Some(Excess::Unordered) => {
                "it contains a map or set without an order; use BTreeMap or BTreeSet, whose encoding is the same"
            }
            None => "its Serialize implementation fails, or writes a sequence without its length; mend it",
        })
    }
}

/// The error for bytes that are not the encoding of a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no encoding of this value: {reason}; nothing was changed")]
pub struct DecodeError {
    reason: &'static str,
    excess: Option<Excess>,
}

impl DecodeError {
    /// An error with this reason.
    pub const fn new(reason: &'static str) -> Self {
        Self { reason, excess: None }
    }

    pub(crate) const fn reason(&self) -> &'static str {
        self.reason
    }

    /// Why a value that decodes with this error cannot be written, if the reason is its type or the bounds, not the bytes.
    pub(crate) fn excess(&self) -> Option<Excess> {
        self.excess
    }
}

impl From<Option<Excess>> for DecodeError {
    fn from(excess: Option<Excess>) -> Self {
        let reason = match excess {
            Some(Excess::Nesting) => "it nests deeper than 128 levels (MAX_NESTING)",
            Some(Excess::Elements) => "it claims more elements than its bytes can have",
            Some(Excess::Unordered) => {
                "its type contains a map or set without an order, which BTreeMap and BTreeSet have"
            }
            None => "it does not parse",
        };
        Self { reason, excess }
    }
}

/// Encodes a serde value with postcard.
///
/// # Errors
/// [`EncodeError`] if the value nests deeper than [`MAX_NESTING`](super::MAX_NESTING), if its lengths count more than
/// [`MAX_EMPTY_ELEMENTS`](super::MAX_EMPTY_ELEMENTS) elements without bytes, if its `Serialize` implementation returns
/// an error or writes a sequence without its length.
pub fn try_serde_encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    bounded::encode(value).map(|written| written.bytes).map_err(EncodeError::from)
}

/// Encodes a serde value with postcard.
///
/// # Panics
/// Where [`try_serde_encode`] returns an error. A type of which this cannot be excluded implements
/// [`Replicated::try_encode`](super::Replicated::try_encode) with that function; replicas call it before they write.
pub fn serde_encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    try_serde_encode(value).unwrap_or_else(|error| panic!("{error}"))
}

/// Encodes a serde value before it is written, and refuses what would not come back as it is.
///
/// # Errors
/// As for [`try_serde_encode`], and if the value contains a map without an order.
pub fn encode_for_write<T: Serialize + DeserializeOwned>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let written = bounded::encode(value)?;
    for _ in 0..if written.maps { ORDER_TRIES } else { 0 } {
        let decoded = bounded::decode::<T>(&written.bytes)?;
        if !bounded::encodes_to(&decoded.value, &written.bytes) {
            return Err(Some(Excess::Unordered).into());
        }
        if !decoded.doubtful {
            break;
        }
    }
    Ok(written.bytes)
}

/// Decodes a value that `serde_encode` has encoded. Refuses other bytes.
///
/// # Errors
/// [`DecodeError`] if `serde_encode` would not have returned these bytes.
pub fn serde_decode<T: Serialize + DeserializeOwned>(encoded: &Encoded) -> Result<T, DecodeError> {
    if !encoded.parts.is_empty() {
        return Err(DecodeError::new("it has parts, and values of this type have none"));
    }
    canonical_from_bytes(&encoded.body)
}

/// Reads a postcard value and insists on the canonical form: writing it again gives the same bytes.
pub(crate) fn canonical_from_bytes<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let value: T = bounded::decode(bytes)?.value;
    if !bounded::encodes_to(&value, bytes) {
        return Err(DecodeError::new("it is not in canonical form"));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_form_of_the_same_number_is_refused() {
        // Postcard writes 1 as one byte; 0x81 0x00 says the same in two.
        assert_eq!(canonical_from_bytes::<u32>(&[1]), Ok(1));
        assert_eq!(canonical_from_bytes::<u32>(&[0x81, 0x00]), Err(DecodeError::new("it is not in canonical form")));
        assert!(canonical_from_bytes::<u32>(&[1, 0]).is_err(), "bytes left over");
    }
}
