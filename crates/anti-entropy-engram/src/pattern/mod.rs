//! Patterns: what replicas of a space agree on.

mod embedding;
mod episodes;
mod semantic;
mod wire;

use chrono::{DateTime, Utc};

pub use self::embedding::{Embedding, Encoding};
pub use self::episodes::Episodes;
pub use self::semantic::{ConsolidationSnapshot, SemanticPattern};
use crate::{Field, InvalidPattern, Problem, Space};

/// A semantic pattern as one node consolidated it: the replicated form of [`SemanticPattern`].
///
/// Every field is valid. Embedding and episodes are shared by clones, and travel as parts of their own: a change of the
/// other fields moves neither again.
///
/// ```
/// use anti_entropy_engram::{Pattern, SemanticPattern, Space};
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
/// let pattern = Pattern::new(&consolidated, "node-1", &Space::new("default"))?;
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
    /// The pattern that the node `origin` consolidated, if all of its fields are valid in this space. O(size)
    ///
    /// # Errors
    /// [`InvalidPattern`] names the field and says what is wrong with it.
    pub fn new(pattern: &SemanticPattern, origin: &str, space: &Space) -> Result<Self, InvalidPattern> {
        let invalid = |field, problem| InvalidPattern { id: pattern.id.clone(), field, problem };
        if pattern.id.is_empty() {
            return Err(invalid(Field::Id, Problem::Empty));
        }
        let (found, expected) = (pattern.embedding.len(), space.dimension.get());
        if found != expected {
            return Err(invalid(Field::Embedding, Problem::WrongDimension { found, expected }));
        }
        let embedding = Embedding::new(&pattern.embedding, space.encoding);
        Ok(Self {
            id: pattern.id.clone(),
            origin: origin.to_owned(),
            embedding: embedding.map_err(|problem| invalid(Field::Embedding, problem))?,
            episodes: Episodes::new(&pattern.source_episodes)
                .map_err(|problem| invalid(Field::SourceEpisodes, problem))?,
            strength: check_strength(pattern.strength).map_err(|problem| invalid(Field::Strength, problem))?,
            confidence: check_confidence(pattern.schema_confidence)
                .map_err(|problem| invalid(Field::SchemaConfidence, problem))?,
            last_consolidated: check_time(pattern.last_consolidated)
                .map_err(|problem| invalid(Field::LastConsolidated, problem))?,
        })
    }

    /// Whether this is what [`new`](Self::new) would make of the fields, origin aside. Compares bytes, and checks nothing:
    /// what is equal to a valid pattern is valid. O(size)
    #[expect(clippy::float_cmp, reason = "the same number is meant")]
    pub(crate) fn is_of(&self, pattern: &SemanticPattern) -> bool {
        self.id == pattern.id
            && self.strength == pattern.strength
            && self.confidence == pattern.schema_confidence
            && self.last_consolidated == pattern.last_consolidated
            && self.episodes.are(&pattern.source_episodes)
            && self.embedding.is_of(&pattern.embedding)
    }

    /// The pattern's id: its key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The node that consolidated it. A node replaces its own versions only.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// What it means.
    pub fn embedding(&self) -> &Embedding {
        &self.embedding
    }

    /// The episodes behind it.
    pub fn episodes(&self) -> &Episodes {
        &self.episodes
    }

    /// How strong it is: a finite number, 0 to 1 where engram makes it.
    pub fn strength(&self) -> f32 {
        self.strength
    }

    /// How sure the node is of it, 0 to 1.
    pub fn confidence(&self) -> f32 {
        self.confidence
    }

    /// When it was last consolidated, by its node's clock.
    pub fn last_consolidated(&self) -> DateTime<Utc> {
        self.last_consolidated
    }
}

/// A strength with the one form of zero.
fn check_strength(strength: f32) -> Result<f32, Problem> {
    if strength.is_finite() { Ok(strength + 0.0) } else { Err(Problem::NotFinite(strength)) }
}

/// A confidence with the one form of zero.
fn check_confidence(confidence: f32) -> Result<f32, Problem> {
    match confidence {
        _ if !confidence.is_finite() => Err(Problem::NotFinite(confidence)),
        0.0..=1.0 => Ok(confidence + 0.0),
        _ => Err(Problem::OutOfRange(confidence)),
    }
}

/// A time that its seconds and nanoseconds give back. (A leap second in the middle of a minute they do not.)
fn check_time(time: DateTime<Utc>) -> Result<DateTime<Utc>, Problem> {
    let again = DateTime::from_timestamp(time.timestamp(), time.timestamp_subsec_nanos());
    if again == Some(time) { Ok(time) } else { Err(Problem::NoSuchTime(time)) }
}
