#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod error;
mod pattern;
mod resolve;
mod space;

pub use error::{Field, InvalidPattern, Problem, SpaceError};
pub use pattern::{ConsolidationSnapshot, Embedding, Encoding, Episodes, Pattern, SemanticPattern};
pub use resolve::{ConfidenceVoting, LastConsolidated, Resolution, Vote, vote};
pub use space::{Space, Thresholds};
