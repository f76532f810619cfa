//! An immutable tree: the entries at one instant.

use alloc::vec;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::iter::FusedIterator;
use core::marker::PhantomData;
use core::{fmt, slice};

use sha2::Sha256;

use crate::{KeyHash, KeyRange};

use super::diff::Diff;
use super::fingerprint::{Fingerprint, HashFunction, Root};
use super::item::Item;
use super::node::{Link, Node};
use super::restrict::{count, restrict};
use super::span::Span;
use super::view::View;

/// The entries of a [`MerkleTree`](crate::MerkleTree) at one instant, with all digests computed.
///
/// A clone costs O(1) and shares all nodes. A snapshot takes memory only for nodes that the tree has changed since.
///
/// ```
/// use anti_entropy_summary::{Difference, Fingerprint, MerkleTree, Snapshot};
/// use anti_entropy_summary::{KeyHash, KeyRange};
///
/// let entries = (0..1_000).map(|number| (KeyHash::from_u128(number << 100), Fingerprint::from_bytes([7; 32])));
/// let mut tree: MerkleTree = MerkleTree::from_entries(entries);
/// let before = tree.snapshot();
/// let key = KeyHash::from_u128(500 << 100);
/// tree.remove(key);
/// let after = tree.snapshot();
///
/// let found: Vec<Difference> = after.diff(&before).collect();
/// assert_eq!(found, [Difference::at(key, None, Some(Fingerprint::from_bytes([7; 32]).into()))]);
///
/// let below = KeyRange::new(KeyHash::MIN, Some(key)).unwrap();
/// assert_eq!(after.range_digest(&below), before.range_digest(&below));
/// assert_eq!(after.count(&below), 500);
/// ```
pub struct Snapshot<D = Sha256> {
    pub(super) top: Link,
    hash_function: PhantomData<fn() -> D>,
}

impl<D: HashFunction> Snapshot<D> {
    /// A snapshot of hashed nodes.
    pub(super) fn over(top: Link) -> Self {
        Self { top, hash_function: PhantomData }
    }

    /// The digest of all entries.
    pub fn root(&self) -> Root {
        Root::from_bytes(self.top.digest)
    }

    /// The number of entries.
    pub fn len(&self) -> u64 {
        self.top.node.count()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.top.node.is_empty()
    }

    /// The fingerprint of a key, if the set has it. O(depth).
    pub fn get(&self, key: KeyHash) -> Option<Fingerprint> {
        self.top.node.get(key)
    }

    /// All entries, in ascending order of their key hashes.
    pub fn iter(&self) -> Entries<'_> {
        self.range(&KeyRange::ALL)
    }

    /// The entries of a range, in ascending order of their key hashes. O(depth) before the first entry.
    pub fn range(&self, range: &KeyRange) -> Entries<'_> {
        Entries::of(&self.top.node, range)
    }

    /// A snapshot of only the entries of a range. Shares the nodes that lie inside the range. O(depth).
    pub fn restrict(&self, range: &KeyRange) -> Self {
        Self::over(match Span::of(range) {
            Some(span) => restrict::<D>(&self.top, span),
            None => Link::hashed::<D>(Node::default()),
        })
    }

    /// The digest of the entries of a range: the root of a tree that holds only these. O(depth).
    pub fn range_digest(&self, range: &KeyRange) -> Root {
        self.restrict(range).root()
    }

    /// The number of entries in a range. O(depth).
    pub fn count(&self, range: &KeyRange) -> u64 {
        Span::of(range).map_or(0, |span| count(&self.top.node, span))
    }

    /// The keys at which two snapshots differ, in ascending order. O(depth) for each of them.
    pub fn diff<'a>(&'a self, theirs: &'a Self) -> Diff<'a> {
        self.diff_range(theirs, &KeyRange::ALL)
    }

    /// The keys of a range at which two snapshots differ, in ascending order. O(depth), and O(depth) for each of them.
    pub fn diff_range<'a>(&'a self, theirs: &'a Self, range: &KeyRange) -> Diff<'a> {
        Diff::new(&self.top, &theirs.top, Span::of(range))
    }

    /// The entries that share the first `bits` bits of `start`.
    pub(super) fn under(&self, start: KeyHash, bits: u8) -> View<'_> {
        View::under(&self.top, start.to_u128(), bits)
    }
}

impl<'a, D: HashFunction> IntoIterator for &'a Snapshot<D> {
    type Item = (KeyHash, Fingerprint);
    type IntoIter = Entries<'a>;

    fn into_iter(self) -> Entries<'a> {
        self.iter()
    }
}

/// The snapshot of an empty tree.
impl<D: HashFunction> Default for Snapshot<D> {
    fn default() -> Self {
        Self::over(Link::hashed::<D>(Node::default()))
    }
}

impl<D> Clone for Snapshot<D> {
    fn clone(&self) -> Self {
        Self { top: self.top.clone(), hash_function: PhantomData }
    }
}

/// Hashes the root, which identifies the entries.
impl<D> Hash for Snapshot<D> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.top.digest.hash(state);
    }
}

impl<D> fmt::Debug for Snapshot<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, root) = (Node::count(&self.top.node), Root::from_bytes(self.top.digest));
        f.debug_struct("Snapshot").field("len", &count).field("root", &root).finish_non_exhaustive()
    }
}

/// An iterator over entries, in ascending order of their key hashes. Made by [`Snapshot::iter`], [`Snapshot::range`]
/// and [`MerkleTree::range`](crate::MerkleTree::range).
#[derive(Clone)]
pub struct Entries<'a> {
    span: Span,
    /// Nodes yet to be visited, the lowest on top.
    stack: Vec<&'a Node>,
    /// What is left of the leaf that is being visited.
    items: slice::Iter<'a, Item>,
}

impl<'a> Entries<'a> {
    /// Those below a node that lie in a range.
    pub(super) fn of(top: &'a Node, range: &KeyRange) -> Self {
        let (span, stack) = match Span::of(range) {
            Some(span) => (span, vec![top]),
            None => (Span { lo: 0, last: 0 }, Vec::new()),
        };
        Self { span, stack, items: [].iter() }
    }
}

impl Iterator for Entries<'_> {
    type Item = (KeyHash, Fingerprint);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.items.next() {
                return Some((item.key, item.fingerprint));
            }
            match self.stack.pop()? {
                Node::Leaf(items) => self.items = self.span.clip(items).iter(),
                Node::Inner(inner) => {
                    let inside = (0..inner.children.len()).filter(|&slot| self.span.overlaps(inner.child_span(slot)));
                    self.stack.extend(inside.rev().map(|slot| &inner.children[slot].node));
                }
            }
        }
    }
}

impl FusedIterator for Entries<'_> {}

impl fmt::Debug for Entries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").finish_non_exhaustive()
    }
}
