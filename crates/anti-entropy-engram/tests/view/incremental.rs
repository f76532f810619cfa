//! A view that followed many changes is the view that is built from nothing, and both are what the definition says.

use std::collections::BTreeSet;

use anti_entropy_engram::view::{SemanticView, ViewConfig};
use anti_entropy_engram::{Encoding, MemorySpace, Pattern, Resolution, SemanticPattern, Thresholds};
use chrono::DateTime;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::common::{encoded_space, thresholds as of, version};
use crate::reference::assert_defined;
use crate::{Set, assert_same, changed, real, view_of};

/// Embeddings whose cosines are at, near and far from the thresholds: 0.8 is (1, 0) by (0.8, 0.6), for example. Of three
/// dimensions besides, and without a direction.
const EMBEDDINGS: [&[f32]; 16] = [
    &[1.0, 0.0],
    &[2.0, 0.0],
    &[0.8, 0.6],
    &[0.6, 0.8],
    &[0.85, 0.526_783],
    &[0.850_000_1, 0.526_783],
    &[0.849_999_9, 0.526_783],
    &[0.96, 0.28],
    &[0.0, 1.0],
    &[-1.0, 0.1],
    &[0.0, 0.0],
    &[1.0, 0.0, 0.0],
    &[0.8, 0.6, 0.0],
    &[0.9, 0.3, 0.3],
    &[0.0, 0.0, 0.0],
    &[1e-30, 1e-30],
];

/// One of a few patterns.
fn pattern(id: String) -> impl Strategy<Value = Pattern> {
    let episodes = vec(any::<bool>(), 5);
    let encodings = select(vec![Encoding::F32, Encoding::F32, Encoding::F32, Encoding::F16, Encoding::I8]);
    let confidences = select(vec![0.0, 0.25, 0.5, 0.7, 1.0]);
    let metadata = (confidences, select(vec![0.25, 0.5]), 0..3i64, encodings);
    (select(EMBEDDINGS.to_vec()), episodes, metadata).prop_map(move |(embedding, held, metadata)| {
        let (schema_confidence, strength, seconds, encoding) = metadata;
        let episodes = ["a", "b", "c", "d", "e"].into_iter().zip(held).filter(|(_, held)| *held);
        let pattern = SemanticPattern {
            id: id.clone(),
            embedding: embedding.to_vec(),
            source_episodes: episodes.map(|(episode, _)| episode.to_owned()).collect(),
            strength,
            schema_confidence,
            last_consolidated: DateTime::from_timestamp(seconds, 0).unwrap(),
        };
        Pattern::new(&pattern, "node", &encoded_space(embedding.len(), encoding)).unwrap()
    })
}

#[derive(Clone, Debug)]
enum Step {
    Put(Pattern),
    /// Another version of the id, by a writer.
    Add(u128, Pattern),
    Delete(String),
}

fn step(ids: usize) -> impl Strategy<Value = Step> {
    let id = (0..ids).prop_map(|id| format!("id-{id}"));
    id.prop_flat_map(|id| {
        prop_oneof![
            4 => pattern(id.clone()).prop_map(Step::Put),
            1 => (2..4u128, pattern(id.clone())).prop_map(|(writer, pattern)| Step::Add(writer, pattern)),
            2 => Just(Step::Delete(id)),
        ]
    })
}

/// Takes a step, and gives the id that it changes.
fn take(set: &mut Set, step: Step) -> String {
    match step {
        Step::Put(pattern) => {
            let id = pattern.id().to_owned();
            set.insert(id.clone(), vec![version(1, pattern)]);
            id
        }
        Step::Add(writer, pattern) => {
            let id = pattern.id().to_owned();
            let siblings = set.entry(id.clone()).or_default();
            siblings.retain(|sibling| sibling.dot != version(writer, pattern.clone()).dot);
            siblings.push(version(writer, pattern));
            siblings.sort_by_key(|sibling| sibling.dot);
            id
        }
        Step::Delete(id) => {
            set.remove(&id);
            id
        }
    }
}

fn thresholds() -> impl Strategy<Value = Thresholds> {
    let of = |merge_overlap, merge_cosine, link_cosine| of([merge_overlap, merge_cosine, link_cosine]);
    let any = (0.0..=1.0, 0.0..=1.0, 0.0..=1.0).prop_map(move |(a, b, c)| of(a, b, c));
    prop_oneof![
        6 => Just(Thresholds::default()),
        1 => Just(of(0.0, 0.0, 0.0)),
        1 => Just(of(0.0, 0.8, 0.85)),
        1 => Just(of(0.5, 0.0, 0.0)),
        1 => Just(of(1.0, 1.0, 1.0)),
        1 => Just(of(0.2, 0.85, 0.8)),
        1 => Just(of(0.25, 0.6, 0.0001)),
        2 => any,
    ]
}

fn settings() -> impl Strategy<Value = MemorySpace> {
    let resolutions = select(vec![Resolution::ConfidenceVoting, Resolution::LastConsolidated, Resolution::KeepAll]);
    (thresholds(), resolutions).prop_map(|(thresholds, resolution)| {
        MemorySpace::new("test").with(|space| (space.thresholds, space.resolution) = (thresholds, resolution))
    })
}

/// Follows batches of steps, and compares after each.
fn follow(space: &MemorySpace, batches: Vec<Vec<Step>>) {
    let mut set = Set::new();
    let mut view = SemanticView::new(space.clone(), ViewConfig::default()).unwrap();
    for steps in batches {
        let ids: BTreeSet<String> = steps.into_iter().map(|step| take(&mut set, step)).collect();
        view.apply(changed(ids.iter().map(|id| (id, set.get(id))))).unwrap();
        assert_same(&view, &view_of(space, &set));
        assert_defined(&view, space, &set);
    }
}

proptest! {
    #[test]
    fn after_any_changes_it_is_the_view_built_from_nothing(
        space in settings(),
        batches in vec(vec(step(12), 0..8), 1..8),
    ) {
        follow(&space, batches);
    }

    #[test]
    fn many_resemble_each_other(
        batches in vec(vec(step(24), 8..24), 1..3),
    ) {
        follow(&MemorySpace::new("test"), batches);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn real_patterns_come_and_go_in_any_order(
        batches in vec(vec((0..169usize, any::<bool>()), 1..60), 1..6),
    ) {
        let (space, all) = real::all();
        let ids: Vec<&String> = all.keys().collect();
        let mut held = Set::new();
        let mut view = SemanticView::new(space.clone(), ViewConfig::default()).unwrap();
        for batch in batches {
            for (id, stays) in &batch {
                let id = ids[*id];
                if *stays {
                    held.insert(id.clone(), all[id].clone());
                } else {
                    held.remove(id);
                }
            }
            let touched: BTreeSet<&String> = batch.iter().map(|(id, _)| ids[*id]).collect();
            view.apply(changed(touched.into_iter().map(|id| (id, held.get(id))))).unwrap();
        }
        assert_same(&view, &view_of(&space, &held));
    }
}

#[test]
fn one_at_a_time_backwards_is_all_at_once() {
    let (space, all) = real::all();
    let mut view = SemanticView::new(space.clone(), ViewConfig::default()).unwrap();
    for (id, siblings) in all.iter().rev() {
        view.apply(changed([(id, Some(siblings))])).unwrap();
    }
    assert_same(&view, &view_of(&space, &all));
    for id in all.keys() {
        view.apply(changed([(id, None)])).unwrap();
    }
    assert_same(&view, &view_of(&space, &Set::new()));
}
