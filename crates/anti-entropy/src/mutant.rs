//! Bugs that can be planted one at a time, so that every checker is seen to fail once.
//!
//! A function here is what a rule becomes with the bugs in it. The rule calls it in a line of its own, `plant!(...)`, which
//! is empty outside of tests. It returns `None`, or the value that it was given, while none of its bugs is planted.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::ControlFlow;
use core::time::Duration;
use std::cell::Cell;

use sha2::{Digest as _, Sha256};

use crate::clock::{Context, Dot, Fill, Now, Raised, RangeClocks, ReplicaId, Timestamp, VectorClock};
use crate::gossip::{Engine, StateDigest};
use crate::replica::{Continuity, Error, Marker, Replica, Replicated, StoreError, Written};
use crate::summary::{Difference, Fingerprint, Root, Snapshot};
use crate::sync::transfer::{Baseline, BatchLimits, BatchPlan, Unreadable};
use crate::sync::wire::message::Equality;
use crate::sync::wire::{Batch, BatchBase, Inventory, Push, Withheld};
use crate::{KeyHash, KeyRange, PeerId};

/// A rule of the data model or of gossip, broken in one way. The names say what the broken code does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Mutant {
    LiveOverwrittenInsteadOfJoined,
    WholeClockJoinedOutsideTheRange,
    PiecesNotSplit,
    SnapshotClockInsteadOfLive,
    ClockLaterThanTheInstant,
    ClockEarlierThanTheInstant,
    EntriesOlderThanTheInstant,
    ReplyWithOldEntriesAndNewClock,
    UpperBoundInclusive,
    ClockHeldBackToTheLastBatch,
    LastClockForAllBatches,
    SenderClockOfFirstPiece,
    SenderClockOfPiecesByMaximum,
    SenderClockOfPiecesByMinimum,
    NeighboursCoalescedByMaximum,
    NeighboursCoalescedByMinimum,
    EqualRootsSkipContexts,
    AbsenceNotExpressible,
    CertificationSkipped,
    ChangedSinceComparisonLeftOut,
    UnsentKeysNotJoined,
    WholeBatchKeepsUnlisted,
    PushAcceptedWhateverItsCounter,
    PushIgnoresWhatItReplaces,
    PushRemovesAllHeld,
    PushRaisesEveryPiece,
    PushJudgedByTheWholeContext,
    PushCarriesOnlyWhatItRemoved,
    ForeignReadsAccepted,
    OwnIdsBeyondTheLimit,
    ClockNotCarriedOver,
    RolledBackStoreKeepsItsId,
    StoreOfAnotherTimeNotNoticed,
    SessionNumbersRepeat,
    CopiesMakeOneId,
    ClaimsAreNumbersAlone,
    OwnWritesUnknownToThePeerNotNoticed,
    RenamedWritesKeepTheirNames,
    RenamedWritesAllMadeAnew,
    RenamedDeletesLeaveNoTrace,
    LivesNotCompared,
    MarkerGoodForTwoOpenings,
    GoesOnAfterAnUnknownCommit,
    EveryReplicaCompacts,
    PiecesBeyondTheLimitDropped,
    AnswersFromThePresent,
    BudgetNeverRefillsFromZero,
    ContextForgets,
    FingerprintBlindToVersions,
    DigestBlindToDeletions,
    HoleCountsAsSeen,
    HolesAreNotToldToPeers,
    HolesAreNotStored,
    HoleHeldByItsHashAlone,
    HoleDroppedSilently,
    SessionConvergesUnchecked,
    LastRangeExchangedForEver,
    OwnClocksTakenForThePeers,
    PaceNeverSlowsDown,
    PushesRepeatedEveryRound,
    AnnouncementBlindToClocks,
    QueuesAreNotBounded,
    RoundWaitsForEverySession,
    SessionsNeverTimeOut,
    LeaseRenewedByAnyFrame,
    PeersServedInOrder,
    RepliesRepeatedForEver,
    GrowthIsNotCounted,
    PeerLimitsIgnored,
    ToldBeforeItIsDurable,
    NotesLostWhenSettled,
    BatchLoadedAllAtOnce,
    ClockNeverPutRight,
}

std::thread_local! {
    static PLANTED: Cell<Option<Mutant>> = const { Cell::new(None) };
}

fn active(mutant: Mutant) -> bool {
    PLANTED.get() == Some(mutant)
}

/// Plants a bug on this thread, for as long as it runs: for threads that somebody else runs.
pub fn plant(mutant: Mutant) {
    PLANTED.set(Some(mutant));
}

/// Runs `body` with a bug planted on this thread, or with none.
pub fn with<T>(mutant: Option<Mutant>, body: impl FnOnce() -> T) -> T {
    struct Restore(Option<Mutant>);
    impl Drop for Restore {
        fn drop(&mut self) {
            PLANTED.set(self.0);
        }
    }
    let _restore = Restore(PLANTED.replace(mutant));
    body()
}

// Clocks: what has been seen.

pub(crate) fn join_clocks<'a>(
    context: &mut Context,
    clocks: impl Iterator<Item = (KeyRange, &'a VectorClock)>,
) -> alloc::vec::IntoIter<(KeyRange, &'a VectorClock)> {
    let right: Vec<_> = clocks.filter(|(range, clock)| join_clock(context, range, clock).is_none()).collect();
    right.into_iter()
}

fn join_clock(context: &mut Context, range: &KeyRange, clock: &VectorClock) -> Option<()> {
    if active(Mutant::WholeClockJoinedOutsideTheRange) {
        context.join_range(&KeyRange::ALL, clock);
    } else if active(Mutant::PiecesNotSplit) {
        let pieces: Vec<KeyRange> = context.pieces(&KeyRange::ALL).iter().map(|(piece, _)| piece).collect();
        for piece in pieces.iter().filter(|piece| piece.intersect(range).is_some()) {
            context.join_range(piece, clock);
        }
    } else if active(Mutant::UpperBoundInclusive) {
        let behind = range.hi().and_then(|hi| hi.to_u128().checked_add(1)).map(KeyHash::from_u128);
        context.join_range(&KeyRange::new(range.lo(), behind).unwrap_or(KeyRange::ALL), clock);
    } else if active(Mutant::LastClockForAllBatches) && range.hi().is_none() {
        context.join_range(&KeyRange::ALL, clock);
    } else {
        return None;
    }
    Some(())
}

pub(crate) fn join_piece(piece: &mut Arc<VectorClock>, seen: &VectorClock) -> Option<()> {
    active(Mutant::ContextForgets).then(|| *piece = Arc::new(seen.clone()))
}

pub(crate) fn coalesce(kept: &mut Arc<VectorClock>, next: &VectorClock) -> Option<bool> {
    if active(Mutant::NeighboursCoalescedByMaximum) {
        Arc::make_mut(kept).join(next);
    } else if active(Mutant::NeighboursCoalescedByMinimum) {
        *kept = Arc::new(pointwise_minimum(kept, next));
    } else {
        return None;
    }
    Some(true)
}

fn pointwise_minimum(a: &VectorClock, b: &VectorClock) -> VectorClock {
    a.iter().map(|(replica, counter)| (replica, counter.min(b.get(replica)))).collect()
}

pub(crate) fn follows_wall_clock(follows: bool, is_later: bool) -> bool {
    if active(Mutant::ClockNeverPutRight) { is_later } else { follows }
}

/// What was pushed lately, as it is put into the pieces.
pub(crate) fn settled_notes(notes: Raised) -> Raised {
    if active(Mutant::NotesLostWhenSettled) { Raised::default() } else { notes }
}

// The replica: what it holds, and what it writes.

pub(crate) fn open_context(continuity: Continuity) -> Continuity {
    if active(Mutant::RolledBackStoreKeepsItsId) { Continuity::Vouched } else { continuity }
}

pub(crate) fn marker_while_open(marker: Marker, left_at_closing: Option<[u8; 16]>) -> Marker {
    left_at_closing.filter(|_| active(Mutant::MarkerGoodForTwoOpenings)).map_or(marker, Marker::from_bytes)
}

pub(crate) fn reply_number(drawn: u64) -> Option<u64> {
    active(Mutant::SessionNumbersRepeat).then_some(drawn)
}

pub(crate) fn is_another_write() -> Option<bool> {
    // Where lives are not compared either, numbers are all that is left.
    (active(Mutant::ClaimsAreNumbersAlone) || active(Mutant::LivesNotCompared)).then_some(false)
}

pub(crate) fn stir() -> Option<()> {
    active(Mutant::CopiesMakeOneId).then_some(())
}

pub(crate) fn check_store() -> Option<Result<(), Error>> {
    let blind = active(Mutant::StoreOfAnotherTimeNotNoticed) || active(Mutant::GoesOnAfterAnUnknownCommit);
    blind.then_some(Ok(()))
}

pub(crate) fn stops_after_a_commit(may_have_changed: bool) -> bool {
    may_have_changed && !active(Mutant::GoesOnAfterAnUnknownCommit)
}

/// Whoever waits for the commit of a group is told that it is done while the group is still small.
pub(crate) fn commit_later(writes: usize) -> Option<Result<(), StoreError>> {
    (active(Mutant::ToldBeforeItIsDurable) && writes < 4).then_some(Ok(()))
}

/// A group that was left open is taken up by whoever comes next.
pub(crate) fn begins_group(begins: bool) -> bool {
    begins || active(Mutant::ToldBeforeItIsDurable)
}

pub(crate) fn least_limit_from(floor: usize) -> usize {
    if active(Mutant::PeerLimitsIgnored) { usize::MAX } else { floor }
}

pub(crate) fn check_growth<E>() -> Option<Result<(), E>> {
    active(Mutant::GrowthIsNotCounted).then_some(Ok(()))
}

pub(crate) fn compacts_here(greatest: Option<ReplicaId>, own: ReplicaId) -> Option<ReplicaId> {
    if active(Mutant::EveryReplicaCompacts) { Some(own) } else { greatest }
}

pub(crate) fn fingerprint<T>(siblings: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
    siblings.filter(|_| !active(Mutant::FingerprintBlindToVersions))
}

pub(crate) fn summarise(after: Option<Fingerprint>) -> Option<()> {
    (active(Mutant::DigestBlindToDeletions) && after.is_none()).then_some(())
}

pub(crate) fn what_was_seen(seen: &[Dot]) -> Option<Result<Vec<Dot>, Error>> {
    active(Mutant::ForeignReadsAccepted).then(|| Ok(seen.to_vec()))
}

pub(crate) fn last_timestamp(kept: Timestamp) -> Timestamp {
    if active(Mutant::ClockNotCarriedOver) { Timestamp::MIN } else { kept }
}

pub(crate) fn check_room_for_own_id() -> Option<Result<(), Error>> {
    active(Mutant::OwnIdsBeyondTheLimit).then_some(Ok(()))
}

pub(crate) fn seen_by_write(seen: Vec<Dot>, held: impl Iterator<Item = Dot>) -> Vec<Dot> {
    let removed_only = active(Mutant::PushCarriesOnlyWhatItRemoved);
    if removed_only { held.filter(|dot| seen.contains(dot)).collect() } else { seen }
}

// The replica: batches, as they are made.

pub(crate) fn is_theirs(mine: Option<Fingerprint>) -> Option<bool> {
    (active(Mutant::AbsenceNotExpressible) && mine.is_none()).then_some(true)
}

pub(crate) fn with_changes_since(found: &[Difference]) -> Option<Vec<Difference>> {
    let left_out = active(Mutant::ChangedSinceComparisonLeftOut) || active(Mutant::EntriesOlderThanTheInstant);
    left_out.then(|| found.to_vec())
}

pub(crate) fn make_batch(mut batch: Batch, plan: &BatchPlan<'_>, live: &Snapshot, context: &Context) -> Batch {
    let (range, sender) = (batch.range(), context.own_id());
    if active(Mutant::HolesAreNotToldToPeers) {
        batch.clocks = context.with_filled(|_| Some(Fill::WHOLE)).pieces(&range);
    }
    batch.clocks = match plan.compared {
        Some(compared) if active(Mutant::SnapshotClockInsteadOfLive) => compared.context.pieces(&range),
        _ => clocks_of_sender(batch.clocks, sender),
    };
    if let Some(compared) = plan.compared
        && active(Mutant::EntriesOlderThanTheInstant)
        && plan.base == BatchBase::Snapshot
    {
        batch.digest = digest_of_compared(&range, compared, &plan.differences, live);
    }
    batch
}

fn clocks_of_sender(live: RangeClocks, sender: ReplicaId) -> RangeClocks {
    let moved = |counter: fn(u64) -> u64| {
        let move_own = |(piece, clock): (KeyRange, &VectorClock)| {
            let mut clock = clock.clone();
            clock.set(sender, counter(clock.get(sender)));
            (piece.lo(), clock)
        };
        RangeClocks::new(live.range(), live.iter().map(move_own).collect()).expect("the same pieces")
    };
    let one_for_all = |combine: fn(&mut VectorClock, &VectorClock)| {
        let mut clocks = live.iter().map(|(_, clock)| clock.clone());
        let first = clocks.next().unwrap_or_default();
        let combined = clocks.fold(first, |mut combined, clock| {
            combine(&mut combined, &clock);
            combined
        });
        RangeClocks::new(live.range(), alloc::vec![(live.range().lo(), combined)]).expect("one piece for the range")
    };
    if active(Mutant::SenderClockOfFirstPiece) {
        one_for_all(|_, _| {})
    } else if active(Mutant::SenderClockOfPiecesByMaximum) {
        one_for_all(VectorClock::join)
    } else if active(Mutant::SenderClockOfPiecesByMinimum) {
        one_for_all(|combined, clock| *combined = pointwise_minimum(combined, clock))
    } else if active(Mutant::ClockLaterThanTheInstant) {
        moved(|counter| counter.saturating_add(1))
    } else if active(Mutant::ClockEarlierThanTheInstant) {
        moved(|counter| counter.saturating_sub(1))
    } else {
        live
    }
}

/// The digest of entries that are as they were at the comparison, but for those that it found to differ: older than the
/// batch's clocks, and certified all the same.
fn digest_of_compared(range: &KeyRange, compared: &Baseline, found: &[Difference], live: &Snapshot) -> Root {
    let mut tree = compared.summary.restrict(range).to_tree();
    for found in found.iter().filter(|found| range.contains(found.key)) {
        match live.get(found.key) {
            Some(fingerprint) => tree.insert(found.key, fingerprint),
            None => tree.remove(found.key),
        };
    }
    tree.root()
}

// The replica: batches, as they are taken in.

pub(crate) fn certify<E>() -> Option<Result<(), E>> {
    let skipped = active(Mutant::CertificationSkipped) || active(Mutant::ChangedSinceComparisonLeftOut);
    skipped.then_some(Ok(()))
}

pub(crate) fn notice_claim<E>() -> Option<Result<(), E>> {
    active(Mutant::OwnWritesUnknownToThePeerNotNoticed).then_some(Ok(()))
}

pub(crate) fn kept_names(kept: u64, made: u64) -> u64 {
    if active(Mutant::RenamedWritesKeepTheirNames) {
        made
    } else if active(Mutant::RenamedWritesAllMadeAnew) {
        0
    } else {
        kept
    }
}

pub(crate) fn contradicts() -> Option<bool> {
    active(Mutant::LivesNotCompared).then_some(false)
}

pub(crate) fn mint_for_deletes<E>() -> Option<Result<(), E>> {
    active(Mutant::RenamedDeletesLeaveNoTrace).then_some(Ok(()))
}

pub(crate) fn joined_context<E>(before: &Context, batch: &Batch) -> Option<Result<Context, E>> {
    let held_back = active(Mutant::ClockHeldBackToTheLastBatch) && batch.range().hi().is_some();
    held_back.then(|| Ok(before.clone()))
}

pub(crate) fn joined_within<E>(before: &Context, batch: &Batch, limit: usize) -> Option<Result<Context, E>> {
    if !active(Mutant::PiecesBeyondTheLimitDropped) {
        return None;
    }
    let mut context = before.clone();
    for (range, clock) in batch.clocks.iter() {
        let mut next = context.clone();
        next.join_range(&range, clock);
        if next.pieces_len() <= limit {
            context = next;
        }
    }
    Some(Ok(context))
}

/// The keys of a batch that are left out when its clocks are joined.
pub(crate) fn left_out(withheld: Vec<Withheld>) -> Vec<Withheld> {
    if active(Mutant::HoleCountsAsSeen) { Vec::new() } else { withheld }
}

pub(crate) fn stored_context(stored: Vec<u8>, context: &Context, encode: fn(&Context) -> Vec<u8>) -> Vec<u8> {
    let is_forgotten = active(Mutant::HolesAreNotStored);
    if is_forgotten { encode(&context.with_filled(|_| Some(Fill::WHOLE))) } else { stored }
}

/// Counts what was withheld as held; what is to be done next is done.
pub(crate) fn note_hole<V: Replicated>(replica: &mut Replica<V>, key: KeyHash, said: Fingerprint) -> Option<()> {
    if active(Mutant::HoleHeldByItsHashAlone) {
        replica.summarise(key, Some(said));
    }
    None
}

pub(crate) fn hole_keys(keys: usize) -> usize {
    if active(Mutant::HoleDroppedSilently) { 0 } else { keys }
}

pub(crate) fn most_loaded(bytes: usize) -> usize {
    if active(Mutant::BatchLoadedAllAtOnce) { usize::MAX } else { bytes }
}

pub(crate) fn join<T>(theirs: impl Iterator<Item = T>) -> Option<Vec<T>> {
    active(Mutant::LiveOverwrittenInsteadOfJoined).then(|| theirs.collect())
}

pub(crate) fn join_unsent<T: Default>() -> Option<T> {
    active(Mutant::UnsentKeysNotJoined).then(T::default)
}

pub(crate) fn join_unlisted<T: Default>() -> Option<T> {
    active(Mutant::WholeBatchKeepsUnlisted).then(T::default)
}

// The replica: pushes that come in.

pub(crate) fn is_ready(context: &Context, push: &Push) -> Option<bool> {
    let is_next = || context.is_next(push.key, push.dot);
    let covers_seen = || push.seen.iter().all(|dot| context.covers(push.key, *dot));
    if active(Mutant::PushAcceptedWhateverItsCounter) {
        Some(covers_seen())
    } else if active(Mutant::PushIgnoresWhatItReplaces) {
        Some(is_next())
    } else if active(Mutant::PushJudgedByTheWholeContext) {
        let max = |dot: &Dot| context.max_counter(dot.replica);
        Some(max(&push.dot) == push.dot.counter - 1 && push.seen.iter().all(|dot| max(dot) >= dot.counter))
    } else {
        None
    }
}

pub(crate) fn remove_seen<T>(siblings: &mut Vec<T>) -> Option<()> {
    active(Mutant::PushRemovesAllHeld).then(|| siblings.clear())
}

pub(crate) fn raise(context: &mut Context, key: KeyHash, dot: Dot) -> Option<Result<(), Error>> {
    let clock = [(dot.replica, dot.counter)].into_iter().collect();
    let accepts_later_ones =
        active(Mutant::PushAcceptedWhateverItsCounter) || active(Mutant::PushJudgedByTheWholeContext);
    if active(Mutant::PushRaisesEveryPiece) {
        context.join_range(&KeyRange::ALL, &clock);
    } else if accepts_later_ones && !context.is_next(key, dot) {
        let pieces = context.pieces(&KeyRange::ALL);
        let piece = pieces.iter().map(|(piece, _)| piece).find(|piece| piece.contains(key)).unwrap_or(KeyRange::ALL);
        context.join_range(&piece, &clock);
    } else {
        return None;
    }
    Some(Ok(()))
}

// Sessions.

pub(crate) fn answer_from_the_present<V: Replicated, T>(
    replica: &mut Replica<V>,
    answer: impl FnOnce(&Snapshot) -> T,
) -> Option<T> {
    active(Mutant::AnswersFromThePresent).then(|| answer(&replica.summary()))
}

pub(crate) fn is_overdue(opened_here: bool) -> Option<bool> {
    let patient = active(Mutant::SessionsNeverTimeOut) || active(Mutant::RoundWaitsForEverySession) && opened_here;
    patient.then_some(false)
}

/// A session that never times out keeps its room, too.
pub(crate) fn lease_ends() -> Option<Duration> {
    let patient = active(Mutant::SessionsNeverTimeOut) || active(Mutant::RoundWaitsForEverySession);
    patient.then_some(Duration::MAX)
}

pub(crate) fn most_repeats(limit: u32) -> u32 {
    if active(Mutant::RepliesRepeatedForEver) { u32::MAX } else { limit }
}

pub(crate) fn next_cursor(next: Option<KeyHash>, range: &KeyRange) -> Option<KeyHash> {
    next.or(active(Mutant::LastRangeExchangedForEver).then_some(range.lo()))
}

pub(crate) fn is_equal(states_are_equal: bool, mine: Root, theirs: Root) -> bool {
    states_are_equal || active(Mutant::EqualRootsSkipContexts) && mine == theirs
}

pub(crate) fn equality(found: Option<Equality>, mine: Root, theirs: Root) -> Option<Equality> {
    found.or(is_equal(false, mine, theirs).then_some(Equality { root: mine, keys: 0 }))
}

pub(crate) fn has_converged(found: Option<Equality>, mine: Root) -> Option<Equality> {
    found.or(active(Mutant::SessionConvergesUnchecked).then_some(Equality { root: mine, keys: 0 }))
}

/// What an opener takes for the clocks of an answerer that told them by cells.
pub(crate) fn peers_clocks<T>(own: &Context, told: impl FnOnce(RangeClocks) -> T) -> Option<T> {
    active(Mutant::OwnClocksTakenForThePeers).then(|| told(own.pieces(&KeyRange::ALL)))
}

/// The reply to a batch as it is before that is taken in, under the clocks after.
pub(crate) fn stale_reply<V: Replicated>(
    batch: &Batch,
    compared: &Baseline,
    replica: &mut Replica<V>,
) -> Result<Option<Batch>, Error> {
    if !active(Mutant::ReplyWithOldEntriesAndNewClock) {
        return Ok(None);
    }
    // What is no entry's fingerprint, so that the entry is always sent.
    let theirs = Fingerprint::from_bytes([0; Fingerprint::LEN]);
    let plan = BatchPlan {
        range: batch.range(),
        base: BatchBase::Snapshot,
        differences: batch
            .changes
            .iter()
            .map(|change| Difference::at(change.key(), None, Some(theirs.into())))
            .collect(),
        compared: Some(compared),
        inventory: &Inventory::new(),
        seen: None,
        inline: true,
        cuts: None,
        limits: BatchLimits::NONE,
        unreadable: &Unreadable::default(),
    };
    let stale = replica.make_batch(&plan)?;
    let mut after = replica.context().clone();
    after.join(&batch.clocks);
    Ok(Some(Batch { clocks: after.pieces(&batch.range()), ..stale }))
}

pub(crate) fn reply_stale<T>(stale: Option<Batch>, reply: impl FnOnce(Option<Batch>) -> T) -> Option<Result<T, Error>> {
    stale.map(|stale| Ok(reply(Some(stale))))
}

// Gossip.

pub(crate) fn announcement(without_clocks: &Sha256) -> Option<StateDigest> {
    active(Mutant::AnnouncementBlindToClocks).then(|| StateDigest::from_bytes(without_clocks.clone().finalize().into()))
}

pub(crate) fn refill(tokens: i64) -> Option<bool> {
    (active(Mutant::BudgetNeverRefillsFromZero) && tokens <= 0).then_some(false)
}

pub(crate) fn queue_is_full(is_full: bool) -> bool {
    is_full && !active(Mutant::QueuesAreNotBounded)
}

pub(crate) fn start_round(has_opened_sessions: bool) -> Option<()> {
    (active(Mutant::RoundWaitsForEverySession) && has_opened_sessions).then_some(())
}

pub(crate) fn slower(shortest: Duration) -> Option<Duration> {
    active(Mutant::PaceNeverSlowsDown).then_some(shortest)
}

/// A lease that begins anew with each frame, whatever that moves.
pub(crate) fn renew_lease(
    began_at: &mut Duration,
    paid_until: &mut Duration,
    idle_timeout: Duration,
    now: Duration,
) -> Option<()> {
    active(Mutant::LeaseRenewedByAnyFrame).then(|| {
        (*began_at, *paid_until) = (now, now.saturating_add(idle_timeout));
    })
}

/// Nobody's turn is behind anybody's: who comes first by name is served as long as there is something for it.
pub(crate) fn turn_after(current: Option<PeerId>) -> Option<PeerId> {
    current.filter(|_| !active(Mutant::PeersServedInOrder))
}

/// Pushes a version that is held, whoever wrote it and whoever has it; the round then goes on.
pub(crate) fn push_again<V: Replicated>(engine: &mut Engine<V>, now: Now) -> Option<()> {
    if !active(Mutant::PushesRepeatedEveryRound) {
        return None;
    }
    let mut held = None;
    let read = engine.replica().for_each(|key, read| {
        let dot = read.siblings().first().map(|version| version.dot);
        held = dot.map(|dot| Written { key: KeyHash::of(key), dot, seen: Vec::new(), deleted: false });
        ControlFlow::Break(())
    });
    let push = read.and_then(|()| held.map_or(Ok(None), |written| engine.replica().push_of(&written)));
    if let Ok(Some(push)) = push {
        engine.push_to_some(&push, now);
    }
    None
}
