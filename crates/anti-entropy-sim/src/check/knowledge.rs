//! What follows from the records so far: kept once, for all checkers.

use std::collections::BTreeMap;

use super::events::{EventId, EventSet, Events, Reused};
use crate::history::{
    Acknowledged, Dot, End, Healed, KeyIndex, KeyState, Life, NodeIndex, Op, OpKind, Opened, Record, Start, State,
    ValueHash,
};

/// What follows from the records so far, the one that a checker is asked about included. What was before that record is
/// in [`Knowledge::changes`] and [`Knowledge::uncovered`].
#[derive(Debug, Default)]
pub struct Knowledge {
    start: Option<Start>,
    events: Events,
    nodes: BTreeMap<NodeIndex, Node>,
    healed: Option<Healed>,
    converged: Option<u64>,
    now: u64,
    changes: Vec<Change>,
    /// Changes of earlier records, whose memory is used again.
    spare: Vec<Change>,
    uncovered: Vec<EventId>,
    reused: Option<Reused>,
}

/// What a node holds and has seen in the present life of its store.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// The events that its context covers.
    pub covered: EventSet,
    /// What it has acknowledged itself.
    pub acknowledged: Vec<EventId>,
    /// What it holds.
    pub keys: BTreeMap<KeyIndex, AtKey>,
}

/// A version that is held: the write, and its value.
pub type Version = (EventId, ValueHash);

/// What a node holds and has seen at a key.
#[derive(Clone, Debug, Default)]
pub struct AtKey {
    /// Equal for equal sets of covered events.
    pub fingerprint: u128,
    /// The versions held.
    pub held: Vec<Version>,
}

/// What a record changes at a key of a node.
///
/// At the start of a life that does not continue the one before, it is compared with nothing.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// The node.
    pub node: NodeIndex,
    /// The key.
    pub key: KeyIndex,
    /// Events covered now and not before.
    pub covered: Vec<EventId>,
    /// All versions held now.
    pub held: Vec<Version>,
    /// Versions held now and not before.
    pub came: Vec<EventId>,
    /// Versions held before and not now.
    pub went: Vec<EventId>,
    /// Those of `came` that were covered before already.
    pub returned: Vec<EventId>,
}

impl Change {
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
    /// What is simulated; nothing before the first record.
    pub fn start(&self) -> Option<&Start> {
        self.start.as_ref()
    }

    /// The writes and deletes so far.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// What a node holds and has seen; nothing if it has not lived yet.
    pub fn node(&self, node: NodeIndex) -> Option<&Node> {
        self.nodes.get(&node)
    }

    /// The last healing of the network, if no fault has begun since.
    pub fn healed(&self) -> Option<&Healed> {
        self.healed.as_ref()
    }

    /// Whether a node is one of those that have to become equal; `false` before that is known.
    pub fn is_core(&self, node: NodeIndex) -> bool {
        self.healed.as_ref().is_some_and(|healed| healed.core.contains(&node))
    }

    /// Since when the core is equal, if no write or delete has ended after that.
    pub fn converged(&self) -> Option<u64> {
        self.converged
    }

    /// The latest time that a record has told.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// What this record has changed, key by key.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// What was covered before this record, at its node, and is not any more.
    pub fn uncovered(&self) -> &[EventId] {
        &self.uncovered
    }

    /// Whether this record is an operation with a dot that names another.
    pub fn reused(&self) -> Option<&Reused> {
        self.reused.as_ref()
    }

    /// The name of an event.
    pub fn dot(&self, id: EventId) -> Dot {
        self.events.get(id).dot
    }

    /// Whether an event is a live write there: covered, a write, and not replaced by anything covered.
    pub fn is_live(&self, node: &Node, id: EventId) -> bool {
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
            // Whatever was whole is so no more, until it heals again.
            Record::Fault(fault) if fault.begins => (self.healed, self.converged) = (None, None),
            Record::Fault(_)
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
        // The disk of a node that is down may have been wiped or put back without a life that says so.
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
            let mut change = Change::reused(&mut self.spare, state.node);
            take(&mut self.events, node, None, keys, &mut change);
            self.changes.push(change);
        }
    }

    /// A node has exactly this; what it had before is compared with it if the store is still the same.
    fn replace(&mut self, index: NodeIndex, keys: &[KeyState], continues: bool) {
        let before = self.nodes.remove(&index).filter(|_| continues).unwrap_or_default();
        let mut node = Node { acknowledged: before.acknowledged.clone(), ..Node::default() };
        for keys in keys {
            let mut change = Change::reused(&mut self.spare, index);
            take(&mut self.events, &mut node, Some(&before), keys, &mut change);
            self.changes.push(change);
        }
        for (&key, at_key) in &before.keys {
            if !node.keys.contains_key(&key) && !at_key.held.is_empty() {
                let went = at_key.held.iter().map(|&(id, _)| id).collect();
                let gone = Change { node: index, key, went, ..Change::default() };
                self.changes.push(gone);
            }
        }
        self.uncovered.extend(before.covered.missing_from(&node.covered));
        self.nodes.insert(index, node);
    }
}

/// Takes over what `node` holds and has newly covered at a key, and tells it in `change`, which is empty before. `before`
/// is what it is compared with, if not with `node` itself.
fn take(events: &mut Events, node: &mut Node, before: Option<&Node>, keys: &KeyState, change: &mut Change) {
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
    let not_in = |id, those: &[Version]| those.iter().all(|&(other, _)| other != id);
    if had != change.held {
        change.came.extend(change.held.iter().map(|&(id, _)| id).filter(|&id| not_in(id, had)));
        change.went.extend(had.iter().map(|&(id, _)| id).filter(|&id| not_in(id, &change.held)));
        let covered = |id| node.covered.contains(id) && !change.covered.contains(&id);
        change.returned.extend(change.came.iter().copied().filter(|&id| covered(id)));
    }
    at_key.held.clear();
    at_key.held.extend_from_slice(&change.held);
}

/// When a record was made; 0 if it does not say.
fn time(record: &Record) -> u64 {
    match record {
        Record::Start(_) | Record::End(_) => 0,
        Record::Op(op) => op.end,
        Record::Life(life) => life.at,
        Record::State(state) => state.at,
        Record::Delivery(delivery) => delivery.at,
        Record::Fault(fault) => fault.at,
        Record::Healed(healed) => healed.at,
        Record::Converged(converged) => converged.at,
        Record::Session(session) => session.at,
        Record::Traffic(traffic) => traffic.to,
        Record::Usage(usage) => usage.at,
        Record::Alarm(alarm) => alarm.at,
    }
}
