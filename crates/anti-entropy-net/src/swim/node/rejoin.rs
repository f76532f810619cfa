//! Coming back when other nodes have declared this one down, or know an earlier process of its name.

use std::time::Duration;

use super::Node;
use crate::swim::identity::Identity;
use crate::swim::timers::Timer;

impl Node {
    /// Makes this process replace an earlier one of its name that others know: at once the first time, and after a
    /// delay if that repeats, since two processes that run at the same time would replace each other without a pause.
    /// Returns whether it was done now.
    pub(super) fn supersede_earlier(&mut self, now: Duration, known_generation: u32) -> bool {
        let mut context = self.codec.context();
        context.rival_generation = context.rival_generation.max(known_generation);
        drop(context);
        if known_generation < self.foca.identity().generation {
            return false;
        }
        if self.rejoin_delay.is_planned(now) {
            return false;
        }
        let delay = self.rejoin_delay.next(now);
        if delay.is_zero() {
            return self.raise_generation(known_generation);
        }
        self.timers.push(now + delay, Timer::Rejoin);
        false
    }

    /// Takes a generation above one that others know of this node's name. Returns whether that worked.
    fn raise_generation(&mut self, known_generation: u32) -> bool {
        let own = self.foca.identity();
        if self.leaving {
            return false;
        }
        // There is no generation after the last one. Of two processes that have it, the boot id decides.
        let own = Identity { generation: known_generation.saturating_add(1), ..own.clone() };
        let changed = self.foca.change_identity(own.clone(), &mut self.requests).is_ok();
        if changed {
            self.codec.context().own = own;
            // Foca 2.0 would probe no member until it receives a message, and so never notice that all have failed.
            // There can be no error, since no news is applied.
            let _ = self.foca.apply_many(std::iter::empty(), true, &mut self.requests);
        }
        changed
    }

    pub(super) fn rejoin(&mut self, now: Duration) {
        let rival = self.codec.context().rival_generation;
        let highest = self.foca.identity().generation.max(rival);
        if self.raise_generation(highest) {
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
