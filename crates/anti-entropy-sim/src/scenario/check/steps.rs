//! Checking the steps of a scenario.

use std::collections::BTreeSet;

use super::absence::{absences, clashes};
use super::refuse::{Checked, MAX_MS, require};
use crate::history::NodeIndex;
use crate::scenario::{Fault, Scenario, Step};

/// Checks every step by itself, and that none affects a node that another step makes absent.
pub(super) fn check(scenario: &Scenario) -> Checked {
    let mut absent = Vec::new();
    let mut joined = BTreeSet::new();
    for (number, step) in scenario.steps.iter().enumerate() {
        let place = format!("step {} ({})", number + 1, step.fault.name());
        check_time(scenario, &place, step)?;
        scenario.check_nodes(&place, &step.nodes)?;
        check_fault(scenario, &place, step)?;
        let twice = step.joining().iter().find(|node| !joined.insert(**node));
        require(twice.is_none(), &place, || {
            format!("node {} joins in an earlier step; one that comes back leaves by `leave`", twice.unwrap_or(&0))
        })?;
        let new = absences(scenario, step);
        if let Some((new, old)) = clashes(&absent, &new) {
            return require(false, &place, || {
                format!(
                    "node {} is not there from {} to {} ms because of an earlier step, which meets {} to {} ms of this \
                     one; let them follow each other, or choose another node",
                    new.node, old.time.start, old.time.end, new.time.start, new.time.end
                )
            });
        }
        absent.extend(new);
    }
    Ok(())
}

fn check_time(scenario: &Scenario, place: &str, step: &Step) -> Checked {
    require(step.start_ms < step.end_ms, place, || {
        format!("it begins at {} ms and is over at {} ms; let it end after it begins", step.start_ms, step.end_ms)
    })?;
    require(step.end_ms <= scenario.duration_ms, place, || {
        format!("it is over at {} ms, after the {} ms of the scenario", step.end_ms, scenario.duration_ms)
    })
}

fn check_fault(scenario: &Scenario, place: &str, step: &Step) -> Checked {
    let length = step.end_ms - step.start_ms;
    match &step.fault {
        Fault::Split { groups } => check_groups(scenario, place, step, groups),
        Fault::Flapping { groups, period_ms } => {
            check_groups(scenario, place, step, groups)?;
            // Each half has to last at least a millisecond.
            require((2..=length).contains(period_ms), place, || {
                format!("period_ms is {period_ms}, and has to be from 2 to the step's {length} ms")
            })
        }
        Fault::Degrade { links } => {
            require(step.nodes.len() != 1, place, || {
                "a link has two ends; name at least two nodes, or none for all".into()
            })?;
            links.check(place)
        }
        Fault::Cascade { every_ms } => {
            let nodes = if step.nodes.is_empty() { u64::from(scenario.nodes) } else { step.nodes.len() as u64 };
            let last = every_ms.saturating_mul(nodes - 1);
            require(*every_ms > 0 && last < length, place, || {
                format!("{nodes} nodes {every_ms} ms after each other do not crash within the step's {length} ms")
            })
        }
        Fault::Swap => require(step.nodes.len() != 1, place, || "two nodes change stores; name two".into()),
        Fault::SlowDisk { commit_ms } => require((1..=MAX_MS).contains(commit_ms), place, || {
            format!("commit_ms is {commit_ms}, and has to be from 1 to {MAX_MS}")
        }),
        Fault::DiskErrors { reads_permille, commits_permille, syncs_permille } => {
            let writes = u32::from(*commits_permille) + u32::from(*syncs_permille);
            require(*reads_permille <= 1_000 && writes <= 1_000, place, || {
                "reads_permille, and commits_permille with syncs_permille, cannot be more than 1000".into()
            })
        }
        Fault::ClockJump { by_ms } => require((1..=MAX_MS).contains(&by_ms.unsigned_abs()), place, || {
            format!("by_ms is {by_ms}, and has to be from 1 to {MAX_MS} either way")
        }),
        Fault::ClockDrift { ppm } => require((1..=500_000).contains(&ppm.unsigned_abs()), place, || {
            format!("ppm is {ppm}, and has to be from 1 to 500000 either way")
        }),
        Fault::Mute | Fault::Deaf => {
            let some = (1..scenario.nodes as usize).contains(&step.nodes.len());
            require(some, place, || "it is between some nodes and the others; name some, and not all".into())
        }
        Fault::Clone { one_name, .. } => {
            require(step.nodes.len() == 2, place, || "name the node that is cloned, and the clone".into())?;
            require(!one_name || step.end_ms < scenario.duration_ms, place, || {
                "two nodes under one name cannot become equal; let the clone end before the scenario".into()
            })
        }
        Fault::OldRelease => require(step.start_ms == 0, place, || {
            "a store cannot be read by an older release than it was written by; let it begin at 0".into()
        }),
        Fault::Hostile { does } => {
            require(!does.is_empty(), place, || "it does nothing; say what".into())?;
            require(!step.nodes.is_empty(), place, || "it cannot happen to all nodes; name some".into())
        }
        Fault::Join | Fault::Lie { .. } => {
            require(!step.nodes.is_empty(), place, || "it cannot happen to all nodes; name some".into())
        }
        _ => Ok(()),
    }
}

fn check_groups(scenario: &Scenario, place: &str, step: &Step, groups: &[Vec<NodeIndex>]) -> Checked {
    require(step.nodes.is_empty(), place, || "nodes means nothing here; name them in groups".into())?;
    require(groups.len() >= 2, place, || "one group is not parted from anybody; name at least two groups".into())?;
    require(groups.iter().all(|group| !group.is_empty()), place, || "a group is empty; take it out".into())?;
    scenario.check_nodes(place, &groups.concat())
}
