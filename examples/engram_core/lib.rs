//! What the examples and the guide use of engram-core: the public types of its commit 5d54816, with the signatures and
//! module paths that they have there, and a pipeline that hands over patterns of the same shape. The guide's own code is in
//! [`cluster::consolidated`], and what the guide adds to engram's files is marked by `Guide:`.
//!
//! It is written for this repository. Where the pipeline decides what a pattern looks like, it follows engram: the store
//! yields every episode twice, a pattern's episodes are sorted and keep the duplicates, the id is a hash of that list, the
//! strength is a mean cosine (which rounding may lift above 1), the confidence is the strength clamped, the time is that of
//! the last episode. Where engram depends on chance (the iteration order of hash maps), this is ordered, so that what it
//! yields is the same in every run. Where it reads the clock, this takes the time as an argument, but for the scheduler.
#![allow(missing_docs, reason = "the names are engram's, and documented there")]
#![allow(clippy::missing_errors_doc, reason = "engram allows it")]

pub mod cluster;
pub mod completion;
pub mod consolidation;
pub mod registry;
pub mod store;
pub mod types;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use registry::{MemorySpaceError, MemorySpaceRegistry, SpaceDirectories, SpaceHandle};
pub use store::MemoryStore;
pub use types::{MemorySpaceId, MemorySpaceIdError};

/// The dimension of every embedding.
pub const EMBEDDING_DIM: usize = 768;

/// A confidence between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Confidence(f32);

impl Confidence {
    /// Clamps.
    pub const fn exact(value: f32) -> Self {
        if value < 0.0 {
            Self(0.0)
        } else if value > 1.0 {
            Self(1.0)
        } else {
            Self(value) // NaN too.
        }
    }

    pub const fn raw(self) -> f32 {
        self.0
    }
}

/// An episode: of its fields, those that consolidation reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    pub id: String,
    pub when: DateTime<Utc>,
    pub what: String,
    pub embedding: [f32; EMBEDDING_DIM],
    pub encoding_confidence: Confidence,
}

impl Episode {
    #[allow(clippy::large_types_passed_by_value, reason = "it is so in engram")]
    pub fn new(
        id: String,
        when: DateTime<Utc>,
        what: String,
        embedding: [f32; EMBEDDING_DIM],
        encoding_confidence: Confidence,
    ) -> Self {
        Self { id, when, what, embedding, encoding_confidence }
    }
}
