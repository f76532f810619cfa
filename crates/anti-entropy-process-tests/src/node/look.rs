//! What a replica holds and has seen, from outside: by reading it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use anti_entropy::clock::Context;
use anti_entropy::summary::{MerkleTree, Root};
use anti_entropy::value::ContentHash;
use anti_entropy::{KeyHash, Replica, Version};
use anti_entropy_sim::history::{Held, KeyIndex, ValueHash};

use super::Item;
use crate::wire::{Final, Look};

/// What was seen last, so that only what differs is told.
#[derive(Debug, Default)]
pub(super) struct Watch {
    last: Option<(Root, Context)>,
    held: BTreeMap<KeyIndex, Vec<Held>>,
}

impl Watch {
    /// What changed since the last look; nothing if nothing did.
    pub(super) fn look(&mut self, replica: &mut Replica<Item>) -> Option<Look> {
        let root = replica.root();
        if self.last.as_ref().is_some_and(|(was, context)| *was == root && context == replica.context()) {
            return None;
        }
        let context = replica.context().clone();
        self.last = Some((root, context.clone()));
        let now = held_everywhere(replica);
        let gone = self.held.keys().filter(|key| !now.contains_key(key)).map(|key| (*key, Vec::new()));
        let changed = now.iter().filter(|(key, held)| self.held.get(key) != Some(held));
        let keys = gone.chain(changed.map(|(key, held)| (*key, held.clone()))).collect();
        self.held = now;
        Some(Look { root: ValueHash::first_of(root.as_bytes()), context, keys })
    }
}

/// Everything that there is to be said of a replica when a run ends.
pub(super) fn final_look(replica: &mut Replica<Item>) -> Final {
    let root = format!("{:?}", replica.root());
    let mut afresh: MerkleTree = MerkleTree::from_entries(replica.summary().iter());
    let (state, view, mut discrepancies) = match hashes(replica) {
        Ok((state, view)) => (state, view, Vec::new()),
        Err(error) => (ValueHash::from_u64(0), ValueHash::from_u64(0), vec![error.to_string()]),
    };
    match replica.audit() {
        Ok(audit) => discrepancies.extend(audit.discrepancies.iter().map(|found| format!("{found:?}"))),
        Err(error) => discrepancies.push(error.to_string()),
    }
    Final {
        root,
        root_afresh: format!("{:?}", afresh.root()),
        state,
        context: replica.context_hash().to_string(),
        view,
        discrepancies,
        keys: held_everywhere(replica),
    }
}

fn held_everywhere(replica: &Replica<Item>) -> BTreeMap<KeyIndex, Vec<Held>> {
    let mut all = BTreeMap::new();
    // A store that cannot be read says so where it is audited.
    let _ = replica.for_each(|key, read| {
        all.insert(*key, held(read.siblings()));
        ControlFlow::Continue(())
    });
    all
}

pub(super) fn held(versions: &[Version<Item>]) -> Vec<Held> {
    versions
        .iter()
        .map(|version| Held { dot: version.dot.into(), value: ValueHash::of_value(&version.value) })
        .collect()
}

/// Hashes of all that a replica holds, and of all that its readers see; without the Merkle tree.
fn hashes(replica: &Replica<Item>) -> Result<(ValueHash, ValueHash), anti_entropy::Error> {
    let (mut state, mut view) = (Vec::new(), Vec::new());
    replica.for_each(|key, read| {
        let versions = read.siblings().iter();
        let versions =
            versions.map(|version| (version.dot, ContentHash::of(version.timestamp, &version.value).to_bytes()));
        state.push((*key, versions.collect::<Vec<_>>()));
        view.push((*key, read.value().map(|value| ValueHash::of_value(value).to_u64())));
        ControlFlow::Continue(())
    })?;
    Ok((hash_of(&state), hash_of(&view)))
}

fn hash_of(what: &impl serde::Serialize) -> ValueHash {
    ValueHash::first_of(&KeyHash::of(what).to_u128().to_be_bytes())
}
