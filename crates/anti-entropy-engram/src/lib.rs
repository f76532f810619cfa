#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod encoding;
mod error;
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
pub use pattern::{ConsolidationSnapshot, Embedding, Episodes, Pattern, SemanticPattern};
pub use resolve::{ConfidenceVoting, LastConsolidated, Vote, vote};
pub use space::{MemorySpace, Resolution, Thresholds};
