//! Why a pattern or a gossiper is refused.

use std::fmt;

use anti_entropy::ConfigError;
use chrono::{DateTime, Utc};

/// A pattern that was refused because one of its fields is not valid.
///
/// Only this pattern is refused. The rest of its snapshot is taken, and versions of it that are stored already stay.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("pattern {id:?}: {field} {problem}; this pattern was left out, and what was held of it stays")]
#[non_exhaustive]
pub struct InvalidPattern {
    /// The pattern's id; may be empty.
    pub id: String,
    /// The field that is not valid.
    pub field: PatternField,
    /// What is wrong with it.
    pub problem: PatternProblem,
}

/// A field of a pattern, by engram's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PatternField {
    /// `id`
    Id,
    /// `embedding`
    Embedding,
    /// `source_episodes`
    SourceEpisodes,
    /// `strength`
    Strength,
    /// `schema_confidence`
    SchemaConfidence,
    /// `last_consolidated`
    LastConsolidated,
}

impl fmt::Display for PatternField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Id => "id",
            Self::Embedding => "embedding",
            Self::SourceEpisodes => "source_episodes",
            Self::Strength => "strength",
            Self::SchemaConfidence => "schema_confidence",
            Self::LastConsolidated => "last_consolidated",
        })
    }
}

/// What is wrong with a field of a pattern.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternProblem {
    /// It is empty.
    #[error("is empty; give the pattern one")]
    Empty,
    /// The number is NaN or infinite.
    #[error("is {0}; it has to be a finite number")]
    NotFinite(f32),
    /// The number is outside of 0 to 1.
    #[error("is {0}; it has to be in 0..=1")]
    OutOfRange(f32),
    /// A component is NaN or infinite.
    #[error("has {value} at index {index}; every component has to be a finite number")]
    ComponentNotFinite {
        /// The component's index.
        index: usize,
        /// Its value.
        value: f32,
    },
    /// A component is too large for the space's encoding.
    #[error(
        "has {value} at index {index}, which the space's encoding cannot hold; choose a wider one, or scale the embeddings"
    )]
    ComponentTooLarge {
        /// The component's index.
        index: usize,
        /// Its value.
        value: f32,
    },
    /// The embedding does not have the number of components that the space asks for.
    #[error("has {found} dimensions, and the space {expected}; embed with the space's model, or open another space")]
    WrongDimension {
        /// How many components it has.
        found: usize,
        /// How many components embeddings of the space have.
        expected: usize,
    },
    /// The episodes are not in ascending order.
    #[error("has {episode:?} after a greater one; sort the episodes")]
    Unsorted {
        /// The first episode that follows a greater one.
        episode: String,
    },
    /// An episode occurs twice in the pattern, or the pattern's id twice in the snapshot.
    #[error("has {value:?} twice; name each once")]
    Repeated {
        /// The episode or id.
        value: String,
    },
    /// It is longer than the replica's settings allow.
    #[error("takes {bytes} bytes, and {limit} are allowed; raise {setting} on all replicas, or shorten it")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The greatest length allowed.
        limit: usize,
        /// The field of [`ReplicaConfig`](anti_entropy::ReplicaConfig) that limits it.
        setting: &'static str,
    },
    /// It came out of a view: it would confirm what the cluster says with itself. See
    /// [`VIEW_MARK`](crate::VIEW_MARK).
    #[error(
        "has {id:?}, which came out of the cluster's view; keep what recall takes from the view out of consolidation"
    )]
    FromView {
        /// The id that says so, of the pattern or of an episode.
        id: String,
    },
    /// The time is a leap second at a moment that has none.
    #[error("is {0:?}, a leap second in the middle of a minute; give a time that exists")]
    NoSuchTime(DateTime<Utc>),
}

/// Why a [`ConsolidationGossiper`](crate::gossiper::ConsolidationGossiper) was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A setting of the space or of the gossiper is out of its range, or contradicts another one. Nothing was opened.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The node's name is empty. Nothing was opened.
    #[error("the node's name is empty; give each node a name that no other node has; nothing was opened")]
    NoName,
    /// The store failed, or a record in it is damaged. Nothing was opened.
    #[error(transparent)]
    Replica(#[from] anti_entropy::Error),
}
