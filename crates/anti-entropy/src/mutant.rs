//! Bugs that can be planted one at a time, so that every checker is seen to fail once.
//!
//! Without the feature `mutants`, `active` is `false` at compile time and nothing of this is left.

/// A rule of the data model or of gossip, broken in one way. The names say what the broken code does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
#[cfg_attr(not(any(test, feature = "mutants")), allow(dead_code))]
pub enum Mutant {
    LiveOverwrittenInsteadOfJoined,
    WholeClockJoinedOutsideTheRange,
    PiecesNotSplit,
    SnapshotClockInsteadOfLive,
    ClockLaterThanTheInstant,
    ClockEarlierThanTheInstant,
    EntriesOlderThanTheInstant,
    ReplyWithOldEntriesAndNewClock,
    UpperBoundInclusive,
    ClockHeldBackToTheLastBatch,
    LastClockForAllBatches,
    SenderClockOfFirstPiece,
    SenderClockOfPiecesByMaximum,
    SenderClockOfPiecesByMinimum,
    NeighboursCoalescedByMaximum,
    NeighboursCoalescedByMinimum,
    EqualRootsSkipContexts,
    AbsenceNotExpressible,
    CertificationSkipped,
    ChangedSinceComparisonLeftOut,
    UnsentKeysNotJoined,
    WholeBatchKeepsUnlisted,
    PushAcceptedWhateverItsCounter,
    PushIgnoresWhatItReplaces,
    PushRemovesAllHeld,
    PushRaisesEveryPiece,
    PushJudgedByTheWholeContext,
    PushCarriesOnlyWhatItRemoved,
    ForeignReadsAccepted,
    RolledBackStoreKeepsItsId,
    OwnWritesUnknownToThePeerNotNoticed,
    ContextForgets,
    FingerprintBlindToVersions,
    DigestBlindToDeletions,
    SessionConvergesUnchecked,
    LastRangeExchangedForEver,
    PaceNeverSlowsDown,
    PushesRepeatedEveryRound,
    AnnouncementBlindToClocks,
    QueuesAreNotBounded,
    RoundWaitsForEverySession,
    SessionsNeverTimeOut,
}

#[cfg(not(any(test, feature = "mutants")))]
pub(crate) const fn active(_mutant: Mutant) -> bool {
    false
}

#[cfg(any(test, feature = "mutants"))]
pub(crate) use planted::active;
#[cfg(any(test, feature = "mutants"))]
pub use planted::{plant, with};

#[cfg(any(test, feature = "mutants"))]
mod planted {
    use std::cell::Cell;

    use super::Mutant;

    std::thread_local! {
        static PLANTED: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    pub(crate) fn active(mutant: Mutant) -> bool {
        PLANTED.get() == Some(mutant)
    }

    /// Plants a bug on this thread, for as long as it runs: for threads that somebody else runs.
    pub fn plant(mutant: Mutant) {
        PLANTED.set(Some(mutant));
    }

    /// Runs `body` with a bug planted on this thread, or with none.
    pub fn with<T>(mutant: Option<Mutant>, body: impl FnOnce() -> T) -> T {
        struct Restore(Option<Mutant>);
        impl Drop for Restore {
            fn drop(&mut self) {
                PLANTED.set(self.0);
            }
        }
        let _restore = Restore(PLANTED.replace(mutant));
        body()
    }
}
