//! Layer 4, sync: making two replicas equal.
//!
//! It has three parts, and the [`Session`] that uses them: *wire* defines every byte of the protocol, *discovery* finds
//! where two replicas differ, *transfer* sends what differs and certifies it.

pub(crate) mod discovery;
pub(crate) mod session;
pub(crate) mod transfer;
pub(crate) mod wire;

pub use session::{Finished, Outcome, PartialReason, Session, SessionConfig, SessionOutput, SessionStats};
pub use wire::{Frame, FrameKind, PROTOCOL_VERSIONS};
