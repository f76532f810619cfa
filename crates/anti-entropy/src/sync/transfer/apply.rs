//! Rule 5: taking in a certified batch.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::certify::{Received, Sides, certify, inventory_of_sender, state_of_sender};
use super::plan::Baseline;
use crate::clock::{Context, Dot, Now, RangeClocks, VectorClock};
use crate::refusal::{NotTaken, Refusal};
use crate::replica::{Change, Error, Record, Replica, Replicated, Staged, join, join_clocks};
use crate::summary::Snapshot;
use crate::sync::wire::{Batch, BatchBase, Inventory, Withheld};
use crate::{KeyHash, KeyRange};

/// What became of a batch.
#[derive(Debug)]
pub(crate) enum Applied {
    Joined(Joined),
    /// Nothing was changed.
    Rejected(Refusal),
    /// Nothing was changed. The batch can be taken in without what it holds at these keys.
    Unreadable(Vec<KeyHash>),
}

/// What a batch that was taken in says of its sender.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Joined {
    /// The sender's entries in the range when it made the batch.
    pub(crate) theirs: Snapshot,
    /// Versions and parts that the sender holds.
    pub(crate) inventory: Inventory,
    /// The keys at which something changed here.
    pub(crate) changed: Vec<KeyHash>,
    /// What the sender withheld.
    pub(crate) withheld: Vec<Withheld>,
}

impl<V: Replicated> Replica<V> {
    /// Takes in a batch that was made against `base`, or is whole, if it is certified.
    ///
    /// # Errors
    /// If the store fails; what the peer does wrong is a [`Refusal`].
    pub(crate) fn apply(&mut self, batch: Batch, base: &Baseline, now: Now) -> Result<Applied, Error> {
        match self.join_batch(batch, base, now) {
            Ok(joined) => Ok(Applied::Joined(joined)),
            Err(NotTaken::Refused(rejection)) => Ok(Applied::Rejected(rejection)),
            Err(NotTaken::Unreadable(keys)) => Ok(Applied::Unreadable(keys)),
            Err(NotTaken::Failed(error)) => Err(error),
        }
    }

    fn join_batch(&mut self, mut batch: Batch, base: &Baseline, now: Now) -> Result<Joined, NotTaken> {
        // The base is of a life under another id, which has seen other writes.
        if base.context.own_id() != self.id() {
            return Err(Refusal::NotCertified.into());
        }
        self.check_size(&batch)?;
        self.check_unlisted(&batch)?;
        let entries = core::mem::take(&mut batch.changes);
        let mut received = self.rebuild(&batch, entries, base)?;
        let theirs = state_of_sender(&batch, base, &received);
        certify(&batch, &theirs)?;
        self.admit_clocks(&batch)?;
        self.check_histories(&batch, &received)?;
        let withheld: Vec<Withheld> = received.iter().filter_map(|received| received.withheld).collect();
        plant!(let withheld = left_out(withheld));
        let context = self.joined_context(&batch, &withheld)?;
        let inventory = inventory_of_sender(&mut received);
        let before = self.context.clone();
        let changed = self.join_range(&batch, base, received, (&withheld, context), now)?;
        self.note_growth(&before);
        self.note_withheld(&withheld, &batch.clocks);
        self.confirm(batch.clocks.max_counter(self.id()));
        Ok(Joined { theirs, inventory, changed, withheld })
    }

    /// Covers what the sender has seen, except at keys where what it holds was withheld: there, the clock stays what it
    /// is, so that nobody takes what is not held here for deleted.
    fn joined_context(&mut self, batch: &Batch, withheld: &[Withheld]) -> Result<Context, Refusal> {
        plant!(joined_context(&self.context, batch));
        let mut context = self.context.clone();
        join_clocks(&mut context, clocks_without(&batch.clocks, withheld, None));
        let (pieces, limit) = (context.pieces_len(), self.max_pieces());
        if pieces > limit && pieces > self.context.pieces_len() {
            plant!(joined_within(&self.context, batch, limit));
            return Err(Refusal::TooManyPieces { pieces, limit });
        }
        let (counters, limit) = (context.counters_len(), self.config.counters_with_peers());
        if counters > limit && counters > self.context.counters_len() {
            return Err(Refusal::TooManyCounters { counters, limit });
        }
        self.check_new_pieces(pieces.saturating_sub(self.context.pieces_len()))?;
        let (holes, limit) = (context.holes_len(), self.max_holes());
        if holes > limit && holes > self.context.holes_len() {
            return Err(Refusal::TooManyHoles { holes, limit });
        }
        Ok(context)
    }

    /// Joins every key of the range, in order: those that were sent with what was sent, and those that were not with what
    /// the base has there. Returns the keys that change.
    ///
    /// What is loaded and what is to be written is limited: beyond, the range is joined up to a key, as if the batch had
    /// ended there, and then the rest. `context` is what there is in the end.
    fn join_range(
        &mut self,
        batch: &Batch,
        base: &Baseline,
        received: Vec<Received<V>>,
        (withheld, mut context): (&[Withheld], Context),
        now: Now,
    ) -> Result<Vec<KeyHash>, NotTaken> {
        let unsent = self.unsent(batch, base, &received);
        let (mut received, mut unsent) = (received.into_iter().peekable(), unsent.into_iter().peekable());
        let (mut joining, mut changed) = (Joining::default(), Vec::new());
        let most_bytes = self.config.max_loaded_bytes;
        plant!(let most_bytes = most_loaded(most_bytes));
        let mut has_dropped = false;
        while let Some(next) =
            [received.peek().map(|next| next.hash), unsent.peek().copied()].into_iter().flatten().min()
        {
            if joining.bytes > most_bytes {
                let mut so_far = self.context.clone();
                join_clocks(&mut so_far, clocks_without(&batch.clocks, withheld, Some(next)));
                self.persist_joined(core::mem::take(&mut joining), so_far)?;
            }
            if let Some(sent) = received.next_if(|sent| sent.hash == next) {
                has_dropped |= self.join_sent(batch, base, sent, now, &mut joining)?;
            } else {
                unsent.next();
                self.join_unsent(batch, base, next, &mut joining)?;
            }
            changed.extend(joining.records.contains_key(&next).then_some(next));
        }
        if has_dropped {
            context.mint().map_err(Error::from)?;
        }
        self.persist_joined(joining, context)?;
        Ok(changed)
    }

    fn persist_joined(&mut self, joining: Joining<V>, context: Context) -> Result<(), Error> {
        let Joining { records, clashes, .. } = joining;
        let keys: Vec<V::Key> = records.values().map(|record| record.key.clone()).collect();
        self.persist(Staged { records, context, context_changed: true })?;
        for key in keys {
            self.changes.push(Change::Remote(key));
        }
        self.report_clashes(clashes);
        Ok(())
    }

    /// Joins a key that was sent. Says whether it dropped what is held under another name.
    fn join_sent(
        &mut self,
        batch: &Batch,
        base: &Baseline,
        sent: Received<V>,
        now: Now,
        joining: &mut Joining<V>,
    ) -> Result<bool, NotTaken> {
        let Received { hash, withheld, content, .. } = sent;
        if withheld.is_some() {
            return Ok(false);
        }
        let Sides { theirs, mine, .. } = self.sides(content, base, &batch.range())?;
        let Some(mut record) = mine else { return Ok(false) };
        let old = record.siblings.clone();
        let covers = |dot| self.context.covers(hash, dot);
        let sender_covers = |dot| batch.clocks.covers(hash, dot);
        let clash = |dot| joining.clashes.push((record.key.clone(), dot));
        record.siblings = join(core::mem::take(&mut record.siblings), covers, theirs, sender_covers, clash);
        let has_dropped = self.drop_reissued(&old, &mut record.siblings);
        if self.take_in(hash, &old, &mut record.siblings, now) {
            joining.stage(hash, record);
        }
        Ok(has_dropped)
    }

    /// The keys that were not sent, and at which there may be something to do all the same.
    fn unsent(&mut self, batch: &Batch, base: &Baseline, received: &[Received<V>]) -> Vec<KeyHash> {
        let is_unsent = |key: &KeyHash| received.binary_search_by_key(key, |received| received.hash).is_err();
        match batch.base {
            BatchBase::Snapshot => {
                plant!(join_unsent());
                let (live, range) = (self.summary(), batch.range());
                // Elsewhere, what is held here is what was compared.
                let changed = live.diff_range(&base.summary, &range).map(|difference| difference.key);
                changed.filter(is_unsent).collect()
            }
            BatchBase::Nothing => {
                plant!(join_unlisted());
                // Where the sender cannot have seen anything that is held here, nothing is loaded.
                let pieces = self.pieces_in_common(&batch.clocks);
                let held = pieces.iter().flat_map(|piece| self.tree.range(piece)).map(|(key, _)| key);
                held.filter(is_unsent).collect()
            }
        }
    }

    /// Joins a key that was not sent with what the base has there.
    fn join_unsent(
        &mut self,
        batch: &Batch,
        base: &Baseline,
        key: KeyHash,
        joining: &mut Joining<V>,
    ) -> Result<(), Error> {
        let Some(mut record) = self.load(key)? else { return Ok(()) };
        let before = record.siblings.len();
        let stays = |dot| match batch.base {
            // The sender's entry is the snapshot's. Of what is alive here now, the snapshot had exactly what its context
            // covers.
            BatchBase::Snapshot => base.context.covers(key, dot) || !batch.clocks.covers(key, dot),
            // What the sender has seen there is dead.
            BatchBase::Nothing => !batch.clocks.covers(key, dot),
        };
        record.siblings.retain(|sibling| stays(sibling.dot()));
        if record.siblings.len() != before {
            joining.stage(key, record);
        }
        Ok(())
    }
}

/// What is to be written of a batch, until it is enough for a commit.
struct Joining<V: Replicated> {
    records: BTreeMap<KeyHash, Record<V>>,
    /// Dots that were met with two contents.
    clashes: Vec<(V::Key, Dot)>,
    bytes: usize,
}

impl<V: Replicated> Default for Joining<V> {
    fn default() -> Self {
        Self { records: BTreeMap::new(), clashes: Vec::new(), bytes: 0 }
    }
}

impl<V: Replicated> Joining<V> {
    fn stage(&mut self, key: KeyHash, record: Record<V>) {
        if !record.siblings.is_empty() {
            self.bytes += record.max_len_bytes();
        }
        self.records.insert(key, record);
    }
}

/// The clocks of a batch, below a hash if there is one, and without the keys that were withheld.
fn clocks_without<'a>(
    clocks: &'a RangeClocks,
    withheld: &'a [Withheld],
    below: Option<KeyHash>,
) -> impl Iterator<Item = (KeyRange, &'a VectorClock)> {
    let below = below.map_or(Some(KeyRange::ALL), |below| KeyRange::new(KeyHash::MIN, Some(below)));
    let pieces = clocks.iter().filter_map(move |(range, clock)| Some((range.intersect(&below?)?, clock)));
    pieces.flat_map(|(range, clock)| {
        let parts = range_without(range, withheld.iter().map(|withheld| withheld.key));
        parts.into_iter().map(move |part| (part, clock))
    })
}

/// The parts of a range between these keys, which ascend.
fn range_without(range: KeyRange, keys: impl Iterator<Item = KeyHash>) -> Vec<KeyRange> {
    let (mut parts, mut lo) = (Vec::new(), Some(range.lo()));
    for key in keys.filter(|key| range.contains(*key)) {
        parts.extend(lo.and_then(|lo| KeyRange::new(lo, Some(key))));
        lo = key.to_u128().checked_add(1).map(KeyHash::from_u128);
    }
    parts.extend(lo.and_then(|lo| KeyRange::new(lo, range.hi())));
    parts
}
