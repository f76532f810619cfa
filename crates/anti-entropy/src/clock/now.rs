use core::time::Duration;

/// The times of two clocks at one moment, which the caller reads for the core.
///
/// Both are needed. The wall clock may jump, which deadlines must not. The monotonic clock means nothing on another
/// host, where timestamps must be comparable.
///
/// ```
/// use anti_entropy::clock::Now;
/// use core::time::Duration;
///
/// let now = Now { elapsed: Duration::from_secs(5), unix_ms: 1_700_000_000_000 };
/// let later = now.after(Duration::from_millis(20));
/// assert_eq!(later.elapsed, Duration::from_millis(5_020));
/// assert_eq!(later.unix_ms, 1_700_000_000_020);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Now {
    /// Monotonic time since a fixed moment, which must be the same one in all calls. Used for deadlines and intervals.
    pub elapsed: Duration,
    /// The wall clock, in milliseconds since 1970-01-01T00:00:00Z. Used for timestamps.
    pub unix_ms: u64,
}

impl Now {
    /// The moment that is `span` later by both clocks, for tests and simulations.
    ///
    /// Both clocks stop at their greatest value. The wall clock advances by whole milliseconds.
    pub fn after(self, span: Duration) -> Self {
        let ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Self { elapsed: self.elapsed.saturating_add(span), unix_ms: self.unix_ms.saturating_add(ms) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_advance_and_stop_at_the_end() {
        let now = Now::default().after(Duration::from_micros(1_999));
        assert_eq!((now.elapsed, now.unix_ms), (Duration::from_micros(1_999), 1));
        let end = now.after(Duration::MAX).after(Duration::MAX);
        assert_eq!((end.elapsed, end.unix_ms), (Duration::MAX, u64::MAX));
    }
}
