//! What engram's pipeline hands over, and what becomes of it.

use anti_entropy::clock::Seed;
use anti_entropy::{Clock, GossipConfig, MemoryStore as Records, SystemClock};
use anti_entropy_engram::gossiper::{ConsolidationGossiper, GossiperConfig};
use anti_entropy_engram::{Input, MemorySpace, PatternField};
use chrono::{DateTime, Duration, Utc};

use crate::completion::{ConsolidationEngine, ConsolidationSnapshot};
use crate::engram_core::{Confidence, Episode, MemoryStore};

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

/// An episode of one of a few topics. Episodes of a topic resemble each other, and no two are equal.
pub(crate) fn episode(topic: usize, number: usize) -> Episode {
    let mut random = fastrand::Rng::with_seed(topic as u64);
    let mut own = fastrand::Rng::with_seed((topic * 1_000 + number) as u64 + 1_000_000);
    let embedding = std::array::from_fn(|_| random.f32() - 0.5 + 0.3 * (own.f32() - 0.5));
    let when = start() + Duration::minutes(i64::try_from(10 * topic + number).unwrap());
    // Equal for a topic: the five that a run takes are then of one topic, as long as it is new.
    let confidence = Confidence::exact(0.6 + 0.3 * random.f32());
    Episode::new(
        format!("ep_{topic:03}_{number:02}"),
        when,
        format!("episode {number} of {topic}"),
        embedding,
        confidence,
    )
}

/// What the scheduler has found in so many runs.
pub(crate) fn consolidated(store: &MemoryStore, runs: usize) -> ConsolidationSnapshot {
    let mut engine = ConsolidationEngine::default();
    for run in 0..runs {
        store.run_scheduler(&mut engine, start() + Duration::minutes(5 * i64::try_from(run).unwrap()));
    }
    store.consolidation_snapshot(0)
}

fn store() -> MemoryStore {
    let store = MemoryStore::new(1_000);
    for (topic, number) in (0..6).flat_map(|topic| (0..5).map(move |number| (topic, number))) {
        store.store(episode(topic, number));
    }
    store
}

#[test]
fn every_pattern_names_episodes_twice_and_some_are_too_strong() {
    let snapshot = consolidated(&store(), 10);
    assert!(snapshot.patterns.len() >= 6, "{}", snapshot.patterns.len());
    for pattern in &snapshot.patterns {
        assert!(pattern.source_episodes.is_sorted());
        assert!(!pattern.source_episodes.is_sorted_by(|a, b| a < b), "{:?}", pattern.source_episodes);
        assert!(pattern.source_episodes.len() >= 3);
    }
    let again = consolidated(&store(), 10);
    assert_eq!(snapshot.patterns, again.patterns);
}

fn gossiper(input: Input) -> ConsolidationGossiper {
    let (space, seed, now) = (MemorySpace::new("default"), Seed::from_bytes([1; 32]), SystemClock::new().now());
    let config = GossiperConfig::from(GossipConfig::lan()).with(|config| config.input = input);
    ConsolidationGossiper::open(space, "alice", Records::new(), seed, config, now).unwrap()
}

#[test]
fn nothing_is_refused() {
    let snapshot = consolidated(&store(), 10);
    let mut gossiper = gossiper(Input::Normalise);
    let rebuilt = gossiper.rebuild_from_snapshot(&snapshot, SystemClock::new().now()).unwrap();
    let all = snapshot.patterns.len();
    assert_eq!((rebuilt.refused, rebuilt.written, rebuilt.normalised), (Vec::new(), all, all));
}

/// So it was everywhere before episodes were put in order here.
#[test]
fn strictly_each_pattern_is_refused_for_its_episodes_and_told_once() {
    let snapshot = consolidated(&store(), 10);
    let mut gossiper = gossiper(Input::Strict);
    let all = snapshot.patterns.len();
    for told in [all, 0, 0] {
        let rebuilt = gossiper.rebuild_from_snapshot(&snapshot, SystemClock::new().now()).unwrap();
        assert_eq!((rebuilt.refused.len(), rebuilt.written), (told, 0));
        assert!(rebuilt.refused.iter().all(|refused| refused.field == PatternField::SourceEpisodes));
        assert_eq!(gossiper.status(SystemClock::new().now()).refused_patterns, all);
    }
}
