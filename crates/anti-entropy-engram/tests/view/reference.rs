//! The view again, straight from its definition, without regard to time.

use std::collections::{BTreeMap, BTreeSet};

use anti_entropy::{Replicated, Resolver, Version};
use anti_entropy_engram::view::{Conflict, SemanticView, ViewItem};
use anti_entropy_engram::{Encoding, MemorySpace, Pattern, SemanticPattern, Thresholds, vote};
use sha2::{Digest, Sha256};

use crate::Set;
use crate::common::encoded_space;

/// A pair of different ids.
struct Pair {
    kind: u8,
    shared: usize,
    overlap: f64,
    cosine: f64,
}

struct Item {
    members: Vec<String>,
    pattern: Pattern,
    confidence: f32,
}

/// Asserts that a view is what its definition makes of the set.
pub(crate) fn assert_defined(view: &SemanticView, space: &MemorySpace, set: &Set) {
    let base: BTreeMap<&String, Pattern> = set.keys().map(|id| (id, base(space, set, id))).collect();
    let pairs = pairs(&space.thresholds, &base);
    let (items, unresolved) = items(&space.thresholds, &base, &pairs);
    let conflicts = conflicts(set, &pairs, &items);

    let found: Vec<Vec<&str>> = view.unresolved().collect();
    assert_eq!(found, unresolved);
    assert_eq!(view.conflicts().collect::<Vec<_>>(), conflicts);
    assert_eq!((view.len(), view.is_empty()), (items.len(), items.is_empty()));
    for (found, item) in view.items().zip(&items) {
        assert_eq!(fields(found), expected_fields(item));
        assert!(found.confidence() <= found.base_confidence());
        for id in &item.members {
            assert_eq!(view.item_of(id), Some(found));
        }
    }
    let of_kind = |kind| conflicts.iter().filter(|conflict| conflict.kind() == kind).count();
    let counts = view.counts();
    assert_eq!([counts.type1, counts.type2, counts.type3, counts.type4], [1, 2, 3, 4].map(of_kind));
    let replicated: Vec<(&str, usize)> = set
        .iter()
        .filter(|(_, siblings)| siblings.len() > 1 && say_the_same(siblings))
        .map(|(id, siblings)| (id.as_str(), siblings.len()))
        .collect();
    assert_eq!((view.replicated().collect::<Vec<_>>(), counts.replicated), (replicated.clone(), replicated.len()));
    let merged = items.iter().filter(|item| item.members.len() > 1).count();
    assert_eq!((counts.merged, counts.unresolved), (merged, unresolved.len()));
    assert_eq!(view.hash().to_bytes(), hash(&items, &conflicts), "hash");
}

fn fields(item: &ViewItem) -> (Vec<String>, SemanticPattern, Encoding, f32) {
    (item.patterns().to_vec(), SemanticPattern::from(item), item.embedding().encoding(), item.base_confidence())
}

fn expected_fields(item: &Item) -> (Vec<String>, SemanticPattern, Encoding, f32) {
    let id = format!("cluster-view:{}", item.members[0]);
    let pattern = SemanticPattern { id, schema_confidence: item.confidence, ..SemanticPattern::from(&item.pattern) };
    (item.members.clone(), pattern, item.pattern.embedding().encoding(), item.pattern.confidence())
}

/// Rule 1.
fn base(space: &MemorySpace, set: &Set, id: &String) -> Pattern {
    match set[id].as_slice() {
        [only] => only.value.clone(),
        several => space.resolution.resolve(id, several).unwrap_or_else(|| vote(several).unwrap().pattern),
    }
}

/// Rule 2.
fn pairs<'a>(
    thresholds: &Thresholds,
    base: &BTreeMap<&'a String, Pattern>,
) -> BTreeMap<(&'a String, &'a String), Pair> {
    let mut pairs = BTreeMap::new();
    for (a, first) in base {
        for (b, second) in base.iter().filter(|(b, _)| *b > a) {
            let (ours, theirs) = (episodes(first), episodes(second));
            let shared = ours.intersection(&theirs).count();
            let union = ours.union(&theirs).count();
            let overlap = if union == 0 { 0.0 } else { shared as f64 / union as f64 };
            let cosine = cosine(&first.embedding().to_vec(), &second.embedding().to_vec());
            let kind = if overlap >= thresholds.merge_overlap && cosine >= thresholds.merge_cosine {
                1
            } else if cosine >= thresholds.link_cosine {
                2
            } else if shared > 0 {
                4
            } else {
                continue;
            };
            pairs.insert((*a, *b), Pair { kind, shared, overlap, cosine });
        }
    }
    pairs
}

fn episodes(pattern: &Pattern) -> BTreeSet<String> {
    pattern.episodes().iter().map(str::to_owned).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    if a.len() != b.len() {
        return 0.0;
    }
    let squares = dot(a, a) * dot(b, b);
    if squares == 0.0 { 0.0 } else { (dot(a, b) / squares.sqrt()).clamp(-1.0, 1.0) }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut s = [0.0; 8];
    for i in 0..a.len() {
        s[i % 8] += f64::from(a[i]) * f64::from(b[i]);
    }
    ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]))
}

/// Rules 3 and 4.
fn items(
    thresholds: &Thresholds,
    base: &BTreeMap<&String, Pattern>,
    pairs: &BTreeMap<(&String, &String), Pair>,
) -> (Vec<Item>, Vec<Vec<String>>) {
    let same_core = |a: &String, b: &String| pairs.get(&(a.min(b), a.max(b))).is_some_and(|pair| pair.kind == 1);
    let mut items = Vec::new();
    let mut unresolved = Vec::new();
    let mut left: BTreeSet<&String> = base.keys().copied().collect();
    while let Some(first) = left.first().copied() {
        let mut component = BTreeSet::from([first]);
        while let Some(next) =
            base.keys().find(|id| !component.contains(*id) && component.iter().any(|member| same_core(member, id)))
        {
            component.insert(next);
        }
        left.retain(|id| !component.contains(id));
        let whole = component.iter().all(|a| component.iter().all(|b| a == b || same_core(a, b)));
        let component: Vec<&String> = component.into_iter().collect();
        if whole {
            items.push(item(base, &component));
        } else {
            items.extend(component.iter().map(|id| item(base, &[id])));
            unresolved.push(component.into_iter().cloned().collect());
        }
    }
    items.sort_by(|a: &Item, b| a.members.cmp(&b.members));
    let factors: Vec<f64> = (0..items.len()).map(|item| factor(thresholds, base, pairs, &items[item])).collect();
    for (item, factor) in items.iter_mut().zip(factors) {
        item.confidence = (f64::from(item.pattern.confidence()) * factor) as f32;
    }
    (items, unresolved)
}

fn item(base: &BTreeMap<&String, Pattern>, members: &[&String]) -> Item {
    let all: Vec<&Pattern> = members.iter().map(|id| &base[*id]).collect();
    let rank = |pattern: &Pattern| (pattern.confidence(), pattern.strength(), pattern.last_consolidated());
    // The last of several greatest ones: the smallest id.
    let decider = all.iter().rev().max_by(|a, b| rank(a).partial_cmp(&rank(b)).unwrap()).unwrap();
    let mut pattern = SemanticPattern::from(*decider);
    pattern.id.clone_from(members[0]);
    pattern.source_episodes =
        all.iter().flat_map(|member| episodes(member)).collect::<BTreeSet<_>>().into_iter().collect();
    let mut encoding = decider.embedding().encoding();
    if let [_, _, ..] = all.as_slice() {
        encoding = Encoding::F32;
        let dimension = pattern.embedding.len();
        let heard: Vec<&Pattern> = all.iter().copied().filter(|one| one.embedding().dimension() == dimension).collect();
        let sum: f64 = heard.iter().map(|one| f64::from(one.confidence())).sum();
        for i in 0..dimension {
            let mean = heard.iter().fold(0.0, |mean, one| {
                let weight = if sum > 0.0 { f64::from(one.confidence()) / sum } else { 1.0 / heard.len() as f64 };
                mean + weight * f64::from(one.embedding().to_vec()[i])
            });
            pattern.embedding[i] = mean as f32;
        }
    }
    let space = encoded_space(pattern.embedding.len(), encoding);
    let confidence = pattern.schema_confidence;
    let members = members.iter().map(ToString::to_string).collect();
    Item { members, pattern: Pattern::new(&pattern, "", &space).unwrap(), confidence }
}

fn factor(
    thresholds: &Thresholds,
    base: &BTreeMap<&String, Pattern>,
    pairs: &BTreeMap<(&String, &String), Pair>,
    own: &Item,
) -> f64 {
    let ours = |id: &String| own.members.contains(id);
    // The pairs that lead out of the item, each with the pattern at the other end.
    let outward = |kind: u8| -> Vec<(&String, f64)> {
        let of_kind = pairs.iter().filter(|(_, pair)| pair.kind == kind);
        let leading_out = of_kind.filter(|((a, b), _)| ours(a) != ours(b));
        leading_out.map(|((a, b), pair)| (if ours(a) { *b } else { *a }, pair.cosine)).collect()
    };
    let link = thresholds.link_cosine;
    let closeness = |cosine: f64| if link < 1.0 { ((cosine - link) / (1.0 - link)).clamp(0.0, 1.0) } else { 1.0 };
    let similar = outward(2).iter().map(|(_, cosine)| closeness(*cosine)).fold(0.0, f64::max);
    let rivals: Vec<&String> = outward(4).into_iter().map(|(rival, _)| rival).collect();
    let claimed: BTreeSet<String> = rivals.iter().flat_map(|rival| episodes(&base[*rival])).collect();
    let own_episodes = episodes(&own.pattern);
    let contested = own_episodes.iter().filter(|episode| claimed.contains(*episode)).count();
    let share = if rivals.is_empty() { 0.0 } else { contested as f64 / own_episodes.len() as f64 };
    (1.0 - similar / 2.0) * (1.0 - share / 2.0)
}

fn conflicts(set: &Set, pairs: &BTreeMap<(&String, &String), Pair>, items: &[Item]) -> Vec<Conflict> {
    let mut all = Vec::new();
    for (id, siblings) in set {
        if siblings.len() > 1 && !say_the_same(siblings) {
            let agreement = vote(siblings).unwrap().agreement;
            all.push(Conflict::Siblings { id: id.clone(), siblings: siblings.len(), agreement });
        }
        for ((a, b), pair) in pairs.iter().filter(|((a, _), _)| *a == id) {
            let (a, b, overlap, cosine) = ((*a).clone(), (*b).clone(), pair.overlap, pair.cosine);
            let resolved = items.iter().any(|item| item.members.contains(&a) && item.members.contains(&b));
            all.push(match pair.kind {
                1 => Conflict::SameCore { a, b, overlap, cosine, resolved },
                2 => Conflict::Similar { a, b, overlap, cosine },
                _ => Conflict::Contested { a, b, shared: pair.shared, overlap, cosine },
            });
        }
    }
    all
}

/// Whether versions differ in nothing but their origins.
fn say_the_same(siblings: &[Version<Pattern>]) -> bool {
    let contents = |sibling: &Version<Pattern>| {
        let value = &sibling.value;
        let parts: Vec<Vec<u8>> = value.encode().parts.iter().map(|part| part.as_bytes().to_vec()).collect();
        let numbers = (value.strength().to_bits(), value.confidence().to_bits());
        (parts, value.embedding().encoding(), numbers, value.last_consolidated())
    };
    siblings.windows(2).all(|pair| contents(&pair[0]) == contents(&pair[1]))
}

/// As docs/protocol.md has it.
fn hash(items: &[Item], conflicts: &[Conflict]) -> [u8; 32] {
    let string = |string: &String| [&(string.len() as u64).to_be_bytes(), string.as_bytes()].concat();
    let mut bytes = b"anti-entropy-engram/1 view".to_vec();
    bytes.extend((items.len() as u64).to_be_bytes());
    for Item { members, pattern, confidence } in items {
        bytes.extend((members.len() as u64).to_be_bytes());
        bytes.extend(members.iter().flat_map(string));
        bytes.push(match pattern.embedding().encoding() {
            Encoding::F32 => 0,
            Encoding::F16 => 1,
            _ => 2,
        });
        bytes.extend(pattern.encode().parts.iter().flat_map(|part| part.hash().to_bytes()));
        let numbers = [pattern.strength(), *confidence, pattern.confidence()];
        bytes.extend(numbers.iter().flat_map(|number| number.to_bits().to_be_bytes()));
        bytes.extend(pattern.last_consolidated().timestamp().to_be_bytes());
        bytes.extend(pattern.last_consolidated().timestamp_subsec_nanos().to_be_bytes());
    }
    bytes.extend((conflicts.len() as u64).to_be_bytes());
    for conflict in conflicts {
        bytes.push(conflict.kind());
        let (ids, numbers, last) = match conflict {
            Conflict::SameCore { a, b, overlap, cosine, resolved } => {
                (vec![a, b], vec![overlap, cosine], vec![u8::from(*resolved)])
            }
            Conflict::Similar { a, b, overlap, cosine } => (vec![a, b], vec![overlap, cosine], vec![]),
            Conflict::Siblings { id, siblings, agreement } => {
                bytes.extend(string(id));
                bytes.extend((*siblings as u64).to_be_bytes());
                (vec![], vec![agreement], vec![])
            }
            Conflict::Contested { a, b, shared, overlap, cosine } => {
                (vec![a, b], vec![overlap, cosine], (*shared as u64).to_be_bytes().to_vec())
            }
        };
        bytes.extend(ids.into_iter().flat_map(string));
        bytes.extend(numbers.into_iter().flat_map(|number| number.to_bits().to_be_bytes()));
        bytes.extend(last);
    }
    Sha256::digest(&bytes).into()
}
