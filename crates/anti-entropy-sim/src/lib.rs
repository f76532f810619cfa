#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod campaign;
pub mod check;
pub mod explore;
pub mod history;
mod judge;
pub mod measure;
#[cfg(feature = "mutants")]
pub mod planted;
mod random;
mod run;
pub mod scenario;
pub mod shrink;
pub mod subject;
pub mod world;

pub use campaign::{Totals, campaign};
pub use judge::{Judging, Verdict, checkers_for, judge};
pub use run::{Run, rounds_allowed, run};
