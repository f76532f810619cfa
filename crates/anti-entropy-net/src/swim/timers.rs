use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::time::Duration;

use anti_entropy::PeerId;

use super::identity::Identity;

/// Something to do later.
#[derive(Debug)]
pub(super) enum Timer {
    /// A timer of foca.
    Foca(foca::Timer<Identity>),
    /// Send a hello again, unless the wait that began with this counter is over.
    Hello { address: SocketAddr, first: u64 },
    /// Ask the seeds, if this is still the newest plan.
    Seeds { plan: u64 },
    /// Report that a member is up, whether or not its announcements are known.
    Up(PeerId),
    /// Come back after others have declared this node down, or after it was put back.
    Rejoin,
    /// Look whether nobody was heard for too long.
    Silence,
    /// Draw the secret anew that nonces are made with.
    Renewal,
}

/// What to do later, ordered by time. Times count from the start of the node.
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

    /// Removes one that is due, the earliest first.
    pub(super) fn pop_due(&mut self, now: Duration) -> Option<Timer> {
        self.next_at().filter(|at| *at <= now)?;
        let Reverse((_, number)) = self.order.pop()?;
        self.waiting.remove(&number)
    }
}
