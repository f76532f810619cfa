//! How much comparing and decoding this replica does for one peer.

use core::time::Duration;

use super::config::GossipConfig;

/// What was done for a peer that time has not paid off yet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WorkAccount {
    paid_off_at: Duration,
}

/// So much may be done at once, in time of [`GossipConfig::peer_work_per_second`]: a session that needs all cells of a
/// large replica takes some passes over it.
const AT_ONCE: Duration = Duration::from_secs(4);

impl WorkAccount {
    /// Some work was done, in entries as [`SessionStats::work`](crate::sync::SessionStats::work) counts them.
    pub(super) fn charge(&mut self, work: u64, config: &GossipConfig, now: Duration) {
        let nanos = u128::from(work) * 1_000_000_000 / u128::from(config.peer_work_per_second.get());
        let time = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.paid_off_at = self.paid_off_at.max(now).saturating_add(time);
    }

    /// For how much longer nothing is done for the peer. What is begun is done as a whole, so it may owe something.
    pub(super) fn overdrawn(&self, now: Duration) -> Duration {
        self.paid_off_at.saturating_sub(now).saturating_sub(AT_ONCE)
    }
}

#[cfg(test)]
mod tests {
    use core::num::NonZeroU64;

    use super::*;

    #[test]
    fn four_seconds_worth_is_done_at_once_and_then_a_seconds_worth_a_second() {
        let config = GossipConfig { peer_work_per_second: NonZeroU64::new(100).unwrap(), ..GossipConfig::default() };
        let second = Duration::from_secs(1);
        let mut account = WorkAccount::default();
        let mut done = 0;
        for millis in 0..10_000 {
            let now = Duration::from_millis(millis);
            while account.overdrawn(now).is_zero() {
                account.charge(10, &config, now);
                done += 10;
            }
        }
        assert!((1390..=1410).contains(&done), "{done}");
        account.charge(1000, &config, second * 10);
        assert!(!account.overdrawn(second * 19).is_zero() && account.overdrawn(second * 21).is_zero());
        account.charge(u64::MAX, &config, second * 100);
        assert!(account.overdrawn(second * 1000) > second);
    }
}
