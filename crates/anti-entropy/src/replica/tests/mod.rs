//! What a replica stores, byte for byte, and its limits.

mod golden;
mod limits;
mod nesting;
pub(crate) mod pattern;
