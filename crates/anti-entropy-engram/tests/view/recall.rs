//! What recall is told of a view.

use anti_entropy_engram::view::{RecallChanges, RecallFeed};

use crate::common::{pattern, semantic, space, version};
use crate::{Set, changed, set, view_of};

fn named(changes: &RecallChanges<'_>) -> [Vec<String>; 3] {
    let names = |items: &[&anti_entropy_engram::view::ViewItem]| items.iter().map(|item| item.recall_id()).collect();
    [names(&changes.new), names(&changes.changed), changes.gone.clone()]
}

fn lists(lists: [&[&str]; 3]) -> [Vec<String>; 3] {
    lists.map(|names| names.iter().map(|name| format!("cluster-view:{name}")).collect())
}

#[test]
fn what_is_new_changed_and_gone_is_told_once() {
    let made = |id: &str, embedding: &[f32], confidence| pattern("n", &semantic(id, embedding, &["e1"], confidence));
    let mut all: Set = set([made("a", &[1.0, 0.0], 0.5), made("b", &[0.0, 1.0], 0.5)]);
    let mut view = view_of(&space(2), &all);
    let mut feed = RecallFeed::default();
    assert_eq!(named(&feed.changes(&view)), lists([&["a", "b"], &[], &[]]));
    assert!(feed.changes(&view).is_empty());

    // "c" is merged with "b", so that only "b" changes; and "a" is surer.
    all.extend(set([made("a", &[1.0, 0.0], 0.6), made("c", &[0.0, 1.0], 0.7)]));
    let ids = ["a".to_owned(), "c".to_owned()];
    view.apply(changed(ids.iter().map(|id| (id, all.get(id))))).unwrap();
    assert_eq!(named(&feed.changes(&view)), lists([&[], &["a", "b"], &[]]));

    // Without "b", the item is "c" alone, under another name.
    let gone = "b".to_owned();
    view.apply(changed([(&gone, None)])).unwrap();
    assert_eq!(named(&feed.changes(&view)), lists([&["c"], &[], &["b"]]));

    // A later time alone is nothing that recall would see.
    let mut later = semantic("c", &[0.0, 1.0], &["e1"], 0.7);
    later.last_consolidated += chrono::TimeDelta::seconds(1);
    let (id, versions) = ("c".to_owned(), vec![version(1, pattern("n", &later))]);
    view.apply(changed([(&id, Some(&versions))])).unwrap();
    assert!(feed.changes(&view).is_empty());
}
