//! The encoding of several clocks that are nearly alike: the first clock, the base, in full, and of every further one
//! only the counters that differ from the base, where 0 removes. So a cut costs one counter, not a clock.

use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::KeyHash;
use crate::clock::growing::growing_vec;
use crate::clock::vector::side_by_side;
use crate::clock::{ReplicaId, VectorClock};

/// Why clocks in sparse form are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotCanonical {
    /// Ids not strictly ascending, or a counter equal to the base's: the writer would have made it otherwise.
    NotCanonical,
    /// More counters in all than the reader holds.
    TooLarge,
}

impl fmt::Display for NotCanonical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotCanonical => "counters of a piece must ascend by replica and differ from the first piece's",
            Self::TooLarge => "the pieces expand to too many counters",
        })
    }
}

/// Clocks to be written. The start of the first is known from elsewhere.
#[derive(Serialize)]
pub(super) struct SparseRef<'a> {
    base: &'a VectorClock,
    rest: Further,
}

impl<'a> SparseRef<'a> {
    /// Linear in the counters of all clocks.
    pub(super) fn new(base: &'a VectorClock, rest: impl Iterator<Item = (KeyHash, &'a VectorClock)>) -> Self {
        Self { base, rest: Further::new(base, rest) }
    }
}

/// Clocks that were read, not yet expanded: no larger than the input.
#[derive(Deserialize)]
pub(super) struct Sparse {
    base: VectorClock,
    rest: Further,
}

impl Sparse {
    /// The clocks in full, with their starts, the first of which is `first`.
    ///
    /// At most `max_counters` in all: otherwise a few bytes a piece would each make a copy of the base.
    pub(super) fn expand(
        self,
        first: KeyHash,
        max_counters: usize,
    ) -> Result<Vec<(KeyHash, VectorClock)>, NotCanonical> {
        self.rest.expand(first, self.base, max_counters)
    }
}

/// The clocks behind the first, each as its start and what differs from the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Further(Growing<(KeyHash, Changes)>);

/// Counters that differ from those of another clock, where 0 removes.
pub(super) type Changes = Growing<(ReplicaId, u64)>;

impl Further {
    pub(super) fn new<'a>(base: &VectorClock, rest: impl Iterator<Item = (KeyHash, &'a VectorClock)>) -> Self {
        Self(Growing(rest.map(|(start, clock)| (start, Growing(difference(base, clock)))).collect()))
    }

    /// How many starts and counters this has.
    pub(crate) fn len(&self) -> usize {
        self.0.0.iter().map(|(_, changes)| 1 + changes.0.len()).sum()
    }

    /// The starts, and what differs there.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (KeyHash, &[(ReplicaId, u64)])> {
        self.0.0.iter().map(|(start, changes)| (*start, changes.0.as_slice()))
    }

    /// These clocks in full behind the first one, with their starts.
    pub(super) fn expand(
        self,
        first: KeyHash,
        base: VectorClock,
        max_counters: usize,
    ) -> Result<Vec<(KeyHash, VectorClock)>, NotCanonical> {
        let mut left = max_counters.checked_sub(base.len()).ok_or(NotCanonical::TooLarge)?;
        let mut rest = Vec::new();
        for (start, changes) in self.0.0 {
            let clock = changed(&base, &changes.0).ok_or(NotCanonical::NotCanonical)?;
            left = left.checked_sub(clock.len()).ok_or(NotCanonical::TooLarge)?;
            rest.push((start, clock));
        }
        rest.insert(0, (first, base));
        Ok(rest)
    }
}

/// The counters of `clock` that `base` does not have, and a zero for each replica that only `base` has.
pub(super) fn difference(base: &VectorClock, clock: &VectorClock) -> Vec<(ReplicaId, u64)> {
    side_by_side(base.entries(), clock.entries())
        .filter(|(_, in_base, counter)| in_base != counter)
        .map(|(id, _, counter)| (id, counter.unwrap_or(0)))
        .collect()
}

/// The clock that differs from `base` in `changes`; `None` unless [`difference`] would give exactly these.
fn changed(base: &VectorClock, changes: &[(ReplicaId, u64)]) -> Option<VectorClock> {
    if !changes.is_sorted_by(|a, b| a.0 < b.0) {
        return None;
    }
    let mut entries = Vec::with_capacity(base.len());
    for (id, in_base, change) in side_by_side(base.entries(), changes) {
        if change == Some(in_base.unwrap_or(0)) {
            return None;
        }
        let counter = change.or(in_base).unwrap_or(0);
        if counter > 0 {
            entries.push((id, counter));
        }
    }
    VectorClock::from_canonical(entries)
}

/// A vector that is read without believing the length in front of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Growing<T>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Growing<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        growing_vec(deserializer).map(Self)
    }
}
