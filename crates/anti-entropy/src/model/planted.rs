//! Bugs that the checks have to find: each rule of the data model, broken in one way.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::ghost::Violation;
use super::odds::{Boost, Bug, Fault, Op};
use super::std::eprintln;
use super::world::run;
use super::{replay, seeds};
use crate::mutant::Mutant;

/// A bug, and how to find it.
struct Planted {
    bug: Bug,
    boost: &'static Boost,
    /// It is found in one of the first so many seeds.
    within: u64,
}

/// What is rare in ordinary runs. Runs without a bug stay clean with these, as the test checks.
const PUSHES_INTO_PIECES: Boost =
    Boost { pushes: true, weights: &[(Op::Answer, 12.0), (Op::Batch, 12.0)], ..Boost::NONE };
const PUSHES_AND_DELETES: Boost =
    Boost { pushes: true, weights: &[(Op::Delete, 8.0), (Op::Answer, 12.0), (Op::Batch, 12.0)], ..Boost::NONE };
const STALE_PUSHES: Boost = Boost {
    replicas: Some(3),
    keys: Some(1),
    pushes: true,
    weights: &[(Op::Read, 8.0), (Op::StaleWrite, 12.0), (Op::Deliver, 24.0)],
    ..Boost::NONE
};
const FOREIGN_READS: Boost = Boost { weights: &[(Op::Read, 6.0), (Op::ForeignRead, 6.0)], ..Boost::NONE };
const RESTORES: Boost = Boost { weights: &[(Op::Backup, 4.0), (Op::Restore, 4.0)], ..Boost::NONE };
const UNNOTICED: Boost = Boost { weights: &[(Op::Backup, 4.0), (Op::UnnoticedRestore, 4.0)], ..Boost::NONE };
const UNNOTICED_DELETES: Boost = Boost {
    replicas: Some(2),
    keys: Some(2),
    weights: &[(Op::Backup, 6.0), (Op::UnnoticedRestore, 6.0), (Op::Delete, 4.0), (Op::Full, 6.0)],
    ..Boost::NONE
};
const CRASHES: Boost = Boost { weights: &[(Op::Crash, 4.0)], ..Boost::NONE };
const WIPES: Boost = Boost { weights: &[(Op::Wipe, 3.0)], ..Boost::NONE };

const OLD_RELEASES: Boost = Boost { old_releases: 0.5, ..Boost::NONE };
const OLD_RELEASES_CRASH: Boost = Boost { old_releases: 0.8, weights: &[(Op::Crash, 4.0)], ..Boost::NONE };

/// Every bug that there is to plant.
const PLANTED: [Planted; 48] = [
    core(Mutant::LiveOverwrittenInsteadOfJoined, 50, &Boost::NONE),
    core(Mutant::WholeClockJoinedOutsideTheRange, 50, &Boost::NONE),
    core(Mutant::PiecesNotSplit, 50, &Boost::NONE),
    core(Mutant::SnapshotClockInsteadOfLive, 400, &Boost::NONE),
    core(Mutant::ClockLaterThanTheInstant, 50, &Boost::NONE),
    core(Mutant::ClockEarlierThanTheInstant, 50, &Boost::NONE),
    core(Mutant::EntriesOlderThanTheInstant, 400, &Boost::NONE),
    core(Mutant::UpperBoundInclusive, 50, &Boost::NONE),
    core(Mutant::ClockHeldBackToTheLastBatch, 50, &Boost::NONE),
    core(Mutant::LastClockForAllBatches, 100, &Boost::NONE),
    core(Mutant::SenderClockOfFirstPiece, 400, &Boost::NONE),
    core(Mutant::SenderClockOfPiecesByMaximum, 400, &Boost::NONE),
    core(Mutant::SenderClockOfPiecesByMinimum, 400, &Boost::NONE),
    core(Mutant::NeighboursCoalescedByMaximum, 50, &Boost::NONE),
    core(Mutant::NeighboursCoalescedByMinimum, 50, &Boost::NONE),
    core(Mutant::EqualRootsSkipContexts, 400, &Boost::NONE),
    core(Mutant::AbsenceNotExpressible, 400, &Boost::NONE),
    core(Mutant::CertificationSkipped, 400, &Boost::NONE),
    core(Mutant::ChangedSinceComparisonLeftOut, 400, &Boost::NONE),
    core(Mutant::UnsentKeysNotJoined, 1000, &PUSHES_AND_DELETES),
    core(Mutant::WholeBatchKeepsUnlisted, 100, &Boost::NONE),
    core(Mutant::PushAcceptedWhateverItsCounter, 50, &Boost::NONE),
    core(Mutant::PushIgnoresWhatItReplaces, 400, &PUSHES_INTO_PIECES),
    core(Mutant::PushRemovesAllHeld, 50, &Boost::NONE),
    core(Mutant::PushRaisesEveryPiece, 400, &PUSHES_INTO_PIECES),
    core(Mutant::PushJudgedByTheWholeContext, 400, &PUSHES_INTO_PIECES),
    core(Mutant::PushCarriesOnlyWhatItRemoved, 1000, &STALE_PUSHES),
    core(Mutant::ForeignReadsAccepted, 400, &FOREIGN_READS),
    core(Mutant::RolledBackStoreKeepsItsId, 100, &RESTORES),
    core(Mutant::OwnWritesUnknownToThePeerNotNoticed, 100, &UNNOTICED),
    core(Mutant::RenamedWritesKeepTheirNames, 200, &UNNOTICED),
    core(Mutant::RenamedWritesAllMadeAnew, 200, &UNNOTICED),
    core(Mutant::RenamedDeletesLeaveNoTrace, 1000, &UNNOTICED_DELETES),
    core(Mutant::ContextForgets, 50, &Boost::NONE),
    core(Mutant::FingerprintBlindToVersions, 50, &Boost::NONE),
    core(Mutant::DigestBlindToDeletions, 50, &Boost::NONE),
    core(Mutant::HoleCountsAsSeen, 100, &OLD_RELEASES),
    core(Mutant::HolesAreNotToldToPeers, 100, &OLD_RELEASES),
    core(Mutant::HolesAreNotStored, 100, &OLD_RELEASES_CRASH),
    core(Mutant::HoleHeldByItsHashAlone, 100, &OLD_RELEASES),
    core(Mutant::HoleDroppedSilently, 100, &OLD_RELEASES),
    driver(Fault::LateDurability, 200, &CRASHES),
    driver(Fault::WipedStoreKeepsItsId, 100, &WIPES),
    driver(Fault::RestoredStoreIsVouchedFor, 100, &RESTORES),
    driver(Fault::MarkerIsUsedTwice, 200, &RESTORES),
    driver(Fault::ReplyWithOldEntriesAndNewClock, 50, &Boost::NONE),
    driver(Fault::EntriesOlderThanTheInstant, 100, &Boost::NONE),
    driver(Fault::ClockLaterThanTheInstant, 100, &Boost::NONE),
];

const fn core(bug: Mutant, within: u64, boost: &'static Boost) -> Planted {
    Planted { bug: Bug::InTheCore(bug), boost, within }
}

const fn driver(fault: Fault, within: u64, boost: &'static Boost) -> Planted {
    Planted { bug: Bug::InTheDriver(fault), boost, within }
}

#[test]
fn every_planted_bug_is_found() {
    let mut missed = Vec::new();
    for Planted { bug, within, boost } in &PLANTED {
        let found = seeds(0..*within).find_map(|seed| Some((seed, run(seed, boost, *bug).err()?)));
        let Some((seed, Violation { check, detail })) = found else {
            missed.push(bug);
            continue;
        };
        eprintln!("{bug:?}: {} seeds, {check} ({detail})", seed + 1);
        // It is the bug that was found, and nothing else.
        if let Err(Violation { check, detail }) = run(seed, boost, Bug::None) {
            panic!(
                "without {bug:?}: {check}: {detail}\nreplay: {}",
                replay("planted::every_planted_bug_is_found", seed)
            );
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

/// In how many of a thousand seeds each bug is found, and by which check. The boosted runs without a bug have to be clean.
#[test]
#[ignore = "a measurement that takes minutes in debug builds"]
fn how_often_planted_bugs_are_found() {
    for Planted { bug, boost, .. } in &PLANTED {
        let mut checks: BTreeMap<&str, u64> = BTreeMap::new();
        for seed in seeds(0..1000) {
            if let Err(violation) = run(seed, boost, *bug) {
                *checks.entry(violation.check).or_default() += 1;
            }
            if let Err(Violation { check, detail }) = run(seed, boost, Bug::None) {
                panic!("without {bug:?}: {check}: {detail}");
            }
        }
        eprintln!("{bug:?}: {checks:?}");
    }
}
