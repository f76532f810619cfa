//! A summary of a context in sixteen bytes, for estimates.

use alloc::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::{Context, ReplicaId};

/// A summary of a context that says by about how many writes two replicas differ, in whatever both have seen.
///
/// Ids fall into eight buckets, by the lowest bits of their last byte, and each bucket is the sum of its ids' counters,
/// modulo 2^16. The difference of two tallies is exact while no bucket has ids of which one is ahead here and another
/// there, and no bucket differs by 2^15 or more. Where the context has several pieces, the greatest counter counts.
///
/// It is an estimate by which a sketch is sized, and decides nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Tally([[u8; 2]; Tally::BUCKETS]);

impl Tally {
    const BUCKETS: usize = 8;

    /// By about how many writes the two differ. Each key that differs takes one at least.
    pub(crate) fn writes_apart(&self, other: &Self) -> u64 {
        let apart = |(mine, theirs): (&[u8; 2], &[u8; 2])| {
            let ahead = u16::from_be_bytes(*mine).wrapping_sub(u16::from_be_bytes(*theirs));
            u64::from(ahead.min(ahead.wrapping_neg()))
        };
        self.0.iter().zip(&other.0).map(apart).sum()
    }

    /// At about how many writers the two differ, and seldom at more: as many as are likely to be in so many buckets.
    pub(crate) fn writers_apart(&self, other: &Self) -> u64 {
        const LIKELY: [u64; Tally::BUCKETS] = [0, 2, 4, 6, 9, 12, 17, 26];
        let buckets = self.0.iter().zip(&other.0).filter(|(mine, theirs)| mine != theirs).count();
        let most = LIKELY.get(buckets).copied().unwrap_or(u64::MAX);
        self.writes_apart(other).min(most)
    }

    fn add(&mut self, replica: ReplicaId, counter: u64) {
        let [.., last] = replica.to_bytes();
        if let Some(bucket) = self.0.get_mut(usize::from(last) % Self::BUCKETS) {
            let [.., high, low] = counter.to_be_bytes();
            *bucket = u16::from_be_bytes(*bucket).wrapping_add(u16::from_be_bytes([high, low])).to_be_bytes();
        }
    }
}

impl Context {
    /// What has been seen, in short. Linear in the counters of all pieces.
    pub(crate) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        tally.add(self.own, self.counter);
        match self.settled().pieces.as_slice() {
            [only] => only.clock.iter().for_each(|(replica, counter)| tally.add(replica, counter)),
            pieces => {
                let mut greatest: BTreeMap<ReplicaId, u64> = BTreeMap::new();
                for (replica, counter) in pieces.iter().flat_map(|piece| piece.clock.iter()) {
                    let most = greatest.entry(replica).or_default();
                    *most = counter.max(*most);
                }
                for (replica, counter) in greatest {
                    tally.add(replica, counter);
                }
            }
        }
        tally
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::clock::VectorClock;
    use crate::{KeyHash, KeyRange};

    fn id(number: u128) -> ReplicaId {
        ReplicaId::from_u128(number)
    }

    fn context(own: u128, writes: usize, seen: &[(u128, u64)]) -> Context {
        let mut context = Context::new(id(own));
        (0..writes).for_each(|_| assert!(context.mint().is_ok()));
        let clock: VectorClock = seen.iter().map(|(replica, counter)| (id(*replica), *counter)).collect();
        context.join_range(&KeyRange::ALL, &clock);
        context
    }

    #[test]
    fn writes_apart_are_counted_whoever_is_ahead() {
        let alice = context(1, 70, &[(2, 10), (3, 100_000)]).tally();
        let bob = context(2, 30, &[(1, 50), (3, 100_001)]).tally();
        assert_eq!(alice.writes_apart(&bob), 20 + 20 + 1);
        assert_eq!(bob.writes_apart(&alice), 20 + 20 + 1);
        assert_eq!(alice.writes_apart(&alice), 0);
    }

    #[test]
    fn a_writer_that_wrote_much_is_one_writer() {
        let before: Vec<(u128, u64)> = (1..=100).map(|number| (number, 7)).collect();
        let after = |writers: u128, writes| {
            let seen: Vec<_> = before
                .iter()
                .map(|(number, seen)| (*number, seen + if *number <= writers { writes } else { 0 }))
                .collect();
            context(200, 0, &seen).tally()
        };
        let apart = |writers, writes| after(writers, writes).writers_apart(&after(0, 0));
        assert_eq!([apart(0, 0), apart(1, 1), apart(2, 1), apart(1, 500), apart(3, 500)], [0, 1, 2, 2, 6]);
        assert_eq!([apart(7, 500), apart(8, 500)], [26, 4000]);
    }

    #[test]
    fn a_bucket_wraps_around() {
        let one_of = |counter| context(1, 0, &[(9, counter)]).tally();
        assert_eq!(one_of(65_535).writes_apart(&one_of(65_537)), 2);
        // Ids of one bucket that are ahead on either side hide each other.
        assert_eq!(
            context(1, 0, &[(2, 7), (10, 3)]).tally().writes_apart(&context(1, 0, &[(2, 3), (10, 7)]).tally()),
            0
        );
    }

    #[test]
    fn of_several_pieces_the_greatest_counter_counts() {
        let mut cut = context(1, 0, &[(2, 7)]);
        let lower = KeyRange::new(KeyHash::MIN, Some(KeyHash::from_u128(5))).expect("it is not empty");
        cut.join_range(&lower, &[(id(2), 9)].into_iter().collect());
        assert_eq!(cut.tally(), context(1, 0, &[(2, 9)]).tally());
    }

    /// docs/protocol.md, "Messages".
    #[test]
    fn sixteen_bytes_are_sent() {
        let tally = context(1, 0x0001_0203, &[]).tally();
        let mut bytes = [0; 16];
        bytes[2..4].copy_from_slice(&[2, 3]);
        assert_eq!(postcard::to_allocvec(&tally).expect("it encodes"), bytes);
    }
}
