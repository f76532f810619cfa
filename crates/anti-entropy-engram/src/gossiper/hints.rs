//! Which patterns of a rebuild are pushed first.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A change of a pattern, with the fields of engram's `BeliefUpdateRecord`. It is a hint at what peers should receive first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BeliefUpdate {
    /// The pattern's id.
    pub pattern_id: String,
    /// By how much its confidence changed.
    pub confidence_delta: f32,
    /// By how much the number of its citations changed.
    pub citation_delta: i32,
    /// By how much its strength changed.
    pub novelty: f32,
    /// When the update was made.
    pub generated_at: DateTime<Utc>,
    /// When the snapshot was made from which it comes.
    pub snapshot_generated_at: DateTime<Utc>,
    /// What caused the snapshot.
    pub source: UpdateSource,
}

/// What caused a snapshot, with the names of engram's `ConsolidationCacheSource`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UpdateSource {
    /// The scheduler, in the background.
    Scheduler,
    /// Somebody asked for it.
    OnDemand,
}

impl BeliefUpdate {
    /// How important the update is, 0 to 3: the sum of the magnitudes of the changes of confidence and strength, at most 1
    /// each, and of *c / (c + 1)* for a change by *c* citations. A number that is not finite counts as 0.
    pub fn importance(&self) -> f64 {
        let magnitude = |delta: f32| if delta.is_finite() { f64::from(delta.abs().min(1.0)) } else { 0.0 };
        let citations = f64::from(self.citation_delta.unsigned_abs());
        magnitude(self.confidence_delta) + magnitude(self.novelty) + citations / (citations + 1.0)
    }
}

/// The importance of the patterns that had hints since the last rebuild; of the most important ones only.
#[derive(Debug)]
pub(super) struct Hints {
    most: usize,
    importance: HashMap<String, f64>,
}

impl Hints {
    pub(super) fn new(most: NonZeroUsize) -> Self {
        Self { most: most.get(), importance: HashMap::new() }
    }

    /// Adds updates. Of several updates of a pattern the most important one counts, so that neither their order nor repeated
    /// ones make a difference.
    pub(super) fn add<'a>(&mut self, updates: impl IntoIterator<Item = &'a BeliefUpdate>) {
        for update in updates {
            let importance = update.importance();
            match self.importance.get_mut(&update.pattern_id) {
                Some(known) => *known = known.max(importance),
                None => drop(self.importance.insert(update.pattern_id.clone(), importance)),
            }
            // Not at each update: it goes through all hints.
            if self.importance.len() >= self.most.saturating_mul(2) {
                self.forget_the_least();
            }
        }
        self.forget_the_least();
    }

    fn forget_the_least(&mut self) {
        if self.importance.len() <= self.most {
            return;
        }
        let mut all: Vec<(String, f64)> = self.importance.drain().collect();
        all.sort_unstable_by(|(id, importance), (other_id, other)| other.total_cmp(importance).then(id.cmp(other_id)));
        all.truncate(self.most);
        self.importance.extend(all);
    }

    /// A number that grows with the pattern's importance; 0 for a pattern without a hint.
    pub(super) fn rank_of(&self, id: &str) -> u64 {
        // Numbers that are not negative have the same order as their bits.
        self.importance.get(id).map_or(0, |importance| importance.to_bits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(id: &str, confidence_delta: f32, citation_delta: i32, novelty: f32) -> BeliefUpdate {
        BeliefUpdate {
            pattern_id: id.to_string(),
            confidence_delta,
            citation_delta,
            novelty,
            generated_at: DateTime::UNIX_EPOCH,
            snapshot_generated_at: DateTime::UNIX_EPOCH,
            source: UpdateSource::Scheduler,
        }
    }

    #[test]
    fn losses_count_like_gains_and_what_is_no_number_not_at_all() {
        assert_eq!(update("a", 0.5, 1, -0.25).importance().to_bits(), 1.25f64.to_bits());
        assert_eq!(update("a", -0.5, -1, 0.25).importance().to_bits(), 1.25f64.to_bits());
        for number in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(update("a", number, 0, number).importance().to_bits(), 0f64.to_bits());
        }
        let greatest = update("a", f32::MAX, i32::MIN, f32::MIN).importance();
        assert!((2.9..=3.0).contains(&greatest), "{greatest}");
    }

    #[test]
    fn the_most_important_are_kept_in_whatever_order_they_come() {
        let updates: Vec<_> =
            (0..100u8).map(|n| update(&format!("{n:03}"), f32::from(n % 50) / 50.0, 0, 0.0)).collect();
        let reversed: Vec<_> = updates.iter().rev().cloned().collect();
        let (mut hints, mut others) =
            (Hints::new(NonZeroUsize::new(5).unwrap()), Hints::new(NonZeroUsize::new(5).unwrap()));
        hints.add(&updates);
        for update in &reversed {
            others.add([update]);
        }
        hints.add(&reversed);
        assert_eq!(hints.importance, others.importance);
        let mut kept: Vec<_> = hints.importance.keys().map(String::as_str).collect();
        kept.sort_unstable();
        // Of the equal ones, that with the lower id.
        assert_eq!(kept, ["047", "048", "049", "098", "099"]);
        assert!(hints.rank_of("099") > hints.rank_of("047"));
        assert_eq!(hints.rank_of("000"), 0);
    }
}
