//! Rule 4: a batch, from which a peer rebuilds this replica's exact state of a range at one instant.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::apply::Baseline;
use super::item::{Part, PartHash, bytes};
use super::version::{ContentHash, Record, Sibling, fingerprint};
use super::{Error, Replica, Replicated, ValueBytes};
use crate::clock::{Dot, RangeClocks, Timestamp};
use crate::summary::{Fingerprint, Root, Snapshot, TruncatedFingerprint};
use crate::{KeyHash, KeyRange};

/// The sender's state of a range, as the difference to a base. Clocks, digest and entries are read at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Batch {
    /// The range, and what the sender had seen in each piece of it.
    pub(crate) clocks: RangeClocks,
    pub(crate) base: BatchBase,
    /// The root of the sender's tree restricted to the range.
    pub(crate) digest: Root,
    /// The keys at which the sender's state is not that of the base, in order of their hashes.
    pub(crate) changes: Vec<KeyState>,
}

/// What a sender holds at the keys that its batch does not list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum BatchBase {
    /// What the receiver's snapshot has there; which snapshot that is follows from the exchange.
    Snapshot,
    /// Nothing: the batch is whole, and lists all that its sender holds in the range.
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum KeyState {
    /// Nothing is held at this key.
    Absent(KeyHash),
    /// What is held at a key.
    Present(WireEntry),
    /// Nothing is held at the one key of the receiver's snapshot whose hash starts so.
    AbsentUnder(KeyPrefix),
}

/// The first 64 bits of a key hash: all that a sketch tells of a key that only the peer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct KeyPrefix(#[serde(with = "postcard::fixint::be")] pub(crate) u64);

impl KeyPrefix {
    /// The lowest key hash that starts so.
    pub(crate) fn lowest(self) -> KeyHash {
        KeyHash::from_u128(u128::from(self.0) << 64)
    }

    /// The highest key hash that starts so.
    fn highest(self) -> KeyHash {
        KeyHash::from_u128(self.lowest().to_u128() | u128::from(u64::MAX))
    }

    /// The key hashes that start so.
    pub(crate) fn range(self) -> KeyRange {
        let end = self.0.checked_add(1).map(|next| Self(next).lowest());
        KeyRange::new(self.lowest(), end).unwrap_or(KeyRange::ALL)
    }
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
    /// The receiver has seen this version, which has this content: it holds it, or held it and holds it no more.
    Seen {
        content: ContentHash,
        /// Its parts, where the receiver may hold it no more: what they are in common with need not be sent in return.
        parts: Vec<PartHash>,
    },
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
    /// The receiver has a part with this hash: it holds it at this key, or an earlier version of the entry brings it.
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
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Gap {
    /// The key, or the lowest one with its prefix.
    pub(crate) key: KeyHash,
    /// Whether only the key's first 64 bits are known, of a key at which nothing was held at the comparison.
    pub(crate) only_prefix: bool,
    pub(crate) theirs: TheirEntry,
}

impl Gap {
    pub(crate) fn new(key: KeyHash, theirs: TheirEntry) -> Self {
        Self { key, only_prefix: false, theirs }
    }

    /// Of a key that only the receiver holds, by what a sketch tells.
    pub(crate) fn under(prefix: KeyPrefix, theirs: TheirEntry) -> Self {
        Self { key: prefix.lowest(), only_prefix: true, theirs }
    }

    /// Whether both sides hold something at this key.
    pub(crate) fn is_held_otherwise(&self) -> bool {
        !self.only_prefix && !matches!(self.theirs, TheirEntry::Absent)
    }

    /// The last key that it may stand for.
    fn highest(&self) -> KeyHash {
        if self.only_prefix { self.prefix().highest() } else { self.key }
    }

    fn prefix(&self) -> KeyPrefix {
        KeyPrefix(self.key.prefix_u64())
    }

    fn absent(&self) -> KeyState {
        if self.only_prefix { KeyState::AbsentUnder(self.prefix()) } else { KeyState::Absent(self.key) }
    }
}

/// What is known of the entry in the receiver's snapshot.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) enum TheirEntry {
    Absent,
    Truncated(TruncatedFingerprint),
    Full(Fingerprint),
}

impl TheirEntry {
    pub(crate) fn of(fingerprint: Option<TruncatedFingerprint>) -> Self {
        fingerprint.map_or(Self::Absent, Self::Truncated)
    }

    fn is(self, mine: Option<Fingerprint>) -> bool {
        plant!(is_theirs(mine));
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
    /// What the batch is to be relative to. A whole one needs neither gaps nor a comparison.
    pub(crate) base: BatchBase,
    /// Where the receiver's snapshot is known to differ, in order.
    pub(crate) gaps: Vec<Gap>,
    /// The sender's state at the comparison. Where it has changed since, the receiver's snapshot has what it had.
    pub(crate) compared: Option<&'a Baseline>,
    pub(crate) held: &'a HeldByPeer,
    /// What the receiver had seen at the comparison, if that is known. It need not be sent: what is not held there is dead.
    pub(crate) seen: Option<&'a RangeClocks>,
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
    pub(crate) fn value_bytes(&self) -> ValueBytes {
        self.changes.iter().map(KeyState::value_bytes).sum()
    }

    /// Whether to ask what the receiver holds before this batch is sent: where `gaps`, in order, say that it holds
    /// something, and what it holds is not `known`, a large part would be sent.
    pub(crate) fn is_worth_asking(&self, gaps: &[Gap], known: &HeldByPeer) -> bool {
        // What is said of a key takes about a hundred bytes.
        const WORTH_ASKING_BYTES: u64 = 256;
        self.changes.iter().any(|change| {
            let KeyState::Present(entry) = change else { return false };
            if entry.value_bytes().parts < WORTH_ASKING_BYTES {
                return false;
            }
            let key = change.key();
            let gap = gaps.binary_search_by_key(&key, |gap| gap.key).ok().map(|index| gaps[index]);
            gap.is_some_and(|gap| gap.is_held_otherwise()) && !known.contains_key(&key)
        })
    }
}

impl WireEntry {
    fn value_bytes(&self) -> ValueBytes {
        self.versions.iter().map(|version| version.content.value_bytes()).sum()
    }
}

impl WirePart {
    fn bytes_sent(&self) -> usize {
        match self {
            Self::Held(_) => 0,
            Self::Sent(part) => part.as_bytes().len(),
        }
    }
}

impl KeyState {
    pub(crate) fn key(&self) -> KeyHash {
        match self {
            Self::Absent(key) => *key,
            Self::Present(entry) => KeyHash::of_encoded(&entry.key),
            Self::AbsentUnder(prefix) => prefix.lowest(),
        }
    }

    fn value_bytes(&self) -> ValueBytes {
        match self {
            Self::Absent(_) | Self::AbsentUnder(_) => ValueBytes::default(),
            Self::Present(entry) => entry.value_bytes(),
        }
    }

    /// About how many bytes this takes in a frame.
    fn len_bytes(&self) -> usize {
        const FIXED: usize = 24;
        let Self::Present(entry) = self else { return KeyHash::LEN + 1 };
        let named = entry.versions.len() * 2 * FIXED;
        FIXED + entry.key.len() + named + usize::try_from(entry.value_bytes().all).unwrap_or(usize::MAX)
    }
}

impl WireContent {
    fn value_bytes(&self) -> ValueBytes {
        match self {
            Self::Seen { .. } => ValueBytes::default(),
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

    /// The bytes that are sent, without what is named.
    pub(crate) fn value_bytes(&self) -> ValueBytes {
        ValueBytes::of(&self.body, self.parts.iter().map(WirePart::bytes_sent))
    }
}

impl<V: Replicated> Replica<V> {
    /// Makes the batch that `plan` asks for, as this replica is now.
    ///
    /// # Errors
    /// If the store fails, or what it holds is not what was written to it.
    pub(crate) fn make_batch(&mut self, plan: &BatchPlan<'_>) -> Result<Batch, Error> {
        if self.stopped {
            return Err(Error::Stopped);
        }
        let live = self.tree.snapshot();
        let mut changes: Vec<KeyState> = Vec::new();
        let mut bytes = 0;
        let mut range = plan.range;
        let mut last = range.lo();
        for gap in gaps_to_base(plan, &live) {
            let before = core::mem::replace(&mut last, gap.highest());
            let fingerprint = live.get(gap.key);
            if gap.theirs.is(fingerprint) {
                continue;
            }
            let state = self.key_state(&gap, fingerprint, plan)?;
            let full = changes.len() >= plan.limits.max_entries || bytes + state.len_bytes() > plan.limits.max_bytes;
            if full && !changes.is_empty() {
                let cut = cut_between(before, gap.key, plan.cuts);
                if let Some(shorter) = cut.and_then(|cut| KeyRange::new(range.lo(), Some(cut))) {
                    range = shorter;
                    break;
                }
            }
            bytes += state.len_bytes();
            changes.push(state);
        }
        let (clocks, digest) = (self.context.pieces(&range), live.range_digest(&range));
        let batch = Batch { clocks, base: plan.base, digest, changes };
        plant!(let batch = make_batch(batch, plan, &live, self.id()));
        Ok(batch)
    }

    /// The gaps of a comparison, and what changed here in a range since.
    pub(crate) fn with_changes_since(&mut self, gaps: &[Gap], compared: &Baseline, range: &KeyRange) -> Vec<Gap> {
        with_changes_since(gaps, &self.tree.snapshot(), Some(compared), range)
    }

    /// The only places where a range may end if it is to be joined here: the cuts that there are, once the context has no
    /// room for more. `None` for anywhere.
    pub(crate) fn cuts_if_full(&self) -> Option<Vec<KeyHash>> {
        // A join cuts at both ends of its range.
        let full = self.context.pieces_len() + 2 > self.config.max_context_pieces.get();
        full.then(|| self.context.cuts().collect())
    }

    /// The versions and parts that are held at these keys; of the first ones only, if the values are long.
    ///
    /// # Errors
    /// If the store fails, or what it holds is not what was written to it.
    pub(crate) fn held_at(&self, keys: impl IntoIterator<Item = KeyHash>) -> Result<HeldByPeer, Error> {
        // Parts are hashed to be named: about what it takes to hash a batch or two is enough at a time.
        const MOST_BYTES: usize = 4 << 20;
        let (mut held, mut bytes) = (HeldByPeer::new(), 0);
        for key in keys {
            if bytes > MOST_BYTES {
                break;
            }
            let siblings = self.load(key)?.map(|record| record.siblings).unwrap_or_default();
            bytes += siblings.iter().map(|sibling| sibling.encoded.len_bytes()).sum::<usize>();
            let parts = siblings.iter().flat_map(Sibling::part_hashes).collect();
            held.insert(key, (siblings.iter().map(Sibling::dot).collect(), parts));
        }
        Ok(held)
    }

    /// What is held at a key, in the shortest form that the receiver can complete.
    fn key_state(&self, gap: &Gap, fingerprint: Option<Fingerprint>, plan: &BatchPlan<'_>) -> Result<KeyState, Error> {
        let Some(fingerprint) = fingerprint else { return Ok(gap.absent()) };
        let record = self.load(gap.key)?.filter(|record| record.fingerprint() == fingerprint);
        let record = record.ok_or_else(|| Error::DamagedRecord {
            key: gap.key,
            reason: "its hash is not the one that it was written with".to_string(),
        })?;
        let versions = name_what_is_held(&record, gap, plan);
        Ok(KeyState::Present(WireEntry { key: record.key_bytes, versions }))
    }
}

/// The keys at which this replica's state may not be that of the base, in order. Nothing is held in nothing, so to a whole
/// batch these are all keys; they are not collected, since a batch may have room for few of them.
fn gaps_to_base<'a>(plan: &'a BatchPlan<'_>, live: &'a Snapshot) -> Box<dyn Iterator<Item = Gap> + 'a> {
    match plan.base {
        BatchBase::Snapshot => Box::new(with_changes_since(&plan.gaps, live, plan.compared, &plan.range).into_iter()),
        BatchBase::Nothing => Box::new(live.range(&plan.range).map(|(key, _)| Gap::new(key, TheirEntry::Absent))),
    }
}

/// Adds to the gaps of a comparison what changed at the sender since: there the receiver's snapshot still has what the
/// sender's had, unless the comparison found otherwise.
fn with_changes_since(gaps: &[Gap], live: &Snapshot, compared: Option<&Baseline>, range: &KeyRange) -> Vec<Gap> {
    plant!(with_changes_since(gaps));
    let Some(compared) = compared else { return gaps.to_vec() };
    let changed = live.diff_range(&compared.summary, range);
    let mut all: BTreeMap<KeyHash, Gap> = changed
        .into_iter()
        .map(|difference| (difference.key, Gap::new(difference.key, TheirEntry::of(difference.theirs))))
        .collect();
    for gap in gaps {
        // A key that was known by its prefix alone, and was written here since.
        let written = all.range(gap.prefix().range().bounds()).next().filter(|_| gap.only_prefix);
        let whole = written.map(|(key, _)| Gap::new(*key, gap.theirs));
        let gap = whole.unwrap_or(*gap);
        all.insert(gap.key, gap);
    }
    all.into_values().collect()
}

/// A place to end a batch behind `last` and not behind `next`, if there is one.
fn cut_between(last: KeyHash, next: KeyHash, cuts: Option<&[KeyHash]>) -> Option<KeyHash> {
    match cuts {
        None => (last < next).then(|| last.boundary_before(next)),
        Some(cuts) => cuts.iter().rev().find(|cut| last < **cut && **cut <= next).copied(),
    }
}

fn sent<V>(sibling: &Sibling<V>, named: impl Fn(usize, PartHash) -> bool) -> WireVersion {
    let content = WireContent::Sent(WireValue::of(sibling, named));
    WireVersion { dot: sibling.dot(), timestamp: sibling.version.timestamp, content }
}

/// Names the versions that the peer has seen, and the parts that it holds at this key: those it sent or said that it
/// holds, those its fingerprint shows, and, as a guess, parts that it had in an earlier version. A wrong guess costs a
/// round trip. A part that several versions have is sent once. If all is sent inline, only such parts are named.
fn name_what_is_held<V: Replicated>(record: &Record<V>, gap: &Gap, plan: &BatchPlan<'_>) -> Vec<WireVersion> {
    let known = plan.held.get(&gap.key);
    let shown = if plan.inline { Vec::new() } else { subset_with_fingerprint(record, gap.theirs) };
    let holds = |dot: &Dot| shown.contains(dot) || known.is_some_and(|(dots, _)| dots.contains(dot));
    let saw = |dot: Dot| !plan.inline && plan.seen.is_some_and(|seen| seen.covers(gap.key, dot));
    let guess = !plan.inline && known.is_none() && gap.is_held_otherwise();
    let mut there: Vec<PartHash> = known.map(|(_, parts)| parts.clone()).unwrap_or_default();
    let held = record.siblings.iter().filter(|sibling| holds(&sibling.dot()));
    there.extend(held.flat_map(Sibling::part_hashes));
    let mut name = |sibling: &Sibling<V>| {
        let dot = sibling.dot();
        if holds(&dot) || saw(dot) {
            let parts = if holds(&dot) { Vec::new() } else { sibling.part_hashes().collect() };
            let content = WireContent::Seen { content: sibling.content, parts };
            return WireVersion { dot, timestamp: sibling.version.timestamp, content };
        }
        let version = sent(sibling, |index, hash| there.contains(&hash) || guess && sibling.inherited[index]);
        there.extend(sibling.part_hashes());
        version
    };
    record.siblings.iter().map(&mut name).collect()
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
