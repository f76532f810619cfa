//! A store that can be copied while a replica uses it, and hashes of 128 bits.

use std::hash::{Hash, Hasher};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard};

use anti_entropy::store::{Commit, MetaSlot, StoreError};
use anti_entropy::{KeyHash, KeyRange, MemoryStore, Store};
use twox_hash::XxHash3_128;

/// A store in memory that is shared with the replica that uses it.
#[derive(Default)]
pub(super) struct Disk(Arc<Mutex<MemoryStore>>);

impl Disk {
    /// Another handle to the same store, for its replica.
    pub(super) fn handle(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    /// A store of its own with the same content.
    pub(super) fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.lock().clone())))
    }

    /// Feeds all records.
    pub(super) fn hash_records(&self, hasher: &mut impl Hasher) {
        let mut each = |key: KeyHash, record: &[u8]| {
            (key, record).hash(hasher);
            ControlFlow::Continue(())
        };
        self.lock().scan(KeyRange::ALL, &mut each).expect("memory does not fail");
    }

    /// Feeds the metadata: who the replica is, how far it has counted, and what it has seen.
    pub(super) fn hash_meta(&self, hasher: &mut impl Hasher) {
        let meta = |slot| self.lock().meta(slot).expect("memory does not fail");
        meta(MetaSlot::Identity).as_deref().map(without_commits).hash(hasher);
        meta(MetaSlot::Context).hash(hasher);
        meta(MetaSlot::Pushed).hash(hasher);
    }

    fn lock(&self) -> MutexGuard<'_, MemoryStore> {
        self.0.lock().expect("nobody panics while holding it")
    }
}

impl Store for Disk {
    fn load(&self, key: KeyHash) -> Result<Option<Vec<u8>>, StoreError> {
        self.lock().load(key)
    }

    fn scan(
        &self,
        range: KeyRange,
        visit: &mut dyn FnMut(KeyHash, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.lock().scan(range, visit)
    }

    fn meta(&self, slot: MetaSlot) -> Result<Option<Vec<u8>>, StoreError> {
        self.lock().meta(slot)
    }

    fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        self.lock().commit(commit)
    }
}

/// The slot Identity without how many commits there were, on which nothing depends that a replica does (docs/protocol.md,
/// "Disk").
fn without_commits(identity: &[u8]) -> &[u8] {
    type Before = (u8, [u8; 16], u64, [u8; 16], u64, u32);
    let (_, commits) = postcard::take_from_bytes::<Before>(identity).expect("a replica has written it");
    &identity[..identity.len() - commits.len()]
}

/// Hashes to 128 bits, so that different states are not taken for one: of 10^9 states, two have equal hashes with a probability
/// of 10^-21.
#[derive(Default)]
pub(super) struct Wide(Vec<u8>);

impl Wide {
    pub(super) fn of(value: &impl Hash) -> u128 {
        let mut wide = Self(Vec::with_capacity(256));
        value.hash(&mut wide);
        wide.finish_wide()
    }

    pub(super) fn finish_wide(&self) -> u128 {
        XxHash3_128::oneshot(&self.0)
    }
}

impl Hasher for Wide {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    #[allow(clippy::cast_possible_truncation, reason = "half of the bits are asked for")]
    fn finish(&self) -> u64 {
        self.finish_wide() as u64
    }
}

/// Hashes a hash, or a few numbers [side by side](side_by_side), by taking them as they are.
#[derive(Default)]
pub(super) struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("only hashes of 128 bits are kept by it");
    }

    #[allow(clippy::cast_possible_truncation, reason = "half of the bits are enough to find a place")]
    fn write_u128(&mut self, hash: u128) {
        // Some are numbers side by side, so they are mixed.
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let mixed = ((hash >> 64) as u64).wrapping_mul(ODD).rotate_left(32) ^ hash as u64;
        self.0 = (mixed ^ mixed >> 32).wrapping_mul(ODD);
        self.0 ^= self.0 >> 29;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Four numbers as one.
pub(super) fn side_by_side(numbers: [u32; 4]) -> u128 {
    numbers.into_iter().fold(0, |all, number| all << 32 | u128::from(number))
}

pub(super) type ByHash = std::hash::BuildHasherDefault<Hashed>;
