//! The digests of an entry and of a set, and the hash functions that compute them.

use digest::Digest;
use digest::consts::U32;

/// A hash function with an output of 32 bytes, as a tree uses it: any such [`digest::Digest`].
///
/// # Implementer notes
/// Implemented for every type that fits. The function must be collision resistant, since equal digests are taken to
/// mean equal sets. All peers must use the same one.
pub trait HashFunction: Digest<OutputSize = U32> + 'static {}

impl<D: Digest<OutputSize = U32> + 'static> HashFunction for D {}

crate::__opaque_bytes! {
    /// The digest of the value that is stored under one key.
    pub struct Fingerprint(32)
}

crate::__opaque_bytes! {
    /// The digest of a set of entries. Equal roots mean equal sets.
    pub struct Root(32)
}
