//! Making the canonical tree over a set of entries: from the entries, or from trees over its parts.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::array;

use crate::KeyHash;

use super::item::Item;
use super::node::{BUCKET, FAN_OUT, Inner, Link, Node};
use super::span::{Span, bits_behind, slot_of};

/// Sorts items by key. Of several with one key, the last stays.
pub(super) fn sort(items: &mut Vec<Item>) {
    if items.is_sorted_by(|a, b| a.key < b.key) {
        return;
    }
    // Stable, so that "last" means the order in which they came.
    items.sort_by_key(|item| item.key.to_u128());
    items.dedup_by(|later, kept| {
        let same = later.key == kept.key;
        if same {
            *kept = *later;
        }
        same
    });
}

/// The tree over sorted items, with all digests yet to be computed. O(n).
pub(super) fn build(items: &[Item]) -> Node {
    let (Some(first), Some(last)) = (items.first(), items.last()) else { return Node::default() };
    if items.len() <= BUCKET {
        return Node::leaf(items);
    }
    let first = first.key.to_u128();
    // More than one key, so that the first and the last differ and the depth is at most 126.
    let depth = Span { lo: first, last: last.key.to_u128() }.shared_depth();
    let mut rest = items;
    let children = array::from_fn(|slot| {
        let (here, behind) = rest.split_at(rest.partition_point(|item| slot_of(item.key.to_u128(), depth) <= slot));
        rest = behind;
        Link { node: build(here), ..Link::default() }
    });
    Node::Inner(Arc::new(Inner {
        prefix: KeyHash::from_u128(first & !bits_behind(depth)),
        count: items.len() as u64,
        depth,
        dirty: occupied(&children),
        children,
    }))
}

/// The tree over the union of four sets that share `prefix` down to `depth` and are told apart by the next two bits.
/// Such a set may have become too small for a branch of its own.
///
/// The digests of the four must be up to date; that of the result is `None` if it is still to be computed.
pub(super) fn join(prefix: KeyHash, depth: u8, mut children: [Link; FAN_OUT]) -> Node {
    let count = children.iter().map(|child| child.node.count()).sum();
    if count <= BUCKET as u64 {
        return gather(&children, None);
    }
    if let Some(slot) = only_child(&children) {
        return core::mem::take(&mut children[slot].node);
    }
    Node::Inner(Arc::new(Inner { prefix, count, depth, dirty: 0, children }))
}

/// A leaf of all items below, which must be at most [`BUCKET`] without the one that is left out.
pub(super) fn gather(children: &[Link; FAN_OUT], left_out: Option<KeyHash>) -> Node {
    let mut items = Vec::with_capacity(BUCKET + 1);
    for child in children {
        child.node.for_each_leaf(&mut |leaf| items.extend(leaf.iter().filter(|item| Some(item.key) != left_out)));
    }
    Node::leaf(&items)
}

/// The only child that is not empty, if there is just one.
pub(super) fn only_child(children: &[Link; FAN_OUT]) -> Option<usize> {
    let mask = occupied(children);
    mask.is_power_of_two().then(|| mask.trailing_zeros() as usize)
}

/// Bit `i`: child `i` is not empty.
pub(super) fn occupied(children: &[Link; FAN_OUT]) -> u8 {
    children.iter().enumerate().fold(0, |mask, (slot, child)| mask | u8::from(!child.node.is_empty()) << slot)
}
