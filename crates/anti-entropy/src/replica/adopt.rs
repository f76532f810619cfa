//! Adopting a snapshot from outside.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use super::version::ContentHash;
use super::{Error, Replica, Replicated, Transaction, Written};
use crate::clock::{Now, Timestamp};

/// What [`Replica::adopt`] does with keys that the snapshot does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Missing {
    /// Keep their values.
    #[default]
    Keep,
    /// Delete them.
    Delete,
}

/// What adopting a snapshot changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// The writes and deletes that were made.
    pub written: Vec<Written>,
    /// How many values of the snapshot equal the value that a read returns already.
    pub unchanged: usize,
}

impl<V: Replicated> Replica<V> {
    /// Adopts the values of a snapshot from outside. Writes only values that differ from what a read returns now.
    ///
    /// All changes are one transaction. O(values) reads, and O(n) more to find keys for [`Missing::Delete`].
    ///
    /// # Errors
    /// As for [`commit`](Self::commit). Nothing is adopted then. A snapshot that has a key twice is refused.
    pub fn adopt(&mut self, values: impl IntoIterator<Item = V>, missing: Missing, now: Now) -> Result<Adopted, Error> {
        let mut transaction = Transaction::new();
        let mut adopted = Adopted::default();
        let mut keys = BTreeSet::new();
        for value in values {
            let key = value.key();
            let read = self.read(&key)?;
            let content = |value: &V| ContentHash::of(Timestamp { wall_ms: 0, logical: 0 }, value);
            if !keys.insert(key) {
                return Err(Error::ChangedTwice(read.seen().key));
            }
            if read.value().is_some_and(|held| content(held) == content(&value)) {
                adopted.unchanged += 1;
            } else {
                transaction = transaction.write(value);
            }
        }
        if missing == Missing::Delete {
            let mut surplus = Vec::new();
            self.for_each(|key, _| {
                surplus.extend((!keys.contains(key)).then(|| key.clone()));
                ControlFlow::Continue(())
            })?;
            transaction = surplus.into_iter().fold(transaction, Transaction::delete);
        }
        adopted.written = self.commit(transaction, now)?;
        Ok(adopted)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use crate::clock::Seed;
    use crate::replica::{Keyed, LastWriterWins, MemoryStore};

    #[test]
    fn a_key_twice_is_refused_whether_it_changes_or_not() {
        for values in [["held", "new"], ["held", "held"], ["new", "held"], ["new", "newer"]] {
            let mut replica = Replica::open(MemoryStore::new(), LastWriterWins, Seed::from_bytes([1; 32])).unwrap();
            replica.write(Keyed::new(1u8, "held".to_string()), Now::default()).unwrap();
            let root = replica.root();
            let snapshot = values.map(|value| Keyed::new(1, value.to_string()));
            let adopted = replica.adopt(snapshot, Missing::Keep, Now::default());
            assert!(matches!(adopted, Err(Error::ChangedTwice(_))), "{values:?}: {adopted:?}");
            assert_eq!(replica.root(), root, "{values:?}");
        }
    }
}
