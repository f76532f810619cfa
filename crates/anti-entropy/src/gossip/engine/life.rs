//! Whether the replica still takes part: a replica that has stopped knows no longer what its store holds, and says
//! nothing of it to peers.

use super::Engine;
use crate::clock::Now;
use crate::replica::Replicated;
use crate::sync::PartialReason;

impl<V: Replicated> Engine<V> {
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
