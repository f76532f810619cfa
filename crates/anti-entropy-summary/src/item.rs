//! An entry as the leaves of a tree hold it.

use crate::KeyHash;

use super::fingerprint::Fingerprint;

/// One entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) key: KeyHash,
    pub(super) fingerprint: Fingerprint,
}

impl Item {
    /// Bytes in a leaf's message.
    pub(super) const LEN: usize = KeyHash::LEN + Fingerprint::LEN;
}
