use super::*;
use crate::history::OpKind;
use crate::scenario::{Fault, Operation, Profile};

/// A large scenario with every kind of trouble.
fn large() -> Scenario {
    let split = Fault::Split { groups: vec![vec![0, 1, 5], vec![2, 3], vec![4]] };
    let mut scenario = Profile::Swarm.draw(5, 6..=6);
    scenario.steps.clear();
    scenario.never_back.clear();
    scenario.keys = scenario.keys.max(12);
    let last = scenario.duration_ms;
    scenario.operations[40] =
        Operation { process: 7, node: 2, op: OpKind::DeleteSeen, keys: vec![3, 9], ..scenario.operations[40].clone() };
    scenario
        .never_back([4])
        .step(0, last, [], split)
        .step(100, 9_000, [5], Fault::Crash { in_order: false, vouched: true })
        .step(200, 900, [2, 5], Fault::Wipe)
        .step(300, last, [3, 2], Fault::Pause)
        .step(400, last, [3, 5], Fault::Swap)
}

fn deletes(scenario: &Scenario) -> bool {
    scenario.operations.iter().any(|operation| operation.op == OpKind::DeleteSeen && operation.keys.contains(&3))
}

fn wipes(scenario: &Scenario) -> bool {
    scenario.steps.iter().any(|step| step.fault == Fault::Wipe && step.nodes.contains(&2))
}

#[test]
fn an_operation_and_a_step_are_left() {
    let mut tried = 0;
    let small = shrink(large(), 1_000, &mut |scenario| {
        tried += 1;
        scenario.check().unwrap();
        deletes(scenario) && wipes(scenario)
    });
    assert!(tried < 300, "{tried}");
    let operation = &small.operations[0];
    assert_eq!((small.operations.len(), &operation.keys[..], operation.process), (1, &[3][..], 0));
    assert_eq!((small.steps.len(), &small.steps[0].nodes[..]), (1, &[2][..]));
    assert_eq!((small.nodes, small.keys, small.at_least_ms), (3, 4, 0));
    assert_eq!(
        (&small.links, &small.gossip, &small.healed_links),
        (&Links::default(), &Gossip::default(), &Links::default())
    );
    assert_eq!(small.duration_ms, (operation.at_us / 1_000).max(200) + 1);
    assert!(small.never_back.is_empty());
}

#[test]
fn what_the_failure_needs_stays() {
    let mut scenario = large();
    (scenario.links.loss_permille, scenario.links.corrupt_permille) = (100, 100);
    (scenario.gossip.frame_bytes, scenario.gossip.batch_bytes) = (Some(512), Some(512));
    let mut several = |scenario: &Scenario| {
        let clients = scenario.operations.iter().map(|operation| operation.process).collect::<BTreeSet<_>>();
        let split = scenario.steps.iter().any(|step| matches!(step.fault, Fault::Split { .. }));
        clients.len() >= 2
            && scenario.operations.len() >= 3
            && split
            && scenario.links.corrupt_permille == 100
            && scenario.gossip.frame_bytes == Some(512)
            && scenario.duration_ms >= 15_000
    };
    let small = shrink(scenario, 1_000, &mut several);
    assert!(several(&small));
    assert_eq!((small.operations.len(), small.steps.len(), small.nodes), (3, 1, 3));
    assert_eq!(small.steps[0].fault, Fault::Split { groups: vec![vec![0, 1], vec![2]] });
    assert_eq!((small.links.loss_permille, small.gossip.batch_bytes), (0, None));
}

#[test]
fn the_budget_is_kept() {
    for budget in [0, 1, 7] {
        let mut tried = 0;
        let small = shrink(large(), budget, &mut |scenario| {
            tried += 1;
            deletes(scenario)
        });
        assert!(tried <= budget && deletes(&small));
    }
}

#[test]
fn what_never_fails_again_stays_as_it_is() {
    assert_eq!(shrink(large(), 10_000, &mut |_| false), large());
}

#[test]
fn what_always_fails_shrinks_to_nothing() {
    let small = shrink(large(), 1_000, &mut |_| true);
    assert_eq!((small.nodes, small.keys, small.duration_ms), (2, 1, 1));
    assert!(small.steps.is_empty() && small.operations.is_empty());
}

#[test]
fn a_step_does_not_spread_to_all_nodes() {
    let mut scenario = large().step(500, 600, [], Fault::FullDisk);
    nodes::keep(&mut scenario, 2);
    assert_eq!(scenario.steps.iter().map(|step| step.fault.name()).collect::<Vec<_>>(), ["full_disk"]);
    scenario.check().unwrap();
}

#[test]
fn one_thing_that_a_hostile_member_does_is_left() {
    use crate::scenario::Abuse;
    let does = vec![Abuse::Floods, Abuse::SlowReader, Abuse::SaysEqual];
    let scenario = large().step(0, 9_000, [1], Fault::Hostile { does });
    let small = shrink(scenario, 1_000, &mut |scenario| abuses(scenario).any(|abuse| abuse == Abuse::SlowReader));
    assert_eq!(abuses(&small).collect::<Vec<_>>(), [Abuse::SlowReader]);
    assert_eq!((small.steps.len(), small.operations.len()), (1, 0));
}
