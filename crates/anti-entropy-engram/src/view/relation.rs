//! How two different patterns are related.

use super::numbers::Slot;
use crate::Thresholds;

/// The type of conflict between two patterns. (Type 3 is between versions of one pattern.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Type 1.
    SameCore,
    /// Type 2.
    Similar,
    /// Type 4.
    Contested,
}

/// One end of a related pair.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relation {
    pub(super) other: Slot,
    pub(super) cosine: f64,
    /// How many episodes the two have in common.
    pub(super) shared: u32,
    pub(super) kind: Kind,
}

/// The Jaccard index of two sets: 0 if both are empty.
pub(super) fn overlap(shared: u32, a: usize, b: usize) -> f64 {
    if shared == 0 {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "no set has 2^53 episodes")]
    let both = (a + b) as f64;
    f64::from(shared) / (both - f64::from(shared))
}

/// The type of a pair; the first rule that matches decides.
pub(super) fn kind(thresholds: &Thresholds, shared: u32, overlap: f64, cosine: f64) -> Option<Kind> {
    if overlap >= thresholds.merge_overlap && cosine >= thresholds.merge_cosine {
        Some(Kind::SameCore)
    } else if cosine >= thresholds.link_cosine {
        Some(Kind::Similar)
    } else if shared > 0 {
        Some(Kind::Contested)
    } else {
        None
    }
}

/// The least cosine at which patterns without a common episode can be related.
pub(super) fn least_cosine(thresholds: &Thresholds) -> f64 {
    if thresholds.merge_overlap > 0.0 {
        thresholds.link_cosine
    } else {
        thresholds.link_cosine.min(thresholds.merge_cosine)
    }
}

/// How close the meanings of two linked patterns are: 0 at the threshold, 1 if their directions are equal.
pub(super) fn closeness(thresholds: &Thresholds, cosine: f64) -> f64 {
    let room = 1.0 - thresholds.link_cosine;
    if room > 0.0 { ((cosine - thresholds.link_cosine) / room).clamp(0.0, 1.0) } else { 1.0 }
}
