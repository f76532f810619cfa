//! What a replica stores, byte for byte, and its limits.

mod clocks;
pub(crate) mod disk;
mod golden;
mod limits;
pub(crate) mod pattern;
