//! What a view has to tell recall: what is new, changed and gone since the last time.

use std::collections::BTreeMap;

use anti_entropy::value::PartHash;

use super::item::ViewItem;
use super::semantic_view::SemanticView;

/// Keeps an index or a store of an application up to date with a [`SemanticView`]: tells what is new in the view, what
/// changed and what is gone since it was asked last.
///
/// Recall that answers from local episodes alone does not know what other nodes consolidated. Either it asks an index of the
/// view's items beside its own memories, or the items that are new are put among these, under their
/// [`recall_id`](ViewItem::recall_id)s, and kept out of the next consolidation. `SemanticPattern::from(item)` converts an item.
/// What gets into consolidation all the same is refused when it comes back; see [`VIEW_MARK`](crate::VIEW_MARK).
///
/// It keeps some 150 bytes for each item.
///
/// ```
/// use anti_entropy_engram::view::{RecallFeed, SemanticView, ViewConfig};
/// use anti_entropy_engram::{MemorySpace, SemanticPattern};
/// # use anti_entropy::clock::{Now, Seed};
/// # use anti_entropy::{KeepAll, MemoryStore, Replica};
/// # use anti_entropy_engram::Pattern;
/// # use chrono::DateTime;
/// # let space = MemorySpace::new("default").with(|space| space.dimension = 1.try_into().unwrap());
/// # let mut replica = Replica::open(MemoryStore::new(), KeepAll, Seed::from_os()?)?;
/// # let consolidated = SemanticPattern {
/// #     id: "pattern_1f".to_string(),
/// #     embedding: vec![1.0],
/// #     source_episodes: vec!["a".to_string()],
/// #     strength: 0.8,
/// #     schema_confidence: 0.6,
/// #     last_consolidated: DateTime::UNIX_EPOCH,
/// # };
/// # replica.write(Pattern::new(&consolidated, "node-1", &space)?, Now::default())?;
/// let mut view = SemanticView::new(space, ViewConfig::default())?;
/// let mut feed = RecallFeed::default();
/// let mut index = std::collections::BTreeMap::new(); // The application's own.
/// view.follow(&mut replica)?;
/// let changes = feed.changes(&view);
/// for item in changes.new.iter().chain(&changes.changed) {
///     index.insert(item.recall_id(), SemanticPattern::from(*item));
/// }
/// for id in &changes.gone {
///     index.remove(id);
/// }
/// assert_eq!(index.keys().collect::<Vec<_>>(), ["cluster-view:pattern_1f"]);
/// assert!(feed.changes(&view).is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct RecallFeed {
    /// By the items' names.
    told: BTreeMap<String, Told>,
}

/// The fields of an item that recall sees.
type Told = ([PartHash; 2], [u32; 2]);

/// What has changed in a view. Each list is in ascending order.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RecallChanges<'a> {
    /// The items that were not there.
    pub new: Vec<&'a ViewItem>,
    /// The items whose embedding, episodes, strength or confidence changed.
    pub changed: Vec<&'a ViewItem>,
    /// The [`recall_id`](ViewItem::recall_id)s of items that are no longer there: deleted, or merged with another one.
    pub gone: Vec<String>,
}

impl RecallChanges<'_> {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.new.is_empty() && self.changed.is_empty() && self.gone.is_empty()
    }
}

impl RecallFeed {
    /// What changed in the view since the last call; at the first call every item is new. O(items)
    pub fn changes<'a>(&mut self, view: &'a SemanticView) -> RecallChanges<'a> {
        let mut before = std::mem::take(&mut self.told);
        let mut changes = RecallChanges::default();
        for item in view.items() {
            let now = (*item.part_hashes(), [item.strength(), item.confidence()].map(f32::to_bits));
            match before.remove(item.name()) {
                None => changes.new.push(item),
                Some(told) if told != now => changes.changed.push(item),
                Some(_) => {}
            }
            self.told.insert(item.name().to_owned(), now);
        }
        changes.gone = before.keys().map(|name| super::item::recall_id(name)).collect();
        changes
    }
}
