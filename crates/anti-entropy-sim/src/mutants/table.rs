//! Every bug that there is to plant.

use anti_entropy::mutant::Mutant as M;

use super::{Bug, Hunt, Planted};
use crate::scenario::Profile;
use crate::world::Sabotage as S;

/// Every bug that there is to plant.
pub fn planted() -> Vec<Planted> {
    let mut all = Vec::new();
    for m in [
        M::LiveOverwrittenInsteadOfJoined,
        M::WholeClockJoinedOutsideTheRange,
        M::PiecesNotSplit,
        M::SnapshotClockInsteadOfLive,
        M::SenderClockOfFirstPiece,
        M::SenderClockOfPiecesByMaximum,
        M::SenderClockOfPiecesByMinimum,
        M::NeighboursCoalescedByMaximum,
        M::NeighboursCoalescedByMinimum,
        M::EqualRootsSkipContexts,
        M::AbsenceNotExpressible,
        M::CertificationSkipped,
        M::ChangedSinceComparisonLeftOut,
        M::UnsentKeysNotJoined,
        M::PushAcceptedWhateverItsCounter,
        M::PushIgnoresWhatItReplaces,
        M::PushRemovesAllHeld,
        M::PushRaisesEveryPiece,
        M::PushJudgedByTheWholeContext,
        M::PushCarriesOnlyWhatItRemoved,
        M::ForeignReadsAccepted,
        M::RolledBackStoreKeepsItsId,
        M::OwnWritesUnknownToThePeerNotNoticed,
        M::PaceNeverSlowsDown,
        M::RoundWaitsForEverySession,
        M::PushesRepeatedEveryRound,
        M::QueuesAreNotBounded,
        M::SessionsNeverTimeOut,
        M::FingerprintBlindToVersions,
        M::ContextForgets,
        M::ReplyWithOldEntriesAndNewClock,
        M::EntriesOlderThanTheInstant,
        M::ClockLaterThanTheInstant,
        M::ClockEarlierThanTheInstant,
        M::UpperBoundInclusive,
        M::ClockHeldBackToTheLastBatch,
        M::LastClockForAllBatches,
        M::DigestBlindToDeletions,
        M::SessionConvergesUnchecked,
        M::LastRangeExchangedForEver,
    ] {
        for hunt in [Hunt::Dense, Hunt::DenseWithoutPushes, Hunt::DenseWithCrashes, Hunt::Drawn(Profile::Swarm)] {
            all.push(Planted { bug: Bug::Core(m), killers: &[], hunt });
        }
    }
    for s in [
        S::StorePromisesTooMuch,
        S::WipedStoreKeepsItsId,
        S::RestoredStoreIsVouchedFor,
        S::AnotherValueIsWritten,
        S::TimersNeverFire,
        S::DrawsFromTheMachine,
    ] {
        for hunt in [Hunt::DenseWithCrashes, Hunt::Drawn(Profile::Swarm)] {
            all.push(Planted { bug: Bug::Around(s), killers: &[], hunt });
        }
    }
    all
}
