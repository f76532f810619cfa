//! The one clock that all processes of a run share.

use rustix::time::{ClockId, clock_gettime};

/// Microseconds of the machine's monotonic clock. It is the same in every process and every network namespace, so that
/// what happened at one node is told apart from what happened at another afterwards.
pub fn monotonic_us() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let (seconds, nanoseconds) = (u64::try_from(now.tv_sec), u64::try_from(now.tv_nsec));
    seconds.unwrap_or(0) * 1_000_000 + nanoseconds.unwrap_or(0) / 1000
}
