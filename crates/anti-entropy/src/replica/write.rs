//! Local writes and deletes (rules 1 and 2 of docs/architecture.md).

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::format::{StoredRecord, StoredSibling};
use super::group::EncodedRecord;
use super::version::{Fed, Sibling};
use super::{
    Change, ContentHash, EncodeError, Error, Read, Replica, ReplicaConfig, Replicated, Seen, try_serde_encode,
};
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

/// What an operation makes of its key.
struct Made<K> {
    key: K,
    done: Written,
    /// The hashes of all versions that are there then.
    versions: Vec<(Dot, ContentHash)>,
    /// Of what was written.
    content: Option<ContentHash>,
}

type Staging<K> = (EncodedRecord, Made<K>);

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
        let (mut records, mut made) = (BTreeMap::new(), Vec::new());
        for operation in transaction.operations {
            if let Some((record, change)) = self.stage(operation, &mut context, timestamp)? {
                if records.insert(change.done.key, record).is_some() {
                    return Err(Error::ChangedTwice(change.done.key));
                }
                made.push(change);
            }
        }
        if made.is_empty() {
            return Ok(Vec::new());
        }
        self.check_room_for_own_id()?;
        self.persist_encoded(records, context, false)?;
        self.note_own(made.iter().map(|made| Self::own_tag(&made.done, made.content)).collect());
        let mut written = Vec::with_capacity(made.len());
        for Made { key, done, versions, .. } in made {
            let fingerprint = if versions.len() > 1 { self.fingerprint_at(done.key) } else { None };
            self.contents.note(done.key, fingerprint, versions);
            self.announce(Change::Local(key));
            written.push(done);
        }
        Ok(written)
    }

    /// What one operation makes of its key; `None` for a delete that finds nothing.
    ///
    /// The versions that are held stay bytes: the values are decoded only of those that stay and whose hashes are not
    /// known.
    fn stage(
        &mut self,
        Operation { key, value, seen }: Operation<V>,
        context: &mut Context,
        timestamp: Timestamp,
    ) -> Result<Option<Staging<V::Key>>, Error> {
        let key_bytes = try_serde_encode(&key)?;
        if key_bytes.len() > self.config.max_key_bytes {
            return Err(Error::KeyTooLong { bytes: key_bytes.len(), limit: self.config.max_key_bytes });
        }
        let hash = KeyHash::of_encoded(&key_bytes);
        let bytes = self.load_bytes(hash)?.map(Cow::into_owned);
        let held = match &bytes {
            Some(bytes) => Self::read_stored(hash, bytes)?,
            None => StoredRecord { key: &key_bytes, siblings: Vec::new() },
        };
        if held.key != key_bytes {
            return Err(Error::KeyCollision(hash));
        }
        let seen = self.what_was_seen(hash, &held, seen)?;
        plant!(let seen = seen_by_write(seen, held.dots()));
        let mut replaced = seen.clone();
        replaced.sort_unstable();
        let is_replaced = |held: &&StoredSibling<'_>| replaced.binary_search(&held.dot).is_ok();
        let (gone, kept): (Vec<_>, Vec<_>) = held.siblings.iter().partition(is_replaced);
        if value.is_none() && gone.is_empty() {
            return Ok(None);
        }
        let dot = context.mint()?;
        // One by one: among versions that are later there may be one that the clock follows and one that it does not.
        let times = gone.iter().map(|held| held.timestamp);
        let timestamp = times.fold(timestamp, |later, replaced| self.clock.later_than(later, replaced));
        let new = value.map(|value| self.new_sibling(dot, timestamp, &key, &value, &held)).transpose()?;
        let (record, versions) = self.record_with(hash, &key, &held, &kept, new.as_ref())?;
        let done = Written { key: hash, dot, seen, deleted: new.is_none() };
        Ok(Some((record, Made { key, done, versions, content: new.map(|new| new.content) })))
    }

    /// The record of a key with the versions that stay there and a new one, and the hashes of all of them.
    fn record_with(
        &self,
        hash: KeyHash,
        key: &V::Key,
        held: &StoredRecord<'_>,
        kept: &[&StoredSibling<'_>],
        new: Option<&Sibling<V>>,
    ) -> Result<(EncodedRecord, Vec<(Dot, ContentHash)>), Error> {
        let mut record = StoredRecord { key: held.key, siblings: kept.iter().copied().cloned().collect() };
        let mut versions = self.contents_of(hash, key, kept)?;
        if let Some(new) = new {
            let at = kept.partition_point(|held| held.dot < new.dot());
            record.siblings.insert(at, StoredSibling::of(new));
            versions.insert(at, (new.dot(), new.content));
            self.check_length(hash, &record, held.siblings.len())?;
        }
        Ok((EncodedRecord::of(&record, &versions), versions))
    }

    /// The hashes of versions that are held at a key.
    fn contents_of(
        &self,
        hash: KeyHash,
        key: &V::Key,
        kept: &[&StoredSibling<'_>],
    ) -> Result<Vec<(Dot, ContentHash)>, Error> {
        let known = if kept.is_empty() { &[] } else { self.contents.of(hash, self.fingerprint_at(hash)) };
        let content = |held: &StoredSibling<'_>| match known.binary_search_by_key(&held.dot, |(dot, _)| *dot) {
            Ok(at) => Ok(known[at]),
            Err(_) => held.decode::<V>(key).map(|held| (held.dot(), held.content)),
        };
        kept.iter().map(|held| content(held).map_err(|error| Error::of_record(hash, error))).collect()
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
    fn check_length(&self, key: KeyHash, record: &StoredRecord<'_>, before: usize) -> Result<(), Error> {
        let (siblings, limit) = (record.siblings.len(), self.config.max_siblings);
        // What replaces others makes it no worse.
        if siblings > limit && siblings > before {
            return Err(Error::TooManySiblings { key, siblings, limit });
        }
        let Some(limit) = self.max_written_bytes() else { return Ok(()) };
        let bytes = record.max_len_bytes();
        if bytes > limit { Err(Error::EntryTooLong { key, bytes, limit }) } else { Ok(()) }
    }

    fn what_was_seen(&self, hash: KeyHash, held: &StoredRecord<'_>, seen: Option<Seen>) -> Result<Vec<Dot>, Error> {
        let Some(seen) = seen else { return Ok(held.dots().collect()) };
        if seen.key != hash {
            return Err(Error::SeenElsewhere);
        }
        plant!(what_was_seen(&seen.dots));
        match seen.dots.iter().find(|dot| !self.context.covers(hash, **dot)) {
            Some(dot) => Err(Error::NotYetSeen(*dot)),
            None => Ok(seen.dots),
        }
    }

    fn new_sibling(
        &self,
        dot: Dot,
        timestamp: Timestamp,
        key: &V::Key,
        value: &V,
        held: &StoredRecord<'_>,
    ) -> Result<Sibling<V>, Error> {
        let encoded = value.try_encode()?;
        if encoded.parts.len() > ReplicaConfig::MAX_PARTS {
            return Err(EncodeError::new("it has more parts than MAX_PARTS; join some of them").into());
        }
        let (bytes, limit) = (encoded.len_bytes(), self.config.max_value_bytes);
        if bytes > limit {
            return Err(Error::ValueTooLong { bytes, limit });
        }
        // What does not come back as it went in would make the whole store unreadable: it is read once before.
        let fed = Fed::by(value);
        let read = V::decode(key, &encoded).map_err(|error| Error::of_unreadable(&error))?;
        if !fed.is_fed_by(&read) {
            return Err(Error::NotCanonical);
        }
        let mut sibling = Sibling::that_feeds(&fed, dot, timestamp, read, encoded);
        sibling.inherit_where(|part| held.has_part(part.as_bytes()));
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
            if self.writes_back(hash)?
                && let Some(record) = self.load(hash)?
            {
                written.extend(self.compact(&record.key, now)?);
            }
        }
        Ok(written)
    }

    /// Whether this replica wrote the greatest of several siblings.
    fn writes_back(&self, hash: KeyHash) -> Result<bool, Error> {
        let Some(bytes) = self.load_bytes(hash)? else { return Ok(false) };
        let siblings = Self::read_stored(hash, &bytes)?.siblings;
        let greatest = siblings.last().map(|held| held.dot.replica);
        plant!(let greatest = compacts_here(greatest, self.id()));
        Ok(siblings.len() > 1 && greatest == Some(self.id()))
    }

    /// Replaces the siblings at `key` with the resolved value, if the resolver asks for it and this replica wrote the
    /// greatest sibling; see [`Resolver::compacts`](super::Resolver::compacts).
    ///
    /// # Errors
    /// As for [`commit`](Self::commit).
    pub fn compact(&mut self, key: &V::Key, now: Now) -> Result<Option<Written>, Error> {
        if !self.resolver.compacts() || !self.writes_back(KeyHash::of_encoded(&try_serde_encode(key)?))? {
            return Ok(None);
        }
        let read: Read<V> = self.read(key)?;
        let seen = read.seen();
        match read.into_value() {
            Some(value) => self.write_seen(value, &seen, now).map(Some),
            None => Ok(None),
        }
    }
}
