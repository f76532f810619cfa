//! What a cluster says must not come back to it as what a node has seen.

use std::collections::BTreeMap;

use anti_entropy::GossipConfig;
use anti_entropy_engram::view::{RecallFeed, SemanticView, ViewConfig, ViewItem};
use anti_entropy_engram::{PatternProblem, SemanticPattern, is_from_view};
use chrono::DateTime;

use crate::cluster::{Cluster, snapshot, space};

const ROUNDS: usize = 100;

/// What a node remembers: the vector of each memory by its id.
type Memories = BTreeMap<String, [f32; 4]>;

/// In the shape of engram's: memories that resemble each other make a pattern, which is called after them. Its store yields
/// each of them twice.
fn consolidate(memories: &Memories) -> Vec<SemanticPattern> {
    let mut left: Vec<(&String, &[f32; 4])> = memories.iter().flat_map(|memory| [memory, memory]).collect();
    let mut patterns = Vec::new();
    while let Some((_, first)) = left.first().copied() {
        let (cluster, others): (Vec<_>, _) = left.iter().partition(|(_, other)| cosine(first, other) > 0.8);
        left = others;
        let mean = |i: usize| cluster.iter().map(|(_, vector)| vector[i]).sum::<f32>() / cluster.len() as f32;
        let embedding = [0, 1, 2, 3].map(mean);
        let coherence =
            cluster.iter().map(|(_, vector)| cosine(vector, &embedding)).sum::<f32>() / cluster.len() as f32;
        let source_episodes: Vec<String> = cluster.iter().map(|(id, _)| (*id).clone()).collect();
        patterns.push(SemanticPattern {
            id: format!("pattern_{}", source_episodes.join("+")),
            embedding: embedding.to_vec(),
            source_episodes,
            strength: coherence,
            schema_confidence: coherence.clamp(0.0, 1.0),
            last_consolidated: DateTime::UNIX_EPOCH,
        });
    }
    patterns
}

fn cosine(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let dot = |a: &[f32; 4], b: &[f32; 4]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Two nodes, whose episodes have much the same meanings, so that each pattern of one resembles one of the other.
fn memories(node: usize) -> Memories {
    let vectors = [[1.0, 0.1, 0.0, 0.0], [1.0, 0.2, 0.1, 0.0], [0.0, 0.1, 1.0, 0.2], [0.1, 0.0, 1.0, 0.3]];
    (0..4).map(|i| (format!("episode_{node}_{i}"), vectors[i].map(|part| part + 0.05 * node as f32))).collect()
}

struct Nodes {
    cluster: Cluster,
    views: Vec<SemanticView>,
    feeds: Vec<RecallFeed>,
}

impl Nodes {
    fn new() -> Self {
        let view = || SemanticView::new(space(), ViewConfig::default()).unwrap();
        let cluster = Cluster::new(2, GossipConfig::lan());
        Self { cluster, views: vec![view(), view()], feeds: vec![RecallFeed::default(); 2] }
    }

    /// Takes in what the nodes consolidated, and has the views follow. Returns the mean confidence, which both agree on.
    fn round(&mut self, said: [Vec<SemanticPattern>; 2]) -> (f32, Vec<PatternProblem>) {
        let mut problems = Vec::new();
        for (node, patterns) in said.into_iter().enumerate() {
            let rebuilt = self.cluster.rebuild(node, &snapshot(patterns));
            problems.extend(rebuilt.refused.into_iter().map(|refused| refused.problem));
        }
        self.cluster.converge();
        for (view, node) in self.views.iter_mut().zip(&mut self.cluster.nodes) {
            view.follow(node.engine_mut().replica_mut()).unwrap();
        }
        assert_eq!(self.views[0].hash(), self.views[1].hash());
        let view = &self.views[0];
        (view.items().map(ViewItem::confidence).sum::<f32>() / view.len() as f32, problems)
    }
}

fn own() -> [Vec<SemanticPattern>; 2] {
    [0, 1].map(|node| consolidate(&memories(node)))
}

#[test]
fn a_view_that_comes_back_as_a_snapshot_changes_nothing() {
    let mut nodes = Nodes::new();
    let (first, _) = nodes.round(own());
    assert!(first < 0.9, "conflicts lower it: {first}");
    let hash = nodes.views[0].hash();
    for round in 0..ROUNDS {
        let items: Vec<SemanticPattern> = nodes.views[0].items().map(SemanticPattern::from).collect();
        let with_items = own().map(|own| own.into_iter().chain(items.clone()).collect());
        let (confidence, problems) = nodes.round(with_items);
        assert_eq!((confidence, nodes.views[0].hash()), (first, hash), "round {round}");
        // They are told once, and count each time.
        let expected = if round == 0 { 2 * items.len() } else { 0 };
        assert!(problems.iter().all(|problem| matches!(problem, PatternProblem::FromView { .. })));
        assert_eq!(problems.len(), expected, "round {round}");
        let now = nodes.cluster.now;
        assert_eq!(nodes.cluster.nodes[0].status(now).refused_patterns, items.len());
    }
}

/// What the test above would not see if it could not fail: without the mark the same loop wears confidences down.
#[test]
fn without_the_mark_confidence_would_fall() {
    let mut nodes = Nodes::new();
    let (first, _) = nodes.round(own());
    let mut last = first;
    for _ in 0..5 {
        let unmarked = |item| {
            let pattern = SemanticPattern::from(item);
            SemanticPattern { id: pattern.id.replace("cluster-view:", ""), ..pattern }
        };
        let items: Vec<SemanticPattern> = nodes.views[0].items().map(unmarked).collect();
        (last, _) = nodes.round([items.clone(), items]);
    }
    assert!(last < 0.7 * first, "{first} {last}");
}

/// The long way round: recall's store keeps the items as memories, under their ids, and hands them to the next consolidation
/// as episodes.
#[test]
fn items_that_are_stored_as_memories_and_consolidated_change_nothing() {
    let mut nodes = Nodes::new();
    let (first, _) = nodes.round(own());
    let hash = nodes.views[0].hash();
    let mut stored = [memories(0), memories(1)];
    let mut refused = 0;
    for round in 0..ROUNDS {
        for (node, memories) in stored.iter_mut().enumerate() {
            // What is local is still there, and consolidation of everything follows.
            for item in nodes.feeds[node].changes(&nodes.views[node]).new {
                let pattern = SemanticPattern::from(item);
                memories.insert(pattern.id, pattern.embedding.try_into().unwrap());
            }
            assert!(memories.keys().any(|id| is_from_view(id)));
        }
        let (confidence, problems) = nodes.round(stored.each_ref().map(consolidate));
        assert_eq!((confidence, nodes.views[0].hash()), (first, hash), "round {round}");
        refused += problems.len();
    }
    assert_eq!(refused, 4, "each mixed pattern is told once");
    assert_eq!(stored[0].len(), 4 + nodes.views[0].len(), "and nothing is stored twice");
}
