//! The operations of clients.

use anti_entropy::clock::Dot as CoreDot;
use anti_entropy::{Error, Transaction};

use super::hostile::LARGE_KEYS;
use super::node::dots;
use super::{Detail, Sabotage, World};
use crate::history::{Acknowledged, KeyIndex, Op, OpKind, Record, ValueHash, WriteName};
use crate::scenario::{Abuse, Operation};
use crate::subject::{Subject, set_release};

/// A change of one key that is about to be made.
struct Change<V> {
    key: KeyIndex,
    /// The value that is written; `None` for a delete.
    value: Option<V>,
    /// The versions that it replaces.
    seen: Vec<WriteName>,
    /// Whether it gets a dot. A delete that finds nothing gets none.
    mints: bool,
}

/// A transaction, and the changes that it is about to make.
type Plan<V> = (Transaction<V>, Vec<Change<V>>);

impl<S: Subject> World<S> {
    /// Performs an operation of a client. If the node is down, nothing happens.
    pub(super) fn operate(&mut self, operation: &Operation) {
        let node = &self.nodes[operation.node as usize];
        if !node.is_up() || node.pauses > 0 || node.busy_until > self.now {
            return;
        }
        let keys: Vec<u64> = operation.keys.iter().copied().map(u64::from).collect();
        self.note(&[2, u64::from(operation.node), operation.op as u64], &[]);
        self.note(&keys, &[]);
        if operation.op == OpKind::Read {
            self.read(operation);
        } else {
            self.change(operation);
        }
    }

    fn read(&mut self, operation: &Operation) {
        self.record_unknown_compactions(operation.node);
        for key in operation.keys.clone() {
            let engine = self.nodes[operation.node as usize].engine.as_ref();
            let Some(read) = engine.and_then(|engine| engine.replica().read(&self.keys[key as usize].0).ok()) else {
                continue;
            };
            let seen: Vec<WriteName> = read.siblings().iter().map(|version| version.dot.into()).collect();
            self.tokens.insert((operation.process, key), (read.seen(), seen.clone()));
            let op = self.answer(operation, key, Acknowledged::Yes);
            self.push_op(Op { seen, ..op });
        }
        self.operations_done += 1;
    }

    /// Reads every key at every node that is up, as clients would once all nodes are equal. These reads are not part of the
    /// workload, and not counted.
    pub(crate) fn read_everywhere(&mut self) {
        let counted = self.counts.operations;
        for node in self.nodes_up().into_iter().filter(|node| !self.is_forging(*node)).collect::<Vec<_>>() {
            let keys = (0..self.scenario.keys).collect();
            let process = 2 * self.scenario.nodes + node;
            self.read(&Operation { at_us: self.now, process, node, op: OpKind::Read, keys });
        }
        self.counts.operations = counted;
    }

    fn change(&mut self, operation: &Operation) {
        let Some((transaction, changes)) = self.plan(operation) else { return };
        let at = operation.node;
        // Of the two clients of a node one asks the one face, and one the other.
        if operation.process / self.scenario.nodes % 2 == 1 && self.nodes[at as usize].twin.is_some() {
            return self.commit_at_twin(at, transaction);
        }
        let mut result = Ok(Vec::new());
        let (own, counter) = {
            let context = self.nodes[at as usize].engine.as_ref().map(|engine| engine.replica().context());
            let Some(context) = context else { return };
            (context.own_id(), context.own_counter())
        };
        // What the write sets off is seen afterwards: the history has the operation first.
        let minted = changes.iter().filter(|change| change.mints).count() as u64;
        let accounted = core::mem::replace(&mut self.nodes[at as usize].accounted, counter + minted);
        let lying = self.is_forging(at);
        let mut done = Vec::new();
        self.commit(at, transaction, &mut result);
        match &result {
            Ok(written) => done.extend(written.iter().map(|written| (written.key, written.dot))),
            Err(error) => {
                // Nothing was minted: the node's next write, which may be its resolver's, gets the first of these names. What
                // the resolver of a replica that has stopped wrote before is seen at the next opening.
                self.nodes[at as usize].accounted = accounted;
                self.note_failure(at, error);
            }
        }
        let unknown = matches!(&result, Err(Error::Store(error)) if error.may_have_changed());
        let mut next = counter;
        for change in changes {
            let key = change.key as usize;
            let dot = if result.is_ok() {
                done.iter().find(|(place, _)| *place == self.keys[key].1).map(|(_, dot)| *dot)
            } else if unknown && change.mints {
                next += 1;
                Some(CoreDot { replica: own, counter: next })
            } else {
                None
            };
            let ok = match (&result, unknown) {
                (Ok(_), _) => Acknowledged::Yes,
                (_, true) => Acknowledged::Unknown,
                _ => Acknowledged::No,
            };
            if !lying {
                self.record_change(operation, change, ok, dot);
            }
        }
        self.operations_done += 1;
        self.drive(at, None, |_, _| {});
    }

    /// Lets the second replica of a liar write. Both replicas give their writes the same names, so that others receive two
    /// contents of one write. No invariant covers either.
    fn commit_at_twin(&mut self, at: u32, transaction: Transaction<S::Value>) {
        let node = &mut self.nodes[at as usize];
        let now = node.clock.now(self.now);
        if node.twin.as_mut().is_some_and(|twin| twin.commit(transaction, now).is_ok()) {
            self.counts.operations += 1;
        }
        self.pump(at, true, &mut Vec::new());
        self.operations_done += 1;
    }

    /// Commits without observing the result.
    fn commit(
        &mut self,
        at: u32,
        transaction: Transaction<S::Value>,
        result: &mut Result<Vec<anti_entropy::Written>, Error>,
    ) {
        let node = &mut self.nodes[at as usize];
        let now = node.clock.now(self.now);
        set_release(node.release);
        if node.engine.is_some() {
            self.counted(at, |world| {
                let engine = world.nodes[at as usize].engine.as_mut();
                engine.map(|engine| *result = engine.commit(transaction, now))
            });
        }
    }

    /// The transaction of an operation, and its changes; `None` if the client has read nothing to replace.
    fn plan(&mut self, operation: &Operation) -> Option<Plan<S::Value>> {
        let mut transaction = Transaction::new();
        let mut changes = Vec::new();
        for key in operation.keys.clone() {
            let index = key as usize;
            let held = if self.detail == Detail::Roots { Vec::new() } else { dots(&self.held(operation.node, index)) };
            let token = self.tokens.get(&(operation.process, key)).cloned();
            let name = self.keys[index].0.clone();
            let value = match operation.op {
                OpKind::Write | OpKind::WriteSeen => {
                    self.writes += 1;
                    let release = self.nodes[operation.node as usize].release;
                    Some(if key < LARGE_KEYS && self.does(operation.node, Abuse::LargestValues) {
                        self.subject.largest(key, self.writes)
                    } else {
                        self.subject.value_of(release, key, self.writes)
                    })
                }
                _ => None,
            };
            // What is written, which is what the history says unless that is the bug.
            let written = match (&value, self.sabotage) {
                (Some(_), Some(Sabotage::AnotherValueIsWritten)) if self.random.u8(0..20) == 0 => {
                    Some(self.subject.value(key, u64::MAX - self.writes))
                }
                (value, _) => (*value).clone(),
            };
            let seen = match (operation.op, token) {
                (OpKind::WriteSeen | OpKind::DeleteSeen, None) => return None,
                (OpKind::WriteSeen | OpKind::DeleteSeen, Some((token, seen))) => {
                    transaction = match written {
                        Some(value) => transaction.write_seen(value, &token),
                        None => transaction.delete_seen(name, &token),
                    };
                    seen
                }
                _ => {
                    transaction = match written {
                        Some(value) => transaction.write(value),
                        None => transaction.delete(name),
                    };
                    held.clone()
                }
            };
            let mints = value.is_some() || held.iter().any(|dot| seen.contains(dot));
            changes.push(Change { key, value, seen, mints });
        }
        Some((transaction, changes))
    }

    fn record_change(
        &mut self,
        operation: &Operation,
        change: Change<S::Value>,
        ok: Acknowledged,
        dot: Option<CoreDot>,
    ) {
        let value = change.value.as_ref().map(ValueHash::of_value);
        if let Some(dot) = dot
            && self.detail != Detail::Roots
        {
            let index = self.add_event(change.key as usize, dot);
            if ok == Acknowledged::Unknown {
                self.nodes[operation.node as usize].unknown.push(index);
            }
        }
        let is_looked_at = ok == Acknowledged::Yes && value.is_some() && self.detail != Detail::Roots;
        let timestamp =
            dot.filter(|_| is_looked_at).and_then(|dot| self.timestamp_of(operation.node, change.key as usize, dot));
        let op = self.answer(operation, change.key, ok);
        self.push_op(Op { value, dot: dot.map(WriteName::from), seen: change.seen, timestamp, ..op });
    }

    fn note_failure(&mut self, at: u32, error: &Error) {
        match error {
            // The store's faults are the scenario's, and reads from elsewhere may run ahead.
            Error::Store(_) | Error::Stopped { .. } | Error::NotYetSeen(_) => {}
            // The scenario leaves so little room for ids that they run out, and the writer is told.
            Error::TooManyReplicas { .. } if self.scenario.gossip.clock_replicas.is_some() => {}
            // One node takes less than the others write, and these are told.
            Error::EntryTooLong { .. } | Error::ValueTooLong { .. }
                if self.scenario.gossip.first_message_bytes.is_some() => {}
            other => self.alarm(at, "operation_failed", other.to_string()),
        }
    }

    fn answer(&mut self, operation: &Operation, key: KeyIndex, ok: Acknowledged) -> Op {
        if ok == Acknowledged::Yes {
            self.counts.operations += 1;
        }
        Op {
            op_id: self.operations_done,
            process: operation.process,
            node: operation.node,
            op: operation.op,
            key,
            start: self.now,
            end: self.now,
            ok,
            value: None::<ValueHash>,
            dot: None,
            seen: Vec::new(),
            timestamp: None,
        }
    }

    fn push_op(&mut self, op: Op) {
        if self.detail != Detail::Roots {
            self.records.push(Record::Op(op));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::scenario::{Fault, Lie, Scenario};
    use crate::subject::Items;
    use crate::{Judging, checkers_for, judge};

    /// A commit that failed has minted nothing, so that the resolver's next write gets the first of the names that it would have
    /// had. If those were still counted as the client's, nobody would know who made that write.
    #[test]
    fn what_a_resolver_writes_after_a_failed_transaction_is_in_the_history() {
        let errors = Fault::DiskErrors { reads_permille: 0, commits_permille: 500, syncs_permille: 0 };
        for seed in 0..10 {
            let mut scenario = Scenario::new("", 3).keys(1).duration_ms(10_000).step(10, 10_000, [], errors.clone());
            scenario.compacts = true;
            let scenario = scenario.operations(200).expanded(seed);
            let verdict = judge(&scenario, seed, Items::default(), checkers_for(&scenario), Judging::default(), |_| {});
            assert_eq!(verdict.violations, [], "seed {seed}");
        }
    }

    #[test]
    fn who_is_two_gives_a_name_to_two_contents() {
        let lie = Fault::Lie { lie: Lie::Twin };
        let scenario = Scenario::new("", 4).keys(1).duration_ms(20_000).step(5_000, 20_000, [0], lie).never_back([0]);
        let mut world = World::new(&scenario.operations(60).expanded(1), 1, Items::default(), Detail::Everything);
        world.run_until(19_000_000);
        let (mut told, mut equivocates) = (BTreeMap::new(), false);
        for record in world.take_records() {
            let Record::State(state) = record else { continue };
            for held in state.keys.iter().flat_map(|keys| &keys.held) {
                equivocates |= *told.entry(held.dot).or_insert(held.value) != held.value;
            }
        }
        assert!(equivocates);
    }
}
