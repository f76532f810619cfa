//! What is hashed, and with what. The byte-exact definition is in the documentation of the module above.

use core::fmt;

use digest::Digest;
use digest::consts::U32;
use serde::{Deserialize, Serialize};

use super::node::{BUCKET, FAN_OUT, Inner, Item};

/// A hash function of 32 bytes that a tree can be built with: any such [`digest::Digest`].
///
/// # Implementer notes
/// Implemented for every type that fits; there is nothing to implement. The function must be collision resistant,
/// since equal digests are taken to mean equal sets. All peers must use the same one.
pub trait HashFunction: Digest<OutputSize = U32> + 'static {}

impl<D: Digest<OutputSize = U32> + 'static> HashFunction for D {}

/// The digest of what is stored under one key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fingerprint(pub [u8; Fingerprint::LEN]);

impl Fingerprint {
    /// Length in bytes.
    pub const LEN: usize = 32;
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

/// The digest of a set of entries: equal roots mean equal sets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Root(pub [u8; Root::LEN]);

impl Root {
    /// Length in bytes.
    pub const LEN: usize = 32;
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Root({self})")
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

const LEAF_TAG: u8 = 0;
const INNER_TAG: u8 = 1;
/// As long as a key hash, so that what follows is aligned in the message.
const HEADER: usize = 16;

/// The digest of a set of at most [`BUCKET`] entries.
pub(super) fn leaf_digest<D: HashFunction>(items: &[Item]) -> [u8; 32] {
    debug_assert!(items.len() <= BUCKET, "a leaf holds at most a bucket");
    // One contiguous message: feeding a hash function in small pieces costs more than copying them together.
    let mut message = [0; HEADER + BUCKET * Item::LEN];
    message[0] = LEAF_TAG;
    message[HEADER - 4..HEADER].copy_from_slice(&u32::try_from(items.len()).unwrap_or(u32::MAX).to_be_bytes());
    for (item, out) in items.iter().zip(message[HEADER..].chunks_exact_mut(Item::LEN)) {
        let (key, fingerprint) = out.split_at_mut(item.key.0.len());
        key.copy_from_slice(&item.key.0);
        fingerprint.copy_from_slice(&item.fingerprint.0);
    }
    D::digest(&message[..HEADER + items.len() * Item::LEN]).into()
}

/// The digest of the set below an inner node whose children's digests are up to date.
pub(super) fn inner_digest<D: HashFunction>(inner: &Inner) -> [u8; 32] {
    debug_assert!(inner.dirty == 0, "children are hashed before their parent");
    let mut message = [0; HEADER + FAN_OUT * 32];
    message[0] = INNER_TAG;
    message[1] = inner.depth;
    message[8..HEADER].copy_from_slice(&inner.count.to_be_bytes());
    let mut length = HEADER;
    for (slot, child) in inner.children.iter().enumerate().filter(|(_, child)| !child.node.is_empty()) {
        message[2] |= 1 << slot;
        message[length..length + 32].copy_from_slice(&child.digest);
        length += 32;
    }
    D::digest(&message[..length]).into()
}
