//! What an operator would want to know of a replica.

use alloc::collections::VecDeque;

use crate::KeyHash;
use crate::clock::{ClockSkew, Dot, ReplicaId};

/// Something that should not happen and did; nothing was lost by it beyond what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice<K> {
    /// A peer has seen more writes under this replica's id than it made: its store was rolled back. It writes under a new
    /// id from now on; its writes since it was opened may share their names with lost ones, and should be looked at.
    Renamed {
        /// The id until now.
        from: ReplicaId,
        /// The id from now on.
        to: ReplicaId,
        /// How many writes were made under the old one, as far as the store knew.
        made: u64,
    },
    /// One write was met with two contents: damage at one replica, or a name used twice. All keep the same one.
    ContentClash {
        /// The key.
        key: K,
        /// The write.
        dot: Dot,
    },
    /// This replica and a peer have seen the same at a key and hold different versions there: one of the stores has lost
    /// something, or kept what was deleted. Nothing was joined; [audit](super::Replica::audit) both, and wipe the damaged one:
    /// as a rule the one that lacks a version. After a replica was [renamed](Self::Renamed), those that it has talked to may
    /// lack what its reused names stood for.
    HistoriesDiffer {
        /// Where the key lies.
        key: KeyHash,
    },
    /// A version's timestamp is too far ahead for the local clock to follow; the version was taken in all the same.
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
