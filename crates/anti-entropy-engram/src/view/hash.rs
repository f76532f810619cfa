//! The hash of a view (docs/protocol.md, "The semantic view").

use std::fmt;

use sha2::{Digest, Sha256};

use super::relation::{Kind, overlap};
use super::{SemanticView, ViewItem};

/// Stands for all items and all conflicts of a view: views with equal hashes are equal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ViewHash(pub [u8; 32]);

/// In hexadecimal.
impl fmt::Display for ViewHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ViewHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ViewHash({self})")
    }
}

impl SemanticView {
    /// The hash of all items and conflicts, bit for bit: SHA-256. O(items + conflicts · log)
    pub fn hash(&self) -> ViewHash {
        let mut bytes = Canonical(Sha256::new());
        bytes.0.update(b"anti-entropy-engram/1 view");
        bytes.count(self.len());
        self.items().for_each(|item| bytes.item(item));
        let counts = self.counts();
        bytes.count(counts.type1 + counts.type2 + counts.type3 + counts.type4);
        for slot in self.slots.iter() {
            self.hash_conflicts(slot, &mut bytes);
        }
        ViewHash(bytes.0.finalize().into())
    }

    /// Those in which this is the smaller id. As [`conflicts`](Self::conflicts), without a string for each.
    fn hash_conflicts(&self, slot: usize, bytes: &mut Canonical) {
        let held = self.slots.get(slot);
        if held.base.siblings > 1 {
            bytes.0.update([3]);
            bytes.string(&held.id);
            bytes.count(held.base.siblings);
            bytes.float(held.base.agreement);
        }
        for (relation, other) in self.relations_behind(held) {
            let kind = match relation.kind {
                Kind::SameCore => 1,
                Kind::Similar => 2,
                Kind::Contested => 4,
            };
            bytes.0.update([kind]);
            bytes.string(&held.id);
            bytes.string(&other.id);
            bytes.float(overlap(relation.shared, held.episodes.len(), other.episodes.len()));
            bytes.float(relation.cosine);
            match relation.kind {
                Kind::SameCore => bytes.0.update([u8::from(held.head == other.head)]),
                Kind::Similar => {}
                Kind::Contested => bytes.0.update(u64::from(relation.shared).to_be_bytes()),
            }
        }
    }
}

/// Writes what is hashed: numbers in fixed width, most significant byte first.
struct Canonical(Sha256);

impl Canonical {
    fn count(&mut self, count: usize) {
        self.0.update((count as u64).to_be_bytes());
    }

    fn string(&mut self, string: &str) {
        self.count(string.len());
        self.0.update(string);
    }

    fn float(&mut self, number: f64) {
        self.0.update(number.to_bits().to_be_bytes());
    }

    fn item(&mut self, item: &ViewItem) {
        self.count(item.patterns().len());
        item.patterns().iter().for_each(|id| self.string(id));
        self.0.update([item.embedding().encoding().code()]);
        item.part_hashes().iter().for_each(|hash| self.0.update(hash.as_bytes()));
        for number in [item.strength(), item.confidence(), item.base_confidence()] {
            self.0.update(number.to_bits().to_be_bytes());
        }
        self.0.update(item.last_consolidated().timestamp().to_be_bytes());
        self.0.update(item.last_consolidated().timestamp_subsec_nanos().to_be_bytes());
    }
}
