//! What a replica stores, byte for byte, and its limits.

mod golden;
mod limits;
pub(crate) mod pattern;
