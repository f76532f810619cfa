//! For how long a transfer keeps others waiting, and when it ends because it does not move.

use core::time::Duration;

use super::config::GossipConfig;

/// A lease of the room for transfers. What a transfer moves buys it time, and it gets no more than [`turn`] of it.
///
/// [`turn`]: GossipConfig::transfer_turn
#[derive(Clone, Debug)]
pub(super) struct Lease {
    began_at: Duration,
    /// Until when what was moved has bought time; in the past for a transfer that is slower than it should be.
    paid_until: Duration,
}

/// What a transfer has moved, by the counts of its session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moved {
    /// Bytes of messages that have arrived, here or at the peer.
    pub(super) bytes: u64,
    /// Whole messages that have arrived here.
    pub(super) messages: u32,
}

impl core::ops::Sub for Moved {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { bytes: self.bytes - earlier.bytes, messages: self.messages - earlier.messages }
    }
}

impl Lease {
    pub(super) fn begin(config: &GossipConfig, now: Duration) -> Self {
        Self { began_at: now, paid_until: now.saturating_add(grace(config)) }
    }

    /// Buys time with what has moved. It cannot be saved up: whoever stops holds others up for a moment only.
    pub(super) fn pay(&mut self, moved: Moved, config: &GossipConfig, now: Duration) {
        plant!(renew_lease(&mut self.began_at, &mut self.paid_until, config.session.idle_timeout, now));
        let nanos = u128::from(moved.bytes) * 1_000_000_000 / u128::from(floor(config));
        let by_bytes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        // Where frames are lost a small message takes as long as a large one.
        let by_messages = (config.session.idle_timeout / 4).saturating_mul(moved.messages);
        let bought = by_bytes.saturating_add(by_messages);
        self.paid_until = self.paid_until.saturating_add(bought).min(now.saturating_add(grace(config)));
    }

    /// Until when it keeps others waiting.
    pub(super) fn holds_until(&self, config: &GossipConfig) -> Duration {
        plant!(lease_ends());
        self.paid_until.min(self.turn_ends_at(config))
    }

    /// From when on it gives way to others that wait.
    pub(super) fn turn_ends_at(&self, config: &GossipConfig) -> Duration {
        self.began_at.saturating_add(config.transfer_turn)
    }

    /// When the transfer ends, having moved too little for too long.
    pub(super) fn lapses_at(&self, config: &GossipConfig) -> Duration {
        plant!(lease_ends());
        self.paid_until.saturating_add(config.session.idle_timeout)
    }
}

/// How far ahead a transfer can pay: as long as a frame takes that is lost once.
fn grace(config: &GossipConfig) -> Duration {
    config.session.resend_after.saturating_mul(2)
}

/// The bytes a second that keep up a lease: so much less than this replica may send that a link which is slower is
/// better not waited for, and so little that every link of today is faster; 1 KiB by default.
fn floor(config: &GossipConfig) -> u64 {
    (config.bytes_per_second.get() >> 14).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn config() -> GossipConfig {
        GossipConfig::default()
    }

    #[test]
    fn bytes_at_the_floor_keep_it_up_until_its_turn_is_over() {
        let mut lease = Lease::begin(&config(), Duration::ZERO);
        for second in 1..=60 {
            let now = SECOND * second;
            assert_eq!(lease.holds_until(&config()) >= now, now <= config().transfer_turn, "after {now:?}");
            lease.pay(Moved { bytes: 1024, messages: 0 }, &config(), now);
        }
        assert!(lease.lapses_at(&config()) > SECOND * 60);
    }

    #[test]
    fn whoever_stops_holds_others_up_for_a_moment_however_much_was_moved_before() {
        let mut lease = Lease::begin(&config(), Duration::ZERO);
        lease.pay(Moved { bytes: u64::MAX, messages: u32::MAX }, &config(), SECOND);
        assert_eq!(lease.holds_until(&config()), SECOND * 3);
        assert_eq!(lease.lapses_at(&config()), SECOND * 23);
    }

    #[test]
    fn less_than_the_floor_ends_it_in_the_end() {
        let mut lease = Lease::begin(&config(), Duration::ZERO);
        let lapsed = (1..20).map(|turn| SECOND * 10 * turn).find(|now| {
            let has_lapsed = lease.lapses_at(&config()) <= *now;
            lease.pay(Moved { bytes: 20, messages: 1 }, &config(), *now);
            has_lapsed
        });
        // It falls behind by half of the time.
        assert_eq!(lapsed, Some(SECOND * 40));
    }
}
