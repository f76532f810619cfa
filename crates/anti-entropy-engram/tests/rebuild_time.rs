//! How long rebuilds take at the size of a real node: `cargo test --release --test rebuild_time -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::{Duration, Instant};

use anti_entropy::clock::{Now, Seed};
use anti_entropy::{GossipConfig, MemoryStore, Transaction};
use anti_entropy_engram::gossiper::ConsolidationGossiper;
use anti_entropy_engram::{ConsolidationSnapshot, Encoding, MemorySpace, Pattern, SemanticPattern};
use chrono::DateTime;

const PATTERNS: usize = 10_000;

fn pattern(random: &mut fastrand::Rng) -> SemanticPattern {
    let mut source_episodes: Vec<String> = (0..8).map(|_| format!("episode_{:016x}", random.u64(..))).collect();
    source_episodes.sort_unstable();
    SemanticPattern {
        id: format!("pattern_{:016x}", random.u64(..)),
        embedding: (0..768).map(|_| random.f32() - 0.5).collect(),
        source_episodes,
        strength: random.f32(),
        schema_confidence: random.f32(),
        last_consolidated: DateTime::UNIX_EPOCH,
    }
}

/// The time that a rebuild takes, and how many patterns it wrote.
fn timed(gossiper: &mut ConsolidationGossiper, snapshot: &ConsolidationSnapshot) -> (Duration, usize) {
    let begun = Instant::now();
    let rebuilt = gossiper.rebuild_from_snapshot(snapshot, Now::default()).unwrap();
    (begun.elapsed(), rebuilt.written)
}

/// Has another node say the same, beside what the others say.
fn as_if_from(peer: &str, gossiper: &mut ConsolidationGossiper, snapshot: &ConsolidationSnapshot) {
    let patterns = snapshot.patterns.iter().map(|pattern| Pattern::new(pattern, peer, gossiper.space()).unwrap());
    let nothing =
        |pattern: &Pattern| gossiper.engine().replica().read(&pattern.id().to_string()).unwrap().seen_where(|_| false);
    let beside = |all: Transaction<_>, pattern: Pattern| {
        let seen = nothing(&pattern);
        all.write_seen(pattern, &seen)
    };
    let transaction = patterns.fold(Transaction::new(), beside);
    gossiper.engine_mut().commit(transaction, Now::default()).unwrap();
}

#[test]
#[ignore = "it measures, and takes a release build and a quiet machine"]
fn rebuilds_of_10_000_patterns_of_768_dimensions() {
    for encoding in [Encoding::F32, Encoding::F16, Encoding::I8] {
        let mut random = fastrand::Rng::with_seed(1);
        let patterns = (0..PATTERNS).map(|_| pattern(&mut random)).collect();
        let mut snapshot = ConsolidationSnapshot { generated_at: DateTime::UNIX_EPOCH, patterns };
        let space = MemorySpace::new("default").with(|space| space.encoding = encoding);
        let (seed, config) = (Seed::from_bytes([1; 32]), GossipConfig::default());
        let mut gossiper =
            ConsolidationGossiper::open(space, "node-1", MemoryStore::new(), seed, config, Now::default()).unwrap();
        println!("{encoding:?}: all new {:?}", timed(&mut gossiper, &snapshot));
        for _ in 0..7 {
            // Consolidation makes its vectors anew each time.
            snapshot = snapshot.clone();
            println!("{encoding:?}: unchanged {:?}", timed(&mut gossiper, &snapshot));
            snapshot.patterns.iter_mut().step_by(100).for_each(|pattern| pattern.embedding[7] += 1.0);
            println!("{encoding:?}: 1% changed {:?}", timed(&mut gossiper, &snapshot));
        }
        for peer in ["node-2", "node-3", "node-4"] {
            as_if_from(peer, &mut gossiper, &snapshot);
            println!("{encoding:?}: unchanged, after all of {peer} changed {:?}", timed(&mut gossiper, &snapshot));
        }
    }
}
