//! The nodes of the trie, and what can be read from them without a hash function.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::hint::black_box;

use crate::KeyHash;

use super::fingerprint::Fingerprint;
use super::item::Item;
use super::span::{Span, slot_of, slot_span};

/// The most entries that a leaf of the tree holds.
pub const BUCKET: usize = 16;

/// Children of an inner node. Four is where bytes hashed by an update are fewest: (fan-out) / log2(fan-out) is lowest
/// for 2 to 4, and two has twice the depth.
pub(super) const FAN_OUT: usize = 4;

/// A node with its digest. The digest lives with the parent, so that hashing a parent touches none of its children.
#[derive(Clone, Default)]
pub(super) struct Link {
    /// Meaningless where the node is empty, or marked dirty in what holds the link.
    pub(super) digest: [u8; 32],
    pub(super) node: Node,
}

/// The tree over a set of entries: a leaf if and only if there are at most [`BUCKET`].
///
/// Two words: the null in place of a slice's address tells an inner node.
#[derive(Clone)]
pub(super) enum Node {
    Leaf(Arc<[Item]>),
    Inner(Arc<Inner>),
}

/// A branch. At least two children are not empty, and together they hold more than [`BUCKET`] entries.
#[derive(Clone)]
pub(super) struct Inner {
    /// The bits that all key hashes below share; behind the first `depth` bits, zeros.
    pub(super) prefix: KeyHash,
    /// Entries below.
    pub(super) count: u64,
    /// How many bits all key hashes below share, rounded down to an even number. At most 126.
    pub(super) depth: u8,
    /// Bit `i`: the digest of child `i` is out of date. Never set in a node that a snapshot shares.
    pub(super) dirty: u8,
    pub(super) children: [Link; FAN_OUT],
}

impl Default for Node {
    /// The tree over nothing. Does not allocate: the standard library shares one empty slice.
    fn default() -> Self {
        Self::Leaf(Arc::default())
    }
}

impl Node {
    /// The tree over at most [`BUCKET`] sorted items.
    pub(super) fn leaf(items: &[Item]) -> Self {
        debug_assert!(items.len() <= BUCKET && items.is_sorted_by(|a, b| a.key < b.key));
        if items.is_empty() { Self::default() } else { Self::Leaf(items.into()) }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Leaf(items) if items.is_empty())
    }

    pub(super) fn count(&self) -> u64 {
        match self {
            Self::Leaf(items) => items.len() as u64,
            Self::Inner(inner) => inner.count,
        }
    }

    /// The fingerprint of one key.
    pub(super) fn get(&self, key: KeyHash) -> Option<Fingerprint> {
        let (mut node, mut expected) = (self, 0);
        loop {
            match node {
                // A key that does not share the prefix ends in a leaf too, and is not found there.
                Self::Inner(inner) => {
                    let depth = inner.depth_expecting(expected);
                    expected = depth + 2;
                    node = &inner.children[slot_of(key.to_u128(), depth)].node;
                }
                Self::Leaf(items) => return items.iter().find(|item| item.key == key).map(|item| item.fingerprint),
            }
        }
    }

    /// Reads what changing the keys is going to read, one level of all paths at a time.
    ///
    /// A path alone is a chain of cache misses, each of which waits for the one before. Those of many paths overlap:
    /// this makes batches of changes to a tree larger than the cache a fifth faster.
    pub(super) fn warm(&self, keys: &[(KeyHash, Fingerprint)]) {
        let mut paths: Vec<(KeyHash, &Self)> = keys.iter().map(|(key, _)| (*key, self)).collect();
        while !paths.is_empty() {
            paths.retain_mut(|(key, node)| match node {
                Self::Leaf(items) => {
                    for item in items.iter() {
                        black_box(item.key.as_bytes()[0]);
                    }
                    false
                }
                Self::Inner(inner) => {
                    *node = &inner.children[inner.slot(*key)].node;
                    true
                }
            });
        }
    }

    /// Calls `f` with the items of every leaf below, in order.
    pub(super) fn for_each_leaf(&self, f: &mut impl FnMut(&[Item])) {
        match self {
            Self::Leaf(items) => f(items),
            Self::Inner(inner) => inner.children.iter().for_each(|child| child.node.for_each_leaf(f)),
        }
    }
}

impl Inner {
    /// The stretch of the key-hash space that shares the prefix.
    pub(super) fn span(&self) -> Span {
        Span::aligned(self.prefix.to_u128(), self.depth)
    }

    /// The stretch of the space that belongs to one child.
    pub(super) fn child_span(&self, slot: usize) -> Span {
        slot_span(self.prefix.to_u128(), self.depth, slot)
    }

    /// The depth, which mostly is `expected`, two bits below a parent's: then the processor need not wait for memory to
    /// tell it, and fetches the child at once.
    fn depth_expecting(&self, expected: u8) -> u8 {
        if self.depth == expected {
            // Opaque, or the compiler would see that this is `self.depth`.
            black_box(expected)
        } else {
            self.depth
        }
    }

    /// The child that a key belongs to if it shares the prefix.
    pub(super) fn slot(&self, key: KeyHash) -> usize {
        slot_of(key.to_u128(), self.depth)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leaf(items) => f.debug_set().entries(items.iter().map(|item| item.key)).finish(),
            Self::Inner(inner) => {
                write!(f, "@{} ", inner.depth)?;
                f.debug_list().entries(inner.children.iter().map(|child| &child.node)).finish()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The memory goal (72 bytes an entry) rests on these.
    #[test]
    fn nodes_are_small() {
        assert_eq!(size_of::<Item>(), 48);
        assert_eq!(size_of::<Node>(), 2 * size_of::<usize>());
        assert_eq!(size_of::<Link>(), 32 + 2 * size_of::<usize>());
        assert!(size_of::<Inner>() <= 32 + 4 * size_of::<Link>());
    }
}
