//! How many ids the replica may take because peers say that its own is in use.
//!
//! What peers say of that cannot be proved, and each id that was written under takes a place in all clocks for good. So
//! claims are believed up to a number in a day, whoever makes them: a lie about one member is also handed on by others.

use core::time::Duration;

/// What is left of the ids of a day. They come back one by one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NewIds {
    used: u32,
    /// Since when the next one is coming back.
    since: Duration,
}

impl NewIds {
    const DAY: Duration = Duration::from_secs(24 * 3600);

    /// How many are left now, of so many in a day.
    pub(super) fn left(&mut self, per_day: u32, now: Duration) -> u32 {
        if per_day == 0 {
            return 0;
        }
        let each = Self::DAY / per_day;
        while self.used > 0 && now.saturating_sub(self.since) >= each {
            self.used -= 1;
            self.since += each;
        }
        if self.used == 0 {
            self.since = now;
        }
        per_day.saturating_sub(self.used)
    }

    /// Notes that so many were used.
    pub(super) fn use_up(&mut self, used: u32) {
        self.used = self.used.saturating_add(used);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_one_by_one_up_to_those_of_a_day() {
        let (mut ids, hour) = (NewIds::default(), Duration::from_secs(3600));
        assert_eq!(ids.left(8, hour), 8);
        ids.use_up(8);
        assert_eq!(ids.left(8, Duration::from_secs(4 * 3600 - 1)), 0);
        assert_eq!((ids.left(8, 4 * hour), ids.left(8, 7 * hour)), (1, 2));
        assert_eq!(ids.left(8, 1000 * hour), 8);
        ids.use_up(1);
        assert_eq!((ids.left(8, 1000 * hour), ids.left(8, 1003 * hour)), (7, 8), "none is saved up");
    }

    #[test]
    fn limits_that_change_leave_no_less_than_nothing() {
        let mut ids = NewIds::default();
        assert_eq!(ids.left(0, Duration::ZERO), 0);
        ids.use_up(u32::MAX);
        assert_eq!((ids.left(3, Duration::ZERO), ids.left(u32::MAX, Duration::ZERO)), (0, 0));
    }
}
