//! Turns reports into records, as the simulator does with what it sees.
//!
//! A node tells its context, and what it holds where that has changed. Which of all writes and deletes the context covers
//! now, and did not before, is worked out here: only here all of them are known.

use std::collections::{BTreeMap, BTreeSet};

use anti_entropy::KeyHash;
use anti_entropy::clock::{Context, ContextHash, Dot as CoreDot, ReplicaId};
use anti_entropy_sim::history::{
    Acknowledged, Alarm, Converged, End, EndedSession, Healed, Held, KeyIndex, KeyState, Life, NodeIndex, Op, OpKind,
    Opened, Record, Start, State, Usage, ValueHash, WriteName,
};

use super::Happening;
use crate::wire::{Attempt, Done, Final, Look, Report, SessionEnd, Tick};

pub(super) struct Historian {
    records: Vec<Record>,
    nodes: BTreeMap<NodeIndex, Node>,
    /// Every write and delete that was attempted so far.
    ledger: Vec<Event>,
    /// How operations ended, and when.
    ends: BTreeMap<u64, (u64, Done)>,
    /// Those who have to become equal, as long as they are not.
    unequal: Option<Vec<NodeIndex>>,
    core: Vec<NodeIndex>,
    now: u64,
}

/// What is known of a node.
#[derive(Default)]
struct Node {
    opened: Option<Opened>,
    up: bool,
    /// What it had when it was looked at last; nothing if it was not yet.
    seen: Option<(ValueHash, ContextHash, Context)>,
    held: BTreeMap<KeyIndex, Vec<Held>>,
    /// What its context does not cover, as places in the ledger.
    open: Vec<usize>,
    /// Attempts of which nobody knows what became of them, as places in the ledger.
    unknown: Vec<usize>,
}

/// A write or delete that was attempted.
struct Event {
    key: KeyIndex,
    place: KeyHash,
    dot: WriteName,
    /// Whether it turned out not to have been done: its dot names nothing, or another event.
    void: bool,
}

impl Event {
    fn is_covered(&self, context: &Context) -> bool {
        let dot = CoreDot { replica: ReplicaId::from_u128(self.dot.replica), counter: self.dot.counter };
        !self.void && context.covers(self.place, dot)
    }
}

impl Historian {
    pub(super) fn new(start: Start, happenings: &[(u64, Happening)]) -> Self {
        let ended = |(at, happening): &(u64, Happening)| match happening {
            Happening::Said(_, Report::Done(done)) => Some((done.op_id, (*at, done.clone()))),
            _ => None,
        };
        Self {
            nodes: (0..start.nodes).map(|node| (node, Node::default())).collect(),
            records: vec![Record::Start(start)],
            ledger: Vec::new(),
            ends: happenings.iter().filter_map(ended).collect(),
            unequal: None,
            core: Vec::new(),
            now: 0,
        }
    }

    pub(super) fn into_records(self) -> Vec<Record> {
        self.records
    }

    pub(super) fn take(&mut self, at: u64, happening: Happening) {
        self.now = at;
        match happening {
            Happening::Started(node, opened) => self.node(node).opened = Some(opened),
            Happening::Ended(node) => self.node(node).up = false,
            Happening::Said(node, report) => self.take_report(node, report),
            Happening::Fault(fault) => {
                if fault.begins {
                    self.unequal = None;
                }
                self.records.push(Record::Fault(fault));
            }
            Happening::Healed(core) => {
                self.records.push(Record::Healed(Healed { at, core: core.clone() }));
                self.core.clone_from(&core);
                self.unequal = Some(core);
                self.note_agreement();
            }
            Happening::Traffic(traffic) => self.records.push(Record::Traffic(traffic)),
        }
    }

    fn take_report(&mut self, node: NodeIndex, report: Report) {
        match report {
            Report::Life(look) => self.take_life(node, look),
            Report::State(look) => self.take_state(node, look),
            Report::Attempt(attempt) => self.take_attempt(node, attempt),
            Report::Done(done) => self.take_done(node, done),
            Report::Session(session) => self.take_session(node, session),
            Report::Alarm { alarm, detail } => {
                self.records.push(Record::Alarm(Alarm { at: self.now, node, alarm, detail }));
            }
            Report::Tick(tick) => self.take_tick(node, &tick),
            Report::End(end) => self.take_end(node, end),
            Report::Closed | Report::Failed { .. } => {}
        }
    }

    fn node(&mut self, node: NodeIndex) -> &mut Node {
        self.nodes.entry(node).or_default()
    }

    /// A write or delete begins. What became of it is known by now: only a node that was killed meanwhile does not say.
    fn take_attempt(&mut self, at: NodeIndex, attempt: Attempt) {
        let end = self.ends.get(&attempt.op_id);
        let ok = end.map_or(Acknowledged::Unknown, |(_, done)| done.ok);
        let end = end.map_or(self.now, |(end, _)| *end);
        let dot = Some(attempt.dot).filter(|_| ok != Acknowledged::No);
        if let Some(dot) = dot {
            let event = self.ledger.len();
            let place = KeyHash::of(&attempt.key);
            self.ledger.push(Event { key: attempt.key, place, dot, void: false });
            self.nodes.values_mut().for_each(|node| node.open.push(event));
            if ok == Acknowledged::Unknown {
                self.node(at).unknown.push(event);
            }
        }
        let Attempt { op_id, process, op, key, value, seen, .. } = attempt;
        let start = self.now;
        let (node, timestamp) = (at, None);
        let op = Op { op_id, process, node, op, key, start, end, ok, value, dot, seen, timestamp };
        self.records.push(Record::Op(op));
    }

    /// Writes and deletes are in the history since they were attempted.
    fn take_done(&mut self, node: NodeIndex, done: Done) {
        let Done { op_id, process, op, key, ok, seen, .. } = done;
        if op == OpKind::Read {
            let (at, value, dot) = (self.now, None, None);
            self.records.push(Record::Op(Op {
                op_id,
                process,
                node,
                op,
                key,
                start: at,
                end: at,
                ok,
                value,
                dot,
                seen,
                timestamp: None,
            }));
        }
    }

    fn take_life(&mut self, at: NodeIndex, look: Look) {
        let opened = self.node(at).opened.take().unwrap_or(Opened::Restarted);
        let mut node = self.nodes.remove(&at).unwrap_or_default();
        let kept = self.settle(&mut node, &look.context);
        let before: BTreeSet<usize> = node.open.iter().copied().collect();
        let open = |(_, event): &(usize, &Event)| !event.void && !event.is_covered(&look.context);
        node.open = self.ledger.iter().enumerate().filter(open).map(|(event, _)| event).collect();
        node.held = look.keys;
        node.up = true;
        node.seen = Some((look.root, look.context.hash(), look.context));
        let lost = self.lost(&node, opened, &before);
        let keys = self.all_keys(&node);
        self.nodes.insert(at, node);
        self.records.push(Record::Life(Life { at: self.now, node: at, opened, keys, kept, lost, root: look.root }));
        self.note_agreement();
    }

    /// What became of attempts that were not answered: those that the store knows were done.
    fn settle(&mut self, node: &mut Node, context: &Context) -> Vec<WriteName> {
        let mut kept = Vec::new();
        for event in node.unknown.drain(..) {
            let event = &mut self.ledger[event];
            if event.is_covered(context) {
                kept.push(event.dot);
            } else {
                event.void = true;
            }
        }
        kept
    }

    /// Events that this node's store knew, and no store knows any more.
    fn lost(&self, node: &Node, opened: Opened, before: &BTreeSet<usize>) -> Vec<WriteName> {
        if matches!(opened, Opened::New | Opened::Restarted) {
            return Vec::new();
        }
        let gone = node.open.iter().filter(|event| !before.contains(event)).map(|event| &self.ledger[*event]);
        let known = |event: &&Event| {
            let mut contexts = self.nodes.values().filter_map(|node| node.seen.as_ref());
            contexts.any(|(_, _, context)| event.is_covered(context))
        };
        gone.filter(|event| !known(event)).map(|event| event.dot).collect()
    }

    fn take_state(&mut self, at: NodeIndex, look: Look) {
        let Some(node) = self.nodes.get_mut(&at) else { return };
        let grown = node.seen.as_ref().is_none_or(|(_, _, before)| look.context.includes(before));
        let mut changes: BTreeMap<KeyIndex, (Vec<WriteName>, Vec<WriteName>)> = BTreeMap::new();
        if !grown {
            let open: BTreeSet<usize> = node.open.iter().copied().collect();
            for (place, event) in self.ledger.iter().enumerate() {
                if !event.void && !open.contains(&place) && !event.is_covered(&look.context) {
                    changes.entry(event.key).or_default().1.push(event.dot);
                    node.open.push(place);
                }
            }
        }
        node.open.retain(|event| {
            let event = &self.ledger[*event];
            let is_covered = event.is_covered(&look.context);
            if is_covered {
                changes.entry(event.key).or_default().0.push(event.dot);
            }
            !is_covered && !event.void
        });
        for key in look.keys.keys() {
            changes.entry(*key).or_default();
        }
        node.held.extend(look.keys);
        let keys = changes.into_iter().map(|(key, (covered, forgotten))| {
            let held = node.held.get(&key).cloned().unwrap_or_default();
            KeyState { key, held, covered, forgotten }
        });
        let keys = keys.collect();
        node.seen = Some((look.root, look.context.hash(), look.context));
        self.records.push(Record::State(State { at: self.now, node: at, from: None, keys, grown, root: look.root }));
        self.note_agreement();
    }

    /// All that a node holds and has seen.
    fn all_keys(&self, node: &Node) -> Vec<KeyState> {
        let mut keys: BTreeMap<KeyIndex, KeyState> = BTreeMap::new();
        let empty = |key| KeyState { key, held: Vec::new(), covered: Vec::new(), forgotten: Vec::new() };
        for (key, held) in &node.held {
            keys.entry(*key).or_insert_with(|| empty(*key)).held.clone_from(held);
        }
        let Some((_, _, context)) = &node.seen else { return Vec::new() };
        for event in self.ledger.iter().filter(|event| event.is_covered(context)) {
            keys.entry(event.key).or_insert_with(|| empty(event.key)).covered.push(event.dot);
        }
        keys.into_values().collect()
    }

    fn take_session(&mut self, node: NodeIndex, session: SessionEnd) {
        let SessionEnd { peer, outcome, differences, changed, value_bytes, round_trips, root } = session;
        let at = self.now;
        self.records.push(Record::Session(EndedSession {
            at,
            node,
            peer,
            outcome,
            differences,
            changed,
            value_bytes,
            round_trips,
            root,
        }));
    }

    fn take_tick(&mut self, node: NodeIndex, tick: &Tick) {
        self.records.push(Record::Usage(Usage {
            at: self.now,
            node,
            // Frames are not seen from outside.
            frame_bytes: 0,
            sessions: tick.sessions,
            queued_frames: tick.queued_frames,
            peers: tick.peers,
            context_pieces: tick.context_pieces,
            oldest_session_us: tick.oldest_session_us,
        }));
    }

    fn take_end(&mut self, at: NodeIndex, end: Final) {
        let core = self.core.contains(&at);
        self.node(at).held = end.keys;
        let keys = self.nodes.get(&at).map_or_else(Vec::new, |node| self.all_keys(node));
        let Final { root, root_afresh, state, context, view, discrepancies, .. } = end;
        let up = true;
        self.records.push(Record::End(End {
            node: at,
            core,
            up,
            root,
            root_afresh,
            state,
            context,
            view,
            discrepancies,
            keys,
        }));
    }

    /// Whether those who have to be equal are.
    fn note_agreement(&mut self) {
        let Some(core) = &self.unequal else { return };
        let seen = |node: &NodeIndex| {
            let (root, context, _) = self.nodes.get(node).filter(|node| node.up)?.seen.as_ref()?;
            Some((*root, *context))
        };
        let mut all = core.iter().map(seen);
        let first = all.next().flatten();
        if first.is_some() && all.all(|other| other == first) {
            self.unequal = None;
            self.records.push(Record::Converged(Converged { at: self.now }));
        }
    }
}
