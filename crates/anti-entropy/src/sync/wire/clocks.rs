//! How clocks are sent (docs/protocol.md, "Clocks"): whole, or as what distinguishes them from the receiver's.

use serde::{Deserialize, Serialize};

use super::batch::{Batch, len_on_wire};
use crate::clock::{ClocksSince, ContextHash, Further, RangeClocks, VectorClock, WholeSpace};
use crate::summary::sketch::Chunk;
use crate::{KeyHash, KeyRange};

/// What an answerer tells of what it has seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum HasSeen {
    /// Nothing is told.
    Untold,
    /// All clocks.
    Whole(WholeSpace),
    /// The first clock, in cells, for an opener that has seen nearly the same.
    Cells(ClockCells),
}

/// Clocks of which the first is a set of symbols: the first eight bytes of an id, and the counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClockCells {
    pub(crate) cells: Chunk,
    pub(crate) further: Further,
}

/// The clocks of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BatchClocks {
    Whole(RangeClocks),
    /// As differences to the receiver's clock at the start of the range, which the sender was told.
    Since(ClocksSince),
    /// The same, where the sender has worked out the receiver's clock, and may be wrong: with a hash of the clocks meant.
    SinceGuess(ClocksSince, ClocksCheck),
}

/// The first half of the hash of a batch's clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClocksCheck([u8; ClocksCheck::LEN]);

impl ClocksCheck {
    /// So long that nobody finds two clocks which have the same, not even if both may be chosen.
    const LEN: usize = ContextHash::LEN / 2;

    fn of(clocks: &RangeClocks) -> Self {
        Self(clocks.hash().to_bytes().first_chunk().copied().unwrap_or_default())
    }
}

/// A batch as it is sent.
pub(crate) type SentBatch = Batch<BatchClocks>;

impl Batch {
    /// With the clocks whole.
    pub(crate) fn whole(self) -> SentBatch {
        self.with_clocks(BatchClocks::Whole)
    }

    /// With the clocks as differences to one that the receiver knows that this side knows, if that is shorter.
    pub(crate) fn since(self, theirs: &VectorClock) -> SentBatch {
        self.with_shorter(|clocks| BatchClocks::Since(clocks.since(theirs)))
    }

    /// With the clocks as differences to one that the receiver is likely to have, if that is shorter.
    pub(crate) fn since_guess(self, theirs: &VectorClock) -> SentBatch {
        self.with_shorter(|clocks| {
            let theirs = theirs.with_ids_of(clocks.first());
            BatchClocks::SinceGuess(clocks.since(&theirs), ClocksCheck::of(clocks))
        })
    }

    fn with_shorter(self, shorten: impl FnOnce(&RangeClocks) -> BatchClocks) -> SentBatch {
        let short = shorten(&self.clocks);
        self.with_clocks(|clocks| {
            let whole = BatchClocks::Whole(clocks);
            if len_on_wire(&short) < len_on_wire(&whole) { short } else { whole }
        })
    }
}

impl SentBatch {
    pub(crate) fn range(&self) -> KeyRange {
        match &self.clocks {
            BatchClocks::Whole(clocks) => clocks.range(),
            BatchClocks::Since(since) | BatchClocks::SinceGuess(since, _) => since.range(),
        }
    }

    /// The batch with its clocks whole, from the receiver's clock at the start of its range. `None` if they cannot be what
    /// the sender has.
    pub(crate) fn expand(self, mine: impl FnOnce(KeyHash) -> VectorClock) -> Option<Batch> {
        let lo = self.range().lo();
        let Self { clocks, base, digest, changes } = self;
        let clocks = match clocks {
            BatchClocks::Whole(clocks) => clocks,
            BatchClocks::Since(since) => since.on(&mine(lo))?,
            BatchClocks::SinceGuess(since, check) => {
                let clocks = since.on(&mine(lo))?;
                (ClocksCheck::of(&clocks) == check).then_some(clocks)?
            }
        };
        Some(Batch { clocks, base, digest, changes })
    }
}
