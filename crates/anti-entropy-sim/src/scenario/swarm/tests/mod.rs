use std::collections::{BTreeMap, BTreeSet};

use super::faults::TEN_YEARS;
use super::*;
use crate::history::OpKind;
use crate::scenario::{Abuse, Gossip};

const SEEDS: u64 = 10_000;

const PROFILES: [Profile; 8] = [
    Profile::Swarm,
    Profile::Partition,
    Profile::Crash,
    Profile::Clock,
    Profile::Byzantine,
    Profile::Dense,
    Profile::Twice,
    Profile::Hostile,
];

/// The least and the most of everything that was drawn.
#[derive(Default)]
struct Seen(BTreeMap<String, (i64, i64)>);

impl Seen {
    fn number(&mut self, name: &str, number: impl TryInto<i64>) {
        let number = number.try_into().ok().unwrap();
        let ends = self.0.entry(name.into()).or_insert((number, number));
        *ends = (ends.0.min(number), ends.1.max(number));
    }

    fn ends(&self, name: &str) -> (i64, i64) {
        *self.0.get(name).unwrap_or_else(|| panic!("no seed draws {name}"))
    }

    fn scenario(&mut self, scenario: &Scenario) {
        self.number("nodes", scenario.nodes);
        self.number("keys", scenario.keys);
        self.number("duration_ms", scenario.duration_ms);
        self.number("steps", u64::try_from(scenario.steps.len()).unwrap());
        self.number("operations", u64::try_from(scenario.operations.len()).unwrap());
        self.number("compacts", i64::from(scenario.compacts));
        self.number("never_back", u64::try_from(scenario.never_back.len()).unwrap());
        for (name, permille) in scenario.links.permilles() {
            self.number(name, permille);
        }
        self.number("delay_min_us", scenario.links.delay_min_us);
        self.number("delay_mean_us", scenario.links.delay_mean_us);
        self.number("clog_ms", scenario.links.clog_ms);
        self.number("bytes_per_second", scenario.links.bytes_per_second);
        self.number("healed loss", scenario.healed_links.loss_permille);
        self.number("healed delay", scenario.healed_links.delay_min_us + scenario.healed_links.delay_mean_us);
        self.table("gossip", &toml::Table::try_from(&scenario.gossip).unwrap());
        for step in &scenario.steps {
            self.number(&format!("{} length", step.fault.name()), step.end_ms - step.start_ms);
            self.number(&format!("{} nodes", step.fault.name()), u64::try_from(step.nodes.len()).unwrap());
            let groups = match &step.fault {
                Fault::Split { groups } | Fault::Flapping { groups, .. } => groups.len(),
                _ => 0,
            };
            self.number(&format!("{} groups", step.fault.name()), u64::try_from(groups).unwrap());
            self.table(step.fault.name(), &toml::Table::try_from(&step.fault).unwrap());
        }
    }

    fn table(&mut self, name: &str, table: &toml::Table) {
        for (field, value) in table {
            match value {
                toml::Value::Integer(number) => self.number(&format!("{name} {field}"), *number),
                toml::Value::Boolean(yes) => self.number(&format!("{name} {field}"), i64::from(*yes)),
                toml::Value::String(text) => self.number(&format!("{name} {text}"), 1),
                _ => {}
            }
        }
    }
}

/// Draws all seeds of a profile, and checks what holds for every scenario.
fn drawn(profile: Profile) -> Seen {
    let mut seen = Seen::default();
    for seed in 0..SEEDS {
        let scenario = profile.draw(seed, 2..=7);
        scenario.check().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert!(scenario.never_back.len() < (scenario.nodes as usize).div_ceil(2), "seed {seed}");
        assert_eq!((scenario.at_least_ms, scenario.workload.operations), (60_000, 0));
        seen.scenario(&scenario);
    }
    seen
}

#[test]
fn a_swarm_reaches_every_end() {
    let seen = drawn(Profile::Swarm);
    let ten_years = i64::try_from(TEN_YEARS).unwrap();
    let ends = [
        ("nodes", (2, 7)),
        ("keys", (1, 60)),
        ("duration_ms", (20_000, 35_000)),
        ("steps", (0, 17)),
        ("operations", (20, 150)),
        ("never_back", (0, 3)),
        ("loss_permille", (0, 300)),
        ("duplicate_permille", (0, 500)),
        ("replay_permille", (0, 500)),
        ("reorder_permille", (0, 200)),
        ("corrupt_permille", (0, 200)),
        ("truncate_permille", (0, 200)),
        ("clog_permille", (0, 20)),
        ("clog_ms", (0, 5_000)),
        ("delay_min_us", (0, 300_000)),
        ("delay_mean_us", (1_000, 1_000_000)),
        ("bytes_per_second", (0, 10_000_000)),
        ("healed loss", (0, 200)),
        ("healed delay", (100, 10_000)),
        ("gossip interval_ms", (1_000, 10_000)),
        ("gossip min_interval_ms", (100, 10_000)),
        ("gossip backoff_max_ms", (1_000, 30_000)),
        ("gossip idle_timeout_ms", (1_000, 5_000)),
        ("gossip resend_after_ms", (100, 500)),
        ("gossip announce_ms", (100, 10_000)),
        ("gossip announcement_lifetime_ms", (1_000, 50_000)),
        ("gossip push", (0, 0)),
        ("gossip max_queued_pushes", (1, 512)),
        ("gossip max_sessions", (4, 32)),
        ("gossip frame_bytes", (512, 32 << 10)),
        ("gossip batch_entries", (1, 50)),
        ("gossip batch_bytes", ((256 << 10) / 600, 128 << 10)),
        ("gossip bytes_per_second", (50_000, 1_000_000)),
        ("gossip burst_bytes", (1, 10_000)),
        ("gossip max_transfers", (2, 8)),
        ("gossip max_buffered_pushes", (0, 4)),
        ("gossip max_buffered_bytes", (0, 500)),
        ("compacts", (0, 1)),
        ("gossip bulk_after", (0, 20)),
        ("gossip sketch_cells", (8, 40)),
        ("gossip first_cells", (1, 20)),
        ("gossip clock_counters", (0, 6)),
        ("gossip answer_bytes", ((32 << 10) / 600, 16 << 10)),
        ("gossip context_pieces", (1, 128)),
        ("gossip on", (1, 1)),
        ("gossip off", (1, 1)),
        ("gossip mixed", (1, 1)),
        ("gossip failing", (1, 1)),
        ("split groups", (2, 3)),
        ("mute nodes", (1, 6)),
        ("deaf nodes", (1, 6)),
        ("isolate nodes", (1, 6)),
        ("ring length", (10, 35_000)),
        ("flapping period_ms", (10, 10_000)),
        ("degrade nodes", (0, 7)),
        ("crash nodes", (0, 7)),
        ("crash in_order", (0, 1)),
        ("crash vouched", (0, 1)),
        ("cascade nodes", (2, 7)),
        ("wipe nodes", (1, 6)),
        ("restore nodes", (1, 6)),
        ("swap nodes", (2, 2)),
        ("limits context_pieces", (1, 8)),
        ("limits max_queued_pushes", (0, 100)),
        ("limits batch_entries", (1, 20)),
        ("old_release length", (1_000, 35_000)),
        ("pause length", (10, 35_000)),
        ("slow_disk commit_ms", (1, 2_000)),
        ("disk_errors reads_permille", (0, 50)),
        ("disk_errors commits_permille", (0, 200)),
        ("disk_errors syncs_permille", (0, 100)),
        ("full_disk nodes", (0, 7)),
        ("clock_jump by_ms", (-ten_years, ten_years)),
        ("clock_drift ppm", (-50_000, 50_000)),
        ("clock_freeze nodes", (0, 7)),
        ("join nodes", (1, 1)),
        ("leave nodes", (1, 6)),
    ];
    for (name, ends) in ends {
        assert_eq!(seen.ends(name), ends, "{name}");
    }
    assert!(!seen.0.contains_key("lie nodes"), "lies have a profile of their own");
}

/// The faults of a profile, all of them.
fn faults(seen: &Seen) -> BTreeSet<&str> {
    seen.0.keys().filter_map(|name| name.strip_suffix(" length")).collect()
}

#[test]
fn crashes_come_alone() {
    let seen = drawn(Profile::Crash);
    let all = ["cascade", "crash", "disk_errors", "full_disk", "restore", "slow_disk", "swap", "wipe"];
    assert_eq!(faults(&seen), BTreeSet::from(all));
    assert_eq!(seen.ends("loss_permille"), (0, 0));
}

#[test]
fn clocks_come_with_a_mild_network() {
    let seen = drawn(Profile::Clock);
    assert_eq!(faults(&seen), BTreeSet::from(["clock_drift", "clock_freeze", "clock_jump"]));
    assert_eq!(seen.ends("loss_permille"), (0, 50));
}

#[test]
fn one_member_lies_in_every_way() {
    let seen = drawn(Profile::Byzantine);
    for lie in ["stall", "garbage", "forge", "replay", "twin", "impersonate", "poison"] {
        assert_eq!(seen.ends(&format!("lie {lie}")), (1, 1));
    }
    assert_eq!((seen.ends("lie nodes"), seen.ends("never_back")), ((1, 1), (1, 1)));
    assert_eq!(seen.ends("nodes"), (4, 7));
    assert!((0..100).map(|seed| Profile::Byzantine.draw(seed, 2..=50)).all(|scenario| scenario.nodes <= 10));
    for seed in 0..100 {
        let scenario = Profile::Byzantine.draw(seed, 4..=10);
        let lies = scenario.steps.iter().filter(|step| matches!(step.fault, Fault::Lie { .. }));
        assert!(lies.into_iter().all(|step| step.nodes == scenario.never_back));
    }
}

#[test]
fn both_sides_of_a_partition_write() {
    let mut sides = BTreeSet::new();
    for seed in 0..SEEDS {
        let scenario = Profile::Partition.draw(seed, 2..=7);
        scenario.check().unwrap();
        assert_eq!((scenario.nodes, scenario.steps.len(), &scenario.gossip), (5, 1, &Gossip::default()));
        let step = &scenario.steps[0];
        let Fault::Split { groups } = &step.fault else { panic!("seed {seed}: {step:?}") };
        sides.insert(groups.clone());
        let time = step.start_ms * 1_000..step.end_ms * 1_000;
        for group in groups {
            let writes = scenario.operations.iter().filter(|operation| operation.op == OpKind::Write);
            let mut parted = writes.filter(|operation| time.contains(&operation.at_us));
            assert!(parted.any(|operation| group.contains(&operation.node)), "seed {seed}: {group:?} does not write");
        }
    }
    assert_eq!(sides.len(), 2);
}

#[test]
fn a_seed_stands_for_one_scenario_also_in_toml() {
    for profile in PROFILES {
        for seed in (0..SEEDS).step_by(200) {
            let scenario = profile.draw(seed, 2..=7);
            assert_eq!(profile.draw(seed, 2..=7), scenario);
            assert_ne!(profile.draw(seed + 1, 2..=7).operations, scenario.operations);
            assert_eq!(Scenario::from_toml(&scenario.to_toml().unwrap()).unwrap(), scenario);
        }
    }
}

#[test]
fn any_number_of_nodes_will_do() {
    let empty = RangeInclusive::new(7, 3);
    for (nodes, drawn) in [(0..=0, 2), (empty, 7), (500..=500, 500), (u32::MAX..=u32::MAX, Scenario::MAX_NODES)] {
        let scenario = Profile::Swarm.draw(3, nodes);
        scenario.check().unwrap();
        assert_eq!(scenario.nodes, drawn);
    }
}

#[test]
fn profiles_are_called_what_toml_calls_them() {
    for profile in PROFILES {
        assert_eq!(toml::Value::try_from(profile).unwrap().as_str(), Some(profile.name()));
    }
}

#[test]
fn a_hostile_member_does_everything_that_is_survived_and_two_others_are_left() {
    let mut seen = BTreeSet::new();
    for seed in 0..2_000 {
        let scenario = Profile::Hostile.draw(seed, 2..=25);
        scenario.check().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert!((3..=8).contains(&scenario.nodes), "seed {seed}");
        let does = scenario.steps.iter().filter_map(|step| match &step.fault {
            Fault::Hostile { does } => Some((step, does)),
            _ => None,
        });
        let [(step, does)] = does.collect::<Vec<_>>()[..] else { panic!("seed {seed}") };
        assert!((1..=3).contains(&does.len()) && step.nodes.len() == 1 && step.end_ms == scenario.duration_ms);
        seen.extend(does.iter().copied());
    }
    assert_eq!(seen, Abuse::ALL.into_iter().filter(|abuse| *abuse != Abuse::SLOW_TO_SIMULATE).collect());
}
