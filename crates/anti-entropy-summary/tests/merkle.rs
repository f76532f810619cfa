//! The Merkle tree against a plain ordered map, and its digests against values computed by another program.

use std::collections::{BTreeMap, HashMap};

use anti_entropy_summary::{Difference, Fingerprint, HashFunction, KeyHash, KeyRange, MerkleTree, Snapshot};
use blake2::Blake2s256;
use proptest::collection::vec;
use proptest::prelude::*;
use sha2::Sha256;

type Model = BTreeMap<KeyHash, Fingerprint>;

fn key(number: u128) -> KeyHash {
    KeyHash::from_u128(number)
}

fn fingerprint(number: u8) -> Fingerprint {
    Fingerprint::from_bytes([number; 32])
}

fn tree_of(model: &Model) -> MerkleTree {
    model.iter().map(|(key, fingerprint)| (*key, *fingerprint)).collect()
}

fn spread(number: u128) -> KeyHash {
    key(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

/// Keys of all shapes that matter: spread out, crowded at the bottom or the top, and combs; few enough to meet again.
fn any_key() -> impl Strategy<Value = KeyHash> {
    prop_oneof![
        4 => (0..400_u128).prop_map(spread),
        2 => (0..60_u128).prop_map(key),
        1 => (0..60_u128).prop_map(|number| key(u128::MAX - number)),
        1 => (0..128_u32).prop_map(|bit| key(1 << bit)),
        1 => (0..128_u32).prop_map(|bit| key(u128::MAX << bit)),
        1 => (0..40_u128).prop_map(|number| key(0xabcd << 112 | number << 13)),
    ]
}

fn any_range() -> impl Strategy<Value = KeyRange> {
    (any_key(), any_key(), any::<bool>())
        .prop_filter_map("empty", |(a, b, top)| KeyRange::new(a.min(b), (!top).then_some(a.max(b))))
}

/// Inserts where there is a fingerprint, removes where there is none.
fn any_changes(most: usize) -> impl Strategy<Value = Vec<(KeyHash, Option<Fingerprint>)>> {
    vec((any_key(), prop::option::weighted(0.6, (0..3_u8).prop_map(fingerprint))), 0..most)
}

fn any_model(most: usize) -> impl Strategy<Value = Model> {
    vec((any_key(), (0..3_u8).prop_map(fingerprint)), 0..most).prop_map(|entries| entries.into_iter().collect())
}

fn change(tree: &mut MerkleTree, model: &mut Model, (key, to): (KeyHash, Option<Fingerprint>)) {
    match to {
        Some(to) => assert_eq!(tree.insert(key, to), model.insert(key, to)),
        None => assert_eq!(tree.remove(key), model.remove(&key)),
    }
}

fn model_diff(ours: &Model, theirs: &Model, range: &KeyRange) -> Vec<Difference> {
    let mut keys: Vec<_> = ours.keys().chain(theirs.keys()).copied().collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter()
        .filter(|key| range.contains(*key) && ours.get(key) != theirs.get(key))
        .map(|key| Difference::at(key, ours.get(&key).copied(), theirs.get(&key).map(|theirs| (*theirs).into())))
        .collect()
}

fn in_range(model: &Model, range: &KeyRange) -> Model {
    model.range(range.bounds()).map(|(key, fingerprint)| (*key, *fingerprint)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// 150 times 0 to 1,400 operations: more than 10^5 in all.
    #[test]
    fn any_history_gives_the_tree_of_its_outcome(changes in any_changes(1400), every in 5..60_usize) {
        let (mut tree, mut model) = (MerkleTree::new(), Model::new());
        let mut kept: Vec<(Snapshot, Model)> = Vec::new();
        for (number, to) in changes.into_iter().enumerate() {
            change(&mut tree, &mut model, to);
            prop_assert_eq!(tree.len(), model.len() as u64);
            if number % every == 0 {
                let snapshot = tree.snapshot();
                prop_assert_eq!(snapshot.root(), tree_of(&model).root());
                if number % (10 * every) == 0 {
                    kept.push((snapshot, model.clone()));
                }
            }
        }
        prop_assert_eq!(tree.root(), tree_of(&model).root());
        prop_assert!(tree.snapshot().iter().eq(model));
        for (snapshot, model) in kept {
            prop_assert_eq!(snapshot.root(), tree_of(&model).root());
            prop_assert!(snapshot.iter().eq(model));
        }
    }

    #[test]
    fn a_batch_or_its_single_changes_have_one_root(before in any_model(400), changes in any_changes(100)) {
        let mut model = before.clone();
        let (mut batch, mut single) = (tree_of(&before), tree_of(&before).snapshot().to_tree());
        for to in changes {
            change(&mut batch, &mut model.clone(), to);
            change(&mut single, &mut model, to);
            single.root();
        }
        prop_assert_eq!(batch.root(), single.root());
    }

    #[test]
    fn extending_is_inserting(before in any_model(300), entries in vec((any_key(), (0..9_u8).prop_map(fingerprint)), 0..300)) {
        let mut model = before.clone();
        model.extend(entries.iter().copied());
        let mut tree = tree_of(&before);
        tree.extend(entries);
        prop_assert_eq!(tree.root(), tree_of(&model).root());
    }

    #[test]
    fn bulk_takes_any_order_and_the_last_of_a_key(entries in vec((any_key(), (0..9_u8).prop_map(fingerprint)), 0..600)) {
        let model: Model = entries.iter().copied().collect();
        let mut bulk: MerkleTree = MerkleTree::from_entries(entries);
        prop_assert_eq!(bulk.root(), tree_of(&model).root());
        prop_assert!(bulk.snapshot().iter().eq(model));
    }

    #[test]
    fn a_restricted_tree_is_the_tree_of_the_range(model in any_model(800), range in any_range()) {
        let snapshot = tree_of(&model).snapshot();
        let inside = in_range(&model, &range);
        let restricted = snapshot.restrict(&range);
        prop_assert_eq!(restricted.root(), tree_of(&inside).root());
        prop_assert_eq!(snapshot.range_digest(&range), restricted.root());
        prop_assert_eq!(snapshot.count(&range), inside.len() as u64);
        prop_assert!(snapshot.range(&range).eq(inside.clone()));
        prop_assert!(restricted.iter().eq(inside));
    }

    /// Also after a change: what is shared or made by restricting must be as good as what is built.
    #[test]
    fn a_restricted_tree_takes_changes(
        model in any_model(600), range in any_range(), changes in any_changes(60), other in any_range(),
    ) {
        let restricted = tree_of(&model).snapshot().restrict(&range);
        let mut inside = in_range(&model, &range);
        let mut tree = restricted.to_tree();
        for to in changes {
            change(&mut tree, &mut inside, to);
        }
        prop_assert_eq!(tree.root(), tree_of(&inside).root());
        prop_assert_eq!(tree.snapshot().range_digest(&other), tree_of(&in_range(&inside, &other)).root());
    }

    #[test]
    fn diff_is_the_difference_of_any_two(ours in any_model(600), theirs in any_model(600), range in any_range()) {
        check_diff(&ours, &theirs, &range);
    }

    #[test]
    fn diff_is_the_difference_after_some_changes(
        ours in any_model(800), changes in any_changes(20), range in any_range(),
    ) {
        let mut theirs = ours.clone();
        let mut tree = tree_of(&ours);
        for to in changes {
            change(&mut tree, &mut theirs, to);
        }
        check_diff(&ours, &theirs, &range);
    }
}

fn check_diff(ours: &Model, theirs: &Model, range: &KeyRange) {
    let (a, b) = (tree_of(ours).snapshot(), tree_of(theirs).snapshot());
    assert_eq!(a.diff(&b).collect::<Vec<_>>(), model_diff(ours, theirs, &KeyRange::ALL));
    assert_eq!(a.diff_range(&b, range).collect::<Vec<_>>(), model_diff(ours, theirs, range));
}

/// Computed by a program of a few lines in another language from the definition in the documentation.
#[test]
fn roots_are_those_of_the_definition() {
    let roots = [
        (few(0, 0), "374708fff7719dd5979ec875d56cd2286f6d3cf7ec317a3b25632aab28ec37bb"),
        (vec![(key(1), fingerprint(1))], "c2dc9f276c023e159f63ce149557b822cb92087d6f0933cc5a0d6c05aa6c0f24"),
        (few(16, 120), "36a9ae02a5ea25a558349b21d9e51c10d958c61a216e60d63e8eb10808ee1375"),
        (few(17, 120), "9fa14ef438363f4bb45d4b1e8eef2680345d55f9dffb118d72b29d85e0ab9e8b"),
        (few(100, 0), "3bff3dc4ead928c6d013ffdc2c800d06727ea6bc7fd45fddcf15754326011f0d"),
        (thousand(), "38b27d2ad76cda10b30b2dc09bf054f9dcbc5cc273c7d0c9e26e0f152e86d3e5"),
    ];
    for (entries, root) in roots {
        assert_eq!(MerkleTree::<Sha256>::from_entries(entries).root().to_string(), root);
    }
    assert_eq!(
        MerkleTree::<Blake2s256>::from_entries(thousand()).root().to_string(),
        "a0d3ce9cc44488547dea682d1092d785c78e50c335ff7308032fd418d23da406"
    );
}

fn few(count: u8, shift: u32) -> Vec<(KeyHash, Fingerprint)> {
    (0..count).map(|number| (key(u128::from(number) << shift), fingerprint(number))).collect()
}

fn thousand() -> Vec<(KeyHash, Fingerprint)> {
    (0..1000_u128).map(|number| (spread(number), fingerprint(number.to_le_bytes()[0]))).collect()
}

/// All sets of up to six of seven keys with one of two fingerprints, alone and beside entries that make the set cross
/// from a leaf to a branch: no two have one root.
#[test]
fn roots_of_different_small_sets_differ() {
    fn check<D: HashFunction>(base: &[(KeyHash, Fingerprint)], roots: &mut HashMap<[u8; 32], Vec<usize>>) -> usize {
        let universe = [0, 1, 4, 1 << 64, 3 << 120, 1 << 126, u128::MAX].map(key);
        let mut states = 0;
        for state in 0..3_usize.pow(7) {
            let choices: Vec<usize> = (0..7).map(|at| state / 3_usize.pow(at) % 3).collect();
            let chosen = choices.iter().zip(universe).filter(|(choice, _)| **choice > 0);
            let mut entries = base.to_vec();
            entries.extend(chosen.map(|(choice, key)| (key, fingerprint(if *choice == 1 { 1 } else { 2 }))));
            if entries.len() - base.len() > 6 {
                continue;
            }
            let mut name = choices;
            name.push(base.len());
            states += 1;
            let root = MerkleTree::<D>::from_entries(entries).root();
            if let Some(other) = roots.insert(root.to_bytes(), name.clone()) {
                panic!("{other:?} and {name:?} have one root");
            }
        }
        states
    }
    for base in [0, 12, 14, 20] {
        let base: Vec<_> = (0..base).map(|number| (spread(number + 1), fingerprint(7))).collect();
        assert_eq!(check::<Sha256>(&base, &mut HashMap::new()), 3_usize.pow(7) - 2_usize.pow(7));
    }
    let mut roots = HashMap::new();
    for base in 0..4 {
        let base: Vec<_> = (0..base * 6).map(|number| (spread(number + 1), fingerprint(7))).collect();
        check::<Blake2s256>(&base, &mut roots);
    }
}

/// Keys ground to share 100 bits, and combs of which each level splits one key off: as good as any.
#[test]
fn crafted_keys_are_handled_as_any_others() {
    let crowded = (0..1_u128 << 16).map(|number| key(0xdead_beef << 96 | spread(number).to_u128() >> 100));
    let combs = (0..600_u128).flat_map(|comb| (0..110).map(move |bit| key(comb << 116 | 1 << bit)));
    for keys in [crowded.collect::<Vec<_>>(), combs.collect()] {
        let model: Model = keys.iter().map(|key| (*key, fingerprint(1))).collect();
        let mut tree: MerkleTree = MerkleTree::new();
        tree.extend(keys.iter().map(|key| (*key, fingerprint(1))));
        assert_eq!(tree.root(), tree_of(&model).root());
        let before = tree.snapshot();
        for key in keys.iter().step_by(2) {
            tree.remove(*key);
        }
        let left: Model = tree.snapshot().iter().collect();
        assert_eq!(tree.root(), tree_of(&left).root());
        assert_eq!(before.diff(&tree.snapshot()).count(), model.len() - left.len());
        for key in keys {
            tree.remove(key);
        }
        assert_eq!(tree.root(), MerkleTree::<Sha256>::new().root());
    }
}

#[test]
fn snapshots_may_cross_threads() {
    fn check<T: Send + Sync + Clone + 'static>() {}
    check::<Snapshot>();
    check::<Snapshot<Blake2s256>>();
    check::<MerkleTree>();
}
