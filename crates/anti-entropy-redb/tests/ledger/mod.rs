//! What a replica has acknowledged over all its lives, and whether a reopened one still has it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use anti_entropy::clock::{Dot, Now};
use anti_entropy::summary::{MerkleTree, Root};
use anti_entropy::{Error, KeyHash, Keyed, Replica, Transaction, Written};

pub(crate) type Key = u32;
pub(crate) type Value = Vec<u8>;
pub(crate) type Item = Keyed<Key, Value>;
/// The new value of each key that a transaction changes; `None` deletes it.
pub(crate) type Changes = BTreeMap<Key, Option<Value>>;

/// What was promised to a writer, and what it may find after a crash.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    held: BTreeMap<Key, Value>,
    /// Asked for, and not answered: it may have happened as a whole.
    pending: Option<Changes>,
    /// Everything that was ever named by a dot.
    named: BTreeMap<Dot, (Key, Option<Value>)>,
    /// The root over `held`.
    root: Option<Root>,
    acknowledged: u64,
}

impl Ledger {
    /// How many transactions were acknowledged.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Some changes, of one key mostly.
    pub(crate) fn some_changes(random: &mut fastrand::Rng) -> Changes {
        let keys = if random.u8(0..4) == 0 { random.usize(2..6) } else { 1 };
        let mut change = || {
            let bytes = if random.u8(0..20) == 0 { 10_000 } else { random.usize(0..600) };
            let value = (random.u8(0..4) != 0).then(|| std::iter::repeat_with(|| random.u8(..)).take(bytes).collect());
            (random.u32(0..50), value)
        };
        (0..keys).map(|_| change()).collect()
    }

    /// Before the replica is asked for them.
    pub(crate) fn ask(&mut self, changes: &Changes) {
        self.pending = Some(changes.clone());
    }

    /// After it said that they are done.
    pub(crate) fn acknowledge(
        &mut self,
        changes: Changes,
        dots: &[(KeyHash, Dot)],
        root: Option<Root>,
    ) -> Result<(), String> {
        self.pending = None;
        self.acknowledged += 1;
        self.root = root;
        for (key, value) in &changes {
            if let Some((_, dot)) = dots.iter().find(|(hash, _)| *hash == KeyHash::of(key)) {
                self.name(*dot, *key, value.clone())?;
            }
        }
        apply(&mut self.held, changes);
        Ok(())
    }

    /// Compares a replica that was just opened with what was promised, and takes it as what is held from now on.
    pub(crate) fn check(&mut self, replica: &mut Replica<Item>) -> Result<(), String> {
        let audit = replica.audit().map_err(|error| format!("the audit failed: {error}"))?;
        if !audit.discrepancies.is_empty() {
            return Err(format!("the audit found {:?}", audit.discrepancies));
        }
        let mut found = BTreeMap::new();
        let mut named = Vec::new();
        let read = replica.for_each(|key, read| {
            named.extend(read.siblings().iter().map(|version| (version.dot, *key, version.value.value.clone())));
            found.insert(*key, read.into_value().map(|item| item.value).unwrap_or_default());
            ControlFlow::Continue(())
        });
        read.map_err(|error| format!("reading failed: {error}"))?;
        for (dot, key, value) in named {
            self.name(dot, key, Some(value))?;
        }
        let root = replica.root();
        let mut tree: MerkleTree = MerkleTree::from_entries(replica.summary().iter());
        if tree.root() != root {
            return Err("the root is not the one of the entries".to_string());
        }
        let mut after = self.held.clone();
        apply(&mut after, self.pending.take().unwrap_or_default());
        if found == self.held && after != self.held && self.root.is_some_and(|before| before != root) {
            return Err("the same entries have another root than before the crash".to_string());
        }
        if found != self.held && found != after {
            return Err(format!("acknowledged: {}", differences(&self.held, &found)));
        }
        self.held = found;
        self.root = Some(root);
        Ok(())
    }

    fn name(&mut self, dot: Dot, key: Key, value: Option<Value>) -> Result<(), String> {
        let content = (key, value);
        match self.named.get(&dot) {
            Some(earlier) if *earlier != content => Err(format!("{dot} names two writes, of {} and {key}", earlier.0)),
            Some(_) => Ok(()),
            None => {
                self.named.insert(dot, content);
                Ok(())
            }
        }
    }
}

/// One transaction with these changes.
pub(crate) fn commit(replica: &mut Replica<Item>, changes: &Changes) -> Result<Vec<Written>, Error> {
    let mut transaction = Transaction::new();
    for (key, value) in changes {
        transaction = match value {
            Some(value) => transaction.write(Keyed::new(*key, value.clone())),
            None => transaction.delete(*key),
        };
    }
    replica.commit(transaction, Now { unix_ms: 1_700_000_000_000, ..Now::default() })
}

fn apply(held: &mut BTreeMap<Key, Value>, changes: Changes) {
    for (key, value) in changes {
        match value {
            Some(value) => held.insert(key, value),
            None => held.remove(&key),
        };
    }
}

fn differences(held: &BTreeMap<Key, Value>, found: &BTreeMap<Key, Value>) -> String {
    let keys = held.keys().chain(found.keys()).filter(|key| held.get(key) != found.get(key));
    let keys: std::collections::BTreeSet<_> = keys.collect();
    format!("something else than what is found at the keys {keys:?}")
}
