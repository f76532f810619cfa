//! The semantic view: against its definition, against itself built anew, and on real data.
#![allow(clippy::unwrap_used, reason = "what does not hold here ends the test")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "rounding is meant, and counts are small"
)]
#![allow(clippy::float_cmp, reason = "bits are what it is about")]

#[path = "../common/mod.rs"]
mod common;
mod examples;
mod incremental;
mod limits;
mod real;
mod recall;
mod reference;
mod search;
mod speed;

use std::collections::BTreeMap;

use anti_entropy::summary::Snapshot;
use anti_entropy::{ChangedEntries, Entry, KeyHash, Version};
use anti_entropy_engram::view::{SemanticView, ViewConfig};
use anti_entropy_engram::{MemorySpace, Pattern};

/// What is converged on: the versions of each id.
type Set = BTreeMap<String, Vec<Version<Pattern>>>;

/// The set of these patterns, a version each.
fn set(patterns: impl IntoIterator<Item = Pattern>) -> Set {
    let ids = patterns.into_iter().map(|pattern| (pattern.id().to_owned(), vec![common::version(1, pattern)]));
    ids.collect()
}

/// A change to these versions; no versions: it is gone.
fn changed<'a>(
    ids: impl IntoIterator<Item = (&'a String, Option<&'a Vec<Version<Pattern>>>)>,
) -> ChangedEntries<Pattern> {
    let entries = ids.into_iter().map(|(id, siblings)| {
        let entry = siblings.map(|siblings| Entry { key: id.clone(), siblings: siblings.clone() });
        (KeyHash::of(id), entry)
    });
    ChangedEntries { since: <Snapshot>::default().root(), entries: entries.collect(), until: Snapshot::default() }
}

/// The view of a set, built from nothing at once.
fn view_of(space: &MemorySpace, set: &Set) -> SemanticView {
    let mut view = SemanticView::new(space.clone(), ViewConfig::default()).unwrap();
    view.apply(changed(set.iter().map(|(id, siblings)| (id, Some(siblings))))).unwrap();
    view
}

/// Nothing tells them apart.
fn assert_same(a: &SemanticView, b: &SemanticView) {
    assert!(a.items().eq(b.items()), "items");
    assert!(a.conflicts().eq(b.conflicts()), "conflicts");
    assert!(a.unresolved().eq(b.unresolved()), "unresolved components");
    assert_eq!((a.counts(), a.hash()), (b.counts(), b.hash()));
}
