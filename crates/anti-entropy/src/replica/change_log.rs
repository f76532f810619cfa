//! Changes for a subscriber.

use alloc::collections::VecDeque;
use core::num::NonZeroUsize;

/// A change of the entry at a key, or the notice that changes were dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<K> {
    /// A local write or delete changed the entry at this key.
    Local(K),
    /// Data from a peer changed the entry at this key.
    Remote(K),
    /// This many changes were dropped because the subscriber did not read them in time. Read the entries again.
    Missed(u64),
}

/// Changes nobody has read yet, up to a limit.
#[derive(Debug)]
pub(crate) struct ChangeLog<K> {
    pending: VecDeque<Change<K>>,
    missed: u64,
    limit: NonZeroUsize,
    watched: bool,
}

impl<K> ChangeLog<K> {
    pub(crate) fn new(limit: NonZeroUsize) -> Self {
        Self { pending: VecDeque::new(), missed: 0, limit, watched: false }
    }

    /// Keeps at most this many from now on.
    pub(crate) fn set_limit(&mut self, limit: NonZeroUsize) {
        self.limit = limit;
        while self.pending.len() > limit.get() {
            self.pending.pop_front();
            self.missed += 1;
        }
    }

    pub(crate) fn watch(&mut self) {
        self.watched = true;
    }

    /// Keeps a change if somebody watches; the oldest gives way when there are too many.
    pub(crate) fn push(&mut self, change: Change<K>) {
        if !self.watched {
            return;
        }
        if self.pending.len() == self.limit.get() {
            self.pending.pop_front();
            self.missed += 1;
        }
        self.pending.push_back(change);
    }

    pub(crate) fn pop(&mut self) -> Option<Change<K>> {
        if self.missed > 0 {
            return Some(Change::Missed(core::mem::take(&mut self.missed)));
        }
        self.pending.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_subscriber_learns_what_it_missed() {
        let mut log = ChangeLog::new(NonZeroUsize::new(2).unwrap());
        log.push(Change::Local(0));
        assert_eq!(log.pop(), None, "nobody watched");
        log.watch();
        for key in 1..=4 {
            log.push(Change::Remote(key));
        }
        assert_eq!(log.pop(), Some(Change::Missed(2)));
        assert_eq!(log.pop(), Some(Change::Remote(3)));
        assert_eq!(log.pop(), Some(Change::Remote(4)));
        assert_eq!(log.pop(), None);
    }
}
