//! How much other items lower an item's confidence.

use std::collections::BTreeMap;

use super::SemanticView;
use super::relation::{Kind, Relation, closeness};
use super::slots::Slot;

impl SemanticView {
    /// What the confidence of an item, named by its first pattern, is multiplied with.
    pub(super) fn confidence_factor(&self, head: Slot) -> f64 {
        let members = self.members(&head);
        self.similar_factor(head, members) * self.contested_factor(head, members)
    }

    /// The relations of one kind of an item to other items, each with the first pattern of the other item.
    fn relations_of_item<'a>(
        &'a self,
        head: Slot,
        members: &'a [Slot],
        kind: Kind,
    ) -> impl Iterator<Item = (&'a Relation, Slot)> {
        let relations = members.iter().flat_map(|member| &self.slots.get(*member).relations);
        let of_kind = relations.filter(move |relation| relation.kind == kind);
        let others = of_kind.map(|relation| (relation, self.slots.get(relation.other).head));
        others.filter(move |(_, other)| *other != head)
    }

    /// An item that shares its meaning with others is one of so many.
    fn similar_factor(&self, head: Slot, members: &[Slot]) -> f64 {
        // In the order of the first ids, in which the sum is defined.
        let mut closest: BTreeMap<&str, f64> = BTreeMap::new();
        for (relation, other) in self.relations_of_item(head, members, Kind::Similar) {
            let closest = closest.entry(&self.slots.get(other).id).or_default();
            *closest = closest.max(closeness(&self.space.thresholds, relation.cosine));
        }
        1.0 / (1.0 + closest.into_values().fold(0.0, |sum, closeness| sum + closeness))
    }

    /// An episode that others claim too counts for less.
    fn contested_factor(&self, head: Slot, members: &[Slot]) -> f64 {
        let rivals = self.relations_of_item(head, members, Kind::Contested);
        let mut rivals: Vec<Slot> = rivals.map(|(_, rival)| rival).collect();
        rivals.sort_unstable();
        rivals.dedup();
        if rivals.is_empty() {
            return 1.0;
        }
        let mut episodes: Vec<usize> =
            members.iter().flat_map(|member| &self.slots.get(*member).episodes).copied().collect();
        // In the order of the ids, in which the sum is defined.
        episodes.sort_unstable_by_key(|episode| self.holders.id(*episode));
        episodes.dedup();
        let shares = episodes.iter().map(|episode| {
            let claims = self.holders.of(*episode).iter().map(|holder| self.slots.get(*holder).head);
            let mut claims: Vec<Slot> = claims.filter(|claim| rivals.binary_search(claim).is_ok()).collect();
            claims.sort_unstable();
            claims.dedup();
            1.0 / (1.0 + as_f64(claims.len()))
        });
        shares.fold(0.0, |sum, share| sum + share) / as_f64(episodes.len())
    }
}

fn as_f64(count: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 things are held")]
    let count = count as f64;
    count
}
