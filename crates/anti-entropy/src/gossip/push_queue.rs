//! Pushes that wait to be sent, and what goes into a frame together.

use alloc::collections::VecDeque;
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

/// Pushes in the order in which they came. All wait equally long, so the first one leaves first.
#[derive(Clone, Debug, Default)]
pub(super) struct PushQueue {
    waiting: VecDeque<QueuedPush>,
}

impl PushQueue {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn add(&mut self, push: QueuedPush) {
        self.waiting.push_back(push);
    }

    pub(super) fn forget(&mut self, peer: &PeerId) {
        self.waiting.retain(|push| push.to != *peer);
    }

    /// When the first one is to leave.
    pub(super) fn next_send_at(&self) -> Option<Duration> {
        self.waiting.front().map(|push| push.send_at)
    }

    /// Takes out what goes into one frame: the first push, if its time has come, and later ones to the same peer,
    /// as long as they fit. A peer's pushes keep their order, or it would find the one before missing.
    pub(super) fn take_frame(&mut self, now: Duration, max_bytes: usize) -> Vec<QueuedPush> {
        if self.next_send_at().is_none_or(|send_at| send_at > now) {
            return Vec::new();
        }
        let Some(first) = self.waiting.pop_front() else { return Vec::new() };
        let (to, mut bytes, mut full) = (first.to.clone(), first.bytes.len(), false);
        let mut frame = alloc::vec![first];
        self.waiting.retain(|push| {
            if full || push.to != to {
                return true;
            }
            full = bytes + push.bytes.len() > max_bytes;
            if !full {
                bytes += push.bytes.len();
                frame.push(push.clone());
            }
            full
        });
        frame
    }
}
