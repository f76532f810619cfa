//! The scenarios that ship with this crate.

use super::Scenario;

/// The names and contents of the files, in the order in which they are listed.
const FILES: [(&str, &str); 11] = [
    ("clean_split", include_str!("../../scenarios/clean_split.toml")),
    ("three_way_split", include_str!("../../scenarios/three_way_split.toml")),
    ("bridge_partition", include_str!("../../scenarios/bridge_partition.toml")),
    ("asymmetric_partition", include_str!("../../scenarios/asymmetric_partition.toml")),
    ("flapping_partition", include_str!("../../scenarios/flapping_partition.toml")),
    ("cascading_failures", include_str!("../../scenarios/cascading_failures.toml")),
    ("congestion", include_str!("../../scenarios/congestion.toml")),
    ("rolling_restart", include_str!("../../scenarios/rolling_restart.toml")),
    ("restored_backup", include_str!("../../scenarios/restored_backup.toml")),
    ("lying_member", include_str!("../../scenarios/lying_member.toml")),
    ("poisoned_sketches", include_str!("../../scenarios/poisoned_sketches.toml")),
];

/// The scenarios that ship with this crate, with their names. The first lines of each file in `scenarios/` say what it shows.
///
/// ```
/// use anti_entropy_sim::scenario::shipped;
///
/// assert!(shipped().iter().any(|(name, scenario)| *name == "clean_split" && scenario.nodes == 5));
/// ```
pub fn shipped() -> Vec<(&'static str, Scenario)> {
    let parse = |text| Scenario::from_toml(text).expect("the tests have read it");
    FILES.iter().map(|(name, text)| (*name, parse(text))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::history::OpKind;
    use crate::scenario::{Gossip, Links};

    #[test]
    fn shipped_scenarios_can_be_simulated() {
        for (name, text) in FILES {
            let scenario = Scenario::from_toml(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(scenario.name, name);
            assert!(text.starts_with("# "), "{name} does not say what it shows");
            assert!((60_000..=120_000).contains(&scenario.duration_ms), "{name}");
            assert_eq!((&scenario.gossip, &scenario.healed_links), (&Gossip::default(), &Links::default()), "{name}");
            assert!(scenario.steps.iter().all(|step| step.end_ms <= scenario.duration_ms));
        }
        assert_eq!(shipped().len(), FILES.len());
    }

    #[test]
    fn every_node_writes_in_shipped_scenarios() {
        for (name, scenario) in shipped() {
            for seed in 0..20 {
                let drawn = scenario.clone().expanded(seed);
                drawn.check().unwrap();
                let writes = drawn.operations.iter().filter(|operation| operation.op == OpKind::Write);
                let sides = writes.map(|operation| operation.node).collect::<BTreeSet<_>>();
                assert_eq!(sides.len(), scenario.nodes as usize, "{name} with seed {seed}");
            }
        }
    }

    #[test]
    fn every_shipped_file_is_listed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        let names = files.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect::<BTreeSet<_>>();
        assert_eq!(names, FILES.iter().map(|(name, _)| (*name).to_owned()).collect());
    }
}
