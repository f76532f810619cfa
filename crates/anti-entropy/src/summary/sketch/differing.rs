//! From symbols to keys.

use alloc::vec::Vec;

use crate::summary::{Fingerprint, HashFunction, Snapshot};
use crate::{KeyHash, KeyRange};

use super::decoder::{Failure, Found, Side};
use super::symbol::prefix_u64;

/// A key at which two sets differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DifferingKey {
    /// The first 64 bits of the key's hash.
    pub prefix: u64,
    /// What this side holds there; `None` if nothing.
    pub ours: Option<(KeyHash, Fingerprint)>,
    /// The first 64 bits of the fingerprint of what the peer holds there; `None` if nothing.
    pub theirs: Option<u64>,
}

/// Puts the symbols of one key together, and looks up this side's entries. In ascending order of the prefixes.
///
/// O(d log d) for d symbols, and O(depth) for each.
pub(super) fn differing_keys<D: HashFunction>(
    found: &[Found],
    snapshot: &Snapshot<D>,
    range: &KeyRange,
) -> Result<Vec<DifferingKey>, Failure> {
    let mut found = found.to_vec();
    found.sort_unstable_by_key(|found| (found.symbol.key, found.side, found.symbol.fingerprint));
    found.chunk_by(|a, b| a.symbol.key == b.symbol.key).map(|of_key| differing_key(of_key, snapshot, range)).collect()
}

/// The symbols of one key, this side's first: at most one of either side.
fn differing_key<D: HashFunction>(
    of_key: &[Found],
    snapshot: &Snapshot<D>,
    range: &KeyRange,
) -> Result<DifferingKey, Failure> {
    let (ours, theirs) = match *of_key {
        [Found { symbol, side: Side::Ours }] => (Some(symbol), None),
        [Found { symbol, side: Side::Theirs }] => (None, Some(symbol)),
        [Found { symbol: ours, side: Side::Ours }, Found { symbol: theirs, side: Side::Theirs }] => {
            (Some(ours), Some(theirs))
        }
        _ => return Err(Failure::SharedPrefix),
    };
    let prefix = of_key.first().map_or(0, |found| found.symbol.key);
    let mut held = entries_under(prefix, snapshot).filter(|(key, _)| range.contains(*key));
    let entry = match (held.next(), held.next()) {
        (_, Some(_)) => return Err(Failure::SharedPrefix),
        (entry, None) => entry,
    };
    // Otherwise the peer's cells were such that an entry was read off them which is not held here, or that one which is
    // held and the same on both sides passed for one that is not.
    if entry.map(|(_, fingerprint)| prefix_u64(fingerprint)) != ours.map(|symbol| symbol.fingerprint) {
        return Err(Failure::Inconsistent);
    }
    Ok(DifferingKey { prefix, ours: entry, theirs: theirs.map(|symbol| symbol.fingerprint) })
}

/// The entries whose key hash starts with 64 bits.
fn entries_under<D: HashFunction>(
    prefix: u64,
    snapshot: &Snapshot<D>,
) -> impl Iterator<Item = (KeyHash, Fingerprint)> + '_ {
    let hash = |prefix: u64| KeyHash::from_u128(u128::from(prefix) << 64);
    let range = KeyRange::new(hash(prefix), prefix.checked_add(1).map(hash)).unwrap_or(KeyRange::ALL);
    snapshot.range(&range)
}
