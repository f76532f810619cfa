//! Observing replicas, and recording what checkers need.
//!
//! The simulator observes replicas from outside: it records which of all writes and deletes a replica's context covers, and which
//! versions a read returns. Checkers decide whether a replica holds what it should.

use core::hash::Hasher;

use anti_entropy::clock::ReplicaId;
use anti_entropy::clock::{Dot, Timestamp};
use anti_entropy::engine::Engine;
use anti_entropy::session::Finished;
use anti_entropy::value::ContentHash;
use anti_entropy::{Continuity, Event as EngineEvent, Opening, Replica, Replicated};
use twox_hash::XxHash3_64;

use super::node::Event;
use super::queue::What;
use super::{Detail, Key, World, index_of};
use crate::history::{
    Acknowledged, End, EndedSession, Held, KeyState, Life, NodeIndex, Op, OpKind, Opened, Record, State, Traffic,
    Usage, ValueHash, WriteName, alarm_of, outcome_text,
};
use crate::scenario::Sketches;
use crate::subject::{Subject, set_release};

impl<S: Subject> World<S> {
    /// Observes a node after an event, and records what changed.
    pub(super) fn observe(&mut self, at: NodeIndex, from: Option<NodeIndex>) {
        if self.is_forging(at) || self.nodes[at as usize].is_doubtful {
            return;
        }
        let node = &mut self.nodes[at as usize];
        let Some(engine) = node.engine.as_mut() else { return };
        let replica = engine.replica_mut();
        let root = replica.root();
        if root == node.seen.root && *replica.context() == node.seen.context {
            return;
        }
        let same_entries = root == node.seen.root;
        let context = replica.context().clone();
        let grown = context.includes(&node.seen.context);
        // Under a new id, a replica first writes anew what it wrote under the old one and nobody had seen.
        let is_renamed = context.own_id() != node.seen.context.own_id();
        if is_renamed {
            node.accounted = 0;
        }
        let counted = if is_renamed { 0 } else { node.seen.context.own_counter() };
        let wrote = context.own_counter() > counted.max(node.accounted);
        node.seen.root = root;
        node.seen.context_hash = context.hash();
        node.seen.context = context;
        self.agreement.set(at, Some((root, self.nodes[at as usize].seen.context_hash)));
        self.changed.insert(at);
        if self.detail != Detail::Roots {
            if wrote {
                let own = self.nodes[at as usize].seen.context.own_id();
                self.record_compactions(at, own, Acknowledged::Yes);
                self.nodes[at as usize].accounted = self.nodes[at as usize].seen.context.own_counter();
            }
            self.record_state(at, from, same_entries, grown);
        }
        self.note_agreement();
    }

    fn record_state(&mut self, at: NodeIndex, from: Option<NodeIndex>, same_entries: bool, grown: bool) {
        let mut changes = self.coverage_changes(at, grown);
        let mut keys = Vec::new();
        let mut explained = same_entries;
        for (key, (covered, forgotten)) in core::mem::take(&mut changes) {
            let held = self.held(at, key);
            explained |= held != self.nodes[at as usize].seen.held[key];
            self.nodes[at as usize].seen.held[key].clone_from(&held);
            keys.push(KeyState { key: number(key), held, covered, forgotten });
        }
        // Entries that change where nothing new is covered are a fault, wherever they are; few keys are looked at always.
        if !explained || self.keys.len() <= 3 {
            self.record_unexplained(at, &mut keys);
        }
        let root = ValueHash::first_of(self.nodes[at as usize].seen.root.as_bytes());
        self.records.push(Record::State(State { at: self.now, node: at, from, keys, grown, root }));
    }

    fn record_unexplained(&mut self, at: NodeIndex, keys: &mut Vec<KeyState>) {
        for key in 0..self.keys.len() {
            let held = self.held(at, key);
            if held != self.nodes[at as usize].seen.held[key] {
                self.nodes[at as usize].seen.held[key].clone_from(&held);
                keys.push(KeyState { key: number(key), held, covered: Vec::new(), forgotten: Vec::new() });
            }
        }
    }

    /// By key, the events that the context newly covers, and those that it no longer covers.
    fn coverage_changes(
        &mut self,
        at: NodeIndex,
        grown: bool,
    ) -> std::collections::BTreeMap<usize, (Vec<WriteName>, Vec<WriteName>)> {
        let (ledger, keys, node) = (&self.ledger, &self.keys, &mut self.nodes[at as usize]);
        let context = &node.seen.context;
        let mut changes = std::collections::BTreeMap::<usize, (Vec<WriteName>, Vec<WriteName>)>::new();
        let covers = |event: &Event| context.covers(keys[event.key].1, event.dot);
        if !grown {
            let was_open: std::collections::BTreeSet<usize> = node.seen.open.iter().copied().collect();
            for (index, event) in ledger.iter().enumerate() {
                if !event.void && !was_open.contains(&index) && !covers(event) {
                    changes.entry(event.key).or_default().1.push(event.dot.into());
                    node.seen.open.push(index);
                }
            }
        }
        node.seen.open.retain(|index| {
            let event = &ledger[*index];
            let is_covered = !event.void && covers(event);
            if is_covered {
                changes.entry(event.key).or_default().0.push(event.dot.into());
            }
            !is_covered && !event.void
        });
        changes
    }

    /// The versions that a read of a key returns.
    pub(super) fn held(&self, at: NodeIndex, key: usize) -> Vec<Held> {
        let node = &self.nodes[at as usize];
        let Some(engine) = &node.engine else { return Vec::new() };
        set_release(node.release);
        node.disk.look(|| held_by(engine.replica(), &self.keys[key].0))
    }

    /// When a version that a node holds was written, by its writer's clock.
    pub(super) fn timestamp_of(&self, at: NodeIndex, key: usize, dot: Dot) -> Option<Timestamp> {
        let node = &self.nodes[at as usize];
        let replica = node.engine.as_ref()?.replica();
        let read = node.disk.look(|| replica.read(&self.keys[key].0)).ok()?;
        read.siblings().iter().find(|version| version.dot == dot).map(|version| version.timestamp)
    }

    /// Records the opening of a node's store, and its state.
    pub(super) fn observe_life(&mut self, at: NodeIndex, opened: Opened) {
        let node = &mut self.nodes[at as usize];
        let Some(engine) = node.engine.as_mut() else { return };
        let replica = engine.replica_mut();
        let before = core::mem::take(&mut node.seen.open);
        let own_before = node.seen.context.own_id();
        node.seen.root = replica.root();
        node.seen.context = replica.context().clone();
        node.seen.context_hash = replica.context_hash();
        self.agreement.set(at, Some((node.seen.root, node.seen.context_hash)));
        self.changed.insert(at);
        if self.detail == Detail::Roots {
            return;
        }
        // The last commit of the life before may have been the resolver's, and may have been kept although it failed.
        if opened == Opened::Restarted && node.unknown.is_empty() && self.scenario.compacts {
            self.record_compactions(at, own_before, Acknowledged::Yes);
        }
        let node = &mut self.nodes[at as usize];
        node.accounted = node.seen.context.own_counter();
        let kept = self.settle_unknown(at);
        let node = &mut self.nodes[at as usize];
        let context = &node.seen.context;
        let open = |(_, event): &(usize, &Event)| !event.void && !context.covers(self.keys[event.key].1, event.dot);
        node.seen.open = self.ledger.iter().enumerate().filter(open).map(|(index, _)| index).collect();
        let lost = self.lost(at, opened, &before);
        for key in 0..self.keys.len() {
            let held = self.held(at, key);
            self.nodes[at as usize].seen.held[key] = held;
        }
        let keys = self.key_states(at);
        let root = ValueHash::first_of(self.nodes[at as usize].seen.root.as_bytes());
        self.records.push(Record::Life(Life { at: self.now, node: at, opened, keys, kept, lost, root }));
        self.note_agreement();
    }

    /// Resolves operations that may have been done or not: those that the store has were done. Returns these.
    fn settle_unknown(&mut self, at: NodeIndex) -> Vec<WriteName> {
        let node = &mut self.nodes[at as usize];
        let mut kept = Vec::new();
        for index in core::mem::take(&mut node.unknown) {
            let event = &mut self.ledger[index];
            if node.seen.context.covers(self.keys[event.key].1, event.dot) {
                kept.push(event.dot.into());
            } else {
                event.void = true;
            }
        }
        kept
    }

    /// The events that this node's store had, and that no store has now.
    fn lost(&self, at: NodeIndex, opened: Opened, before: &[usize]) -> Vec<WriteName> {
        if matches!(opened, Opened::New | Opened::Restarted) {
            return Vec::new();
        }
        let was_open: std::collections::BTreeSet<usize> = before.iter().copied().collect();
        let others = || self.nodes.iter().enumerate().filter(|(other, _)| *other != at as usize);
        let open = self.nodes[at as usize].seen.open.iter().filter(|index| !was_open.contains(*index));
        let gone = open.filter(|index| {
            let event = &self.ledger[**index];
            let covers =
                |(_, node): (usize, &super::Node<S>)| node.seen.context.covers(self.keys[event.key].1, event.dot);
            !others().any(covers)
        });
        gone.map(|index| self.ledger[*index].dot.into()).collect()
    }

    /// Everything that a node holds and has seen.
    fn key_states(&self, at: NodeIndex) -> Vec<KeyState> {
        let node = &self.nodes[at as usize];
        let mut states: Vec<KeyState> = (0..self.keys.len())
            .map(|key| KeyState {
                key: number(key),
                held: node.seen.held[key].clone(),
                covered: Vec::new(),
                forgotten: Vec::new(),
            })
            .collect();
        for event in &self.ledger {
            if !event.void && node.seen.context.covers(self.keys[event.key].1, event.dot) {
                states[event.key].covered.push(event.dot.into());
            }
        }
        states
    }

    /// A replica that has stopped, since nobody knows what its last commit left, still answers reads. Records what its
    /// resolver wrote in that commit, as far as it can be read: it is unknown until the store is opened again.
    pub(super) fn record_unknown_compactions(&mut self, at: NodeIndex) {
        let node = &self.nodes[at as usize];
        let has_stopped = node.engine.as_ref().is_some_and(|engine| engine.replica().is_stopped());
        if has_stopped && node.unknown.is_empty() && self.scenario.compacts && self.detail != Detail::Roots {
            self.record_compactions(at, node.seen.context.own_id(), Acknowledged::Unknown);
        }
    }

    /// Records the writes of the node itself, under this id: the decisions of its resolver, and what it writes anew under
    /// a new id.
    fn record_compactions(&mut self, at: NodeIndex, own: ReplicaId, ok: Acknowledged) {
        for key in 0..self.keys.len() {
            let node = &self.nodes[at as usize];
            let (before, now) = (&node.seen.held[key], self.held(at, key));
            let is_new = |held: &&Held| held.dot.replica == own.to_u128() && held.dot.counter > node.accounted;
            let new: Vec<Held> = now.iter().filter(is_new).copied().collect();
            let seen: Vec<WriteName> = before.iter().filter(|held| !now.contains(held)).map(|held| held.dot).collect();
            for new in new {
                self.record_own_write(at, key, new, seen.clone(), ok);
            }
        }
    }

    fn record_own_write(&mut self, at: NodeIndex, key: usize, new: Held, seen: Vec<WriteName>, ok: Acknowledged) {
        let dot = Dot { replica: ReplicaId::from_u128(new.dot.replica), counter: new.dot.counter };
        let index = self.add_event(key, dot);
        if ok == Acknowledged::Unknown {
            self.nodes[at as usize].unknown.push(index);
        }
        let is_looked_at = ok == Acknowledged::Yes;
        let op_id = self.operations_done;
        self.operations_done += 1;
        self.records.push(Record::Op(Op {
            op_id,
            process: at,
            node: at,
            op: OpKind::Compact,
            key: number(key),
            start: self.now,
            end: self.now,
            ok,
            value: Some(new.value),
            dot: Some(new.dot),
            seen,
            timestamp: is_looked_at.then(|| self.timestamp_of(at, key, dot)).flatten(),
        }));
    }

    pub(super) fn add_event(&mut self, key: usize, dot: Dot) -> usize {
        let index = self.ledger.len();
        self.ledger.push(Event { key, dot, void: false });
        for node in &mut self.nodes {
            node.seen.open.push(index);
        }
        index
    }

    pub(super) fn record_event(&mut self, at: NodeIndex, event: &EngineEvent<Key<S>>) {
        if let EngineEvent::SessionEnded { peer, finished } = event {
            self.record_session(at, index_of(peer), finished);
        } else if let Some((alarm, detail)) = alarm_of(event) {
            self.alarm(at, alarm, detail);
        }
    }

    fn record_session(&mut self, at: NodeIndex, peer: NodeIndex, finished: &Finished) {
        let stats = &finished.stats;
        self.counts.sketches_failed += u64::from(stats.sketches_failed);
        self.counts.uncertified += u64::from(stats.uncertified);
        self.counts.bulk_sessions += u64::from(stats.whole_batches > 0);
        // Where cells are poisoned on their way, differences are hidden or made up, and batches show it.
        if stats.uncertified > 0 && self.scenario.gossip.sketches != Sketches::Failing {
            self.alarm(at, "uncertified", format!("{} batches of a session with n{peer}", stats.uncertified));
        }
        let root = finished.root.filter(|_| !self.nodes[peer as usize].has_forged);
        self.records.push(Record::Session(EndedSession {
            at: self.now,
            node: at,
            peer,
            outcome: outcome_text(&finished.outcome),
            differences: stats.differences,
            changed: stats.changed,
            value_bytes: stats.value_bytes_sent,
            round_trips: stats.round_trips,
            root: root.map(|root| ValueHash::first_of(root.as_bytes())),
        }));
    }

    /// Records traffic and resources at the end of an interval.
    pub(super) fn tick(&mut self) {
        self.watch_siege();
        for at in 0..self.scenario.nodes {
            self.count_value_bytes(at);
            if self.detail != Detail::Roots && !self.is_forging(at) {
                self.record_usage(at);
                self.record_strain(at);
                self.record_heap(at);
            }
        }
        let nodes = self.nodes.iter().filter(|node| node.is_up()).count();
        let traffic = core::mem::replace(&mut self.traffic, Traffic { from: self.now, ..Traffic::default() });
        self.records.push(Record::Traffic(Traffic { to: self.now, nodes: number(nodes), ..traffic }));
        self.queue.push(self.now + self.interval_us(), What::Tick);
    }

    pub(super) fn count_value_bytes(&mut self, at: NodeIndex) {
        let node = &mut self.nodes[at as usize];
        if let Some(engine) = &node.engine {
            let sent = engine.stats().value_bytes_sent;
            let new = sent - node.value_bytes_counted;
            node.value_bytes_counted = sent;
            self.traffic.value_bytes += new;
            self.counts.value_bytes += new;
        }
    }

    fn record_usage(&mut self, at: NodeIndex) {
        let node = &mut self.nodes[at as usize];
        let Some(engine) = node.engine.as_mut() else { return };
        let peers = engine.status(node.clock.now(self.now)).peers.len() as u64;
        let oldest_session = engine.oldest_session(node.clock.now(self.now)).unwrap_or_default();
        self.records.push(Record::Usage(Usage {
            at: self.now,
            node: at,
            frame_bytes: node.longest_frame,
            sessions: engine.sessions_len() as u64,
            queued_frames: engine.queued_len() as u64,
            peers,
            context_pieces: engine.replica().context().pieces_len() as u64,
            oldest_session_us: u64::try_from(oldest_session.as_micros()).unwrap_or(u64::MAX),
        }));
    }

    /// Lets the subject inspect the replicas of these nodes.
    pub(crate) fn inspect(&self, core: &[NodeIndex]) -> Result<(), String> {
        let look = |looked_at| core.iter().for_each(|at| self.nodes[*at as usize].disk.set_looked_at(looked_at));
        let replicas: Vec<&Replica<S::Value>> = core.iter().filter_map(|at| self.replica(*at)).collect();
        look(true);
        let inspected = self.subject.inspect(&replicas);
        look(false);
        inspected
    }

    pub(super) fn record_ends(&mut self) {
        for at in 0..self.scenario.nodes {
            if self.nodes[at as usize].member && !self.is_forging(at) && self.nodes[at as usize].life > 0 {
                let end = self.end_of(at);
                self.records.push(Record::End(end));
            }
        }
    }

    fn end_of(&mut self, at: NodeIndex) -> End {
        let copy = self.nodes[at as usize].disk.copy();
        let seed = self.fresh_seed();
        let opening = Opening::from(seed).with(|config| {
            config.continuity = Continuity::Vouched;
            config.config = self.replica_config(at);
        });
        set_release(self.nodes[at as usize].release);
        let afresh = Replica::open(copy, self.resolver(), opening);
        let node = &mut self.nodes[at as usize];
        let up = node.is_up();
        let core = !self.scenario.is_outside(at);
        let mut discrepancies = Vec::new();
        let mut afresh = match afresh {
            Ok(replica) => Some(replica),
            Err(error) => {
                discrepancies.push(error.to_string());
                None
            }
        };
        let root_afresh = afresh.as_mut().map(|replica| format!("{:?}", replica.root())).unwrap_or_default();
        let (mut state, mut view) = (ValueHash::from_u64(0), ValueHash::from_u64(0));
        let (mut root, mut context) = (root_afresh.clone(), String::new());
        let disk = node.disk.handle();
        let live = node.engine.as_mut().map(Engine::replica_mut).or(afresh.as_mut());
        if let Some(replica) = live {
            root = format!("{:?}", replica.root());
            context = format!("{:?}", replica.context_hash());
            disk.look(|| {
                (state, view) = hashes(replica);
                match replica.audit() {
                    Ok(audit) => discrepancies.extend(audit.discrepancies.iter().map(|found| format!("{found:?}"))),
                    Err(error) => discrepancies.push(error.to_string()),
                }
            });
        }
        if up {
            for key in 0..self.keys.len() {
                self.nodes[at as usize].seen.held[key] = self.held(at, key);
            }
        }
        End { node: at, core, up, root, root_afresh, state, context, view, discrepancies, keys: self.key_states(at) }
    }
}

fn held_by<V: Replicated>(replica: &Replica<V>, key: &V::Key) -> Vec<Held> {
    let Ok(read) = replica.read(key) else { return Vec::new() };
    let held = |version: &anti_entropy::Version<V>| Held {
        dot: version.dot.into(),
        value: ValueHash::of_value(&version.value),
    };
    read.siblings().iter().map(held).collect()
}

/// Hashes of everything that a replica holds, and of everything that reads return, computed without the Merkle tree.
fn hashes<V: Replicated>(replica: &Replica<V>) -> (ValueHash, ValueHash) {
    let (mut state, mut view) = (XxHash3_64::new(), XxHash3_64::new());
    let read = replica.for_each(|key, read| {
        let place = anti_entropy::KeyHash::of(key).to_u128().to_be_bytes();
        state.write(&place);
        for version in read.siblings() {
            state.write(&version.dot.replica.to_bytes());
            state.write(&version.dot.counter.to_be_bytes());
            state.write(ContentHash::of(version.timestamp, &version.value).as_bytes());
        }
        view.write(&place);
        view.write(&read.value().map_or(0, |value| ValueHash::of_value(value).to_u64()).to_be_bytes());
        core::ops::ControlFlow::Continue(())
    });
    // A store that cannot be read holds nothing that could be equal to another's.
    let broken = u64::from(read.is_err());
    (ValueHash::from_u64(state.finish() ^ broken), ValueHash::from_u64(view.finish() ^ broken))
}

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("nodes and keys are counted in 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Fault, Scenario};
    use crate::subject::Items;

    /// The peers that the engine has, and not those that it should have, so that one that it keeps for ever is noticed.
    #[test]
    fn peers_are_counted_by_the_engine() {
        let scenario = Scenario::new("", 4).duration_ms(60_000).step(15_000, 50_000, [3], Fault::Leave);
        let mut world = World::new(&scenario, 1, Items::default(), Detail::Everything);
        world.run_until(40_000_000);
        let usage = world.take_records().into_iter().filter_map(|record| match record {
            Record::Usage(usage) if usage.node == 0 => Some((usage.at > 15_000_000, usage.peers)),
            _ => None,
        });
        let counted: std::collections::BTreeSet<_> = usage.collect();
        assert_eq!(counted.into_iter().collect::<Vec<_>>(), [(false, 3), (true, 2)]);
    }
}
