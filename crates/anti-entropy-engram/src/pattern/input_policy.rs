//! What consolidation gives, checked and, if that is asked for, brought into the form that a space holds.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Embedding, Episodes, Pattern, PatternRef, check_confidence, check_strength, check_time};
use crate::from_view::is_from_view;
use crate::{InvalidPattern, MemorySpace, PatternField, PatternProblem};

/// What happens to a pattern of a snapshot that is not in the form that a space holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum InputPolicy {
    /// It is brought into that form: episodes are sorted and each is named once; confidence and strength are clamped to 0
    /// to 1. The default, since engram lists every episode of a pattern twice. Numbers that are not finite, and whatever
    /// else has no obvious form, are refused.
    #[default]
    Normalise,
    /// It is refused, as by [`Pattern::new`]: for those who want to hear of it.
    Strict,
}

/// How a pattern differed from the form in which it is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Normalised {
    /// The episodes were not sorted, or not each once.
    pub(crate) episodes: bool,
    /// Confidence or strength was out of 0 to 1.
    pub(crate) numbers: bool,
}

impl Pattern {
    /// The pattern that the node `origin` consolidated, and what was normalised for it. O(size)
    pub(crate) fn from_input(
        given: PatternRef<'_>,
        origin: &str,
        space: &MemorySpace,
        input: InputPolicy,
    ) -> Result<(Self, Normalised), InvalidPattern> {
        match normalise(given, input) {
            None => Ok((Self::checked(given, origin, space)?, Normalised::default())),
            Some((episodes, strength, confidence, normalised)) => {
                let pattern =
                    PatternRef { source_episodes: &episodes, strength, schema_confidence: confidence, ..given };
                Ok((Self::checked(pattern, origin, space)?, normalised))
            }
        }
    }

    fn checked(pattern: PatternRef<'_>, origin: &str, space: &MemorySpace) -> Result<Self, InvalidPattern> {
        let invalid = |field, problem| InvalidPattern { id: pattern.id.to_owned(), field, problem };
        if pattern.id.is_empty() {
            return Err(invalid(PatternField::Id, PatternProblem::Empty));
        }
        if is_from_view(pattern.id) {
            return Err(invalid(PatternField::Id, PatternProblem::FromView { id: pattern.id.to_owned() }));
        }
        if let Some(episode) = pattern.source_episodes.iter().find(|episode| is_from_view(episode)) {
            return Err(invalid(PatternField::SourceEpisodes, PatternProblem::FromView { id: episode.clone() }));
        }
        let (found, expected) = (pattern.embedding.len(), space.dimension.get());
        if found != expected {
            return Err(invalid(PatternField::Embedding, PatternProblem::WrongDimension { found, expected }));
        }
        let embedding = Embedding::new(pattern.embedding, space.encoding);
        Ok(Self {
            id: pattern.id.to_owned(),
            origin: origin.to_owned(),
            embedding: embedding.map_err(|problem| invalid(PatternField::Embedding, problem))?,
            episodes: Episodes::new(pattern.source_episodes)
                .map_err(|problem| invalid(PatternField::SourceEpisodes, problem))?,
            strength: check_strength(pattern.strength).map_err(|problem| invalid(PatternField::Strength, problem))?,
            confidence: check_confidence(pattern.schema_confidence)
                .map_err(|problem| invalid(PatternField::SchemaConfidence, problem))?,
            last_consolidated: check_time(pattern.last_consolidated)
                .map_err(|problem| invalid(PatternField::LastConsolidated, problem))?,
        })
    }

    /// Whether [`from_input`](Self::from_input) would make this pattern of what is given, whatever the origin, and if so,
    /// what would be normalised. It only compares, since fields that are equal to those of a valid pattern are valid. O(size)
    #[expect(clippy::float_cmp, reason = "the same number is meant")]
    pub(crate) fn says(&self, given: PatternRef<'_>, space: &MemorySpace, input: InputPolicy) -> Option<Normalised> {
        let in_range = |number: f32| match input {
            InputPolicy::Normalise => clamped(number),
            InputPolicy::Strict => number,
        };
        let (strength, confidence) = (in_range(given.strength), in_range(given.schema_confidence));
        let same = self.id == given.id
            && self.strength == strength
            && self.confidence == confidence
            && self.last_consolidated == given.last_consolidated
            // The store may have been written before the space's settings changed.
            && self.embedding.encoding() == space.encoding
            && self.embedding.dimension() == space.dimension.get()
            && self.embedding.is_of(given.embedding);
        if !same {
            return None;
        }
        let numbers = strength != given.strength || confidence != given.schema_confidence;
        if self.episodes.are(given.source_episodes) {
            return Some(Normalised { episodes: false, numbers });
        }
        let same = input == InputPolicy::Normalise && self.episodes.iter().eq(sorted(given.source_episodes));
        same.then_some(Normalised { episodes: true, numbers })
    }
}

type NormalisedFields<'a> = (Cow<'a, [String]>, f32, f32, Normalised);

/// The episodes, strength and confidence of a pattern in the form that is held; `None` if they are in it, or are to be
/// taken as they are.
fn normalise(given: PatternRef<'_>, input: InputPolicy) -> Option<NormalisedFields<'_>> {
    if input == InputPolicy::Strict {
        return None;
    }
    let [strength, confidence] = [given.strength, given.schema_confidence].map(clamped);
    let same = |clamped: f32, given: f32| clamped.to_bits() == given.to_bits();
    let normalised = Normalised {
        episodes: !given.source_episodes.is_sorted_by(|a, b| a < b),
        // -0 becomes 0 in any case, and is not worth a count.
        numbers: !(same(strength, given.strength) && same(confidence, given.schema_confidence)),
    };
    if normalised == Normalised::default() {
        return None;
    }
    let episodes = if normalised.episodes {
        Cow::Owned(sorted(given.source_episodes).map(str::to_owned).collect())
    } else {
        Cow::Borrowed(given.source_episodes)
    };
    Some((episodes, strength, confidence, normalised))
}

/// A number within 0 to 1, unless it is not finite.
fn clamped(number: f32) -> f32 {
    if number.is_finite() { number.clamp(0.0, 1.0) } else { number }
}

/// The episodes in ascending order, each once.
fn sorted(episodes: &[String]) -> impl Iterator<Item = &str> {
    let mut sorted: Vec<&str> = episodes.iter().map(String::as_str).collect();
    // Engram's are sorted already.
    if !sorted.is_sorted() {
        sorted.sort_unstable();
    }
    sorted.dedup();
    sorted.into_iter()
}
