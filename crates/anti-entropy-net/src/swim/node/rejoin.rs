//! Coming back when other nodes have declared this one down, or know an earlier process of its name.

use std::time::Duration;

use anti_entropy::PeerId;

use super::Node;
use crate::snapshot::PutBack;
use crate::swim::contents::Heard;
use crate::swim::hellos::Hellos;
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
        if self.coming_back {
            return false;
        }
        let delay = self.rejoin_delay.next(now);
        if delay.is_zero() {
            return self.raise_generation(known_generation);
        }
        self.plan_rejoin(now + delay);
        false
    }

    /// Takes a generation above one that others know of this node's name. Returns whether that worked.
    fn raise_generation(&mut self, known_generation: u32) -> bool {
        let own = self.foca.identity();
        if self.leaving {
            return false;
        }
        // There is no generation after the last one. Of two processes that have it, the boot id decides.
        let generation = known_generation.saturating_add(1);
        let own = Identity { generation, boot: self.sealer.boot(), ..own.clone() };
        let changed = self.foca.change_identity(own.clone(), &mut self.requests).is_ok();
        if changed {
            self.codec.context().own = own;
            // Foca 2.0 would probe no member until it receives a message, and so never notice that all have failed.
            // There can be no error, since no news is applied.
            let _ = self.foca.apply_many(std::iter::empty(), true, &mut self.requests);
        }
        changed
    }

    /// A peer has accepted so many datagrams of this boot id. If they are more than were sent, this node was put back to
    /// an earlier state, or runs twice.
    pub(super) fn heed(&mut self, now: Duration, heard: Heard, peer: &PeerId) {
        self.heard_at = Some(now);
        if heard.0 > self.sealer.next() {
            self.was_put_back(now, PutBack::PeerKnowsMore { peer: peer.clone() });
        }
    }

    /// Comes back under a new boot id: peers refuse what is sent under the old one, as repetitions. The application is
    /// told.
    pub(in crate::swim) fn was_put_back(&mut self, now: Duration, how: PutBack) {
        if self.coming_back || self.leaving {
            return;
        }
        self.shared.stats.count(|stats| stats.put_backs += 1);
        #[cfg(feature = "tracing")]
        tracing::warn!(name = %self.config.name, "this node was put back, or runs twice: {how}");
        {
            let mut noticed = self.shared.put_back.lock();
            (noticed.how, noticed.times) = (Some(how), noticed.times + 1);
        }
        self.shared.put_back.wake();
        self.come_back(now);
    }

    /// Comes back at once the first time. If that repeats there is more than one process of this name, or a member lies.
    pub(super) fn come_back(&mut self, now: Duration) {
        if !self.coming_back {
            let delay = self.rejoin_delay.next(now);
            self.plan_rejoin(now + delay);
        }
    }

    fn plan_rejoin(&mut self, at: Duration) {
        self.coming_back = true;
        self.timers.push(at, Timer::Rejoin);
    }

    pub(super) fn plan_silence(&mut self, now: Duration) {
        self.timers.push(now + self.config.timings.suspect_for, Timer::Silence);
    }

    /// If nobody was heard for as long as it takes to be declared down twice, peers may refuse all that this node sends
    /// as repetitions, and so have nothing to answer. Under a new boot id they listen again.
    pub(super) fn check_silence(&mut self, now: Duration) {
        let patience = 2 * self.config.timings.suspect_for;
        if self.heard_at.is_some_and(|at| now >= at + patience) {
            self.heard_at = None;
            self.come_back(now);
        }
        self.plan_silence(now);
    }

    pub(super) fn rejoin(&mut self, now: Duration) {
        self.coming_back = false;
        // Without random bytes it comes back under the same boot id, as well as that works.
        if !self.leaving && self.sealer.renew_boot().is_ok() {
            self.sessions.clear();
            self.hellos = Hellos::new(&self.config.limits);
        }
        let rival = self.codec.context().rival_generation;
        let highest = self.foca.identity().generation.max(rival);
        if self.foca.num_members() == 0 {
            self.seeds.alone.reset();
            let delay = self.seeds.alone.delay();
            self.plan_seeds(now + delay);
        }
        if self.raise_generation(highest) {
            self.shared.stats.count(|stats| stats.rejoins += 1);
            #[cfg(feature = "tracing")]
            tracing::warn!(
                name = %self.config.name,
                "this node comes back after it was declared down or heard nobody; if that repeats, its name is used \
                 twice, or the network loses much"
            );
        }
        self.settle(now);
    }
}
