use core::time::Duration;

use crate::clock::{ClockSkew, Timestamp};

/// Makes timestamps that follow the wall clock, and do not decrease while the wall clock is about right.
///
/// The caller passes in the wall clock's time. If the wall clock stands still or jumps back a little, the logical
/// counter increases. The clock also follows timestamps that arrive, so that a write which saw another one gets a later
/// timestamp. It refuses timestamps too far ahead of the local wall clock: otherwise one host whose clock is a year
/// ahead would win every conflict on all hosts for a year.
///
/// For the same reason it follows a wall clock that jumps back by more than that: it was ahead, and was put right. What
/// was written meanwhile keeps its timestamps, and a write that replaces it is later all the same; see
/// [`later_than`](Self::later_than).
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
    /// What the clock goes on from.
    last: Timestamp,
    /// The greatest timestamp made or accepted; after the wall clock was put right, `last` is earlier.
    greatest: Timestamp,
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
    /// `last` may be ahead by any amount. If it is too far ahead of the wall clock, the clock follows the wall clock,
    /// and still knows `last` for [`later_than`](Self::later_than).
    pub const fn resume(max_ahead: Duration, last: Timestamp) -> Self {
        Self { last, greatest: last, max_ahead, refused: 0 }
    }

    /// A timestamp for a write. It is greater than all that this clock has made or accepted before, but for those too
    /// far ahead of the wall clock as it is now.
    ///
    /// `unix_ms` is the time of the local wall clock. If 2<sup>32</sup> timestamps fall into one millisecond, the next
    /// one has the following millisecond. [`Timestamp::MAX`] has no successor and is returned again, so that the dot
    /// decides conflicts; this takes 584 million years, or a wall clock that is wrong by as much.
    pub fn now(&mut self, unix_ms: u64) -> Timestamp {
        let by_wall = Timestamp { wall_ms: unix_ms, logical: 0 };
        let follows = by_wall > self.last || self.is_too_far_ahead(self.last, unix_ms);
        plant!(let follows = follows_wall_clock(follows, by_wall > self.last));
        self.last = if follows { by_wall } else { self.last.next().unwrap_or(Timestamp::MAX) };
        self.greatest = self.greatest.max(self.last);
        self.last
    }

    /// The timestamp of a write that this clock has made `made` for and that replaces a version of the time `replaced`:
    /// later than the version if this clock made or accepted that time, whatever the wall clock has done since.
    ///
    /// A time that the clock refused is not followed here either. The version is replaced all the same: causality
    /// decides that.
    ///
    /// ```
    /// use anti_entropy::clock::HybridClock;
    ///
    /// let mut clock = HybridClock::default();
    /// let ahead = clock.now(1_000_000_000_000);
    /// let right = clock.now(1_000); // the wall clock was put right
    /// assert!(right < ahead);
    /// assert!(clock.later_than(right, ahead) > ahead);
    /// assert!(clock.now(1_001) < ahead, "other writes go by the wall clock");
    /// ```
    pub fn later_than(&mut self, made: Timestamp, replaced: Timestamp) -> Timestamp {
        if replaced < made || replaced > self.greatest {
            return made;
        }
        let later = replaced.next().unwrap_or(Timestamp::MAX);
        self.greatest = self.greatest.max(later);
        later
    }

    /// Follows a timestamp of another replica: all timestamps made from now on are greater.
    ///
    /// # Errors
    /// [`ClockSkew`] if the timestamp is more than the accepted time ahead of `unix_ms`, the time of the local wall
    /// clock. The clock then does not move, and the refusal is counted.
    pub fn observe(&mut self, remote: Timestamp, unix_ms: u64) -> Result<(), ClockSkew> {
        if self.is_too_far_ahead(remote, unix_ms) {
            self.refused = self.refused.saturating_add(1);
            let ahead_ms = remote.wall_ms.saturating_sub(unix_ms);
            let max_ahead_ms = u64::try_from(self.max_ahead.as_millis()).unwrap_or(u64::MAX);
            return Err(ClockSkew { remote, ahead_ms, max_ahead_ms });
        }
        // What the wall clock has been put right from must not hide this one.
        let is_stale = self.is_too_far_ahead(self.last, unix_ms);
        self.last = if is_stale { remote } else { self.last.max(remote) };
        self.greatest = self.greatest.max(remote);
        Ok(())
    }

    /// The timestamp that the clock goes on from: the greatest one made or accepted since the wall clock was last put
    /// right, or [`Timestamp::MIN`].
    pub const fn last(&self) -> Timestamp {
        self.last
    }

    /// The greatest timestamp made or accepted so far, which is to be kept for [`resume`](Self::resume).
    pub const fn greatest(&self) -> Timestamp {
        self.greatest
    }

    fn is_too_far_ahead(&self, timestamp: Timestamp, unix_ms: u64) -> bool {
        Duration::from_millis(timestamp.wall_ms.saturating_sub(unix_ms)) > self.max_ahead
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

    const YEARS_MS: u64 = 10 * 365 * 24 * 3_600_000;

    #[test]
    fn a_wall_clock_that_was_ahead_and_is_put_right_is_followed_again() {
        let mut clock = HybridClock::default();
        clock.now(YEARS_MS);
        let ahead = clock.now(2 * YEARS_MS);
        assert_eq!(clock.now(YEARS_MS + 5), at(YEARS_MS + 5, 0));
        assert_eq!(clock.now(YEARS_MS + 5), at(YEARS_MS + 5, 1));
        assert_eq!((clock.last(), clock.greatest()), (at(YEARS_MS + 5, 1), ahead));
        // Over a restart, too, and whichever comes first then: a write, or a version of a peer.
        for observes in [true, false] {
            let mut reopened = HybridClock::resume(HybridClock::DEFAULT_MAX_AHEAD, clock.greatest());
            if observes {
                reopened.observe(at(YEARS_MS + 9, 3), YEARS_MS + 7).unwrap();
            }
            let expected = if observes { at(YEARS_MS + 9, 4) } else { at(YEARS_MS + 7, 0) };
            assert_eq!(reopened.now(YEARS_MS + 7), expected);
        }
    }

    #[test]
    fn within_the_bound_it_stays_ahead_of_a_wall_clock_that_jumps_back() {
        let mut clock = HybridClock::new(Duration::from_millis(100));
        clock.now(1_000);
        assert_eq!(clock.now(900), at(1_000, 1));
        assert_eq!(clock.now(899), at(899, 0));
    }

    #[test]
    fn a_wall_clock_that_was_behind_is_followed_back_and_forth() {
        let mut clock = HybridClock::default();
        let before = clock.now(2 * YEARS_MS);
        let behind = clock.now(YEARS_MS);
        assert_eq!((behind, clock.now(2 * YEARS_MS + 1)), (at(YEARS_MS, 0), at(2 * YEARS_MS + 1, 0)));
        assert_eq!(clock.later_than(behind, before), at(2 * YEARS_MS, 1));
    }

    #[test]
    fn what_a_write_replaces_is_earlier_unless_the_clock_refused_it() {
        let mut clock = HybridClock::default();
        let ahead = clock.now(YEARS_MS);
        let made = clock.now(1_000);
        let later = clock.later_than(made, ahead);
        assert_eq!((later, clock.greatest()), (at(YEARS_MS, 1), later));
        assert_eq!(clock.later_than(made, at(999, 7)), made);
        let refused = at(YEARS_MS, 2);
        assert_eq!(clock.later_than(made, refused), made);
    }

    proptest::proptest! {
        #[test]
        fn later_unless_it_was_too_far_ahead(steps: Vec<(bool, Timestamp, u64)>) {
            let mut clock = HybridClock::new(Duration::from_secs(1 << 40));
            for (observe, remote, wall) in steps {
                let (before, greatest) = (clock.last(), clock.greatest());
                let was_right = !clock.is_too_far_ahead(before, wall);
                if observe {
                    let accepted = clock.observe(remote, wall).is_ok();
                    proptest::prop_assert!(clock.last() >= before || accepted && !was_right);
                    proptest::prop_assert!(!accepted || clock.last() >= remote);
                } else {
                    let made = clock.now(wall);
                    proptest::prop_assert!(made > before || before == Timestamp::MAX || !was_right);
                    proptest::prop_assert!(!clock.is_too_far_ahead(made, wall) || made.wall_ms == before.wall_ms + 1);
                    let later = clock.later_than(made, greatest);
                    proptest::prop_assert!(later > greatest || greatest == Timestamp::MAX);
                }
                proptest::prop_assert!(clock.greatest() >= greatest && clock.greatest() >= clock.last());
            }
        }
    }
}
