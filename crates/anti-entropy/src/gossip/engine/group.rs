//! Group commit: what waits for an engine is made durable together.
//!
//! While a group is open, the engine takes in pushes and local writes, and nothing else: it opens no session, handles no
//! frame of one and gives no output, since that would tell of what is not durable. What it has to say of the writes
//! itself, it holds back.

use alloc::vec::Vec;

use super::Engine;
use crate::clock::Now;
use crate::replica::{Replicated, StoreError};
use crate::sync::wire::Push;

/// What waits for the commit of an open group.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Of local writes.
    pub(super) pushes: Vec<Push>,
    pub(super) pushes_taken: u64,
    pub(super) frames_joined: u64,
    /// How many pushes waited to be sent when the group was opened.
    queued_before: usize,
    /// How the first commit of the group ended, if it took more than one.
    first_commit: Option<Result<(), StoreError>>,
}

impl<V: Replicated> Engine<V> {
    /// Opens a group: local writes, and pushes in frames, wait for [`commit_group`](Self::commit_group). `false` if one is
    /// open already.
    pub(crate) fn begin_group(&mut self) -> bool {
        let begins = self.replica.begin_group();
        if begins {
            self.group = Group { queued_before: self.pushing.queued_len(), ..Group::default() };
        }
        begins
    }

    /// Whether nothing more fits into the open group: neither into its commit nor, once that is done, into the queue of
    /// pushes, which nothing leaves before that.
    #[cfg(feature = "std")]
    pub(crate) fn group_is_full(&self) -> bool {
        // One more than the fan-out, as in the tree.
        let targets = self.peers.len().min(self.config.push_fanout + 1);
        let relayed = self.pushing.queued_len().saturating_sub(self.group.queued_before);
        let next = self.group.pushes.len() + 1;
        self.replica.group_is_full() || relayed + next * targets > self.config.max_queued_pushes.max(targets)
    }

    /// Ends the open group: all of it is durable when this returns, or none of it has happened.
    pub(crate) fn commit_group(&mut self, now: Now) -> Result<(), StoreError> {
        let group = core::mem::take(&mut self.group);
        let committed = self.replica.commit_group();
        if group.pushes_taken > 0 {
            match &committed {
                Ok(()) => self.last_joined = Some(now.elapsed),
                // Who wrote locally is told by the caller.
                Err(error) => self.report_store(error),
            }
        }
        committed?;
        self.stats.pushes_taken += group.pushes_taken;
        self.stats.frames_joined += group.frames_joined;
        for push in group.pushes {
            self.push_to_some(&push, now);
        }
        Ok(())
    }

    /// Commits what is in the open group, and leaves it open for more. `false` if that failed.
    pub(super) fn continue_group(&mut self, now: Now) -> bool {
        let (earlier, queued_before) = (self.group.first_commit.take(), self.group.queued_before);
        let committed = self.commit_group(now);
        let is_committed = committed.is_ok();
        self.begin_group();
        self.group.queued_before = queued_before;
        self.group.first_commit = Some(earlier.unwrap_or(committed));
        is_committed
    }

    /// How the commit of all that was in the open group before the last frame ended, if the group got full within that
    /// frame.
    #[cfg(feature = "std")]
    pub(crate) fn take_first_commit(&mut self) -> Option<Result<(), StoreError>> {
        self.group.first_commit.take()
    }

    /// How many pushes were taken in, those of the open group among them.
    pub(super) fn pushes_taken(&self) -> u64 {
        self.stats.pushes_taken + self.group.pushes_taken
    }
}
