//! What two replicas have compared, and what is on its way between them.

use alloc::vec::Vec;

use super::ghost::Events;
use super::{Item, PushMessage};
use crate::clock::RangeClocks;
use crate::replica::Replica;
use crate::sync::transfer::{Baseline, Joined, Unreadable};
use crate::sync::wire::Batch;
use crate::{KeyHash, KeyRange};

/// Names a baseline: the session, and the batch at which it was taken; 0 for the comparison.
pub(super) type BaseId = (u32, u32);

/// Two replicas that have been compared.
pub(super) struct Session {
    pub(super) id: u32,
    /// The opener and the answerer.
    pub(super) sides: [usize; 2],
    /// The lives in which they were compared; none yet for an answerer that has not answered.
    pub(super) lives: [Option<u32>; 2],
    /// What the comparison compared.
    pub(super) compared: [Option<Baseline>; 2],
    /// Where batches may end; `None` for anywhere, while both contexts have room.
    pub(super) cuts: Option<Vec<KeyHash>>,
    /// Where the next batch of each side starts.
    pub(super) cursors: [Option<KeyHash>; 2],
    /// What each side could not read.
    pub(super) unreadable: [Unreadable; 2],
    /// The batches that were taken in, for replies.
    pub(super) joined: Vec<JoinedBatch>,
    /// The sides at the comparison, for the fault that sends that.
    pub(super) frozen: [Option<Replica<Item>>; 2],
}

/// A batch that was taken in, and can be answered (rule 6).
pub(super) struct JoinedBatch {
    /// Which side sent it.
    pub(super) sender: usize,
    pub(super) sequence: u32,
    pub(super) range: KeyRange,
    pub(super) clocks: RangeClocks,
    pub(super) joined: Joined,
    /// Where the answer goes on.
    pub(super) next: KeyHash,
    /// The receiver as it was before, for the fault that answers with that.
    pub(super) frozen: Option<Replica<Item>>,
}

#[derive(Clone)]
pub(super) enum Message {
    Batch(BatchMessage),
    Push(PushMessage),
}

/// A batch on its way.
#[derive(Clone)]
pub(super) struct BatchMessage {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) session: u32,
    /// Which side of the session sent it.
    pub(super) sender: usize,
    pub(super) sequence: u32,
    /// The receiver's baseline that it is relative to.
    pub(super) base: BaseId,
    pub(super) batch: Batch,
    /// By key, what the sender knew when it made the batch.
    pub(super) carried: Vec<Events>,
}
