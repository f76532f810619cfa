#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod encoding;
mod error;
mod from_view;
pub mod gossiper;
mod pattern;
mod resolve;
mod space;
pub mod swim;
pub mod view;

// Its `DateTime` stands in public signatures.
pub use chrono;

pub use encoding::Encoding;
pub use error::{InvalidPattern, OpenError, PatternField, PatternProblem};
pub use from_view::{VIEW_MARK, is_from_view};
pub use pattern::{
    ConsolidationSnapshot, Embedding, Episodes, InputPolicy, Pattern, PatternRef, SemanticPattern, SnapshotSource,
};
pub use resolve::{ConfidenceVoting, LastConsolidated, Vote, vote};
pub use space::{MemorySpace, Resolution, Thresholds};
