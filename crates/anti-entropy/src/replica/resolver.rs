//! What concurrent versions mean.

use alloc::boxed::Box;
use alloc::sync::Arc;

use super::item::Replicated;
use super::version::Version;

/// Says what several concurrent versions of a value mean, when they are read.
///
/// The siblings stay stored until a write that saw them replaces them, so a resolver decides nothing for good. It gets
/// the whole *set* of versions in canonical order and cannot see which of them is local; hence any deterministic
/// resolver gives the same answer on every replica, also one that is not associative, such as an average.
///
/// # Implementer notes
///
/// - Pure and deterministic: the answer depends on key and siblings alone, on every platform.
/// - The answer has the key `key`.
/// - `siblings` is sorted by dot and has at least two elements; a single version needs no resolver.
///
/// The conformance kit checks that every node gives the same answer, again and again.
pub trait Resolver<V: Replicated>: Send + Sync {
    /// The value that the concurrent `siblings` stand for, or `None` where the application has to decide.
    fn resolve(&self, key: &V::Key, siblings: &[Version<V>]) -> Option<V>;

    /// Whether the resolved value should be written back, so that the siblings do not stay for long.
    ///
    /// Only the replica that wrote the greatest sibling does so, as an ordinary write: if any replica could, two that did
    /// would make new siblings for ever.
    fn compacts(&self) -> bool {
        false
    }
}

/// The version with the greatest timestamp wins; among equal ones, that with the greatest dot.
///
/// Losing versions stay readable as siblings until the next write. Timestamps come from hybrid logical clocks; a
/// writer whose wall clock is ahead wins over concurrent writers, never over writers that saw its version.
#[derive(Clone, Copy, Debug, Default)]
pub struct LastWriterWins;

impl<V: Replicated> Resolver<V> for LastWriterWins {
    fn resolve(&self, _key: &V::Key, siblings: &[Version<V>]) -> Option<V> {
        siblings.iter().max_by_key(|version| (version.timestamp, version.dot)).map(|version| version.value.clone())
    }
}

/// Never decides: concurrent versions are surfaced to the application as a conflict.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeepAll;

impl<V: Replicated> Resolver<V> for KeepAll {
    fn resolve(&self, _key: &V::Key, _siblings: &[Version<V>]) -> Option<V> {
        None
    }
}

/// A value that joins with others of its key: commutative, associative and idempotent.
///
/// # Implementer notes
///
/// `join` keeps the key. The conformance kit checks the three laws.
pub trait Semilattice: Replicated {
    /// The least value that includes both.
    #[must_use]
    fn join(&self, other: &Self) -> Self;
}

/// Concurrent versions mean their join, for values that are a [`Semilattice`]: sets that grow, maxima, flags.
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
