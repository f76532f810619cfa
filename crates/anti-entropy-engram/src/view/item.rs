//! The items of a view.

use anti_entropy::value::PartHash;
use chrono::{DateTime, Utc};

use crate::resolve::{Mean, by_certainty, lowered};
use crate::{Embedding, Episodes, Pattern, SemanticPattern};

/// One thing that is known: a pattern, or several that were merged.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewItem {
    patterns: Vec<String>,
    embedding: Embedding,
    episodes: Episodes,
    strength: f32,
    confidence: f32,
    base_confidence: f32,
    last_consolidated: DateTime<Utc>,
    /// Of embedding and episodes, which change more rarely than the view is hashed.
    part_hashes: [PartHash; 2],
}

impl ViewItem {
    /// The item of these base patterns, in ascending order of their ids, before other items lower its confidence.
    pub(super) fn of(members: &[&Pattern]) -> Self {
        let first = members.first().expect("an item has a pattern");
        // Of equally sure ones the first stays.
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

    /// Lowers the confidence to the base times a factor of 0 to 1.
    pub(super) fn lower_confidence(&mut self, factor: f64) {
        self.confidence = lowered(self.base_confidence, factor);
    }

    pub(super) fn part_hashes(&self) -> &[PartHash; 2] {
        &self.part_hashes
    }

    /// The ids of the patterns that it came from, ascending. The first one names it.
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }

    /// What it means: the pattern's embedding, or the mean of those that were merged, weighted by confidence.
    pub fn embedding(&self) -> &Embedding {
        &self.embedding
    }

    /// The episodes behind it: of all patterns in it.
    pub fn episodes(&self) -> &Episodes {
        &self.episodes
    }

    /// How strong it is: as the surest pattern in it.
    pub fn strength(&self) -> f32 {
        self.strength
    }

    /// How sure the replicas are of it, given what else they hold: in 0 to [`base_confidence`](Self::base_confidence).
    pub fn confidence(&self) -> f32 {
        self.confidence
    }

    /// How sure they would be of it alone: as of the surest pattern in it.
    pub fn base_confidence(&self) -> f32 {
        self.base_confidence
    }

    /// When it was last consolidated: as the surest pattern in it.
    pub fn last_consolidated(&self) -> DateTime<Utc> {
        self.last_consolidated
    }
}

/// An item as engram would hold it, under the id that names it.
impl From<&ViewItem> for SemanticPattern {
    fn from(item: &ViewItem) -> Self {
        Self {
            id: item.patterns[0].clone(),
            embedding: item.embedding.to_vec(),
            source_episodes: item.episodes.iter().map(str::to_owned).collect(),
            strength: item.strength,
            schema_confidence: item.confidence,
            last_consolidated: item.last_consolidated,
        }
    }
}
