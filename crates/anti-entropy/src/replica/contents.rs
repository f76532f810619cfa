//! The content hashes of the versions at keys that have several: a write beside them needs their hashes for the entry's
//! fingerprint, and would have to decode all of them for it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::ContentHash;
use crate::KeyHash;
use crate::clock::Dot;
use crate::summary::Fingerprint;

/// What is known of the keys that this replica wrote last.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    entries: BTreeMap<KeyHash, Known>,
    hashes: usize,
}

#[derive(Clone, Debug)]
struct Known {
    /// Of the entry that has these versions: if it has changed since, nothing is known of it.
    fingerprint: Fingerprint,
    /// In canonical order, by dot.
    versions: Vec<(Dot, ContentHash)>,
}

impl Contents {
    /// The most hashes that are kept: of 64 keys with [`max_siblings`](super::ReplicaConfig::max_siblings) by default, or
    /// of one with [`MAX_VERSIONS`](super::ReplicaConfig::MAX_VERSIONS). They take 4 MiB.
    const MOST: usize = 1 << 16;

    /// The hashes of the versions that an entry with this fingerprint has, as far as they are known.
    pub(super) fn of(&self, key: KeyHash, fingerprint: Option<Fingerprint>) -> &[(Dot, ContentHash)] {
        let known = self.entries.get(&key).filter(|known| Some(known.fingerprint) == fingerprint);
        known.map_or(&[], |known| &known.versions)
    }

    /// Notes the versions of an entry, in canonical order. A single one is quickly decoded, and not kept.
    pub(super) fn note(&mut self, key: KeyHash, fingerprint: Option<Fingerprint>, versions: Vec<(Dot, ContentHash)>) {
        if let Some(known) = self.entries.remove(&key) {
            self.hashes -= known.versions.len();
        }
        let Some(fingerprint) = fingerprint.filter(|_| (2..=Self::MOST).contains(&versions.len())) else { return };
        // Who writes to so many keys in turn decodes their versions now and then.
        if self.hashes + versions.len() > Self::MOST {
            *self = Self::default();
        }
        self.hashes += versions.len();
        self.entries.insert(key, Known { fingerprint, versions });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ReplicaId;

    fn versions(count: usize) -> Vec<(Dot, ContentHash)> {
        let dot = |counter| Dot { replica: ReplicaId::from_u128(1), counter };
        (1..=count as u64).map(|counter| (dot(counter), ContentHash::from_bytes([7; 32]))).collect()
    }

    #[test]
    fn what_is_known_of_another_entry_does_not_count() {
        let mut contents = Contents::default();
        let (key, before, after) = (KeyHash::MIN, Fingerprint::from_bytes([1; 32]), Fingerprint::from_bytes([2; 32]));
        contents.note(key, Some(before), versions(3));
        assert_eq!(contents.of(key, Some(before)), versions(3));
        assert!(contents.of(key, Some(after)).is_empty() && contents.of(key, None).is_empty());
        contents.note(key, Some(after), versions(1));
        assert_eq!((contents.entries.len(), contents.hashes), (0, 0));
    }

    #[test]
    fn the_hashes_that_are_kept_are_limited() {
        let mut contents = Contents::default();
        let fingerprint = Some(Fingerprint::from_bytes([1; 32]));
        for key in 0..1000 {
            contents.note(KeyHash::from_u128(key), fingerprint, versions(1000));
            assert!(contents.hashes <= Contents::MOST);
            assert_eq!(contents.hashes, contents.entries.len() * 1000);
            assert_eq!(contents.of(KeyHash::from_u128(key), fingerprint).len(), 1000);
        }
        contents.note(KeyHash::MIN, fingerprint, versions(Contents::MOST + 1));
        assert!(contents.of(KeyHash::MIN, fingerprint).is_empty());
        contents.note(KeyHash::MIN, fingerprint, versions(Contents::MOST));
        assert_eq!(contents.of(KeyHash::MIN, fingerprint).len(), Contents::MOST);
    }
}
