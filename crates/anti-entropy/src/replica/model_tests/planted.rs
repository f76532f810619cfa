//! Bugs that the checks have to find: each rule of the data model, broken in one way.

use alloc::vec::Vec;
use std::{env, eprintln};

use super::ghost::Violation;
use super::odds::{Boost, Bug, Fault, Op};
use super::world::run;
use super::{replay, seeds};
use crate::mutant::Mutant;

/// A bug, and how to find it.
struct Planted {
    bug: Bug,
    boost: Boost,
    /// It is found in one of the first so many seeds.
    within: u64,
}

const fn core(mutant: Mutant, within: u64) -> Planted {
    Planted { bug: Bug::InTheCore(mutant), boost: Boost::NONE, within }
}

const fn driver(fault: Fault, within: u64) -> Planted {
    Planted { bug: Bug::InTheDriver(fault), boost: Boost::NONE, within }
}

impl Planted {
    const fn boosted(self, boost: Boost) -> Self {
        Self { boost, ..self }
    }
}

const PLANTED: [Planted; 33] = [
    core(Mutant::LiveOverwrittenInsteadOfJoined, 2000),
    core(Mutant::WholeClockJoinedOutsideTheRange, 2000),
    core(Mutant::PiecesNotSplit, 2000),
    core(Mutant::SnapshotClockInsteadOfLive, 2000),
    core(Mutant::SenderClockOfFirstPiece, 2000),
    core(Mutant::SenderClockOfPiecesByMaximum, 2000),
    core(Mutant::SenderClockOfPiecesByMinimum, 2000),
    core(Mutant::NeighboursCoalescedByMaximum, 2000),
    core(Mutant::NeighboursCoalescedByMinimum, 2000),
    core(Mutant::EqualRootsSkipContexts, 2000),
    core(Mutant::AbsenceNotExpressible, 2000),
    core(Mutant::CertificationSkipped, 2000),
    core(Mutant::ChangedSinceComparisonLeftOut, 2000),
    core(Mutant::UnsentKeysNotJoined, 2000),
    core(Mutant::PushAcceptedWhateverItsCounter, 2000),
    core(Mutant::PushIgnoresWhatItReplaces, 2000),
    core(Mutant::PushRemovesAllHeld, 2000),
    core(Mutant::PushRaisesEveryPiece, 2000),
    core(Mutant::PushJudgedByTheWholeContext, 2000),
    core(Mutant::PushCarriesOnlyWhatItRemoved, 2000),
    core(Mutant::ForeignReadsAccepted, 2000),
    core(Mutant::RolledBackStoreKeepsItsId, 2000),
    core(Mutant::OwnWritesUnknownToThePeerNotNoticed, 2000),
    driver(Fault::LateDurability, 2000),
    driver(Fault::WipedStoreKeepsItsId, 2000),
    driver(Fault::RestoredStoreIsVouchedFor, 2000),
    driver(Fault::MarkerMatchesTheBackup, 2000),
    driver(Fault::ReplyWithOldEntriesAndNewClock, 2000),
    driver(Fault::EntriesOlderThanTheInstant, 2000),
    driver(Fault::ClockLaterThanTheInstant, 2000),
    driver(Fault::UpperBoundInclusive, 2000),
    driver(Fault::ClockHeldBackToTheLastBatch, 2000),
    driver(Fault::LastClockForAllBatches, 2000),
];

#[test]
fn every_planted_bug_is_found() {
    let mut missed = Vec::new();
    for Planted { bug, boost, within } in &PLANTED {
        let found = seeds(0..*within).find_map(|seed| Some((seed, run(seed, boost, *bug).err()?)));
        match found {
            Some((seed, violation)) => eprintln!("{bug:?}: {} seeds: {} ({})", seed+1, violation.check, violation.detail),
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

/// Longer than a test may take: how many of the first 1000 seeds find each bug.
#[test]
#[ignore = "a measurement; see the table it prints"]
fn rates() {
    for Planted { bug, boost, .. } in &PLANTED {
        let mut checks = std::collections::BTreeMap::new();
        for seed in seeds(0..2000) {
            if let Err(violation) = run(seed, boost, *bug) {
                *checks.entry(violation.check).or_insert(0) += 1;
            }
        }
        eprintln!("{bug:?}: {checks:?}");
    }
}
