use std::time::Duration;

/// Allows a number of events per second, in a burst or spread.
#[derive(Debug)]
pub(super) struct RateLimit {
    per_second: u32,
    /// When the full number would be allowed again if nothing else happened.
    full_at: Duration,
}

impl RateLimit {
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second, full_at: Duration::ZERO }
    }

    pub(super) fn allow(&mut self, now: Duration) -> bool {
        let Some(each) = Duration::from_secs(1).checked_div(self.per_second) else {
            return false;
        };
        let full_at = self.full_at.max(now) + each;
        let allowed = full_at <= now + Duration::from_secs(1);
        if allowed {
            self.full_at = full_at;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_once_and_then_one_as_each_share_of_a_second_passes() {
        let allowed = |limit: &mut RateLimit, ms| (0..100).filter(|_| limit.allow(Duration::from_millis(ms))).count();
        let mut limit = RateLimit::new(10);
        assert_eq!([0, 99, 100, 350, 60_000].map(|ms| allowed(&mut limit, ms)), [10, 0, 1, 2, 10]);
        assert_eq!(allowed(&mut RateLimit::new(0), 0), 0);
    }
}
