//! Starting over where the process was put back, and taking no part any more once the replica has stopped: then it does
//! not know what its store holds, and says nothing of it to peers.

use super::Engine;
use crate::clock::{Now, Seed};
use crate::replica::{Error, Replicated};
use crate::sync::PartialReason;

impl<V: Replicated> Engine<V> {
    /// Starts over under a new replica id, since the process was put back to an earlier state of its memory, or runs
    /// twice; see [`Replica::put_back`](crate::Replica::put_back). Sessions and what waits to be sent are forgotten, and
    /// numbers are drawn from `seed` from now on. [`Notice::PutBack`](crate::Notice::PutBack) tells what was done.
    ///
    /// `seed` is fresh randomness of the operating system. O(n) if the replica holds versions of its own that no peer is
    /// known to have seen.
    ///
    /// ```
    /// # use anti_entropy::clock::{Now, Seed};
    /// # use anti_entropy::engine::Engine;
    /// # use anti_entropy::{GossipConfig, Keyed, LastWriterWins, MemoryStore, Replica};
    /// # type Item = Keyed<u32, String>;
    /// # let now = Now::default();
    /// # let replica = Replica::<Item>::open(MemoryStore::new(), LastWriterWins, Seed::from_os()?)?;
    /// # let mut engine = Engine::new(replica, GossipConfig::default(), 42, now)?;
    /// let before = engine.replica().id();
    /// engine.put_back(Seed::from_os()?, now)?;
    /// assert_ne!(engine.replica().id(), before);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Replica::put_back`](crate::Replica::put_back). If the replica has stopped, it takes no part any more until
    /// its store is opened again.
    pub fn put_back(&mut self, seed: Seed, now: Now) -> Result<(), Error> {
        self.random = fastrand::Rng::with_seed(seed.derive_u64("engine"));
        self.give_up_sessions(|_| true);
        self.refusals.clear();
        self.peers.keys().for_each(|peer| self.pushing.forget(peer));
        let done = self.replica.put_back(seed);
        self.leaves_if_stopped(now);
        self.speed_up(now);
        done
    }

    /// Whether the store is as the replica left it, so that a session may begin.
    pub(super) fn has_its_store(&mut self, now: Now) -> bool {
        let checked = self.replica.check_store();
        if self.leaves_if_stopped(now) {
            return false;
        }
        checked.inspect_err(|error| self.report_store(error)).is_ok()
    }

    /// Ends all sessions if the replica has stopped, and begins none from then on. Says whether it has; the application is
    /// told once.
    pub(super) fn leaves_if_stopped(&mut self, now: Now) -> bool {
        let is_stopped = self.replica.is_stopped();
        if is_stopped && !self.is_shutting_down {
            self.is_shutting_down = true;
            if let Some(error) = self.replica.why_stopped() {
                self.report_store(&error);
            }
            for conversation in &mut self.sessions {
                conversation.session.abort(PartialReason::StoreFailed, now);
            }
        }
        is_stopped
    }
}
