mod fields;

use super::*;

/// Every fault once, at nodes that others leave alone.
pub(super) fn every_fault() -> Scenario {
    let groups = vec![vec![0, 1], vec![2, 3, 4]];
    let links = Links { loss_permille: 1_000, bytes_per_second: 1 << 40, ..Links::default() };
    let scenario = Scenario::new("all", 12)
        .operations(60)
        .never_back([4, 9])
        .gossip(Gossip { preset: Preset::Wan, max_sessions: core::num::NonZeroUsize::new(4), ..Gossip::default() })
        .step(0, 1, [], Fault::Split { groups: groups.clone() })
        .step(0, 30_000, [1], Fault::Mute)
        .step(0, 30_000, [1, 2], Fault::Deaf)
        .step(5, 9, [], Fault::Isolate)
        .step(5, 9, [], Fault::Ring)
        .step(5, 9_000, [], Fault::Flapping { groups, period_ms: 500 })
        .step(0, 30_000, [0, 5], Fault::Degrade { links })
        .step(1_000, 2_000, [0, 1], Fault::Crash { in_order: true, vouched: false })
        .step(3_000, 9_000, [0, 1, 2], Fault::Cascade { every_ms: 2_500 })
        .step(10_000, 20_000, [3], Fault::Wipe)
        .step(20_000, 30_000, [3], Fault::Restore { vouched: false })
        .step(10_000, 30_000, [5, 6], Fault::Swap)
        .step(10, 20, [7], Fault::Pause)
        .step(10, 20, [], Fault::SlowDisk { commit_ms: 100 })
        .step(10, 20, [], Fault::DiskErrors { reads_permille: 1, commits_permille: 2, syncs_permille: 3 })
        .step(10, 20, [2], Fault::FullDisk)
        .step(10, 20, [2], Fault::ClockJump { by_ms: -315_360_000_000 })
        .step(10, 20, [2], Fault::ClockDrift { ppm: -50_000 })
        .step(10, 20, [2], Fault::ClockFreeze)
        .step(10_000, 20_000, [8], Fault::Join)
        .step(12_000, 13_000, [8, 10], Fault::Leave);
    Lie::ALL.into_iter().fold(scenario, |scenario, lie| scenario.step(10, 20, [11], Fault::Lie { lie }))
}

#[test]
fn every_fault_comes_back_from_toml() {
    let mut scenario = every_fault();
    let text = scenario.to_toml().unwrap();
    assert_eq!(Scenario::from_toml(&text).unwrap(), scenario, "{text}");
    scenario.workload = Workload::default();
    let operation = Operation { at_us: 5, process: 9, node: 1, op: OpKind::WriteSeen, keys: vec![0] };
    scenario.operations = vec![operation.clone(), Operation { op: OpKind::Delete, keys: vec![1, 0], ..operation }];
    let text = scenario.to_toml().unwrap();
    assert_eq!(Scenario::from_toml(&text).unwrap(), scenario, "{text}");
}

#[test]
fn faults_are_called_what_toml_calls_them() {
    for step in every_fault().steps {
        let written = toml::Table::try_from(&step).unwrap();
        assert_eq!(written["fault"].as_str(), Some(step.fault.name()));
    }
}

fn refused(scenario: &Scenario) -> String {
    scenario.check().unwrap_err().to_string()
}

#[test]
fn what_cannot_be_simulated_is_refused() {
    let new = || Scenario::new("", 5);
    let split = |groups: &[&[u32]]| Fault::Split { groups: groups.iter().map(|group| group.to_vec()).collect() };
    let loss = |loss_permille| Links { loss_permille, ..Links::default() };
    let mut sparse = new();
    sparse.peers = 5;
    let bad = vec![
        (Scenario::new("", 1), "nodes: 1 is not"),
        (Scenario::new("", 10_001), "nodes: 10001 is not"),
        (new().keys(0), "keys"),
        (new().duration_ms(0), "duration_ms"),
        (new().at_least_ms(u64::MAX), "at_least_ms"),
        (sparse, "peers"),
        (new().never_back([5]), "never_back: there is no node 5"),
        (new().never_back([1, 1]), "never_back: node 1 stands there twice"),
        (new().never_back([0, 1, 2, 3]), "never_back: with the nodes"),
        (new().never_back([0, 1, 2]).step(5, 9, [3], Fault::Join), "never_back: with the nodes"),
        (new().step(5, 30_000, [0, 1, 2, 3], Fault::Join), "step: fewer than 2"),
        (new().links(loss(1_001)), "links: loss_permille is 1001"),
        (new().healed_links(loss(1_000)), "healed_links: no frame"),
        (new().gossip(Gossip { frame_bytes: Some(511), ..Gossip::default() }), "gossip: frame_bytes is 511"),
        (new().gossip(Gossip { interval_ms: Some(0), ..Gossip::default() }), "gossip: interval_ms is 0"),
        (new().gossip(Gossip { backoff_max_ms: Some(1), ..Gossip::default() }), "gossip: backoff_min_ms"),
        (new().step(5, 5, [], Fault::Mute), "step 1 (mute): it begins at 5 ms"),
        (new().step(5, 30_001, [], Fault::Mute), "step 1 (mute): it is over at 30001 ms"),
        (new().step(5, 9, [], Fault::Mute), "step 1 (mute): it is between some nodes and the others"),
        (new().step(5, 9, [0, 1, 2, 3, 4], Fault::Deaf), "step 1 (deaf): it is between some nodes and the others"),
        (new().step(5, 9, [], split(&[&[0, 1]])), "step 1 (split): one group"),
        (new().step(5, 9, [], split(&[&[0, 1], &[]])), "step 1 (split): a group is empty"),
        (new().step(5, 9, [], split(&[&[0], &[0]])), "step 1 (split): node 0 stands there twice"),
        (new().step(5, 9, [1], split(&[&[0], &[1]])), "step 1 (split): nodes means nothing"),
        (new().step(5, 9, [1], Fault::Swap), "step 1 (swap): two nodes"),
        (new().step(5, 9, [1], Fault::Degrade { links: loss(1) }), "step 1 (degrade): a link"),
        (new().step(5, 9, [1, 2], Fault::Cascade { every_ms: 4 }), "step 1 (cascade): 2 nodes 4 ms"),
        (new().step(5, 9, [], Fault::Join), "step 1 (join): it cannot"),
        (new().step(5, 9, [1], Fault::Join).step(9, 10, [1], Fault::Join), "step 2 (join): node 1 joins"),
        (
            new().step(5, 9, [], Fault::Pause).step(5, 9, [0], Fault::Mute).step(0, 6, [1], Fault::Join).step(
                6,
                7,
                [1],
                Fault::Wipe,
            ),
            "step 4 (wipe): node 1 is not there from 6 to 30000 ms",
        ),
        (
            new().step(5, 9, [], Fault::Wipe).step(8, 10, [4], Fault::Restore { vouched: false }),
            "step 2 (restore): node 4 is not there",
        ),
    ];
    for (scenario, error) in bad {
        assert!(refused(&scenario).starts_with(error), "{}, and not {error}", refused(&scenario));
    }
    new().step(5, 9, [], Fault::Wipe).step(9, 10, [4], Fault::Restore { vouched: false }).check().unwrap();
}

#[test]
fn operations_that_cannot_be_done_are_refused() {
    let good = Operation { at_us: 5, process: 0, node: 1, op: OpKind::Write, keys: vec![0, 7] };
    let with = |change: fn(&mut Operation)| {
        let mut scenario = Scenario::new("", 2);
        scenario.operations = vec![good.clone(), Operation { at_us: 30_000_000, ..good.clone() }];
        change(&mut scenario.operations[1]);
        scenario
    };
    with(|_| ()).check().unwrap();
    let bad = [
        (with(|operation| operation.at_us = 4), "operation 2: it is at 4, before"),
        (with(|operation| operation.at_us += 1), "operation 2: it is at 30000001"),
        (with(|operation| operation.node = 2), "operation 2: there is no node 2"),
        (with(|operation| operation.keys = vec![8]), "operation 2: there is no key 8"),
        (with(|operation| operation.keys = vec![1, 1]), "operation 2: key 1 stands"),
        (with(|operation| operation.keys.clear()), "operation 2: it names no key"),
        (with(|operation| operation.op = OpKind::Read), "operation 2: a read is of one key"),
        (with(|operation| operation.op = OpKind::Compact), "operation 2: nodes compact"),
        (with(|_| ()).operations(3), "workload: it is not used"),
    ];
    for (scenario, error) in bad {
        assert!(refused(&scenario).starts_with(error), "{}, and not {error}", refused(&scenario));
    }
}

#[test]
fn misspelt_fields_are_refused() {
    let with = |line: &str| {
        let text = format!("nodes = 3\nduration_ms = 9\n[[step]]\nstart_ms = 1\nend_ms = 2\n{line}");
        Scenario::from_toml(&text).map_err(|error| error.to_string())
    };
    assert_eq!(with("fault = 'crash'\nnodes = []").unwrap().steps.len(), 1);
    assert_eq!(
        with("fault = 'crash'\nin_ordr = true").unwrap_err(),
        "step 1 (crash): there is no field `in_ordr`; the fields are nodes, end_ms, fault, in_order, start_ms, vouched"
    );
    assert!(with("fault = 'mute'\ngroups = [[0], [1]]").unwrap_err().contains("no field `groups`"));
    assert!(with("fault = 'mut'").unwrap_err().contains("unknown variant"));
    assert!(Scenario::from_toml("nodes = 3\nduration = 9").unwrap_err().to_string().contains("line 2"));
}

#[test]
fn messages_name_the_file() {
    let path = std::env::temp_dir().join(format!("anti-entropy-sim-{}.toml", std::process::id()));
    assert!(Scenario::read(&path).unwrap_err().to_string().contains("anti-entropy-sim-"));
    std::fs::write(&path, "nodes = 1\nduration_ms = 1").unwrap();
    let message = Scenario::read(&path).unwrap_err().to_string();
    std::fs::remove_file(&path).unwrap();
    assert!(message.contains("anti-entropy-sim-") && message.ends_with("nodes: 1 is not from 2 to 10000"), "{message}");
}
