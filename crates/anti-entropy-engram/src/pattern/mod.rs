//! Patterns: the values that replicas of a space synchronise.

mod embedding;
mod episodes;
mod semantic;
mod wire;

use chrono::{DateTime, Utc};

pub use self::embedding::Embedding;
pub use self::episodes::Episodes;
pub use self::semantic::{ConsolidationSnapshot, SemanticPattern};
use crate::{InvalidPattern, MemorySpace, PatternField, PatternProblem};

/// A semantic pattern as one node consolidated it: the replicated form of [`SemanticPattern`].
///
/// Every field is valid. Clones share embedding and episodes. Both are sent as separate parts, so that a change of the other
/// fields sends neither again.
///
/// ```
/// use anti_entropy_engram::{Pattern, SemanticPattern, MemorySpace};
/// use chrono::DateTime;
///
/// let consolidated = SemanticPattern {
///     id: "pattern_1f".to_string(),
///     embedding: vec![0.5; 768],
///     source_episodes: vec!["episode_1".to_string(), "episode_2".to_string()],
///     strength: 0.8,
///     schema_confidence: 0.6,
///     last_consolidated: DateTime::UNIX_EPOCH,
/// };
/// let pattern = Pattern::new(&consolidated, "node-1", &MemorySpace::new("default"))?;
/// assert_eq!(SemanticPattern::from(&pattern), consolidated);
/// # Ok::<(), anti_entropy_engram::InvalidPattern>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    pub(crate) id: String,
    pub(crate) origin: String,
    pub(crate) embedding: Embedding,
    pub(crate) episodes: Episodes,
    pub(crate) strength: f32,
    pub(crate) confidence: f32,
    pub(crate) last_consolidated: DateTime<Utc>,
}

impl Pattern {
    /// The pattern that the node `origin` consolidated. O(size)
    ///
    /// # Errors
    /// If a field is not valid in this space; the error names the field and says what is wrong with it.
    pub fn new(pattern: &SemanticPattern, origin: &str, space: &MemorySpace) -> Result<Self, InvalidPattern> {
        let invalid = |field, problem| InvalidPattern { id: pattern.id.clone(), field, problem };
        if pattern.id.is_empty() {
            return Err(invalid(PatternField::Id, PatternProblem::Empty));
        }
        let (found, expected) = (pattern.embedding.len(), space.dimension.get());
        if found != expected {
            return Err(invalid(PatternField::Embedding, PatternProblem::WrongDimension { found, expected }));
        }
        let embedding = Embedding::new(&pattern.embedding, space.encoding);
        Ok(Self {
            id: pattern.id.clone(),
            origin: origin.to_owned(),
            embedding: embedding.map_err(|problem| invalid(PatternField::Embedding, problem))?,
            episodes: Episodes::new(&pattern.source_episodes)
                .map_err(|problem| invalid(PatternField::SourceEpisodes, problem))?,
            strength: check_strength(pattern.strength).map_err(|problem| invalid(PatternField::Strength, problem))?,
            confidence: check_confidence(pattern.schema_confidence)
                .map_err(|problem| invalid(PatternField::SchemaConfidence, problem))?,
            last_consolidated: check_time(pattern.last_consolidated)
                .map_err(|problem| invalid(PatternField::LastConsolidated, problem))?,
        })
    }

    /// Whether [`new`](Self::new) would make this pattern of the same fields, whatever the origin. It only compares bytes,
    /// since fields that are equal to those of a valid pattern are valid. O(size)
    #[expect(clippy::float_cmp, reason = "the same number is meant")]
    pub(crate) fn is_of(&self, pattern: &SemanticPattern) -> bool {
        self.id == pattern.id
            && self.strength == pattern.strength
            && self.confidence == pattern.schema_confidence
            && self.last_consolidated == pattern.last_consolidated
            && self.episodes.are(&pattern.source_episodes)
            && self.embedding.is_of(&pattern.embedding)
    }

    /// The pattern's id, which is its key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The node that consolidated it. A node only replaces versions of its own.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The vector that stands for its meaning.
    pub fn embedding(&self) -> &Embedding {
        &self.embedding
    }

    /// The episodes from which it was consolidated.
    pub fn episodes(&self) -> &Episodes {
        &self.episodes
    }

    /// How strong it is: a finite number; engram's are 0 to 1.
    pub fn strength(&self) -> f32 {
        self.strength
    }

    /// How sure the node is of it, 0 to 1.
    pub fn confidence(&self) -> f32 {
        self.confidence
    }

    /// When it was last consolidated, by the clock of its node.
    pub fn last_consolidated(&self) -> DateTime<Utc> {
        self.last_consolidated
    }
}

impl From<&Pattern> for SemanticPattern {
    fn from(pattern: &Pattern) -> Self {
        Self {
            id: pattern.id.clone(),
            embedding: pattern.embedding.to_vec(),
            source_episodes: pattern.episodes.iter().map(str::to_owned).collect(),
            strength: pattern.strength,
            schema_confidence: pattern.confidence,
            last_consolidated: pattern.last_consolidated,
        }
    }
}

/// A valid strength; -0 becomes 0.
fn check_strength(strength: f32) -> Result<f32, PatternProblem> {
    if strength.is_finite() { Ok(strength + 0.0) } else { Err(PatternProblem::NotFinite(strength)) }
}

/// A valid confidence; -0 becomes 0.
fn check_confidence(confidence: f32) -> Result<f32, PatternProblem> {
    match confidence {
        _ if !confidence.is_finite() => Err(PatternProblem::NotFinite(confidence)),
        0.0..=1.0 => Ok(confidence + 0.0),
        _ => Err(PatternProblem::OutOfRange(confidence)),
    }
}

/// A time that its seconds and nanoseconds determine, unlike a leap second in the middle of a minute.
fn check_time(time: DateTime<Utc>) -> Result<DateTime<Utc>, PatternProblem> {
    let again = DateTime::from_timestamp(time.timestamp(), time.timestamp_subsec_nanos());
    if again == Some(time) { Ok(time) } else { Err(PatternProblem::NoSuchTime(time)) }
}
