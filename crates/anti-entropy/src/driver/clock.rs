use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::clock::Now;

/// Tells the time to a driver. Nothing else in the crate reads a clock.
///
/// # Implementer notes
///
/// [`Now::elapsed`] never goes back, and runs at the speed of real time, since the driver computes how long to wait
/// from it. [`Now::unix_ms`] is the wall clock, and may jump.
pub trait Clock: Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> Now;
}

/// The operating system's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { elapsed: self.started.elapsed(), unix_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX) }
    }
}

impl<C: Clock + ?Sized> Clock for Box<C> {
    fn now(&self) -> Now {
        (**self).now()
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Now {
        (**self).now()
    }
}
