//! The laws of [`Semilattice`].

/// The laws by name, to compare with [`Violation::law`].
pub mod law;

use std::collections::BTreeMap;
use std::format;
use std::vec::Vec;

use super::Violation;
use anti_entropy::Semilattice;

/// How many triples of one key are joined, at most; more than that many are chosen from at random.
const TRIPLES: usize = 4_096;

/// Checks the laws of [`Semilattice`] on these samples. Values are compared by their encodings.
///
/// The laws, by the names in [`law`]:
///
/// - [`law::SAMPLES`]: there are two samples of one key.
/// - [`law::KEY`]: `join` keeps the key.
/// - [`law::IDEMPOTENT`]: a value joined with itself is itself.
/// - [`law::COMMUTATIVE`]: `a.join(b)` is `b.join(a)`.
/// - [`law::ASSOCIATIVE`]: `a.join(b).join(c)` is `a.join(b.join(c))`.
///
/// ```
/// use anti_entropy_conformance::check_semilattice;
/// use anti_entropy::Semilattice;
/// use serde::{Deserialize, Serialize};
///
/// /// A set that grows, as its least and greatest element.
/// #[derive(Clone, Serialize, Deserialize)]
/// struct Span(u8, i64, i64);
/// anti_entropy::replicated!(Span, key: u8 = |span| span.0);
/// impl Semilattice for Span {
///     fn join(&self, other: &Self) -> Self {
///         Self(self.0, self.1.min(other.1), self.2.max(other.2))
///     }
/// }
/// check_semilattice(&[Span(1, 0, 0), Span(1, 3, 9), Span(1, -2, 4)])?;
/// # Ok::<(), anti_entropy_conformance::Violation>(())
/// ```
///
/// # Errors
/// A [`Violation`] with the first law that was found broken.
pub fn check_semilattice<V: Semilattice>(samples: &[V]) -> Result<(), Violation> {
    let mut of_key: BTreeMap<V::Key, Vec<&V>> = BTreeMap::new();
    for sample in samples {
        of_key.entry(sample.key()).or_default().push(sample);
    }
    if of_key.values().all(|values| values.len() < 2) {
        return Err(Violation::new(law::SAMPLES, "no two samples have the same key, so there is nothing to join"));
    }
    of_key.iter().try_for_each(|(key, values)| check_key(key, values))
}

fn check_key<V: Semilattice>(key: &V::Key, values: &[&V]) -> Result<(), Violation> {
    let broken = |law, what: &str| Err(Violation::new(law, format!("at {key:?}, {what}")));
    for a in values {
        if !same(&a.join(a), a) {
            return broken(law::IDEMPOTENT, "a value joined with itself is another");
        }
    }
    for [a, b, c] in triples(values) {
        let joined = a.join(b);
        if joined.key() != *key {
            return broken(law::KEY, &format!("the join has the key {:?}", joined.key()));
        }
        if !same(&joined, &b.join(a)) {
            return broken(law::COMMUTATIVE, "two values joined the other way round give another");
        }
        if !same(&joined.join(c), &a.join(&b.join(c))) {
            return broken(law::ASSOCIATIVE, "three values joined in another grouping give another");
        }
    }
    Ok(())
}

fn same<V: Semilattice>(a: &V, b: &V) -> bool {
    a.encode() == b.encode()
}

/// All triples of these values, or a choice if they are too many.
fn triples<'a, V>(values: &[&'a V]) -> Vec<[&'a V; 3]> {
    let count = values.len();
    if count.saturating_pow(3) <= TRIPLES {
        let at = |number: usize| values[number % count];
        return (0..count.pow(3)).map(|number| [at(number), at(number / count), at(number / count / count)]).collect();
    }
    let mut random = fastrand::Rng::with_seed(13);
    let mut choose = || values[random.usize(0..count)];
    (0..TRIPLES).map(|_| [choose(), choose(), choose()]).collect()
}
