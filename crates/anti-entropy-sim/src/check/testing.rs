//! Small histories, made by hand.

use super::{Checker, Suite, Violation};
use crate::history::*;

pub(super) const ROUND: u64 = 10_000_000;
pub(super) const IDLE: u64 = 5_000_000;

pub(super) fn dot(replica: u128, counter: u64) -> WriteName {
    WriteName { replica, counter }
}

/// The value that the write of this name writes.
pub(super) fn value(dot: WriteName) -> ValueHash {
    ValueHash::from_u64(u64::try_from(dot.replica).unwrap() << 32 | dot.counter)
}

pub(super) fn held(dots: &[WriteName]) -> Vec<Held> {
    dots.iter().map(|&dot| Held { dot, value: value(dot) }).collect()
}

/// What a node holds and covers at key 0.
pub(super) fn key(holds: &[WriteName], covers: &[WriteName]) -> KeyState {
    KeyState { key: 0, held: held(holds), covered: covers.to_vec(), forgotten: Vec::new() }
}

/// An operation at key 0.
pub(super) fn op(node: NodeIndex, op: OpKind, dot: Option<WriteName>, seen: &[WriteName]) -> Op {
    let value = dot.filter(|_| matches!(op, OpKind::Write | OpKind::WriteSeen | OpKind::Compact)).map(value);
    let (op_id, process, key, start, end, ok) = (0, 0, 0, 0, 0, Acknowledged::Yes);
    Op { op_id, process, node, op, key, start, end, ok, value, dot, seen: seen.to_vec(), timestamp: None }
}

/// The first violation that a checker finds in a history.
pub(super) fn judge(checker: impl Checker + 'static, history: &History) -> Option<Violation> {
    let mut suite = Suite::of(vec![Box::new(checker)]);
    suite.extend(history.records.clone());
    suite.violations().next().cloned()
}

/// Asserts that a checker finds a violation whose description has these words.
#[track_caller]
pub(super) fn finds(checker: impl Checker + 'static, history: &History, words: &str) {
    let violation = judge(checker, history).expect("it is found");
    assert!(violation.detail.contains(words), "{violation}");
}

/// The names of all checkers that find something, in the order in which they do.
pub(super) fn finds_all(history: &History) -> Vec<&'static str> {
    let mut suite = Suite::default();
    suite.extend(history.records.clone());
    suite.violations().map(|violation| violation.invariant).collect()
}

/// A history that grows by a millisecond with each record.
pub(super) struct History {
    pub(super) records: Vec<Record>,
    pub(super) now: u64,
    ops: u64,
}

impl History {
    /// Of three nodes, all new.
    pub(super) fn new() -> Self {
        Self::of(Start {
            seed: 1,
            scenario: "by hand".into(),
            nodes: 3,
            keys: 2,
            interval_us: ROUND,
            min_interval_us: ROUND / 10,
            fanout: 3,
            idle_timeout_us: IDLE,
            healed_loss_permille: 0,
            limits: NodeLimits { frame_bytes: 100, sessions: 4, queued_frames: 10, peers: 2, context_pieces: 8 },
        })
    }

    pub(super) fn of(start: Start) -> Self {
        let nodes = start.nodes;
        let mut history = Self { records: vec![Record::Start(start)], now: 0, ops: 0 };
        for node in 0..nodes {
            history.life(node, Opened::New, vec![], &[]);
        }
        history
    }

    fn tick(&mut self) -> u64 {
        self.now += 1000;
        self.now
    }

    pub(super) fn push(&mut self, record: Record) -> &mut Self {
        self.records.push(record);
        self
    }

    pub(super) fn op(&mut self, mut op: Op) -> &mut Self {
        op.op_id = self.ops;
        op.start = self.tick();
        op.end = op.start;
        self.ops += 1;
        self.push(Record::Op(op))
    }

    pub(super) fn write(&mut self, node: NodeIndex, dot: WriteName, seen: &[WriteName]) -> &mut Self {
        self.op(op(node, OpKind::Write, Some(dot), seen))
    }

    pub(super) fn delete(&mut self, node: NodeIndex, dot: WriteName, seen: &[WriteName]) -> &mut Self {
        self.op(op(node, OpKind::Delete, Some(dot), seen))
    }

    /// A write that may have been done or not.
    pub(super) fn doubtful(&mut self, node: NodeIndex, dot: WriteName) -> &mut Self {
        self.op(Op { ok: Acknowledged::Unknown, ..op(node, OpKind::Write, Some(dot), &[]) })
    }

    /// A node newly covers something at key 0, and holds this now.
    pub(super) fn state(&mut self, node: NodeIndex, holds: &[WriteName], covers: &[WriteName]) -> &mut Self {
        self.state_of(node, vec![key(holds, covers)], true)
    }

    pub(super) fn state_of(&mut self, node: NodeIndex, keys: Vec<KeyState>, grown: bool) -> &mut Self {
        let (at, root) = (self.tick(), ValueHash::from_u64(0));
        self.push(Record::State(State { at, node, from: None, keys, grown, root }))
    }

    pub(super) fn life(
        &mut self,
        node: NodeIndex,
        opened: Opened,
        keys: Vec<KeyState>,
        kept: &[WriteName],
    ) -> &mut Self {
        let (at, kept, root) = (self.tick(), kept.to_vec(), ValueHash::from_u64(0));
        self.push(Record::Life(Life { at, node, opened, keys, kept, lost: vec![], root }))
    }

    pub(super) fn healed(&mut self, core: &[NodeIndex]) -> &mut Self {
        let at = self.tick();
        self.push(Record::Healed(Healed { at, core: core.to_vec() }))
    }

    /// The core is equal so long after the last record.
    pub(super) fn converged(&mut self, after: u64) -> &mut Self {
        self.now += after;
        let at = self.now;
        self.push(Record::Converged(Converged { at }))
    }

    pub(super) fn session(&mut self, node: NodeIndex, peer: NodeIndex, outcome: &str) -> &mut Self {
        self.session_of(node, peer, outcome, None)
    }

    /// The node and its peer certify that both have this root.
    pub(super) fn certificate(&mut self, node: NodeIndex, peer: NodeIndex, root: ValueHash) -> &mut Self {
        self.session_of(node, peer, "converged", Some(root))
    }

    fn session_of(&mut self, node: u32, peer: u32, outcome: &str, root: Option<ValueHash>) -> &mut Self {
        let (at, outcome) = (self.tick(), outcome.to_owned());
        let (differences, changed, value_bytes, round_trips) = (0, 0, 0, 0);
        self.push(Record::Session(EndedSession {
            at,
            node,
            peer,
            outcome,
            differences,
            changed,
            value_bytes,
            round_trips,
            root,
        }))
    }

    /// A node has this root now, whatever it holds.
    pub(super) fn root(&mut self, node: NodeIndex, root: ValueHash) -> &mut Self {
        let (at, keys) = (self.tick(), vec![]);
        self.push(Record::State(State { at, node, from: None, keys, grown: true, root }))
    }

    /// All nodes together send this in the next interval.
    pub(super) fn traffic(&mut self, frames: u64, value_bytes: u64) -> &mut Self {
        let from = self.now;
        self.now += ROUND;
        self.push(Record::Traffic(Traffic { from, to: self.now, nodes: 3, frames, bytes: frames, value_bytes }))
    }

    /// What a node has in use after the next interval.
    pub(super) fn usage(&mut self, usage: &Usage) -> &mut Self {
        self.now += ROUND;
        self.push(Record::Usage(Usage { at: self.now, ..usage.clone() }))
    }

    pub(super) fn end(&mut self, node: NodeIndex, keys: Vec<KeyState>) -> &mut Self {
        self.push(Record::End(end(node, keys)))
    }
}

/// A core node ends with this.
pub(super) fn end(node: NodeIndex, keys: Vec<KeyState>) -> End {
    let (root, root_afresh, context) = ("r".to_owned(), "r".to_owned(), "c".to_owned());
    let (state, view, discrepancies) = (ValueHash::from_u64(1), ValueHash::from_u64(2), vec![]);
    End { node, core: true, up: true, root, root_afresh, state, context, view, discrepancies, keys }
}
