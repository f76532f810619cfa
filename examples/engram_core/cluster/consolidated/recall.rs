//! What the cluster says, for recall.

use std::collections::BTreeMap;

use anti_entropy_engram::SemanticPattern;
use anti_entropy_engram::view::{RecallFeed, SemanticView};

/// What the cluster says, for recall: an index of its own beside the store, so that nothing of it comes back as an episode.
#[derive(Default)]
pub struct ClusterIndex {
    feed: RecallFeed,
    items: BTreeMap<String, SemanticPattern>,
}

impl ClusterIndex {
    /// After each refresh of the view: takes over what is new, changed and gone.
    pub fn follow(&mut self, view: &SemanticView) {
        let changes = self.feed.changes(view);
        for item in changes.new.iter().chain(&changes.changed) {
            self.items.insert(item.recall_id(), SemanticPattern::from(*item));
        }
        for id in &changes.gone {
            self.items.remove(id);
        }
    }

    /// The items that are closest in meaning to a cue, the best first, with their cosines; recall adds them to its own.
    pub fn closest(&self, cue: &[f32], count: usize) -> Vec<(f32, &SemanticPattern)> {
        let mut scored: Vec<_> = self.items.values().map(|item| (cosine(cue, &item.embedding), item)).collect();
        scored.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        scored.truncate(count);
        scored
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let length = (dot(a, a) * dot(b, b)).sqrt();
    if length > 0.0 { dot(a, b) / length } else { 0.0 }
}
