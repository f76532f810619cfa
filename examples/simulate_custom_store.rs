//! An own store and an own resolver under simulation: a thousand small clusters with every fault, and all invariants
//! checked in each. Under forty lines.
//!
//! ```sh
//! cargo run --release --example simulate_custom_store
//! ```

use std::{collections::BTreeMap, num::NonZeroUsize, ops::ControlFlow, thread};

use anti_entropy::store::{Commit, MetaSlot, StoreError};
use anti_entropy::{KeyHash, KeyRange, Keyed, Resolver, Store, Version};
use anti_entropy_sim::{campaign, scenario::Profile, subject};

// 1. The store: a log of all commits, oldest first, and where in it the latest record of each key is. A clone is a copy:
//    the simulator makes backups, and makes stores lose what they may lose.
#[derive(Clone, Default)]
struct LogStore(Vec<Commit>, BTreeMap<KeyHash, usize>);

impl Store for LogStore {
    fn load(&self, key: KeyHash) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.1.get(&key).and_then(|at| self.0[*at].records[&key].clone()))
    }

    fn scan(&self, range: KeyRange, each: &mut dyn FnMut(KeyHash, &[u8]) -> ControlFlow<()>) -> Result<(), StoreError> {
        let latest = |(key, at): (&KeyHash, &usize)| Some((*key, self.0[*at].records[key].as_ref()?));
        let _ = self.1.range(range.bounds()).filter_map(latest).try_for_each(|(key, record)| each(key, record));
        Ok(())
    }

    fn meta(&self, slot: MetaSlot) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.iter().rev().find_map(|commit| commit.meta.get(&slot)).cloned())
    }

    fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        self.1.extend(commit.records.keys().map(|key| (*key, self.0.len())));
        self.0.push(commit);
        Ok(())
    }
}

// 2. The resolver: the longest text wins, and among equally long ones that with the greatest dot. It has to be
//    deterministic, so that all replicas read the same; it need not be fair.
type Text = Keyed<u32, String>;
struct Longest;

impl Resolver<Text> for Longest {
    fn resolve(&self, _: &u32, versions: &[Version<Text>]) -> Option<Text> {
        versions.iter().max_by_key(|text| (text.value.value.len(), text.dot)).map(|text| text.value.clone())
    }
}

fn main() {
    // 3. What is simulated. Different writes give different values: by them the checkers tell what they find.
    let text = |key, write| Keyed::new(key, format!("{write:b}"));
    let subject = subject::from_fn(LogStore::default, || Longest, text);

    // 4. Seeds 0 to 999 on all processors. A seed that fails fails in the same way when it is run again.
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let totals = campaign(0..1000, threads, &subject, |seed| Profile::Swarm.draw(seed, 3..=7), |_| true);
    println!("{} seeds, {} operations, {} crashes", totals.seeds, totals.operations, totals.crashes);
    assert_eq!(totals.failures, []);
}
