//! What consolidation gives, borrowed, so that an application's own types need no copy.

use chrono::{DateTime, Utc};

use super::{ConsolidationSnapshot, SemanticPattern};

/// A borrowed [`SemanticPattern`]: what an application's own pattern looks like to this crate, without a copy of its
/// embedding and its episodes.
///
/// ```
/// use anti_entropy_engram::PatternRef;
/// use chrono::{DateTime, Utc};
///
/// // A pattern of the application.
/// struct Own {
///     id: String,
///     embedding: [f32; 768],
///     source_episodes: Vec<String>,
/// }
///
/// impl<'a> From<&'a Own> for PatternRef<'a> {
///     fn from(own: &'a Own) -> Self {
///         Self {
///             id: &own.id,
///             embedding: &own.embedding,
///             source_episodes: &own.source_episodes,
///             strength: 0.8,
///             schema_confidence: 0.6,
///             last_consolidated: DateTime::UNIX_EPOCH,
///         }
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PatternRef<'a> {
    /// The pattern's id.
    pub id: &'a str,
    /// The vector that stands for its meaning, with as many components as the space has dimensions.
    pub embedding: &'a [f32],
    /// The episodes from which it was consolidated.
    pub source_episodes: &'a [String],
    /// How strong it is.
    pub strength: f32,
    /// How sure the node is of it.
    pub schema_confidence: f32,
    /// When it was last consolidated.
    pub last_consolidated: DateTime<Utc>,
}

impl<'a> From<&'a SemanticPattern> for PatternRef<'a> {
    fn from(pattern: &'a SemanticPattern) -> Self {
        Self {
            id: &pattern.id,
            embedding: &pattern.embedding,
            source_episodes: &pattern.source_episodes,
            strength: pattern.strength,
            schema_confidence: pattern.schema_confidence,
            last_consolidated: pattern.last_consolidated,
        }
    }
}

/// A snapshot of a node's consolidation, in whatever type the application has it.
///
/// [`ConsolidationSnapshot`] implements it. An application implements it for its own snapshot, so that nothing is copied
/// but what changed.
pub trait SnapshotSource {
    /// When the snapshot was made.
    fn generated_at(&self) -> DateTime<Utc>;

    /// The patterns of the snapshot, in any order.
    fn patterns(&self) -> impl Iterator<Item = PatternRef<'_>>;
}

impl SnapshotSource for ConsolidationSnapshot {
    fn generated_at(&self) -> DateTime<Utc> {
        self.generated_at
    }

    fn patterns(&self) -> impl Iterator<Item = PatternRef<'_>> {
        self.patterns.iter().map(PatternRef::from)
    }
}

impl<S: SnapshotSource> SnapshotSource for &S {
    fn generated_at(&self) -> DateTime<Utc> {
        S::generated_at(self)
    }

    fn patterns(&self) -> impl Iterator<Item = PatternRef<'_>> {
        S::patterns(self)
    }
}

impl<S: SnapshotSource> SnapshotSource for std::sync::Arc<S> {
    fn generated_at(&self) -> DateTime<Utc> {
        S::generated_at(self)
    }

    fn patterns(&self) -> impl Iterator<Item = PatternRef<'_>> {
        S::patterns(self)
    }
}
