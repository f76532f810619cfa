//! Rule 5: taking in a certified batch.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::certify::{Received, certify, inventory_of_sender, state_of_sender};
use super::plan::Baseline;
use crate::clock::{Context, Dot, Now};
use crate::refusal::{NotTaken, Refusal};
use crate::replica::{Change, Error, Record, Replica, Replicated, Staged, join, join_clock};
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

type Records<V> = BTreeMap<KeyHash, Record<V>>;

/// What a batch changes: records, and dots that were met with two contents.
type Changes<V> = (Records<V>, Vec<(<V as Replicated>::Key, Dot)>);

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
        let received = self.rebuild(&batch, entries, base)?;
        let theirs = state_of_sender(&batch, base, &received);
        certify(&batch, &theirs)?;
        self.admit_clocks(&batch)?;
        self.check_histories(&batch, &received)?;
        let withheld: Vec<Withheld> = received.iter().filter_map(|received| received.withheld).collect();
        plant!(let withheld = left_out(withheld));
        let context = self.joined_context(&batch, &withheld)?;
        let inventory = inventory_of_sender(&received);
        let (records, clashes) = self.join_range(&batch, base, received, now)?;
        let changed: Vec<KeyHash> = records.keys().copied().collect();
        let keys: Vec<V::Key> = records.values().map(|record| record.key.clone()).collect();
        self.persist(Staged { records, context, context_changed: true })?;
        for key in keys {
            self.changes.push(Change::Remote(key));
        }
        self.report_clashes(clashes);
        self.note_withheld(&withheld, &batch.clocks);
        self.confirm(batch.clocks.max_counter(self.id()));
        Ok(Joined { theirs, inventory, changed, withheld })
    }

    /// Covers what the sender has seen, except at keys where what it holds was withheld: there, the clock stays what it
    /// is, so that nobody takes what is not held here for deleted.
    fn joined_context(&self, batch: &Batch, withheld: &[Withheld]) -> Result<Context, Refusal> {
        plant!(joined_context(&self.context, batch));
        let mut context = self.context.clone();
        for (range, clock) in batch.clocks.iter() {
            for part in range_without(range, withheld.iter().map(|withheld| withheld.key)) {
                join_clock(&mut context, &part, clock);
            }
        }
        let (pieces, limit) = (context.pieces_len(), self.max_pieces());
        if pieces > limit && pieces > self.context.pieces_len() {
            plant!(joined_within(&self.context, batch, limit));
            return Err(Refusal::TooManyPieces { pieces, limit });
        }
        let (holes, limit) = (context.holes_len(), self.max_holes());
        if holes > limit && holes > self.context.holes_len() {
            return Err(Refusal::TooManyHoles { holes, limit });
        }
        Ok(context)
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
        for Received { hash, theirs, mine, withheld, .. } in received {
            let Some(mut record) = mine.filter(|_| withheld.is_none()) else { continue };
            let old = record.siblings.clone();
            let covers = |dot| self.context.covers(hash, dot);
            let sender_covers = |dot| batch.clocks.covers(hash, dot);
            let clash = |dot| clashes.push((record.key.clone(), dot));
            record.siblings = join(core::mem::take(&mut record.siblings), covers, theirs, sender_covers, clash);
            if self.take_in(hash, &old, &mut record.siblings, now) {
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
