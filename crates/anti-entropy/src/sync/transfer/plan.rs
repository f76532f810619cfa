//! Deciding what goes into a batch: the differences, what changed since the comparison, and where the batch may end.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::clock::{Context, RangeClocks};
use crate::replica::{Replica, Replicated};
use crate::summary::{Difference, Fingerprint, KeyBits, Snapshot};
use crate::sync::wire::{Batch, BatchBase, Inventory, KeyPrefix, KeyState};
use crate::{KeyHash, KeyRange};

/// The state of a replica at one instant, as batches need it. Taking it costs O(1).
#[derive(Clone, Debug, Hash)]
pub(crate) struct Baseline {
    pub(crate) summary: Snapshot,
    pub(crate) context: Context,
}

impl Baseline {
    /// The only key whose hash has this prefix; `None` if there is none, or more than one.
    pub(super) fn only_key_under(&self, prefix: KeyPrefix) -> Option<KeyHash> {
        let mut keys = self.summary.range(&prefix.range()).map(|(key, _)| key);
        keys.next().filter(|_| keys.next().is_none())
    }
}

/// The limits of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchLimits {
    pub(crate) max_entries: usize,
    /// A single entry may exceed this.
    pub(crate) max_bytes: usize,
    /// The most bytes of the message that the batch goes in. An entry that is too long for it is withheld.
    pub(crate) message_bytes: usize,
}

#[cfg(any(test, feature = "mutants"))]
impl BatchLimits {
    pub(crate) const NONE: Self = Self { max_entries: usize::MAX, max_bytes: usize::MAX, message_bytes: usize::MAX };
}

/// What the receiver could not read, and is not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Unreadable {
    /// Keys at which it could not read what it was sent in this session.
    pub(crate) now: BTreeSet<KeyHash>,
    /// The fingerprints of entries that it could not read before.
    pub(crate) before: BTreeMap<KeyHash, Fingerprint>,
}

impl Unreadable {
    pub(super) fn contains(&self, key: KeyHash, fingerprint: Fingerprint) -> bool {
        self.now.contains(&key) || self.before.get(&key) == Some(&fingerprint)
    }
}

/// How a batch is made.
pub(crate) struct BatchPlan<'a> {
    /// The range of the batch. The batch ends earlier if a limit is reached.
    pub(crate) range: KeyRange,
    /// What the batch is relative to. A batch relative to nothing needs neither differences nor a comparison.
    pub(crate) base: BatchBase,
    /// Where the sender's and the receiver's snapshots differ, in order. `theirs` is the receiver's.
    pub(crate) differences: Vec<Difference>,
    /// The sender's state at the comparison. Where the sender has changed since, the receiver's snapshot has this
    /// state.
    pub(crate) compared: Option<&'a Baseline>,
    pub(crate) inventory: &'a Inventory,
    /// What the receiver had seen when it took its snapshot, if that is known. Versions that it has seen are not sent:
    /// if it does not hold one, it has replaced or deleted it.
    pub(crate) seen: Option<&'a RangeClocks>,
    /// Whether all content is sent in full, since the receiver did not hold something that an earlier batch named.
    pub(crate) inline: bool,
    /// Where the batch may end before the range does; `None` for anywhere.
    pub(crate) cuts: Option<&'a [KeyHash]>,
    pub(crate) limits: BatchLimits,
    /// What the receiver could not read.
    pub(crate) unreadable: &'a Unreadable,
}

impl Batch {
    /// Whether to ask what the receiver holds before this batch is sent: because a large part would be sent at one of
    /// the `differences`, in order, where the receiver holds something that is not `known`.
    pub(crate) fn is_worth_asking(&self, differences: &[Difference], known: &Inventory) -> bool {
        // What is said of a key takes about a hundred bytes.
        const WORTH_ASKING_BYTES: u64 = 256;
        self.changes.iter().any(|change| {
            let KeyState::Present(entry) = change.as_ref() else { return false };
            if entry.value_bytes().parts < WORTH_ASKING_BYTES {
                return false;
            }
            let key = change.key();
            let found = differences.binary_search_by_key(&key, |difference| difference.key);
            found.is_ok_and(|index| is_held_by_both(&differences[index])) && !known.contains_key(&key)
        })
    }
}

impl<V: Replicated> Replica<V> {
    /// This replica's state now.
    pub(crate) fn baseline(&mut self) -> Baseline {
        Baseline { summary: self.summary(), context: self.context.clone() }
    }

    /// The differences that a comparison found, and those that changes here have made in a range since.
    pub(crate) fn with_changes_since(
        &mut self,
        differences: &[Difference],
        compared: &Baseline,
        range: &KeyRange,
    ) -> Vec<Difference> {
        with_changes_since(differences, &self.tree.snapshot(), Some(compared), range)
    }

    /// The only hashes at which a range that is joined here may end: the existing cuts, if the context has no room for
    /// more. `None` if there is room.
    pub(crate) fn cuts_if_full(&self) -> Option<Vec<KeyHash>> {
        // A join cuts at both ends of its range. However many replicas there are, one may be interrupted.
        const CUT_ONCE: usize = 3;
        let pieces = self.context.pieces_len() + 2;
        let counters = pieces.saturating_mul(self.context.replicas_len());
        let is_costly = pieces > CUT_ONCE && counters > self.config.counters_before_cuts_end();
        let full = is_costly || pieces > self.config.max_context_pieces.get();
        full.then(|| self.context.cuts().collect())
    }
}

/// The keys at which this replica may differ from the base, in order. If the base is nothing, these are all keys; they
/// are not collected, since a batch may have room for few of them.
pub(super) fn differences_to_base<'a>(
    plan: &'a BatchPlan<'_>,
    live: &'a Snapshot,
) -> Box<dyn Iterator<Item = Difference> + 'a> {
    match plan.base {
        BatchBase::Snapshot => {
            Box::new(with_changes_since(&plan.differences, live, plan.compared, &plan.range).into_iter())
        }
        BatchBase::Nothing => Box::new(live.range(&plan.range).map(|(key, _)| Difference::at(key, None, None))),
    }
}

/// Adds what changed at the sender since the comparison to its differences. At such a key, the receiver's snapshot
/// still has what the sender had then, unless the comparison found a difference.
fn with_changes_since(
    differences: &[Difference],
    live: &Snapshot,
    compared: Option<&Baseline>,
    range: &KeyRange,
) -> Vec<Difference> {
    plant!(with_changes_since(differences));
    let Some(compared) = compared else { return differences.to_vec() };
    let changed = live.diff_range(&compared.summary, range);
    let mut all: BTreeMap<KeyHash, Difference> = changed.map(|changed| (changed.key, changed)).collect();
    for found in differences {
        // A key that was known by its prefix alone, and was written here since.
        let is_prefix = found.known == KeyBits::First64;
        let written = all.range(found.range().bounds()).next().filter(|_| is_prefix);
        let whole = written.map(|(key, _)| Difference::at(*key, None, found.theirs));
        let found = whole.unwrap_or(*found);
        all.insert(found.key, found);
    }
    all.into_values().collect()
}

/// Whether the receiver holds the same here, so that nothing has to be sent.
pub(super) fn is_theirs(difference: &Difference, mine: Option<Fingerprint>) -> bool {
    plant!(is_theirs(mine));
    difference.matches_theirs(mine)
}

/// Whether the receiver holds something at this key, and the key is known in full.
pub(crate) fn is_held_by_both(difference: &Difference) -> bool {
    difference.known == KeyBits::All && difference.theirs.is_some()
}

/// A hash at which a batch may end that is above `last` and at most `next`, if there is one.
pub(super) fn cut_between(last: KeyHash, next: KeyHash, cuts: Option<&[KeyHash]>) -> Option<KeyHash> {
    match cuts {
        None => (last < next).then(|| last.boundary_before(next)),
        Some(cuts) => cuts.iter().rev().find(|cut| last < **cut && **cut <= next).copied(),
    }
}
