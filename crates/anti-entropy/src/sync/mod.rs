//! Layer 4, sync: what two replicas say to each other.
//!
//! Three ideas, and the [`Session`] over them: *wire* is every byte of the protocol, *discovery* finds where two replicas
//! differ, *transfer* moves what differs, certified.

pub(crate) mod discovery;
pub(crate) mod session;
pub(crate) mod transfer;
pub(crate) mod wire;

pub use session::{Finished, Outcome, PartialReason, Session, SessionConfig, SessionOutput, SessionStats};
pub use wire::{Frame, FrameKind, PROTOCOL_VERSIONS};
