#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod check;
pub mod history;
mod random;
mod run;
pub mod scenario;
pub mod shrink;
pub mod subject;
pub mod world;

pub use run::{Run, rounds_allowed, run};
