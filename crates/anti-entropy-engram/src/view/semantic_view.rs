//! The view's state, and what it answers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use anti_entropy::ConfigError;
use anti_entropy::summary::Snapshot;

use super::component::Component;
use super::config::ViewConfig;
use super::conflict::{Conflict, ConflictCounts};
use super::holders::Holders;
use super::item::ViewItem;
use super::matrix::Matrices;
use super::patterns::{HeldPattern, Patterns};
use super::relation::{Kind, Relation, overlap};
use crate::MemorySpace;

/// The semantic view of a space's patterns. It follows a replica change by change; see the [module](super).
#[derive(Clone)]
pub struct SemanticView {
    pub(super) space: MemorySpace,
    pub(super) config: ViewConfig,
    pub(super) until: Snapshot,
    pub(super) patterns: Patterns,
    pub(super) holders: Holders,
    pub(super) matrices: Matrices,
    /// By the smallest id in each component.
    pub(super) components: BTreeMap<Arc<str>, Component>,
    /// By the smallest id in each item.
    pub(super) items: BTreeMap<Arc<str>, ViewItem>,
    pub(super) counts: ConflictCounts,
}

impl SemanticView {
    /// An empty view.
    ///
    /// # Errors
    /// If a setting of the space or of the view is out of its range.
    pub fn new(space: MemorySpace, config: ViewConfig) -> Result<Self, ConfigError> {
        space.validate().map_err(|error| error.within("space"))?;
        config.validate()?;
        Ok(Self {
            space,
            config,
            until: Snapshot::default(),
            patterns: Patterns::default(),
            holders: Holders::default(),
            matrices: Matrices::default(),
            components: BTreeMap::new(),
            items: BTreeMap::new(),
            counts: ConflictCounts::default(),
        })
    }

    /// Forgets all patterns.
    pub(super) fn clear(&mut self) {
        let empty = Self::new(self.space.clone(), self.config);
        *self = empty.expect("the settings were checked when the view was made");
    }

    /// The snapshot of the replica up to which the view has taken in changes. Read changes since this one.
    pub fn until(&self) -> &Snapshot {
        &self.until
    }

    /// How many items there are. O(1)
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The items in ascending order of their first ids.
    pub fn items(&self) -> impl Iterator<Item = &ViewItem> {
        self.items.values()
    }

    /// The item that a pattern is in. O(log patterns)
    pub fn item_of(&self, id: &str) -> Option<&ViewItem> {
        let head = self.patterns.get(self.patterns.of_id(id)?).head;
        self.items.get(&self.patterns.get(head).id)
    }

    /// All conflicts in ascending order of the id, which is the smaller one in a pair. Of each id, the conflict between its
    /// versions comes first, and then its pairs in ascending order of the greater id.
    pub fn conflicts(&self) -> impl Iterator<Item = Conflict> + '_ {
        self.patterns.iter().flat_map(|slot| {
            let held = self.patterns.get(slot);
            let siblings = siblings_conflict(held);
            let pairs = self.relations_behind(held);
            siblings.into_iter().chain(pairs.into_iter().map(|(relation, other)| conflict(held, relation, other)))
        })
    }

    /// The conflicts of a pattern: the conflict between its versions first, then its pairs in ascending order of the other id.
    /// The pairs of type 2 are the links of its item. O(relations · log patterns)
    pub fn conflicts_of(&self, id: &str) -> impl Iterator<Item = Conflict> {
        let held = self.patterns.of_id(id).map(|slot| self.patterns.get(slot));
        let siblings = held.and_then(siblings_conflict);
        let relations = held.into_iter().flat_map(|held| held.relations.iter().map(move |relation| (held, relation)));
        let mut pairs: Vec<_> =
            relations.map(|(held, relation)| (held, relation, self.patterns.get(relation.other))).collect();
        pairs.sort_unstable_by(|(.., a), (.., b)| a.id.cmp(&b.id));
        let pairs = pairs.into_iter().map(|(held, relation, other)| {
            if held.id < other.id { conflict(held, relation, other) } else { conflict(other, relation, held) }
        });
        siblings.into_iter().chain(pairs)
    }

    /// The relations of a pattern to patterns with greater ids, in ascending order of these ids.
    pub(super) fn relations_behind<'a>(&'a self, held: &'a HeldPattern) -> Vec<(&'a Relation, &'a HeldPattern)> {
        let ends = held.relations.iter().map(|relation| (relation, self.patterns.get(relation.other)));
        let mut behind: Vec<_> = ends.filter(|(_, other)| other.id > held.id).collect();
        behind.sort_unstable_by(|(_, a), (_, b)| a.id.cmp(&b.id));
        behind
    }

    /// The patterns that several nodes hold and all say the same of, each with the number of these versions, in ascending order
    /// of their ids. They are no conflicts, and their confidence is what each node says.
    pub fn replicated(&self) -> impl Iterator<Item = (&str, usize)> {
        let held = self.patterns.iter().map(|slot| self.patterns.get(slot));
        held.filter(|held| held.base.is_replicated()).map(|held| (&*held.id, held.base.siblings))
    }

    /// How many conflicts there are, by type. O(1)
    pub fn counts(&self) -> ConflictCounts {
        self.counts
    }

    /// The components of type 1 that are not merged, for an operator to decide on. Each is a list of ids in ascending order;
    /// the lists are in ascending order of their first ids.
    pub fn unresolved(&self) -> impl Iterator<Item = Vec<&str>> {
        let unresolved = self.components.values().filter(|component| !component.complete);
        unresolved.map(|component| component.members.iter().map(|member| &*self.patterns.get(*member).id).collect())
    }
}

fn siblings_conflict(held: &HeldPattern) -> Option<Conflict> {
    held.base.is_conflict().then(|| Conflict::Siblings {
        id: held.id.to_string(),
        siblings: held.base.siblings,
        agreement: held.base.agreement,
    })
}

fn conflict(held: &HeldPattern, relation: &Relation, other: &HeldPattern) -> Conflict {
    let (a, b) = (held.id.to_string(), other.id.to_string());
    let overlap = overlap(relation.shared, held.episodes.len(), other.episodes.len());
    let cosine = relation.cosine;
    match relation.kind {
        Kind::SameCore => Conflict::SameCore { a, b, overlap, cosine, resolved: held.head == other.head },
        Kind::Similar => Conflict::Similar { a, b, overlap, cosine },
        Kind::Contested => Conflict::Contested { a, b, shared: relation.shared as usize, overlap, cosine },
    }
}

impl fmt::Debug for SemanticView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let view = &mut f.debug_struct("SemanticView");
        view.field("space", &self.space.id)
            .field("items", &self.len())
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}
