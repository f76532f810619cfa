//! Limits and states that both sides use.

use alloc::vec::Vec;

use super::{Outcome, SessionConfig, Turn};
use crate::KeyHash;
use crate::replica::{Replica, Replicated};
use crate::summary::Root;
use crate::sync::transfer::BatchLimits;
use crate::sync::wire::message::State;

/// The most differences that a session keeps in memory at a time. Also about how many entries the answerer holds in the
/// range of a batch that lists all entries.
pub(super) const BULK_DIFFERENCES: usize = 4096;

/// The most keys for which the answerer is asked at a time what it holds.
pub(super) const MAX_KEYS_ASKED: usize = 1024;

/// The limits of a batch if `found` differences were found.
pub(super) fn limits(config: &SessionConfig, found: u64) -> BatchLimits {
    let bulk = found > config.bulk_after;
    let max_entries = if bulk { usize::MAX - 1 } else { config.batch_entries.get() };
    BatchLimits { max_entries, max_bytes: config.batch_bytes }
}

/// A summary of what a replica holds and has seen.
pub(super) fn state_of<V: Replicated>(replica: &mut Replica<V>) -> State {
    let context = replica.context_hash().to_bytes();
    let context = context.first_chunk().map_or(0, |short| u64::from_be_bytes(*short));
    State { root: replica.root(), context }
}

/// Where batches may end so that neither side's context gets more pieces than it has room for.
pub(super) fn joint_cuts(mine: Option<Vec<KeyHash>>, theirs: Option<Vec<KeyHash>>) -> Option<Vec<KeyHash>> {
    match (mine, theirs) {
        (None, only) | (only, None) => only,
        (Some(mine), Some(theirs)) => Some(mine.into_iter().filter(|cut| theirs.contains(cut)).collect()),
    }
}

/// The outcome of a session, and its certified root: converged only if this side is in the same state as the peer.
pub(super) fn compare_states<V: Replicated>(theirs: State, turn: &mut Turn<'_, V>) -> (Outcome, Option<Root>) {
    let mine = state_of(turn.replica);
    let is_equal = mine == theirs;
    plant!(let is_equal = has_converged(is_equal));
    if !is_equal {
        return (Outcome::Progress, None);
    }
    turn.replica.confirm_all();
    (Outcome::Converged, Some(mine.root))
}
