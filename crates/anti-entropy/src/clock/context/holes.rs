//! Holes: single key hashes at which less has been seen than around them.
//!
//! A hole means the same as a piece for one hash. It is kept apart because it says nothing about where transfers may end,
//! and because each would take up two of the few cuts that a context may have. What changes a context unfolds the holes
//! into pieces, changes these, and folds them again: so there is one form for each meaning.

use alloc::borrow::Cow;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Context, Piece};
use crate::KeyHash;
use crate::clock::sparse::difference;
use crate::clock::{ReplicaId, VectorClock};

/// How a hole would be filled: with the clock of a neighbour, but for some counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fill {
    side: Side,
    but: Vec<(ReplicaId, u64)>,
}

#[cfg(any(test, feature = "mutants"))]
impl Fill {
    /// As what is around the hole.
    pub(crate) const WHOLE: &'static Self = &Self { side: Side::Before, but: Vec::new() };
}

/// A neighbour of a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Before,
    Behind,
}

impl Context {
    /// The number of holes.
    pub fn holes_len(&self) -> usize {
        self.holes.len()
    }

    /// The key hashes at which less has been seen than around them, in ascending order.
    pub fn holes(&self) -> impl ExactSizeIterator<Item = KeyHash> + '_ {
        self.holes.iter().map(|hole| hole.start)
    }

    /// Whether there is a hole at this hash. Logarithmic.
    pub fn is_hole(&self, at: KeyHash) -> bool {
        self.hole(at).is_some()
    }

    /// How a hole would be filled by somebody with this clock there: it would have the clock of a neighbour then, or one
    /// that differs from it in the few counters that this one has in a hole of its own.
    pub(crate) fn fill(&self, hole: KeyHash, clock: &VectorClock) -> Fill {
        let settled = self.settled();
        let mut filled = settled.piece_at(hole).clock.as_ref().clone();
        filled.join(clock);
        filled.set(self.own, 0);
        let before = hole.to_u128().checked_sub(1).map(KeyHash::from_u128);
        let neighbours = [(Side::Before, before), (Side::Behind, next_hash(hole))];
        let fills = neighbours.into_iter().filter_map(|(side, at)| {
            let but = difference(&settled.piece_at(at?).clock, &filled);
            Some(Fill { side, but })
        });
        fills.min_by_key(|fill| fill.but.len()).unwrap_or(Fill { side: Side::Before, but: Vec::new() })
    }

    /// What would have been seen if holes were filled, as far as `fill` says how.
    pub(crate) fn with_filled<'a>(&self, fill: impl Fn(KeyHash) -> Option<&'a Fill>) -> Self {
        let mut filled = self.clone();
        filled.settle();
        let holes = Arc::clone(&filled.holes);
        filled.unfold();
        for hole in holes.iter() {
            let Some(fill) = fill(hole.start) else { continue };
            let at = super::holding(&filled.pieces, hole.start);
            let neighbour = match fill.side {
                Side::Before => at.checked_sub(1),
                Side::Behind => at.checked_add(1),
            };
            let Some(neighbour) = neighbour.and_then(|index| filled.pieces.get(index)) else { continue };
            let mut clock = Arc::clone(&neighbour.clock);
            for (replica, counter) in &fill.but {
                Arc::make_mut(&mut clock).set(*replica, *counter);
            }
            if !clock.includes(&hole.clock) {
                Arc::make_mut(&mut clock).join(&hole.clock);
            }
            Arc::make_mut(&mut filled.pieces)[at].clock = clock;
        }
        filled.fold();
        filled
    }

    /// The piece or the hole that holds `at`.
    pub(super) fn piece_at(&self, at: KeyHash) -> &Piece {
        self.hole(at).unwrap_or_else(|| &self.pieces[super::holding(&self.pieces, at)])
    }

    fn hole(&self, at: KeyHash) -> Option<&Piece> {
        let found = self.holes.binary_search_by_key(&at, |hole| hole.start);
        found.ok().map(|index| &self.holes[index])
    }

    /// The pieces, with each hole as one, and neighbours unequal.
    pub(super) fn unfolded(&self) -> Cow<'_, [Piece]> {
        if self.holes.is_empty() && self.raised.is_empty() {
            return Cow::Borrowed(&self.pieces);
        }
        let mut unfolded = self.settled().into_owned();
        unfolded.unfold();
        let mut pieces = Arc::unwrap_or_clone(unfolded.pieces);
        pieces.dedup_by(|next, kept| next.clock == kept.clock);
        Cow::Owned(pieces)
    }

    /// Makes a piece of each hole. May leave equal neighbours.
    pub(super) fn unfold(&mut self) {
        for hole in Arc::unwrap_or_clone(core::mem::take(&mut self.holes)) {
            let at = self.cut(hole.start);
            if let Some(next) = next_hash(hole.start) {
                self.cut(next);
            }
            Arc::make_mut(&mut self.pieces)[at].clock = hole.clock;
        }
    }

    /// Merges equal neighbours, and makes a hole of each piece for one hash that has seen less than a neighbour.
    pub(super) fn fold(&mut self) {
        self.coalesce();
        self.fold_holes();
        self.index();
    }

    fn fold_holes(&mut self) {
        if !has_single_hashes(&self.pieces) {
            return;
        }
        let mut folded: Vec<Piece> = Vec::with_capacity(self.pieces.len());
        let mut holes = Arc::unwrap_or_clone(core::mem::take(&mut self.holes));
        let mut unfolded = Arc::unwrap_or_clone(core::mem::take(&mut self.pieces)).into_iter().peekable();
        while let Some(piece) = unfolded.next() {
            let is_single = next_hash(piece.start) == unfolded.peek().map(|next| next.start);
            match (folded.last(), unfolded.peek_mut()) {
                // A hole was between the two.
                (Some(before), _) if before.clock == piece.clock => {}
                (Some(before), _) if is_single && before.clock.includes(&piece.clock) => holes.push(piece),
                (_, Some(behind)) if is_single && behind.clock.includes(&piece.clock) => {
                    behind.start = piece.start;
                    holes.push(piece);
                }
                _ => folded.push(piece),
            }
        }
        (self.pieces, self.holes) = (Arc::new(folded), Arc::new(holes));
    }
}

/// Whether a piece is for a single hash.
pub(super) fn has_single_hashes(pieces: &[Piece]) -> bool {
    let is_single = |pair: &[Piece]| next_hash(pair[0].start) == Some(pair[1].start);
    pieces.last().is_some_and(|last| last.start == KeyHash::MAX) || pieces.windows(2).any(is_single)
}

/// The hash above this one; `None` at the top.
fn next_hash(at: KeyHash) -> Option<KeyHash> {
    at.to_u128().checked_add(1).map(KeyHash::from_u128)
}
