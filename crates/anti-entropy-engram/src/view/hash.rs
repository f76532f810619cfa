//! The hash of a view (docs/protocol.md, "The semantic view").

use sha2::{Digest, Sha256};

use super::item::ViewItem;
use super::relation::{Kind, overlap};
use super::semantic_view::SemanticView;

anti_entropy::summary::__opaque_bytes! {
    /// The SHA-256 hash of all items and conflicts of a view. Views with equal hashes are equal.
    pub struct ViewHash(32)
}

impl SemanticView {
    /// The hash of all items and conflicts, bit for bit. O(items + conflicts · log conflicts)
    pub fn hash(&self) -> ViewHash {
        let mut bytes = Canonical(Sha256::new());
        bytes.0.update(b"anti-entropy-engram/1 view");
        bytes.count(self.len());
        self.items().for_each(|item| bytes.item(item));
        let counts = self.counts();
        bytes.count(counts.type1 + counts.type2 + counts.type3 + counts.type4);
        for slot in self.patterns.iter() {
            self.hash_conflicts(slot, &mut bytes);
        }
        ViewHash::from_bytes(bytes.0.finalize().into())
    }

    /// Hashes the conflicts in which this pattern has the smaller id, in the order of [`conflicts`](Self::conflicts), and
    /// allocates no strings.
    fn hash_conflicts(&self, slot: usize, bytes: &mut Canonical) {
        let held = self.patterns.get(slot);
        if held.base.is_conflict() {
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

/// Feeds the hash. Numbers have a fixed width, most significant byte first.
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
