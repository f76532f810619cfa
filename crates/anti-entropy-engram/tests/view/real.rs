//! On real data.

use anti_entropy_engram::view::{Conflict, ConflictCounts};
use anti_entropy_engram::{MemorySpace, Pattern, SemanticPattern};

use crate::common::{all_real_patterns, version};
use crate::reference::assert_defined;
use crate::{Set, set, view_of};

/// All patterns that any node consolidated.
pub(crate) fn all() -> (MemorySpace, Set) {
    let space = MemorySpace::new("default");
    let patterns = all_real_patterns().into_values().map(|pattern| Pattern::new(&pattern, "node", &space).unwrap());
    let set = set(patterns);
    (space, set)
}

#[test]
fn the_conflicts_of_five_nodes_are_what_was_measured() {
    let (space, set) = all();
    let view = view_of(&space, &set);
    let expected =
        ConflictCounts { type1: 92, type2: 233, type3: 0, replicated: 0, type4: 117, merged: 22, unresolved: 11 };
    assert_eq!((set.len(), view.counts()), (169, expected));
    assert_defined(&view, &space, &set);
}

/// Of every build: with and without optimisation, on every platform. If it changes, replicas of two releases see two views.
#[test]
fn the_view_has_the_same_bits_in_every_build() {
    let (space, mut set) = all();
    let hash = |set: &Set| view_of(&space, set).hash().to_string();
    assert_eq!(hash(&set), "be172284344f25c5911b0411925a7e3286a0f57fbb2d2b4e497d5ccd56b853e8");
    // Two ids get versions of each other's pattern, to have conflicts of type 3.
    let [(first, a), (second, b)] =
        [0, 1].map(|nth| set.iter().nth(nth).map(|(id, all)| (id.clone(), all.clone())).unwrap());
    let as_other = |id: &str, value: &Pattern| {
        let other = SemanticPattern { id: id.to_owned(), ..SemanticPattern::from(value) };
        version(2, Pattern::new(&other, "node", &space).unwrap())
    };
    set.insert(first.clone(), vec![a[0].clone(), as_other(&first, &b[0].value)]);
    set.insert(second.clone(), vec![b[0].clone(), as_other(&second, &a[0].value)]);
    assert_eq!(hash(&set), "31473f94288f1761c66444360d0cf81db4e38d7db7f35087e59ea0651351de62");
    assert_eq!(hash(&Set::new()), "7b4a332e76a1380617b25240be41b7ed2264d016bb064294344903227723d466");
}

#[test]
fn the_conflicts_of_each_pattern_are_all_conflicts() {
    let (space, mut set) = all();
    let (first, versions) = set.iter().next().map(|(id, all)| (id.clone(), all.clone())).unwrap();
    let surer = SemanticPattern { schema_confidence: 1.0, ..SemanticPattern::from(&versions[0].value) };
    set.insert(first, vec![versions[0].clone(), version(2, Pattern::new(&surer, "other", &space).unwrap())]);
    let view = view_of(&space, &set);
    let names = |conflict: &Conflict| match conflict {
        Conflict::Siblings { id, .. } => vec![id.clone()],
        Conflict::SameCore { a, b, .. } | Conflict::Similar { a, b, .. } | Conflict::Contested { a, b, .. } => {
            vec![a.clone(), b.clone()]
        }
    };
    for id in set.keys() {
        let expected: Vec<Conflict> = view.conflicts().filter(|conflict| names(conflict).contains(id)).collect();
        let mut found: Vec<Conflict> = view.conflicts_of(id).collect();
        assert!(found.windows(2).all(|pair| pair[0] != pair[1]));
        found.sort_by_key(|conflict| expected.iter().position(|other| other == conflict));
        assert_eq!(found, expected, "{id}");
    }
    assert_eq!(view.conflicts_of("nobody's").count(), 0);
}
