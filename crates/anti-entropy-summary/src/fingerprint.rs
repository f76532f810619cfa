//! Digests as they are handed out, and the hash functions that make them.

use digest::Digest;
use digest::consts::U32;

/// A hash function of 32 bytes that a tree can be built with: any such [`digest::Digest`].
///
/// # Implementer notes
/// Implemented for every type that fits; there is nothing to implement. The function must be collision resistant,
/// since equal digests are taken to mean equal sets. All peers must use the same one.
pub trait HashFunction: Digest<OutputSize = U32> + 'static {}

impl<D: Digest<OutputSize = U32> + 'static> HashFunction for D {}

crate::__opaque_bytes! {
    /// The digest of what is stored under one key.
    pub struct Fingerprint(32)
}

crate::__opaque_bytes! {
    /// The digest of a set of entries: equal roots mean equal sets.
    pub struct Root(32)
}
