//! Scenarios in which the simulator once found a bug of the core or of its own, each with its seed in the first line.

use std::fs;
use std::path::Path;

use anti_entropy_sim::scenario::Scenario;
use anti_entropy_sim::subject::Items;
use anti_entropy_sim::{Judging, checkers_for, judge};

#[test]
fn what_was_found_once_is_found_no_more() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let seed = text.lines().next().and_then(|line| line.strip_prefix("# seed ")?.parse().ok());
        let seed = seed.unwrap_or_else(|| panic!("{} begins with its seed", file.display()));
        let scenario = Scenario::from_toml(&text).unwrap().expanded(seed);
        let verdict = judge(&scenario, seed, Items::default(), checkers_for(&scenario), Judging::default(), |_| {});
        assert_eq!(verdict.violations, [], "{}", file.display());
    }
}
