//! Group commit: several changes become durable with one commit of the store.
//!
//! While a group is open, what is read is what was changed last, and nothing of it may leave the replica: no frame, and
//! no answer to a caller. The summary follows when the store has committed; if that fails, the replica is as it was
//! before the group.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::format::StoredRecord;
use super::sizes::Size;
use super::version::{Record, fingerprint};
use super::{Change, Commit, ContentHash, Error, MetaSlot, Notice, Replica, Replicated, StoreError, format};
use crate::KeyHash;
use crate::clock::{Context, Dot};
use crate::summary::Fingerprint;

/// Changes that are made together: in the store first, then in memory.
pub(crate) struct Staged<V: Replicated> {
    /// The new record at each key; without siblings, nothing is kept there.
    pub(crate) records: BTreeMap<KeyHash, Record<V>>,
    pub(crate) context: Context,
    /// Whether the context changed beyond the replica's own counter.
    pub(crate) context_changed: bool,
}

/// A record that is ready for the store; all empty if nothing is kept at its key.
#[derive(Default)]
pub(super) struct EncodedRecord {
    pub(super) bytes: Option<Vec<u8>>,
    fingerprint: Option<Fingerprint>,
    size: Size,
}

impl EncodedRecord {
    /// The record with these versions, whose hashes are in their order.
    pub(super) fn of(record: &StoredRecord<'_>, versions: &[(Dot, ContentHash)]) -> Self {
        if versions.is_empty() {
            return Self::default();
        }
        let fingerprint = fingerprint(record.key, versions.iter().copied());
        let size = Size { bytes: record.max_len_bytes(), siblings: versions.len() };
        Self { bytes: Some(record.encode()), fingerprint: Some(fingerprint), size }
    }
}

impl<V: Replicated> From<&Record<V>> for EncodedRecord {
    fn from(record: &Record<V>) -> Self {
        let versions: Vec<_> = record.siblings.iter().map(|held| (held.dot(), held.content)).collect();
        Self::of(&StoredRecord::of(record), &versions)
    }
}

/// What waits for the commit of an open group.
pub(super) struct Group<K> {
    records: BTreeMap<KeyHash, EncodedRecord>,
    changes: Vec<Change<K>>,
    /// Of the replica's own writes and deletes, by their counters.
    own_tags: Vec<(u64, u64)>,
    /// The context before the first change; `None` as long as there is none.
    before: Option<Context>,
    context_changed: bool,
    writes: usize,
    bytes: usize,
}

impl<K> Group<K> {
    const fn new() -> Self {
        Self {
            records: BTreeMap::new(),
            changes: Vec::new(),
            own_tags: Vec::new(),
            before: None,
            context_changed: false,
            writes: 0,
            bytes: 0,
        }
    }

    /// The record at a key that the group has changed.
    pub(super) fn record(&self, key: KeyHash) -> Option<&EncodedRecord> {
        self.records.get(&key)
    }

    fn stage(&mut self, mut records: BTreeMap<KeyHash, EncodedRecord>) {
        self.writes += records.len();
        self.bytes += records.values().filter_map(|record| record.bytes.as_ref()).map(Vec::len).sum::<usize>();
        if self.records.is_empty() {
            self.records = records;
        } else {
            self.records.append(&mut records);
        }
    }
}

impl<V: Replicated> Replica<V> {
    /// Opens a group: what is changed from now on waits for [`commit_group`](Self::commit_group). `false` if one is open
    /// already.
    pub(crate) fn begin_group(&mut self) -> bool {
        let begins = self.group.is_none();
        plant!(let begins = begins_group(begins));
        self.group.get_or_insert_with(Group::new);
        begins
    }

    /// Whether a group is open.
    pub(crate) const fn is_grouping(&self) -> bool {
        self.group.is_some()
    }

    /// Whether the open group has reached a limit, and is to be committed before anything is added.
    pub(crate) fn group_is_full(&self) -> bool {
        let limits = &self.config;
        let is_full = |group: &Group<V::Key>| {
            group.writes >= limits.max_commit_writes.get() || group.bytes >= limits.max_commit_bytes.get()
        };
        self.group.as_ref().is_some_and(is_full)
    }

    /// Commits changes to the store and then follows them in memory; on an error, nothing changed in memory. In an open
    /// group, they wait for its commit instead.
    pub(crate) fn persist(&mut self, staged: Staged<V>) -> Result<(), Error> {
        let Staged { records, context, context_changed } = staged;
        let records = records.iter().map(|(hash, record)| (*hash, record.into())).collect();
        self.persist_encoded(records, context, context_changed)
    }

    /// As [`persist`](Self::persist), of records that are ready.
    pub(super) fn persist_encoded(
        &mut self,
        records: BTreeMap<KeyHash, EncodedRecord>,
        context: Context,
        context_changed: bool,
    ) -> Result<(), Error> {
        if self.group.as_ref().is_none_or(|group| group.before.is_none()) {
            self.check_store()?;
        }
        let begins = self.begin_group();
        if let Some(group) = &mut self.group {
            group.stage(records);
            group.context_changed |= context_changed;
            let before = core::mem::replace(&mut self.context, context);
            group.before.get_or_insert(before);
        }
        self.forget_digests();
        if begins { self.commit_group().map_err(Error::from) } else { Ok(()) }
    }

    /// The fingerprint of what is held at a key, as it was changed last.
    pub(super) fn fingerprint_at(&self, key: KeyHash) -> Option<Fingerprint> {
        let changed = self.group.as_ref().and_then(|group| group.records.get(&key));
        changed.map_or_else(|| self.tree.get(key), |record| record.fingerprint)
    }

    /// Tells subscribers of a change, once it is committed.
    pub(crate) fn announce(&mut self, change: Change<V::Key>) {
        match &mut self.group {
            Some(group) => group.changes.push(change),
            None => self.changes.push(change),
        }
    }

    /// Notes what this replica's own writes and deletes were, in their order, once they are committed: their names are
    /// used again if they are not.
    pub(super) fn note_own(&mut self, tags: Vec<(u64, u64)>) {
        match &mut self.group {
            Some(group) => group.own_tags.extend(tags),
            None => self.tags.note_own(tags),
        }
    }

    /// Ends the open group: all of it is durable when this returns, or none of it has happened. Does nothing if no group
    /// is open, or if nothing was changed in it.
    pub(crate) fn commit_group(&mut self) -> Result<(), StoreError> {
        plant!(commit_later(self.group.as_ref().map_or(0, |group| group.writes)));
        let Some(Group { records, changes, own_tags, before, context_changed, .. }) = self.group.take() else {
            return Ok(());
        };
        let Some(before) = before else { return Ok(()) };
        let is_stored = self.stored.as_ref().is_some_and(|stored| stored.is(&self.context.base()));
        if !is_stored {
            // What is written as a whole has everything in it, and nothing beside it.
            self.context.settle();
        }
        let mut commit = self.commit_of_meta(context_changed, is_stored);
        let mut summaries = Vec::with_capacity(records.len());
        let bytes = records.into_iter().map(|(hash, EncodedRecord { bytes, fingerprint, size })| {
            summaries.push((hash, fingerprint, size));
            (hash, bytes)
        });
        commit.records = bytes.collect();
        let left_as = commit.meta.get(&MetaSlot::Identity).cloned();
        if let Err(error) = self.store.commit(commit) {
            self.context = before;
            self.forget_digests();
            let stops = error.may_have_changed();
            plant!(let stops = stops_after_a_commit(stops));
            self.stopped = stops;
            self.stop_cause = stops.then(|| error.with_causes());
            return Err(error);
        }
        self.commits += 1;
        self.left_as = left_as;
        self.tags.note_own(own_tags);
        if context_changed {
            self.stored = Some(self.context.base());
        }
        for (hash, fingerprint, size) in summaries {
            self.summarise(hash, fingerprint);
            self.note_size(hash, size);
        }
        self.forget_filled();
        for change in changes {
            self.changes.push(change);
        }
        Ok(())
    }

    /// Follows how large the entry at a key is, and says so once it has grown beyond half of a limit.
    fn note_size(&mut self, hash: KeyHash, size: Size) {
        if size.siblings > 1 {
            self.conflicts.insert(hash);
        } else {
            self.conflicts.remove(&hash);
        }
        let (most_bytes, most_siblings) = (self.max_written_bytes().unwrap_or(usize::MAX), self.config.max_siblings);
        let is_large = |size: Size| size.bytes > most_bytes / 2 || size.siblings > 1.max(most_siblings / 2);
        let before = self.sizes.note(hash, size);
        if is_large(size) && !is_large(before) {
            self.notices.push(Notice::LargeEntry { hash, bytes: size.bytes, siblings: size.siblings });
        }
    }

    fn forget_digests(&mut self) {
        self.context_hash.take();
        self.tally.take();
    }

    /// `is_stored` says that the store has all of the context but for what was pushed since.
    fn commit_of_meta(&self, context_changed: bool, is_stored: bool) -> Commit {
        let mut commit = Commit::default();
        let identity = format::Identity {
            id: self.context.own_id(),
            counter: self.context.own_counter(),
            marker: self.marker.to_bytes(),
            last_timestamp: self.clock.greatest(),
            commits: self.commits + 1,
        };
        commit.meta.insert(MetaSlot::Identity, format::encode_identity(&identity));
        if context_changed && !is_stored {
            let context = format::encode_context(&self.context);
            plant!(let context = stored_context(context, &self.context, format::encode_context));
            commit.meta.insert(MetaSlot::Context, context);
        }
        if context_changed {
            commit.meta.insert(MetaSlot::Pushed, format::encode_raised(self.context.raised()));
        }
        commit
    }
}
