mod memory;
mod whole;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::{BatchLimits, BatchPlan, Unreadable};
use crate::KeyRange;
use crate::sync::wire::{BatchBase, Inventory};

/// A batch of all that its sender holds in a range, for a receiver that has read everything so far.
pub(crate) fn plan(range: KeyRange, inventory: &Inventory, limits: BatchLimits) -> BatchPlan<'_> {
    const NO_UNREADABLE: &Unreadable = &Unreadable { now: BTreeSet::new(), before: BTreeMap::new() };
    BatchPlan {
        range,
        base: BatchBase::Nothing,
        differences: Vec::new(),
        compared: None,
        inventory,
        seen: None,
        inline: false,
        cuts: None,
        limits,
        unreadable: NO_UNREADABLE,
    }
}
