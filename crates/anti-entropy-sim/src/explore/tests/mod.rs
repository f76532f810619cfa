mod bounds;

use std::ops::ControlFlow;

use super::{Bounds, Counterexample, Report, explore};

fn bounds([replicas, keys, operations, sessions, losses, duplicates]: [u8; 6]) -> Bounds {
    Bounds { replicas, keys, operations, sessions, losses, duplicates }
}

fn explored(numbers: [u8; 6]) -> Result<Report, Counterexample> {
    explore(bounds(numbers), &mut |_| ControlFlow::Continue(()))
}

/// The numbers are not right or wrong: they change where a protocol's steps do, and what that costs is to be seen in
/// review.
#[test]
fn small_explorations_are_complete_and_as_large_as_before() {
    let mut changed = Vec::new();
    for (numbers, states, terminal_states) in [
        ([2, 1, 2, 1, 0, 0], 221, 52),
        ([2, 1, 2, 1, 1, 1], 1945, 306),
        ([2, 2, 2, 1, 0, 0], 659, 146),
        ([3, 1, 2, 1, 0, 0], 649, 156),
    ] {
        let report = explored(numbers).unwrap_or_else(|found| panic!("{found}"));
        assert!(report.complete);
        if (report.states, report.terminal_states) != (states, terminal_states) {
            changed.push((numbers, report.states, report.terminal_states));
        }
    }
    assert_eq!(changed, []);
}

#[test]
fn it_ends_when_it_is_told_to() {
    let report = explore(bounds([2, 1, 3, 2, 0, 0]), &mut |_| ControlFlow::Break(())).unwrap();
    assert!(!report.complete && report.expanded < report.states);
}

#[cfg(feature = "mutants")]
mod planted {
    use anti_entropy::__private::{Mutant, with};

    use super::explored;

    /// Each planted bug, where it is found, and after how many states: a checker that never failed was not tested.
    #[test]
    fn planted_bugs_are_found() {
        // Sessions do not ask for `EqualRootsSkipContexts`. Among honest peers every batch is certified, so that
        // `CertificationSkipped` alone changes nothing. The others that are not here are of pushes, restarts and
        // wrong use.
        let mut changed = Vec::new();
        for (bug, numbers, states, check) in [
            (Mutant::LiveOverwrittenInsteadOfJoined, [2, 1, 2, 1, 0, 0], 98, "covered, alive and not held (S1)"),
            (Mutant::WholeClockJoinedOutsideTheRange, [2, 2, 2, 1, 0, 0], 294, "covered, alive and not held (S1)"),
            (Mutant::PiecesNotSplit, [2, 2, 2, 1, 0, 0], 294, "covered, alive and not held (S1)"),
            (Mutant::SnapshotClockInsteadOfLive, [2, 1, 2, 1, 0, 0], 117, "ended among honest peers"),
            (Mutant::SenderClockOfFirstPiece, [2, 2, 2, 2, 0, 0], 13266, "an alarm without a cause"),
            (Mutant::SenderClockOfPiecesByMaximum, [2, 2, 2, 2, 0, 0], 13266, "an alarm without a cause"),
            (Mutant::SenderClockOfPiecesByMinimum, [2, 2, 2, 2, 0, 0], 19370, "ended among honest peers"),
            (Mutant::NeighboursCoalescedByMaximum, [2, 2, 2, 1, 0, 0], 294, "covered, alive and not held (S1)"),
            (Mutant::NeighboursCoalescedByMinimum, [2, 2, 2, 1, 0, 0], 294, "tree and store differ (S6)"),
            (Mutant::AbsenceNotExpressible, [2, 1, 2, 1, 0, 0], 113, "ended among honest peers"),
            (Mutant::ChangedSinceComparisonLeftOut, [2, 1, 3, 1, 0, 0], 625, "covered, alive and not held (S1)"),
            (Mutant::UnsentKeysNotJoined, [2, 1, 2, 2, 0, 0], 4739, "held and dead (S1)"),
        ] {
            let found = with(Some(bug), || explored(numbers)).expect_err("a bug is planted");
            if (found.report.states, found.check) != (states, check) {
                changed.push((bug, numbers, found.report.states, found.check));
            }
        }
        assert_eq!(changed, []);
    }

    #[test]
    fn the_shortest_way_is_told() {
        let found = with(Some(Mutant::LiveOverwrittenInsteadOfJoined), || explored([2, 1, 2, 1, 0, 0]));
        let found = found.expect_err("a bug is planted").to_string();
        let steps: Vec<&str> = found.lines().skip(2).collect();
        assert_eq!(
            steps,
            [
                "  1. a opens session a->b",
                "  2. b writes key 0 as b1, in place of nothing",
                "  3. b gets Open of session a->b",
                "  4. a gets Differs of session a->b",
                "  5. b gets Batch of session a->b",
            ]
        );
    }
}
