//! `merkle-search-tree`: both sides send the ranges and hashes of all pages of their trees, and ask for the entries of
//! the ranges that `diff` tells them, until the roots are equal, as in the library's own test of synchronisation.

use std::collections::BTreeMap;

use ::merkle_search_tree::MerkleSearchTree;
use ::merkle_search_tree::diff::{PageRange, PageRangeSnapshot, diff};
use ::merkle_search_tree::digest::PageDigest;
use serde::{Deserialize, Serialize};

use super::data::{Data, Entry};
use super::{Finding, Peer};

/// A tree with the default settings.
pub(crate) struct SearchTree;

/// The bytes of a key, most significant first: they have the order of the numbers.
type Key = [u8; 16];
type Tree = MerkleSearchTree<Key, [u64; 4]>;

/// One side. The tree holds hashes of values; the values that are sent come from `data`.
#[derive(Clone)]
pub(crate) struct Node {
    tree: Tree,
    data: BTreeMap<Key, [u64; 4]>,
}

/// A page: its first key, its last key, its hash.
type Page = (Key, Key, [u8; 16]);

/// The library leaves messages to its user.
#[derive(Default, Serialize, Deserialize)]
struct Message {
    root: Option<[u8; 16]>,
    pages: Vec<Page>,
    wanted: Vec<(Key, Key)>,
    entries: Vec<(Key, [u64; 4])>,
}

/// The search is given up after so many rounds.
const MAX_ROUNDS: u32 = 50;

impl Peer for SearchTree {
    const NAME: &'static str = "merkle-search-tree 0.8";
    const NOTES: &'static str = "a comparison in memory: messages are the benchmark's, with values, in bincode; sends \
                                 all pages; finds ranges, whose entries all move; no deletes; SipHash with a known key";
    const MEMORY: &'static str = "the tree, with keys";
    const DATA_BYTES: u64 = 0;
    type Side = Tree;
    type Pair = (Node, Node);

    fn build(entries: &[Entry]) -> Tree {
        let mut tree = Tree::default();
        for (key, value) in entries {
            tree.upsert(key.to_be_bytes(), value);
        }
        tree.root_hash();
        tree
    }

    fn upsert(tree: &mut Tree, (key, value): Entry) {
        tree.upsert(key.to_be_bytes(), &value);
        tree.root_hash();
    }

    fn pair(data: Data, _: Option<Self::Pair>) -> Self::Pair {
        let node = |entries: &[Entry]| Node {
            tree: Self::build(entries),
            data: entries.iter().map(|(key, value)| (key.to_be_bytes(), *value)).collect(),
        };
        (node(&data.ours()), node(&data.theirs()))
    }

    fn reconcile(pair: &mut Self::Pair) -> Finding {
        // What is compared is made equal, and is to stay as it is.
        let (mut ours, mut theirs) = pair.clone();
        Finding::measure(|wire| {
            let mut keys = Vec::new();
            let mut message: Message = wire.send(&Message { root: Some(ours.root()), ..Message::default() });
            for _ in 0..MAX_ROUNDS {
                if message.root == Some(theirs.root()) {
                    // With the opening message: that nothing differs. Later the entries before it were the answer.
                    if wire.messages == 1 {
                        wire.send::<Message>(&Message { root: message.root, ..Message::default() });
                    }
                    break;
                }
                let their_pages: Message = wire.send(&Message { pages: theirs.pages(), ..Message::default() });
                let asked: Message = wire.send(&Message {
                    pages: ours.pages(),
                    wanted: ours.wanted(&their_pages.pages),
                    ..Message::default()
                });
                let answer: Message = wire.send(&Message {
                    wanted: theirs.wanted(&asked.pages),
                    entries: theirs.entries_in(&asked.wanted),
                    ..Message::default()
                });
                let entries = ours.entries_in(&answer.wanted);
                ours.take(&answer.entries, &mut keys);
                message = wire.send(&Message { root: Some(ours.root()), entries, ..Message::default() });
                theirs.take(&message.entries, &mut keys);
            }
            keys
        })
    }
}

impl Node {
    fn root(&mut self) -> [u8; 16] {
        *self.tree.root_hash().as_bytes()
    }

    fn pages(&mut self) -> Vec<Page> {
        self.tree.root_hash();
        let pages = self.tree.serialise_page_ranges().expect("the root is hashed");
        pages.iter().map(|page| (*page.start(), *page.end(), *page.hash().as_bytes())).collect()
    }

    /// The ranges to ask the side for that has these pages.
    fn wanted(&mut self, pages: &[Page]) -> Vec<(Key, Key)> {
        self.tree.root_hash();
        let ours = PageRangeSnapshot::from(self.tree.serialise_page_ranges().expect("the root is hashed"));
        let theirs = pages.iter().map(|(start, end, hash)| PageRange::new(start, end, PageDigest::new(*hash)));
        diff(ours.iter(), theirs).iter().map(|range| (*range.start(), *range.end())).collect()
    }

    fn entries_in(&self, ranges: &[(Key, Key)]) -> Vec<(Key, [u64; 4])> {
        ranges
            .iter()
            .flat_map(|(start, end)| self.data.range(*start..=*end))
            .map(|(key, value)| (*key, *value))
            .collect()
    }

    /// Keeps the greater value of each key: any rule does on which both sides agree.
    fn take(&mut self, entries: &[(Key, [u64; 4])], keys: &mut Vec<u128>) {
        for (key, value) in entries {
            keys.push(u128::from_be_bytes(*key));
            if self.data.get(key).is_none_or(|held| held < value) {
                self.data.insert(*key, *value);
                self.tree.upsert(*key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It finds ranges.
    #[test]
    fn all_differences_are_among_what_is_found() {
        for differences in [0, 1, 10, 100] {
            let data = Data { entries: 3000, differences };
            let found = SearchTree::reconcile(&mut SearchTree::pair(data, None));
            assert!(data.differing(SearchTree::name).is_subset(&found.keys), "{differences}");
            assert!(found.bytes > 0 && found.messages >= 2);
        }
    }
}
