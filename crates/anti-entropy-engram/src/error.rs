//! What is wrong with a pattern or with a space's settings.

use std::fmt;

use chrono::{DateTime, Utc};

/// A pattern that was left out, since a field of it is not what patterns have.
///
/// Only this pattern is left out: the rest of its snapshot is taken, and what was held of it before stays.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("pattern {id:?}: {field} {problem}; this pattern was left out, and what was held of it stays")]
#[non_exhaustive]
pub struct InvalidPattern {
    /// The pattern's id, as far as it has one.
    pub id: String,
    /// The field.
    pub field: Field,
    /// What is wrong with it.
    pub problem: Problem,
}

/// A field of a pattern, by engram's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Field {
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

impl fmt::Display for Field {
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

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It has to have something in it.
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
        /// Where.
        index: usize,
        /// What is there.
        value: f32,
    },
    /// A component is greater than the space's encoding can hold.
    #[error(
        "has {value} at index {index}, which the space's encoding cannot hold; choose a wider one, or scale the embeddings"
    )]
    ComponentTooLarge {
        /// Where.
        index: usize,
        /// What is there.
        value: f32,
    },
    /// It has another number of components than the space's embeddings.
    #[error("has {found} dimensions, and the space {expected}; embed with the space's model, or open another space")]
    WrongDimension {
        /// How many it has.
        found: usize,
        /// How many embeddings of the space have.
        expected: usize,
    },
    /// The episodes are not in ascending order.
    #[error("has {episode:?} after a greater one; sort the episodes")]
    Unsorted {
        /// The first episode that comes too late.
        episode: String,
    },
    /// An episode, or a pattern's id in its snapshot, is there twice.
    #[error("has {value:?} twice; name each once")]
    Repeated {
        /// What is there twice.
        value: String,
    },
    /// It takes more room than the replica's settings allow.
    #[error("takes {bytes} bytes, and {limit} are allowed; raise {setting} on all replicas, or shorten it")]
    TooLong {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        limit: usize,
        /// The setting that limits it.
        setting: &'static str,
    },
    /// The time has a leap second where there is none.
    #[error("is {0:?}, a leap second in the middle of a minute; give a time that exists")]
    NoSuchTime(DateTime<Utc>),
}

/// Settings of a space that make no sense. Nothing was opened.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SpaceError {
    /// A threshold is not in 0..=1.
    #[error("the threshold {name} is {value}; it has to be in 0..=1; nothing was opened")]
    Threshold {
        /// The field of [`Thresholds`](crate::Thresholds).
        name: &'static str,
        /// What it is.
        value: f64,
    },
    /// The space's id is empty.
    #[error("the space's id is empty; name it as engram does; nothing was opened")]
    EmptyId,
}

/// A [`ConsolidationGossiper`](crate::gossiper::ConsolidationGossiper) that could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The space's settings make no sense. Nothing was opened.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// The node's name is empty. Nothing was opened.
    #[error("the node's name is empty; give each node a name that no other node has; nothing was opened")]
    NoName,
    /// The store failed, or holds what it was not given.
    #[error(transparent)]
    Replica(#[from] anti_entropy::Error),
}
