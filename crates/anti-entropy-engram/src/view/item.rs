//! The items of a view.

use anti_entropy::value::PartHash;
use chrono::{DateTime, Utc};

use crate::resolve::{Mean, by_certainty, lowered};
use crate::{Embedding, Episodes, Pattern, SemanticPattern, VIEW_MARK};

/// An item of a view: a pattern, or several patterns that are merged.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewItem {
    patterns: Vec<String>,
    embedding: Embedding,
    episodes: Episodes,
    strength: f32,
    confidence: f32,
    base_confidence: f32,
    last_consolidated: DateTime<Utc>,
    /// Hashes of embedding and episodes, kept because the view is hashed more often than these change.
    part_hashes: [PartHash; 2],
}

impl ViewItem {
    /// The item of these base patterns, which are in ascending order of their ids, before other items lower its confidence.
    pub(super) fn of(members: &[&Pattern]) -> Self {
        let first = members.first().expect("an item has a pattern");
        // Of patterns with equal certainty the first one decides.
        let surer = |best, member| if by_certainty(member, best).is_gt() { member } else { best };
        let decider = members.iter().copied().fold(*first, surer);
        let (embedding, episodes) = match members {
            [only] => (only.embedding.clone(), only.episodes.clone()),
            several => (
                Mean::of(several.iter().copied(), decider).embedding,
                Episodes::union(several.iter().map(|member| &member.episodes)),
            ),
        };
        Self {
            patterns: members.iter().map(|member| member.id.clone()).collect(),
            part_hashes: [embedding.part().hash(), episodes.part().hash()],
            embedding,
            episodes,
            strength: decider.strength,
            confidence: decider.confidence,
            base_confidence: decider.confidence,
            last_consolidated: decider.last_consolidated,
        }
    }

    /// Sets the confidence to the base confidence times a factor of 0 to 1.
    pub(super) fn lower_confidence(&mut self, factor: f64) {
        self.confidence = lowered(self.base_confidence, factor);
    }

    pub(super) fn part_hashes(&self) -> &[PartHash; 2] {
        &self.part_hashes
    }

    /// The ids of its patterns in ascending order. The first one is the item's name.
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }

    /// The item's name: the first of [`patterns`](Self::patterns).
    pub fn name(&self) -> &str {
        &self.patterns[0]
    }

    /// The id under which recall keeps the item: [`VIEW_MARK`](crate::VIEW_MARK) and the [name](Self::name).
    pub fn recall_id(&self) -> String {
        recall_id(self.name())
    }

    /// The embedding: that of its pattern, or the mean of those that are merged, weighted by confidence.
    pub fn embedding(&self) -> &Embedding {
        &self.embedding
    }

    /// The episodes of all of its patterns.
    pub fn episodes(&self) -> &Episodes {
        &self.episodes
    }

    /// The strength of its pattern with the highest confidence.
    pub fn strength(&self) -> f32 {
        self.strength
    }

    /// The confidence after conflicts with other items lowered it: 0 to [`base_confidence`](Self::base_confidence).
    pub fn confidence(&self) -> f32 {
        self.confidence
    }

    /// The highest confidence of its patterns.
    pub fn base_confidence(&self) -> f32 {
        self.base_confidence
    }

    /// When its pattern with the highest confidence was last consolidated.
    pub fn last_consolidated(&self) -> DateTime<Utc> {
        self.last_consolidated
    }
}

/// The id under which recall keeps the item of this name.
pub(super) fn recall_id(name: &str) -> String {
    format!("{VIEW_MARK}{name}")
}

/// An item as a pattern of engram, for recall. Its id is the [`recall_id`](ViewItem::recall_id), by which it is recognised and
/// refused if it comes back in a snapshot.
impl From<&ViewItem> for SemanticPattern {
    fn from(item: &ViewItem) -> Self {
        Self {
            id: item.recall_id(),
            embedding: item.embedding.to_vec(),
            source_episodes: item.episodes.iter().map(str::to_owned).collect(),
            strength: item.strength,
            schema_confidence: item.confidence,
            last_consolidated: item.last_consolidated,
        }
    }
}
