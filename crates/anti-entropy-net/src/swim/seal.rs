//! Encrypting and authenticating datagrams. The module `swim` defines the bytes.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};

use super::boot_id::BootId;
use super::header::{HEADER_BYTES, Header, Kind, TAG_BYTES};
use super::key::ClusterKey;

/// Binds the derived keys to this use of the cluster key.
const LABEL: &[u8] = b"anti-entropy membership 1";

/// The key of the datagrams of one process.
pub(super) struct BootKey(LessSafeKey);

impl BootKey {
    pub(super) fn derive(key: &ClusterKey, sender: BootId) -> Self {
        let secret = Salt::new(HKDF_SHA256, &sender.0).extract(key.bytes());
        let derived = secret.expand(&[LABEL], &CHACHA20_POLY1305).expect("32 bytes are not too many to derive");
        Self(LessSafeKey::new(UnboundKey::from(derived)))
    }

    /// Decrypts a datagram in place and returns its contents. `None` if another process sent it, if it was meant for
    /// another process, or if it was changed.
    pub(super) fn open<'a>(&self, header: Header, datagram: &'a mut [u8], receiver: BootId) -> Option<&'a [u8]> {
        let receiver = if header.kind.is_bound() { receiver } else { BootId::UNKNOWN };
        let (head, sealed) = datagram.split_at_mut_checked(HEADER_BYTES)?;
        let bound = bound(head, receiver);
        self.0.open_in_place(nonce(header.counter), Aad::from(bound), sealed).ok().map(|contents| &*contents)
    }
}

/// Encrypts the datagrams of this process. The counter only grows, so no nonce is used twice with a key.
pub(super) struct Sealer {
    boot: BootId,
    key: BootKey,
    next: u64,
}

impl Sealer {
    pub(super) fn new(key: &ClusterKey, boot: BootId) -> Self {
        Self { boot, key: BootKey::derive(key, boot), next: 0 }
    }

    pub(super) fn boot(&self) -> BootId {
        self.boot
    }

    /// The counter of the next datagram.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// The datagram with these contents. `None` if all counters are used up, which would take many years.
    pub(super) fn seal(&mut self, kind: Kind, receiver: BootId, contents: &[u8]) -> Option<Vec<u8>> {
        let header = Header { kind, sender: self.boot, counter: self.next };
        self.next = self.next.checked_add(1)?;
        let mut datagram = Vec::with_capacity(HEADER_BYTES + contents.len() + TAG_BYTES);
        datagram.extend_from_slice(&header.encode());
        let bound = bound(&datagram, receiver);
        datagram.extend_from_slice(contents);
        let aad = Aad::from(bound);
        let tag = self
            .key
            .0
            .seal_in_place_separate_tag(nonce(header.counter), aad, &mut datagram[HEADER_BYTES..])
            .expect("a datagram is shorter than the cipher's limit");
        datagram.extend_from_slice(tag.as_ref());
        Some(datagram)
    }
}

/// The associated data: the header, and the receiver's boot id, which is not sent.
fn bound(head: &[u8], receiver: BootId) -> [u8; HEADER_BYTES + 8] {
    let mut bound = [0; HEADER_BYTES + 8];
    bound[..HEADER_BYTES].copy_from_slice(head);
    bound[HEADER_BYTES..].copy_from_slice(&receiver.0);
    bound
}

fn nonce(counter: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}
