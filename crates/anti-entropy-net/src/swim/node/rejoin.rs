//! Coming back after others have declared this node down, or believe in an earlier process of its name.

use std::time::Duration;

use super::Node;
use crate::swim::identity::Identity;
use crate::swim::timers::Timer;

impl Node {
    /// Sees to it that this life replaces the earlier ones of its name that others know of: at once, as when it has
    /// just begun, or after a while, for two lives at the same time would outdo each other for ever. Says whether it
    /// was done.
    pub(super) fn outdo_now_or_later(&mut self, now: Duration, known_generation: u32) -> bool {
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
            // Foca 2.0 would probe nobody until it hears from somebody, and so never miss members that are gone. An
            // error could only come of news, and there is none.
            let _ = self.foca.apply_many(std::iter::empty(), true, &mut self.wishes);
        }
        changed
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
