//! A range of key hashes as it is sent: nearly always all of them, which takes one byte.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{KeyHash, KeyRange};

/// A range as it is sent beside clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(pub(super) KeyRange);

/// Which ends are written down.
#[derive(Serialize, Deserialize)]
enum Ends {
    None,
    Lower(KeyHash),
    Both(KeyHash, KeyHash),
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ends = match (self.0.lo(), self.0.hi()) {
            (KeyHash::MIN, None) => Ends::None,
            (lo, None) => Ends::Lower(lo),
            (lo, Some(hi)) => Ends::Both(lo, hi),
        };
        ends.serialize(serializer)
    }
}

/// Refuses a range that ends before it starts, and ends that need not be written down.
impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let range = match Ends::deserialize(deserializer)? {
            Ends::None => Some(KeyRange::ALL),
            Ends::Lower(lo) => KeyRange::new(lo, None).filter(|_| lo != KeyHash::MIN),
            Ends::Both(lo, hi) => KeyRange::new(lo, Some(hi)),
        };
        range.map(Self).ok_or_else(|| de::Error::custom("not a range, or not the shortest form of one"))
    }
}
