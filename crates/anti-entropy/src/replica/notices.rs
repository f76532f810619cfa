//! Notices for the operator of a replica.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::KeyHash;
use crate::clock::{ClockSkew, Dot, ReplicaId};

/// Something happened that should not, and that an operator should look at. Only what the variant says was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice<K> {
    /// Somebody else makes or has made writes under this replica's id: its store or its memory was put back to an earlier
    /// state, or copied. The replica makes further writes under a new id, and has written those of its versions anew
    /// that no peer is known to have seen. Nothing is lost by that. What peers hold under the same names comes in beside
    /// them, as siblings: look at these keys.
    Renamed {
        /// The old id.
        from: ReplicaId,
        /// The new id.
        to: ReplicaId,
        /// The number of writes that this replica had made under the old id.
        made: u64,
        /// The keys of the versions that were written anew.
        reissued: Vec<K>,
    },
    /// The application has said that the process was put back to an earlier state of its memory, or runs twice
    /// ([`Replica::put_back`](super::Replica::put_back)). As with [`Renamed`](Self::Renamed), the replica makes further
    /// writes under a new id, and has written anew what no peer is known to have seen.
    PutBack {
        /// The old id.
        from: ReplicaId,
        /// The new id.
        to: ReplicaId,
        /// The number of writes that this replica had made under the old id.
        made: u64,
        /// The keys of the versions that were written anew.
        reissued: Vec<K>,
    },
    /// A version came in under a name that this replica may have used for another write, before it
    /// took another id. It is kept, although it may have been replaced here.
    NameUsedTwice {
        /// The key.
        key: K,
        /// The write.
        dot: Dot,
    },
    /// A write was found with two different contents: one replica is damaged, or the write's name was used twice. All
    /// replicas keep the same one of the two.
    ContentClash {
        /// The key.
        key: K,
        /// The write.
        dot: Dot,
    },
    /// This replica and a peer have seen the same writes at a key but hold different versions: one of the stores has
    /// lost a version, or kept a deleted one. Nothing was joined. [Audit](super::Replica::audit) both, and wipe the
    /// damaged one, which is usually the one that lacks a version.
    HistoriesDiffer {
        /// The hash of the key.
        key: KeyHash,
    },
    /// A peer holds something at this key that this replica cannot decode, or that belongs to another key with the same
    /// hash: a value of a newer release, usually. Everything else was joined. This replica holds what it held at the
    /// key, and tells nobody that it has seen more; nothing is lost. It tries again when the peer's entry changes, and
    /// when it is opened again. Upgrade it.
    Unreadable {
        /// The hash of the key.
        hash: KeyHash,
        /// The key, if it can be read.
        key: Option<K>,
    },
    /// A peer holds an entry at this key that is longer than [`SessionConfig::max_message_bytes`] is here or there.
    /// Everything else was joined. It is tried again when the smaller limit is raised. Raise it, or resolve the key's
    /// versions where they are held.
    ///
    /// [`SessionConfig::max_message_bytes`]: crate::SessionConfig::max_message_bytes
    TooLong {
        /// The hash of the key.
        hash: KeyHash,
        /// The key, if this replica holds an earlier version at it.
        key: Option<K>,
    },
    /// What was missing at this key, as [`Unreadable`](Self::Unreadable) or [`TooLong`](Self::TooLong) said, is here.
    HoleFilled {
        /// The hash of the key.
        hash: KeyHash,
    },
    /// The entry at this key has grown beyond half of a limit: of
    /// [`ReplicaConfig::max_siblings`](super::ReplicaConfig::max_siblings), or of what a message has room for. At the limit,
    /// writes of the key fail, and peers may be unable to take it in. Nothing was lost. Resolve the key's versions, or write
    /// shorter values.
    LargeEntry {
        /// The hash of the key.
        hash: KeyHash,
        /// At least as many bytes as it takes in a message, as [`Error::EntryTooLong`](super::Error) counts them.
        bytes: usize,
        /// How many versions there are.
        siblings: usize,
    },
    /// A version's timestamp is too far ahead for the local clock to follow. The version was accepted all the same.
    ClockSkew(ClockSkew),
}

/// Notices nobody has read yet. The oldest give way; the counters in [`ReplicaStats`](super::ReplicaStats) keep count.
#[derive(Debug)]
pub(crate) struct Notices<K>(VecDeque<Notice<K>>);

impl<K> Notices<K> {
    /// Each kind of notice has a counter beside it, so few are enough to see what is the matter.
    const LIMIT: usize = 64;

    pub(crate) fn push(&mut self, notice: Notice<K>) {
        if self.0.len() == Self::LIMIT {
            self.0.pop_front();
        }
        self.0.push_back(notice);
    }

    pub(crate) fn pop(&mut self) -> Option<Notice<K>> {
        self.0.pop_front()
    }
}

impl<K> Default for Notices<K> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}
