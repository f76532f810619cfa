//! What the answerer tells of its clocks, and what the opener makes of it (docs/design/sync.md, "How do long clocks go
//! as differences?").

use alloc::collections::BTreeMap;

use super::SessionConfig;
use crate::clock::{RangeClocks, ReplicaId, Tally, VectorClock, WholeSpace};
use crate::replica::{Replica, Replicated};
use crate::summary::sketch::{Cell, Chunk, DecodeStatus, Decoder, DecoderLimits, Encoder, Side};
use crate::summary::{Fingerprint, MerkleTree};
use crate::sync::wire::{Batch, ClockCells, HasSeen, SentBatch};
use crate::{KeyHash, KeyRange};

/// What the opener knows of the answerer's clocks.
#[derive(Clone, Debug, Hash)]
pub(super) struct Known {
    pub(super) clocks: RangeClocks,
    source: Source,
}

/// How the opener knows that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    /// It was told.
    Told,
    /// It has worked it out, and may be wrong.
    WorkedOut,
}

impl Known {
    /// What `has_seen` says to a side that has seen as much as this replica; `None` if it says nothing to it. Clocks with
    /// more counters than this replica's own context may have are not kept: a few bytes can stand for a million.
    pub(super) fn from<V: Replicated>(has_seen: HasSeen, replica: &Replica<V>, config: &SessionConfig) -> Option<Self> {
        let most = replica.config().counters_with_peers();
        match has_seen {
            HasSeen::Untold => None,
            HasSeen::Whole(WholeSpace(clocks)) => {
                (clocks.counters() <= most).then_some(Self { clocks, source: Source::Told })
            }
            HasSeen::Cells(ClockCells { cells, further }) => {
                plant!(peers_clocks(replica.context(), |clocks| Some(Self { clocks, source: Source::Told })));
                let mine = replica.context().clock_at(KeyHash::MIN);
                let first = (cells.end() <= config.max_clock_cells).then(|| decode(&mine, &cells)).flatten()?;
                Some(Self { clocks: further.guess(first, most)?, source: Source::WorkedOut })
            }
        }
    }

    /// A batch for the answerer, with its clocks as what they differ in from the answerer's.
    pub(super) fn shorten(&self, batch: Batch) -> SentBatch {
        match (self.clocks.clock_at(batch.range().lo()), self.source) {
            (Some(theirs), Source::Told) => batch.since(theirs),
            (Some(theirs), Source::WorkedOut) => batch.since_guess(theirs),
            (None, _) => batch.whole(),
        }
    }
}

/// What to tell an opener, which has seen about as much as `theirs` says: everything if that is short, cells otherwise.
pub(super) fn tell<V: Replicated>(replica: &Replica<V>, theirs: &Tally, config: &SessionConfig) -> HasSeen {
    let clocks = match tell_if_short(replica, config) {
        HasSeen::Untold => replica.context().pieces(&KeyRange::ALL),
        short => return short,
    };
    let (first, further) = (clocks.first(), clocks.further());
    let cells = cells_for(replica.tally().writers_apart(theirs), first.len());
    let cells = cells.min(affordable(config.max_clock_cells, Cell::LEN, config));
    if cells == 0 || first.has_namesakes() || further.len() > config.max_clock_cells {
        return HasSeen::Untold;
    }
    HasSeen::Cells(ClockCells { cells: encoder(first).chunk(0, cells), further })
}

/// The same without cells.
pub(super) fn tell_if_short<V: Replicated>(replica: &Replica<V>, config: &SessionConfig) -> HasSeen {
    let clocks = replica.context().pieces(&KeyRange::ALL);
    // A counter and its id take up to 26 bytes.
    let is_short = clocks.counters() <= affordable(config.max_clock_counters, 26, config);
    if is_short { HasSeen::Whole(WholeSpace(clocks)) } else { HasSeen::Untold }
}

/// How many cells find so many writers at which two clocks with so many counters differ: nearly always, since to find
/// them not costs a clock.
fn cells_for(writers: u64, counters: usize) -> usize {
    const LEAST: usize = 16;
    const FOR_EACH: usize = 4;
    let writers = usize::try_from(writers).unwrap_or(usize::MAX);
    // As many bytes as half of the clock.
    LEAST + writers.saturating_mul(FOR_EACH).min(counters / 2)
}

/// How many things of so many bytes to send, if there may be `max`: no more than a small part of a message or session.
fn affordable(max: usize, bytes_each: usize, config: &SessionConfig) -> usize {
    const PART: u64 = 16;
    let bytes = config.max_session_bytes.min(config.max_message_bytes as u64) / PART;
    max.min(usize::try_from(bytes).unwrap_or(usize::MAX) / bytes_each)
}

/// A clock as a set of symbols.
fn encoder(clock: &VectorClock) -> Encoder {
    let entry = |(replica, counter): (ReplicaId, u64)| {
        let mut fingerprint = [0; Fingerprint::LEN];
        fingerprint[..8].copy_from_slice(&counter.to_be_bytes());
        (KeyHash::from_prefix(replica.first_eight()), Fingerprint::from_bytes(fingerprint))
    };
    Encoder::new(MerkleTree::from_entries(clock.iter().map(entry)).snapshot())
}

/// A peer's clock, from its cells and the own one.
fn decode(mine: &VectorClock, cells: &Chunk) -> Option<VectorClock> {
    if mine.has_namesakes() {
        return None;
    }
    let max = cells.end().saturating_add(1);
    let limits = DecoderLimits::default().with(|limits| (limits.max_cells, limits.max_symbols) = (max, max));
    let mut decoder = Decoder::new(encoder(mine), limits).ok()?;
    if decoder.handle_chunk(cells) != DecodeStatus::Complete {
        return None;
    }
    let mut counters = BTreeMap::new();
    for found in decoder.found() {
        let counter = counters.entry(found.symbol.key).or_insert(0);
        if found.side == Side::Theirs {
            *counter = found.symbol.fingerprint;
        }
    }
    Some(mine.with_named(&counters))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Seed;
    use crate::replica::{Keyed, LastWriterWins, MemoryStore, Opening, ReplicaConfig};
    use crate::sync::wire::tests::messages::{CLOCK_CELLS, bytes};

    fn clock(entries: &[(u128, u64)]) -> VectorClock {
        entries.iter().map(|&(number, counter)| (ReplicaId::from_u128(number), counter)).collect()
    }

    /// The cells were written down from docs/protocol.md by a separate program.
    #[test]
    fn a_clock_has_these_cells() {
        let clock = clock(&[(0xa5 << 64 | 1, 300), (0xb6 << 64 | 2, 2), (0xc7 << 120, 70_000)]);
        assert_eq!(encoder(&clock).chunk(0, 4).to_bytes(), bytes(CLOCK_CELLS));
    }

    /// Of a thousand writers, up to ten differ: in a counter, or in that only one side knows them.
    #[test]
    fn so_many_cells_nearly_always_find_the_writers_that_differ() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut failed = [0; 11];
        for (differing, failed) in failed.iter_mut().enumerate() {
            for _ in 0..200 {
                let mut mine = VectorClock::new();
                (0..100).for_each(|_| mine.set(ReplicaId::from_u128(random.u128(..)), random.u64(1..1000)));
                let mut theirs = mine.clone();
                for at in 0..differing {
                    let (replica, counter) = mine.iter().nth(at * 10).unwrap();
                    let counter = [0, counter + 1, counter + 5][random.usize(0..3)];
                    theirs.set(
                        if random.bool() { replica } else { ReplicaId::from_u128(random.u128(..) >> 64 << 64) },
                        counter,
                    );
                }
                let cells = cells_for(differing as u64, mine.len());
                match decode(&mine, &encoder(&theirs).chunk(0, cells)) {
                    Some(found) => assert_eq!(found, theirs),
                    None => *failed += 1,
                }
            }
        }
        assert!(failed[..4].iter().sum::<u32>() <= 4 && failed.iter().sum::<u32>() <= 40, "{failed:?} of 200 each");
    }

    #[test]
    fn clocks_with_more_counters_than_a_context_may_have_are_not_kept() {
        let config = ReplicaConfig::default().with(|config| {
            (config.max_clock_replicas, config.max_context_counters) = (10, 1);
        });
        let opening = Opening { config, ..Opening::from(Seed::from_bytes([1; 32])) };
        let replica: Replica<Keyed<u32, u32>> = Replica::open(MemoryStore::new(), LastWriterWins, opening).unwrap();
        let first = clock(&[(1 << 64, 1), (2 << 64, 1), (3 << 64, 1), (4 << 64, 1), (5 << 64, 1)]);
        // Of each further piece, one counter differs.
        let pieces = |count: u128| {
            let further = (1..count).map(|at| {
                let mut clock = first.clone();
                clock.set(ReplicaId::from_u128(1 << 64), 2 + u64::try_from(at).unwrap());
                (KeyHash::from_u128(at), clock)
            });
            RangeClocks::new(KeyRange::ALL, [(KeyHash::MIN, first.clone())].into_iter().chain(further).collect())
                .unwrap()
        };
        let whole = |count| HasSeen::Whole(WholeSpace(pieces(count)));
        let cells = |count| {
            let (cells, further) = (encoder(&first).chunk(0, 32), pieces(count).further());
            HasSeen::Cells(ClockCells { cells, further })
        };
        let is_kept = |told| Known::from(told, &replica, &SessionConfig::default()).is_some();
        assert!(is_kept(whole(8)) && is_kept(cells(6)), "forty");
        assert!(!is_kept(whole(9)) && !is_kept(cells(9)), "forty-five");
    }

    /// Who chooses ids may choose some that look alike. Nothing is guessed then.
    #[test]
    fn writers_that_share_a_name_are_not_looked_for() {
        let alike = clock(&[(1, 1), (2, 2)]);
        assert_eq!(decode(&alike, &encoder(&alike).chunk(0, 16)), None);
    }

    #[test]
    fn garbage_is_decoded_to_nothing_or_to_few_writers() {
        let mut random = fastrand::Rng::with_seed(2);
        let mine = clock(&[(0xa5 << 64, 300), (0xb6 << 64, 2)]);
        for round in 0..2000 {
            let honest = encoder(&clock(&[(0xa5 << 64, 301)])).chunk(0, 16);
            let mut cells = honest.cells().to_vec();
            for _ in 0..=round % 3 {
                let mut bytes = cells[random.usize(0..16)].to_bytes();
                bytes[random.usize(0..Cell::LEN)] ^= 1 << random.u32(0..8);
                cells[random.usize(0..16)] = Cell::from_bytes(bytes);
            }
            let found = decode(&mine, &Chunk::new(0, cells).unwrap());
            assert!(found.is_none_or(|found| found.len() <= mine.len() + 17));
        }
    }
}
