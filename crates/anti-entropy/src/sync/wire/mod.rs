//! Wire: every byte of protocol version 2 (docs/protocol.md).
//!
//! A [`frame`] carries a [`message`], a fragment of one, or [`push`]es. A [`batch`] has the entries of a message,
//! which are read one by one ([`lazy`]).
//! Digests and cells are encoded by the crate `anti-entropy-summary`, clocks by [`crate::clock`]. The golden vectors of
//! all of them are here.

mod batch;
mod clocks;
mod frame;
mod lazy;
pub(crate) mod message;
mod push;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use batch::{
    Batch, BatchBase, Held, Inventory, KeyPrefix, KeyState, WireContent, WireEntry, WirePart, WireValue, WireVersion,
    Withheld, WithheldFor, len_on_wire,
};
pub(crate) use clocks::{ClockCells, HasSeen, SentBatch};
pub use frame::{Frame, FrameKind, PROTOCOL_VERSIONS};
pub(crate) use frame::{Header, encode_version_refusal};
pub(crate) use lazy::Lazy;
pub(crate) use push::{Push, PushedWrite};
