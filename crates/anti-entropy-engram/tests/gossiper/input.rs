//! Snapshots as engram gives them: each episode twice, numbers a little out of range; and what is refused of them.

use std::num::NonZeroUsize;

use anti_entropy::MemoryStore;
use anti_entropy_engram::gossiper::{ConsolidationGossiper, GossiperConfig, Rebuilt};
use anti_entropy_engram::{InputPolicy, PatternField, PatternProblem, SemanticPattern};

use crate::cluster::{alone, counts, open, pattern, seed, snapshot, space, start};

/// As engram's pipeline makes them: its store yields every episode twice, and a pattern lists them sorted.
fn twice(id: &str, percent: u8) -> SemanticPattern {
    let once = pattern(id, percent);
    let source_episodes = once.source_episodes.iter().flat_map(|episode| [episode.clone(), episode.clone()]).collect();
    SemanticPattern { source_episodes, ..once }
}

fn with(config: impl FnOnce(&mut GossiperConfig)) -> ConsolidationGossiper {
    open(0, 1, space(), MemoryStore::new(), seed(0), GossiperConfig::default().with(config), start())
}

fn strict() -> ConsolidationGossiper {
    with(|config| config.input = InputPolicy::Strict)
}

fn rebuild(node: &mut ConsolidationGossiper, patterns: impl IntoIterator<Item = SemanticPattern>) -> Rebuilt {
    node.rebuild_from_snapshot(&snapshot(patterns), start()).unwrap()
}

fn read(node: &ConsolidationGossiper, id: &str) -> SemanticPattern {
    SemanticPattern::from(node.engine().replica().read(&id.to_string()).unwrap().value().unwrap())
}

#[test]
fn episodes_are_sorted_and_each_named_once() {
    let mut unsorted = twice("b", 20);
    unsorted.source_episodes.reverse();
    let mut node = alone();
    let rebuilt = rebuild(&mut node, [twice("a", 10), unsorted.clone(), pattern("c", 30)]);
    assert_eq!((counts(&rebuilt), rebuilt.normalised, rebuilt.clamped), ([3, 0, 0, 0, 0], 2, 0));
    assert_eq!([read(&node, "a"), read(&node, "b")], [pattern("a", 10), pattern("b", 20)]);
    // Nothing has changed the next time, however often episodes are named.
    for again in [
        [twice("a", 10), unsorted, pattern("c", 30)],
        ["a", "b", "c"].map(|id| {
            pattern(
                id,
                if id == "a" {
                    10
                } else if id == "b" {
                    20
                } else {
                    30
                },
            )
        }),
    ] {
        let normalised = again.iter().filter(|pattern| pattern.source_episodes.len() > 2).count();
        let rebuilt = rebuild(&mut node, again);
        assert_eq!((counts(&rebuilt), rebuilt.normalised), ([0, 3, 0, 0, 0], normalised));
    }
    let mut grown = twice("a", 10);
    grown.source_episodes.push("episode_z".to_string());
    assert_eq!(counts(&rebuild(&mut node, [grown])), [1, 0, 0, 2, 0]);
    assert_eq!(read(&node, "a").source_episodes.len(), 3);
}

#[test]
fn numbers_out_of_range_are_clamped_and_counted() {
    let numbers = |strength, schema_confidence| SemanticPattern { strength, schema_confidence, ..pattern("a", 10) };
    for (strength, confidence, held) in [
        (1.000_000_1, 0.5, (1.0, 0.5)),
        (-0.25, 0.5, (0.0, 0.5)),
        (0.5, 1.5, (0.5, 1.0)),
        (0.5, -1e30, (0.5, 0.0)),
        (f32::MAX, f32::MIN, (1.0, 0.0)),
    ] {
        let mut node = alone();
        for written in [1, 0] {
            let rebuilt = rebuild(&mut node, [numbers(strength, confidence)]);
            assert_eq!((rebuilt.written, rebuilt.clamped, rebuilt.normalised), (written, 1, 0));
            let found = read(&node, "a");
            assert_eq!((found.strength, found.schema_confidence), held);
        }
        // The value that it was clamped to is the same.
        let rebuilt = rebuild(&mut node, [numbers(held.0, held.1)]);
        assert_eq!((rebuilt.unchanged, rebuilt.clamped), (1, 0));
    }
}

#[test]
fn what_is_not_finite_is_refused_also_where_the_clamped_value_is_held() {
    let numbers = |strength, schema_confidence| SemanticPattern { strength, schema_confidence, ..pattern("a", 10) };
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for held in [0.0, 1.0] {
            let mut node = alone();
            rebuild(&mut node, [numbers(held, held)]);
            for (changed, field) in
                [(numbers(bad, held), PatternField::Strength), (numbers(held, bad), PatternField::SchemaConfidence)]
            {
                let rebuilt = rebuild(&mut node, [changed]);
                assert_eq!((counts(&rebuilt), rebuilt.refused[0].field), ([0, 0, 0, 0, 1], field));
            }
            let mut component = numbers(held, held);
            component.embedding[2] = bad;
            assert_eq!(rebuild(&mut node, [component]).refused[0].field, PatternField::Embedding);
        }
    }
}

#[test]
fn strict_input_is_refused_and_told_once() {
    let mut node = strict();
    let problem = PatternProblem::Repeated { value: "episode_1".to_string() };
    let first = rebuild(&mut node, [twice("a", 10), pattern("b", 20)]);
    assert_eq!((counts(&first), &first.refused[0].problem), ([1, 0, 0, 0, 1], &problem));
    for _ in 0..3 {
        let again = rebuild(&mut node, [twice("a", 10), pattern("b", 20)]);
        assert_eq!((counts(&again), again.normalised), ([0, 1, 0, 0, 0], 0));
        assert_eq!(node.status(start()).refused_patterns, 1);
    }
}

#[test]
fn a_refusal_is_told_again_when_it_or_the_pattern_changes() {
    let bad = |strength, percent| SemanticPattern { strength, ..pattern("a", percent) };
    let mut node = alone();
    let mut told = |patterns: &[SemanticPattern]| rebuild(&mut node, patterns.iter().cloned()).refused.len();
    assert_eq!(told(&[bad(f32::NAN, 10)]), 1);
    assert_eq!(told(&[bad(f32::NAN, 10)]), 0);
    assert_eq!(told(&[bad(f32::INFINITY, 10)]), 1, "another problem");
    assert_eq!(told(&[bad(f32::INFINITY, 11)]), 1, "another pattern");
    assert_eq!(told(&[bad(f32::INFINITY, 11)]), 0);
    // When it was valid in between, or not in the snapshot, it is news.
    assert_eq!(told(&[pattern("a", 11)]), 0);
    assert_eq!(told(&[bad(f32::INFINITY, 11)]), 1);
    assert_eq!(told(&[]), 0);
    assert_eq!(told(&[bad(f32::INFINITY, 11)]), 1);
}

#[test]
fn no_more_refusals_are_remembered_and_told_than_the_limit() {
    let mut node = with(|config| config.max_refusals = NonZeroUsize::new(2).unwrap());
    let bad = |id: &str| SemanticPattern { strength: f32::NAN, ..pattern(id, 10) };
    let told = |rebuilt: Rebuilt| rebuilt.refused.into_iter().map(|refused| refused.id).collect::<Vec<_>>();
    assert_eq!(told(rebuild(&mut node, ["d", "c", "b", "a"].map(bad))), ["a", "b"]);
    assert_eq!(node.status(start()).refused_patterns, 4);
    assert!(told(rebuild(&mut node, ["a", "b", "c", "d"].map(bad))).is_empty());
    // As soon as there is room, the next ones are told.
    assert_eq!(told(rebuild(&mut node, ["b", "c", "d"].map(bad))), ["c"]);
    assert_eq!(node.status(start()).refused_patterns, 3);
}
