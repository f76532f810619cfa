//! Rule 4: a batch, from which a peer rebuilds this replica's exact state of a range at one instant.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::plan::{BatchPlan, cut_between, differences_to_base, is_held_by_both, is_theirs};
use crate::clock::Dot;
use crate::replica::{Error, PartHash, Record, Replica, ReplicaConfig, Replicated, Sibling, fingerprint};
use crate::summary::{Difference, Fingerprint};
use crate::sync::wire::{
    Batch, Inventory, KeyState, WireContent, WireEntry, WireValue, WireVersion, Withheld, WithheldFor, len_on_wire,
};
use crate::{KeyHash, KeyRange};

impl<V: Replicated> Replica<V> {
    /// Makes the batch that `plan` describes, from the present state of this replica.
    ///
    /// # Errors
    /// If the store fails, or what it holds is not what was written to it.
    pub(crate) fn make_batch(&mut self, plan: &BatchPlan<'_>) -> Result<Batch, Error> {
        if self.stopped {
            return Err(self.stopped_error());
        }
        let live = self.tree.snapshot();
        let mut changes: Vec<KeyState> = Vec::new();
        let mut bytes = 0;
        let mut range = plan.range;
        let mut last = range.lo();
        for difference in differences_to_base(plan, &live) {
            let before = core::mem::replace(&mut last, difference.last());
            let fingerprint = live.get(difference.key);
            if is_theirs(&difference, fingerprint) {
                continue;
            }
            let state = self.key_state(&difference, fingerprint, plan)?;
            let state = self.withhold_if_too_long(state, fingerprint, plan);
            let max_entries = plan.limits.max_entries.min(ReplicaConfig::MAX_KEYS_OF_BATCH);
            let full = changes.len() >= max_entries || bytes + state.len_bytes() > plan.limits.max_bytes;
            if full && !changes.is_empty() {
                let cut = cut_between(before, difference.key, plan.cuts);
                if let Some(shorter) = cut.and_then(|cut| KeyRange::new(range.lo(), Some(cut))) {
                    range = shorter;
                    break;
                }
            }
            bytes += state.len_bytes();
            changes.push(state);
        }
        let (clocks, digest) = (self.context.pieces(&range), live.range_digest(&range));
        let batch = Batch { clocks, base: plan.base, digest, changes: changes.into() };
        plant!(let batch = make_batch(batch, plan, &live, &self.context));
        Ok(batch)
    }

    /// The versions and parts that this replica holds at these keys. Stops after the first keys if their values are
    /// long.
    ///
    /// # Errors
    /// If the store fails, or what it holds is not what was written to it.
    pub(crate) fn inventory(&self, keys: impl IntoIterator<Item = KeyHash>) -> Result<(Inventory, usize), Error> {
        // Parts are hashed to be named: about what it takes to hash a batch or two is enough at a time.
        const MAX_BYTES: usize = 4 << 20;
        let (mut inventory, mut bytes) = (Inventory::new(), 0);
        for key in keys {
            if bytes > MAX_BYTES {
                break;
            }
            let siblings = self.load(key)?.map(|record| record.siblings).unwrap_or_default();
            bytes += siblings.iter().map(|sibling| sibling.encoded.len_bytes()).sum::<usize>();
            let parts = siblings.iter().flat_map(Sibling::part_hashes).collect();
            inventory.insert(key, (siblings.iter().map(Sibling::dot).collect(), parts));
        }
        Ok((inventory, bytes))
    }

    /// The entry at a key, in the shortest form that the receiver can complete.
    fn key_state(
        &self,
        difference: &Difference,
        fingerprint: Option<Fingerprint>,
        plan: &BatchPlan<'_>,
    ) -> Result<KeyState, Error> {
        let Some(fingerprint) = fingerprint else { return Ok(KeyState::absent(difference)) };
        if plan.unreadable.contains(difference.key, fingerprint) {
            let reason = WithheldFor::Unreadable;
            return Ok(KeyState::Withheld(Withheld { key: difference.key, fingerprint, reason }));
        }
        let record = self.load(difference.key)?.filter(|record| record.fingerprint() == fingerprint);
        let record = record.ok_or_else(|| Error::DamagedRecord {
            key: difference.key,
            reason: "its hash is not the one that it was written with".to_string(),
        })?;
        let versions = name_what_is_held(&record, difference, plan);
        Ok(KeyState::Present(WireEntry { key: record.key_bytes, versions: versions.into() }))
    }

    /// An entry that no message has room for would keep everything behind it from being sent.
    fn withhold_if_too_long(
        &self,
        state: KeyState,
        fingerprint: Option<Fingerprint>,
        plan: &BatchPlan<'_>,
    ) -> KeyState {
        // What a message has beside clocks and entries: a digest, states, and lengths.
        const BESIDE: usize = 256;
        let Some(fingerprint) = fingerprint else { return state };
        let max = plan.limits.message_bytes;
        if state.len_bytes() < max / 8 {
            return state;
        }
        let clocks = len_on_wire(&self.context.pieces(&plan.range));
        if len_on_wire(&state).saturating_add(clocks).saturating_add(BESIDE) <= max {
            return state;
        }
        KeyState::Withheld(Withheld { key: state.key(), fingerprint, reason: WithheldFor::TooLong })
    }
}

fn sent<V>(sibling: &Sibling<V>, named: impl Fn(usize, PartHash) -> bool) -> WireVersion {
    let content = WireContent::Sent(WireValue::of(sibling, named));
    WireVersion { dot: sibling.dot(), timestamp: sibling.version.timestamp, content }
}

/// Names versions that the peer has seen, and parts that it holds at this key, instead of sending them. These are what
/// it sent or said that it holds, what its fingerprint shows, and, as a guess, parts that an earlier version had. A
/// wrong guess costs a round trip. A part of several versions is sent once. If content is to be sent inline, the only
/// parts that are named are those that come earlier in the same entry.
fn name_what_is_held<V: Replicated>(
    record: &Record<V>,
    difference: &Difference,
    plan: &BatchPlan<'_>,
) -> Vec<WireVersion> {
    let known = plan.inventory.get(&difference.key);
    let shown = if plan.inline { Vec::new() } else { subset_with_fingerprint(record, difference) };
    let holds = |dot: &Dot| shown.contains(dot) || known.is_some_and(|(dots, _)| dots.contains(dot));
    let saw = |dot: Dot| !plan.inline && plan.seen.is_some_and(|seen| seen.covers(difference.key, dot));
    let guess = !plan.inline && known.is_none() && is_held_by_both(difference);
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

/// The siblings that together have the peer's fingerprint, if some have. Only tried for few siblings, as entries
/// usually have: after concurrent writes, a peer often lacks one of them.
fn subset_with_fingerprint<V: Replicated>(record: &Record<V>, difference: &Difference) -> Vec<Dot> {
    const MAX_SIBLINGS: usize = 4;
    let siblings = &record.siblings;
    if siblings.len() < 2 || siblings.len() > MAX_SIBLINGS || difference.theirs.is_none() {
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
        if is_theirs(difference, Some(candidate)) {
            return chosen.into_iter().map(Sibling::dot).collect();
        }
    }
    Vec::new()
}
