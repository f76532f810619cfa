//! Removing nodes from a scenario.

use crate::history::NodeIndex;
use crate::scenario::{Fault, Scenario, Step};

/// Keeps the first nodes, and removes the others from everything that names them. The remaining nodes keep their numbers.
pub(super) fn keep(scenario: &mut Scenario, nodes: NodeIndex) {
    scenario.nodes = nodes;
    scenario.never_back.retain(|node| *node < nodes);
    scenario.operations.retain(|operation| operation.node < nodes);
    scenario.steps.retain_mut(|step| keep_in_step(step, nodes));
    if scenario.peers >= nodes {
        scenario.peers = 0;
    }
}

/// Removes the other nodes from a step. Returns whether the step still has an effect.
fn keep_in_step(step: &mut Step, nodes: NodeIndex) -> bool {
    // A step that names no nodes affects all of them. A step must not become one by losing its nodes.
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
