//! What a replica stores, byte for byte, and its limits.

mod clocks;
pub(crate) mod disk;
mod fence;
mod golden;
mod limits;
mod nesting;
pub(crate) mod pattern;
mod pushes;
mod siblings;
