//! Rule 5, first half: what a batch says of its sender, checked without trusting any of it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::plan::Baseline;
use crate::clock::{Dot, RangeClocks, ReplicaId, Timestamp, VectorClock};
use crate::refusal::{NotTaken, Refusal};
use crate::replica::{
    Claim, ContentHash, Encoded, Error, Notice, Part, PartHash, Record, Replica, ReplicaConfig, Replicated, Sibling,
    canonical_from_bytes, fingerprint,
};
use crate::summary::{Fingerprint, MerkleTree, Snapshot};
use crate::sync::wire::{
    Batch, BatchBase, Inventory, KeyState, Lazy, WireContent, WireEntry, WirePart, WireValue, WireVersion, Withheld,
};
use crate::{KeyHash, KeyRange};

/// One key of a batch: what the sender holds there, in short.
pub(super) struct Received<V: Replicated> {
    pub(super) hash: KeyHash,
    /// The fingerprint of the sender's entry; `None` if it has none.
    fingerprint: Option<Fingerprint>,
    /// The versions that the sender holds.
    dots: Vec<Dot>,
    /// The versions and parts that the sender is known to hold, as far as that may save sending them.
    inventory: (Vec<Dot>, Vec<PartHash>),
    /// Whether the versions that the sender holds are the ones that are held here.
    holds_the_same: bool,
    /// The entry of the sender's, if it was not sent. Its hash is believed for the digest, and for nothing else.
    pub(super) withheld: Option<Withheld>,
    pub(super) content: Content<V>,
}

/// What is to be joined at a key.
pub(super) enum Content<V: Replicated> {
    Read(Sides<V>),
    /// It is read again when it is joined, since all of it would be too much at a time.
    Unread(KeyState),
}

/// What both sides hold at a key.
pub(super) struct Sides<V: Replicated> {
    pub(super) theirs: Vec<Sibling<V>>,
    /// Versions that the sender holds and that are dead here.
    dead: Vec<Dead>,
    /// `None` where neither side holds anything now; the snapshot of the comparison did.
    pub(super) mine: Option<Record<V>>,
}

/// A version that the sender holds and that is dead here.
pub(super) struct Dead {
    dot: Dot,
    content: ContentHash,
    /// The parts that the sender says it has; unproven.
    parts: Vec<PartHash>,
}

impl<V: Replicated> Sides<V> {
    /// What the sender's entry at this key says of its sender, for the digest and for what is sent back.
    fn received(self, hash: KeyHash) -> Received<V> {
        let mut versions: Vec<(Dot, ContentHash)> = self.dead.iter().map(|dead| (dead.dot, dead.content)).collect();
        versions.extend(self.theirs.iter().map(|sibling| (sibling.dot(), sibling.content)));
        versions.sort_unstable();
        let dots: Vec<Dot> = versions.iter().map(|(dot, _)| *dot).collect();
        let key_bytes = self.mine.as_ref().filter(|_| !versions.is_empty()).map(|mine| &mine.key_bytes);
        let dead_parts = self.dead.iter().flat_map(|dead| dead.parts.iter().copied());
        let parts = self.theirs.iter().flat_map(Sibling::part_hashes).chain(dead_parts).collect();
        Received {
            hash,
            fingerprint: key_bytes.map(|key_bytes| fingerprint(key_bytes, versions.into_iter())),
            holds_the_same: self.mine.iter().flat_map(Record::dots).eq(dots.iter().copied()),
            dots,
            inventory: (self.theirs.iter().map(Sibling::dot).collect(), parts),
            withheld: None,
            content: Content::Read(self),
        }
    }

    /// About how many bytes of the store this takes in memory, or of what was received if it takes more than that: a
    /// version without content has a length, too.
    fn len_bytes(&self) -> usize {
        const PART: usize = 64;
        let mine = self.mine.as_ref().map_or(0, Record::max_len_bytes);
        let of_version = |sibling: &Sibling<V>| {
            size_of::<Sibling<V>>() + sibling.encoded.len_bytes() + PART * sibling.encoded.parts.len()
        };
        mine + self.theirs.iter().map(of_version).sum::<usize>() + self.dead.len() * size_of::<Dead>()
    }
}

impl<V: Replicated> Replica<V> {
    /// Whether the clocks of a batch are of a size that joining them, which takes time for pieces times replicas, is no
    /// burden.
    pub(super) fn check_size(&mut self, batch: &Batch) -> Result<(), Refusal> {
        // Each hole of the sender's is a piece there, and what is behind it another.
        let (holes, most) = (batch.clocks.holes_len(), self.max_holes());
        let (pieces, limit) = (batch.clocks.len().saturating_sub(2 * holes), self.max_pieces());
        if pieces > limit {
            return Err(Refusal::TooManyPieces { pieces, limit });
        }
        if holes > most {
            return Err(Refusal::TooManyHoles { holes, limit: most });
        }
        let (replicas, limit) = (self.context.replicas_with(&batch.clocks), self.config.max_clock_replicas);
        // A limit that was lowered does not keep out what names nobody new.
        if replicas > limit && replicas > self.context.replicas_len() {
            return Err(Refusal::TooManyReplicas { replicas, limit });
        }
        let new = batch.clocks.replicas().filter(|replica| *replica != self.id() && !self.context.names(*replica));
        let new: Vec<ReplicaId> = new.collect();
        self.check_new_replicas(&new)?;
        self.check_counters(&batch.clocks, pieces)
    }

    /// Whether replicas times pieces are few enough, as they were sent, and for what they may come to here: how many that
    /// really are is known once they are joined.
    fn check_counters(&self, clocks: &RangeClocks, pieces: usize) -> Result<(), Refusal> {
        let longest = clocks.iter().map(|(_, clock)| clock.len()).max().unwrap_or(0);
        let sent = (pieces.saturating_mul(longest), self.config.counters_with_peers());
        let joined = (self.context.counters_with(clocks), RangeClocks::MAX_COUNTERS);
        for (counters, limit) in [sent, joined] {
            if counters > limit && counters > self.context.counters_len() {
                return Err(Refusal::TooManyCounters { counters, limit });
            }
        }
        Ok(())
    }

    /// Whether a whole batch leaves out no more keys than may be read for one.
    pub(super) fn check_unlisted(&mut self, batch: &Batch) -> Result<(), Refusal> {
        if batch.base == BatchBase::Snapshot {
            return Ok(());
        }
        let live = self.summary();
        let held = self.pieces_in_common(&batch.clocks).iter().map(|piece| live.restrict(piece).len()).sum::<u64>();
        let (unlisted, limit) = (held.saturating_sub(batch.changes.len() as u64), ReplicaConfig::MAX_UNLISTED);
        if unlisted > limit { Err(Refusal::TooManyUnlisted { unlisted, limit }) } else { Ok(()) }
    }

    /// Reads the entries of a batch, completed by what is held here, without trusting any of it.
    pub(super) fn rebuild(
        &mut self,
        batch: &Batch,
        changes: Lazy<KeyState>,
        base: &Baseline,
    ) -> Result<Vec<Received<V>>, NotTaken> {
        if changes.len() > 4 * ReplicaConfig::MAX_KEYS_OF_BATCH {
            return Err(Refusal::Malformed("a batch names too many keys").into());
        }
        let mut received: Vec<Received<V>> = Vec::new();
        let (mut unreadable, mut loaded) = (Vec::new(), 0);
        let most_bytes = self.config.max_loaded_bytes;
        plant!(let most_bytes = most_loaded(most_bytes));
        for change in changes {
            if batch.base == BatchBase::Nothing && !matches!(change, KeyState::Present(_) | KeyState::Withheld(_)) {
                return Err(Refusal::Malformed("a whole batch lists a key at which nothing is held").into());
            }
            let is_much = loaded > most_bytes;
            let again = is_much.then(|| change.clone());
            let mut next = match self.rebuild_key(change, base, &batch.range()) {
                Err(NotTaken::Refused(Refusal::Unreadable(key))) => {
                    unreadable.push(key);
                    continue;
                }
                next => next?,
            };
            if let Content::Read(sides) = &next.content {
                loaded += sides.len_bytes();
            }
            if let Some(change) = again {
                next.content = Content::Unread(change);
            }
            let in_order = received.last().is_none_or(|last| last.hash < next.hash);
            if !in_order || !batch.range().contains(next.hash) {
                return Err(Refusal::Malformed("a key is out of order or out of the range").into());
            }
            if let Some(dot) = next.dots.iter().find(|dot| !batch.clocks.covers(next.hash, **dot)) {
                return Err(Refusal::UncoveredWrite(*dot).into());
            }
            received.push(next);
        }
        let withheld = received.iter().filter_map(|received| received.withheld.map(|withheld| withheld.key));
        self.check_holes(withheld.chain(unreadable.iter().copied()))?;
        if unreadable.is_empty() { Ok(received) } else { Err(NotTaken::Unreadable(unreadable)) }
    }

    /// Whether there is room for holes at these keys.
    fn check_holes(&self, keys: impl Iterator<Item = KeyHash>) -> Result<(), Refusal> {
        let new = keys.filter(|key| !self.context.is_hole(*key)).count();
        let (holes, limit) = (self.context.holes_len() + new, self.config.max_holes);
        if new > 0 && holes > limit { Err(Refusal::TooManyHoles { holes, limit }) } else { Ok(()) }
    }

    fn rebuild_key(&mut self, change: KeyState, base: &Baseline, range: &KeyRange) -> Result<Received<V>, NotTaken> {
        let absent = match change {
            KeyState::Present(entry) => return self.rebuild_present(entry),
            KeyState::Absent(hash) => Some(hash),
            KeyState::AbsentUnder(prefix) => base.only_key_under(prefix).filter(|key| range.contains(*key)),
            KeyState::Withheld(withheld) => return self.rebuild_withheld(withheld),
        };
        let Some(hash) = absent else { return Err(Refusal::NotCertified.into()) };
        Ok(Sides { theirs: Vec::new(), dead: Vec::new(), mine: self.load(hash)? }.received(hash))
    }

    /// What is to be joined at a key of a batch that was read before.
    pub(super) fn sides(
        &mut self,
        content: Content<V>,
        base: &Baseline,
        range: &KeyRange,
    ) -> Result<Sides<V>, NotTaken> {
        let change = match content {
            Content::Read(sides) => return Ok(sides),
            Content::Unread(change) => change,
        };
        match self.rebuild_key(change, base, range)?.content {
            Content::Read(sides) => Ok(sides),
            Content::Unread(_) => Err(Error::BrokenInvariant("a change was not read").into()),
        }
    }

    /// An entry that was not sent: a hole, unless the same is held here.
    fn rebuild_withheld(&self, withheld: Withheld) -> Result<Received<V>, NotTaken> {
        let (hash, mine) = (withheld.key, self.load(withheld.key)?);
        let is_held = mine.as_ref().is_some_and(|mine| mine.fingerprint() == withheld.fingerprint);
        let theirs = if is_held { mine.iter().flat_map(|mine| mine.siblings.clone()).collect() } else { Vec::new() };
        let received = Sides { theirs, dead: Vec::new(), mine }.received(hash);
        if is_held {
            return Ok(received);
        }
        let fingerprint = Some(withheld.fingerprint);
        Ok(Received { fingerprint, holds_the_same: false, withheld: Some(withheld), ..received })
    }

    fn rebuild_present(&mut self, entry: WireEntry) -> Result<Received<V>, NotTaken> {
        let hash = KeyHash::of_encoded(&entry.key);
        let Ok(key) = canonical_from_bytes::<V::Key>(&entry.key) else {
            self.note_unreadable(hash, None);
            return Err(Refusal::Unreadable(hash).into());
        };
        let mine = self.load(hash)?.unwrap_or_else(|| Record::empty(key.clone()));
        let saw = |dot| self.context.covers(hash, dot);
        // Another key with the same hash is as little to be read as what does not decode.
        let is_same_key = mine.key_bytes == entry.key;
        // What is sent again must fit into a message, with parts that were named.
        let longest = self.max_entry_bytes().saturating_mul(2);
        let fits = is_same_key && entry.versions.len() <= ReplicaConfig::MAX_VERSIONS;
        let rebuilt = if fits { rebuild_entry(hash, entry.versions, &mine, longest, saw) } else { unreadable(hash) };
        match rebuilt {
            Ok((theirs, dead)) => Ok(Sides { theirs, dead, mine: Some(mine) }.received(hash)),
            Err(refusal) => {
                if refusal == Refusal::Unreadable(hash) {
                    self.note_unreadable(hash, Some(key));
                }
                Err(refusal.into())
            }
        }
    }

    /// Whether the writers of a batch's clocks are admitted, and none of the writes that it names as mine is unknown to me.
    pub(super) fn admit_clocks(&mut self, batch: &Batch) -> Result<(), NotTaken> {
        for writer in batch.clocks.replicas() {
            let new = batch.clocks.max_counter(writer) > self.context.max_counter(writer);
            if writer != self.id() && new && !self.config.writers.allows(writer) {
                return Err(Refusal::WriterNotAdmitted(writer).into());
            }
        }
        self.notice_claim(Claim::of(batch.clocks.max_counter(self.id())))
    }

    /// Rule 2: a clock determines what is held in its range. Where both sides have seen the same and hold other versions,
    /// one of the stores has lost or kept something that it should not have, and joining would spread that.
    pub(super) fn check_histories(&mut self, batch: &Batch, received: &[Received<V>]) -> Result<(), Refusal> {
        let mut equal: Vec<KeyRange> = Vec::new();
        for (piece, theirs) in batch.clocks.iter() {
            let mine = self.context.pieces(&piece);
            equal.extend(mine.iter().filter(|(_, mine)| *mine == theirs).map(|(piece, _)| piece));
        }
        let differs = |received: &&Received<V>| {
            equal.iter().any(|piece| piece.contains(received.hash)) && !received.holds_the_same
        };
        let listed = received.iter().find(differs).map(|received| received.hash);
        match listed.or_else(|| self.first_unlisted(batch, received, &equal)) {
            Some(key) => {
                self.stats.histories_differ += 1;
                self.notices.push(Notice::HistoriesDiffer { key });
                Err(Refusal::EqualClocksDiffer(key))
            }
            None => Ok(()),
        }
    }

    /// The first key in `pieces` that is held here, and that the sender of a whole batch does not list.
    fn first_unlisted(&self, batch: &Batch, received: &[Received<V>], pieces: &[KeyRange]) -> Option<KeyHash> {
        let pieces = if batch.base == BatchBase::Nothing { pieces } else { &[] };
        let mut held = pieces.iter().flat_map(|piece| self.tree.range(piece)).map(|(key, _)| key);
        held.find(|key| received.binary_search_by_key(key, |received| received.hash).is_err())
    }

    /// At the limit of pieces, transfers make no more cuts. Cuts that peers have already must fit in all the same, or two
    /// replicas with different ones, left by a writer that is lost, could never become equal.
    pub(super) fn max_pieces(&self) -> usize {
        self.config.max_context_pieces.get().saturating_mul(ReplicaConfig::PIECES_OF_PEERS)
    }

    /// The most holes that there may be because of peers' own. Like cuts, they must fit in.
    pub(super) fn max_holes(&self) -> usize {
        self.config.max_holes.saturating_mul(1 + ReplicaConfig::PIECES_OF_PEERS)
    }

    /// The parts of a range in which both sides have seen something of the same writer. Anywhere else, nothing that is held
    /// here is covered there: a peer that is new has seen nothing, or its own first writes.
    pub(super) fn pieces_in_common(&self, clocks: &RangeClocks) -> Vec<KeyRange> {
        let mut common = Vec::new();
        for (piece, theirs) in clocks.iter() {
            let is_common = |mine: &VectorClock| mine.iter().any(|(writer, _)| theirs.get(writer) > 0);
            let mine = self.context.pieces(&piece);
            common.extend(mine.iter().filter(|(_, mine)| is_common(mine)).map(|(piece, _)| piece));
        }
        common
    }
}

/// What the sender holds in the range if its batch is right: the base with the batch's entries put in, and its absent
/// ones taken out.
pub(super) fn state_of_sender<V: Replicated>(batch: &Batch, base: &Baseline, received: &[Received<V>]) -> Snapshot {
    let mut tree = match batch.base {
        BatchBase::Snapshot => base.summary.restrict(&batch.range()).to_tree(),
        BatchBase::Nothing => MerkleTree::new(),
    };
    for received in received {
        match received.fingerprint {
            Some(fingerprint) => tree.insert(received.hash, fingerprint),
            None => tree.remove(received.hash),
        };
    }
    tree.snapshot()
}

/// Whether a batch adds up to the state that its sender says it has.
pub(super) fn certify(batch: &Batch, theirs: &Snapshot) -> Result<(), Refusal> {
    plant!(certify());
    if theirs.root() == batch.digest { Ok(()) } else { Err(Refusal::NotCertified) }
}

/// What the sender is known to hold. Takes it out of what was received.
pub(super) fn inventory_of_sender<V: Replicated>(received: &mut [Received<V>]) -> Inventory {
    let of_key = |received: &mut Received<V>| (received.hash, core::mem::take(&mut received.inventory));
    received.iter_mut().filter(|received| received.withheld.is_none()).map(of_key).collect()
}

/// Versions that are alive here or new, and versions that are dead here.
type Rebuilt<V> = (Vec<Sibling<V>>, Vec<Dead>);

fn unreadable<T>(hash: KeyHash) -> Result<T, Refusal> {
    Err(Refusal::Unreadable(hash))
}

/// The versions of an entry as its sender holds them, completed by what is held here. `saw` says of which versions the
/// clock here knows.
fn rebuild_entry<V: Replicated>(
    hash: KeyHash,
    versions: Lazy<WireVersion>,
    mine: &Record<V>,
    longest: usize,
    saw: impl Fn(Dot) -> bool,
) -> Result<Rebuilt<V>, Refusal> {
    let (mut siblings, mut dead): Rebuilt<V> = Default::default();
    let mut inventory = PartInventory::of(mine);
    let (mut last, mut bytes) = (None, 0);
    for WireVersion { dot, timestamp, content } in versions {
        if last.is_some_and(|last| last >= dot) || dot.counter == 0 {
            return Err(Refusal::Malformed("a version is out of order"));
        }
        last = Some(dot);
        match content {
            WireContent::Sent(value) => {
                let rebuilt = rebuild_value(hash, dot, timestamp, value, &mut inventory, &siblings)?;
                bytes += rebuilt.encoded.len_bytes();
                if bytes > longest {
                    return unreadable(hash);
                }
                siblings.push(rebuilt);
            }
            WireContent::Seen { content, parts } => match mine.siblings.iter().find(|sibling| sibling.dot() == dot) {
                Some(held) if held.content == content && held.version.timestamp == timestamp => {
                    siblings.push(held.clone());
                }
                None if saw(dot) => dead.push(Dead { dot, content, parts }),
                _ => return Err(Refusal::MissingContent),
            },
        }
    }
    if last.is_none() { Err(Refusal::Malformed("an entry has no version")) } else { Ok((siblings, dead)) }
}

/// A version from what was sent of it, with the parts that were named taken from what is held here, or from what came
/// with it.
pub(super) fn rebuild_value<V: Replicated>(
    hash: KeyHash,
    dot: Dot,
    timestamp: Timestamp,
    value: WireValue,
    inventory: &mut PartInventory<'_, V>,
    earlier: &[Sibling<V>],
) -> Result<Sibling<V>, Refusal> {
    if value.parts.len() > ReplicaConfig::MAX_PARTS {
        return unreadable(hash);
    }
    let mut encoded = Encoded::from_body(value.body);
    for part in value.parts {
        let part = match part {
            WirePart::Sent(part) => part,
            WirePart::Held(hash) => inventory.get(hash, earlier).ok_or(Refusal::MissingContent)?,
        };
        encoded.parts.push(part);
    }
    Sibling::from_bytes(dot, timestamp, &inventory.record.key, encoded).map_err(|_| Refusal::Unreadable(hash))
}

/// The parts that are held at a key, or came with earlier versions of an entry, by their hashes: each is hashed once,
/// however often a peer names it.
pub(super) struct PartInventory<'a, V: Replicated> {
    record: &'a Record<V>,
    parts: Option<BTreeMap<PartHash, Part>>,
    /// How many of the earlier versions are among the parts.
    came: usize,
}

impl<'a, V: Replicated> PartInventory<'a, V> {
    pub(super) fn of(record: &'a Record<V>) -> Self {
        Self { record, parts: None, came: 0 }
    }

    fn get(&mut self, hash: PartHash, earlier: &[Sibling<V>]) -> Option<Part> {
        let hashed = |siblings: &[Sibling<V>]| -> Vec<(PartHash, Part)> {
            let parts = siblings.iter().flat_map(|sibling| &sibling.encoded.parts);
            parts.map(|part| (part.hash(), part.clone())).collect()
        };
        let parts = self.parts.get_or_insert_with(|| hashed(&self.record.siblings).into_iter().collect());
        parts.extend(hashed(&earlier[self.came..]));
        self.came = earlier.len();
        parts.get(&hash).cloned()
    }
}
