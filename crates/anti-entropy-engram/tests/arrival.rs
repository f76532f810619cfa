//! Real patterns of five nodes, in every order of arrival: the same reads and the same view, bit for bit.
#![allow(clippy::unwrap_used, reason = "what does not hold here ends the test")]

mod common;

use std::sync::LazyLock;

use anti_entropy::clock::{Now, Seed};
use anti_entropy::{MemoryStore, Missing, Replica, Replicated};
use anti_entropy_conformance::exchange;
use anti_entropy_engram::view::{SemanticView, ViewConfig};
use anti_entropy_engram::{MemorySpace, Pattern, SemanticPattern};
use common::{NODES, real_patterns};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

/// What each node has to say: a dozen of its own patterns, and of each other node's first three another opinion.
static SAID: LazyLock<Vec<Vec<Pattern>>> = LazyLock::new(|| {
    let all: Vec<Vec<SemanticPattern>> = (1..=NODES).map(|node| real_patterns(node, 2)).collect();
    let space = MemorySpace::new("default");
    let said = |node: usize| {
        let own = all[node].iter().take(12).cloned();
        let doubted = all.iter().flat_map(|patterns| patterns.iter().take(3)).cloned().map(move |mut pattern| {
            let doubt = [0.5, 0.6, 0.7, 0.8, 0.9][node];
            pattern.schema_confidence *= doubt;
            pattern.embedding.iter_mut().skip(node).step_by(NODES).for_each(|component| *component *= doubt);
            pattern
        });
        let mut patterns: Vec<SemanticPattern> = own.chain(doubted).collect();
        patterns.sort_by(|a, b| a.id.cmp(&b.id));
        patterns.dedup_by(|a, b| a.id == b.id);
        patterns.iter().map(|pattern| Pattern::new(pattern, &format!("node{node}"), &space).unwrap()).collect()
    };
    (0..NODES).map(said).collect()
});

/// A replica, and the view that has followed it.
struct Node {
    replica: Replica<Pattern>,
    view: SemanticView,
}

impl Node {
    fn new(node: usize) -> Self {
        let space = MemorySpace::new("default");
        let seed = Seed::from_bytes([u8::try_from(node).unwrap(); 32]);
        let mut replica = Replica::open(MemoryStore::new(), space.resolution, seed).unwrap();
        replica.adopt(SAID[node].iter().cloned(), Missing::Keep, Now::default()).unwrap();
        Self { replica, view: SemanticView::new(space, ViewConfig::default()).unwrap() }
    }

    /// Everything that is read here, and the view.
    fn fingerprint(&mut self) -> [String; 2] {
        let mut hash = Sha256::new();
        self.replica
            .for_each(|_, read| {
                let encoded = read.value().unwrap().encode();
                hash.update(&encoded.body);
                encoded.parts.iter().for_each(|part| hash.update(part.as_bytes()));
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
        self.view.follow(&mut self.replica).unwrap();
        let reads: [u8; 32] = hash.finalize().into();
        [format!("{:016x}", u64::from_be_bytes(*reads.first_chunk().unwrap())), self.view.hash().to_string()]
    }
}

/// One session, after which the one who opened it looks at its view.
fn meet(nodes: &mut [Node], a: usize, b: usize) {
    let [opener, answerer] = nodes.get_disjoint_mut([a, b]).unwrap();
    exchange(&mut opener.replica, &mut answerer.replica, Now::default()).unwrap();
    opener.view.follow(&mut opener.replica).unwrap();
}

/// Of debug and release builds alike, on every platform.
const READS: &str = "d02a4527c74ed4bf";
const VIEW: &str = "790e6f827f252954dd4f0e4a3ab992c67c91b0325d324ef1f9a8ad5bc9c7f6dd";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_order_of_arrival_gives_the_same_bits(meetings in prop::collection::vec((0..NODES, 1..NODES), 0..12)) {
        let mut nodes: Vec<Node> = (0..NODES).map(Node::new).collect();
        for (a, step) in meetings {
            meet(&mut nodes, a, (a + step) % NODES);
        }
        // Whatever is missing yet: everything to the first, and from there to all.
        for other in (1..NODES).chain(1..NODES) {
            meet(&mut nodes, other, 0);
        }
        for node in &mut nodes {
            let found = node.fingerprint();
            prop_assert_eq!(found, [READS, VIEW]);
        }
    }
}
