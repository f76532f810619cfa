//! Rule 5: taking in a certified batch.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::batch::{
    Batch, BatchBase, HeldByPeer, KeyPrefix, KeyState, WireContent, WireEntry, WirePart, WireValue, WireVersion,
};
use super::item::{Encoded, Part, PartHash, canonical_from_bytes};
use super::version::{ContentHash, Record, Sibling, fingerprint};
use super::{Change, Error, Notice, Replica, ReplicaConfig, Replicated, Staged, join};
use crate::clock::{Context, Dot, Now, RangeClocks, ReplicaId, Timestamp, VectorClock};
use crate::summary::{Fingerprint, MerkleTree, Snapshot};
use crate::{KeyHash, KeyRange};

/// A replica's state at one instant, as far as batches need it: O(1) to take, whatever is written afterwards.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Baseline {
    pub(crate) summary: Snapshot,
    pub(crate) context: Context,
}

impl Baseline {
    /// The key whose hash starts so; `None` if there is none, or more than one.
    fn only_key_under(&self, prefix: KeyPrefix) -> Option<KeyHash> {
        let mut keys = self.summary.range(&prefix.range()).map(|(key, _)| key);
        keys.next().filter(|_| keys.next().is_none())
    }
}

/// What became of a batch.
#[derive(Debug)]
pub(crate) enum Applied {
    Joined(Joined),
    /// Nothing was changed.
    Rejected(Rejection),
}

/// What a batch that was taken in says of its sender.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Joined {
    /// The sender's entries in the range when it made the batch.
    pub(crate) theirs: Snapshot,
    /// Versions and parts that the sender holds.
    pub(crate) held: HeldByPeer,
    /// The keys at which something changed here.
    pub(crate) changed: Vec<KeyHash>,
}

/// Why something that a peer sent was not taken in. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// What was sent does not add up to the state that it stands for; it is compared again by other means.
    #[error("the batch does not add up to the sender's digest; it will be compared again")]
    NotCertified,
    /// It names a version or part that is not held here (any more); it has to be sent.
    #[error("the batch names content that is not held here; it will be sent whole")]
    MissingContent,
    /// It does not parse, is not canonical or not in order. The peer runs broken software, or lies.
    #[error("what was sent is malformed: {0}; look at the peer's release")]
    Malformed(&'static str),
    /// A write is sent that the clock beside it does not cover.
    #[error("the write {0} is not covered by the clock that it came with; look at the peer's release")]
    UncoveredWrite(Dot),
    /// The writer policy does not admit a writer.
    #[error("the writer {0} is not admitted here; add it to the allow-list if it is one of yours")]
    WriterNotAdmitted(ReplicaId),
    /// The clock would name more replicas than [`ReplicaConfig::max_clock_replicas`](super::ReplicaConfig::max_clock_replicas).
    #[error(
        "the clock would name {replicas} replicas and the limit is {limit}; raise max_clock_replicas if they are yours"
    )]
    TooManyReplicas {
        /// How many it would name.
        replicas: usize,
        /// The limit.
        limit: usize,
    },
    /// The context would be cut into more pieces than
    /// [`ReplicaConfig::PIECES_OF_PEERS`](super::ReplicaConfig::PIECES_OF_PEERS) times
    /// [`ReplicaConfig::max_context_pieces`](super::ReplicaConfig::max_context_pieces).
    #[error("the context would have {pieces} pieces and the limit is {limit}; a complete synchronisation mends it")]
    TooManyPieces {
        /// How many it would have.
        pieces: usize,
        /// The limit.
        limit: usize,
    },
    /// A whole batch covers a range in which more is held here, and might have to be read for it, than
    /// [`ReplicaConfig::MAX_UNLISTED`](super::ReplicaConfig::MAX_UNLISTED).
    #[error(
        "{unlisted} keys are held in the range of a whole batch and the limit is {limit}; look at the peer's release"
    )]
    TooManyUnlisted {
        /// How many are held, and not listed.
        unlisted: u64,
        /// The limit.
        limit: u64,
    },
    /// Both sides have seen the same at this key and hold other versions: one of the stores is not sound. Nothing is joined, so
    /// that the damage does not spread; audit both replicas, and wipe the damaged one.
    #[error("both sides have seen the same and hold different versions at {0}; audit both, and wipe the damaged one")]
    EqualClocksDiffer(KeyHash),
    /// For the second time since opening, a peer claims to have seen more of this replica's writes than it made.
    #[error(
        "the peer claims to have seen {claimed} writes of this replica, which made {made}; refuse or inspect the peer"
    )]
    ClaimsMyWrites {
        /// How many it claims.
        claimed: u64,
        /// How many were made.
        made: u64,
    },
}

/// Something that a peer sent, if it is acceptable.
pub(super) type Checked<T> = Result<T, Rejection>;

type Records<V> = BTreeMap<KeyHash, Record<V>>;

/// What a batch changes: records, and dots that were met with two contents.
type Changes<V> = (Records<V>, Vec<(<V as Replicated>::Key, Dot)>);

/// One key of a batch: what the sender holds there, and what is held here.
struct Received<V: Replicated> {
    hash: KeyHash,
    theirs: Vec<Sibling<V>>,
    /// Versions that the sender holds and that are dead here.
    dead: Vec<Dead>,
    /// `None` where neither side holds anything now; the snapshot of the comparison did.
    mine: Option<Record<V>>,
}

/// A version that the sender holds and that is dead here.
struct Dead {
    dot: Dot,
    content: ContentHash,
    /// The parts that the sender says it has; unproven.
    parts: Vec<PartHash>,
}

impl<V: Replicated> Received<V> {
    /// Whether the versions that the sender holds are the ones that are held here.
    fn holds_the_same_dots(&self) -> bool {
        let theirs: BTreeSet<Dot> =
            self.theirs.iter().map(Sibling::dot).chain(self.dead.iter().map(|dead| dead.dot)).collect();
        self.mine.iter().flat_map(Record::dots).collect::<BTreeSet<Dot>>() == theirs
    }

    /// The fingerprint of the sender's entry; `None` if it has none.
    fn fingerprint(&self) -> Option<Fingerprint> {
        let mine = self.mine.as_ref()?;
        let mut versions: Vec<(Dot, ContentHash)> = self.dead.iter().map(|dead| (dead.dot, dead.content)).collect();
        versions.extend(self.theirs.iter().map(|sibling| (sibling.dot(), sibling.content)));
        versions.sort_unstable();
        (!versions.is_empty()).then(|| fingerprint(&mine.key_bytes, versions.into_iter()))
    }
}

impl<V: Replicated> Replica<V> {
    /// This replica's state now.
    pub(crate) fn baseline(&mut self) -> Baseline {
        Baseline { summary: self.summary(), context: self.context.clone() }
    }

    /// Takes in a batch that was made against `base`, or is whole, if it is certified.
    ///
    /// # Errors
    /// If the store fails; what the peer does wrong is a [`Rejection`].
    pub(crate) fn apply(&mut self, mut batch: Batch, base: &Baseline, now: Now) -> Result<Applied, Error> {
        if let Err(rejection) = self.check_size(&batch).and_then(|()| self.check_unlisted(&batch)) {
            return Ok(Applied::Rejected(rejection));
        }
        let entries = core::mem::take(&mut batch.changes);
        let received = match self.rebuild(&batch, entries, base)? {
            Ok(received) => received,
            Err(rejection) => return Ok(Applied::Rejected(rejection)),
        };
        let theirs = state_of_sender(&batch, base, &received);
        if let Err(rejection) = certify(&batch, &theirs) {
            return Ok(Applied::Rejected(rejection));
        }
        if let Err(rejection) = self.admit_clocks(&batch)? {
            return Ok(Applied::Rejected(rejection));
        }
        if let Err(rejection) = self.check_histories(&batch, &received) {
            return Ok(Applied::Rejected(rejection));
        }
        let context = match self.joined_context(&batch) {
            Ok(context) => context,
            Err(rejection) => return Ok(Applied::Rejected(rejection)),
        };
        let held = held_by_sender(&received);
        let (records, clashes) = self.join_range(&batch, base, received, now)?;
        let changed: Vec<KeyHash> = records.keys().copied().collect();
        let keys: Vec<V::Key> = records.values().map(|record| record.key.clone()).collect();
        self.persist(Staged { records, context, context_changed: true })?;
        for key in keys {
            self.changes.push(Change::Remote(key));
        }
        self.report_clashes(clashes);
        Ok(Applied::Joined(Joined { theirs, held, changed }))
    }

    /// Whether the clocks of a batch are of a size that joining them, which takes time for pieces times replicas, is no
    /// burden.
    fn check_size(&self, batch: &Batch) -> Checked<()> {
        let (pieces, limit) = (batch.clocks.len(), self.most_pieces());
        if pieces > limit {
            return Err(Rejection::TooManyPieces { pieces, limit });
        }
        let (replicas, limit) = (self.context.replicas_with(&batch.clocks), self.config.max_clock_replicas);
        // A limit that was lowered does not keep out what names nobody new.
        if replicas > limit && replicas > self.context.replicas_len() {
            return Err(Rejection::TooManyReplicas { replicas, limit });
        }
        Ok(())
    }

    /// Whether a whole batch leaves out no more keys than may be read for one.
    fn check_unlisted(&mut self, batch: &Batch) -> Checked<()> {
        if batch.base == BatchBase::Snapshot {
            return Ok(());
        }
        let live = self.summary();
        let held = self.pieces_in_common(&batch.clocks).iter().map(|piece| live.restrict(piece).len()).sum::<u64>();
        let (unlisted, limit) = (held.saturating_sub(batch.changes.len() as u64), ReplicaConfig::MAX_UNLISTED);
        if unlisted > limit { Err(Rejection::TooManyUnlisted { unlisted, limit }) } else { Ok(()) }
    }

    /// Reads the entries of a batch, completed by what is held here, without trusting any of it.
    fn rebuild(
        &self,
        batch: &Batch,
        changes: Vec<KeyState>,
        base: &Baseline,
    ) -> Result<Checked<Vec<Received<V>>>, Error> {
        let mut received: Vec<Received<V>> = Vec::with_capacity(changes.len());
        for change in changes {
            if batch.base == BatchBase::Nothing && !matches!(change, KeyState::Present(_)) {
                return Ok(Err(Rejection::Malformed("a whole batch lists a key at which nothing is held")));
            }
            let next = match self.rebuild_key(change, base, &batch.range())? {
                Ok(next) => next,
                Err(rejection) => return Ok(Err(rejection)),
            };
            let in_order = received.last().is_none_or(|last| last.hash < next.hash);
            if !in_order || !batch.range().contains(next.hash) {
                return Ok(Err(Rejection::Malformed("a key is out of order or out of the range")));
            }
            let mut dots = next.theirs.iter().map(Sibling::dot).chain(next.dead.iter().map(|dead| dead.dot));
            if let Some(dot) = dots.find(|dot| !batch.clocks.covers(next.hash, *dot)) {
                return Ok(Err(Rejection::UncoveredWrite(dot)));
            }
            received.push(next);
        }
        Ok(Ok(received))
    }

    fn rebuild_key(&self, change: KeyState, base: &Baseline, range: &KeyRange) -> Result<Checked<Received<V>>, Error> {
        let absent = match change {
            KeyState::Present(entry) => return self.rebuild_present(entry),
            KeyState::Absent(hash) => Some(hash),
            KeyState::AbsentUnder(prefix) => base.only_key_under(prefix).filter(|key| range.contains(*key)),
        };
        let Some(hash) = absent else { return Ok(Err(Rejection::NotCertified)) };
        Ok(Ok(Received { hash, theirs: Vec::new(), dead: Vec::new(), mine: self.load(hash)? }))
    }

    fn rebuild_present(&self, entry: WireEntry) -> Result<Checked<Received<V>>, Error> {
        let hash = KeyHash::of_encoded(&entry.key);
        let Ok(key) = canonical_from_bytes::<V::Key>(&entry.key) else {
            return Ok(Err(Rejection::Malformed("a key is not in canonical form")));
        };
        let mine = self.load(hash)?.unwrap_or_else(|| Record::empty(key));
        if mine.key_bytes != entry.key {
            return Ok(Err(Rejection::Malformed("a key has the hash of another one that is held here")));
        }
        let saw = |dot| self.context.covers(hash, dot);
        let rebuilt = rebuild_entry(entry.versions, &mine, saw);
        Ok(rebuilt.map(|(theirs, dead)| Received { hash, theirs, dead, mine: Some(mine) }))
    }

    /// Whether the writers of a batch's clocks are admitted, and none of the writes that it names as mine is unknown to me.
    fn admit_clocks(&mut self, batch: &Batch) -> Result<Checked<()>, Error> {
        for writer in batch.clocks.replicas() {
            let new = batch.clocks.max_counter(writer) > self.context.max_counter(writer);
            if writer != self.id() && new && !self.config.writers.allows(writer) {
                return Ok(Err(Rejection::WriterNotAdmitted(writer)));
            }
        }
        self.notice_claim(batch.clocks.max_counter(self.id()))
    }

    /// Rule 8: somebody has seen `claimed` writes under my present id. If that is more than I made, my store was rolled
    /// back without my noticing: from now on I write under another id. Once an opening, or liars would wear the clocks out.
    pub(super) fn notice_claim(&mut self, claimed: u64) -> Result<Checked<()>, Error> {
        plant!(notice_claim());
        let made = self.context.own_counter();
        if claimed <= made {
            return Ok(Ok(()));
        }
        if self.alarmed {
            return Ok(Err(Rejection::ClaimsMyWrites { claimed, made }));
        }
        let from = self.id();
        let mut context = self.context.clone();
        let to = self.fresh_id(&mut context);
        self.persist(Staged { records: BTreeMap::new(), context, context_changed: true })?;
        self.alarmed = true;
        self.stats.renamings += 1;
        self.notices.push(Notice::Renamed { from, to, made });
        Ok(Ok(()))
    }

    /// Rule 2: a clock determines what is held in its range. Where both sides have seen the same and hold other versions,
    /// one of the stores has lost or kept something that it should not have, and joining would spread that.
    fn check_histories(&mut self, batch: &Batch, received: &[Received<V>]) -> Checked<()> {
        let equal = |piece: &KeyRange, clock: &VectorClock| {
            let mine = self.context.pieces(piece);
            mine.len() == 1 && mine.clock_at(piece.lo()) == Some(clock)
        };
        let equal: Vec<KeyRange> =
            batch.clocks.iter().filter(|(piece, clock)| equal(piece, clock)).map(|(piece, _)| piece).collect();
        let differs = |received: &&Received<V>| {
            equal.iter().any(|piece| piece.contains(received.hash)) && !received.holds_the_same_dots()
        };
        let listed = received.iter().find(differs).map(|received| received.hash);
        match listed.or_else(|| self.first_unlisted(batch, received, &equal)) {
            Some(key) => {
                self.stats.histories_differ += 1;
                self.notices.push(Notice::HistoriesDiffer { key });
                Err(Rejection::EqualClocksDiffer(key))
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

    fn joined_context(&self, batch: &Batch) -> Result<Context, Rejection> {
        plant!(joined_context(&self.context, batch));
        let mut context = self.context.clone();
        for (range, clock) in batch.clocks.iter() {
            join::join_clock(&mut context, &range, clock);
        }
        let (pieces, limit) = (context.pieces_len(), self.most_pieces());
        if pieces > limit && pieces > self.context.pieces_len() {
            return Err(Rejection::TooManyPieces { pieces, limit });
        }
        Ok(context)
    }

    /// At the limit of pieces, transfers make no more cuts. Cuts that peers have already must fit in all the same, or two
    /// replicas with different ones, left by a writer that is lost, could never become equal.
    fn most_pieces(&self) -> usize {
        self.config.max_context_pieces.get().saturating_mul(ReplicaConfig::PIECES_OF_PEERS)
    }

    /// Joins every key of the range: those that were sent with what was sent, and those that were not with what the base
    /// has there. Returns the records that change.
    fn join_range(
        &mut self,
        batch: &Batch,
        base: &Baseline,
        received: Vec<Received<V>>,
        now: Now,
    ) -> Result<Changes<V>, Error> {
        let sent: BTreeSet<KeyHash> = received.iter().map(|received| received.hash).collect();
        let mut records = match batch.base {
            BatchBase::Snapshot => self.join_unsent(batch, base, &sent)?,
            BatchBase::Nothing => self.join_unlisted(batch, &sent)?,
        };
        let mut clashes = Vec::new();
        for Received { hash, theirs, mine, .. } in received {
            let Some(mut record) = mine else { continue };
            let old = record.siblings.clone();
            let covers = |dot| self.context.covers(hash, dot);
            let sender_covers = |dot| batch.clocks.covers(hash, dot);
            let clash = |dot| clashes.push((record.key.clone(), dot));
            record.siblings = join::join(core::mem::take(&mut record.siblings), covers, theirs, sender_covers, clash);
            if self.take_in(&old, &mut record.siblings, now) {
                records.insert(hash, record);
            }
        }
        Ok((records, clashes))
    }

    /// Joins the keys that were not sent, and changed here since the comparison, with what the snapshot had.
    fn join_unsent(&mut self, batch: &Batch, base: &Baseline, sent: &BTreeSet<KeyHash>) -> Result<Records<V>, Error> {
        plant!(join_unsent());
        let (live, range) = (self.summary(), batch.range());
        let changed = live.diff_range(&base.summary, &range).map(|difference| difference.key);
        // The sender's entry is the snapshot's. Of what is alive here now, the snapshot had exactly what its context covers.
        let stays = |key, dot| base.context.covers(key, dot) || !batch.clocks.covers(key, dot);
        self.load_reduced(changed.filter(|key| !sent.contains(key)), stays)
    }

    /// Joins the keys that a whole batch does not list with nothing: what its sender has seen there is dead. Where it
    /// cannot have seen anything that is held here, nothing is loaded.
    fn join_unlisted(&self, batch: &Batch, listed: &BTreeSet<KeyHash>) -> Result<Records<V>, Error> {
        plant!(join_unlisted());
        let pieces = self.pieces_in_common(&batch.clocks);
        let held = pieces.iter().flat_map(|piece| self.tree.range(piece)).map(|(key, _)| key);
        let stays = |key, dot| !batch.clocks.covers(key, dot);
        self.load_reduced(held.filter(|key| !listed.contains(key)), stays)
    }

    /// The parts of a range in which both sides have seen something of the same writer. Anywhere else, nothing that is held
    /// here is covered there: a peer that is new has seen nothing, or its own first writes.
    fn pieces_in_common(&self, clocks: &RangeClocks) -> Vec<KeyRange> {
        let mut common = Vec::new();
        for (piece, theirs) in clocks.iter() {
            let is_common = |mine: &VectorClock| mine.iter().any(|(writer, _)| theirs.get(writer) > 0);
            let mine = self.context.pieces(&piece);
            common.extend(mine.iter().filter(|(_, mine)| is_common(mine)).map(|(piece, _)| piece));
        }
        common
    }

    /// Loads the records that lose versions if only those stay for which `stays` says so, and takes these out.
    fn load_reduced(
        &self,
        keys: impl Iterator<Item = KeyHash>,
        stays: impl Fn(KeyHash, Dot) -> bool,
    ) -> Result<Records<V>, Error> {
        let mut reduced = Records::new();
        for key in keys {
            let Some(mut record) = self.load(key)? else { continue };
            let before = record.siblings.len();
            record.siblings.retain(|sibling| stays(key, sibling.dot()));
            if record.siblings.len() != before {
                reduced.insert(key, record);
            }
        }
        Ok(reduced)
    }

    /// Counts and completes versions that are new here; says whether the siblings changed at all.
    pub(super) fn take_in(&mut self, old: &[Sibling<V>], new: &mut [Sibling<V>], now: Now) -> bool {
        let same = |sibling: &Sibling<V>| {
            old.iter().any(|held| held.dot() == sibling.dot() && held.content == sibling.content)
        };
        let mut changed = old.len() != new.len();
        for index in 0..new.len() {
            let (earlier, rest) = new.split_at_mut(index);
            let sibling = &mut rest[0];
            if same(sibling) {
                continue;
            }
            changed = true;
            sibling.inherit(old);
            let new = sibling.new_bytes(earlier);
            self.stats.value_bytes_needed += new.all;
            self.stats.part_bytes_needed += new.parts;
            if let Err(skew) = self.clock.observe(sibling.version.timestamp, now.unix_ms) {
                self.notices.push(Notice::ClockSkew(skew));
            }
        }
        changed
    }

    fn report_clashes(&mut self, clashes: Vec<(V::Key, Dot)>) {
        for (key, dot) in clashes {
            self.stats.content_clashes += 1;
            self.notices.push(Notice::ContentClash { key, dot });
        }
    }
}

/// What the sender holds in the range if its batch is right: the base with the batch's entries put in, and its absent
/// ones taken out.
fn state_of_sender<V: Replicated>(batch: &Batch, base: &Baseline, received: &[Received<V>]) -> Snapshot {
    let mut tree = match batch.base {
        BatchBase::Snapshot => base.summary.restrict(&batch.range()).to_tree(),
        BatchBase::Nothing => MerkleTree::new(),
    };
    for received in received {
        match received.fingerprint() {
            Some(fingerprint) => tree.insert(received.hash, fingerprint),
            None => tree.remove(received.hash),
        };
    }
    tree.snapshot()
}

/// Whether a batch adds up to the state that its sender says it has.
fn certify(batch: &Batch, theirs: &Snapshot) -> Checked<()> {
    plant!(certify());
    if theirs.root() == batch.digest { Ok(()) } else { Err(Rejection::NotCertified) }
}

fn held_by_sender<V: Replicated>(received: &[Received<V>]) -> HeldByPeer {
    let held = |received: &Received<V>| {
        let dots = received.theirs.iter().map(Sibling::dot).collect();
        let dead_parts = received.dead.iter().flat_map(|dead| dead.parts.iter().copied());
        let parts = received.theirs.iter().flat_map(Sibling::part_hashes).chain(dead_parts).collect();
        (received.hash, (dots, parts))
    };
    received.iter().map(held).collect()
}

/// Versions that are alive here or new, and versions that are dead here.
type Rebuilt<V> = (Vec<Sibling<V>>, Vec<Dead>);

/// The versions of an entry as its sender holds them, completed by what is held here. `saw` says of which versions the
/// clock here knows.
fn rebuild_entry<V: Replicated>(
    versions: Vec<WireVersion>,
    mine: &Record<V>,
    saw: impl Fn(Dot) -> bool,
) -> Checked<Rebuilt<V>> {
    let (mut siblings, mut dead): Rebuilt<V> = Default::default();
    let mut held = HeldParts::of(mine);
    let mut last = None;
    for WireVersion { dot, timestamp, content } in versions {
        if last.is_some_and(|last| last >= dot) || dot.counter == 0 {
            return Err(Rejection::Malformed("a version is out of order"));
        }
        last = Some(dot);
        match content {
            WireContent::Sent(value) => siblings.push(rebuild_value(dot, timestamp, value, &mut held, &siblings)?),
            WireContent::Seen { content, parts } => match mine.siblings.iter().find(|sibling| sibling.dot() == dot) {
                Some(held) if held.content == content && held.version.timestamp == timestamp => {
                    siblings.push(held.clone());
                }
                None if saw(dot) => dead.push(Dead { dot, content, parts }),
                _ => return Err(Rejection::MissingContent),
            },
        }
    }
    if last.is_none() { Err(Rejection::Malformed("an entry has no version")) } else { Ok((siblings, dead)) }
}

/// A version from what was sent of it, with the parts that were named taken from what is held here, or from what came
/// with it.
pub(super) fn rebuild_value<V: Replicated>(
    dot: Dot,
    timestamp: Timestamp,
    value: WireValue,
    held: &mut HeldParts<'_, V>,
    earlier: &[Sibling<V>],
) -> Checked<Sibling<V>> {
    let mut encoded = Encoded::from_body(value.body);
    for part in value.parts {
        let part = match part {
            WirePart::Sent(part) => part,
            WirePart::Held(hash) => held.get(hash, earlier).ok_or(Rejection::MissingContent)?,
        };
        encoded.parts.push(part);
    }
    let malformed = Rejection::Malformed("a value does not decode, or not to a value of its key");
    Sibling::from_bytes(dot, timestamp, &held.record.key, encoded).ok_or(malformed)
}

/// The parts that are held at a key, or came with earlier versions of an entry, by their hashes: each is hashed once,
/// however often a peer names it.
pub(super) struct HeldParts<'a, V: Replicated> {
    record: &'a Record<V>,
    parts: Option<BTreeMap<PartHash, Part>>,
    /// How many of the earlier versions are among the parts.
    came: usize,
}

impl<'a, V: Replicated> HeldParts<'a, V> {
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
