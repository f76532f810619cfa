use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::time::Duration;

use anti_entropy::PeerId;

use super::identity::Identity;

/// What is done later.
#[derive(Debug)]
pub(super) enum Timer {
    /// What foca asked for.
    Foca(foca::Timer<Identity>),
    /// Say hello again to an address, unless the hello that began with this counter was answered.
    Hello { address: SocketAddr, first: u64 },
    /// Ask the seeds, if this is still the newest plan.
    Seeds { plan: u64 },
    /// Tell that a member is up, whether it has announced anything or not.
    Up(PeerId),
    /// Come back after having been declared down.
    Rejoin,
}

/// What is done later, by the time for it. Times count from when the node began.
#[derive(Debug, Default)]
pub(super) struct Timers {
    order: BinaryHeap<Reverse<(Duration, u64)>>,
    waiting: BTreeMap<u64, Timer>,
    next: u64,
}

impl Timers {
    pub(super) fn push(&mut self, at: Duration, timer: Timer) {
        self.order.push(Reverse((at, self.next)));
        self.waiting.insert(self.next, timer);
        self.next += 1;
    }

    /// When the next one is due.
    pub(super) fn next_at(&self) -> Option<Duration> {
        self.order.peek().map(|Reverse((at, _))| *at)
    }

    /// One that is due, the earliest first.
    pub(super) fn pop_due(&mut self, now: Duration) -> Option<Timer> {
        self.next_at().filter(|at| *at <= now)?;
        let Reverse((_, number)) = self.order.pop()?;
        self.waiting.remove(&number)
    }
}
