//! `rbsr` over `rsos`: the sides split ranges whose fingerprints differ, by the default policy, until a range is small
//! enough for its entries to be sent.

use ::rbsr::{RangeAggregate, initial_ranges, protocol_round};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rsos::{FingerprintTreeMap, Rsos};
use serde::{Deserialize, Serialize};

use super::data::{Data, Entry};
use super::{Finding, Peer};

/// Ranges over a map with fingerprints.
pub(crate) struct Ranges;

type Map = FingerprintTreeMap<u128, [u64; 4]>;

/// The library leaves messages to its user. The ranges are of its own type; the entries are those of the ranges that it
/// says to enumerate. A value has as many bytes as its fingerprint would have.
#[derive(Serialize, Deserialize)]
struct Message {
    ranges: Vec<RangeAggregate<u128>>,
    entries: Vec<Entry>,
}

impl Peer for Ranges {
    const NAME: &'static str = "rbsr 0.2.3 over rsos 0.5.3";
    const NOTES: &'static str = "messages are the benchmark's, with values, in bincode as its user reconcile does; no \
                                 bound on a message, no deletes; sums of unkeyed BLAKE3; what differs is known to the \
                                 two sides together";
    const MEMORY: &'static str = "the map, less 48 B of key and value";
    const DATA_BYTES: u64 = 48;
    type Side = Map;
    type Pair = (Map, Map);

    fn build(entries: &[Entry]) -> Map {
        // Building from sorted entries is faster than inserting them.
        let mut sorted = entries.to_vec();
        sorted.sort_unstable();
        Map::from_sorted_iter(sorted)
    }

    fn upsert(map: &mut Map, (key, value): Entry) {
        map.insert(key, value);
        std::hint::black_box(map.aggregate(..));
    }

    fn pair(data: Data, _: Option<Self::Pair>) -> Self::Pair {
        (Self::build(&data.ours()), Self::build(&data.theirs()))
    }

    fn reconcile((ours, theirs): &mut Self::Pair) -> Finding {
        Finding::measure(|wire| {
            let mut keys = Vec::new();
            let mut random = StdRng::seed_from_u64(1);
            let (mut receiver, mut sender): (&Map, &Map) = (theirs, ours);
            let mut message: Message = wire.send(&Message { ranges: initial_ranges(sender), entries: Vec::new() });
            loop {
                keys.extend(message.entries.iter().map(|(key, _)| *key));
                if message.ranges.is_empty() {
                    break;
                }
                let (mut ranges, mut enumerated) = (Vec::new(), Vec::new());
                protocol_round(receiver, message.ranges, &mut ranges, &mut enumerated, &mut random);
                let entries = enumerated.into_iter().flat_map(|range| receiver.enumerate(range));
                let entries = entries.map(|(key, value)| (*key, *value)).collect();
                message = wire.send(&Message { ranges, entries });
                (receiver, sender) = (sender, receiver);
            }
            keys
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_differences_are_found() {
        super::super::tests::finds_exactly::<Ranges>();
    }
}
