use std::collections::{BTreeMap, VecDeque};
use std::task::Waker;
use std::vec::Vec;

use super::MemoryNetwork;
use crate::PeerId;

/// The frames that wait for one transport.
#[derive(Debug)]
pub(super) struct Mailbox {
    pub(super) life: u64,
    pub(super) open: bool,
    queue: VecDeque<(PeerId, Vec<u8>)>,
    queued_bytes: usize,
    /// A frame that the next one overtakes.
    held: Option<(PeerId, Vec<u8>)>,
    /// Whom to wake when a frame arrives, by the ticket of each receive.
    pub(super) waiting: BTreeMap<u64, Waker>,
}

impl Mailbox {
    pub(super) fn new(life: u64) -> Self {
        Self { life, open: true, queue: VecDeque::new(), queued_bytes: 0, held: None, waiting: BTreeMap::new() }
    }

    /// Queues a frame, or holds it back if it is to be late and no other is; `false` if there is no room.
    pub(super) fn accept(&mut self, from: &PeerId, frame: Vec<u8>, late: bool) -> bool {
        if late && self.held.is_none() {
            self.held = Some((from.clone(), frame));
            return true;
        }
        let queued = self.push(from.clone(), frame);
        if let Some((from, frame)) = self.held.take() {
            self.push(from, frame);
        }
        queued
    }

    fn push(&mut self, from: PeerId, frame: Vec<u8>) -> bool {
        let room = self.queue.len() < MemoryNetwork::RECEIVE_QUEUE_FRAMES
            && self.queued_bytes + frame.len() <= MemoryNetwork::RECEIVE_QUEUE_BYTES;
        if room {
            self.queued_bytes += frame.len();
            self.queue.push_back((from, frame));
        }
        room
    }

    pub(super) fn pop(&mut self) -> Option<(PeerId, Vec<u8>)> {
        let (from, frame) = self.queue.pop_front()?;
        self.queued_bytes -= frame.len();
        Some((from, frame))
    }

    /// All receivers are woken: if only one was, it might have been dropped meanwhile.
    pub(super) fn take_wakers(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.waiting).into_values().collect()
    }

    pub(super) fn close(&mut self) -> Vec<Waker> {
        self.open = false;
        self.queue = VecDeque::new();
        self.queued_bytes = 0;
        self.held = None;
        self.take_wakers()
    }
}
