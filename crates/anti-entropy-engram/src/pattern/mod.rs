//! Patterns: the values that replicas of a space synchronise.

mod embedding;
mod episodes;
mod input_policy;
mod semantic;
mod source;
mod wire;

use chrono::{DateTime, Utc};

pub use self::embedding::Embedding;
pub use self::episodes::Episodes;
pub use self::input_policy::InputPolicy;
pub(crate) use self::input_policy::Normalised;
pub use self::semantic::{ConsolidationSnapshot, SemanticPattern};
pub use self::source::{PatternRef, SnapshotSource};
use crate::{InvalidPattern, MemorySpace, PatternProblem};

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
    /// The pattern that the node `origin` consolidated, exactly as it is given: [`InputPolicy::Strict`]. O(size)
    ///
    /// # Errors
    /// If a field is not valid in this space; the error names the field and says what is wrong with it. An item of a view is
    /// no pattern of a node: [`PatternProblem::FromView`].
    pub fn new<'a>(
        pattern: impl Into<PatternRef<'a>>,
        origin: &str,
        space: &MemorySpace,
    ) -> Result<Self, InvalidPattern> {
        Self::from_input(pattern.into(), origin, space, InputPolicy::Strict).map(|(pattern, _)| pattern)
    }

    /// Whether another version says the same: whether all fields but the origin are equal. Nodes that have the same episodes
    /// consolidate them into versions that do.
    ///
    /// [`last_consolidated`](Self::last_consolidated) counts, since engram puts the time of the latest episode into it, not
    /// that of the run: nodes with the same episodes have the same.
    pub fn says_same(&self, other: &Self) -> bool {
        self.id == other.id
            && self.strength.to_bits() == other.strength.to_bits()
            && self.confidence.to_bits() == other.confidence.to_bits()
            && self.last_consolidated == other.last_consolidated
            && self.episodes == other.episodes
            && self.embedding == other.embedding
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
