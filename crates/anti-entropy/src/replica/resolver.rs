//! Resolving concurrent versions.

use alloc::boxed::Box;
use alloc::sync::Arc;

use super::item::Replicated;
use super::version::Version;

/// Combines several concurrent versions of a value into one, when they are read.
///
/// The versions stay stored until a write that has seen them replaces them, so that a resolver's decision is not final.
/// It gets the *set* of all versions in canonical order, and cannot see which of them is local. Hence any deterministic
/// resolver returns the same value on every replica, even if it is not associative, like an average.
///
/// # Implementer notes
///
/// - Pure and deterministic: the result depends on key and siblings alone, on every platform.
/// - The result has the key `key`.
/// - `siblings` is sorted by dot and has at least two elements. A single version is not resolved.
///
/// The conformance kit checks that every node returns the same value, each time.
pub trait Resolver<V: Replicated>: Send + Sync {
    /// The value of the concurrent `siblings`, or `None` if the application has to decide.
    fn resolve(&self, key: &V::Key, siblings: &[Version<V>]) -> Option<V>;

    /// Whether the resolved value is written back, so that the siblings do not stay for long.
    ///
    /// Only the replica that wrote the greatest sibling writes it back, as an ordinary write. If any replica could, two
    /// replicas that did so at once would make new siblings for ever.
    fn compacts(&self) -> bool {
        false
    }
}

/// The version with the greatest timestamp wins; of equal timestamps, that with the greatest dot.
///
/// The other versions stay readable as siblings until the next write. Timestamps come from hybrid logical clocks: a
/// writer whose wall clock is ahead wins over concurrent writers, but never over writers that have seen its version.
#[derive(Clone, Copy, Debug, Default)]
pub struct LastWriterWins;

impl<V: Replicated> Resolver<V> for LastWriterWins {
    fn resolve(&self, _key: &V::Key, siblings: &[Version<V>]) -> Option<V> {
        siblings.iter().max_by_key(|version| (version.timestamp, version.dot)).map(|version| version.value.clone())
    }
}

/// Does not decide: the application sees concurrent versions as a conflict.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeepAll;

impl<V: Replicated> Resolver<V> for KeepAll {
    fn resolve(&self, _key: &V::Key, _siblings: &[Version<V>]) -> Option<V> {
        None
    }
}

/// A value that can be joined with others of its key: commutatively, associatively and idempotently.
///
/// # Implementer notes
///
/// `join` keeps the key. The conformance kit checks all three laws.
pub trait Semilattice: Replicated {
    /// The least upper bound of the two values.
    #[must_use]
    fn join(&self, other: &Self) -> Self;
}

/// Joins concurrent versions, for values that are a [`Semilattice`]: sets that grow, maxima, flags.
#[derive(Clone, Copy, Debug, Default)]
pub struct SemilatticeJoin;

impl<V: Semilattice> Resolver<V> for SemilatticeJoin {
    fn resolve(&self, _key: &V::Key, siblings: &[Version<V>]) -> Option<V> {
        let (first, rest) = siblings.split_first()?;
        Some(rest.iter().fold(first.value.clone(), |joined, version| joined.join(&version.value)))
    }

    fn compacts(&self) -> bool {
        true
    }
}

macro_rules! forward_resolver {
    ($($pointer:ty),*) => {$(
        impl<V: Replicated, R: Resolver<V> + ?Sized> Resolver<V> for $pointer {
            fn resolve(&self, key: &V::Key, siblings: &[Version<V>]) -> Option<V> {
                (**self).resolve(key, siblings)
            }

            fn compacts(&self) -> bool {
                (**self).compacts()
            }
        }
    )*};
}
forward_resolver!(&R, Box<R>, Arc<R>);
