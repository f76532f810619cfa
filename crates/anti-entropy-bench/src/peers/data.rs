//! The data that all libraries are given: the same entries, which differ at the same keys.

use std::collections::BTreeSet;

use anti_entropy_bench::{key, value};

/// A key and a value, of types that are cheap to hash and to compare.
pub(crate) type Entry = (u128, [u64; 4]);

/// The numbers of entries of both sides together, and of those that differ.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Data {
    pub(crate) entries: u64,
    pub(crate) differences: u64,
}

impl Data {
    /// Our entries, not in the order of keys. Of every four that differ, two are changed here, one is missing here and
    /// one there; the first is changed.
    pub(crate) fn ours(self) -> Vec<Entry> {
        let ours = |number| match (number < self.differences, number % 4) {
            (true, 0 | 2) => Some(entry(number, 1)),
            (true, 1) => None,
            _ => Some(entry(number, 0)),
        };
        (0..self.entries).filter_map(ours).collect()
    }

    /// The other side's entries.
    pub(crate) fn theirs(self) -> Vec<Entry> {
        let theirs = |&number: &u64| number >= self.differences || number % 4 != 3;
        (0..self.entries).filter(theirs).map(|number| entry(number, 0)).collect()
    }

    /// The keys that a library has to find, by its names for them.
    pub(crate) fn differing(self, name: impl Fn(u64) -> u128) -> BTreeSet<u128> {
        (0..self.differences).map(name).collect()
    }

    /// The least number of bytes that can tell the differences as identifiers of 128 bits. A changed entry has two, one
    /// at each side.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    pub(crate) fn floor_bytes(differences: u64) -> f64 {
        let symbols: u64 = (0..differences).map(|number| if number % 2 == 0 { 2 } else { 1 }).sum();
        // Their order carries no information and need not be encoded.
        let bits = (1..=symbols).map(|symbol| 128.0 - (symbol as f64).log2()).sum::<f64>();
        bits / 8.0
    }
}

/// The entry with a number. Each `version` has another value.
pub(crate) fn entry(number: u64, version: u64) -> Entry {
    let bytes = value(number, version);
    let mut limbs = [0; 4];
    for (limb, bytes) in limbs.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *limb = u64::from_le_bytes(*bytes);
    }
    (name(number), limbs)
}

/// The key with a number. Its bytes are read in reverse. They start with the number, so that otherwise the keys that
/// differ would be neighbours in libraries that order keys.
pub(crate) fn name(number: u64) -> u128 {
    u128::from_le_bytes(key(number))
}

/// An entry for libraries that know sets without values: 32 bytes, the key and half of the value in place of its hash.
pub(crate) fn identifier((key, value): Entry) -> [u8; 32] {
    let mut identifier = [0; 32];
    identifier[..16].copy_from_slice(&key.to_be_bytes());
    identifier[16..24].copy_from_slice(&value[0].to_be_bytes());
    identifier[24..].copy_from_slice(&value[1].to_be_bytes());
    identifier
}

/// The key of an identifier.
pub(crate) fn name_in(identifier: &[u8; 32]) -> u128 {
    u128::from_be_bytes(*identifier.first_chunk().expect("32 bytes start with 16"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn sides_differ_as_they_are_said_to() {
        let data = Data { entries: 50, differences: 8 };
        let [ours, theirs] = [data.ours(), data.theirs()].map(BTreeMap::from_iter);
        let all: BTreeSet<u128> = ours.keys().chain(theirs.keys()).copied().collect();
        let differing: BTreeSet<u128> = all.into_iter().filter(|key| ours.get(key) != theirs.get(key)).collect();
        assert_eq!(differing, data.differing(name));
        assert_eq!((ours.len(), theirs.len()), (48, 48));
    }

    #[test]
    #[expect(clippy::cast_possible_truncation, reason = "it is rounded")]
    fn the_floor_is_that_of_the_literature() {
        let floor = |differences| Data::floor_bytes(differences).round() as i64;
        assert_eq!([10, 100].map(floor), [235, 2291]);
    }
}
