//! Holes: single key hashes at which less has been seen than around them.
//!
//! A hole means the same as a piece for one hash. It is kept apart because it says nothing about where transfers may end,
//! and because each would take up two of the few cuts that a context may have. What changes a context unfolds the holes
//! into pieces, changes these, and folds them again: so there is one form for each meaning.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::{Context, Piece};
use crate::KeyHash;
use crate::clock::VectorClock;

/// A neighbour of a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Neighbour {
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

    /// What would have been seen if the holes were none for which `fill` says so: each with the clock of a neighbour.
    pub(crate) fn with_filled(&self, fill: impl Fn(KeyHash) -> Option<Neighbour>) -> Self {
        let mut filled = self.clone();
        filled.unfold();
        for hole in &self.holes {
            let Some(neighbour) = fill(hole.start) else { continue };
            let at = super::holding(&filled.pieces, hole.start);
            let (before, behind) = (at.checked_sub(1), at + 1);
            let from = match neighbour {
                Neighbour::Before => before.unwrap_or(behind),
                Neighbour::Behind if behind < filled.pieces.len() => behind,
                Neighbour::Behind => before.unwrap_or(at),
            };
            if let Some(clock) = filled.pieces.get(from).map(|piece| piece.clock.clone()) {
                filled.pieces[at].clock = clock;
            }
        }
        filled.fold();
        filled
    }

    /// The neighbour of a hole that has seen exactly what `clock` and the hole together have, if only one of them has:
    /// what is between the two pieces was in the piece of that one at whoever filled it.
    pub(crate) fn neighbour_with(&self, hole: KeyHash, clock: &VectorClock) -> Neighbour {
        let mut expected = self.clock_at(hole);
        expected.join(clock);
        expected.set(self.own, self.counter);
        let behind = next_hash(hole).filter(|next| self.clock_at(*next) == expected);
        let before = hole.to_u128().checked_sub(1).map(KeyHash::from_u128);
        let is_before = before.is_none_or(|before| self.clock_at(before) == expected);
        if behind.is_some() && !is_before { Neighbour::Behind } else { Neighbour::Before }
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
        if self.holes.is_empty() {
            return Cow::Borrowed(&self.pieces);
        }
        let mut unfolded = self.clone();
        unfolded.unfold();
        unfolded.pieces.dedup_by(|next, kept| next.clock == kept.clock);
        Cow::Owned(unfolded.pieces)
    }

    /// Makes a piece of each hole. May leave equal neighbours.
    pub(super) fn unfold(&mut self) {
        for hole in core::mem::take(&mut self.holes) {
            let at = self.cut(hole.start);
            if let Some(next) = next_hash(hole.start) {
                self.cut(next);
            }
            self.pieces[at].clock = hole.clock;
        }
    }

    /// Merges equal neighbours, and makes a hole of each piece for one hash that has seen less than a neighbour.
    pub(super) fn fold(&mut self) {
        self.coalesce();
        let is_single = |pair: &[Piece]| next_hash(pair[0].start) == Some(pair[1].start);
        let ends_in_single = self.pieces.last().is_some_and(|last| last.start == KeyHash::MAX);
        if !ends_in_single && !self.pieces.windows(2).any(is_single) {
            return;
        }
        let mut folded: Vec<Piece> = Vec::with_capacity(self.pieces.len());
        let mut unfolded = core::mem::take(&mut self.pieces).into_iter().peekable();
        while let Some(piece) = unfolded.next() {
            let is_single = next_hash(piece.start) == unfolded.peek().map(|next| next.start);
            match (folded.last(), unfolded.peek_mut()) {
                // A hole was between the two.
                (Some(before), _) if before.clock == piece.clock => {}
                (Some(before), _) if is_single && before.clock.includes(&piece.clock) => self.holes.push(piece),
                (_, Some(behind)) if is_single && behind.clock.includes(&piece.clock) => {
                    behind.start = piece.start;
                    self.holes.push(piece);
                }
                _ => folded.push(piece),
            }
        }
        self.pieces = folded;
    }
}

/// The hash above this one; `None` at the top.
fn next_hash(at: KeyHash) -> Option<KeyHash> {
    at.to_u128().checked_add(1).map(KeyHash::from_u128)
}
