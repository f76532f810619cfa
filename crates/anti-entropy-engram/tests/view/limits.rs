//! Limits, and what patterns should not be but may.

use anti_entropy::clock::{Now, Seed};
use anti_entropy::{Entry, KeepAll, KeyHash, MemoryStore, Replica};
use anti_entropy_engram::view::{FollowError, SemanticView, ViewConfig, ViewError, ViewItem};
use anti_entropy_engram::{MemorySpace, Pattern, Thresholds};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::common::{pattern, semantic, space, thresholds};
use crate::reference::assert_defined;
use crate::{Set, assert_same, changed, set, view_of};

fn made(id: &str, embedding: &[f32], episodes: &[&str]) -> Pattern {
    pattern("n", &semantic(id, embedding, episodes, 0.5))
}

/// Three patterns that are all alike.
fn alike() -> Set {
    set(["a", "b", "c"].map(|id| made(id, &[1.0, 0.0], &[])))
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let field = |space, config| SemanticView::new(space, config).unwrap_err().field;
    let far = space(2).with(|space| space.thresholds.link_cosine = 2.0);
    assert_eq!(field(far, ViewConfig::default()), "space.thresholds.link_cosine");
    assert_eq!(field(MemorySpace::new(""), ViewConfig::default()), "space.id");
    assert_eq!(field(space(2), with_room_for(0)), "max_pairs");
}

fn with_room_for(max_pairs: usize) -> ViewConfig {
    ViewConfig::default().with(|config| config.max_pairs = max_pairs)
}

#[test]
fn with_too_many_pairs_it_is_emptied_and_starts_over() {
    let (all, id) = (alike(), "c".to_owned());
    let mut view = SemanticView::new(space(2), with_room_for(2)).unwrap();
    view.apply(changed(all.iter().take(2).map(|(id, siblings)| (id, Some(siblings))))).unwrap();
    let error = view.apply(changed([(&id, all.get(&id))])).unwrap_err();
    assert_eq!(error, ViewError::TooManyPairs { limit: 2 });
    assert!(error.to_string().contains("raise max_pairs"), "{error}");
    assert_same(&view, &view_of(&space(2), &Set::new()));
    assert!(view.until().is_empty());

    // With one pair less it goes on from the beginning.
    let mut view = SemanticView::new(space(2), with_room_for(3)).unwrap();
    view.apply(changed(all.iter().map(|(id, siblings)| (id, Some(siblings))))).unwrap();
    assert_same(&view, &view_of(&space(2), &all));
}

#[test]
fn changes_since_another_moment_are_refused() {
    let mut replica = Replica::open(MemoryStore::new(), KeepAll, Seed::from_bytes([7; 32])).unwrap();
    replica.write(made("a", &[1.0, 0.0], &[]), Now::default()).unwrap();
    let mut view = SemanticView::new(space(2), ViewConfig::default()).unwrap();
    let early = replica.changed_since(view.until()).unwrap();
    replica.delete(&"a".to_owned(), Now::default()).unwrap();
    replica.write(made("b", &[1.0, 0.0], &[]), Now::default()).unwrap();
    view.follow(&mut replica).unwrap();
    // What is gone since would stay for good.
    assert_eq!(view.apply(early), Err(ViewError::OtherMoment));
    assert_eq!(view.items().map(ViewItem::patterns).collect::<Vec<_>>(), [["b"]]);
    assert!(!view.follow(&mut replica).unwrap());
}

#[test]
fn following_starts_over_once_there_are_fewer_pairs() {
    let mut replica = Replica::open(MemoryStore::new(), KeepAll, Seed::from_bytes([7; 32])).unwrap();
    let mut view = SemanticView::new(space(2), with_room_for(2)).unwrap();
    for siblings in alike().values() {
        replica.write(siblings[0].value.clone(), Now::default()).unwrap();
    }
    for _ in 0..2 {
        let error = view.follow(&mut replica).unwrap_err();
        assert!(matches!(error, FollowError::View(ViewError::TooManyPairs { limit: 2 })));
        assert!(view.is_empty() && view.until().is_empty());
    }
    replica.delete(&"a".to_owned(), Now::default()).unwrap();
    assert!(view.follow(&mut replica).unwrap());
    assert_eq!((view.len(), view.counts().type2), (2, 1));
}

#[test]
fn changes_that_no_replica_makes_do_no_harm() {
    let mut view = view_of(&space(2), &alike());
    let before = view.hash();
    // Gone before it was there, there without versions, and an id under the hashes of others.
    let mut nothing = changed([(&"d".to_owned(), None), (&"e".to_owned(), Some(&Vec::new()))]);
    let all = alike();
    let entry = |id: &str| Some(Entry { key: id.to_owned(), siblings: all[id].clone() });
    nothing.entries.insert(KeyHash::of("x"), entry("a"));
    nothing.entries.insert(KeyHash::of("y"), entry("a"));
    view.apply(nothing).unwrap();
    assert_eq!(view.hash(), before);
}

#[test]
fn other_dimensions_and_no_direction() {
    let largest = f32::MAX;
    let patterns = || {
        [
            made("a", &[0.0, 0.0], &["1"]),
            made("b", &[0.0, 0.0], &["1"]),
            made("c", &[1.0, 0.0, 0.0], &["1"]),
            made("d", &[1.0, 0.0, 0.0], &["2"]),
            made("e", &[0.0], &[]),
            made("f", &[f32::from_bits(1), 0.0], &[]),
            made("g", &[largest, largest], &[]),
            made("h", &[largest, 1.0], &[]),
        ]
    };
    let (zero, linked, merged) = ([0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]);
    let all = [zero, linked, merged].map(thresholds);
    for thresholds in [Thresholds::default()].into_iter().chain(all) {
        let space = space(2).with(|space| space.thresholds = thresholds);
        let set = set(patterns());
        assert_defined(&view_of(&space, &set), &space, &set);
    }
}

proptest! {
    /// Components from the smallest to the greatest, side by side.
    #[test]
    fn any_numbers_are_as_defined(
        embeddings in vec((vec(any_component(), 1..12), vec(any::<bool>(), 3)), 1..10),
    ) {
        let ids = (b'a'..).map(|letter| char::from(letter).to_string());
        let set = set(ids.zip(&embeddings).map(|(id, (embedding, held))| {
            let episodes = ["1", "2", "3"].into_iter().zip(held).filter(|(_, held)| **held);
            made(&id, embedding, &episodes.map(|(episode, _)| episode).collect::<Vec<_>>())
        }));
        // A view takes in other dimensions than its space's too.
        let space = space(1);
        assert_defined(&view_of(&space, &set), &space, &set);
    }
}

fn any_component() -> impl Strategy<Value = f32> {
    use proptest::num::f32::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    let extremes = vec![f32::MAX, f32::MIN, f32::MIN_POSITIVE, f32::from_bits(1), 1.0, -0.0];
    prop_oneof![POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO, proptest::sample::select(extremes)]
}

/// Vectors at angles whose cosines are within some rounding errors of `f32` of the threshold.
fn near_threshold(dimension: usize) -> impl Strategy<Value = Vec<Vec<f32>>> {
    let numbers = vec(-1.0..1.0f64, dimension);
    let offsets = vec(-20..20i32, 12);
    (numbers.clone(), numbers, offsets).prop_map(|(first, second, offsets)| {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let unit = |a: Vec<f64>| {
            let length = dot(&a, &a).sqrt().max(1e-9);
            a.into_iter().map(|a| a / length).collect::<Vec<f64>>()
        };
        let first = unit(first);
        let along = dot(&first, &second);
        let across = unit(second.iter().zip(&first).map(|(b, a)| b - along * a).collect());
        let at = |cosine: f64| {
            let sine = (1.0 - cosine * cosine).sqrt();
            first.iter().zip(&across).map(|(a, b)| (cosine * a + sine * b) as f32).collect()
        };
        let near = offsets.into_iter().map(|offset| at(0.85 + f64::from(offset) * 1e-8));
        [at(1.0)].into_iter().chain(near).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn the_fast_search_misses_nothing_at_the_threshold(
        embeddings in select_dimension().prop_flat_map(near_threshold),
    ) {
        let space = space(embeddings[0].len());
        let ids = (b'a'..).map(|letter| char::from(letter).to_string());
        let set = set(ids.zip(&embeddings).map(|(id, embedding)| made(&id, embedding, &[])));
        assert_defined(&view_of(&space, &set), &space, &set);
    }
}

fn select_dimension() -> impl Strategy<Value = usize> {
    proptest::sample::select(vec![2, 7, 8, 9, 100, 768])
}
