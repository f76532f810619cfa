//! The mutable tree over a set of entries.

use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use sha2::Sha256;

use crate::{KeyHash, KeyRange};

use super::build::{build, sort};
use super::fingerprint::{Fingerprint, HashFunction, Root};
use super::item::Item;
use super::node::{Link, Node};
use super::snapshot::{Entries, Snapshot};
use super::update::{insert, rehash, remove, replace};

/// A set of entries, each a key hash and a fingerprint, with a digest that depends on the set alone.
///
/// Digests are computed when the root is next asked for, for all changes together. The [crate's documentation](crate)
/// defines them byte by byte.
///
/// ```
/// use anti_entropy_summary::{Fingerprint, KeyHash, MerkleTree};
///
/// let (apple, pear) = (KeyHash::from_u128(1), KeyHash::from_u128(2));
/// let mut ours: MerkleTree = MerkleTree::new();
/// ours.insert(apple, Fingerprint::from_bytes([1; 32]));
/// ours.insert(pear, Fingerprint::from_bytes([2; 32]));
/// let before = ours.snapshot();
///
/// // The same entries have the same root, however they came there.
/// let mut theirs: MerkleTree = MerkleTree::from_entries([(pear, Fingerprint::from_bytes([2; 32])), (apple, Fingerprint::from_bytes([1; 32]))]);
/// assert_eq!(ours.root(), theirs.root());
///
/// assert_eq!(ours.remove(pear), Some(Fingerprint::from_bytes([2; 32])));
/// assert_ne!(ours.root(), theirs.root());
/// assert_eq!(before.root(), theirs.root(), "a snapshot stays what it was");
/// ```
pub struct MerkleTree<D = Sha256> {
    top: Link,
    /// Whether the digest in `top` is out of date.
    dirty: bool,
    hash_function: PhantomData<fn() -> D>,
}

impl<D: HashFunction> MerkleTree<D> {
    /// An empty tree.
    pub fn new() -> Self {
        Self::over(Link::default(), true)
    }

    /// A tree over the given entries. If a key occurs several times, the last entry counts.
    ///
    /// O(n) if the entries are in ascending order of their key hashes, otherwise O(n log n). Computes no digests.
    pub fn from_entries(entries: impl IntoIterator<Item = (KeyHash, Fingerprint)>) -> Self {
        let mut items: Vec<Item> = entries.into_iter().map(|(key, fingerprint)| Item { key, fingerprint }).collect();
        sort(&mut items);
        Self::over(Link { node: build(&items), ..Link::default() }, true)
    }

    /// A tree that shares the nodes of a snapshot.
    pub(super) fn over(top: Link, dirty: bool) -> Self {
        Self { top, dirty, hash_function: PhantomData }
    }

    /// Sets the fingerprint of a key, and returns the previous one.
    ///
    /// O(depth), which for n random keys is about log4(n / 12), and never more than 64.
    pub fn insert(&mut self, key: KeyHash, fingerprint: Fingerprint) -> Option<Fingerprint> {
        let before = self.get(key);
        match before {
            // Nothing to hash again.
            Some(held) if held == fingerprint => return before,
            Some(_) => replace(&mut self.top.node, key, fingerprint),
            None => insert(&mut self.top, self.dirty, Item { key, fingerprint }),
        }
        self.dirty = true;
        before
    }

    /// Removes a key, and returns the previous fingerprint.
    ///
    /// O(depth), like [`insert`](Self::insert).
    pub fn remove(&mut self, key: KeyHash) -> Option<Fingerprint> {
        let before = self.get(key)?;
        remove(&mut self.top.node, key);
        self.dirty = true;
        Some(before)
    }

    /// The fingerprint of a key, if the set has it. O(depth).
    pub fn get(&self, key: KeyHash) -> Option<Fingerprint> {
        self.top.node.get(key)
    }

    /// The number of entries.
    pub fn len(&self) -> u64 {
        self.top.node.count()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.top.node.is_empty()
    }

    /// The entries of a range, in ascending order of their key hashes. O(depth) before the first entry; computes no
    /// digests.
    pub fn range(&self, range: &KeyRange) -> Entries<'_> {
        Entries::of(&self.top.node, range)
    }

    /// The digest of all entries. Computes the digests that changed since the last call: O(depth) for each change, less
    /// where paths coincide, O(1) if nothing has changed.
    pub fn root(&mut self) -> Root {
        if self.dirty {
            self.top.digest = rehash::<D>(&mut self.top.node);
            self.dirty = false;
        }
        Root::from_bytes(self.top.digest)
    }

    /// A snapshot of the entries as they are now. Costs as much as [`root`](Self::root), and O(1) more. Later changes
    /// copy each node on their paths once.
    pub fn snapshot(&mut self) -> Snapshot<D> {
        self.root();
        Snapshot::over(self.top.clone())
    }
}

impl<D: HashFunction> Snapshot<D> {
    /// A tree with the same entries, which can be changed while the snapshot stays as it is. O(1): all nodes are
    /// shared.
    pub fn to_tree(&self) -> MerkleTree<D> {
        MerkleTree::over(self.top.clone(), false)
    }
}

impl<D: HashFunction> Default for MerkleTree<D> {
    fn default() -> Self {
        Self::new()
    }
}

/// Changes of a batch whose cache misses overlap: a processor can have a few dozen under way.
const GROUP: usize = 64;

/// Has the effect of single insertions, and is faster in a large tree.
impl<D: HashFunction> Extend<(KeyHash, Fingerprint)> for MerkleTree<D> {
    fn extend<I: IntoIterator<Item = (KeyHash, Fingerprint)>>(&mut self, entries: I) {
        let mut entries = entries.into_iter();
        loop {
            let group: Vec<_> = entries.by_ref().take(GROUP).collect();
            if group.is_empty() {
                return;
            }
            self.top.node.warm(&group);
            for (key, fingerprint) in group {
                self.insert(key, fingerprint);
            }
        }
    }
}

impl<D: HashFunction> FromIterator<(KeyHash, Fingerprint)> for MerkleTree<D> {
    fn from_iter<I: IntoIterator<Item = (KeyHash, Fingerprint)>>(entries: I) -> Self {
        Self::from_entries(entries)
    }
}

impl<D> Clone for MerkleTree<D> {
    fn clone(&self) -> Self {
        Self { top: self.top.clone(), dirty: self.dirty, hash_function: PhantomData }
    }
}

impl<D> fmt::Debug for MerkleTree<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = Node::count(&self.top.node);
        f.debug_struct("MerkleTree").field("len", &count).field("dirty", &self.dirty).finish_non_exhaustive()
    }
}
