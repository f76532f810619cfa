//! An example of each type of conflict, with confidences worked out by hand.

use anti_entropy::clock::{Now, Seed};
use anti_entropy::{KeepAll, MemoryStore, Replica};
use anti_entropy_engram::view::{Conflict, SemanticView, ViewConfig, ViewItem};
use anti_entropy_engram::{Encoding, Pattern, Resolution, SemanticPattern, vote};

use crate::common::{pattern, semantic, space, version};
use crate::{Set, changed, set, view_of};

/// A pattern of node "n".
fn made(id: &str, embedding: &[f32], episodes: &[&str], confidence: f32) -> Pattern {
    pattern("n", &semantic(id, embedding, episodes, confidence))
}

fn names(view: &SemanticView) -> Vec<Vec<&str>> {
    view.items().map(|item| item.patterns().iter().map(String::as_str).collect()).collect()
}

fn episodes(item: &ViewItem) -> Vec<&str> {
    item.episodes().iter().collect()
}

#[test]
fn type_1_is_merged_and_the_surest_decides() {
    let mut second = semantic("b", &[0.0, 1.0, 1.0], &["2", "3"], 0.75);
    second.strength = 0.9;
    second.last_consolidated += chrono::TimeDelta::seconds(5);
    let time = second.last_consolidated;
    let set = set([made("a", &[1.0, 1.0, 1.0], &["1", "2", "3"], 0.25), pattern("n", &second)]);
    // Two of three episodes; the cosine is 2 / sqrt(3 * 2) = 0.816.
    let view = view_of(&space(3), &set);
    assert_eq!(names(&view), [["a", "b"]]);
    let item = view.item_of("b").unwrap();
    assert_eq!(view.item_of("a"), Some(item));
    assert_eq!(view.item_of("c"), None);
    assert_eq!(episodes(item), ["1", "2", "3"]);
    assert_eq!(item.embedding().to_vec(), [0.25, 1.0, 1.0]);
    assert_eq!(item.embedding().encoding(), Encoding::F32);
    assert_eq!((item.strength(), item.last_consolidated()), (0.9, time));
    assert_eq!((item.confidence(), item.base_confidence()), (0.75, 0.75));
    let engram = SemanticPattern::from(item);
    assert_eq!(
        (engram.id.as_str(), engram.embedding, engram.schema_confidence),
        ("cluster-view:a", vec![0.25, 1.0, 1.0], 0.75)
    );
    let [Conflict::SameCore { a, b, overlap, cosine, resolved: true }] = &view.conflicts().collect::<Vec<_>>()[..]
    else {
        panic!("one conflict of type 1: {:?}", view.conflicts().collect::<Vec<_>>());
    };
    assert_eq!((a.as_str(), b.as_str(), *overlap, *cosine), ("a", "b", 2.0 / 3.0, 2.0 / 6f64.sqrt()));
    assert_eq!((view.counts().merged, view.counts().unresolved), (1, 0));
}

#[test]
fn who_decides_a_merger_when_all_are_equally_sure() {
    // Stronger but older; as strong and later; as strong and as late, so that the smaller id decides.
    for (strength, seconds, decided_by_second) in [(0.75, -1, true), (0.5, 1, true), (0.5, 0, false)] {
        let first = semantic("a", &[1.0, 0.0], &["1"], 0.0);
        let mut second = SemanticPattern { strength, ..semantic("b", &[1.0, 0.5], &["1"], 0.0) };
        second.last_consolidated += chrono::TimeDelta::seconds(seconds);
        let view = view_of(&space(2), &set([pattern("n", &first), pattern("n", &second)]));
        let item = view.items().next().unwrap();
        let decider = if decided_by_second { &second } else { &first };
        assert_eq!((item.strength(), item.last_consolidated()), (decider.strength, decider.last_consolidated));
        // Nobody is sure of anything: all count equally.
        assert_eq!((item.embedding().to_vec(), item.confidence()), (vec![1.0, 0.25], 0.0));
    }
}

#[test]
fn type_2_lowers_both_by_how_close_they_are() {
    let patterns = [
        made("a", &[1.0, 0.0], &["1"], 0.75),
        // As close as can be: each is right about half. The third is at cosine 0.96 of both: (0.96 - 0.85) / 0.15 = 0.733.
        made("b", &[2.0, 0.0], &["2"], 0.5),
        made("c", &[0.96, 0.28], &["3"], 1.0),
    ];
    let view = view_of(&space(2), &set(patterns));
    assert_eq!(names(&view), [["a"], ["b"], ["c"]]);
    assert!(view.conflicts().all(|conflict| matches!(conflict, Conflict::Similar { overlap: 0.0, .. })));
    assert_eq!(view.counts().type2, 3);
    let confidence = |id| f64::from(view.item_of(id).unwrap().confidence());
    let close = (0.96 - 0.85) / 0.15;
    assert!((confidence("a") - 0.75 / 2.0).abs() < 1e-6, "the closest one counts");
    assert!((confidence("b") - 0.5 / 2.0).abs() < 1e-6);
    assert!((confidence("c") - (1.0 - close / 2.0)).abs() < 1e-6);
    assert_eq!(view.item_of("a").unwrap().base_confidence(), 0.75);
}

#[test]
fn a_merged_item_is_similar_by_its_closest_pattern() {
    let patterns = [
        made("a", &[1.0, 0.0], &["1"], 1.0),
        made("b", &[0.96, 0.28], &["1"], 1.0),
        made("c", &[1.0, 0.0], &["2"], 1.0),
    ];
    let view = view_of(&space(2), &set(patterns));
    assert_eq!(names(&view), [vec!["a", "b"], vec!["c"]]);
    // Closeness 1 (by a), not 1 + 0.733 (b's too).
    assert_eq!((view.items().next().unwrap().confidence(), view.item_of("c").unwrap().confidence()), (0.5, 0.5));
}

#[test]
fn type_3_reports_the_votes_agreement_whatever_the_resolution() {
    let versions =
        || vec![version(1, made("a", &[1.0, 0.0], &["1"], 0.5)), version(2, made("a", &[0.0, 1.0], &["2"], 1.0))];
    let set = Set::from([("a".to_owned(), versions())]);
    let voted = vote(&versions()).unwrap();
    for resolution in [Resolution::ConfidenceVoting, Resolution::KeepAll, Resolution::LastConsolidated] {
        let view = view_of(&space(2).with(|space| space.resolution = resolution), &set);
        let expected = Conflict::Siblings { id: "a".to_owned(), siblings: 2, agreement: voted.agreement };
        assert_eq!(view.conflicts().collect::<Vec<_>>(), [expected]);
        let item = view.item_of("a").unwrap();
        let (episodes, confidence) = match resolution {
            // Both were consolidated at the same time, and the second has the greater dot.
            Resolution::LastConsolidated => (vec!["2"], 1.0),
            _ => (vec!["1", "2"], voted.pattern.confidence()),
        };
        assert_eq!((self::episodes(item), item.confidence()), (episodes, confidence));
    }
}

#[test]
fn type_4_lowers_by_the_share_of_episodes_that_others_claim() {
    let patterns = [
        made("a", &[1.0, 0.0, 0.0], &["1", "2", "3", "4"], 1.0),
        made("b", &[0.0, 1.0, 0.0], &["1", "2"], 0.5),
        made("c", &[0.0, 0.0, 1.0], &["1"], 0.25),
    ];
    let view = view_of(&space(3), &set(patterns));
    assert_eq!(names(&view), [["a"], ["b"], ["c"]]);
    let confidence = |id| f64::from(view.item_of(id).unwrap().confidence());
    // Others claim two of four, two of two, one of one.
    assert!((confidence("a") - 0.75).abs() < 1e-7);
    assert!((confidence("b") - 0.5 * 0.5).abs() < 1e-7);
    assert!((confidence("c") - 0.25 * 0.5).abs() < 1e-7);
    let contested = |a: &str, b: &str, shared, overlap| Conflict::Contested {
        a: a.to_owned(),
        b: b.to_owned(),
        shared,
        overlap,
        cosine: 0.0,
    };
    let expected = [contested("a", "b", 2, 0.5), contested("a", "c", 1, 0.25), contested("b", "c", 1, 0.5)];
    assert_eq!(view.conflicts().collect::<Vec<_>>(), expected);
}

#[test]
fn a_merged_rival_claims_an_episode_once_with_all_it_has() {
    let patterns = [
        made("a", &[1.0, 0.0], &["1", "2"], 1.0),
        // Merged; each of the two contests one episode, and together they claim both.
        made("b", &[0.0, 1.0], &["1", "3", "4"], 1.0),
        made("c", &[0.0, 1.0], &["1", "2", "3", "4"], 1.0),
    ];
    let view = view_of(&space(2), &set(patterns));
    assert_eq!(names(&view), [vec!["a"], vec!["b", "c"]]);
    assert_eq!(view.item_of("a").unwrap().confidence(), 0.5);
    // Of its four episodes, a claims two.
    assert_eq!(view.item_of("c").unwrap().confidence(), 0.75);
}

#[test]
fn the_first_rule_that_matches_decides() {
    let kinds = |a: (&[f32], &[&str]), b: (&[f32], &[&str])| {
        let view = view_of(&space(2), &set([made("a", a.0, a.1, 1.0), made("b", b.0, b.1, 1.0)]));
        view.conflicts().map(|conflict| conflict.kind()).collect::<Vec<_>>()
    };
    let (east, north_east, north): (&[f32], &[f32], &[f32]) = (&[1.0, 0.0], &[0.82, 0.572_364], &[0.0, 1.0]);
    assert_eq!(kinds((east, &["1"]), (east, &["1"])), [1], "of the same core, though they are similar and contest too");
    assert_eq!(kinds((east, &["1"]), (east, &["1", "2"])), [1], "half of the episodes is enough");
    assert_eq!(kinds((east, &["1"]), (east, &["1", "2", "3"])), [2], "similar, though they contest an episode");
    assert_eq!(kinds((east, &["1"]), (north_east, &["1", "2"])), [1], "0.82 is enough with common episodes");
    assert_eq!(kinds((east, &["1"]), (north_east, &["1", "2", "3"])), [4], "and not enough without");
    assert_eq!(kinds((east, &["1"]), (north, &["1"])), [4]);
    assert!(kinds((east, &["1"]), (north_east, &["2"])).is_empty());
    assert_eq!(kinds((east, &[]), (east, &[])), [2], "no episodes are no overlap");
}

/// Of the directions at 0, 37 and 73 degrees, neighbours are close enough and the outer two are not.
fn chain() -> Set {
    set([
        made("a", &[1.0, 0.0], &["1"], 1.0),
        made("b", &[0.8, 0.599], &["1"], 1.0),
        made("c", &[0.3, 0.954], &["1"], 1.0),
    ])
}

#[test]
fn three_of_which_two_are_not_alike_are_left_to_an_operator() {
    let view = view_of(&space(2), &chain());
    assert_eq!(view.unresolved().collect::<Vec<_>>(), [["a", "b", "c"]]);
    assert_eq!(names(&view), [["a"], ["b"], ["c"]]);
    let kinds: Vec<_> = view.conflicts().map(|conflict| conflict.kind()).collect();
    assert_eq!(kinds, [1, 4, 1]);
    assert!(!view.conflicts().any(|conflict| matches!(conflict, Conflict::SameCore { resolved: true, .. })));
    assert_eq!((view.counts().merged, view.counts().unresolved), (0, 1));
}

#[test]
fn components_split_and_join_again() {
    let all = chain();
    let mut view = view_of(&space(2), &all);
    let whole = view.hash();
    let put = |view: &mut SemanticView, id: &str, to: bool| {
        let id = id.to_owned();
        view.apply(changed([(&id, all.get(&id).filter(|_| to))])).unwrap();
    };
    put(&mut view, "b", false);
    assert_eq!((names(&view), view.unresolved().count()), (vec![vec!["a"], vec!["c"]], 0));
    put(&mut view, "b", true);
    assert_eq!((view.unresolved().count(), view.hash()), (1, whole));
    put(&mut view, "c", false);
    assert_eq!((names(&view), view.unresolved().count()), (vec![vec!["a", "b"]], 0));
    put(&mut view, "a", false);
    put(&mut view, "c", true);
    assert_eq!(names(&view), [["b", "c"]]);
    put(&mut view, "a", true);
    assert_eq!((view.unresolved().count(), view.hash()), (1, whole));
}

#[test]
fn it_follows_a_replica() {
    let space = space(2);
    let mut replica = Replica::open(MemoryStore::new(), KeepAll, Seed::from_bytes([7; 32])).unwrap();
    let mut view = SemanticView::new(space.clone(), ViewConfig::default()).unwrap();
    assert!(!view.follow(&mut replica).unwrap(), "there is nothing yet");
    let all = chain();
    for siblings in all.values() {
        replica.write(siblings[0].value.clone(), Now::default()).unwrap();
    }
    assert!(view.follow(&mut replica).unwrap());
    assert_eq!((view.until().root(), view.hash()), (replica.summary().root(), view_of(&space, &all).hash()));
    assert!(!view.follow(&mut replica).unwrap());
    replica.delete(&"b".to_owned(), Now::default()).unwrap();
    assert!(view.follow(&mut replica).unwrap());
    assert_eq!(names(&view), [["a"], ["c"]]);
}
