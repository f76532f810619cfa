//! This node's previous snapshot, and which of its patterns the store holds.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;

use anti_entropy::summary::{Fingerprint, Snapshot};
use anti_entropy::{Error, KeyHash, KeyRange, Replica, Version};

use super::versions::Versions;
use crate::Pattern;

/// This node's own patterns, by the hashes of their ids.
///
/// It reads only what changed in the store since the last rebuild, so that a rebuild costs little if little changed.
pub(super) struct OwnPatterns {
    node: String,
    pub(super) patterns: HashMap<KeyHash, OwnPattern>,
    /// Of every pattern that has several versions, whether these say the same.
    pub(super) versions: Versions,
    /// The snapshot of the replica up to which changes were read.
    until: Snapshot,
    /// What this node has written since `until`. A change that undid that is no difference to `until`.
    written: BTreeSet<KeyHash>,
    following: Option<Following>,
}

pub(super) struct OwnPattern {
    /// The pattern in the previous snapshot. After a restart, or if another writer used this node's name: the latest version
    /// in the store.
    pub(super) pattern: Pattern,
    pub(super) stored: Stored,
    /// The last rebuild whose snapshot had it.
    pub(super) rebuild: u64,
    /// What the store held of all nodes when this node wrote it last. If it holds the same, there is nothing to read.
    written: Option<Fingerprint>,
}

/// How many versions of this node the store holds at a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// None: it was deleted by an operator or a peer.
    Gone,
    /// One, as usual.
    Once,
    /// Several: the store was rolled back, and peers returned what this node had written before or after that.
    Several,
}

/// Reading of changes that goes on.
struct Following {
    until: Snapshot,
    /// What this node had written when it began.
    written: BTreeSet<KeyHash>,
    /// Where to continue.
    next: KeyHash,
}

impl Following {
    /// The next keys, at most this many, that may have changed since a snapshot.
    fn keys(&self, since: &Snapshot, limit: usize) -> Vec<KeyHash> {
        let rest = KeyRange::new(self.next, None).unwrap_or(KeyRange::ALL);
        let changed = since.diff_range(&self.until, &rest).map(|difference| difference.key).take(limit);
        let changed: BTreeSet<KeyHash> = changed.chain(self.written.range(self.next..).copied().take(limit)).collect();
        changed.into_iter().take(limit).collect()
    }
}

impl OwnPatterns {
    /// Reads this node's patterns from the store. Beside these, one record is in memory at a time.
    pub(super) fn read(node: &str, replica: &mut Replica<Pattern>) -> Result<Self, Error> {
        let mut own = Self {
            node: node.to_owned(),
            patterns: HashMap::new(),
            versions: Versions::default(),
            until: replica.summary(),
            written: BTreeSet::new(),
            following: None,
        };
        replica.for_each(|id, read| {
            own.take_in(KeyHash::of(id), read.siblings());
            ControlFlow::Continue(())
        })?;
        Ok(own)
    }

    /// Takes in changes of the store: deletes, and versions of this node that peers returned. Reads at most `limit` keys and
    /// returns whether that was all. What changes in the meantime is left to the next time.
    pub(super) fn follow(&mut self, replica: &mut Replica<Pattern>, limit: usize) -> Result<bool, Error> {
        let mut following = self.following.take().unwrap_or_else(|| Following {
            until: replica.summary(),
            written: std::mem::take(&mut self.written),
            next: KeyHash::from_u128(0),
        });
        let keys = following.keys(&self.until, limit);
        for key in &keys {
            if let Err(error) = self.read_key(*key, &following.until, replica) {
                following.next = *key;
                self.following = Some(following);
                return Err(error);
            }
        }
        let behind = keys.last().and_then(|last| last.to_u128().checked_add(1)).map(KeyHash::from_u128);
        if let Some(next) = behind.filter(|_| keys.len() == limit) {
            following.next = next;
            self.following = Some(following);
            return Ok(false);
        }
        self.until = following.until;
        Ok(true)
    }

    fn read_key(&mut self, key: KeyHash, until: &Snapshot, replica: &mut Replica<Pattern>) -> Result<(), Error> {
        let held = until.get(key);
        let own = self.patterns.get(&key);
        if own.is_some_and(|own| held.is_some() && own.written == held) {
            return Ok(());
        }
        let siblings = match own.map(|own| own.pattern.id.clone()) {
            Some(id) => replica.read(&id)?.siblings().to_vec(),
            None => read_unknown(key, replica)?,
        };
        if siblings.is_empty() && replica.summary().get(key).is_some() {
            return Err(Error::DamagedRecord { key, reason: "the store has lost it".to_owned() });
        }
        self.take_in(key, &siblings);
        Ok(())
    }

    fn take_in(&mut self, key: KeyHash, siblings: &[Version<Pattern>]) {
        self.versions.set(key, siblings.iter().map(|sibling| &sibling.value));
        let own = siblings.iter().filter(|sibling| sibling.value.origin() == self.node);
        let stored = if own.clone().count() > 1 { Stored::Several } else { Stored::Once };
        match (own.max_by_key(|sibling| (sibling.timestamp, sibling.dot)), self.patterns.get_mut(&key)) {
            (Some(latest), Some(known)) => {
                // The one that is held may share its embedding with the snapshot, and is then faster to compare.
                if known.pattern != latest.value {
                    known.pattern.clone_from(&latest.value);
                }
                (known.stored, known.written) = (stored, None);
            }
            (Some(latest), None) => {
                let pattern = latest.value.clone();
                self.patterns.insert(key, OwnPattern { pattern, stored, rebuild: 0, written: None });
            }
            (None, Some(known)) => (known.stored, known.written) = (Stored::Gone, None),
            (None, None) => {}
        }
    }

    /// Notes that this version replaced all others of this node, beside these of other nodes.
    pub(super) fn wrote(&mut self, key: KeyHash, pattern: Pattern, others: &[Pattern], rebuild: u64) {
        self.versions.set(key, others.iter().chain([&pattern]));
        self.patterns.insert(key, OwnPattern { pattern, stored: Stored::Once, rebuild, written: None });
    }

    pub(super) fn deleted(&mut self, key: KeyHash, others: &[Pattern]) {
        self.versions.set(key, others.iter());
        self.patterns.remove(&key);
    }

    /// Notes what the store held before and after this node wrote or deleted these.
    pub(super) fn stored(&mut self, keys: Vec<KeyHash>, before: &Snapshot, after: Snapshot) {
        for key in &keys {
            if let Some(own) = self.patterns.get_mut(key) {
                own.written = after.get(*key);
            }
        }
        let nothing_else = self.following.is_none() && before.root() == self.until.root();
        if nothing_else { self.until = after } else { self.written.extend(keys) }
    }

    /// Ends a rebuild: forgets patterns that neither the snapshot nor the store has any more.
    pub(super) fn rebuilt(&mut self, rebuild: u64) {
        self.patterns.retain(|_, own| own.rebuild == rebuild || own.stored != Stored::Gone);
    }
}

/// What the store holds of a pattern of which only the hash is known.
fn read_unknown(key: KeyHash, replica: &Replica<Pattern>) -> Result<Vec<Version<Pattern>>, Error> {
    let end = key.to_u128().checked_add(1).map(KeyHash::from_u128);
    let mut siblings = Vec::new();
    let only = KeyRange::new(key, end).unwrap_or(KeyRange::ALL);
    replica.for_each_in(only, &mut |_, read| {
        siblings = read.siblings().to_vec();
        ControlFlow::Break(())
    })?;
    Ok(siblings)
}
