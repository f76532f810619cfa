//! How much there is to move.

use anti_entropy::value::{Encoded, Part};
use anti_entropy::{Replicated, Version};

/// How many bytes the values of one key's versions have; a part that they have in common is there once.
pub(crate) fn value_bytes<V: Replicated>(versions: &[Version<V>]) -> u64 {
    let mut distinct: Vec<Part> = Vec::new();
    let mut bytes = 0;
    for Encoded { body, parts } in versions.iter().map(|version| version.value.encode()) {
        bytes += body.len();
        for part in parts {
            if !distinct.contains(&part) {
                bytes += part.as_bytes().len();
                distinct.push(part);
            }
        }
    }
    bytes as u64
}
