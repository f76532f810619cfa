//! Pushes that came before what they need, as a network without order brings them.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::time::Duration;

use super::{GossipConfig, PeerId};
use crate::clock::Dot;
use crate::replica::ValueBytes;
use crate::sync::wire::Push;

/// A push as it came. Read anew each time it is tried: what a peer may write in two bytes, an empty part, takes twenty times
/// that in memory.
#[derive(Clone, Debug)]
pub(super) struct Arrived {
    pub(super) from: PeerId,
    pub(super) dot: Dot,
    seen: Box<[Dot]>,
    pub(super) value_bytes: ValueBytes,
    pub(super) bytes: Arc<[u8]>,
    /// Waits for what it needs until then.
    pub(super) until: Duration,
}

impl Arrived {
    /// The first push of `payload`, and what stands behind it; `None` if it does not parse.
    pub(super) fn read<'a>(payload: &'a [u8], from: &PeerId, until: Duration) -> Option<(Self, &'a [u8])> {
        let (push, rest) = postcard::take_from_bytes::<Push>(payload).ok()?;
        let bytes = Arc::from(&payload[..payload.len() - rest.len()]);
        let value_bytes = push.value_bytes();
        let Push { dot, seen, .. } = push;
        Some((Self { from: from.clone(), dot, seen: seen.into(), value_bytes, bytes, until }, rest))
    }

    pub(super) fn push(&self) -> Push {
        postcard::from_bytes(&self.bytes).expect("it was read from these bytes before")
    }

    /// Whether it is not ready before this write or delete is known: the one before of its writer, or one that it replaces.
    fn waits_for(&self, dot: Dot) -> bool {
        let before = dot.replica == self.dot.replica && dot.counter.checked_add(1) == Some(self.dot.counter);
        before || self.seen.contains(&dot)
    }
}

/// Pushes that are not ready, by the time of their arrival.
#[derive(Debug, Default)]
pub(super) struct CausalBuffer {
    waiting: VecDeque<Arrived>,
    bytes: usize,
}

impl CausalBuffer {
    pub(super) fn holds(&self, dot: Dot) -> bool {
        self.waiting.iter().any(|early| early.dot == dot)
    }

    /// Keeps a push; returns how many give way, the oldest first.
    pub(super) fn keep(&mut self, early: Arrived, config: &GossipConfig) -> u64 {
        self.bytes += early.bytes.len();
        self.waiting.push_back(early);
        let mut gone = 0;
        while self.waiting.len() > config.max_early_pushes || self.bytes > config.max_early_bytes {
            let Some(oldest) = self.waiting.pop_front() else { break };
            self.bytes -= oldest.bytes.len();
            gone += 1;
        }
        gone
    }

    /// Takes out those that may be ready now that this write or delete is known.
    pub(super) fn take_waiting_for(&mut self, dot: Dot) -> VecDeque<Arrived> {
        self.take(|early| early.waits_for(dot))
    }

    /// Takes out those whose time is up, each writer's in their order: one that is ready may make the next one so.
    pub(super) fn take_overdue(&mut self, now: Duration) -> VecDeque<Arrived> {
        let mut overdue = self.take(|early| early.until <= now);
        overdue.make_contiguous().sort_by_key(|early| early.dot);
        overdue
    }

    pub(super) fn forget(&mut self, peer: &PeerId) {
        self.take(|early| early.from == *peer);
    }

    /// When the next one is overdue.
    pub(super) fn overdue_at(&self) -> Option<Duration> {
        self.waiting.iter().map(|early| early.until).min()
    }

    fn take(&mut self, which: impl FnMut(&Arrived) -> bool) -> VecDeque<Arrived> {
        let (taken, kept): (VecDeque<_>, _) = core::mem::take(&mut self.waiting).into_iter().partition(which);
        self.bytes -= taken.iter().map(|early: &Arrived| early.bytes.len()).sum::<usize>();
        self.waiting = kept;
        taken
    }
}
