use std::time::Duration;

use super::timings::SwimTimings;
use crate::backoff::Backoff;

/// How long to wait before coming back after having been declared down: not at all the first time, and longer each time
/// while it repeats, since two processes with one name would otherwise declare each other down without a pause.
#[derive(Debug)]
pub(super) struct RejoinDelay {
    backoff: Backoff,
    /// After this long without coming back, the next time counts as the first.
    forget_after: Duration,
    /// When this node came back last, or will.
    last: Option<Duration>,
}

impl RejoinDelay {
    pub(super) fn new(timings: &SwimTimings, seed: u64) -> Self {
        let backoff = Backoff::new(timings.probe_interval, timings.rejoin_max, seed);
        Self { backoff, forget_after: 4 * timings.rejoin_max, last: None }
    }

    /// The delay from now, which counts as used.
    pub(super) fn next(&mut self, now: Duration) -> Duration {
        let delay = if self.last.is_none_or(|last| now >= last + self.forget_after) {
            self.backoff.reset();
            Duration::ZERO
        } else {
            self.backoff.delay()
        };
        self.last = Some(now + delay);
        delay
    }
}
