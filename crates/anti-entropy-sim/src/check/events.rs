//! The table of all writes and deletes that were attempted, and sets of them.

use std::collections::BTreeMap;

use crate::history::{Acknowledged, KeyIndex, NodeIndex, Op, OpKind, ValueHash, WriteName};

/// The number of a write or delete in [`Events`]. Numbers are small, so that a set of them is a bit field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventId(u32);

/// A dot, and what the history says of the write or delete that it names.
#[derive(Clone, Debug)]
pub struct WriteEvent {
    /// The dot.
    pub dot: WriteName,
    /// The operation that attempted it; `None` if the dot was seen although no operation made it.
    pub attempt: Option<Attempt>,
    /// The attempted writes and deletes that replace it.
    pub replaced_by: Vec<EventId>,
    /// Whether at some time no store had it any more. A frame in flight may still bring it back.
    pub lost: bool,
}

/// An attempted write or delete.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The number of the operation.
    pub op_id: u64,
    /// The node that the client asked.
    pub node: NodeIndex,
    /// The key.
    pub key: KeyIndex,
    /// The value of a write; `None` for a delete.
    pub value: Option<ValueHash>,
    /// The versions that it replaces at every node whose context covers it.
    pub replaces: Vec<EventId>,
    /// When the operation ended.
    pub end: u64,
    /// Whether it was done, as far as the history says.
    pub fate: Fate,
}

/// Whether a write or delete was done, as far as the history says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was acknowledged.
    Acknowledged,
    /// It was not acknowledged, and no node has seen it. Another operation may get its dot.
    Unknown,
    /// It was not acknowledged, but was done: a later life of its node kept it, or some node has seen it.
    Kept,
}

/// An operation got a dot that already names another write or delete.
#[derive(Clone, Copy, Debug)]
pub struct Reused {
    /// The dot.
    pub dot: WriteName,
    /// The number of the operation that it names.
    pub first: u64,
    /// The number of the operation that got it too.
    pub second: u64,
    /// Whether the second operation was certainly done.
    pub certain: bool,
}

/// All writes and deletes that were attempted or seen.
#[derive(Debug, Default)]
pub struct Events {
    all: Vec<WriteEvent>,
    /// Replica ids in order, each with its counters in order. There are few ids, and counters are contiguous, so that this is
    /// faster than one ordered map of all dots.
    ids: Vec<(u128, Vec<(u64, EventId)>)>,
    by_key: BTreeMap<KeyIndex, Vec<EventId>>,
}

impl Events {
    /// The number of the event with this dot, if it was attempted or seen.
    pub fn id(&self, dot: WriteName) -> Option<EventId> {
        let replica = self.ids.binary_search_by_key(&dot.replica, |&(replica, _)| replica).ok()?;
        let counters = &self.ids[replica].1;
        Some(counters[find(counters, dot.counter).ok()?].1)
    }

    /// An event.
    pub fn get(&self, id: EventId) -> &WriteEvent {
        &self.all[id.0 as usize]
    }

    /// The attempt of an event, if there was one.
    pub fn attempt(&self, id: EventId) -> Option<&Attempt> {
        self.get(id).attempt.as_ref()
    }

    /// The attempted writes and deletes of a key, in the order in which they ended.
    pub fn of_key(&self, key: KeyIndex) -> &[EventId] {
        self.by_key.get(&key).map_or(&[], Vec::as_slice)
    }

    /// Whether an event in `covered` replaces this one.
    pub fn is_replaced(&self, id: EventId, covered: &EventSet) -> bool {
        self.get(id).replaced_by.iter().any(|&by| covered.contains(by))
    }

    pub(super) fn intern(&mut self, dot: WriteName) -> EventId {
        let replica = self.ids.binary_search_by_key(&dot.replica, |&(replica, _)| replica).unwrap_or_else(|at| {
            self.ids.insert(at, (dot.replica, Vec::new()));
            at
        });
        let counters = &mut self.ids[replica].1;
        match find(counters, dot.counter) {
            Ok(at) => counters[at].1,
            Err(at) => {
                let id = EventId(u32::try_from(self.all.len()).expect("a history has fewer than 2^32 dots"));
                counters.insert(at, (dot.counter, id));
                self.all.push(WriteEvent { dot, attempt: None, replaced_by: Vec::new(), lost: false });
                id
            }
        }
    }

    /// Enters a write or delete, unless its dot names another one that was done.
    pub(super) fn enter(&mut self, op: &Op) -> Option<Reused> {
        let dot = op.dot.filter(|_| op.op != OpKind::Read && op.ok != Acknowledged::No)?;
        let certain = op.ok == Acknowledged::Yes;
        let id = self.intern(dot);
        match &self.get(id).attempt {
            Some(first) if first.fate != Fate::Unknown => {
                return Some(Reused { dot, first: first.op_id, second: op.op_id, certain });
            }
            Some(_) => self.withdraw(id),
            None => {}
        }
        let replaces: Vec<_> = op.seen.iter().map(|&seen| self.intern(seen)).collect();
        for &seen in &replaces {
            self.all[seen.0 as usize].replaced_by.push(id);
        }
        self.by_key.entry(op.key).or_default().push(id);
        self.all[id.0 as usize].attempt = Some(Attempt {
            op_id: op.op_id,
            node: op.node,
            key: op.key,
            value: op.value,
            replaces,
            end: op.end,
            fate: if certain { Fate::Acknowledged } else { Fate::Unknown },
        });
        None
    }

    /// Notes that a node has seen the event, so that it was done.
    pub(super) fn settle(&mut self, id: EventId) {
        if let Some(attempt) = &mut self.all[id.0 as usize].attempt
            && attempt.fate == Fate::Unknown
        {
            attempt.fate = Fate::Kept;
        }
    }

    pub(super) fn lose(&mut self, dot: WriteName) {
        let id = self.intern(dot);
        self.all[id.0 as usize].lost = true;
    }

    /// Removes an attempt that was not done, since its dot was given to another operation.
    fn withdraw(&mut self, id: EventId) {
        let Some(attempt) = self.all[id.0 as usize].attempt.take() else { return };
        for seen in attempt.replaces {
            self.all[seen.0 as usize].replaced_by.retain(|&by| by != id);
        }
        if let Some(events) = self.by_key.get_mut(&attempt.key) {
            events.retain(|&other| other != id);
        }
    }
}

/// The place of a counter, or the place where it would be inserted. Counters are contiguous, so that the place almost always
/// follows from the counter.
fn find(counters: &[(u64, EventId)], counter: u64) -> Result<usize, usize> {
    match usize::try_from(counter).ok().and_then(|counter| counter.checked_sub(1)) {
        Some(at) if counters.get(at).is_some_and(|&(other, _)| other == counter) => Ok(at),
        _ => counters.binary_search_by_key(&counter, |&(counter, _)| counter),
    }
}

impl EventId {
    /// A number that looks random and differs from event to event, so that sums of them distinguish sets.
    pub(super) fn scrambled(self) -> u128 {
        let mix = |seed: u64| {
            let x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            x ^ (x >> 31)
        };
        let seed = 2 * u64::from(self.0) + 1;
        (u128::from(mix(seed)) << 64) | u128::from(mix(seed + 1))
    }
}

/// A set of events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventSet(Vec<u64>);

impl EventSet {
    /// Whether the set contains the event.
    pub fn contains(&self, id: EventId) -> bool {
        self.0.get(id.0 as usize / 64).is_some_and(|word| word >> (id.0 % 64) & 1 == 1)
    }

    /// All events, in the order in which the history first names them.
    pub fn iter(&self) -> impl Iterator<Item = EventId> + '_ {
        self.missing_from(const { &Self(Vec::new()) })
    }

    /// The events that are not in `other`.
    pub fn missing_from<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = EventId> + 'a {
        self.0.iter().zip(0_u32..).flat_map(|(word, place)| {
            let mut rest = word & !other.0.get(place as usize).unwrap_or(&0);
            core::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros())?;
                rest &= rest - 1;
                Some(EventId(place * 64 + bit))
            })
        })
    }

    /// Adds an event. Returns whether it is new.
    pub(super) fn insert(&mut self, id: EventId) -> bool {
        let place = id.0 as usize / 64;
        if self.0.len() <= place {
            self.0.resize(place + 1, 0);
        }
        let was = self.contains(id);
        self.0[place] |= 1 << (id.0 % 64);
        !was
    }

    /// Removes an event. Returns whether it was there.
    pub(super) fn remove(&mut self, id: EventId) -> bool {
        let was = self.contains(id);
        if was {
            self.0[id.0 as usize / 64] &= !(1 << (id.0 % 64));
        }
        was
    }
}

impl Extend<EventId> for EventSet {
    fn extend<T: IntoIterator<Item = EventId>>(&mut self, events: T) {
        for id in events {
            self.insert(id);
        }
    }
}

impl FromIterator<EventId> for EventSet {
    fn from_iter<T: IntoIterator<Item = EventId>>(events: T) -> Self {
        let mut set = Self::default();
        set.extend(events);
        set
    }
}
