//! What a replica stores, byte for byte, and its limits.

mod clocks;
pub(crate) mod disk;
mod fence;
mod golden;
pub(crate) mod hooked;
mod limits;
mod nesting;
pub(crate) mod pattern;
mod pushes;
