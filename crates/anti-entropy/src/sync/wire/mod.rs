//! Wire: every byte of protocol version 1 (docs/protocol.md).
//!
//! A [`frame`] carries a [`message`], a piece of one, or [`push`]es. What a message says of keys is a [`batch`]. Digests
//! and cells that are compared have their encodings in the crate `anti-entropy-summary`, clocks in [`crate::clock`]; the
//! golden vectors of all of them are here.

mod batch;
mod frame;
pub(crate) mod message;
mod push;

#[cfg(test)]
mod tests;

pub(crate) use batch::{
    Batch, BatchBase, Inventory, KeyPrefix, KeyState, WireContent, WireEntry, WirePart, WireValue, WireVersion,
};
pub use frame::{Frame, FrameKind, PROTOCOL_VERSIONS};
pub(crate) use frame::{Header, encode_version_refusal};
pub(crate) use push::{Push, PushedWrite};
