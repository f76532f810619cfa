//! Every bug that there is to plant.

use anti_entropy::__private::Mutant as M;

use super::Hunt::{
    Announced, BadDisks, Beset, BesetByTheFirst, Budgets, Bulk, ClocksByCells, ClocksThatJump, Compacting,
    DeletesDuringBatches, Dense, DenseWithCrashes, DenseWithQueues, DenseWithoutPushes, Drawn, FewPieces, ForgedFrames,
    LeftMarkers, MadeUpIds, PoisonedSketches, PutBack, PutBackOnALaterDisk, PutBackSoon, ShortMessages, StaleDeletes,
    Trees, UnnoticedRestore,
};
use super::{Bug, Hunt, Planted};
use crate::scenario::Abuse::{HoldsTheSlot, NeverAcknowledges, RepeatsRequests};
use crate::scenario::Profile;
use crate::world::Sabotage as S;

/// Every bug that there is to plant.
pub fn planted() -> Vec<Planted> {
    PLANTED.to_vec()
}

const fn core(bug: M, hunt: Hunt, killers: &'static [(&'static str, u64)]) -> Planted {
    Planted { bug: Bug::Core(bug), killers, hunt }
}

const fn around(sabotage: S, hunt: Hunt, killers: &'static [(&'static str, u64)]) -> Planted {
    Planted { bug: Bug::Around(sabotage), killers, hunt }
}

/// The first are the broken variants that the data model was tested with, then come digests, gossip, and what is around the
/// core.
const PLANTED: &[Planted] = &[
    core(M::LiveOverwrittenInsteadOfJoined, Dense, &[("S1", 5), ("S5", 5), ("S7", 5), ("S12", 20)]),
    core(M::ReplyWithOldEntriesAndNewClock, Dense, &[("S1", 5), ("S7", 5)]),
    core(M::WholeClockJoinedOutsideTheRange, Dense, &[("S7", 5), ("S3", 5)]),
    core(M::PiecesNotSplit, Dense, &[("S7", 5), ("S3", 5)]),
    core(M::UpperBoundInclusive, Dense, &[("S7", 5), ("S1", 5)]),
    core(M::ClockHeldBackToTheLastBatch, Dense, &[("S7", 5), ("S1", 5)]),
    core(M::LastClockForAllBatches, Dense, &[("S7", 5), ("S1", 5)]),
    core(M::EntriesOlderThanTheInstant, Dense, &[("S1", 5), ("S7", 5)]),
    core(M::ClockLaterThanTheInstant, Dense, &[("S7", 5), ("S1", 5)]),
    core(M::ClockEarlierThanTheInstant, Dense, &[("alarms", 5), ("S7", 5)]),
    core(M::SnapshotClockInsteadOfLive, Dense, &[("S7", 10), ("alarms", 5)]),
    core(M::SenderClockOfFirstPiece, Dense, &[("S7", 20), ("S1", 20)]),
    core(M::SenderClockOfPiecesByMaximum, Dense, &[("S7", 10), ("S1", 10)]),
    core(M::SenderClockOfPiecesByMinimum, Dense, &[("S7", 20), ("S3", 40)]),
    core(M::NeighboursCoalescedByMaximum, Dense, &[("S7", 5), ("S3", 5)]),
    core(M::NeighboursCoalescedByMinimum, Dense, &[("S7", 5), ("S3", 5)]),
    core(M::EqualRootsSkipContexts, Dense, &[("L1", 20)]),
    core(M::OwnClocksTakenForThePeers, ClocksByCells, &[("S7", 5), ("alarms", 5)]),
    core(M::AbsenceNotExpressible, Dense, &[("L1", 20)]),
    core(M::CertificationSkipped, ForgedFrames, &[("S2", 100)]),
    core(M::CertificationSkipped, PoisonedSketches, &[("S7", 20), ("S1", 20)]),
    core(M::ChangedSinceComparisonLeftOut, Dense, &[("S1", 5), ("S7", 5)]),
    core(M::UnsentKeysNotJoined, DeletesDuringBatches, &[("S3", 200)]),
    core(M::WholeBatchKeepsUnlisted, Bulk, &[("S3", 40), ("S7", 80)]),
    core(M::PushAcceptedWhateverItsCounter, Dense, &[("S7", 5), ("S1", 5)]),
    core(M::PushIgnoresWhatItReplaces, Dense, &[("S7", 5), ("S3", 5)]),
    core(M::PushRemovesAllHeld, Dense, &[("S1", 5), ("S5", 5)]),
    core(M::PushRaisesEveryPiece, Dense, &[("S7", 5), ("S1", 5)]),
    core(M::PushJudgedByTheWholeContext, Dense, &[("S7", 5), ("S1", 5)]),
    core(M::PushCarriesOnlyWhatItRemoved, StaleDeletes, &[("S3", 100)]),
    core(M::ForeignReadsAccepted, Dense, &[("S7", 20), ("S3", 40)]),
    core(M::RolledBackStoreKeepsItsId, DenseWithCrashes, &[("S4", 10), ("S8", 10)]),
    core(M::OwnWritesUnknownToThePeerNotNoticed, UnnoticedRestore, &[("S4", 40), ("S8", 40)]),
    core(M::OwnWritesUnknownToThePeerNotNoticed, PutBack, &[("S12", 40)]),
    core(M::SessionNumbersRepeat, PutBackSoon, &[("S6", 40)]),
    core(M::StoreOfAnotherTimeNotNoticed, PutBackOnALaterDisk, &[("S6", 20), ("L1", 20)]),
    core(M::MarkerGoodForTwoOpenings, LeftMarkers, &[("S4", 40), ("S8", 40)]),
    core(M::GoesOnAfterAnUnknownCommit, BadDisks, &[("S2", 40), ("S8", 40)]),
    core(M::EveryReplicaCompacts, Compacting, &[("L1", 80)]),
    core(M::PiecesBeyondTheLimitDropped, FewPieces, &[("S7", 80)]),
    core(M::AnswersFromThePresent, Trees, &[("alarms", 40)]),
    core(M::BudgetNeverRefillsFromZero, Budgets, &[("L1", 5)]),
    core(M::ClockNotCarriedOver, ClocksThatJump, &[("S11", 20)]),
    core(M::ClockNeverPutRight, ClocksThatJump, &[("S11", 5)]),
    core(M::ContextForgets, Dense, &[("S4", 5)]),
    core(M::FingerprintBlindToVersions, Dense, &[("S6", 20)]),
    core(M::DigestBlindToDeletions, Dense, &[("S6", 500), ("L1", 20)]),
    core(M::SessionConvergesUnchecked, DenseWithoutPushes, &[("S6", 5)]),
    core(M::PaceNeverSlowsDown, Dense, &[("L5", 5)]),
    core(M::PushesRepeatedEveryRound, Dense, &[("L2", 5)]),
    core(M::AnnouncementBlindToClocks, Announced, &[("L1", 40)]),
    core(M::QueuesAreNotBounded, DenseWithQueues, &[("S9", 20)]),
    core(M::RoundWaitsForEverySession, Drawn(Profile::Swarm), &[("L1", 20), ("L4", 40)]),
    core(M::SessionsNeverTimeOut, Drawn(Profile::Swarm), &[("L3", 10), ("L1", 10)]),
    core(M::SessionsNeverTimeOut, Beset(NeverAcknowledges), &[("L6", 10)]),
    core(M::LastRangeExchangedForEver, Dense, &[("L3", 5), ("L1", 5)]),
    core(M::LeaseRenewedByAnyFrame, Beset(HoldsTheSlot), &[("L6", 10)]),
    core(M::PeersServedInOrder, BesetByTheFirst(RepeatsRequests), &[("L6", 40)]),
    core(M::RepliesRepeatedForEver, Beset(RepeatsRequests), &[("S9", 5)]),
    core(M::GrowthIsNotCounted, MadeUpIds, &[("S9", 5)]),
    core(M::PeerLimitsIgnored, ShortMessages, &[("S12", 5)]),
    core(M::ToldBeforeItIsDurable, DenseWithCrashes, &[("S8", 5)]),
    core(M::NotesLostWhenSettled, Dense, &[("S4", 5)]),
    around(S::StorePromisesTooMuch, DenseWithCrashes, &[("S8", 5), ("S1", 5)]),
    around(S::WipedStoreKeepsItsId, DenseWithCrashes, &[("S4", 5), ("S8", 5)]),
    around(S::RestoredStoreIsVouchedFor, DenseWithCrashes, &[("S4", 10), ("S8", 10)]),
    around(S::AnotherValueIsWritten, Dense, &[("S2", 5)]),
    around(S::TimersNeverFire, Dense, &[("L1", 5)]),
    around(S::DrawsFromTheMachine, Dense, &[("S10", 5)]),
];
