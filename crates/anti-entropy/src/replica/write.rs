//! Local writes and deletes (rules 1 and 2 of docs/architecture.md).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::version::{Record, Sibling};
use super::{Change, EncodeError, Error, Read, Replica, ReplicaConfig, Replicated, Seen, Staged, try_serde_encode};
use crate::KeyHash;
use crate::clock::{Context, Dot, Now, Timestamp};

/// Writes and deletes of several keys, which are committed together.
///
/// ```
/// use anti_entropy::{Keyed, Transaction};
///
/// let transaction = Transaction::new()
///     .write(Keyed::new(1u32, "one".to_string()))
///     .delete(2);
/// assert_eq!(transaction.len(), 2);
/// ```
#[derive(Clone, Debug)]
pub struct Transaction<V: Replicated> {
    operations: Vec<Operation<V>>,
}

#[derive(Clone, Debug)]
struct Operation<V: Replicated> {
    key: V::Key,
    /// What is written; `None` deletes.
    value: Option<V>,
    /// What the operation replaces; `None` for all that is held.
    seen: Option<Seen>,
}

/// A write or delete that was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The hash of the key.
    pub key: KeyHash,
    /// The name of the write or delete.
    pub dot: Dot,
    /// The writes that it replaces at every replica: all that its writer had seen at the key, even those that were gone
    /// already.
    pub seen: Vec<Dot>,
    /// Whether it was a delete.
    pub deleted: bool,
}

impl<V: Replicated> Transaction<V> {
    /// An empty transaction.
    pub const fn new() -> Self {
        Self { operations: Vec::new() }
    }

    /// Adds a write that replaces all versions at the value's key.
    pub fn write(self, value: V) -> Self {
        self.with(value.key(), Some(value), None)
    }

    /// Adds a write that replaces the versions in `seen`.
    pub fn write_seen(self, value: V, seen: &Seen) -> Self {
        self.with(value.key(), Some(value), Some(seen.clone()))
    }

    /// Adds a delete of all versions at `key`.
    pub fn delete(self, key: V::Key) -> Self {
        self.with(key, None, None)
    }

    /// Adds a delete of the versions in `seen`.
    pub fn delete_seen(self, key: V::Key, seen: &Seen) -> Self {
        self.with(key, None, Some(seen.clone()))
    }

    /// The number of writes and deletes.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether the transaction has no writes and no deletes.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    fn with(mut self, key: V::Key, value: Option<V>, seen: Option<Seen>) -> Self {
        self.operations.push(Operation { key, value, seen });
        self
    }
}

impl<V: Replicated> Default for Transaction<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: Replicated> Replica<V> {
    /// Writes a value, which replaces all versions at its key. The write is durable when this returns.
    ///
    /// # Errors
    /// As for [`commit`](Self::commit).
    pub fn write(&mut self, value: V, now: Now) -> Result<Written, Error> {
        let written = self.commit(Transaction::new().write(value), now)?;
        Ok(written.into_iter().next().expect("a write always gets a dot"))
    }

    /// Writes a value, which replaces the versions that an earlier read has seen. Versions that arrived since stay as
    /// siblings.
    ///
    /// # Errors
    /// As for [`commit`](Self::commit).
    pub fn write_seen(&mut self, value: V, seen: &Seen, now: Now) -> Result<Written, Error> {
        let written = self.commit(Transaction::new().write_seen(value, seen), now)?;
        Ok(written.into_iter().next().expect("a write always gets a dot"))
    }

    /// Deletes all versions at `key`; returns `None` if there were none. Versions that are written concurrently
    /// elsewhere survive.
    ///
    /// # Errors
    /// As for [`commit`](Self::commit).
    pub fn delete(&mut self, key: &V::Key, now: Now) -> Result<Option<Written>, Error> {
        Ok(self.commit(Transaction::new().delete(key.clone()), now)?.pop())
    }

    /// Deletes the versions that an earlier read has seen; returns `None` if none of them was left.
    ///
    /// # Errors
    /// As for [`commit`](Self::commit).
    pub fn delete_seen(&mut self, key: &V::Key, seen: &Seen, now: Now) -> Result<Option<Written>, Error> {
        Ok(self.commit(Transaction::new().delete_seen(key.clone(), seen), now)?.pop())
    }

    /// Makes all changes of a transaction together, durably. Returns one [`Written`] for each, in order, except for
    /// deletes that found nothing.
    ///
    /// # Errors
    /// If a change is refused or the store fails. Nothing of the transaction is done then; see [`Error`] for what to
    /// do.
    pub fn commit(&mut self, transaction: Transaction<V>, now: Now) -> Result<Vec<Written>, Error> {
        if !self.config.writers.allows(self.id()) {
            return Err(Error::NotAdmitted);
        }
        self.begin_life(now);
        let timestamp = self.clock.now(now.unix_ms);
        let mut context = self.context.clone();
        let mut records = BTreeMap::new();
        let mut written = Vec::new();
        for operation in transaction.operations {
            if let Some((record, done)) = self.stage(operation, &mut context, timestamp)? {
                if records.insert(done.key, record).is_some() {
                    return Err(Error::ChangedTwice(done.key));
                }
                written.push(done);
            }
        }
        if written.is_empty() {
            return Ok(written);
        }
        self.check_room_for_own_id()?;
        let keys: Vec<V::Key> = records.values().map(|record: &Record<V>| record.key.clone()).collect();
        let notes = Self::own_tags(&written, &records);
        self.persist(Staged { records, context, context_changed: false })?;
        self.note_own(notes);
        for key in keys {
            self.announce(Change::Local(key));
        }
        Ok(written)
    }

    /// What one operation makes of its key; `None` for a delete that finds nothing.
    fn stage(
        &mut self,
        operation: Operation<V>,
        context: &mut Context,
        timestamp: Timestamp,
    ) -> Result<Option<(Record<V>, Written)>, Error> {
        let key_bytes = try_serde_encode(&operation.key)?;
        if key_bytes.len() > self.config.max_key_bytes {
            return Err(Error::KeyTooLong { bytes: key_bytes.len(), limit: self.config.max_key_bytes });
        }
        let hash = KeyHash::of_encoded(&key_bytes);
        let mut record = self.load(hash)?.unwrap_or_else(|| Record::empty(operation.key.clone()));
        if record.key_bytes != key_bytes {
            return Err(Error::KeyCollision(hash));
        }
        let seen = self.what_was_seen(hash, &record, operation.seen)?;
        plant!(let seen = seen_by_write(seen, record.dots()));
        let replaces = |sibling: &Sibling<V>| seen.contains(&sibling.dot());
        if operation.value.is_none() && !record.siblings.iter().any(replaces) {
            return Ok(None);
        }
        let dot = context.mint()?;
        // One by one: among versions that are later there may be one that the clock follows and one that it does not.
        let times = record.siblings.iter().filter(|held| replaces(held)).map(|held| held.version.timestamp);
        let timestamp = times.fold(timestamp, |later, replaced| self.clock.later_than(later, replaced));
        let new = operation.value.map(|value| self.new_sibling(dot, timestamp, value, &record)).transpose()?;
        let deleted = new.is_none();
        let before = record.siblings.len();
        record.siblings.retain(|sibling| !replaces(sibling));
        record.siblings.extend(new);
        record.siblings.sort_by_key(Sibling::dot);
        if !deleted {
            self.check_length(hash, &record, before)?;
        }
        Ok(Some((record, Written { key: hash, dot, seen, deleted })))
    }

    /// Whether peers take in a write under the own id: they know it, or their clocks have room for it.
    fn check_room_for_own_id(&self) -> Result<(), Error> {
        plant!(check_room_for_own_id());
        if self.context.own_counter() > 0 {
            return Ok(());
        }
        let (replicas, limit) = (self.context.replicas_len() + 1, self.config.max_replicas_with_own());
        let all_listed = self.config.writers.listed().map(|listed| self.context.replicas_len_with(listed));
        let is_kept = all_listed.is_some_and(|replicas| replicas <= self.config.max_clock_replicas);
        if replicas <= limit || is_kept { Ok(()) } else { Err(Error::TooManyReplicas { replicas, limit }) }
    }

    /// Whether a message has room for an entry, and there are not too many versions.
    fn check_length(&self, key: KeyHash, record: &Record<V>, before: usize) -> Result<(), Error> {
        let (siblings, limit) = (record.siblings.len(), self.config.max_siblings);
        // What replaces others makes it no worse.
        if siblings > limit && siblings > before {
            return Err(Error::TooManySiblings { key, siblings, limit });
        }
        let Some(limit) = self.max_written_bytes() else { return Ok(()) };
        let bytes = record.max_len_bytes();
        if bytes > limit { Err(Error::EntryTooLong { key, bytes, limit }) } else { Ok(()) }
    }

    fn what_was_seen(&self, hash: KeyHash, record: &Record<V>, seen: Option<Seen>) -> Result<Vec<Dot>, Error> {
        let Some(seen) = seen else { return Ok(record.dots().collect()) };
        if seen.key != hash {
            return Err(Error::SeenElsewhere);
        }
        plant!(what_was_seen(&seen.dots));
        match seen.dots.iter().find(|dot| !self.context.covers(hash, **dot)) {
            Some(dot) => Err(Error::NotYetSeen(*dot)),
            None => Ok(seen.dots),
        }
    }

    fn new_sibling(&self, dot: Dot, timestamp: Timestamp, value: V, held: &Record<V>) -> Result<Sibling<V>, Error> {
        let written = Sibling::from_value(dot, timestamp, value)?;
        if written.encoded.parts.len() > ReplicaConfig::MAX_PARTS {
            return Err(EncodeError::new("it has more parts than MAX_PARTS; join some of them").into());
        }
        let (bytes, limit) = (written.encoded.len_bytes(), self.config.max_value_bytes);
        if bytes > limit {
            return Err(Error::ValueTooLong { bytes, limit });
        }
        // What does not come back as it went in would make the whole store unreadable: it is read once before.
        let (content, encoded) = (written.content, written.encoded);
        let read = Sibling::from_bytes(dot, timestamp, &held.key, encoded);
        let mut sibling = read.map_err(|error| Error::of_unreadable(&error))?;
        if sibling.content != content {
            return Err(Error::NotCanonical);
        }
        sibling.inherit(&held.siblings);
        Ok(sibling)
    }

    /// [Compacts](Self::compact) at most `limit` keys that have concurrent versions.
    ///
    /// # Errors
    /// As for [`commit`](Self::commit).
    pub fn compact_some(&mut self, limit: usize, now: Now) -> Result<Vec<Written>, Error> {
        let mut written = Vec::new();
        if !self.resolver.compacts() || !self.config.writers.allows(self.id()) {
            return Ok(written);
        }
        let conflicts: Vec<KeyHash> = self.conflicts.iter().copied().collect();
        for hash in conflicts {
            if written.len() == limit {
                break;
            }
            if let Some(record) = self.load(hash)? {
                written.extend(self.compact(&record.key, now)?);
            }
        }
        Ok(written)
    }

    /// Replaces the siblings at `key` with the resolved value, if the resolver asks for it and this replica wrote the
    /// greatest sibling; see [`Resolver::compacts`](super::Resolver::compacts).
    ///
    /// # Errors
    /// As for [`commit`](Self::commit).
    pub fn compact(&mut self, key: &V::Key, now: Now) -> Result<Option<Written>, Error> {
        if !self.resolver.compacts() {
            return Ok(None);
        }
        let read: Read<V> = self.read(key)?;
        let greatest = read.siblings().last().map(|version| version.dot.replica);
        plant!(let greatest = compacts_here(greatest, self.id()));
        if read.siblings().len() < 2 || greatest != Some(self.id()) {
            return Ok(None);
        }
        let seen = read.seen();
        match read.into_value() {
            Some(value) => self.write_seen(value, &seen, now).map(Some),
            None => Ok(None),
        }
    }
}
