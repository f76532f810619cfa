//! The resolver kit: the resolvers of this crate pass, and resolvers broken on purpose fail in the law that they break.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anti_entropy::value::{DecodeError, Encoded};
use anti_entropy::value::{serde_decode, serde_encode};
use anti_entropy::{
    Digest, KeepAll, Keyed, LastWriterWins, Replicated, Resolver, Semilattice, SemilatticeJoin, Version,
};
use anti_entropy_conformance::resolver::law;
use anti_entropy_conformance::semilattice::law as semilattice_law;
use anti_entropy_conformance::{check_resolver, check_semilattice};
use digest::Update;
use serde::{Deserialize, Serialize};

type Number = Keyed<u8, i64>;

fn numbers() -> Vec<Number> {
    [0, 10, 20, -7, i64::from(i32::MAX)]
        .into_iter()
        .flat_map(|value| [1, 2].map(|key| Keyed::new(key, value)))
        .collect()
}

/// A set that grows, as a user would write it.
#[derive(Clone, Serialize, Deserialize)]
struct Tags {
    of: String,
    tags: BTreeSet<String>,
}
anti_entropy::replicated!(Tags, key: String = |tags| tags.of.clone());

impl Semilattice for Tags {
    fn join(&self, other: &Self) -> Self {
        Self { of: self.of.clone(), tags: self.tags.union(&other.tags).cloned().collect() }
    }
}

fn tags() -> Vec<Tags> {
    let tags = |tags: &[&str]| Tags { of: "x".to_string(), tags: tags.iter().map(ToString::to_string).collect() };
    vec![tags(&[]), tags(&["a"]), tags(&["b", "c"]), tags(&["a", "c", "d"])]
}

#[test]
fn the_resolvers_of_this_crate_conform() {
    check_resolver(|| LastWriterWins, &numbers()).unwrap();
    check_resolver(|| KeepAll, &numbers()).unwrap();
    check_resolver(|| SemilatticeJoin, &tags()).unwrap();
    check_resolver(|| std::sync::Arc::new(LastWriterWins), &tags()).unwrap();
    check_semilattice(&tags()).unwrap();
}

/// A resolver from a closure.
struct By<F>(F);

impl<V: Replicated, F: Fn(&[Version<V>]) -> Option<V> + Send + Sync> Resolver<V> for By<F> {
    fn resolve(&self, _key: &V::Key, siblings: &[Version<V>]) -> Option<V> {
        (self.0)(siblings)
    }
}

fn average(siblings: &[Version<Number>]) -> Option<Number> {
    let sum: i64 = siblings.iter().map(|version| version.value.value).sum();
    Some(Keyed::new(siblings[0].value.key, sum / i64::try_from(siblings.len()).ok()?))
}

#[test]
fn an_average_over_all_siblings_conforms_and_is_no_semilattice() {
    check_resolver(|| By(average), &numbers()).unwrap();
    assert_eq!(broken_join::<AVERAGE>(), Some(semilattice_law::ASSOCIATIVE));
}

#[test]
fn a_call_counter_is_found() {
    let make = || {
        let calls = AtomicUsize::new(0);
        By(move |siblings: &[Version<Number>]| {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            Some(siblings[call % siblings.len()].value.clone())
        })
    };
    assert_eq!(check_resolver(make, &numbers()).unwrap_err().law, law::DETERMINISTIC);
}

#[test]
fn a_preference_for_what_is_local_is_found() {
    // The first node takes the first, the second the last; each takes its own writes for the better ones.
    let nodes = AtomicUsize::new(0);
    let make = || {
        let first = nodes.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        By(move |siblings: &[Version<Number>]| {
            let chosen = if first { siblings.first() } else { siblings.last() };
            chosen.map(|version| version.value.clone())
        })
    };
    assert_eq!(check_resolver(make, &numbers()).unwrap_err().law, law::SAME_EVERYWHERE);
}

#[test]
fn a_preference_for_what_came_first_is_found() {
    // Sticks to the first writer that it met, whoever that was at this node.
    let make = || {
        let met = Mutex::new(None);
        By(move |siblings: &[Version<Number>]| {
            let mut met = met.lock().unwrap();
            let chosen = siblings.iter().find(|version| Some(version.dot.replica) == *met);
            let chosen = chosen.unwrap_or(&siblings[0]);
            met.get_or_insert(chosen.dot.replica);
            Some(chosen.value.clone())
        })
    };
    let law = check_resolver(make, &numbers()).unwrap_err().law;
    assert!([law::DETERMINISTIC, law::SAME_EVERYWHERE].contains(&law), "{law}");
}

#[test]
fn nodes_that_differ_only_in_use_are_found() {
    // The first two nodes, which are asked directly, agree; the ones in replicas do not.
    let nodes = AtomicUsize::new(0);
    let make = || {
        let node = nodes.fetch_add(1, Ordering::Relaxed);
        By(move |siblings: &[Version<Number>]| {
            let chosen = if node == 3 { siblings.last() } else { siblings.first() };
            chosen.map(|version| version.value.clone())
        })
    };
    assert_eq!(check_resolver(make, &numbers()).unwrap_err().law, law::CONVERGENCE);
}

#[test]
fn another_key_and_samples_without_conflict_are_found() {
    let other_key = || By(|siblings: &[Version<Number>]| Some(Keyed::new(9, siblings[0].value.value)));
    assert_eq!(check_resolver(other_key, &numbers()).unwrap_err().law, law::KEY);
    assert_eq!(check_resolver(|| LastWriterWins, &numbers()[..2]).unwrap_err().law, law::SAMPLES);
}

/// A text that knows whether it was written here; other replicas do not get to know.
#[derive(Clone)]
struct Draft {
    text: String,
    written_here: bool,
}

impl Digest for Draft {
    fn digest<H: Update>(&self, hash: &mut H) {
        hash.update(self.text.as_bytes());
    }
}

impl Replicated for Draft {
    type Key = ();

    fn key(&self) {}

    fn encode(&self) -> Encoded {
        Encoded::from_body(serde_encode(&self.text))
    }

    fn decode((): &(), encoded: &Encoded) -> Result<Self, DecodeError> {
        Ok(Self { text: serde_decode(encoded)?, written_here: false })
    }
}

#[test]
fn a_preference_by_what_is_not_encoded_is_found() {
    let drafts = ["a", "b", "c"].map(|text| Draft { text: text.to_string(), written_here: text == "b" });
    let make = || {
        By(|siblings: &[Version<Draft>]| {
            let local = siblings.iter().find(|version| version.value.written_here);
            local.or(siblings.first()).map(|version| version.value.clone())
        })
    };
    assert_eq!(check_resolver(make, &drafts).unwrap_err().law, law::ENCODED_ONLY);
}

/// A number with a join that may be none.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Joined<const HOW: u8>(u8, i64);

const MAXIMUM: u8 = 0;
const AVERAGE: u8 = 1;
const SUM: u8 = 2;
const FIRST: u8 = 3;
const OTHER_KEY: u8 = 4;

impl<const HOW: u8> Digest for Joined<HOW> {
    fn digest<H: Update>(&self, hash: &mut H) {
        hash.update(&self.1.to_be_bytes());
    }
}

impl<const HOW: u8> Replicated for Joined<HOW> {
    type Key = u8;

    fn key(&self) -> u8 {
        self.0
    }

    fn encode(&self) -> Encoded {
        Encoded::from_body(serde_encode(&self.1))
    }

    fn decode(key: &u8, encoded: &Encoded) -> Result<Self, DecodeError> {
        serde_decode(encoded).map(|value| Self(*key, value))
    }
}

impl<const HOW: u8> Semilattice for Joined<HOW> {
    fn join(&self, other: &Self) -> Self {
        match HOW {
            AVERAGE => Self(self.0, (self.1 + other.1).div_euclid(2)),
            SUM => Self(self.0, self.1 + other.1),
            FIRST => self.clone(),
            OTHER_KEY => Self(self.0 + 1, self.1.max(other.1)),
            _ => Self(self.0, self.1.max(other.1)),
        }
    }
}

fn broken_join<const HOW: u8>() -> Option<&'static str> {
    let samples: Vec<_> = numbers().into_iter().map(|number| Joined::<HOW>(number.key, number.value)).collect();
    check_semilattice(&samples).err().map(|violation| violation.law)
}

#[test]
fn a_broken_semilattice_fails_in_the_law_it_breaks() {
    assert_eq!(broken_join::<MAXIMUM>(), None);
    assert_eq!(broken_join::<AVERAGE>(), Some(semilattice_law::ASSOCIATIVE));
    assert_eq!(broken_join::<SUM>(), Some(semilattice_law::IDEMPOTENT));
    assert_eq!(broken_join::<FIRST>(), Some(semilattice_law::COMMUTATIVE));
    assert_eq!(broken_join::<OTHER_KEY>(), Some(semilattice_law::KEY));
    assert_eq!(check_semilattice(&tags()[..1]).unwrap_err().law, semilattice_law::SAMPLES);
}
