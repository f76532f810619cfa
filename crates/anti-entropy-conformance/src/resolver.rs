//! The laws of [`Resolver`].

mod convergence;
/// The laws by name, to compare with [`Violation::law`].
pub mod law;

use std::collections::BTreeMap;
use std::format;
use std::vec::Vec;

use self::convergence::check_convergence;
use super::Violation;
use anti_entropy::clock::{Dot, ReplicaId, Timestamp};
use anti_entropy::value::Encoded;
use anti_entropy::{Replicated, Resolver, Version};

/// How many sets of versions are resolved for each key.
const SETS: usize = 32;
/// So many keys of the samples are used.
const KEYS: usize = 32;

/// Checks the laws of [`Resolver`] on concurrent versions that have these samples as their values.
///
/// `make` gives a resolver as each node would make its own; it is called once per node. The samples hold several values
/// of one key. Answers are compared by their encodings. The laws, by the names in [`law`]:
///
/// - [`law::SAMPLES`]: there are two samples of one key.
/// - [`law::DETERMINISTIC`]: asked again, at once or after other questions, a resolver gives the same answer.
/// - [`law::SAME_EVERYWHERE`]: another node's resolver, asked in another order, gives the same answer.
/// - [`law::ENCODED_ONLY`]: so it does for values that were decoded from their bytes, as those at other replicas are.
/// - [`law::KEY`]: the answer has the key of the versions.
/// - [`law::CONVERGENCE`]: three replicas write concurrently, run sessions until they hold the same, and read the same.
///
/// A resolver gets its versions sorted and cannot tell which is local, so that independence of the order in which
/// they came follows from these.
///
/// ```
/// use anti_entropy_conformance::check_resolver;
/// use anti_entropy::{Keyed, Resolver, Version};
///
/// /// The longest text wins; among equally long ones, the later write.
/// struct Longest;
/// impl Resolver<Keyed<u8, String>> for Longest {
///     fn resolve(&self, _key: &u8, siblings: &[Version<Keyed<u8, String>>]) -> Option<Keyed<u8, String>> {
///         let longest = siblings.iter().max_by_key(|version| (version.value.value.len(), version.timestamp, version.dot));
///         longest.map(|version| version.value.clone())
///     }
/// }
/// let note = |text: &str| Keyed::new(1, text.to_string());
/// check_resolver(|| Longest, &[note("milk"), note("bread"), note("eggs"), note("")])?;
/// # Ok::<(), anti_entropy_conformance::Violation>(())
/// ```
///
/// # Errors
/// A [`Violation`] with the first law that was found broken.
pub fn check_resolver<V, R>(mut make: impl FnMut() -> R, samples: &[V]) -> Result<(), Violation>
where
    V: Replicated,
    R: Resolver<V> + 'static,
{
    let mut of_key: BTreeMap<V::Key, Vec<&V>> = BTreeMap::new();
    for sample in samples {
        of_key.entry(sample.key()).or_default().push(sample);
    }
    of_key.retain(|_, values| values.len() > 1);
    if of_key.is_empty() {
        return Err(Violation::new(law::SAMPLES, "no two samples have the same key, so none are in conflict"));
    }
    let cases = cases(&of_key);
    let (here, there) = (make(), make());
    let answers = check_determinism(&here, &cases)?;
    check_other_node(&there, &cases, &answers)?;
    of_key.values().take(KEYS).try_for_each(|values| check_convergence(&mut make, values))
}

/// Versions of one key.
struct Case<'a, V: Replicated> {
    key: &'a V::Key,
    siblings: Vec<Version<V>>,
}

/// Sets of versions in which every value is met under low and high dots, with timestamps in either order and equal ones.
fn cases<'a, V: Replicated>(of_key: &'a BTreeMap<V::Key, Vec<&V>>) -> Vec<Case<'a, V>> {
    let mut random = fastrand::Rng::with_seed(17);
    let mut cases = Vec::new();
    for (key, values) in of_key.iter().take(KEYS) {
        for _ in 0..SETS {
            let mut siblings: BTreeMap<Dot, Version<V>> = BTreeMap::new();
            let wanted = random.usize(2..=5);
            while siblings.len() < wanted {
                let dot = Dot { replica: ReplicaId::from_u128(random.u128(1..5)), counter: random.u64(1..4) };
                let timestamp = Timestamp { wall_ms: random.u64(0..3), logical: random.u32(0..2) };
                let value = values[random.usize(0..values.len())].clone();
                siblings.insert(dot, Version { dot, timestamp, value });
            }
            cases.push(Case { key, siblings: siblings.into_values().collect() });
        }
    }
    cases
}

/// The answers to all cases, if they stay what they are when asked again.
fn check_determinism<V: Replicated, R: Resolver<V>>(
    resolver: &R,
    cases: &[Case<'_, V>],
) -> Result<Vec<Option<Encoded>>, Violation> {
    let mut answers = Vec::new();
    for case in cases {
        let answer = resolver.resolve(case.key, &case.siblings);
        if let Some(key) = answer.as_ref().map(V::key).filter(|key| key != case.key) {
            let detail = format!("the versions of {:?} give a value of {key:?}", case.key);
            return Err(Violation::new(law::KEY, detail));
        }
        let answer = answer.map(|value| value.encode());
        expect(resolver, case.key, &case.siblings.clone(), answer.as_ref(), law::DETERMINISTIC)?;
        answers.push(answer);
    }
    for (case, answer) in cases.iter().zip(&answers) {
        expect(resolver, case.key, &case.siblings, answer.as_ref(), law::DETERMINISTIC)?;
    }
    Ok(answers)
}

/// The last cases come first here: what was asked before differs.
fn check_other_node<V: Replicated, R: Resolver<V>>(
    resolver: &R,
    cases: &[Case<'_, V>],
    answers: &[Option<Encoded>],
) -> Result<(), Violation> {
    for (case, answer) in cases.iter().zip(answers).rev() {
        expect(resolver, case.key, &case.siblings, answer.as_ref(), law::SAME_EVERYWHERE)?;
        let mut copies = case.siblings.clone();
        for version in &mut copies {
            version.value = V::decode(case.key, &version.value.encode()).map_err(|error| {
                let detail = format!("a sample of {:?} does not decode: {error}", case.key);
                Violation::new(law::ENCODED_ONLY, detail)
            })?;
        }
        expect(resolver, case.key, &copies, answer.as_ref(), law::ENCODED_ONLY)?;
    }
    Ok(())
}

fn expect<V: Replicated, R: Resolver<V>>(
    resolver: &R,
    key: &V::Key,
    siblings: &[Version<V>],
    answer: Option<&Encoded>,
    law: &'static str,
) -> Result<(), Violation> {
    if resolver.resolve(key, siblings).map(|value| value.encode()).as_ref() == answer {
        return Ok(());
    }
    let detail = format!("{} versions of {key:?} got two answers", siblings.len());
    Err(Violation::new(law, detail))
}
