//! The tree over the entries of a range, made from the nodes of a larger one.

use core::array;

use super::build::join;
use super::fingerprint::HashFunction;
use super::node::{Link, Node};
use super::span::Span;

/// The hashed tree over the entries below that lie in the span. Nodes wholly inside are shared; only those along the
/// two edges are made: O(depth).
pub(super) fn restrict<D: HashFunction>(link: &Link, span: Span) -> Link {
    match &link.node {
        Node::Leaf(items) => {
            let inside = span.clip(items);
            if inside.len() == items.len() { link.clone() } else { Link::hashed::<D>(Node::leaf(inside)) }
        }
        Node::Inner(inner) if span.includes(inner.span()) => link.clone(),
        Node::Inner(inner) => {
            let children = array::from_fn(|slot| {
                if span.overlaps(inner.child_span(slot)) {
                    restrict::<D>(&inner.children[slot], span)
                } else {
                    Link::default()
                }
            });
            Link::hashed::<D>(join(inner.prefix, inner.depth, children))
        }
    }
}

/// How many entries below lie in the span. O(depth).
pub(super) fn count(node: &Node, span: Span) -> u64 {
    match node {
        Node::Leaf(items) => span.clip(items).len() as u64,
        Node::Inner(inner) if span.includes(inner.span()) => inner.count,
        Node::Inner(inner) => (0..inner.children.len())
            .filter(|&slot| span.overlaps(inner.child_span(slot)))
            .map(|slot| count(&inner.children[slot].node, span))
            .sum(),
    }
}
