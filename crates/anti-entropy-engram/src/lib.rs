#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod error;
pub mod gossiper;
mod pattern;
mod resolve;
mod space;
pub mod view;

pub use error::{Field, InvalidPattern, OpenError, Problem, SpaceError};
pub use pattern::{ConsolidationSnapshot, Embedding, Encoding, Episodes, Pattern, SemanticPattern};
pub use resolve::{ConfidenceVoting, LastConsolidated, Resolution, Vote, vote};
pub use space::{Space, Thresholds};
