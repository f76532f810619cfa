//! What the examples and the guide use of engram-core: the public types of its commit 5d54816, with the signatures and
//! module paths that they have there, and a pipeline that hands over patterns of the same shape.
//!
//! It is written for this repository. Where the pipeline decides what a pattern looks like, it follows engram: the store
//! yields every episode twice, a pattern's episodes are sorted and keep the duplicates, the id is a hash of that list, the
//! strength is a mean cosine (which rounding may lift above 1), the confidence is the strength clamped, the time is that of
//! the last episode. Where engram depends on chance (the iteration order of hash maps), this is ordered, and takes the time
//! as an argument, so that what it yields is the same in every run.
#![allow(dead_code, reason = "each program uses a part of this")]

pub(crate) mod cluster;
pub(crate) mod completion;
pub(crate) mod consolidation;
pub(crate) mod store;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub(crate) use store::MemoryStore;

/// The dimension of every embedding.
pub(crate) const EMBEDDING_DIM: usize = 768;

/// A confidence between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
pub(crate) struct Confidence(f32);

impl Confidence {
    /// Clamps.
    pub(crate) const fn exact(value: f32) -> Self {
        if value < 0.0 {
            Self(0.0)
        } else if value > 1.0 {
            Self(1.0)
        } else {
            Self(value) // NaN too.
        }
    }

    pub(crate) const fn raw(self) -> f32 {
        self.0
    }
}

/// An episode: of its fields, those that consolidation reads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Episode {
    pub(crate) id: String,
    pub(crate) when: DateTime<Utc>,
    pub(crate) what: String,
    pub(crate) embedding: [f32; EMBEDDING_DIM],
    pub(crate) encoding_confidence: Confidence,
}

impl Episode {
    #[allow(clippy::large_types_passed_by_value, reason = "it is so in engram")]
    pub(crate) fn new(
        id: String,
        when: DateTime<Utc>,
        what: String,
        embedding: [f32; EMBEDDING_DIM],
        encoding_confidence: Confidence,
    ) -> Self {
        Self { id, when, what, embedding, encoding_confidence }
    }
}
