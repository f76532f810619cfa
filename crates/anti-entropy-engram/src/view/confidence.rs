//! How much other items lower the confidence of an item.

use super::numbers::{Episode, Slot};
use super::relation::{Kind, Relation, closeness};
use super::semantic_view::SemanticView;

impl SemanticView {
    /// The factor of an item's confidence; `head` is the item's first pattern.
    pub(super) fn confidence_factor(&self, head: Slot) -> f64 {
        let members = self.members(&head);
        self.similar_factor(head, members) * self.contested_factor(head, members)
    }

    /// The relations of one kind of an item to patterns of other items.
    fn relations_of_item<'a>(
        &'a self,
        head: Slot,
        members: &'a [Slot],
        kind: Kind,
    ) -> impl Iterator<Item = &'a Relation> {
        let relations = members.iter().flat_map(|member| &self.patterns.get(*member).relations);
        relations.filter(move |relation| relation.kind == kind && self.patterns.get(relation.other).head != head)
    }

    /// Of two items with the same meaning, each is taken to be right about half of it.
    fn similar_factor(&self, head: Slot, members: &[Slot]) -> f64 {
        let similar = self.relations_of_item(head, members, Kind::Similar);
        let closeness = similar.map(|relation| closeness(&self.space.thresholds, relation.cosine));
        1.0 - closeness.fold(0.0, f64::max) / 2.0
    }

    /// An episode that another item claims too counts half.
    fn contested_factor(&self, head: Slot, members: &[Slot]) -> f64 {
        let rivals = self.relations_of_item(head, members, Kind::Contested).map(|relation| relation.other);
        let mut rivals: Vec<Slot> = rivals.collect();
        if rivals.is_empty() {
            return 1.0;
        }
        rivals.sort_unstable();
        let own = members.iter().flat_map(|member| &self.patterns.get(*member).episodes);
        let mut own: Vec<Episode> = own.copied().collect();
        own.sort_unstable();
        own.dedup();
        let is_contested =
            |episode: &&Episode| self.holders.of(**episode).iter().any(|holder| rivals.binary_search(holder).is_ok());
        let contested = own.iter().filter(is_contested).count();
        1.0 - as_f64(contested) / as_f64(own.len()) / 2.0
    }
}

fn as_f64(count: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 things are held")]
    let count = count as f64;
    count
}
