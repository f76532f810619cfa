//! Encrypting and authenticating datagrams. The module `swim` defines the bytes.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use ring::hmac::{self, HMAC_SHA256};

use super::boot_id::BootId;
use super::entropy::{Entropy, NoEntropy, draw};
use super::header::{HEADER_BYTES, Header, Kind, NONCE_BYTES, TAG_BYTES};
use super::key::{ClusterKey, ClusterKeys};
use crate::cluster_name::ClusterName;

/// Binds the derived keys to this use of the cluster key.
const LABEL: &[u8] = b"anti-entropy membership 2";

/// What the keys of datagrams are derived from.
struct Root(Prk);

impl Root {
    fn new(key: &ClusterKey) -> Self {
        Self(Salt::new(HKDF_SHA256, LABEL).extract(key.bytes()))
    }

    /// The key of one datagram. The name of the cluster goes into it, but for a hello: a node of another cluster that
    /// has the same key can read that, and say why it refuses it.
    fn datagram_key(&self, cluster: &ClusterName, header: &Header) -> LessSafeKey {
        let name = if header.kind == Kind::Hello { "" } else { cluster.as_str() };
        let length = [u8::try_from(name.len()).expect("names of clusters are at most 64 bytes")];
        let info = [&length[..], name.as_bytes(), &header.nonce];
        let derived = self.0.expand(&info, &CHACHA20_POLY1305).expect("32 bytes are not too many to derive");
        LessSafeKey::new(UnboundKey::from(derived))
    }
}

/// Decrypts datagrams of any of the cluster's keys.
pub(super) struct Opener {
    cluster: ClusterName,
    roots: Vec<Root>,
}

impl Opener {
    pub(super) fn new(keys: &ClusterKeys, cluster: ClusterName) -> Self {
        Self { cluster, roots: keys.all().map(Root::new).collect() }
    }

    /// The contents of a datagram. `None` if it was sealed with another key or cluster's name, if it was meant for
    /// another process, or if it was changed. O(n) in the number of keys.
    pub(super) fn open(&self, header: &Header, datagram: &[u8], receiver: BootId) -> Option<Vec<u8>> {
        let receiver = if header.kind.is_bound() { receiver } else { BootId::UNKNOWN };
        let (head, sealed) = datagram.split_at_checked(HEADER_BYTES)?;
        let bound = bound(head, receiver);
        self.roots.iter().find_map(|root| {
            // A copy, since what is not opened is left in no defined state.
            let mut opened = sealed.to_vec();
            let key = root.datagram_key(&self.cluster, header);
            let length = key.open_in_place(no_nonce(), Aad::from(bound), &mut opened).ok()?.len();
            opened.truncate(length);
            Some(opened)
        })
    }
}

/// Encrypts the datagrams of this process.
///
/// Each datagram has a key of its own, derived from a nonce of 192 bits, as `XChaCha20` derives its keys. The nonce is a
/// MAC over 32 bytes that the operating system is asked for, the header and the contents, under a secret of this
/// process. So two copies of this process make different nonces, unless the system repeats its random bytes (which it
/// may if its memory was put back, too); and then only for datagrams that are equal, in which case the bytes on the wire
/// are equal, and tell nothing new.
pub(super) struct Sealer {
    cluster: ClusterName,
    root: Root,
    boot: BootId,
    secret: hmac::Key,
    next: u64,
    entropy: Box<dyn Entropy>,
}

impl Sealer {
    pub(super) fn new(
        keys: &ClusterKeys,
        cluster: ClusterName,
        boot: BootId,
        mut entropy: Box<dyn Entropy>,
    ) -> Result<Self, NoEntropy> {
        let secret = draw_secret(&mut *entropy)?;
        Ok(Self { cluster, root: Root::new(keys.sending()), boot, secret, next: 0, entropy })
    }

    pub(super) fn boot(&self) -> BootId {
        self.boot
    }

    /// The counter of the next datagram.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Seals with another key from now on.
    pub(super) fn set_keys(&mut self, keys: &ClusterKeys) {
        self.root = Root::new(keys.sending());
    }

    /// Draws another secret. If that fails, everything is as it was.
    pub(super) fn renew_secret(&mut self) -> Result<(), NoEntropy> {
        self.secret = draw_secret(&mut *self.entropy)?;
        Ok(())
    }

    /// Draws another secret and another boot id, which is returned. The counter goes on. If that fails, everything is as
    /// it was.
    pub(super) fn renew_boot(&mut self) -> Result<BootId, NoEntropy> {
        let boot = BootId::draw(&mut *self.entropy)?;
        self.renew_secret()?;
        self.boot = boot;
        Ok(boot)
    }

    /// The datagram with these contents. `None` if the system has no random bytes now, or all counters are used up,
    /// which would take many years.
    pub(super) fn seal(&mut self, kind: Kind, receiver: BootId, contents: &[u8]) -> Option<Vec<u8>> {
        let random = draw(&mut *self.entropy).ok()?;
        let mut header = Header { kind, sender: self.boot, counter: self.next, nonce: [0; NONCE_BYTES] };
        self.next = self.next.checked_add(1)?;
        header.nonce = self.nonce(random, &header, receiver, contents);
        let mut datagram = Vec::with_capacity(HEADER_BYTES + contents.len() + TAG_BYTES);
        datagram.extend_from_slice(&header.encode());
        let aad = Aad::from(bound(&datagram, receiver));
        datagram.extend_from_slice(contents);
        let key = self.root.datagram_key(&self.cluster, &header);
        let tag = key
            .seal_in_place_separate_tag(no_nonce(), aad, &mut datagram[HEADER_BYTES..])
            .expect("a datagram is shorter than the cipher's limit");
        datagram.extend_from_slice(tag.as_ref());
        Some(datagram)
    }

    fn nonce(&self, random: [u8; 32], header: &Header, receiver: BootId, contents: &[u8]) -> [u8; NONCE_BYTES] {
        let mut mac = hmac::Context::with_key(&self.secret);
        mac.update(&random);
        mac.update(&bound(&header.encode(), receiver));
        mac.update(contents);
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(&mac.sign().as_ref()[..NONCE_BYTES]);
        nonce
    }

    /// What a snapshot of this process's memory has of it, with other random bytes from now on.
    #[cfg(test)]
    pub(super) fn copy(&self, keys: &ClusterKeys, entropy: Box<dyn Entropy>) -> Self {
        Self {
            cluster: self.cluster.clone(),
            root: Root::new(keys.sending()),
            boot: self.boot,
            secret: self.secret.clone(),
            next: self.next,
            entropy,
        }
    }
}

fn draw_secret(entropy: &mut dyn Entropy) -> Result<hmac::Key, NoEntropy> {
    Ok(hmac::Key::new(HMAC_SHA256, &draw::<32>(entropy)?))
}

/// The associated data: the header, and the receiver's boot id, which is not sent.
fn bound(head: &[u8], receiver: BootId) -> [u8; HEADER_BYTES + 8] {
    let mut bound = [0; HEADER_BYTES + 8];
    bound[..HEADER_BYTES].copy_from_slice(head);
    bound[HEADER_BYTES..].copy_from_slice(&receiver.0);
    bound
}

/// The cipher's own nonce. Each key seals one datagram, so it can always be the same.
fn no_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::swim::entropy::SystemEntropy;
    use crate::swim::tests::SeededEntropy;

    const BOOT: BootId = BootId([1; 8]);
    const RECEIVER: BootId = BootId([2; 8]);

    fn keys() -> ClusterKeys {
        ClusterKey::new([7; 32]).into()
    }

    fn cluster(name: &str) -> ClusterName {
        ClusterName::new(name).unwrap()
    }

    fn sealer(keys: &ClusterKeys, entropy: Box<dyn Entropy>) -> Sealer {
        Sealer::new(keys, cluster("test"), BOOT, entropy).unwrap()
    }

    fn seal(sealer: &mut Sealer, receiver: BootId, contents: &[u8]) -> Vec<u8> {
        sealer.seal(Kind::Data, receiver, contents).unwrap()
    }

    /// Two copies of a process that has run for a while.
    fn copies(entropy: impl Fn() -> Box<dyn Entropy>) -> [Sealer; 2] {
        let mut original = sealer(&keys(), entropy());
        (0..100).for_each(|_| drop(seal(&mut original, RECEIVER, b"before")));
        [(); 2].map(|()| original.copy(&keys(), entropy()))
    }

    fn header(datagram: &[u8]) -> Header {
        Header::decode(datagram).unwrap()
    }

    fn nonce(datagram: &[u8]) -> [u8; NONCE_BYTES] {
        header(datagram).nonce
    }

    /// `NONCES=1000000 cargo test --release` tries more.
    fn how_many() -> usize {
        std::env::var("NONCES").map_or(10_000, |number| number.parse().expect("NONCES is a number"))
    }

    #[test]
    fn two_copies_of_a_process_use_no_nonce_twice_even_for_equal_datagrams() {
        let mut nonces = BTreeSet::new();
        for mut copy in copies(|| Box::new(SystemEntropy::new())) {
            for _ in 0..how_many() {
                assert!(nonces.insert(nonce(&seal(&mut copy, RECEIVER, b"the same"))));
            }
        }
    }

    #[test]
    fn copies_whose_random_bytes_repeat_use_a_nonce_twice_for_equal_datagrams_only() {
        let [mut a, mut b] = copies(|| Box::new(SeededEntropy::new(1)));
        for number in 0..how_many() {
            let [said, receiver] = if number % 2 == 0 { [b"same", b"same"] } else { [b"of a", b"of b"] };
            let [a, b] = [(&mut a, said), (&mut b, receiver)].map(|(sealer, said)| seal(sealer, RECEIVER, said));
            assert_eq!(nonce(&a) == nonce(&b), number % 2 == 0);
            assert_eq!(a == b, number % 2 == 0, "what has one nonce is equal bit for bit");
        }
        // What differs in its receiver alone differs.
        let [to_one, to_other] = [(&mut a, RECEIVER), (&mut b, BOOT)].map(|(sealer, to)| seal(sealer, to, b"x"));
        assert_ne!(nonce(&to_one), nonce(&to_other));
    }

    #[test]
    fn without_random_bytes_nothing_is_sealed() {
        struct Dry(SeededEntropy, usize);
        impl Entropy for Dry {
            fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
                self.1 = self.1.checked_sub(1).ok_or(NoEntropy)?;
                self.0.fill(bytes)
            }
        }
        let dry = |draws| Box::new(Dry(SeededEntropy::new(1), draws));
        assert!(Sealer::new(&keys(), cluster("test"), BOOT, dry(0)).is_err());
        let mut sealer = sealer(&keys(), dry(2));
        assert!(sealer.seal(Kind::Lost, BootId::UNKNOWN, &[]).is_some());
        assert_eq!(sealer.seal(Kind::Lost, BootId::UNKNOWN, &[]), None);
        assert_eq!((sealer.renew_boot(), sealer.boot()), (Err(NoEntropy), BOOT));
    }

    #[test]
    fn any_accepted_key_opens_and_another_cluster_does_not_but_for_hellos() {
        let [old, new] = [1, 2].map(|byte| ClusterKey::new([byte; 32]));
        let both = ClusterKeys::new(old.clone(), [new.clone()]);
        for (kind, elsewhere) in [(Kind::Hello, true), (Kind::Lost, false), (Kind::Data, false)] {
            let mut sealer = sealer(&both, Box::new(SeededEntropy::new(1)));
            for (sending, opens) in [(&old, [true, false, true]), (&new, [false, true, true])] {
                sealer.set_keys(&ClusterKeys::new(sending.clone(), []));
                // An unbound datagram has no receiver.
                let receiver = if kind.is_bound() { RECEIVER } else { BootId::UNKNOWN };
                let datagram = sealer.seal(kind, receiver, b"x").unwrap();
                let header = header(&datagram);
                let open = |keys: &ClusterKeys, name: &str| {
                    let opener = Opener::new(keys, cluster(name));
                    opener.open(&header, &datagram, RECEIVER).is_some_and(|contents| contents == b"x")
                };
                let accepted = [old.clone().into(), new.clone().into(), both.clone()];
                assert_eq!(accepted.each_ref().map(|keys| open(keys, "test")), opens, "{kind:?}");
                assert_eq!(open(&both, "staging"), elsewhere, "{kind:?}");
            }
        }
    }
}
