//! Which of several lives of a name is the newest, and coming back when others think that this one is over.

use std::time::Duration;

use super::config::SwimTimings;
use super::identity::Identity;
use super::node::Node;
use super::timers::Timer;
use crate::backoff::Backoff;

/// When to come back.
#[derive(Debug)]
pub(super) struct Rejoining {
    backoff: Backoff,
    /// When it came back last, or will.
    last: Option<Duration>,
}

impl Rejoining {
    pub(super) fn new(timings: &SwimTimings, seed: u64) -> Self {
        let max = timings.rejoin_max.max(timings.probe_interval);
        Self { backoff: Backoff::new(timings.probe_interval, max, seed), last: None }
    }
}

impl Node {
    /// Sees to it that this life replaces the earlier ones of its name that others know of: at once, as when it has just
    /// begun, or after a while, for two lives at the same time would outdo each other for ever. Says whether it was done.
    pub(super) fn outdo_now_or_later(&mut self, now: Duration, known_generation: u32) -> bool {
        let mut context = self.codec.context();
        context.rival_generation = context.rival_generation.max(known_generation);
        drop(context);
        if known_generation < self.foca.identity().generation {
            return false;
        }
        if self.rejoining.last.is_some_and(|last| now < last) {
            // It is planned already.
            return false;
        }
        let delay = self.rejoin_delay(now);
        if delay.is_zero() {
            return self.outdo(known_generation);
        }
        self.timers.push(now + delay, Timer::Rejoin);
        false
    }

    /// Takes a generation above one that others know of our name. Says whether that went well.
    fn outdo(&mut self, known_generation: u32) -> bool {
        let own = self.foca.identity();
        if self.leaving {
            return false;
        }
        // The last generation has no successor; lives that have it are told apart by their boot ids.
        let own = Identity { generation: known_generation.saturating_add(1), ..own.clone() };
        let changed = self.foca.change_identity(own.clone(), &mut self.wishes).is_ok();
        if changed {
            self.codec.context().own = own;
            // Foca 2.0 would probe nobody until it hears from somebody, and so never miss members that are gone. An error
            // could only come of news, and there is none.
            let _ = self.foca.apply_many(std::iter::empty(), true, &mut self.wishes);
        }
        changed
    }

    /// How long to wait until coming back.
    pub(super) fn rejoin_delay(&mut self, now: Duration) -> Duration {
        let rest = 4 * self.config.timings.rejoin_max;
        let delay = if self.rejoining.last.is_none_or(|last| now >= last + rest) {
            self.rejoining.backoff.reset();
            Duration::ZERO
        } else {
            self.rejoining.backoff.delay()
        };
        self.rejoining.last = Some(now + delay);
        delay
    }

    pub(super) fn rejoin(&mut self, now: Duration) {
        let rival = self.codec.context().rival_generation;
        let highest = self.foca.identity().generation.max(rival);
        if self.outdo(highest) {
            self.shared.stats.count(|stats| stats.rejoins += 1);
            #[cfg(feature = "tracing")]
            tracing::warn!(
                name = %self.config.name,
                "this node was declared down and comes back; if that repeats, its name is used twice, or the network \
                 loses much"
            );
        }
        self.settle(now);
    }
}
