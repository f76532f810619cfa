//! What a rebuild writes, keeps, deletes and refuses, at one node and beside others.

use anti_entropy::{GossipConfig, MemoryStore, Opening, ReplicaConfig};
use anti_entropy_engram::gossiper::{BeliefUpdate, ConsolidationGossiper, GossiperConfig, UpdateSource, Vanished};
use anti_entropy_engram::{
    ConsolidationSnapshot, Encoding, InputPolicy, MemorySpace, OpenError, Pattern, PatternField, PatternProblem,
    SemanticPattern,
};
use chrono::DateTime;

use crate::cluster::{
    Cluster, MINUTE, alone, counts, held, name, open, pattern, seed, snapshot, space, start, versions,
};

#[test]
fn only_what_changed_since_the_previous_snapshot_is_written() {
    let mut node = alone();
    let both = snapshot([pattern("a", 10), pattern("b", 20)]);
    assert_eq!(counts(&node.rebuild_from_snapshot(&both, start()).unwrap()), [2, 0, 0, 0, 0]);
    let again = node.rebuild_from_snapshot(&both, start()).unwrap();
    assert_eq!((counts(&again), again.generation), ([0, 2, 0, 0, 0], 1));
    let changed = snapshot([pattern("c", 30), pattern("b", 21), pattern("a", 10)]);
    let rebuilt = node.rebuild_from_snapshot(&changed, start()).unwrap();
    assert_eq!((counts(&rebuilt), rebuilt.generation), ([2, 1, 0, 0, 0], 2));
    assert_eq!(held(&node), versions(&[("a", 0, 10), ("b", 0, 21), ("c", 0, 30)]));
}

#[test]
fn every_field_counts_as_a_change() {
    let changes: [fn(&mut SemanticPattern); 5] = [
        |pattern| pattern.embedding[3] = 9.0,
        |pattern| drop(pattern.source_episodes.pop()),
        |pattern| pattern.strength = 0.25,
        |pattern| pattern.schema_confidence = 0.25,
        |pattern| pattern.last_consolidated = DateTime::from_timestamp(1, 1).unwrap(),
    ];
    let mut node = alone();
    node.rebuild_from_snapshot(&snapshot([pattern("a", 10)]), start()).unwrap();
    let mut now = pattern("a", 10);
    for change in changes {
        change(&mut now);
        let rebuilt = node.rebuild_from_snapshot(&snapshot([now.clone()]), start()).unwrap();
        assert_eq!(counts(&rebuilt), [1, 0, 0, 0, 0]);
        let read = node.engine().replica().read(&"a".to_string()).unwrap();
        assert_eq!(SemanticPattern::from(read.value().unwrap()), now);
    }
}

#[test]
fn versions_of_other_nodes_stay_beside_the_own_one() {
    let mut cluster = Cluster::new(2, GossipConfig::lan());
    cluster.rebuild(0, &snapshot([pattern("a", 10)]));
    cluster.rebuild(1, &snapshot([pattern("a", 20)]));
    cluster.converge();
    cluster.rebuild(0, &snapshot([pattern("a", 11)]));
    cluster.converge();
    // What node 1 says is as before, whatever the other says by now.
    assert_eq!(counts(&cluster.rebuild(1, &snapshot([pattern("a", 20)]))), [0, 1, 0, 0, 0]);
    cluster.rebuild(1, &snapshot([pattern("a", 21)]));
    cluster.converge();
    for node in &cluster.nodes {
        assert_eq!(held(node), versions(&[("a", 0, 11), ("a", 1, 21)]));
    }
}

#[test]
fn what_vanished_is_kept_until_the_caller_says_delete() {
    let mut node = alone();
    node.rebuild_from_snapshot(&snapshot([pattern("a", 10), pattern("b", 20)]), start()).unwrap();
    let without = snapshot([pattern("a", 10)]);
    assert_eq!(counts(&node.rebuild_from_snapshot(&without, start()).unwrap()), [0, 1, 0, 1, 0]);
    assert_eq!(counts(&node.rebuild_with(&without, Vanished::Keep, start()).unwrap()), [0, 1, 0, 1, 0]);
    assert_eq!(counts(&node.rebuild_with(&without, Vanished::Delete, start()).unwrap()), [0, 1, 1, 0, 0]);
    let again = node.rebuild_with(&without, Vanished::Delete, start()).unwrap();
    assert_eq!((counts(&again), again.generation), ([0, 1, 0, 0, 0], 2));
    assert_eq!(held(&node), versions(&[("a", 0, 10)]));
    // It is as new when it comes back.
    let back = snapshot([pattern("a", 10), pattern("b", 20)]);
    assert_eq!(counts(&node.rebuild_from_snapshot(&back, start()).unwrap()), [1, 1, 0, 0, 0]);
}

#[test]
fn only_the_own_version_of_what_vanished_is_deleted() {
    let mut cluster = Cluster::new(2, GossipConfig::lan());
    let all = ["a", "b", "c"].map(|id| pattern(id, 10));
    cluster.rebuild(0, &snapshot(all.clone()));
    cluster.rebuild(1, &snapshot([pattern("a", 20)]));
    cluster.converge();
    // Node 1 writes another at the same time.
    cluster.rebuild(1, &snapshot([pattern("a", 20), pattern("b", 20)]));
    let now = cluster.now;
    let rebuilt = cluster.nodes[0].rebuild_with(&snapshot([]), Vanished::Delete, now).unwrap();
    assert_eq!(counts(&rebuilt), [0, 0, 3, 0, 0]);
    cluster.converge();
    for node in &cluster.nodes {
        assert_eq!(held(node), versions(&[("a", 1, 20), ("b", 1, 20)]));
    }
}

#[test]
fn what_an_operator_deleted_stays_deleted_until_it_changes() {
    let mut cluster = Cluster::new(2, GossipConfig::lan());
    let both = snapshot([pattern("a", 10), pattern("b", 10)]);
    cluster.rebuild(0, &both);
    cluster.converge();
    let now = cluster.now;
    // One here, one at the other node.
    cluster.nodes[0].engine_mut().delete(&"a".to_string(), now).unwrap().unwrap();
    cluster.nodes[1].engine_mut().delete(&"b".to_string(), now).unwrap().unwrap();
    cluster.converge();
    let unchanged = cluster.rebuild(0, &both);
    assert_eq!((counts(&unchanged), unchanged.generation), ([0, 2, 0, 0, 0], 1));
    assert!(held(&cluster.nodes[0]).is_empty());
    let changed = cluster.rebuild(0, &snapshot([pattern("a", 11), pattern("b", 10)]));
    assert_eq!(counts(&changed), [1, 1, 0, 0, 0]);
    assert_eq!(held(&cluster.nodes[0]), versions(&[("a", 0, 11)]));
    // What is gone from the snapshot and from the store is neither kept nor deleted.
    let now = cluster.now;
    let without = snapshot([pattern("a", 11)]);
    assert_eq!(counts(&cluster.nodes[0].rebuild_with(&without, Vanished::Delete, now).unwrap()), [0, 1, 0, 0, 0]);
    assert_eq!(counts(&cluster.rebuild(0, &snapshot([]))), [0, 0, 0, 1, 0]);
    // When consolidation finds it once more, it is new.
    assert_eq!(counts(&cluster.rebuild(0, &both)), [2, 0, 0, 0, 0]);
}

/// Patterns that are refused, each for its own reason.
fn invalid() -> Vec<(SemanticPattern, PatternField, PatternProblem)> {
    let with = |change: fn(&mut SemanticPattern)| {
        let mut pattern = pattern("bad", 10);
        change(&mut pattern);
        pattern
    };
    vec![
        (with(|bad| bad.id.clear()), PatternField::Id, PatternProblem::Empty),
        (
            with(|bad| bad.embedding.push(1.0)),
            PatternField::Embedding,
            PatternProblem::WrongDimension { found: 5, expected: 4 },
        ),
        (
            with(|bad| bad.embedding[1] = f32::INFINITY),
            PatternField::Embedding,
            PatternProblem::ComponentNotFinite { index: 1, value: f32::INFINITY },
        ),
        (
            with(|bad| bad.source_episodes.reverse()),
            PatternField::SourceEpisodes,
            PatternProblem::Unsorted { episode: "episode_1".to_string() },
        ),
        (
            with(|bad| bad.source_episodes = vec!["e".to_string(); 2]),
            PatternField::SourceEpisodes,
            PatternProblem::Repeated { value: "e".to_string() },
        ),
        (with(|bad| bad.strength = f32::INFINITY), PatternField::Strength, PatternProblem::NotFinite(f32::INFINITY)),
        (with(|bad| bad.schema_confidence = 1.5), PatternField::SchemaConfidence, PatternProblem::OutOfRange(1.5)),
        (
            with(|bad| bad.source_episodes = vec!["e".repeat(1000)]),
            PatternField::SourceEpisodes,
            PatternProblem::TooLong { bytes: 1037, limit: 1000, setting: "max_value_bytes" },
        ),
        (
            with(|bad| bad.id = "i".repeat(50)),
            PatternField::Id,
            PatternProblem::TooLong { bytes: 51, limit: 50, setting: "max_key_bytes" },
        ),
    ]
}

/// A strict gossiper with short limits for keys and values.
fn narrow() -> ConsolidationGossiper {
    let config = ReplicaConfig::default().with(|config| {
        config.max_key_bytes = 50;
        config.max_value_bytes = 1000;
    });
    let opening = Opening::from(seed(1)).with(|changed| changed.config = config);
    let strict = GossiperConfig::default().with(|config| config.input = InputPolicy::Strict);
    open(0, 1, space(), MemoryStore::new(), opening, strict, start())
}

#[test]
fn an_invalid_pattern_is_left_out_and_nothing_else() {
    for (bad, field, problem) in invalid() {
        let mut node = narrow();
        let id = bad.id.clone();
        let rebuilt = node.rebuild_from_snapshot(&snapshot([pattern("a", 1), bad, pattern("b", 2)]), start()).unwrap();
        assert_eq!(counts(&rebuilt), [2, 0, 0, 0, 1], "{problem}");
        let refused = &rebuilt.refused[0];
        assert_eq!((&refused.id, refused.field, &refused.problem), (&id, field, &problem));
        assert_eq!(held(&node), versions(&[("a", 0, 1), ("b", 0, 2)]));
    }
}

#[test]
fn what_was_held_of_an_invalid_pattern_stays() {
    for (mut bad, ..) in invalid().into_iter().filter(|(bad, ..)| bad.id == "bad") {
        let mut node = narrow();
        node.rebuild_from_snapshot(&snapshot([pattern("bad", 1)]), start()).unwrap();
        let refused = node.rebuild_with(&snapshot([bad.clone()]), Vanished::Delete, start()).unwrap();
        assert_eq!((counts(&refused), refused.generation), ([0, 0, 0, 0, 1], 1));
        assert_eq!(held(&node), versions(&[("bad", 0, 1)]));
        // And it is what the next snapshot is compared with.
        bad = pattern("bad", 1);
        assert_eq!(counts(&node.rebuild_from_snapshot(&snapshot([bad]), start()).unwrap()), [0, 1, 0, 0, 0]);
    }
}

#[test]
fn what_is_no_number_is_refused_also_where_the_encoding_held_a_zero() {
    for encoding in [Encoding::F32, Encoding::F16, Encoding::I8] {
        let space = space().with(|space| space.encoding = encoding);
        let mut node = open(0, 1, space, MemoryStore::new(), seed(1), GossipConfig::default(), start());
        let mut said = pattern("a", 50);
        said.embedding[2] = 0.0;
        assert_eq!(counts(&node.rebuild_from_snapshot(&snapshot([said.clone()]), start()).unwrap()), [1, 0, 0, 0, 0]);
        said.embedding[2] = f32::NAN;
        let rebuilt = node.rebuild_from_snapshot(&snapshot([said]), start()).unwrap();
        assert_eq!(counts(&rebuilt), [0, 0, 0, 0, 1], "{encoding:?}");
    }
}

#[test]
fn of_two_patterns_with_one_id_the_first_counts() {
    let mut node = alone();
    let twice = snapshot([pattern("a", 10), pattern("b", 10), pattern("a", 11)]);
    // It is told once.
    for (written, unchanged, told) in [(2, 0, 1), (0, 2, 0)] {
        let rebuilt = node.rebuild_from_snapshot(&twice, start()).unwrap();
        assert_eq!(counts(&rebuilt), [written, unchanged, 0, 0, told]);
        for refused in &rebuilt.refused {
            let problem = PatternProblem::Repeated { value: "a".to_string() };
            assert_eq!((refused.field, &refused.problem), (PatternField::Id, &problem));
        }
        assert_eq!(node.status(start()).refused_patterns, 1);
        assert_eq!(held(&node), versions(&[("a", 0, 10), ("b", 0, 10)]));
    }
}

#[test]
fn hints_say_what_is_pushed_first_and_are_used_up() {
    let update = |id: &str, confidence_delta| BeliefUpdate {
        pattern_id: id.to_string(),
        confidence_delta,
        citation_delta: 0,
        novelty: 0.0,
        generated_at: DateTime::UNIX_EPOCH,
        snapshot_generated_at: DateTime::UNIX_EPOCH,
        source: UpdateSource::Scheduler,
    };
    let never = std::time::Duration::from_secs(1_000_000);
    let config = GossipConfig::default().with(|config| {
        config.max_pushes = 2;
        config.interval = never;
        config.min_interval = never;
    });
    let mut cluster = Cluster::new(2, config);
    let all = |percent| snapshot(["a", "b", "c", "d", "e"].map(|id| pattern(id, percent)));
    cluster.nodes[0].hint(&[update("d", -0.5), update("b", 0.1), update("c", f32::NAN)]);
    cluster.rebuild(0, &all(10));
    cluster.run(MINUTE, |_| false);
    assert_eq!(held(&cluster.nodes[1]), versions(&[("b", 0, 10), ("d", 0, 10)]));
    // The rest by a session; and then in the order of the ids.
    let now = cluster.now;
    cluster.nodes[0].engine_mut().sync_now(&name(1), now);
    cluster.converge();
    cluster.run(MINUTE, |_| false);
    cluster.rebuild(0, &all(11));
    cluster.run(MINUTE, |_| false);
    let pushed = held(&cluster.nodes[1]).into_iter().filter(|(_, _, percent)| percent.to_bits() == 11f32.to_bits());
    assert_eq!(pushed.map(|(id, ..)| id).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn what_makes_no_sense_is_not_opened() {
    let open = |space: MemorySpace, node: &str| {
        ConsolidationGossiper::open(space, node, MemoryStore::new(), seed(1), GossipConfig::default(), start())
    };
    assert!(matches!(open(MemorySpace::new(""), "node-1"), Err(OpenError::Config(error)) if error.field == "space.id"));
    assert!(matches!(open(space(), ""), Err(OpenError::NoName)));
}

#[test]
fn an_empty_snapshot_changes_nothing() {
    let mut node = alone();
    let empty = ConsolidationSnapshot { generated_at: DateTime::UNIX_EPOCH, patterns: Vec::new() };
    assert_eq!(counts(&node.rebuild_with(&empty, Vanished::Delete, start()).unwrap()), [0; 5]);
}

#[test]
fn what_somebody_else_writes_in_the_nodes_name_is_replaced() {
    let mut node = alone();
    let said = snapshot([pattern("a", 10)]);
    node.rebuild_from_snapshot(&said, start()).unwrap();
    let other = Pattern::new(&pattern("a", 50), node.node().as_str(), node.space()).unwrap();
    node.engine_mut().write(other, start()).unwrap();
    assert_eq!(counts(&node.rebuild_from_snapshot(&said, start()).unwrap()), [1, 0, 0, 0, 0]);
    assert_eq!(held(&node), versions(&[("a", 0, 10)]));
}
