use core::ops::ControlFlow;
use std::collections::{BTreeMap, BTreeSet};
use std::format;
use std::string::String;
use std::vec::Vec;

use super::law;
use crate::Violation;
use anti_entropy::store::{Commit, MetaSlot, StoreError};
use anti_entropy::{KeyHash, KeyRange, Store};

pub(super) const SLOTS: [MetaSlot; 3] = [MetaSlot::Identity, MetaSlot::Context, MetaSlot::Pushed];

/// What a store should hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) records: BTreeMap<KeyHash, Vec<u8>>,
    meta: BTreeMap<MetaSlot, Vec<u8>>,
    /// Every key that a commit named, whatever became of it.
    named: BTreeSet<KeyHash>,
}

impl Model {
    pub(super) fn apply(&mut self, commit: &Commit) {
        for (key, record) in &commit.records {
            self.named.insert(*key);
            match record {
                Some(record) => self.records.insert(*key, record.clone()),
                None => self.records.remove(key),
            };
        }
        self.meta.extend(commit.meta.iter().map(|(slot, bytes)| (*slot, bytes.clone())));
    }

    /// Makes a commit in the store and here.
    pub(super) fn commit(&mut self, store: &mut impl Store, commit: Commit) -> Result<(), Violation> {
        self.apply(&commit);
        store.commit(commit).map_err(|error| failed("commit", &error))
    }

    /// That the store holds exactly this; if not, `law` is what it broke, unless the fault is one of reading.
    pub(super) fn expect(&self, store: &impl Store, law: &'static str) -> Result<(), Violation> {
        self.difference(store)?.map_or(Ok(()), |detail| Err(Violation::new(law, detail)))
    }

    /// The first difference between the store and this.
    pub(super) fn difference(&self, store: &impl Store) -> Result<Option<String>, Violation> {
        let scanned: BTreeMap<_, _> = scan(store, KeyRange::ALL)?.into_iter().collect();
        for key in self.named.iter().chain(scanned.keys()) {
            let loaded = load(store, *key)?;
            let (in_scan, expected) = (scanned.get(key), self.records.get(key));
            if loaded.as_ref() != in_scan {
                let detail = format!("at {key}, load gives {} and scan {}", show(loaded.as_ref()), show(in_scan));
                return Err(Violation::new(law::LOAD_AND_SCAN_AGREE, detail));
            }
            if loaded.as_ref() != expected {
                return Ok(Some(format!(
                    "at {key}, the store holds {} in place of {}",
                    show(loaded.as_ref()),
                    show(expected)
                )));
            }
        }
        for slot in SLOTS {
            let (held, expected) = (meta(store, slot)?, self.meta.get(&slot));
            if held.as_ref() != expected {
                let (held, expected) = (show(held.as_ref()), show(expected));
                return Ok(Some(format!("in the slot {slot:?}, the store holds {held} in place of {expected}")));
            }
        }
        Ok(None)
    }

    /// That a scan of this range gives what the model has there.
    pub(super) fn expect_in(&self, store: &impl Store, range: KeyRange, law: &'static str) -> Result<(), Violation> {
        let scanned = scan(store, range)?;
        let expected: Vec<_> = self.records.range(range.bounds()).map(|(key, bytes)| (*key, bytes.clone())).collect();
        if scanned == expected {
            return Ok(());
        }
        let missing = expected.iter().find(|record| !scanned.contains(record));
        let detail = match missing {
            Some((key, _)) => format!("the scan of {range:?} does not give what is at {key}"),
            None => format!("the scan of {range:?} gives {} records in place of {}", scanned.len(), expected.len()),
        };
        Err(Violation::new(law, detail))
    }
}

/// The records in a range; that they ascend and lie in it is checked on the way.
pub(super) fn scan(store: &impl Store, range: KeyRange) -> Result<Vec<(KeyHash, Vec<u8>)>, Violation> {
    let mut records: Vec<(KeyHash, Vec<u8>)> = Vec::new();
    let visited = store.scan(range, &mut |key, bytes| {
        records.push((key, bytes.to_vec()));
        ControlFlow::Continue(())
    });
    visited.map_err(|error| failed("scan", &error))?;
    if let Some(pair) = records.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
        return Err(Violation::new(law::SCAN_ORDER, format!("{} comes after {}", pair[1].0, pair[0].0)));
    }
    if let Some((key, _)) = records.iter().find(|(key, _)| !range.contains(*key)) {
        return Err(Violation::new(law::SCAN_RANGE, format!("{key} is visited and does not lie in {range:?}")));
    }
    Ok(records)
}

pub(super) fn load(store: &impl Store, key: KeyHash) -> Result<Option<Vec<u8>>, Violation> {
    store.load(key).map_err(|error| failed("load", &error))
}

pub(super) fn meta(store: &impl Store, slot: MetaSlot) -> Result<Option<Vec<u8>>, Violation> {
    store.meta(slot).map_err(|error| failed("meta", &error))
}

pub(super) fn failed(what: &str, error: &StoreError) -> Violation {
    Violation::new(law::SUCCEEDS, format!("{what} gave an error: {error}"))
}

/// Bytes, in as many words as fit in a message.
fn show(bytes: Option<&Vec<u8>>) -> String {
    match bytes {
        None => "nothing".into(),
        Some(bytes) if bytes.len() <= 16 => format!("{bytes:02x?}"),
        Some(bytes) => format!("{} bytes, {:02x?}..", bytes.len(), &bytes[..8]),
    }
}
