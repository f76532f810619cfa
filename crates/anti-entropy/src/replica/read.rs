//! Reading: the resolved value, the versions behind it, and the token of what was read.

use alloc::vec::Vec;
use core::ops::ControlFlow;

use super::{Entry, Error, Replica, Replicated, Version, format, try_serde_encode};
use crate::clock::Dot;
use crate::{KeyHash, KeyRange};

/// What is called for each key that is read.
type Visit<'a, V> = dyn FnMut(&<V as Replicated>::Key, Read<V>) -> ControlFlow<()> + 'a;

/// The writes that a read has seen at a key: those that a following write or delete replaces.
///
/// A [`Read`] returns it. Pass it to [`Replica::write_seen`] later to replace exactly what was read; versions that
/// arrived in between stay as siblings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub(super) key: KeyHash,
    pub(super) dots: Vec<Dot>,
}

impl Seen {
    /// The writes that were seen, in canonical order.
    pub fn dots(&self) -> &[Dot] {
        &self.dots
    }
}

/// The versions at a key at the time of the read.
#[derive(Clone, Debug)]
pub struct Read<V> {
    key: KeyHash,
    value: Option<V>,
    siblings: Vec<Version<V>>,
}

impl<V> Read<V> {
    /// The value of the only version, or what the resolver returned for several versions. `None` if there is no
    /// version, or if the resolver leaves the decision to the application ([`is_conflict`](Self::is_conflict)).
    pub fn value(&self) -> Option<&V> {
        self.value.as_ref()
    }

    /// Like [`value`](Self::value), by value.
    pub fn into_value(self) -> Option<V> {
        self.value
    }

    /// All versions at the key, in canonical order. Several versions were written concurrently.
    pub fn siblings(&self) -> &[Version<V>] {
        &self.siblings
    }

    /// Whether there are several versions and the resolver does not decide between them.
    pub fn is_conflict(&self) -> bool {
        self.value.is_none() && !self.siblings.is_empty()
    }

    /// The token of all versions that were read.
    pub fn seen(&self) -> Seen {
        self.seen_where(|_| true)
    }

    /// The token of chosen versions only. A write with it leaves the other versions in place.
    pub fn seen_where(&self, mut choose: impl FnMut(&Version<V>) -> bool) -> Seen {
        let chosen = self.siblings.iter().filter(|version| choose(version));
        Seen { key: self.key, dots: chosen.map(|version| version.dot).collect() }
    }
}

impl<V: Replicated> Replica<V> {
    /// Reads the versions at `key`.
    ///
    /// # Errors
    /// If the store fails or its record is damaged.
    pub fn read(&self, key: &V::Key) -> Result<Read<V>, Error> {
        let hash = KeyHash::of_encoded(&try_serde_encode(key)?);
        let record = self.load(hash)?.filter(|record| record.key == *key);
        let Some(record) = record else { return Ok(Read { key: hash, value: None, siblings: Vec::new() }) };
        Ok(self.resolve(hash, record.into_entry()))
    }

    fn resolve(&self, key: KeyHash, entry: Entry<V>) -> Read<V> {
        let value = match entry.siblings.as_slice() {
            [only] => Some(only.value.clone()),
            siblings => self.resolver.resolve(&entry.key, siblings),
        };
        Read { key, value, siblings: entry.siblings }
    }

    /// Reads every key that has several concurrent versions, in the order of the keys' hashes, until `visit` breaks.
    ///
    /// # Errors
    /// If the store fails or a record is damaged.
    pub fn for_each_conflict(&self, mut visit: impl FnMut(&V::Key, Read<V>) -> ControlFlow<()>) -> Result<(), Error> {
        for hash in &self.conflicts {
            let Some(record) = self.load(*hash)? else { continue };
            let key = record.key.clone();
            if visit(&key, self.resolve(*hash, record.into_entry())).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Reads every key in the order of the keys' hashes, until `visit` breaks.
    ///
    /// # Errors
    /// If the store fails or a record is damaged.
    pub fn for_each(&self, mut visit: impl FnMut(&V::Key, Read<V>) -> ControlFlow<()>) -> Result<(), Error> {
        self.for_each_in(KeyRange::ALL, &mut visit)
    }

    /// Reads every key whose hash lies in `range`, in the order of the hashes, until `visit` breaks. A large replica
    /// can be read in pages this way.
    ///
    /// # Errors
    /// If the store fails or a record is damaged.
    pub fn for_each_in(&self, range: KeyRange, visit: &mut Visit<'_, V>) -> Result<(), Error> {
        let mut failure = None;
        self.store.scan(range, &mut |hash, bytes| match format::decode_record::<V>(bytes) {
            Ok(record) => {
                let key = record.key.clone();
                visit(&key, self.resolve(hash, record.into_entry()))
            }
            Err(error) => {
                failure = Some(Error::of_record(hash, error));
                ControlFlow::Break(())
            }
        })?;
        failure.map_or(Ok(()), Err)
    }
}
