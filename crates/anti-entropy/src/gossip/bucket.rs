//! The budget of bytes to send.

use core::time::Duration;

use super::config::GossipConfig;

/// A token bucket of bytes. One frame may take it below zero; then nothing is sent until it has filled up again.
#[derive(Clone, Debug)]
pub(super) struct TokenBucket {
    tokens: i64,
    filled_at: Duration,
}

impl TokenBucket {
    pub(super) fn full(config: &GossipConfig, now: Duration) -> Self {
        Self { tokens: i64::try_from(config.burst_bytes.get()).unwrap_or(i64::MAX), filled_at: now }
    }

    /// Whether something may be sent at this time.
    pub(super) fn allows(&mut self, config: &GossipConfig, now: Duration) -> bool {
        let span = now.saturating_sub(self.filled_at);
        // Often asked several times at one instant. What so short a span earns is not lost: `filled_at` stays where it
        // is.
        if self.tokens > 0 && span < Duration::from_micros(1) {
            return true;
        }
        plant!(refill(self.tokens));
        let earned = span.as_nanos().saturating_mul(u128::from(config.bytes_per_second.get())) / 1_000_000_000;
        if earned > 0 {
            let burst = i64::try_from(config.burst_bytes.get()).unwrap_or(i64::MAX);
            self.tokens = self.tokens.saturating_add(i64::try_from(earned).unwrap_or(i64::MAX)).min(burst);
            // The fraction of a byte is kept for the next call, however many calls there are.
            let spent = (earned * 1_000_000_000) / u128::from(config.bytes_per_second.get());
            self.filled_at =
                self.filled_at.saturating_add(Duration::from_nanos(u64::try_from(spent).unwrap_or(u64::MAX)));
        }
        self.tokens > 0
    }

    pub(super) fn take(&mut self, bytes: usize) {
        self.tokens = self.tokens.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// When the next byte may be sent, if none may be now.
    pub(super) fn allows_at(&self, config: &GossipConfig) -> Duration {
        let missing = u128::from(self.tokens.min(0).unsigned_abs()) + 1;
        let nanos = (missing * 1_000_000_000).div_ceil(u128::from(config.bytes_per_second.get()));
        self.filled_at.saturating_add(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use core::num::NonZeroU64;

    use super::*;

    #[test]
    fn a_second_brings_what_it_should_and_a_pause_no_more_than_a_burst() {
        let (rate, burst) = (NonZeroU64::new(1000).unwrap(), NonZeroU64::new(500).unwrap());
        let config = GossipConfig { bytes_per_second: rate, burst_bytes: burst, ..GossipConfig::default() };
        let mut bucket = TokenBucket::full(&config, Duration::ZERO);
        bucket.take(1500);
        assert!(!bucket.allows(&config, Duration::from_secs(1)));
        let at = bucket.allows_at(&config);
        assert_eq!(at, Duration::from_millis(1001));
        assert!(bucket.allows(&config, at));
        assert!(bucket.allows(&config, Duration::from_secs(1000)));
        bucket.take(500);
        assert!(!bucket.allows(&config, Duration::from_secs(1000)), "a long pause is worth one burst");
    }
}
