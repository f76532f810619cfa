//! All states of replicas, each stored once, and the operations that are possible in each.

use std::collections::HashMap;
use std::hash::Hash;
use std::rc::Rc;
use std::time::Duration;

use anti_entropy::clock::{Now, ReplicaId, Seed};
use anti_entropy::{Continuity, KeyHash, Keyed, LastWriterWins, Notice, Opening, Replica, ReplicaConfig, Transaction};

use super::disk::{ByHash, Disk, Wide};
use super::ghost::{self, Event, Item, KeyView, Name, Violation};

/// The number of a state of a replica.
pub(super) type ReplicaRef = u32;

/// One state of one replica.
pub(super) struct Kept {
    replica: Replica<Item>,
    disk: Disk,
    pub(super) node: u8,
    /// The writes and deletes that it made itself.
    pub(super) own: Rc<[Event]>,
    /// A number for these.
    pub(super) history: u32,
    pub(super) views: Vec<KeyView>,
    /// The hash of root and context hash, which are equal for replicas that have converged.
    pub(super) agreed: u128,
    /// Hash of all records.
    pub(super) records: u128,
    operations: Option<Rc<[(Operation, ReplicaRef)]>>,
}

/// A write or delete by a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Operation {
    pub(super) event: Event,
    /// Whether it replaces the result of an earlier read, and not versions that arrived since.
    pub(super) stale: bool,
}

/// All states of all replicas.
pub(super) struct Replicas {
    keys: Vec<KeyHash>,
    ids: Vec<ReplicaId>,
    kept: Vec<Kept>,
    by_hash: HashMap<u128, ReplicaRef, ByHash>,
    histories: HashMap<(u8, Rc<[Event]>), u32>,
    /// How many steps were executed by the production code.
    pub(super) executed: u64,
}

impl Replicas {
    /// New replicas, which are the first states.
    pub(super) fn new(nodes: u8, keys: u8) -> Result<Self, Violation> {
        let mut replicas = Self {
            keys: (0..keys).map(|key| KeyHash::of(&key)).collect(),
            ids: Vec::new(),
            kept: Vec::new(),
            by_hash: HashMap::default(),
            histories: HashMap::new(),
            executed: 0,
        };
        let mut opened = Vec::new();
        for node in 0..nodes {
            // No timestamp that arrives moves a clock, so that those that are given follow from the name of the write
            // alone, and not from the order in which other keys were received: states that differ in nothing else are
            // one.
            let config = ReplicaConfig::default().with(|config| config.max_clock_skew = Duration::ZERO);
            let seed = Seed::from_bytes([node + 1; Seed::LEN]);
            let disk = Disk::default();
            let opening = Opening::from(seed).with(|changed| {
                changed.continuity = Continuity::Unproven;
                changed.config = config;
            });
            let mut replica = Replica::open(disk.handle(), LastWriterWins, opening)?;
            // A life begins at the time of the first step: at the same one on every path, since states do not show it.
            replica.commit(Transaction::new(), Now::default())?;
            replicas.ids.push(replica.id());
            opened.push((node, replica, disk));
        }
        for (node, replica, disk) in opened {
            replicas.keep(node, replica, disk, Rc::new([]))?;
        }
        Ok(replicas)
    }

    pub(super) fn get(&self, at: ReplicaRef) -> &Kept {
        &self.kept[at as usize]
    }

    /// A copy of a replica, to take a step with.
    pub(super) fn fork(&mut self, at: ReplicaRef) -> (Replica<Item>, Disk) {
        self.executed += 1;
        let kept = self.get(at);
        let disk = kept.disk.copy();
        (kept.replica.fork(disk.handle(), LastWriterWins), disk)
    }

    /// Stores the state of a replica after a step from `before`.
    pub(super) fn keep_after(
        &mut self,
        before: ReplicaRef,
        mut replica: Replica<Item>,
        disk: Disk,
        own: Option<Rc<[Event]>>,
    ) -> Result<ReplicaRef, Violation> {
        while let Some(notice) = replica.poll_notice() {
            if !matches!(notice, Notice::ClockSkew(_)) {
                return Err(Violation::new("an alarm without a cause", format!("{notice:?}")));
            }
        }
        let (node, own) = {
            let kept = self.get(before);
            if !replica.context().includes(kept.replica.context()) {
                return Err(Violation::new("the context shrank (S4)", format!("{:?}", replica.context())));
            }
            (kept.node, own.unwrap_or_else(|| Rc::clone(&kept.own)))
        };
        let after = self.keep(node, replica, disk, own)?;
        ghost::check_step(&self.get(before).views, &self.get(after).views)?;
        Ok(after)
    }

    fn keep(
        &mut self,
        node: u8,
        mut replica: Replica<Item>,
        disk: Disk,
        own: Rc<[Event]>,
    ) -> Result<ReplicaRef, Violation> {
        let mut state = Wide::default();
        (node, &own).hash(&mut state);
        disk.hash_records(&mut state);
        disk.hash_meta(&mut state);
        let hash = state.finish_wide();
        if let Some(known) = self.by_hash.get(&hash) {
            return Ok(*known);
        }
        let audit = replica.audit()?;
        if let Some((key, what)) = audit.discrepancies.first() {
            return Err(Violation::new("tree and store differ (S6)", format!("{key}: {what:?}")));
        }
        let views = ghost::view(&replica, &self.keys, &self.ids)?;
        let agreed = Wide::of(&(replica.root(), replica.context_hash().to_bytes()));
        let mut records = Wide::default();
        disk.hash_records(&mut records);
        let next = u32::try_from(self.histories.len()).expect("fewer histories than that");
        let history = *self.histories.entry((node, Rc::clone(&own))).or_insert(next);
        let at = ReplicaRef::try_from(self.kept.len()).expect("fewer states of a replica than that");
        let records = records.finish_wide();
        self.kept.push(Kept { replica, disk, node, own, history, views, agreed, records, operations: None });
        self.by_hash.insert(hash, at);
        Ok(at)
    }

    /// The operations that are possible at a replica, with the states after them.
    pub(super) fn operations(&mut self, at: ReplicaRef) -> Result<Rc<[(Operation, ReplicaRef)]>, Violation> {
        if let Some(known) = &self.get(at).operations {
            return Ok(Rc::clone(known));
        }
        let mut operations = Vec::new();
        for key in 0..u8::try_from(self.keys.len()).unwrap_or(u8::MAX) {
            let held = self.get(at).views[usize::from(key)].held.clone();
            // What an earlier read saw and is not held any more does not matter to a replica, so a stale read is one
            // that saw some of what is held.
            let all = (1u32 << held.len()) - 1;
            for mask in 0..=all {
                let replaces: Vec<Name> = held
                    .iter()
                    .enumerate()
                    .filter(|(index, _)| mask >> index & 1 == 1)
                    .map(|(_, name)| *name)
                    .collect();
                for is_write in [true, false] {
                    if is_write || !replaces.is_empty() {
                        let event = Event { key, is_write, replaces: replaces.clone() };
                        let operation = Operation { event, stale: mask != all };
                        let after = self.operate(at, &operation)?;
                        operations.push((operation, after));
                    }
                }
            }
        }
        let operations: Rc<[(Operation, ReplicaRef)]> = operations.into();
        self.kept[at as usize].operations = Some(Rc::clone(&operations));
        Ok(operations)
    }

    fn operate(&mut self, at: ReplicaRef, operation: &Operation) -> Result<ReplicaRef, Violation> {
        let Event { key, is_write, replaces } = &operation.event;
        let (mut replica, disk) = self.fork(at);
        let kept = self.get(at);
        let counter = u8::try_from(kept.own.len() + 1).expect("few operations");
        let now = Now { elapsed: Duration::ZERO, unix_ms: 1_000 * u64::from(counter) };
        let seen = replica.read(key)?.seen_where(|version| replaces.contains(&version.value.value));
        let value = Keyed::new(*key, (kept.node, counter));
        let transaction = match (operation.stale, is_write) {
            (false, true) => Transaction::new().write(value),
            (true, true) => Transaction::new().write_seen(value, &seen),
            (false, false) => Transaction::new().delete(*key),
            (true, false) => Transaction::new().delete_seen(*key, &seen),
        };
        let written = replica.commit(transaction, now)?;
        let as_expected = written.iter().map(|written| (written.dot.counter, written.seen.len(), written.deleted));
        if !as_expected.eq([(u64::from(counter), replaces.len(), !is_write)]) {
            return Err(Violation::new("another write than was asked for", format!("{written:?}")));
        }
        let own: Rc<[Event]> = kept.own.iter().chain([&operation.event]).cloned().collect();
        self.keep_after(at, replica, disk, Some(own))
    }
}
