//! The entries under one aligned prefix, without making a tree of them.
//!
//! The tree over them is a node of the larger tree, or part of a leaf: both are views, which can be split further.

use super::fingerprint::HashFunction;
use super::hashing::leaf_digest;
use super::item::Item;
use super::node::{Inner, Link, Node};
use super::span::{Span, slot_of};

/// A node, or part of a leaf.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    /// Known for a whole node.
    digest: Option<&'a [u8; 32]>,
    pub(super) body: Body<'a>,
}

#[derive(Clone, Copy)]
pub(super) enum Body<'a> {
    Items(&'a [Item]),
    Inner(&'a Inner),
}

impl<'a> View<'a> {
    /// What is below a link whose digest is up to date.
    pub(super) fn of(link: &'a Link) -> Self {
        match &link.node {
            // The digest in an empty child's link means nothing.
            Node::Leaf(items) => Self { digest: (!items.is_empty()).then_some(&link.digest), body: Body::Items(items) },
            Node::Inner(inner) => Self { digest: Some(&link.digest), body: Body::Inner(inner) },
        }
    }

    /// Part of a leaf.
    pub(super) fn items(items: &'a [Item]) -> Self {
        Self { digest: None, body: Body::Items(items) }
    }

    /// Those entries below `link` that share the first `bits` bits of `start`.
    pub(super) fn under(link: &'a Link, start: u128, bits: u8) -> Self {
        let mut view = Self::of(link);
        let wanted = Span::aligned(start, bits);
        loop {
            match view.body {
                Body::Items(items) => return view.part(wanted.clip(items)),
                Body::Inner(inner) if wanted.includes(inner.span()) => return view,
                // Either the node branches above the end of the prefix, or nothing below it has the prefix, which shows
                // in the leaf that this ends in.
                Body::Inner(inner) => view = Self::of(&inner.children[slot_of(start, inner.depth)]),
            }
        }
    }

    /// Those entries that fall into one of the four parts behind `depth` bits, which all entries must share.
    pub(super) fn child(self, depth: u8, slot: usize) -> Self {
        match self.body {
            Body::Items(items) => {
                let from = items.partition_point(|item| slot_of(item.key.to_u128(), depth) < slot);
                let length = items[from..].partition_point(|item| slot_of(item.key.to_u128(), depth) == slot);
                self.part(&items[from..from + length])
            }
            Body::Inner(inner) if inner.depth == depth => Self::of(&inner.children[slot]),
            Body::Inner(inner) if slot_of(inner.prefix.to_u128(), depth) == slot => self,
            Body::Inner(_) => Self::items(&[]),
        }
    }

    /// Some of a leaf's items. If they are all, the digest stays known.
    fn part(self, items: &'a [Item]) -> Self {
        if items.len() as u64 == self.count() { self } else { Self::items(items) }
    }

    pub(super) fn count(self) -> u64 {
        match self.body {
            Body::Items(items) => items.len() as u64,
            Body::Inner(inner) => inner.count,
        }
    }

    pub(super) fn is_empty(self) -> bool {
        matches!(self.body, Body::Items([]))
    }

    /// Calls `f` with the items of every leaf, in order.
    pub(super) fn for_each_leaf(self, f: &mut impl FnMut(&[Item])) {
        match self.body {
            Body::Items(items) => f(items),
            Body::Inner(inner) => inner.children.iter().for_each(|child| child.node.for_each_leaf(f)),
        }
    }

    /// A span that all entries lie in and whose shared bits are theirs. `None` if there are none.
    pub(super) fn span(self) -> Option<Span> {
        match self.body {
            Body::Items([]) => None,
            Body::Items([first, .., last]) => Some(Span { lo: first.key.to_u128(), last: last.key.to_u128() }),
            Body::Items([only]) => Some(Span::aligned(only.key.to_u128(), 128)),
            Body::Inner(inner) => Some(inner.span()),
        }
    }

    /// The digest of the entries; hashes at most a bucket of them.
    pub(super) fn digest<D: HashFunction>(self) -> [u8; 32] {
        match (self.digest, self.body) {
            (Some(digest), _) => *digest,
            (None, Body::Items(items)) => leaf_digest::<D>(items),
            // A whole node's digest is known; see `of`.
            (None, Body::Inner(inner)) => super::hashing::inner_digest::<D>(inner),
        }
    }

    /// Whether both are known to hold the same entries, without hashing anything.
    pub(super) fn known_equal(self, other: Self) -> bool {
        self.digest.is_some() && self.digest == other.digest
    }
}
