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
    /// The peer that it came from; `None` for a local write.
    pub(super) from: Option<PeerId>,
    /// Until then it waits for others to the same peer.
    pub(super) send_at: Duration,
}

/// Pushes to each peer, in the order in which they came: otherwise it would find the one before missing.
#[derive(Clone, Debug, Default)]
pub(super) struct PushQueue {
    /// None of them is empty.
    waiting: BTreeMap<PeerId, VecDeque<QueuedPush>>,
    len: usize,
    /// How many came from each; none is 0.
    from: BTreeMap<Option<PeerId>, usize>,
}

impl PushQueue {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn add(&mut self, push: QueuedPush) {
        self.len += 1;
        *self.from.entry(push.from.clone()).or_default() += 1;
        self.waiting.entry(push.to.clone()).or_default().push_back(push);
    }

    pub(super) fn forget(&mut self, peer: &PeerId) {
        for push in self.waiting.remove(peer).into_iter().flatten() {
            self.count_out(&push);
        }
    }

    /// Makes room for a push from there in a queue that is full: what most pushes come from loses its newest. `false` if that
    /// is the same, which then has none. O(n) in what is queued if there is room.
    pub(super) fn make_room_for(&mut self, from: Option<&PeerId>) -> bool {
        let own = self.from.iter().find(|(other, _)| other.as_ref() == from).map_or(0, |(_, count)| *count);
        let most = self.from.iter().max_by_key(|(_, count)| **count).filter(|(_, count)| **count > own);
        let Some(most) = most.map(|(from, _)| from.clone()) else { return false };
        let newest = |pushes: &VecDeque<QueuedPush>| pushes.iter().rposition(|push| push.from == most);
        let of_peer = self.waiting.iter().filter(|(_, pushes)| newest(pushes).is_some());
        let Some(to) = of_peer.max_by_key(|(_, pushes)| pushes.len()).map(|(to, _)| to.clone()) else { return false };
        let Some(pushes) = self.waiting.get_mut(&to) else { return false };
        let Some(gone) = newest(pushes).and_then(|index| pushes.remove(index)) else { return false };
        if pushes.is_empty() {
            self.waiting.remove(&to);
        }
        self.count_out(&gone);
        true
    }

    fn count_out(&mut self, push: &QueuedPush) {
        self.len -= 1;
        if let Some(count) = self.from.get_mut(&push.from) {
            *count -= 1;
            if *count == 0 {
                self.from.remove(&push.from);
            }
        }
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
        if pushes.is_empty() {
            self.waiting.remove(to);
        }
        for push in &frame {
            self.count_out(push);
        }
        frame
    }
}
