//! What the model knows of every replica and the replica does not: exactly which writes and deletes it has taken in.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Item;
use crate::KeyHash;
use crate::KeyRange;
use crate::clock::{Context, Dot};
use crate::replica::{Error, Replica, serde_encode};

/// A check that failed.
#[derive(Debug)]
pub(super) struct Violation {
    pub(super) check: &'static str,
    pub(super) detail: String,
}

impl Violation {
    pub(super) fn new(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, detail: detail.into() }
    }
}

/// Peers cannot make an operation fail, and the store does not: an error is damage.
impl From<Error> for Violation {
    fn from(error: Error) -> Self {
        Self::new("damaged", error.to_string())
    }
}

/// A set of events of one key, a bit for each.
pub(super) type Events = u128;

/// More events than this are not made at a key.
pub(super) const MAX_EVENTS: usize = Events::BITS as usize;

/// A write or delete.
struct Event {
    dot: Dot,
    is_write: bool,
    /// The writes that its writer had seen.
    replaces: Events,
}

/// Everything that ever happened, anywhere.
pub(super) struct History {
    /// The keys, in the order of their hashes; elsewhere a key is an index into this list.
    pub(super) keys: Vec<(u8, KeyHash)>,
    events: Vec<Vec<Event>>,
    dots: BTreeSet<Dot>,
    /// Events that were lost with the only store that knew them.
    pub(super) excused: Vec<Events>,
}

/// What one replica has taken in, by key.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Ghost {
    pub(super) known: Vec<Events>,
    /// What was replaced or deleted and is not held any more.
    gone: Vec<Events>,
}

impl Ghost {
    pub(super) fn nothing(keys: usize) -> Self {
        Self { known: alloc::vec![0; keys], gone: alloc::vec![0; keys] }
    }
}

impl History {
    pub(super) fn new(keys: u8) -> Self {
        let mut keys: Vec<(u8, KeyHash)> =
            (0..keys).map(|key| (key, KeyHash::of_encoded(&serde_encode(&key)))).collect();
        keys.sort_by_key(|(_, hash)| *hash);
        let events = keys.iter().map(|_| Vec::new()).collect();
        let excused = alloc::vec![0; keys.len()];
        Self { keys, events, dots: BTreeSet::new(), excused }
    }

    pub(super) fn key_at(&self, hash: KeyHash) -> usize {
        self.keys.iter().position(|(_, place)| *place == hash).expect("only these keys are written")
    }

    pub(super) fn keys_in(&self, range: KeyRange) -> impl Iterator<Item = usize> + '_ {
        (0..self.keys.len()).filter(move |key| range.contains(self.keys[*key].1))
    }

    /// How many events the key has had.
    pub(super) fn events_at(&self, key: usize) -> usize {
        self.events[key].len()
    }

    /// The highest counter that was ever used under an id.
    pub(super) fn last_counter(&self, writer: crate::clock::ReplicaId) -> u64 {
        self.dots.iter().filter(|dot| dot.replica == writer).map(|dot| dot.counter).max().unwrap_or(0)
    }

    /// Notes a write or delete that was made, as an event that nobody knows yet. G4: a dot names one of them, ever.
    pub(super) fn record(
        &mut self,
        key: usize,
        dot: Dot,
        is_write: bool,
        replaces: Events,
    ) -> Result<usize, Violation> {
        if !self.dots.insert(dot) {
            return Err(Violation::new("dot used twice", format!("{dot} at key {key}")));
        }
        self.events[key].push(Event { dot, is_write, replaces });
        Ok(self.events[key].len() - 1)
    }

    /// Notes a write or delete under a name that another one may have: of a store that was put back without notice.
    pub(super) fn record_again(&mut self, key: usize, dot: Dot, is_write: bool, replaces: Events) -> usize {
        self.events[key].push(Event { dot, is_write, replaces });
        self.events[key].len() - 1
    }

    /// An event goes on under another name. Nobody but its writer may know it.
    pub(super) fn rename(&mut self, key: usize, event: usize, dot: Dot) {
        self.events[key][event].dot = dot;
    }

    /// The versions that a replica holds at a key, as the events that wrote them.
    pub(super) fn held(&self, replica: &Replica<Item>, key: usize) -> Result<Events, Violation> {
        let mut held = 0;
        for version in replica.read(&self.keys[key].0)?.siblings() {
            let event = usize::from(version.value.event);
            if self.events[key].get(event).is_none_or(|event| event.dot != version.dot) {
                let detail = format!("key {key}: {} has the value of event {event}", version.dot);
                return Err(Violation::new("foreign content", detail));
            }
            held |= 1 << event;
        }
        Ok(held)
    }

    /// Whether a replica is what the events that it knows make of it.
    pub(super) fn check(&self, replica: &Replica<Item>, ghost: &mut Ghost) -> Result<(), Violation> {
        for key in 0..self.keys.len() {
            let bad = |check, events: Events| {
                let events: Vec<String> = members(events).map(|event| self.describe(key, event)).collect();
                Err(Violation::new(check, format!("key {key}: {}", events.join(", "))))
            };
            let (known, held) = (ghost.known[key], self.held(replica, key)?);
            let written = self.where_in(key, known, |event| event.is_write);
            let dead = members(known).fold(0, |dead, event| dead | self.events[key][event].replaces);
            // G3: nothing that has gone comes back.
            if held & ghost.gone[key] != 0 {
                return bad("G3 resurrected", held & ghost.gone[key]);
            }
            ghost.gone[key] |= dead & !held;
            // G1: what is held is what the known events make.
            let expected = written & !dead;
            if expected & !held != 0 {
                return bad("G1 lost", expected & !held);
            }
            if held & !expected != 0 {
                return bad("G1 stale", held & !expected);
            }
            // G2: the clock covers what is known, and nothing else.
            let everything = self.where_in(key, Events::MAX, |_| true);
            let covered = self.where_in(key, everything, |event| replica.context().covers(self.keys[key].1, event.dot));
            if covered & !known != 0 {
                return bad("G2 gap", covered & !known);
            }
            if known & !covered != 0 {
                return bad("G2 known and not covered", known & !covered);
            }
        }
        check_pieces(replica.context())
    }

    fn where_in(&self, key: usize, events: Events, accept: impl Fn(&Event) -> bool) -> Events {
        let accepted = self.events[key].iter().enumerate().filter(|(_, event)| accept(event));
        accepted.fold(0, |set, (index, _)| set | 1 << index) & events
    }

    fn describe(&self, key: usize, event: usize) -> String {
        let Event { dot, is_write, replaces } = &self.events[key][event];
        let kind = if *is_write { "write" } else { "delete" };
        format!("event {event} ({kind} {dot}, replaces {:?})", members(*replaces).collect::<Vec<_>>())
    }

    /// Events that should be known in the end, and are not.
    pub(super) fn lost(&self, ghost: &Ghost) -> Option<String> {
        (0..self.keys.len()).find_map(|key| {
            let missing = self.where_in(key, !(ghost.known[key] | self.excused[key]), |_| true);
            (missing != 0).then(|| format!("key {key}: {:?}", members(missing).collect::<Vec<_>>()))
        })
    }
}

/// G4, half of it: the pieces ascend, and neighbours differ.
fn check_pieces(context: &Context) -> Result<(), Violation> {
    let pieces: Vec<_> = context.pieces(&KeyRange::ALL).iter().map(|(range, clock)| (range, clock.clone())).collect();
    let canonical = pieces.windows(2).all(|pair| pair[0].0.hi() == Some(pair[1].0.lo()) && pair[0].1 != pair[1].1);
    // A hole is a piece of its own, and may cut another one in two.
    let count = context.pieces_len()..=context.pieces_len() + 2 * context.holes_len();
    let complete = count.contains(&pieces.len()) && pieces.last().is_some_and(|last| last.0.hi().is_none());
    if canonical && complete { Ok(()) } else { Err(Violation::new("G4 not canonical", format!("{context:?}"))) }
}

/// The events in a set.
pub(super) fn members(events: Events) -> impl Iterator<Item = usize> {
    (0..MAX_EVENTS).filter(move |event| events >> event & 1 == 1)
}
