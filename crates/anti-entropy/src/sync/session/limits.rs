//! Limits and states that both sides use.

use alloc::vec::Vec;
use core::num::NonZeroU64;

use super::{Outcome, PartialReason, SessionConfig, Turn};
use crate::KeyHash;
use crate::clock::ContextHash;
use crate::refusal::Refusal;
use crate::replica::{Replica, Replicated};
use crate::summary::Root;
use crate::sync::transfer::BatchLimits;
use crate::sync::wire::message::{Equality, Filled, Seen, State, Takes};

/// The most differences that a session keeps in memory at a time. Also about how many entries the answerer holds in the
/// range of a batch that lists all entries.
pub(super) const BULK_DIFFERENCES: usize = 4096;

/// The most keys for which the answerer is asked at a time what it holds.
pub(super) const MAX_KEYS_ASKED: usize = 1024;

/// The most keys that one side leaves out in a session because the other cannot read them: more than
/// [`ReplicaConfig::max_holes`](crate::ReplicaConfig::max_holes) is likely to allow.
pub(super) const MAX_UNREADABLE: usize = 4096;

/// The limits of a batch if `found` differences were found. Its message is one that both sides can handle: it is no
/// longer than `max_message_bytes`, with `beside` bytes that are no part of the batch.
pub(super) fn limits(config: &SessionConfig, found: u64, max_message_bytes: usize, beside: usize) -> BatchLimits {
    let bulk = found > config.bulk_after;
    let max_entries = if bulk { usize::MAX - 1 } else { config.batch_entries.get() };
    let message_bytes = max_message_bytes.saturating_sub(beside);
    // The bytes of entries are estimated, and there are clocks in the message too.
    let max_bytes = config.batch_bytes.min(message_bytes / 2);
    BatchLimits { max_entries, max_bytes, message_bytes }
}

/// A summary of what a replica holds and has seen.
pub(crate) fn state_of<V: Replicated>(replica: &mut Replica<V>, config: &SessionConfig) -> State {
    let filled = replica.filled(config.max_message_bytes).map(|filled| Filled {
        seen: seen(filled.root, filled.context),
        keys: filled.keys as u64,
        peer_limit: filled.peer_limit.map(|limit| limit as u64),
    });
    State { seen: seen(replica.root(), replica.context_hash()), filled }
}

fn seen(root: Root, context: ContextHash) -> Seen {
    let context = context.to_bytes();
    Seen { root, context: context.first_chunk().map_or(0, |short| u64::from_be_bytes(*short)) }
}

/// What a replica can take in.
pub(super) fn takes_of<V: Replicated>(replica: &Replica<V>, config: &SessionConfig) -> Takes {
    Takes { max_message_bytes: config.max_message_bytes as u64, unreadable: replica.unreadable() }
}

/// The longest message that both sides can handle.
pub(super) fn joint_limit(config: &SessionConfig, theirs: &Takes) -> usize {
    usize::try_from(theirs.max_message_bytes).unwrap_or(usize::MAX).min(config.max_message_bytes)
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
    let mine = state_of(turn.replica, turn.config);
    let equality = mine.equality(&theirs);
    plant!(let equality = has_converged(equality, mine.seen.root));
    let Some(equality) = equality else { return (Outcome::Progress, None) };
    turn.replica.confirm_all();
    outcome_of(equality)
}

/// The outcome of a session that ends with both sides equal, and its certified root.
pub(super) fn outcome_of(Equality { root, keys }: Equality) -> (Outcome, Option<Root>) {
    match NonZeroU64::new(keys) {
        None => (Outcome::Converged, Some(root)),
        Some(keys) => (Outcome::ConvergedExcept { keys }, Some(root)),
    }
}

/// The end of a session with a copy of the peer with this id. Under its own name, that may be no copy: what its former life
/// sent may have been late.
pub(super) fn copy_of<V: Replicated>(id: u64, replica: &Replica<V>) -> Outcome {
    if replica.is_of_another(id) {
        Outcome::Refused(Refusal::CopyOfAnother)
    } else {
        Outcome::Partial(PartialReason::AbortedByPeer)
    }
}
