//! What engram's pipeline hands over, and what becomes of it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use anti_entropy::clock::Seed;
use anti_entropy::engine::{Pool, PoolConfig};
use anti_entropy::{Clock, GossipConfig, MemoryNetwork, MemoryStore as Records, PeerId, SystemClock};
use anti_entropy_engram::gossiper::{ConsolidationGossiper, ConsolidationStatus, GossiperConfig};
use anti_entropy_engram::{InputPolicy, MemorySpace, Pattern, PatternField};
use chrono::{DateTime, Duration, Utc};
use engram_core::cluster::consolidated::service::ReplicatedConsolidation;
use engram_core::cluster::consolidated::space::ConsolidatedSpace;
use engram_core::completion::{ConsolidationEngine, ConsolidationSnapshot, SchedulerConfig};
use engram_core::consolidation::InMemoryConsolidationService;
use engram_core::{Confidence, Episode, MemoryStore};

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
        let now = start() + Duration::minutes(5 * i64::try_from(run).unwrap());
        store.run_scheduler(&mut engine, &SchedulerConfig::default(), now);
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

fn gossiper(input: InputPolicy) -> ConsolidationGossiper {
    let (space, seed, now) = (MemorySpace::new("default"), Seed::from_bytes([1; 32]), SystemClock::new().now());
    let config = GossiperConfig::from(GossipConfig::lan()).with(|config| config.input = input);
    ConsolidationGossiper::open(space, "alice", Records::new(), seed, config, now).unwrap()
}

#[test]
fn nothing_is_refused() {
    let snapshot = consolidated(&store(), 10);
    let mut gossiper = gossiper(InputPolicy::Normalise);
    let rebuilt = gossiper.rebuild_from_snapshot(&snapshot, SystemClock::new().now()).unwrap();
    let all = snapshot.patterns.len();
    assert_eq!((rebuilt.refused, rebuilt.written, rebuilt.normalised), (Vec::new(), all, all));
}

/// So it was everywhere before episodes were put in order here.
#[test]
fn strictly_each_pattern_is_refused_for_its_episodes_and_told_once() {
    let snapshot = consolidated(&store(), 10);
    let mut gossiper = gossiper(InputPolicy::Strict);
    let all = snapshot.patterns.len();
    for told in [all, 0, 0] {
        let rebuilt = gossiper.rebuild_from_snapshot(&snapshot, SystemClock::new().now()).unwrap();
        assert_eq!((rebuilt.refused.len(), rebuilt.written), (told, 0));
        assert!(rebuilt.refused.iter().all(|refused| refused.field == PatternField::SourceEpisodes));
        assert_eq!(gossiper.status(SystemClock::new().now()).refused_patterns, all);
    }
}

/// Five nodes, each with the episodes that it saw, their schedulers, a partition: in the end everything is everywhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_nodes_hold_everything_after_a_partition() {
    let network = MemoryNetwork::new(1);
    let pool = Pool::new(PoolConfig::default()).unwrap();
    let names: Vec<PeerId> = (1..=5).map(|node| PeerId::from(format!("node{node}").as_str())).collect();
    let mut nodes = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let seed = Seed::from_bytes([u8::try_from(index).unwrap() + 1; 32]);
        let space = MemorySpace::new("default");
        let transport = network.join(name.clone());
        let settings = (space, name.as_str(), GossipConfig::lan().into());
        let replica = ConsolidatedSpace::start(&pool, settings, (Records::new(), seed.into()), transport).unwrap();
        let inner = Arc::new(InMemoryConsolidationService::default());
        let service = ReplicatedConsolidation::new(inner, replica.reporter.clone());
        let store = MemoryStore::new(1_000).with_consolidation_service(Arc::new(service));
        for (topic, number) in (index..index + 4).flat_map(|topic| (0..5).map(move |number| (topic, number))) {
            if number != index {
                store.store(episode(topic, number));
            }
        }
        nodes.push((replica, store));
    }
    network.partition(&[&names[..2], &names[2..]]);
    for (replica, _) in &nodes {
        let peers = names.clone();
        replica
            .gossiper
            .with(move |gossiper, now| {
                for peer in peers.into_iter().filter(|peer| peer != gossiper.node()).collect::<Vec<_>>() {
                    gossiper.engine_mut().add_peer(peer.clone(), None);
                    gossiper.engine_mut().sync_now(&peer, now);
                }
            })
            .await
            .unwrap();
    }

    let mut said = BTreeSet::new();
    for (name, (replica, store)) in names.iter().zip(&nodes) {
        let snapshot = consolidated(store, 8);
        assert!(snapshot.patterns.len() >= 3, "{}", snapshot.patterns.len());
        said.extend(snapshot.patterns.iter().map(|pattern| (name.to_string(), pattern.id.clone())));
        // The service has returned; the snapshot is written a moment later.
        while status(replica).await.snapshot_generated_at != Some(snapshot.generated_at) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert_eq!(status(replica).await.refused_patterns, 0);
    }
    network.heal();
    for (replica, _) in &nodes {
        let peers = names.clone();
        let sync = move |gossiper: &mut ConsolidationGossiper, now| {
            for peer in peers.iter().filter(|peer| *peer != gossiper.node()).cloned().collect::<Vec<_>>() {
                gossiper.engine_mut().sync_now(&peer, now);
            }
        };
        replica.gossiper.with(sync).await.unwrap();
    }
    let deadline = std::time::Duration::from_secs(120);
    tokio::time::timeout(deadline, async {
        for (replica, _) in &nodes {
            while held(replica).await != said {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
    })
    .await
    .unwrap();
    let mut roots = BTreeSet::new();
    for (replica, _) in &nodes {
        roots.insert(status(replica).await.root);
        replica.shut_down().await.unwrap();
    }
    assert_eq!(roots.len(), 1);
}

async fn status(replica: &ConsolidatedSpace) -> ConsolidationStatus {
    replica.gossiper.with(ConsolidationGossiper::status).await.unwrap()
}

/// Node and id of each version.
async fn held(replica: &ConsolidatedSpace) -> BTreeSet<(String, String)> {
    let read = |gossiper: &mut ConsolidationGossiper, _| {
        let mut held = BTreeSet::new();
        let each = |id: &String, read: anti_entropy::Read<Pattern>| {
            held.extend(read.siblings().iter().map(|version| (version.value.origin().to_owned(), id.clone())));
            ControlFlow::Continue(())
        };
        gossiper.engine().replica().for_each(each).unwrap();
        held
    };
    replica.gossiper.with(read).await.unwrap()
}
