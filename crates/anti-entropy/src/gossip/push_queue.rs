//! Pushes that wait to be sent, and what goes into a frame together.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::PeerId;
use crate::replica::ValueBytes;

/// A push that waits to be sent to one peer.
#[derive(Clone, Debug)]
pub(super) struct QueuedPush {
    pub(super) to: PeerId,
    /// The encoded push, shared among the peers to which it goes.
    pub(super) bytes: Arc<[u8]>,
    pub(super) value_bytes: ValueBytes,
    /// Whether it came from a peer.
    pub(super) relayed: bool,
    /// Until then it waits for others to the same peer.
    pub(super) send_at: Duration,
}

/// Pushes to each peer, in the order in which they came: otherwise it would find the one before missing.
#[derive(Clone, Debug, Default)]
pub(super) struct PushQueue {
    /// None of them is empty.
    waiting: BTreeMap<PeerId, VecDeque<QueuedPush>>,
    len: usize,
}

impl PushQueue {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn add(&mut self, push: QueuedPush) {
        self.len += 1;
        self.waiting.entry(push.to.clone()).or_default().push_back(push);
    }

    pub(super) fn forget(&mut self, peer: &PeerId) {
        self.len -= self.waiting.remove(peer).map_or(0, |pushes| pushes.len());
    }

    /// When the next one is to leave.
    pub(super) fn next_send_at(&self) -> Option<Duration> {
        self.waiting.values().filter_map(|pushes| pushes.front()).map(|push| push.send_at).min()
    }

    /// The peers to which one is to leave by this time.
    pub(super) fn due(&self, until: Duration) -> impl Iterator<Item = &PeerId> {
        let is_due = move |pushes: &VecDeque<QueuedPush>| pushes.front().is_some_and(|push| push.send_at <= until);
        self.waiting.iter().filter(move |(_, pushes)| is_due(pushes)).map(|(peer, _)| peer)
    }

    /// Takes out what goes into one frame to this peer: its first push, and those behind it, as long as they fit.
    pub(super) fn take_frame(&mut self, to: &PeerId, max_bytes: usize) -> Vec<QueuedPush> {
        let Some(pushes) = self.waiting.get_mut(to) else { return Vec::new() };
        let lengths = pushes.iter().map(|push| push.bytes.len());
        let ends = lengths.scan(0, |end, len| {
            *end += len;
            Some(*end)
        });
        let fit = ends.take_while(|end| *end <= max_bytes).count().max(1);
        let frame: Vec<QueuedPush> = pushes.drain(..fit).collect();
        self.len -= frame.len();
        if pushes.is_empty() {
            self.waiting.remove(to);
        }
        frame
    }
}
