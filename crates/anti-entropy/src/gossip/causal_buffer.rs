//! The causal delivery buffer: pushes that arrived before the writes that they depend on wait in it, as where a network
//! does not keep the order.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use core::time::Duration;

use super::config::GossipConfig;
use crate::PeerId;
use crate::clock::Dot;
use crate::replica::ValueBytes;
use crate::sync::wire::Push;

/// A push as it arrived. One that waits is decoded anew when it is tried again, since it takes more memory decoded: an empty
/// part is two bytes on the wire and forty in memory.
#[derive(Clone, Debug)]
pub(super) struct Arrived {
    pub(super) from: PeerId,
    pub(super) dot: Dot,
    seen: Box<[Dot]>,
    pub(super) value_bytes: ValueBytes,
    pub(super) bytes: Arc<[u8]>,
    /// Until when it may wait.
    pub(super) until: Duration,
}

impl Arrived {
    /// The first push of `payload`, also decoded, and the bytes after it; `None` if it does not parse.
    pub(super) fn read<'a>(payload: &'a [u8], from: &PeerId, until: Duration) -> Option<(Self, Push, &'a [u8])> {
        let (push, rest) = postcard::take_from_bytes::<Push>(payload).ok()?;
        let bytes = Arc::from(&payload[..payload.len() - rest.len()]);
        let (dot, seen, value_bytes) = (push.dot, push.seen.as_slice().into(), push.value_bytes());
        Some((Self { from: from.clone(), dot, seen, value_bytes, bytes, until }, push, rest))
    }

    pub(super) fn push(&self) -> Push {
        postcard::from_bytes(&self.bytes).expect("it was read from these bytes before")
    }

    /// Whether it depends on this write or delete: its writer's previous one, or one that it replaces.
    fn waits_for(&self, dot: Dot) -> bool {
        let before = dot.replica == self.dot.replica && dot.counter.checked_add(1) == Some(self.dot.counter);
        before || self.seen.contains(&dot)
    }
}

/// Pushes that wait for the writes that they depend on, in the order of their arrival.
#[derive(Clone, Debug, Default)]
pub(super) struct CausalBuffer {
    waiting: VecDeque<Arrived>,
    bytes: usize,
}

impl CausalBuffer {
    pub(super) fn holds(&self, dot: Dot) -> bool {
        self.waiting.iter().any(|held| held.dot == dot)
    }

    /// Adds a push; returns how many had to give way: the oldest of the peer that takes most of the room that is short.
    pub(super) fn keep(&mut self, arrived: Arrived, config: &GossipConfig) -> u64 {
        self.bytes += arrived.bytes.len();
        self.waiting.push_back(arrived);
        let mut gone = 0;
        while self.waiting.len() > config.max_buffered_pushes || self.bytes > config.max_buffered_bytes {
            let is_short_of_bytes = self.bytes > config.max_buffered_bytes;
            let Some(oldest) = self.oldest_of_the_largest(is_short_of_bytes) else { break };
            self.bytes -= oldest.bytes.len();
            gone += 1;
        }
        gone
    }

    fn oldest_of_the_largest(&mut self, is_short_of_bytes: bool) -> Option<Arrived> {
        let mut taken: BTreeMap<&PeerId, usize> = BTreeMap::new();
        for held in &self.waiting {
            *taken.entry(&held.from).or_default() += if is_short_of_bytes { held.bytes.len() } else { 1 };
        }
        let largest = taken.into_iter().max_by_key(|(_, taken)| *taken)?.0;
        let oldest = self.waiting.iter().position(|held| held.from == *largest)?;
        self.waiting.remove(oldest)
    }

    /// Takes out the pushes that may be ready now that this write or delete is known.
    pub(super) fn take_waiting_for(&mut self, dot: Dot) -> VecDeque<Arrived> {
        self.take(|held| held.waits_for(dot))
    }

    /// Takes out the pushes that may wait no longer, each writer's in ascending order: one that is ready may make the
    /// next one ready.
    pub(super) fn take_overdue(&mut self, now: Duration) -> VecDeque<Arrived> {
        let mut overdue = self.take(|held| held.until <= now);
        overdue.make_contiguous().sort_by_key(|held| held.dot);
        overdue
    }

    pub(super) fn forget(&mut self, peer: &PeerId) {
        self.take(|held| held.from == *peer);
    }

    /// When the next push may wait no longer.
    pub(super) fn overdue_at(&self) -> Option<Duration> {
        self.waiting.iter().map(|held| held.until).min()
    }

    fn take(&mut self, which: impl FnMut(&Arrived) -> bool) -> VecDeque<Arrived> {
        let (taken, kept): (VecDeque<_>, _) = core::mem::take(&mut self.waiting).into_iter().partition(which);
        self.bytes -= taken.iter().map(|held: &Arrived| held.bytes.len()).sum::<usize>();
        self.waiting = kept;
        taken
    }
}
