//! From symbols to keys.

use alloc::vec::Vec;

use crate::{Difference, Fingerprint, HashFunction, KeyHash, KeyRange, Snapshot, TruncatedFingerprint};

use super::decoded::{DecodeFailure, DecodedSymbol, Side};
use super::symbol::prefix_u64;

/// Puts the symbols of one key together, and looks up this side's entries. In ascending order of the prefixes.
///
/// O(d log d) for d symbols, and O(depth) for each.
pub(super) fn differences<D: HashFunction>(
    decoded: &[DecodedSymbol],
    snapshot: &Snapshot<D>,
    range: &KeyRange,
) -> Result<Vec<Difference>, DecodeFailure> {
    let mut decoded = decoded.to_vec();
    decoded.sort_unstable_by_key(|decoded| (decoded.symbol.key, decoded.side, decoded.symbol.fingerprint));
    decoded.chunk_by(|a, b| a.symbol.key == b.symbol.key).map(|of_key| difference(of_key, snapshot, range)).collect()
}

/// The symbols of one key, this side's first: at most one of either side.
fn difference<D: HashFunction>(
    of_key: &[DecodedSymbol],
    snapshot: &Snapshot<D>,
    range: &KeyRange,
) -> Result<Difference, DecodeFailure> {
    let (ours, theirs) = match *of_key {
        [DecodedSymbol { symbol, side: Side::Ours }] => (Some(symbol), None),
        [DecodedSymbol { symbol, side: Side::Theirs }] => (None, Some(symbol)),
        [DecodedSymbol { symbol: ours, side: Side::Ours }, DecodedSymbol { symbol: theirs, side: Side::Theirs }] => {
            (Some(ours), Some(theirs))
        }
        _ => return Err(DecodeFailure::SharedPrefix),
    };
    let prefix = of_key.first().map_or(0, |decoded| decoded.symbol.key);
    let mut held = entries_under(prefix, snapshot).filter(|(key, _)| range.contains(*key));
    let entry = match (held.next(), held.next()) {
        (_, Some(_)) => return Err(DecodeFailure::SharedPrefix),
        (entry, None) => entry,
    };
    // Otherwise the peer's cells were such that an entry was read off them which is not held here, or that one which is
    // held and the same on both sides passed for one that is not.
    if entry.map(|(_, fingerprint)| prefix_u64(fingerprint)) != ours.map(|symbol| symbol.fingerprint) {
        return Err(DecodeFailure::Inconsistent);
    }
    let theirs = theirs.map(|symbol| TruncatedFingerprint::short(symbol.fingerprint));
    match (entry, theirs) {
        (Some((key, ours)), theirs) => Ok(Difference::at(key, Some(ours), theirs)),
        (None, Some(theirs)) => Ok(Difference::under(prefix, theirs)),
        (None, None) => Err(DecodeFailure::Inconsistent),
    }
}

/// The entries whose key hash starts with 64 bits.
fn entries_under<D: HashFunction>(
    prefix: u64,
    snapshot: &Snapshot<D>,
) -> impl Iterator<Item = (KeyHash, Fingerprint)> + '_ {
    let range = KeyRange::new(KeyHash::from_prefix(prefix), prefix.checked_add(1).map(KeyHash::from_prefix));
    snapshot.range(&range.unwrap_or(KeyRange::ALL))
}
