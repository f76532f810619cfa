//! Stretches of the key-hash space as numbers, with both ends included, so that the top needs no special case.

use crate::{KeyHash, KeyRange};

use super::item::Item;

/// All numbers from `lo` to `last`; `lo <= last`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) lo: u128,
    pub(super) last: u128,
}

impl Span {
    /// A range's hashes. `None` if it is empty, which a range that was decoded from foreign bytes can be.
    pub(super) fn of(range: &KeyRange) -> Option<Self> {
        let lo = range.lo().to_u128();
        let last = match range.hi() {
            Some(hi) => hi.to_u128().checked_sub(1)?,
            None => u128::MAX,
        };
        (lo <= last).then_some(Self { lo, last })
    }

    /// The hashes that agree with `start` in the first `bits` bits; the other bits of `start` are zero.
    pub(super) fn aligned(start: u128, bits: u8) -> Self {
        Self { lo: start, last: start | bits_behind(bits) }
    }

    pub(super) fn contains(self, key: KeyHash) -> bool {
        (self.lo..=self.last).contains(&key.to_u128())
    }

    pub(super) fn includes(self, other: Self) -> bool {
        self.lo <= other.lo && other.last <= self.last
    }

    pub(super) fn overlaps(self, other: Self) -> bool {
        self.lo <= other.last && other.lo <= self.last
    }

    /// The smallest span that includes both.
    pub(super) fn union(self, other: Self) -> Self {
        Self { lo: self.lo.min(other.lo), last: self.last.max(other.last) }
    }

    /// Those of the sorted items that lie in the span.
    pub(super) fn clip(self, items: &[Item]) -> &[Item] {
        let from = items.partition_point(|item| item.key.to_u128() < self.lo);
        let items = &items[from..];
        &items[..items.partition_point(|item| item.key.to_u128() <= self.last)]
    }

    /// The even number of leading bits that all hashes of the span share.
    pub(super) fn shared_depth(self) -> u8 {
        let shared = (self.lo ^ self.last).leading_zeros();
        // At most 128, so that the conversion does not fail.
        u8::try_from(shared).unwrap_or(128) & !1
    }
}

/// A number whose first `bits` bits are zero and whose others are one.
pub(super) fn bits_behind(bits: u8) -> u128 {
    u128::MAX.checked_shr(u32::from(bits)).unwrap_or(0)
}

/// Which of the four parts a hash falls into when a set is split behind the first `depth` bits (`depth <= 126`).
pub(super) fn slot_of(key: u128, depth: u8) -> usize {
    (key >> (126 - depth) & 3) as usize
}

/// The part `slot` of the aligned stretch around `key` that is split behind the first `depth` bits.
pub(super) fn slot_span(key: u128, depth: u8, slot: usize) -> Span {
    Span::aligned((key & !bits_behind(depth)) | (slot as u128) << (126 - depth), depth + 2)
}
