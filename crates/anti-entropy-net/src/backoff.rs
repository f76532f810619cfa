use std::time::Duration;

/// Exponential back-off: how long to wait before connecting again. The wait doubles from `min` to `max`. It is random,
/// so that peers which lost the same node do not all come back at the same moment.
#[derive(Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
    random: fastrand::Rng,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration, seed: u64) -> Self {
        Self { min, max, next: min, random: fastrand::Rng::with_seed(seed) }
    }

    /// The next delay: at random between a half of the present step and all of it.
    pub(crate) fn delay(&mut self) -> Duration {
        let step = self.next;
        self.next = step.saturating_mul(2).min(self.max);
        let half = step / 2;
        // A delay of more than 500 years may lose its jitter.
        let half_ns = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
        half.saturating_add(Duration::from_nanos(self.random.u64(0..=half_ns)))
    }

    /// Notes that a connection ended after this long. If it broke soon it counts as a failed attempt; otherwise two
    /// nodes of the same name would end each other's connections without a pause.
    pub(crate) fn connected_for(&mut self, lasted: Duration) {
        if lasted >= self.max {
            self.reset();
        }
    }

    /// Starts again from `min`, after a connection that ended in good order.
    pub(crate) fn reset(&mut self) {
        self.next = self.min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn doubles_from_the_least_to_the_most_with_jitter() {
        let mut backoff = Backoff::new(ms(100), ms(1_000), 1);
        for step in [100, 200, 400, 800, 1_000, 1_000] {
            let delay = backoff.delay();
            assert!((ms(step) / 2..=ms(step)).contains(&delay), "{delay:?} of {step} ms");
        }
        backoff.connected_for(ms(999));
        assert!(backoff.delay() >= ms(500), "a short connection does not count");
        backoff.connected_for(ms(1_000));
        assert!(backoff.delay() <= ms(100), "a long one does");
    }

    #[test]
    fn seeds_differ_and_repeat() {
        let delays = |seed| {
            let mut backoff = Backoff::new(ms(100), ms(60_000), seed);
            [(); 8].map(|()| backoff.delay())
        };
        assert_eq!(delays(3), delays(3));
        assert_ne!(delays(3), delays(4));
    }

    #[test]
    fn the_longest_delays_do_not_overflow() {
        let mut backoff = Backoff::new(Duration::MAX, Duration::MAX, 1);
        assert!((0..3).all(|_| backoff.delay() >= Duration::MAX / 2));
    }
}
