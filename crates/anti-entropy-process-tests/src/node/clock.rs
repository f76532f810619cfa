//! A wall clock that is wrong by as much as a run likes.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anti_entropy::clock::Now;
use anti_entropy::{Clock, SystemClock};

/// The operating system's clocks, the wall clock with an offset that may jump.
#[derive(Clone, Debug)]
pub(super) struct SkewedClock {
    system: SystemClock,
    offset_ms: Arc<AtomicI64>,
}

impl SkewedClock {
    pub(super) fn new(offset_ms: i64) -> Self {
        Self { system: SystemClock::new(), offset_ms: Arc::new(AtomicI64::new(offset_ms)) }
    }

    pub(super) fn set_offset(&self, offset_ms: i64) {
        self.offset_ms.store(offset_ms, Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> Now {
        let now = self.system.now();
        Now { unix_ms: now.unix_ms.saturating_add_signed(self.offset_ms.load(Ordering::Relaxed)), ..now }
    }
}

impl Clock for SkewedClock {
    fn now(&self) -> Now {
        Self::now(self)
    }
}
