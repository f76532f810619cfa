//! Scenarios with fewer nodes.

use crate::history::NodeIndex;
use crate::scenario::{Fault, Scenario, Step};

/// Keeps the first nodes, and takes the others out of all that names them. No node gets another number, so that what is
/// left happens to the same ones.
pub(super) fn keep(scenario: &mut Scenario, nodes: NodeIndex) {
    scenario.nodes = nodes;
    scenario.never_back.retain(|node| *node < nodes);
    scenario.operations.retain(|operation| operation.node < nodes);
    scenario.steps.retain_mut(|step| keep_in_step(step, nodes));
    if scenario.peers >= nodes {
        scenario.peers = 0;
    }
}

/// Whether anything is left of a step without the other nodes.
fn keep_in_step(step: &mut Step, nodes: NodeIndex) -> bool {
    // A step that names nobody is about everybody: it must not become one.
    let everybody = step.nodes.is_empty();
    step.nodes.retain(|node| *node < nodes);
    match &mut step.fault {
        Fault::Split { groups } | Fault::Flapping { groups, .. } => {
            for group in &mut *groups {
                group.retain(|node| *node < nodes);
            }
            groups.retain(|group| !group.is_empty());
            groups.len() >= 2
        }
        Fault::Degrade { .. } | Fault::Swap => everybody || step.nodes.len() >= 2,
        _ => everybody || !step.nodes.is_empty(),
    }
}
