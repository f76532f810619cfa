use core::time::Duration;

use crate::clock::{ClockSkew, Timestamp};

/// Makes timestamps that follow the wall clock and never decrease.
///
/// The caller passes in the wall clock's time. If the wall clock stands still or jumps back, the logical counter
/// increases. The clock also follows timestamps that arrive, so that a write which saw another one gets a later
/// timestamp. It refuses timestamps too far ahead of the local wall clock: otherwise one host whose clock is a year
/// ahead would win every conflict on all hosts for a year.
///
/// Hybrid logical clocks are from Kulkarni, Demirbas, Madappa, Avva, Leone, "Logical Physical Clocks" (2014).
///
/// ```
/// use anti_entropy::clock::{HybridClock, Timestamp};
///
/// let mut clock = HybridClock::default();
/// let first = clock.now(1_000);
/// assert!(clock.now(1_000) > first && clock.now(500) > first);
///
/// let remote = Timestamp { wall_ms: 61_000, logical: 4 }; // a minute ahead
/// clock.observe(remote, 1_000)?;
/// assert!(clock.now(1_001) > remote);
/// # Ok::<(), anti_entropy::clock::ClockSkew>(())
/// ```
#[derive(Clone, Debug)]
pub struct HybridClock {
    last: Timestamp,
    max_ahead: Duration,
    refused: u64,
}

impl HybridClock {
    /// How far ahead of the local wall clock a timestamp may be by default: five minutes.
    ///
    /// Hosts that run NTP are within a second of each other, and Kerberos has accepted five minutes for decades. A
    /// lower limit would refuse hosts whose clocks are only badly kept. A higher one would let a wrong clock win
    /// conflicts for longer.
    pub const DEFAULT_MAX_AHEAD: Duration = Duration::from_secs(5 * 60);

    /// A new clock, which refuses timestamps more than `max_ahead` ahead of the local wall clock.
    pub const fn new(max_ahead: Duration) -> Self {
        Self::resume(max_ahead, Timestamp::MIN)
    }

    /// A clock that continues after `last`, the greatest timestamp in the replica's own store.
    ///
    /// `last` may be ahead by any amount, since the replica accepted it before.
    pub const fn resume(max_ahead: Duration, last: Timestamp) -> Self {
        Self { last, max_ahead, refused: 0 }
    }

    /// A timestamp for a write, greater than all that this clock has made or accepted before.
    ///
    /// `unix_ms` is the time of the local wall clock. If 2<sup>32</sup> timestamps fall into one millisecond, the next
    /// one has the following millisecond. [`Timestamp::MAX`] has no successor and is returned again, so that the dot
    /// decides conflicts; this takes 584 million years, or a wall clock that is wrong by as much.
    pub fn now(&mut self, unix_ms: u64) -> Timestamp {
        let by_wall = Timestamp { wall_ms: unix_ms, logical: 0 };
        self.last = if by_wall > self.last { by_wall } else { self.last.next().unwrap_or(Timestamp::MAX) };
        self.last
    }

    /// Follows a timestamp of another replica: all timestamps made from now on are greater.
    ///
    /// # Errors
    /// [`ClockSkew`] if the timestamp is more than the accepted time ahead of `unix_ms`, the time of the local wall
    /// clock. The clock then does not move, and the refusal is counted.
    pub fn observe(&mut self, remote: Timestamp, unix_ms: u64) -> Result<(), ClockSkew> {
        let ahead_ms = remote.wall_ms.saturating_sub(unix_ms);
        if Duration::from_millis(ahead_ms) > self.max_ahead {
            self.refused = self.refused.saturating_add(1);
            let max_ahead_ms = u64::try_from(self.max_ahead.as_millis()).unwrap_or(u64::MAX);
            return Err(ClockSkew { remote, ahead_ms, max_ahead_ms });
        }
        self.last = self.last.max(remote);
        Ok(())
    }

    /// The greatest timestamp made or accepted so far, or [`Timestamp::MIN`].
    pub const fn last(&self) -> Timestamp {
        self.last
    }

    /// The number of timestamps that this clock has refused.
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// Changes how far ahead of the local wall clock a timestamp may be.
    pub(crate) const fn set_max_ahead(&mut self, max_ahead: Duration) {
        self.max_ahead = max_ahead;
    }

    /// How far ahead of the local wall clock a timestamp may be.
    pub const fn max_ahead(&self) -> Duration {
        self.max_ahead
    }
}

/// A new clock with [`HybridClock::DEFAULT_MAX_AHEAD`].
impl Default for HybridClock {
    fn default() -> Self {
        Self::new(Self::DEFAULT_MAX_AHEAD)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn at(wall_ms: u64, logical: u32) -> Timestamp {
        Timestamp { wall_ms, logical }
    }

    #[test]
    fn it_follows_the_wall_clock_and_counts_when_that_does_not_advance() {
        let mut clock = HybridClock::default();
        let made = [5, 5, 3, 6, 6].map(|wall| clock.now(wall));
        assert_eq!(made, [at(5, 0), at(5, 1), at(5, 2), at(6, 0), at(6, 1)]);
    }

    #[test]
    fn a_remote_timestamp_within_the_bound_is_overtaken() {
        let mut clock = HybridClock::new(Duration::from_millis(100));
        clock.observe(at(1_100, 7), 1_000).unwrap();
        assert_eq!(clock.now(1_000), at(1_100, 8));
        clock.observe(at(4, 4), 1_000).unwrap();
        assert_eq!(clock.last(), at(1_100, 8), "an older one moves nothing");
    }

    #[test]
    fn one_that_is_too_far_ahead_is_refused_counted_and_moves_nothing() {
        let mut clock = HybridClock::new(Duration::from_millis(100));
        clock.now(1_000);
        let refusal = clock.observe(at(1_101, 0), 1_000).unwrap_err();
        assert_eq!(refusal, ClockSkew { remote: at(1_101, 0), ahead_ms: 101, max_ahead_ms: 100 });
        assert!(clock.observe(Timestamp::MAX, 1_000).is_err());
        assert_eq!((clock.refused(), clock.last()), (2, at(1_000, 0)));
        assert_eq!(clock.now(1_000), at(1_000, 1));
    }

    #[test]
    fn it_stops_at_the_last_timestamp_without_panicking() {
        let mut clock = HybridClock::resume(Duration::MAX, at(u64::MAX, u32::MAX - 1));
        assert_eq!([clock.now(1), clock.now(2), clock.now(u64::MAX)], [Timestamp::MAX; 3]);
        clock.observe(Timestamp::MAX, 0).unwrap();
        assert_eq!(clock.last(), Timestamp::MAX);
    }

    proptest::proptest! {
        #[test]
        fn always_later(steps: Vec<(bool, Timestamp, u64)>) {
            let mut clock = HybridClock::new(Duration::from_secs(1 << 40));
            for (observe, remote, wall) in steps {
                let before = clock.last();
                if observe {
                    let _ = clock.observe(remote, wall);
                    proptest::prop_assert!(clock.last() >= before);
                } else {
                    proptest::prop_assert!(clock.now(wall) > before || before == Timestamp::MAX);
                }
            }
        }
    }
}
