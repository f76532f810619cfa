//! Rule 4: a batch, from which a peer rebuilds this replica's exact state of a range at one instant.

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::apply::Baseline;
use super::item::{Part, PartHash, bytes};
use super::version::{ContentHash, Record, Sibling, fingerprint};
use super::{Error, Replica, Replicated};
use crate::clock::{Dot, RangeClocks, Timestamp, VectorClock};
use crate::mutant::{self, Mutant};
use crate::summary::compare::TruncatedFingerprint;
use crate::summary::{Fingerprint, Root, Snapshot};
use crate::{KeyHash, KeyRange};

/// The sender's state of a range, as the difference to a snapshot of the receiver. Clocks, digest and entries are
/// read at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Batch {
    /// The range, and what the sender had seen in each piece of it.
    pub(crate) clocks: RangeClocks,
    /// The root of the sender's tree restricted to the range.
    pub(crate) digest: Root,
    /// The keys at which the sender's state is not that of the receiver's snapshot, in order of their hashes.
    pub(crate) changes: Vec<KeyState>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum KeyState {
    /// Nothing is held at this key.
    Absent(KeyHash),
    /// What is held at a key.
    Present(WireEntry),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireEntry {
    #[serde(with = "bytes")]
    pub(crate) key: Vec<u8>,
    pub(crate) versions: Vec<WireVersion>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireVersion {
    pub(crate) dot: Dot,
    pub(crate) timestamp: Timestamp,
    pub(crate) content: WireContent,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum WireContent {
    /// The receiver holds this version already, with this content.
    Held(ContentHash),
    /// The encoded value.
    Sent(WireValue),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireValue {
    #[serde(with = "bytes")]
    pub(crate) body: Vec<u8>,
    pub(crate) parts: Vec<WirePart>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum WirePart {
    /// The receiver holds a part with this hash at this key already.
    Held(PartHash),
    /// The part itself.
    Sent(Part),
}

/// How much goes into one batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchLimits {
    pub(crate) max_entries: usize,
    /// One entry always fits, however long it is.
    pub(crate) max_bytes: usize,
}

/// A key at which the receiver's snapshot was found to differ, and what it holds there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gap {
    pub(crate) key: KeyHash,
    pub(crate) theirs: TheirEntry,
}

/// What is known of the entry in the receiver's snapshot.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TheirEntry {
    Absent,
    Truncated(TruncatedFingerprint),
    Full(Fingerprint),
}

impl TheirEntry {
    pub(crate) fn of(fingerprint: Option<Fingerprint>) -> Self {
        fingerprint.map_or(Self::Absent, Self::Full)
    }

    fn is(self, mine: Option<Fingerprint>) -> bool {
        match (self, mine) {
            (Self::Absent, mine) => mine.is_none(),
            (Self::Truncated(theirs), Some(mine)) => theirs.matches(&mine),
            (Self::Full(theirs), Some(mine)) => theirs == mine,
            (_, None) => false,
        }
    }
}

/// The versions and parts that a peer is known to hold, by key.
pub(crate) type HeldByPeer = BTreeMap<KeyHash, (Vec<Dot>, Vec<PartHash>)>;

/// What a batch is made from.
pub(crate) struct BatchPlan<'a> {
    /// At most this range goes into the batch; less if the limits are reached.
    pub(crate) range: KeyRange,
    /// Where the receiver's snapshot is known to differ, in order.
    pub(crate) gaps: Vec<Gap>,
    /// The sender's state at the comparison. Where it has changed since, the receiver's snapshot has what it had.
    pub(crate) compared: Option<&'a Baseline>,
    pub(crate) held: &'a HeldByPeer,
    /// Whether all content is sent, since the receiver did not hold what an earlier batch named.
    pub(crate) inline: bool,
    /// Where the batch may end before the range does; `None` for anywhere.
    pub(crate) cuts: Option<&'a [KeyHash]>,
    pub(crate) limits: BatchLimits,
}

impl Batch {
    pub(crate) fn range(&self) -> KeyRange {
        self.clocks.range()
    }

    /// The bytes of values that are sent, without what is named.
    pub(crate) fn value_bytes(&self) -> u64 {
        self.changes.iter().map(KeyState::value_bytes).sum()
    }
}

impl KeyState {
    pub(crate) fn value_bytes(&self) -> u64 {
        let Self::Present(entry) = self else { return 0 };
        entry.versions.iter().map(|version| version.content.value_bytes()).sum()
    }

    /// About how many bytes this takes in a frame.
    fn len_bytes(&self) -> usize {
        const FIXED: usize = 24;
        let Self::Present(entry) = self else { return KeyHash::LEN + 1 };
        let named = entry.versions.len() * 2 * FIXED;
        FIXED + entry.key.len() + named + usize::try_from(self.value_bytes()).unwrap_or(usize::MAX)
    }
}

impl WireContent {
    fn value_bytes(&self) -> u64 {
        match self {
            Self::Held(_) => 0,
            Self::Sent(value) => value.value_bytes(),
        }
    }
}

impl WireValue {
    /// A value as it is sent, with the parts in `named` by their hashes.
    pub(crate) fn of<V>(sibling: &Sibling<V>, named: impl Fn(usize, PartHash) -> bool) -> Self {
        let part = |(index, (part, hash)): (usize, (&Part, PartHash))| {
            if named(index, hash) { WirePart::Held(hash) } else { WirePart::Sent(part.clone()) }
        };
        let parts = sibling.encoded.parts.iter().zip(sibling.part_hashes()).enumerate().map(part).collect();
        Self { body: sibling.encoded.body.clone(), parts }
    }

    pub(crate) fn value_bytes(&self) -> u64 {
        let sent = |part: &WirePart| match part {
            WirePart::Held(_) => 0,
            WirePart::Sent(part) => part.as_bytes().len() as u64,
        };
        self.body.len() as u64 + self.parts.iter().map(sent).sum::<u64>()
    }
}

impl<V: Replicated> Replica<V> {
    /// Makes the batch that `plan` asks for, as this replica is now.
    ///
    /// # Errors
    /// If the store fails, or what it holds is not what was written to it.
    pub(crate) fn make_batch(&mut self, plan: BatchPlan<'_>) -> Result<Batch, Error> {
        if self.stopped {
            return Err(Error::Stopped);
        }
        let live = self.tree.snapshot();
        let gaps = with_changes_since(plan.gaps, &live, plan.compared, &plan.range);
        let mut changes: Vec<KeyState> = Vec::new();
        let mut bytes = 0;
        let mut range = plan.range;
        for (index, gap) in gaps.iter().enumerate() {
            let fingerprint = live.get(gap.key);
            if gap.theirs.is(fingerprint) {
                continue;
            }
            let Some(state) = self.key_state(gap, fingerprint, plan.held, plan.inline)? else { continue };
            let full = changes.len() >= plan.limits.max_entries || bytes + state.len_bytes() > plan.limits.max_bytes;
            if full && !changes.is_empty() {
                let cut = cut_between(gaps[index - 1].key, gap.key, plan.cuts);
                if let Some(shorter) = cut.and_then(|cut| KeyRange::new(range.lo(), Some(cut))) {
                    range = shorter;
                    break;
                }
            }
            bytes += state.len_bytes();
            changes.push(state);
        }
        let clocks = self.clocks_of(&range, plan.compared);
        Ok(Batch { clocks, digest: live.range_digest(&range), changes })
    }

    /// The only places where a range may end if it is to be joined here: the cuts that there are, once the context has no
    /// room for more. `None` for anywhere.
    pub(crate) fn cuts_if_full(&self) -> Option<Vec<KeyHash>> {
        // A join cuts at both ends of its range.
        let full = self.context.pieces_len() + 2 > self.config.max_context_pieces.get();
        full.then(|| self.context.cuts().collect())
    }

    /// What is held at a key, in the shortest form that the receiver can complete; `None` only where a mutant says so.
    fn key_state(
        &self,
        gap: &Gap,
        fingerprint: Option<Fingerprint>,
        held: &HeldByPeer,
        inline: bool,
    ) -> Result<Option<KeyState>, Error> {
        let Some(fingerprint) = fingerprint else {
            let absent = KeyState::Absent(gap.key);
            return Ok((!mutant::active(Mutant::AbsenceNotExpressible)).then_some(absent));
        };
        let record = self.load(gap.key)?.filter(|record| record.fingerprint() == fingerprint);
        let record = record.ok_or_else(|| Error::DamagedRecord {
            key: gap.key,
            reason: "its hash is not the one that it was written with".to_string(),
        })?;
        let versions = if inline {
            record.siblings.iter().map(|sibling| sent(sibling, |_, _| false)).collect()
        } else {
            name_what_is_held(&record, gap, held.get(&gap.key))
        };
        Ok(Some(KeyState::Present(WireEntry { key: record.key_bytes, versions })))
    }

    fn clocks_of(&self, range: &KeyRange, compared: Option<&Baseline>) -> RangeClocks {
        let live = self.context.pieces(range);
        match compared {
            Some(compared) if mutant::active(Mutant::SnapshotClockInsteadOfLive) => compared.context.pieces(range),
            _ => mutated_clocks(live),
        }
    }
}

/// Adds to the gaps of a comparison what changed at the sender since: there the receiver's snapshot still has what the
/// sender's had, unless the comparison found otherwise.
fn with_changes_since(gaps: Vec<Gap>, live: &Snapshot, compared: Option<&Baseline>, range: &KeyRange) -> Vec<Gap> {
    let Some(compared) = compared else { return gaps };
    if mutant::active(Mutant::ChangedSinceComparisonLeftOut) {
        return gaps;
    }
    let changed = live.diff_range(&compared.summary, range);
    let mut all: BTreeMap<KeyHash, TheirEntry> =
        changed.into_iter().map(|difference| (difference.key, TheirEntry::of(difference.theirs))).collect();
    all.extend(gaps.into_iter().map(|gap| (gap.key, gap.theirs)));
    all.into_iter().map(|(key, theirs)| Gap { key, theirs }).collect()
}

/// A place to end a batch behind `last` and not behind `next`.
fn cut_between(last: KeyHash, next: KeyHash, cuts: Option<&[KeyHash]>) -> Option<KeyHash> {
    match cuts {
        None => Some(last.boundary_before(next)),
        Some(cuts) => cuts.iter().rev().find(|cut| last < **cut && **cut <= next).copied(),
    }
}

fn sent<V>(sibling: &Sibling<V>, named: impl Fn(usize, PartHash) -> bool) -> WireVersion {
    let content = WireContent::Sent(WireValue::of(sibling, named));
    WireVersion { dot: sibling.dot(), timestamp: sibling.version.timestamp, content }
}

/// Names the versions and parts that the peer holds at this key: those it sent, those its fingerprint shows, and, as a
/// guess, parts that it had in an earlier version. A wrong guess costs a round trip, and the whole batch once more.
fn name_what_is_held<V: Replicated>(
    record: &Record<V>,
    gap: &Gap,
    known: Option<&(Vec<Dot>, Vec<PartHash>)>,
) -> Vec<WireVersion> {
    let shown = subset_with_fingerprint(record, gap.theirs);
    let present = !matches!(gap.theirs, TheirEntry::Absent);
    let holds = |dot: &Dot| shown.contains(dot) || known.is_some_and(|(dots, _)| dots.contains(dot));
    let name = |sibling: &Sibling<V>| {
        if holds(&sibling.dot()) {
            let content = WireContent::Held(sibling.content);
            return WireVersion { dot: sibling.dot(), timestamp: sibling.version.timestamp, content };
        }
        sent(sibling, |index, hash| match known {
            Some((_, parts)) => parts.contains(&hash),
            None => present && sibling.inherited[index],
        })
    };
    record.siblings.iter().map(name).collect()
}

/// The siblings that alone would have the peer's fingerprint. Tried for the few siblings that entries usually have: a
/// peer that lacks one of them is the common case after concurrent writes.
fn subset_with_fingerprint<V: Replicated>(record: &Record<V>, theirs: TheirEntry) -> Vec<Dot> {
    const MOST_SIBLINGS: usize = 4;
    let siblings = &record.siblings;
    if siblings.len() < 2 || siblings.len() > MOST_SIBLINGS || matches!(theirs, TheirEntry::Absent) {
        return Vec::new();
    }
    let all = (1u32 << siblings.len()) - 1;
    for mask in 1..all {
        let chosen: Vec<&Sibling<V>> = siblings
            .iter()
            .enumerate()
            .filter(|(index, _)| mask >> index & 1 == 1)
            .map(|(_, sibling)| sibling)
            .collect();
        let candidate = fingerprint(&record.key_bytes, chosen.iter().map(|sibling| (sibling.dot(), sibling.content)));
        if theirs.is(Some(candidate)) {
            return chosen.into_iter().map(Sibling::dot).collect();
        }
    }
    Vec::new()
}

/// The sender's clocks, or one for all of them where a mutant wants it so.
fn mutated_clocks(live: RangeClocks) -> RangeClocks {
    let one_for_all = |combine: fn(&mut VectorClock, &VectorClock)| {
        let mut clocks = live.iter().map(|(_, clock)| clock.clone());
        let first = clocks.next().unwrap_or_default();
        let combined = clocks.fold(first, |mut combined, clock| {
            combine(&mut combined, &clock);
            combined
        });
        RangeClocks::new(live.range(), alloc::vec![(live.range().lo(), combined)]).expect("one piece for the range")
    };
    if mutant::active(Mutant::SenderClockOfFirstPiece) {
        one_for_all(|_, _| {})
    } else if mutant::active(Mutant::SenderClockOfPiecesByMaximum) {
        one_for_all(VectorClock::join)
    } else if mutant::active(Mutant::SenderClockOfPiecesByMinimum) {
        one_for_all(|combined, clock| *combined = combined.iter().map(|(id, n)| (id, n.min(clock.get(id)))).collect())
    } else {
        live
    }
}
