//! Changing one entry in a tree, and hashing what changed.
//!
//! A change marks the path to it: in each node the bit of the child that it went through. Nodes that are shared are
//! copied on the way. Hashing follows the marks, so that many changes are hashed together.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::{array, mem};

use crate::KeyHash;

use super::build::{build, gather, only_child};
use super::fingerprint::{Fingerprint, HashFunction};
use super::hashing::{inner_digest, leaf_digest};
use super::item::Item;
use super::node::{BUCKET, Inner, Link, Node};
use super::span::{Span, bits_behind, slot_of};

/// Puts in an item whose key is not there. `dirty` says whether the link's digest was out of date; now it is.
pub(super) fn insert(link: &mut Link, dirty: bool, item: Item) {
    match &mut link.node {
        Node::Leaf(items) => link.node = with(items, item),
        Node::Inner(inner) if inner.span().contains(item.key) => {
            let inner = Arc::make_mut(inner);
            let slot = inner.slot(item.key);
            let child_dirty = inner.dirty & 1 << slot != 0;
            inner.dirty |= 1 << slot;
            inner.count += 1;
            insert(&mut inner.children[slot], child_dirty, item);
        }
        Node::Inner(inner) => {
            let (prefix, count) = (inner.prefix, inner.count);
            link.node = branch(prefix, count, mem::take(link), dirty, item);
        }
    }
}

/// A leaf and one more item.
fn with(items: &[Item], item: Item) -> Node {
    let at = items.partition_point(|held| held.key < item.key);
    let (before, behind) = items.split_at(at);
    let all = before.iter().copied().chain([item]).chain(behind.iter().copied());
    if items.len() < BUCKET {
        // The length is known beforehand, so that this allocates once, and exactly.
        Node::Leaf(all.collect())
    } else {
        build(&all.collect::<Vec<_>>())
    }
}

/// A new branch above a node whose prefix the item does not share.
fn branch(prefix: KeyHash, count: u64, old: Link, dirty: bool, item: Item) -> Node {
    let (prefix, key) = (prefix.to_u128(), item.key.to_u128());
    let depth = Span { lo: prefix, last: key }.shared_depth();
    let (old_slot, new_slot) = (slot_of(prefix, depth), slot_of(key, depth));
    let mut children: [Link; 4] = array::from_fn(|_| Link::default());
    children[old_slot] = old;
    children[new_slot].node = Node::leaf(&[item]);
    Node::Inner(Arc::new(Inner {
        prefix: KeyHash::from_u128(key & !bits_behind(depth)),
        count: count + 1,
        depth,
        dirty: u8::from(dirty) << old_slot | 1 << new_slot,
        children,
    }))
}

/// Changes the fingerprint of a key that is there.
pub(super) fn replace(node: &mut Node, key: KeyHash, fingerprint: Fingerprint) {
    match node {
        Node::Leaf(items) => {
            if let Some(at) = items.iter().position(|item| item.key == key) {
                Arc::make_mut(items)[at].fingerprint = fingerprint;
            }
        }
        Node::Inner(inner) => {
            let inner = Arc::make_mut(inner);
            let slot = inner.slot(key);
            inner.dirty |= 1 << slot;
            replace(&mut inner.children[slot].node, key, fingerprint);
        }
    }
}

/// Takes out a key that is there.
pub(super) fn remove(node: &mut Node, key: KeyHash) {
    match node {
        Node::Leaf(items) => {
            let rest: Vec<Item> = items.iter().filter(|item| item.key != key).copied().collect();
            *node = Node::leaf(&rest);
        }
        Node::Inner(inner) if inner.count <= BUCKET as u64 + 1 => *node = gather(&inner.children, Some(key)),
        Node::Inner(inner) => {
            let inner = Arc::make_mut(inner);
            let slot = inner.slot(key);
            inner.dirty |= 1 << slot;
            inner.count -= 1;
            remove(&mut inner.children[slot].node, key);
            if let Some(slot) = only_child(&inner.children) {
                // The link above is out of date anyway, so that the child's mark may go with its parent.
                *node = mem::take(&mut inner.children[slot].node);
            }
        }
    }
}

/// Brings all digests below up to date and returns that of the node.
pub(super) fn rehash<D: HashFunction>(node: &mut Node) -> [u8; 32] {
    match node {
        Node::Leaf(items) => leaf_digest::<D>(items),
        Node::Inner(inner) => {
            if inner.dirty != 0 {
                let inner = Arc::make_mut(inner);
                for slot in 0..inner.children.len() {
                    if inner.dirty & 1 << slot != 0 {
                        let child = &mut inner.children[slot];
                        // A mark on a child that has since become empty means nothing.
                        if !child.node.is_empty() {
                            child.digest = rehash::<D>(&mut child.node);
                        }
                    }
                }
                inner.dirty = 0;
            }
            inner_digest::<D>(inner)
        }
    }
}
