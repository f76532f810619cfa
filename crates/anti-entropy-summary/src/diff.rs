//! The differences between two snapshots in one process.

use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::iter::FusedIterator;

use super::difference::Difference;
use super::item::Item;
use super::node::{FAN_OUT, Link};
use super::span::{Span, slot_span};
use super::view::{Body, View};

/// An iterator over the differences between two snapshots, in ascending order of the key hashes. Made by
/// [`Snapshot::diff`](super::Snapshot::diff).
///
/// Subtrees with equal digests are skipped: each difference costs O(depth). Takes O(depth) of memory.
pub struct Diff<'a> {
    span: Span,
    /// Pairs yet to be compared, the lowest on top. Both of a pair cover the same stretch of the space.
    stack: Vec<(View<'a>, View<'a>)>,
}

impl<'a> Diff<'a> {
    /// The differences inside the span; none if there is no span.
    pub(super) fn new(ours: &'a Link, theirs: &'a Link, span: Option<Span>) -> Self {
        match span {
            Some(span) => Self { span, stack: vec![(View::of(ours), View::of(theirs))] },
            None => Self { span: Span { lo: 0, last: 0 }, stack: Vec::new() },
        }
    }

    /// Compares the first items of two leaves, and leaves the others for later.
    fn step(&mut self, ours: &'a [Item], theirs: &'a [Item]) -> Option<Difference> {
        let (mut ours, mut theirs) = (self.span.clip(ours), self.span.clip(theirs));
        loop {
            let side = match (ours, theirs) {
                ([], []) => return None,
                ([_, ..], []) => Ordering::Less,
                ([], [_, ..]) => Ordering::Greater,
                ([a, ..], [b, ..]) => a.key.cmp(&b.key),
            };
            let mine = if side.is_le() { ours.split_off_first() } else { None };
            let other = if side.is_ge() { theirs.split_off_first() } else { None };
            let fingerprints = (mine.map(|item| item.fingerprint), other.map(|item| item.fingerprint));
            if fingerprints.0 != fingerprints.1 {
                self.stack.push((View::items(ours), View::items(theirs)));
                let key = mine.or(other)?.key;
                return Some(Difference::at(key, fingerprints.0, fingerprints.1.map(Into::into)));
            }
        }
    }

    /// Splits a pair, at least one of which is an inner node, where the union of the two branches.
    fn split(&mut self, ours: View<'a>, theirs: View<'a>) {
        let union = match (ours.span(), theirs.span()) {
            (Some(a), Some(b)) => a.union(b),
            (Some(a), None) | (None, Some(a)) => a,
            (None, None) => return,
        };
        // An inner node covers more than one hash, so that the depth is at most 126.
        let depth = union.shared_depth();
        for slot in (0..FAN_OUT).rev() {
            let pair = (ours.child(depth, slot), theirs.child(depth, slot));
            let empty = pair.0.is_empty() && pair.1.is_empty();
            if !empty && self.span.overlaps(slot_span(union.lo, depth, slot)) {
                self.stack.push(pair);
            }
        }
    }
}

impl Iterator for Diff<'_> {
    type Item = Difference;

    fn next(&mut self) -> Option<Difference> {
        while let Some((ours, theirs)) = self.stack.pop() {
            if ours.known_equal(theirs) {
                continue;
            }
            match (ours.body, theirs.body) {
                (Body::Items(a), Body::Items(b)) => {
                    if let Some(difference) = self.step(a, b) {
                        return Some(difference);
                    }
                }
                _ => self.split(ours, theirs),
            }
        }
        None
    }
}

impl FusedIterator for Diff<'_> {}

impl core::fmt::Debug for Diff<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Diff").field("pending", &self.stack.len()).finish_non_exhaustive()
    }
}
