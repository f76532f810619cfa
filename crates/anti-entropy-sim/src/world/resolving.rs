//! The subject's resolver, which may write back what it decides.

use anti_entropy::{Replicated, Resolver, Version};

/// A resolver that compacts if its scenario says so, whatever the subject's own does.
pub(crate) struct Resolving<R> {
    pub(super) inner: R,
    pub(super) compacts: bool,
}

impl<V: Replicated, R: Resolver<V>> Resolver<V> for Resolving<R> {
    fn resolve(&self, key: &V::Key, siblings: &[Version<V>]) -> Option<V> {
        self.inner.resolve(key, siblings)
    }

    fn compacts(&self) -> bool {
        self.compacts || self.inner.compacts()
    }
}
