//! First contact: hellos that wait for their reply, and replies that may be confirmed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::boot_id::BootId;
use super::identity::Identity;
use super::limits::SwimLimits;

/// How often a hello is sent before its address counts as silent.
const ATTEMPTS: usize = 4;
/// How long a reply may be confirmed, at least. At most it is twice as long.
const CONFIRM_WITHIN: Duration = Duration::from_secs(10);

/// Hellos that wait for their reply, and replies that may be confirmed.
#[derive(Debug)]
pub(super) struct Hellos {
    pending: BTreeMap<SocketAddr, Pending>,
    max_pending: usize,
    max_waiting: usize,
    /// The counter of the newest hello or lost of each process that this node has answered.
    answered_counters: BTreeMap<BootId, u64>,
    max_answered: usize,
    /// Replies with counters from the first of these on are fresh. When `CONFIRM_WITHIN` has passed, the second takes
    /// its place.
    fresh_from: (u64, u64),
    turned_at: Duration,
}

#[derive(Debug, Default)]
struct Pending {
    /// The counter of the first hello. It distinguishes this wait from an earlier one for the same address.
    first: u64,
    /// The counters of the hellos that were sent.
    counters: Vec<u64>,
    /// Foca's messages that wait for the session.
    waiting: Vec<(Identity, Bytes)>,
}

impl Hellos {
    pub(super) fn new(limits: &SwimLimits) -> Self {
        Self {
            pending: BTreeMap::new(),
            max_pending: limits.max_pending_hellos,
            max_waiting: limits.max_waiting_datagrams,
            answered_counters: BTreeMap::new(),
            max_answered: limits.max_sessions,
            fresh_from: (0, 0),
            turned_at: Duration::ZERO,
        }
    }

    /// Whether a hello or a lost should be answered: not if it, or a later one of its process, was answered before.
    /// Otherwise recordings could use up the replies that joining nodes need. If there are too many processes, one is
    /// forgotten, and recordings of it are answered once more.
    pub(super) fn is_unanswered(&self, sender: BootId, counter: u64) -> bool {
        self.answered_counters.get(&sender).is_none_or(|&newest| counter > newest)
    }

    pub(super) fn note_answered(&mut self, sender: BootId, counter: u64) {
        if self.answered_counters.len() >= self.max_answered && !self.answered_counters.contains_key(&sender) {
            self.answered_counters.pop_first();
        }
        self.answered_counters.insert(sender, counter);
    }

    /// Begins to wait for the reply of an address. Returns `false` if that is under way, or if too many are waited for.
    /// `first` is the counter of the first hello.
    pub(super) fn begin(&mut self, address: SocketAddr, first: u64) -> bool {
        let begins = !self.pending.contains_key(&address) && self.pending.len() < self.max_pending;
        if begins {
            self.pending.insert(address, Pending { first, ..Pending::default() });
        }
        begins
    }

    /// Notes that a hello with this counter is sent, and returns how many were sent before it. `None` if the wait that
    /// began with the counter `first` is over, or ends now because the address was silent too often.
    pub(super) fn attempt(&mut self, address: SocketAddr, first: u64, counter: u64) -> Option<u32> {
        let pending = self.pending.get_mut(&address).filter(|pending| pending.first == first)?;
        if pending.counters.len() >= ATTEMPTS {
            self.pending.remove(&address);
            return None;
        }
        pending.counters.push(counter);
        u32::try_from(pending.counters.len() - 1).ok()
    }

    /// Keeps a message for a peer until it replies. If there are too many, the oldest is dropped, since nobody waits
    /// for its answer any more.
    pub(super) fn wait(&mut self, to: &Identity, message: Bytes) {
        if let Some(pending) = self.pending.get_mut(&to.address) {
            if pending.waiting.len() >= self.max_waiting {
                pending.waiting.remove(0);
            }
            pending.waiting.push((to.clone(), message));
        }
    }

    /// The address to which the hello with this counter was sent, if it waits for its reply.
    pub(super) fn answered(&self, counter: u64) -> Option<SocketAddr> {
        self.pending.iter().find(|(_, pending)| pending.counters.contains(&counter)).map(|(&address, _)| address)
    }

    /// Ends the wait for an address, and returns the messages for the process with this boot id.
    pub(super) fn end(&mut self, address: SocketAddr, boot: BootId) -> Vec<(Identity, Bytes)> {
        let mut waiting = self.pending.remove(&address).unwrap_or_default().waiting;
        waiting.retain(|(to, _)| to.boot == boot);
        waiting
    }

    /// Whether the reply with this counter was sent so recently that it may be confirmed. `next` is the counter of the
    /// next datagram.
    pub(super) fn is_fresh(&mut self, now: Duration, counter: u64, next: u64) -> bool {
        self.turn(now, next);
        (self.fresh_from.0..next).contains(&counter)
    }

    /// Lets replies that are too old expire.
    pub(super) fn turn(&mut self, now: Duration, next: u64) {
        let passed = now.saturating_sub(self.turned_at);
        if passed >= CONFIRM_WITHIN {
            let older = if passed >= 2 * CONFIRM_WITHIN { next } else { self.fresh_from.1 };
            self.fresh_from = (older, next);
            self.turned_at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_may_be_confirmed_for_a_while_and_not_for_ever() {
        let mut hellos = Hellos::new(&SwimLimits::default());
        let at = Duration::from_secs;
        // Counter 10 is the reply's.
        hellos.turn(at(100), 10);
        let fresh = [100, 109, 111, 119].map(|now| hellos.is_fresh(at(now), 10, 20));
        assert_eq!(fresh, [true; 4]);
        assert!(!hellos.is_fresh(at(119), 20, 20), "not sent yet");
        assert!(!hellos.is_fresh(at(121), 10, 30));
        assert!(hellos.is_fresh(at(121), 25, 30));
        assert!(!hellos.is_fresh(at(1_000), 29, 30), "a long time has passed at once");
    }

    #[test]
    fn hellos_that_were_heeded_are_remembered_of_so_many_lives() {
        let mut hellos = Hellos::new(&SwimLimits { max_sessions: 3, ..SwimLimits::default() });
        for life in 1..=4 {
            assert!(hellos.is_unanswered(BootId([life; 8]), 5));
            hellos.note_answered(BootId([life; 8]), 5);
        }
        let new = [1, 2, 3, 4].map(|life| hellos.is_unanswered(BootId([life; 8]), 5));
        assert_eq!(new, [true, false, false, false]);
        assert!(hellos.is_unanswered(BootId([4; 8]), 6) && !hellos.is_unanswered(BootId([4; 8]), 4));
    }
}
