//! The clocks of a node, which may drift, jump and stand still.

use core::time::Duration;

use anti_entropy::clock::Now;

/// What a node's clocks show, as a function of simulated time.
#[derive(Clone, Debug)]
pub(crate) struct NodeClock {
    /// Simulated time at which the rate changed last, and what the monotonic clock showed then.
    since_us: u64,
    base_us: u64,
    ppm: i32,
    wall_offset_ms: i64,
    frozen_at_ms: Option<u64>,
}

/// 2023, so that ten years back is still after the epoch.
const START_UNIX_MS: i64 = 1_700_000_000_000;

impl NodeClock {
    pub(crate) fn new(wall_offset_ms: i64) -> Self {
        Self { since_us: 0, base_us: 0, ppm: 0, wall_offset_ms, frozen_at_ms: None }
    }

    pub(crate) fn now(&self, at_us: u64) -> Now {
        let elapsed_us = self.elapsed_us(at_us);
        let unix_ms = self.frozen_at_ms.unwrap_or_else(|| self.wall_ms(elapsed_us));
        Now { elapsed: Duration::from_micros(elapsed_us), unix_ms }
    }

    /// When, in simulated time, the monotonic clock shows `elapsed`.
    pub(crate) fn when(&self, elapsed: Duration) -> u64 {
        let ahead = elapsed.as_nanos().div_ceil(1000).saturating_sub(u128::from(self.base_us));
        if self.ppm == 0 {
            return self.since_us.saturating_add(u64::try_from(ahead).unwrap_or(u64::MAX));
        }
        let span = (ahead * 1_000_000).div_ceil(self.rate());
        self.since_us.saturating_add(u64::try_from(span).unwrap_or(u64::MAX))
    }

    pub(crate) fn drift(&mut self, at_us: u64, ppm: i32) {
        (self.base_us, self.since_us) = (self.elapsed_us(at_us), at_us);
        self.ppm = ppm;
    }

    /// Puts the monotonic clock back, as a snapshot of a machine's memory does. The wall clock is right again at once.
    pub(crate) fn put_back(&mut self, at_us: u64, elapsed_us: u64) {
        let wall_ms = self.wall_ms(self.elapsed_us(at_us));
        (self.base_us, self.since_us) = (elapsed_us, at_us);
        let behind = wall_ms.saturating_sub(self.wall_ms(elapsed_us));
        self.jump(i64::try_from(behind).unwrap_or(i64::MAX));
    }

    pub(crate) fn jump(&mut self, by_ms: i64) {
        self.wall_offset_ms = self.wall_offset_ms.saturating_add(by_ms);
    }

    pub(crate) fn freeze(&mut self, at_us: u64, frozen: bool) {
        let shows = self.frozen_at_ms.unwrap_or_else(|| self.wall_ms(self.elapsed_us(at_us)));
        self.frozen_at_ms = frozen.then_some(shows);
    }

    fn wall_ms(&self, elapsed_us: u64) -> u64 {
        let running_ms = i64::try_from(elapsed_us / 1000).unwrap_or(i64::MAX);
        let wall = START_UNIX_MS.saturating_add(self.wall_offset_ms).saturating_add(running_ms);
        u64::try_from(wall).unwrap_or(0)
    }

    fn elapsed_us(&self, at_us: u64) -> u64 {
        let since = at_us.saturating_sub(self.since_us);
        if self.ppm == 0 {
            // Most clocks are right, and are read at every step.
            return self.base_us.saturating_add(since);
        }
        let span = u128::from(since) * self.rate() / 1_000_000;
        self.base_us.saturating_add(u64::try_from(span).unwrap_or(u64::MAX))
    }

    /// Microseconds that it counts in a second.
    fn rate(&self) -> u128 {
        u128::try_from(1_000_000 + i64::from(self.ppm)).unwrap_or(1).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_reached_when_it_says() {
        for ppm in [-50_000, -1, 0, 1, 50_000] {
            let mut clock = NodeClock::new(0);
            clock.drift(1_000_003, ppm);
            for elapsed in [1_000_004, 1_500_000, 77_777_777] {
                let at = clock.when(Duration::from_micros(elapsed));
                assert!(clock.now(at).elapsed >= Duration::from_micros(elapsed), "{ppm} {elapsed}");
                assert!(clock.now(at - 2).elapsed < Duration::from_micros(elapsed), "{ppm} {elapsed}");
            }
        }
    }

    #[test]
    fn a_frozen_clock_stands_still_and_goes_on_afterwards() {
        let mut clock = NodeClock::new(5);
        clock.freeze(1_000_000, true);
        assert_eq!(clock.now(9_000_000).unix_ms, 1_700_000_001_005);
        assert_eq!(clock.now(9_000_000).elapsed, Duration::from_secs(9));
        clock.freeze(9_000_000, false);
        assert_eq!(clock.now(9_000_000).unix_ms, 1_700_000_009_005);
        clock.jump(-10_000);
        assert_eq!(clock.now(9_000_000).unix_ms, 1_699_999_999_005);
    }
}
