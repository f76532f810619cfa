//! Rule 7: a write or delete that is sent at once, and applied only if everything before it has been seen.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::certify::{PartInventory, rebuild_value};
use crate::KeyHash;
use crate::clock::{Context, Dot, Now, ReplicaId};
use crate::refusal::{NotTaken, Refusal};
use crate::replica::{Change, Error, Record, Replica, Replicated, Sibling, Staged, Written, canonical_from_bytes};
use crate::sync::wire::{Push, PushedWrite, WireValue};

/// The result of a push. Only `Taken` changed something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PushOutcome {
    Taken,
    /// The write had been seen already.
    Seen,
    /// Something before the write has not been seen. Anti-entropy will bring both.
    NotReady,
    Rejected(Refusal),
}

impl<V: Replicated> Replica<V> {
    /// The push of a write or delete; `None` if it has been replaced since.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) fn push_of(&self, written: &Written) -> Result<Option<Push>, Error> {
        let Written { key, dot, deleted, .. } = *written;
        let mut push = Push { key, dot, seen: written.seen.clone(), write: None };
        if deleted {
            return Ok(Some(push));
        }
        let Some(record) = self.load_version(key, dot)? else { return Ok(None) };
        let Some(sibling) = record.siblings.first() else { return Ok(None) };
        // The peer is not known, so parts are named on the guess that it has what was here before.
        let value = WireValue::of(sibling, |index, _| sibling.inherited[index]);
        push.write = Some(PushedWrite { key: record.key_bytes, timestamp: sibling.version.timestamp, value });
        Ok(Some(push))
    }

    /// Takes in a pushed write or delete if it is causally ready.
    ///
    /// # Errors
    /// If the store fails; what the peer does wrong is a [`Refusal`].
    pub(crate) fn receive_push(&mut self, push: Push, now: Now) -> Result<PushOutcome, Error> {
        match self.join_push(push, now) {
            Ok(outcome) => Ok(outcome),
            Err(NotTaken::Refused(rejection)) => Ok(PushOutcome::Rejected(rejection)),
            Err(NotTaken::Unreadable(_)) => Ok(PushOutcome::NotReady),
            Err(NotTaken::Failed(error)) => Err(error),
        }
    }

    fn join_push(&mut self, push: Push, now: Now) -> Result<PushOutcome, NotTaken> {
        self.admit_push(&push)?;
        if self.context.covers(push.key, push.dot) {
            self.check_seen(push)?;
            return Ok(PushOutcome::Seen);
        }
        if !self.is_ready(&push) {
            return Ok(PushOutcome::NotReady);
        }
        let (key, dot) = (push.key, push.dot);
        if push.write.is_none() {
            self.note_tag(dot, key, None);
        }
        let record = self.stage_push(push, now)?;
        let is_new = dot.replica != self.id() && !self.context.names(dot.replica);
        let mut context = self.context.clone();
        raise(&mut context, key, dot)?;
        let changed = record.as_ref().map(|record| record.key.clone());
        let records = record.map(|record| (key, record)).into_iter().collect();
        self.persist(Staged { records, context, context_changed: true })?;
        if is_new {
            self.note_new_replica();
        }
        if let Some(key) = changed {
            self.announce(Change::Remote(key));
        }
        Ok(PushOutcome::Taken)
    }

    /// Whether a write that was seen is the one that was taken in under its name, as far as that is known. If it is not,
    /// the writer has to hear of that: it believes that this write was seen.
    fn check_seen(&mut self, push: Push) -> Result<(), Error> {
        let Push { key, dot, write, .. } = push;
        if self.known_tag(dot).is_none() {
            return Ok(());
        }
        let content = match write {
            None => None,
            Some(write) => {
                let Ok(name) = canonical_from_bytes::<V::Key>(&write.key) else { return Ok(()) };
                let record = self.load(key)?.unwrap_or_else(|| Record::empty(name));
                let mut parts = PartInventory::of(&record);
                let Ok(sibling) = rebuild_value(key, dot, write.timestamp, write.value, &mut parts, &[]) else {
                    return Ok(());
                };
                Some(sibling.content)
            }
        };
        self.note_pushed_again(dot, key, content);
        Ok(())
    }

    /// Whether the writer is admitted, the clock has room for it, and the push names no write of this replica that it
    /// did not make.
    fn admit_push(&mut self, push: &Push) -> Result<(), NotTaken> {
        let writer = push.dot.replica;
        if push.dot.counter == 0 {
            return Err(Refusal::Malformed("a write has the number zero").into());
        }
        if push.write.is_none() && push.seen.is_empty() {
            return Err(Refusal::Malformed("a delete of nothing").into());
        }
        if writer != self.id() && !self.config.writers.allows(writer) {
            return Err(Refusal::WriterNotAdmitted(writer).into());
        }
        if writer != self.id() && !self.context.names(writer) {
            self.check_room_for_new_writer(writer)?;
        }
        let mine = push.seen.iter().chain([&push.dot]).filter(|dot| dot.replica == self.id());
        let claimed = mine.map(|dot| dot.counter).max().unwrap_or(0);
        let made = self.context.own_counter();
        // Whether it is so, a session finds out, which the peer can be refused for a while if it lies.
        if claimed > made { Err(Refusal::ClaimsMyWrites { claimed, made }.into()) } else { Ok(()) }
    }

    /// Whether the clock of each piece has room for another writer.
    fn check_room_for_new_writer(&mut self, writer: ReplicaId) -> Result<(), Refusal> {
        let (replicas, limit) = (self.context.replicas_len() + 1, self.config.max_clock_replicas);
        if replicas > limit {
            return Err(Refusal::TooManyReplicas { replicas, limit });
        }
        let (counters, limit) = (self.context.counters_with_another(), self.config.counters_with_peers());
        if counters > limit {
            return Err(Refusal::TooManyCounters { counters, limit });
        }
        self.check_new_replicas(&[writer])
    }

    /// Whether the push is exactly the next one of its writer, and everything that it replaces has been seen, at its
    /// key.
    fn is_ready(&self, push: &Push) -> bool {
        plant!(is_ready(&self.context, push));
        let is_known = |dot: &Dot| self.context.covers(push.key, *dot);
        self.context.is_next(push.key, push.dot) && push.seen.iter().all(is_known)
    }

    /// The record at the key of a push after it is applied; `Ok(None)` for a delete that removes nothing.
    fn stage_push(&mut self, push: Push, now: Now) -> Result<Option<Record<V>>, NotTaken> {
        let Push { key: hash, dot, seen, write } = push;
        let held = self.load(hash)?;
        let Some(write) = write else {
            let removed = held.and_then(|mut record| {
                let before = record.siblings.len();
                remove_seen(&mut record.siblings, &seen);
                (record.siblings.len() < before).then_some(record)
            });
            return Ok(removed);
        };
        if KeyHash::of_encoded(&write.key) != hash {
            return Err(Refusal::Malformed("a key has another hash than is said").into());
        }
        let Ok(key) = canonical_from_bytes::<V::Key>(&write.key) else {
            return Err(Refusal::Unreadable(hash).into());
        };
        let mut record = held.unwrap_or_else(|| Record::empty(key));
        if record.key_bytes != write.key {
            return Err(Refusal::Unreadable(hash).into());
        }
        let sibling = rebuild_value(hash, dot, write.timestamp, write.value, &mut PartInventory::of(&record), &[])?;
        let old = record.siblings.clone();
        remove_seen(&mut record.siblings, &seen);
        record.siblings.push(sibling);
        record.siblings.sort_by_key(Sibling::dot);
        self.take_in(hash, &old, &mut record.siblings, now);
        Ok(Some(record))
    }
}

fn remove_seen<V>(siblings: &mut Vec<Sibling<V>>, seen: &[Dot]) {
    plant!(remove_seen(siblings));
    let seen: BTreeSet<Dot> = seen.iter().copied().collect();
    siblings.retain(|held| !seen.contains(&held.dot()));
}

/// Covers a push that is ready, which is the next of its writer in the piece that holds its key.
fn raise(context: &mut Context, key: KeyHash, dot: Dot) -> Result<(), Error> {
    plant!(raise(context, key, dot));
    if !context.raise(key, dot) {
        return Err(Error::BrokenInvariant("a push was ready, and is not the next of its writer"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_the_next_write_of_its_writer_raises_nothing() {
        let mut context = Context::new(ReplicaId::from_u128(1));
        let before = context.clone();
        for (replica, counter) in [(2, 2), (1, 1)] {
            let dot = Dot { replica: ReplicaId::from_u128(replica), counter };
            let raised = raise(&mut context, KeyHash::MIN, dot);
            assert!(matches!(raised, Err(Error::BrokenInvariant(_))), "{dot}");
            assert_eq!(context, before);
        }
    }
}
