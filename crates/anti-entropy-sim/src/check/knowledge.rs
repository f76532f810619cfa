//! The state that follows from the records so far, kept once for all checkers.

use std::collections::BTreeMap;

use super::events::{EventId, EventSet, Events, Reused};
use crate::history::{
    Acknowledged, End, Healed, KeyIndex, KeyState, Life, NodeIndex, Op, OpKind, Opened, Record, Start, State,
    ValueHash, WriteName,
};

/// The state after the records so far, the current one included. [`Knowledge::changes`] and [`Knowledge::uncovered`] say what
/// the current record changed.
#[derive(Debug, Default)]
pub struct Knowledge {
    start: Option<Start>,
    events: Events,
    nodes: BTreeMap<NodeIndex, NodeKnowledge>,
    healed: Option<Healed>,
    converged: Option<u64>,
    now: u64,
    changes: Vec<KeyChange>,
    /// Changes of earlier records, kept so that their memory is used again.
    spare: Vec<KeyChange>,
    uncovered: Vec<EventId>,
    reused: Option<Reused>,
}

/// What a node holds and has seen in the current life of its store.
#[derive(Clone, Debug, Default)]
pub struct NodeKnowledge {
    /// The events that its context covers.
    pub covered: EventSet,
    /// The events that it has acknowledged itself.
    pub acknowledged: Vec<EventId>,
    /// What it holds and has seen, by key.
    pub keys: BTreeMap<KeyIndex, AtKey>,
}

/// A version that a node holds: the write and its value.
pub type HeldVersion = (EventId, ValueHash);

/// What a node holds and has seen at a key.
#[derive(Clone, Debug, Default)]
pub struct AtKey {
    /// A fingerprint of the set of covered events.
    pub fingerprint: u128,
    /// The versions that the node holds.
    pub held: Vec<HeldVersion>,
}

/// What the current record changed at a key of a node.
///
/// At the start of a life that does not continue the previous one, the state before counts as empty.
#[derive(Clone, Debug, Default)]
pub struct KeyChange {
    /// The node.
    pub node: NodeIndex,
    /// The key.
    pub key: KeyIndex,
    /// Events covered now and not before.
    pub covered: Vec<EventId>,
    /// All versions held now.
    pub held: Vec<HeldVersion>,
    /// Versions held now and not before.
    pub came: Vec<EventId>,
    /// Versions held before and not now.
    pub went: Vec<EventId>,
    /// The versions in `came` that were covered before.
    pub returned: Vec<EventId>,
}

impl KeyChange {
    /// An empty change in the memory of an earlier one.
    fn reused(spare: &mut Vec<Self>, node: NodeIndex) -> Self {
        let mut change = spare.pop().unwrap_or_default();
        change.node = node;
        change.covered.clear();
        change.held.clear();
        change.came.clear();
        change.went.clear();
        change.returned.clear();
        change
    }
}

impl Knowledge {
    /// The scenario; `None` before the first record.
    pub fn start(&self) -> Option<&Start> {
        self.start.as_ref()
    }

    /// All writes and deletes so far.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// What a node holds and has seen; `None` if its store was never opened.
    pub fn node(&self, node: NodeIndex) -> Option<&NodeKnowledge> {
        self.nodes.get(&node)
    }

    /// The last healing of the network, if no fault has begun since.
    pub fn healed(&self) -> Option<&Healed> {
        self.healed.as_ref()
    }

    /// Whether a node is in the core, whose nodes have to become equal; `false` before the network has healed.
    pub fn is_core(&self, node: NodeIndex) -> bool {
        self.healed.as_ref().is_some_and(|healed| healed.core.contains(&node))
    }

    /// When the core became equal, if no write or delete has ended since.
    pub fn converged(&self) -> Option<u64> {
        self.converged
    }

    /// The latest time in any record so far.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// What the current record changed, key by key.
    pub fn changes(&self) -> &[KeyChange] {
        &self.changes
    }

    /// The events that the node's context covered before the current record and does not cover now.
    pub fn uncovered(&self) -> &[EventId] {
        &self.uncovered
    }

    /// The reused dot, if the current record is an operation with a dot that names another one.
    pub fn reused(&self) -> Option<&Reused> {
        self.reused.as_ref()
    }

    /// The name of an event.
    pub fn dot(&self, id: EventId) -> WriteName {
        self.events.get(id).dot
    }

    /// Whether an event is a live write at a node: a write that is covered and that no covered event replaces.
    pub fn is_live(&self, node: &NodeKnowledge, id: EventId) -> bool {
        node.covered.contains(id)
            && self.events.attempt(id).is_some_and(|attempt| attempt.value.is_some())
            && !self.events.is_replaced(id, &node.covered)
    }

    /// Takes the next record in.
    pub(super) fn apply(&mut self, record: &Record) {
        self.spare.append(&mut self.changes);
        self.uncovered.clear();
        self.reused = None;
        self.now = self.now.max(time(record));
        match record {
            Record::Start(start) => self.start = Some(start.clone()),
            Record::Op(op) => self.apply_op(op),
            Record::Life(life) => self.apply_life(life),
            Record::State(state) => self.apply_state(state),
            Record::Healed(healed) => self.healed = Some(healed.clone()),
            Record::Converged(converged) => self.converged = Some(converged.at),
            Record::End(end) => self.apply_end(end),
            // The network has not healed until the next record says so.
            Record::Fault(fault) if fault.begins => (self.healed, self.converged) = (None, None),
            Record::Fault(_)
            | Record::Besieged(_)
            | Record::Heap(_)
            | Record::Strain { .. }
            | Record::Clock { .. }
            | Record::Delivery(_)
            | Record::Session(_)
            | Record::Traffic(_)
            | Record::Usage(_)
            | Record::Alarm(_) => {}
        }
    }

    fn apply_op(&mut self, op: &Op) {
        if op.op == OpKind::Read {
            return;
        }
        self.reused = self.events.enter(op);
        if op.dot.is_some() && op.ok != Acknowledged::No {
            self.converged = None;
        }
        if let (Some(dot), Acknowledged::Yes, None) = (op.dot, op.ok, &self.reused) {
            let id = self.events.intern(dot);
            self.nodes.entry(op.node).or_default().acknowledged.push(id);
        }
    }

    fn apply_life(&mut self, life: &Life) {
        for &dot in &life.kept {
            let id = self.events.intern(dot);
            self.events.settle(id);
        }
        for &dot in &life.lost {
            self.events.lose(dot);
        }
        self.replace(life.node, &life.keys, life.opened == Opened::Restarted);
    }

    fn apply_end(&mut self, end: &End) {
        // The disk of a node that is down may have been wiped or restored without a record of a life.
        self.replace(end.node, &end.keys, end.up);
    }

    fn apply_state(&mut self, state: &State) {
        let node = self.nodes.entry(state.node).or_default();
        for keys in &state.keys {
            for &dot in &keys.forgotten {
                let id = self.events.intern(dot);
                if node.covered.remove(id) {
                    let at_key = node.keys.entry(keys.key).or_default();
                    at_key.fingerprint = at_key.fingerprint.wrapping_sub(id.scrambled());
                }
                self.uncovered.push(id);
            }
            let mut change = KeyChange::reused(&mut self.spare, state.node);
            take(&mut self.events, node, None, keys, &mut change);
            self.changes.push(change);
        }
    }

    /// Replaces the state of a node, and compares it with the state before if the store continues.
    fn replace(&mut self, index: NodeIndex, keys: &[KeyState], continues: bool) {
        let before = self.nodes.remove(&index).filter(|_| continues).unwrap_or_default();
        let mut node = NodeKnowledge { acknowledged: before.acknowledged.clone(), ..NodeKnowledge::default() };
        for keys in keys {
            let mut change = KeyChange::reused(&mut self.spare, index);
            take(&mut self.events, &mut node, Some(&before), keys, &mut change);
            self.changes.push(change);
        }
        for (&key, at_key) in &before.keys {
            if !node.keys.contains_key(&key) && !at_key.held.is_empty() {
                let went = at_key.held.iter().map(|&(id, _)| id).collect();
                let gone = KeyChange { node: index, key, went, ..KeyChange::default() };
                self.changes.push(gone);
            }
        }
        self.uncovered.extend(before.covered.missing_from(&node.covered));
        self.nodes.insert(index, node);
    }
}

/// Takes over what `node` holds and newly covers at a key, and describes it in `change`, which is empty before. The state is
/// compared with `before`, or with the earlier state of `node` if that is `None`.
fn take(
    events: &mut Events,
    node: &mut NodeKnowledge,
    before: Option<&NodeKnowledge>,
    keys: &KeyState,
    change: &mut KeyChange,
) {
    let at_key = node.keys.entry(keys.key).or_default();
    change.key = keys.key;
    for &dot in &keys.covered {
        let id = events.intern(dot);
        events.settle(id);
        if node.covered.insert(id) {
            at_key.fingerprint = at_key.fingerprint.wrapping_add(id.scrambled());
            if !before.is_some_and(|before| before.covered.contains(id)) {
                change.covered.push(id);
            }
        }
    }
    for held in &keys.held {
        let id = events.intern(held.dot);
        events.settle(id);
        change.held.push((id, held.value));
    }
    let had = before.map_or(Some(&*at_key), |before| before.keys.get(&keys.key)).map_or(&[][..], |had| &had.held);
    let not_in = |id, those: &[HeldVersion]| those.iter().all(|&(other, _)| other != id);
    if had != change.held {
        change.came.extend(change.held.iter().map(|&(id, _)| id).filter(|&id| not_in(id, had)));
        change.went.extend(had.iter().map(|&(id, _)| id).filter(|&id| not_in(id, &change.held)));
        let covered = |id| node.covered.contains(id) && !change.covered.contains(&id);
        change.returned.extend(change.came.iter().copied().filter(|&id| covered(id)));
    }
    at_key.held.clear();
    at_key.held.extend_from_slice(&change.held);
}

/// The time of a record; 0 if it has none.
fn time(record: &Record) -> u64 {
    match record {
        Record::Start(_) | Record::End(_) => 0,
        Record::Op(op) => op.end,
        Record::Life(life) => life.at,
        Record::State(state) => state.at,
        Record::Delivery(delivery) => delivery.at,
        Record::Fault(fault) => fault.at,
        Record::Healed(healed) | Record::Besieged(healed) => healed.at,
        Record::Converged(converged) => converged.at,
        Record::Session(session) => session.at,
        Record::Traffic(traffic) => traffic.to,
        Record::Strain { at, .. } | Record::Clock { at, .. } => *at,
        Record::Usage(usage) => usage.at,
        Record::Heap(heap) => heap.at,
        Record::Alarm(alarm) => alarm.at,
    }
}
