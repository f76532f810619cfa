//! An outside view of all writes and deletes, and the checks of a replica against it.

use std::fmt;

use anti_entropy::clock::ReplicaId;
use anti_entropy::{KeyHash, Keyed, Replica};

use super::bounds::MAX_REPLICAS;

/// The replicated value: the name of the write that made it, so that a wrong value is detected.
pub(super) type Item = Keyed<u8, Name>;

/// The name of a write or delete: its replica, and its number among the writes and deletes of that replica.
pub(super) type Name = (u8, u8);

/// A check that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) check: &'static str,
    pub(super) detail: String,
}

impl Violation {
    pub(super) fn new(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, detail: detail.into() }
    }
}

/// Neither peers nor the store can make an operation fail here, so an error is a violation.
impl From<anti_entropy::Error> for Violation {
    fn from(error: anti_entropy::Error) -> Self {
        Self::new("an operation failed", error.to_string())
    }
}

/// A write or delete. Its index is its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Event {
    pub(super) key: u8,
    pub(super) is_write: bool,
    pub(super) replaces: Vec<Name>,
}

/// What a replica holds and has seen at one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyView {
    /// In ascending order.
    pub(super) held: Vec<Name>,
    /// How many events of each replica are covered.
    pub(super) seen: [u8; MAX_REPLICAS],
}

impl KeyView {
    pub(super) fn covers(&self, (node, counter): Name) -> bool {
        self.seen[usize::from(node)] >= counter
    }
}

/// What a replica holds and has seen, read through its public functions.
pub(super) fn view(replica: &Replica<Item>, keys: &[KeyHash], ids: &[ReplicaId]) -> Result<Vec<KeyView>, Violation> {
    let node_of = |id: ReplicaId| ids.iter().position(|other| *other == id).and_then(|node| u8::try_from(node).ok());
    let mut views = Vec::with_capacity(keys.len());
    for (key, hash) in (0u8..).zip(keys) {
        let mut view = KeyView::default();
        for version in replica.read(&key)?.siblings() {
            let name = node_of(version.dot.replica).zip(u8::try_from(version.dot.counter).ok());
            match name {
                Some(name) if name == version.value.value => view.held.push(name),
                _ => {
                    let detail = format!("{} holds the value of {}", version.dot, Named(version.value.value));
                    return Err(Violation::new("wrong value", detail));
                }
            }
        }
        view.held.sort_unstable();
        for (seen, id) in view.seen.iter_mut().zip(ids) {
            *seen = u8::try_from(replica.context().counter(*hash, *id))
                .map_err(|_| Violation::new("phantom", "more events of a replica are covered than there are"))?;
        }
        views.push(view);
    }
    Ok(views)
}

/// Whether a replica holds exactly what the events that it covers determine (S1, S2, S7). `events` are by the replica that made
/// them.
pub(super) fn check(views: &[KeyView], events: &[&[Event]]) -> Result<(), Violation> {
    for (key, view) in (0u8..).zip(views) {
        for ((node, own), seen) in (0u8..).zip(events).zip(view.seen) {
            if usize::from(seen) > own.len() {
                let detail = format!("key {key}: {} is covered, and was not made", Named((node, seen)));
                return Err(Violation::new("phantom (S2)", detail));
            }
        }
        let known = || named(events).filter(|(name, event)| event.key == key && view.covers(*name));
        let dead = |name: Name| known().any(|(_, event)| event.replaces.contains(&name));
        let expected: Vec<Name> =
            known().filter(|(name, event)| event.is_write && !dead(*name)).map(|(name, _)| name).collect();
        if let Some(lost) = expected.iter().find(|name| !view.held.contains(name)) {
            return Err(at_key("covered, alive and not held (S1)", key, *lost, events));
        }
        if let Some(stale) = view.held.iter().find(|name| !expected.contains(name)) {
            let check = if view.covers(*stale) { "held and dead (S1)" } else { "held and not covered (S7)" };
            return Err(at_key(check, key, *stale, events));
        }
        let gap = known().flat_map(|(_, event)| event.replaces.iter().copied()).find(|name| !view.covers(*name));
        if let Some(gap) = gap {
            return Err(at_key("replaced by what is covered, and not covered itself (S7)", key, gap, events));
        }
    }
    Ok(())
}

/// Whether a step kept everything that was seen, and brought nothing back (S3, S4).
pub(super) fn check_step(before: &[KeyView], after: &[KeyView]) -> Result<(), Violation> {
    for (key, (before, after)) in before.iter().zip(after).enumerate() {
        if before.seen.iter().zip(after.seen).any(|(before, after)| *before > after) {
            return Err(Violation::new("covered and forgotten (S4)", format!("key {key}")));
        }
        let back = after.held.iter().find(|name| before.covers(**name) && !before.held.contains(name));
        if let Some(back) = back {
            return Err(Violation::new("gone and back (S3)", format!("key {key}: {}", Named(*back))));
        }
    }
    Ok(())
}

/// An event that a replica does not cover, although it should cover all.
pub(super) fn first_missing(views: &[KeyView], events: &[&[Event]]) -> Option<Name> {
    named(events).find(|(name, event)| !views[usize::from(event.key)].covers(*name)).map(|(name, _)| name)
}

fn named<'a>(events: &'a [&'a [Event]]) -> impl Iterator<Item = (Name, &'a Event)> + 'a {
    (0u8..).zip(events).flat_map(|(node, own)| (1u8..).zip(*own).map(move |(counter, event)| ((node, counter), event)))
}

fn at_key(check: &'static str, key: u8, name: Name, events: &[&[Event]]) -> Violation {
    let replacing = named(events).filter(|(_, event)| event.replaces.contains(&name)).map(|(by, _)| by);
    let replacing: Vec<String> = replacing.map(|by| Named(by).to_string()).collect();
    let by = if replacing.is_empty() { "nothing".to_owned() } else { replacing.join(", ") };
    Violation::new(check, format!("key {key}: {}, which {by} replaces", Named(name)))
}

/// The name of an event in text, `a1`: the first of replica a.
pub(super) struct Named(pub(super) Name);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Node(self.0.0), self.0.1)
    }
}

/// The name of a replica in text: a letter.
pub(super) struct Node(pub(super) u8);

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", char::from(b'a' + self.0))
    }
}
