//! When nodes are absent. An absent node cannot crash or join.

use core::ops::Range;

use crate::history::NodeIndex;
use crate::scenario::{Fault, Scenario, Step};

/// A time in which a node is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::scenario) struct Absence {
    pub(in crate::scenario) node: NodeIndex,
    /// In milliseconds.
    pub(in crate::scenario) time: Range<u64>,
}

impl Absence {
    fn meets(&self, other: &Self) -> bool {
        self.node == other.node && self.time.start < other.time.end && other.time.start < self.time.end
    }
}

/// Which nodes are absent because of a step, and when. A node that joins is absent before and after the step.
///
/// [`Fault::Restore`] takes a backup at the beginning and restores it at the end. The time in between counts as absence too.
pub(in crate::scenario) fn absences(scenario: &Scenario, step: &Step) -> Vec<Absence> {
    let step_time = step.start_ms..step.end_ms;
    if let (Fault::Clone { .. }, [source, clone]) = (&step.fault, step.nodes.as_slice()) {
        let gone = [0..step.start_ms, step.end_ms..scenario.duration_ms].map(|time| Absence { node: *clone, time });
        let source = Absence { node: *source, time: step_time };
        return gone.into_iter().chain([source]).filter(|absence| !absence.time.is_empty()).collect();
    }
    let times = match step.fault {
        Fault::Join => vec![0..step.start_ms, step.end_ms..scenario.duration_ms],
        Fault::Crash { .. }
        | Fault::Cascade { .. }
        | Fault::Wipe
        | Fault::Restore { .. }
        | Fault::RestoreMarker
        | Fault::RestoreMemory { .. }
        | Fault::SameSeed { .. }
        | Fault::OldRelease
        | Fault::Swap
        | Fault::Leave => {
            vec![step_time]
        }
        _ => return Vec::new(),
    };
    let mut nodes = affected(scenario, step);
    if step.fault == Fault::Swap {
        nodes.truncate(2);
    }
    let absence = |node| times.iter().cloned().map(move |time| Absence { node, time });
    nodes.into_iter().flat_map(absence).filter(|absence| !absence.time.is_empty()).collect()
}

/// The first node that a step makes absent at a time when an earlier step already does, with both absences.
pub(in crate::scenario) fn clashes(earlier: &[Absence], step: &[Absence]) -> Option<(Absence, Absence)> {
    let mut pairs = step.iter().flat_map(|new| earlier.iter().map(move |old| (new, old)));
    pairs.find(|(new, old)| new.meets(old)).map(|(new, old)| (new.clone(), old.clone()))
}

/// The nodes of a step: all if it names none.
fn affected(scenario: &Scenario, step: &Step) -> Vec<NodeIndex> {
    if step.nodes.is_empty() { (0..scenario.nodes).collect() } else { step.nodes.clone() }
}
