//! What a simulated cluster replicates: values, resolver and store.

use core::fmt;
use std::cell::Cell;

use anti_entropy::value::{DecodeError, Encoded, Part};
use anti_entropy::{Digest, LastWriterWins, MemoryStore, Replica, Replicated, Resolver, Store};

/// The values that a simulated cluster replicates, its resolver, and its store.
///
/// Implement it to simulate a store, value or resolver of your own.
///
/// # Implementer notes
///
/// - [`value`](Self::value) is a pure function. Different keys give values with different keys, and different writes give values
///   with different digests, by which checkers identify them.
/// - A clone of a store is a copy of its content, like a backup, and not another handle to the same content.
/// - A store never loses committed data by itself. The simulator simulates disks that do.
pub trait Subject {
    /// The type of the values.
    type Value: Replicated;
    /// The store of a replica.
    type Store: Store + Clone + 'static;
    /// How reads resolve concurrent versions.
    type Resolver: Resolver<Self::Value> + 'static;

    /// An empty store.
    fn store(&self) -> Self::Store;

    /// The resolver of a new replica.
    fn resolver(&self) -> Self::Resolver;

    /// The value that a write stores at a key. Keys count from 0; writes count from 0 over the whole run.
    fn value(&self, key: u32, write: u64) -> Self::Value;

    /// The value that a node of this release writes. By default all releases write the same.
    fn value_of(&self, release: Release, key: u32, write: u64) -> Self::Value {
        let _ = release;
        self.value(key, write)
    }

    /// The largest value that a write may store, which hostile members write. By default it is like any other.
    fn largest(&self, key: u32, write: u64) -> Self::Value {
        self.value(key, write)
    }

    /// Checks properties that only the subject knows, over the replicas of the core, when a run that has converged ends. The
    /// stores are read without faults. If members forge frames, replicas may hold values that no client wrote. By default it
    /// checks nothing.
    ///
    /// # Errors
    /// A description of what does not hold. It becomes a violation named `subject`.
    fn inspect(&self, core: &[&Replica<Self::Value>]) -> Result<(), String> {
        let _ = core;
        Ok(())
    }
}

impl<T: Subject + ?Sized> Subject for &T {
    type Value = T::Value;
    type Store = T::Store;
    type Resolver = T::Resolver;

    fn store(&self) -> Self::Store {
        (**self).store()
    }

    fn resolver(&self) -> Self::Resolver {
        (**self).resolver()
    }

    fn value(&self, key: u32, write: u64) -> Self::Value {
        (**self).value(key, write)
    }

    fn value_of(&self, release: Release, key: u32, write: u64) -> Self::Value {
        (**self).value_of(release, key, write)
    }

    fn largest(&self, key: u32, write: u64) -> Self::Value {
        (**self).largest(key, write)
    }

    fn inspect(&self, core: &[&Replica<Self::Value>]) -> Result<(), String> {
        (**self).inspect(core)
    }
}

/// A release of the application whose values are replicated. In a rolling upgrade, some nodes run the old one still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Release {
    /// It cannot read some of the values that the new one writes.
    Old,
    /// It reads everything.
    #[default]
    New,
}

std::thread_local! {
    /// The release of the node that runs on this thread at present: decoding a value has no other way to know.
    static RUNNING: Cell<Release> = const { Cell::new(Release::New) };
}

/// Says which release the node runs that comes next on this thread.
pub(crate) fn set_release(release: Release) {
    RUNNING.set(release);
}

/// A subject made of three functions, which return an empty store, a resolver, and the value of a write; see [`Subject`].
///
/// ```
/// use anti_entropy::{KeepAll, Keyed, MemoryStore};
/// use anti_entropy_sim::scenario::Scenario;
/// use anti_entropy_sim::{Judging, checkers_for, judge, subject};
///
/// let numbers = subject::from_fn(MemoryStore::new, || KeepAll, |key, write| Keyed::new(key, write));
/// let scenario = Scenario::new("calm", 3).operations(10).expanded(1);
/// let verdict = judge(&scenario, 1, numbers, checkers_for(&scenario), Judging::default(), |_| {});
/// assert!(verdict.violations.is_empty());
/// ```
pub fn from_fn<S, R, V>(store: S, resolver: R, value: V) -> FromFn<S, R, V>
where
    FromFn<S, R, V>: Subject,
{
    FromFn { store, resolver, value }
}

/// The subject that [`from_fn`] returns.
#[derive(Clone, Copy)]
pub struct FromFn<S, R, V> {
    store: S,
    resolver: R,
    value: V,
}

impl<S, R, V> fmt::Debug for FromFn<S, R, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromFn").finish_non_exhaustive()
    }
}

impl<S, R, V, Kept, Resolves, Value> Subject for FromFn<S, R, V>
where
    S: Fn() -> Kept,
    R: Fn() -> Resolves,
    V: Fn(u32, u64) -> Value,
    Kept: Store + Clone + 'static,
    Resolves: Resolver<Value> + 'static,
    Value: Replicated,
{
    type Value = Value;
    type Store = Kept;
    type Resolver = Resolves;

    fn store(&self) -> Kept {
        (self.store)()
    }

    fn resolver(&self) -> Resolves {
        (self.resolver)()
    }

    fn value(&self, key: u32, write: u64) -> Value {
        (self.value)(key, write)
    }
}

/// The default subject: small values that share parts, in a store in memory, of which the last writer wins.
#[derive(Clone, Copy, Debug)]
pub struct Items {
    /// How many bytes a value has besides its part; 8 if it is less, since a value begins with the number of its write.
    pub body_bytes: usize,
}

impl Default for Items {
    fn default() -> Self {
        Self { body_bytes: 16 }
    }
}

impl Subject for Items {
    type Value = Item;
    type Store = MemoryStore;
    type Resolver = LastWriterWins;

    fn store(&self) -> MemoryStore {
        MemoryStore::new()
    }

    fn resolver(&self) -> LastWriterWins {
        LastWriterWins
    }

    /// Every fourth value has the new schema, in whose place the old release has nothing.
    fn value_of(&self, release: Release, key: u32, write: u64) -> Item {
        let mut value = self.value(key, write);
        if release == Release::New && write.is_multiple_of(4) {
            value.body.push(NEW_SCHEMA);
        }
        value
    }

    fn largest(&self, key: u32, write: u64) -> Item {
        Self { body_bytes: LARGEST_BYTES.max(self.body_bytes) }.value(key, write)
    }

    fn value(&self, key: u32, write: u64) -> Item {
        let mut body = write.to_be_bytes().to_vec();
        body.resize(self.body_bytes.max(8), 0x5a);
        // Few different parts, so that peers often hold them already.
        let part = u8::try_from(write % 3).unwrap_or(0);
        Item { key, body, part: Part::from(vec![part; 40]) }
    }
}

/// How long the largest items are: more than a frame, so that they come in fragments.
const LARGEST_BYTES: usize = 100_000;

/// What a value of the new schema ends with.
const NEW_SCHEMA: u8 = 0xa5;

/// A value of [`Items`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    key: u32,
    body: Vec<u8>,
    part: Part,
}

impl Digest for Item {
    fn digest<H: anti_entropy::__private::Update>(&self, hash: &mut H) {
        hash.update(&(self.body.len() as u64).to_be_bytes());
        hash.update(&self.body);
        hash.update(self.part.hash().as_bytes());
    }
}

impl Replicated for Item {
    type Key = u32;

    fn key(&self) -> u32 {
        self.key
    }

    fn encode(&self) -> Encoded {
        Encoded { body: self.body.clone(), parts: vec![self.part.clone()] }
    }

    fn decode(key: &u32, encoded: &Encoded) -> Result<Self, DecodeError> {
        if encoded.body.last() == Some(&NEW_SCHEMA) && RUNNING.get() == Release::Old {
            return Err(DecodeError::new("this release does not know that schema"));
        }
        match encoded.parts.as_slice() {
            [part] => Ok(Self { key: *key, body: encoded.body.clone(), part: part.clone() }),
            _ => Err(DecodeError::new("an item has one part")),
        }
    }
}
