//! Computing the digests of nodes. The crate's documentation defines them byte by byte.

use core::any::TypeId;

use sha2::Sha256;

use crate::KeyHash;

use super::fingerprint::HashFunction;
use super::item::Item;
use super::node::{BUCKET, FAN_OUT, Inner, Link, Node};

const LEAF_TAG: u8 = 0;
const INNER_TAG: u8 = 1;
/// As long as a key hash, so that what follows is aligned in the message.
const HEADER: usize = 16;

/// The longest message, a full leaf, and what SHA-256 puts behind it, in whole blocks.
const BUFFER: usize = (HEADER + BUCKET * Item::LEN + sha256::PADDING).next_multiple_of(sha256::BLOCK);

impl Link {
    /// A node that has just been made, all of whose children are hashed.
    pub(super) fn hashed<D: HashFunction>(node: Node) -> Self {
        let digest = match &node {
            Node::Leaf(items) => leaf_digest::<D>(items),
            Node::Inner(inner) => inner_digest::<D>(inner),
        };
        Self { digest, node }
    }
}

/// The digest of a set of at most [`BUCKET`] entries.
pub(super) fn leaf_digest<D: HashFunction>(items: &[Item]) -> [u8; 32] {
    debug_assert!(items.len() <= BUCKET, "a leaf holds at most a bucket");
    // One contiguous message: feeding a hash function in small pieces costs more than copying them together.
    let mut message = [0; BUFFER];
    message[0] = LEAF_TAG;
    message[HEADER - 4..HEADER].copy_from_slice(&u32::try_from(items.len()).unwrap_or(u32::MAX).to_be_bytes());
    for (item, out) in items.iter().zip(message[HEADER..].chunks_exact_mut(Item::LEN)) {
        let (key, fingerprint) = out.split_at_mut(KeyHash::LEN);
        key.copy_from_slice(item.key.as_bytes());
        fingerprint.copy_from_slice(item.fingerprint.as_bytes());
    }
    digest::<D>(&mut message, HEADER + items.len() * Item::LEN)
}

/// The digest of the set below an inner node whose children's digests are up to date.
pub(super) fn inner_digest<D: HashFunction>(inner: &Inner) -> [u8; 32] {
    debug_assert!(inner.dirty == 0, "children are hashed before their parent");
    let mut message = [0; (HEADER + FAN_OUT * 32 + sha256::PADDING).next_multiple_of(sha256::BLOCK)];
    message[0] = INNER_TAG;
    message[1] = inner.depth;
    message[8..HEADER].copy_from_slice(&inner.count.to_be_bytes());
    let mut length = HEADER;
    for (slot, child) in inner.children.iter().enumerate().filter(|(_, child)| !child.node.is_empty()) {
        message[2] |= 1 << slot;
        message[length..length + 32].copy_from_slice(&child.digest);
        length += 32;
    }
    digest::<D>(&mut message, length)
}

/// The digest of the first `length` bytes of `buffer`, which is zero behind them and has room for SHA-256's padding.
fn digest<D: HashFunction>(buffer: &mut [u8], length: usize) -> [u8; 32] {
    // Decided when compiling. The usual function is worth it: the messages are short, and handing them over in whole
    // blocks makes an update and its root a tenth faster.
    if TypeId::of::<D>() == TypeId::of::<Sha256>() {
        sha256::digest_in_place(buffer, length)
    } else {
        D::digest(&buffer[..length]).into()
    }
}

/// SHA-256 of a message that is padded where it lies (FIPS 180-4), so that it is hashed at once and not copied.
mod sha256 {
    use sha2::block_api::compress256;

    pub(super) const BLOCK: usize = 64;
    /// A bit, and the length.
    pub(super) const PADDING: usize = 1 + 8;

    const INITIAL: [u32; 8] =
        [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

    pub(super) fn digest_in_place(buffer: &mut [u8], length: usize) -> [u8; 32] {
        let end = (length + PADDING).next_multiple_of(BLOCK);
        buffer[length] = 0x80;
        buffer[end - 8..end].copy_from_slice(&(8 * length as u64).to_be_bytes());
        let (blocks, _) = buffer[..end].as_chunks::<BLOCK>();
        let mut state = INITIAL;
        compress256(&mut state, blocks);
        let mut digest = [0; 32];
        for (word, out) in state.iter().zip(digest.as_chunks_mut::<4>().0) {
            *out = word.to_be_bytes();
        }
        digest
    }
}

#[cfg(test)]
mod tests {
    use sha2::Digest as _;

    use super::*;

    #[test]
    fn padding_in_place_is_sha_256() {
        for length in 0..=HEADER + BUCKET * Item::LEN {
            let mut buffer = [0; BUFFER];
            for (index, byte) in buffer[..length].iter_mut().enumerate() {
                *byte = index.to_be_bytes()[7] ^ 0x5a;
            }
            let expected: [u8; 32] = Sha256::digest(&buffer[..length]).into();
            assert_eq!(digest::<Sha256>(&mut buffer, length), expected, "{length} bytes");
        }
    }
}
