//! Names of sessions.

use std::fmt;

use super::ghost::Node;

/// The number of sessions that run without disturbance at the end.
pub(super) const UNDISTURBED: u8 = u8::MAX;

/// The name of a session: its sides, and its number among the sessions of these two. The session's nonces derive from it, so that
/// they do not depend on the order in which sessions of other replicas are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot {
    pub(super) opener: u8,
    pub(super) answerer: u8,
    pub(super) nth: u8,
}

impl Slot {
    /// The nonce by which one side knows the session.
    pub(super) fn nonce(self, answers: bool) -> u64 {
        u64::from_be_bytes([0, 0, 0, 0, self.opener, self.answerer, self.nth, 1 + u8::from(answers)])
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {}->{}", Node(self.opener), Node(self.answerer))?;
        match self.nth {
            0 => Ok(()),
            UNDISTURBED => f.write_str(" at the end"),
            nth => write!(f, " number {}", u16::from(nth) + 1),
        }
    }
}
