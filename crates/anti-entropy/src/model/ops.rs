//! What happens at one replica: reads, writes, pushes, crashes, backups and worse.

use alloc::format;
use alloc::vec::Vec;

use super::ghost::{Events, Ghost, MAX_EVENTS, Violation};
use super::odds::{Bug, Fault};
use super::session::Message;
use super::world::{Backup, Token, World, open};
use super::{Item, PushMessage, reading};
use crate::clock::{Dot, Seed};
use crate::refusal::{NotTaken, Refusal};
use crate::replica::{Continuity, Error, MemoryStore, Notice, Part, Transaction, Written};
use crate::sync::transfer::PushOutcome;

impl World {
    pub(super) fn write(&mut self, at: usize, is_delete: bool) -> Result<(), Violation> {
        let key = self.some_key();
        let held = self.history.held(&self.nodes[at].replica, key)?;
        let (now, item) = (self.now(at), self.item(at, key));
        let replica = &mut self.nodes[at].replica;
        let written = match item {
            None => None,
            Some(item) if is_delete => replica.delete(&item.key, now)?,
            Some(item) => Some(replica.write(item, now)?),
        };
        let done: Vec<_> = written.into_iter().map(|written| (written, held)).collect();
        self.acknowledge(at, &done)
    }

    /// Writes and deletes of two or three keys in one transaction.
    pub(super) fn commit(&mut self, at: usize) -> Result<(), Violation> {
        let mut transaction = Transaction::new();
        let mut keys: Vec<usize> = (0..self.history.keys.len()).collect();
        self.random.shuffle(&mut keys);
        keys.truncate(self.random.usize(2..=3));
        for key in keys {
            let Some(item) = self.item(at, key) else { continue };
            transaction = if self.random.bool() { transaction.write(item) } else { transaction.delete(item.key) };
        }
        let now = self.now(at);
        let held = self.held_everywhere(at)?;
        let written = self.nodes[at].replica.commit(transaction, now)?;
        let replaced = |written: &Written| held[self.history.key_at(written.key)];
        let done: Vec<_> = written.into_iter().map(|written| (written.clone(), replaced(&written))).collect();
        self.acknowledge(at, &done)
    }

    pub(super) fn read(&mut self, at: usize) -> Result<(), Violation> {
        let key = self.some_key();
        let node = &mut self.nodes[at];
        let events = self.history.held(&node.replica, key)?;
        let seen = node.replica.read(&self.history.keys[key].0)?.seen();
        node.tokens.push(Token { key, seen, events });
        Ok(())
    }

    /// A write or delete at `at` that replaces what was read before at `reader`.
    pub(super) fn write_seen(&mut self, at: usize, reader: usize, is_delete: bool) -> Result<(), Violation> {
        let tokens = &self.nodes[reader].tokens;
        if tokens.is_empty() {
            return Ok(());
        }
        let Token { key, seen, events } = tokens[self.random.usize(0..tokens.len())].clone();
        let (now, item) = (self.now(at), self.item(at, key));
        let Some(item) = item else { return Ok(()) };
        let replica = &mut self.nodes[at].replica;
        let result = if is_delete {
            replica.delete_seen(&item.key, &seen, now)
        } else {
            replica.write_seen(item, &seen, now).map(Some)
        };
        match result {
            Ok(written) => {
                let done: Vec<_> = written.into_iter().map(|written| (written, events)).collect();
                self.acknowledge(at, &done)
            }
            Err(Error::NotYetSeen(_)) => {
                self.stats.reads_refused += 1;
                self.check(at)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The next value at a key, which says which event writes it; `None` once the key has had its fill of events.
    fn item(&mut self, at: usize, key: usize) -> Option<Item> {
        let event = self.history.events_at(key);
        // Few parts, so that peers hold some already.
        let part = Part::from(alloc::vec![self.random.u8(0..3); 40]);
        let new = self.odds.old_releases > 0.0 && !self.nodes[at].is_old && self.random_of_bases.f64() < 0.4;
        (event < MAX_EVENTS).then(|| Item {
            key: self.history.keys[key].0,
            event: event.try_into().unwrap(),
            new,
            part,
        })
    }

    fn held_everywhere(&self, at: usize) -> Result<Vec<Events>, Violation> {
        (0..self.history.keys.len()).map(|key| self.history.held(&self.nodes[at].replica, key)).collect()
    }

    /// What was written becomes history, is known at its writer, and is pushed to some.
    fn acknowledge(&mut self, at: usize, done: &[(Written, Events)]) -> Result<(), Violation> {
        for (written, replaces) in done {
            let key = self.history.key_at(written.key);
            let event = self.history.record(key, written.dot, !written.deleted, *replaces)?;
            self.nodes[at].ghost.known[key] |= 1 << event;
            let Some(push) = self.nodes[at].replica.push_of(written)? else { continue };
            for to in 0..self.nodes.len() {
                if to != at && self.chance(self.odds.push) {
                    self.messages.push(Message::Push(PushMessage { to, key, event, push: push.clone() }));
                }
            }
        }
        if self.has(Fault::LateDurability) && self.random.bool() {
            self.sync(at);
        }
        self.check(at)
    }

    pub(super) fn receive_push(&mut self, message: &PushMessage) -> Result<(), Violation> {
        let now = self.now(message.to);
        let node = &mut self.nodes[message.to];
        let (replica, push) = (&mut node.replica, message.push.clone());
        let outcome = reading(!node.is_old, || replica.receive_push(push, now))?;
        if let PushOutcome::Taken = outcome {
            node.ghost.known[message.key] |= 1 << message.event;
            self.stats.pushes_taken += 1;
        } else {
            self.stats.pushes_ignored += 1;
        }
        self.hear_alarms(message.to)?;
        self.check(message.to)?;
        match outcome {
            PushOutcome::Taken if self.chance(self.odds.relay) => {
                for to in (0..self.nodes.len()).filter(|to| *to != message.to) {
                    if self.random.f64() < 0.3 {
                        self.messages.push(Message::Push(PushMessage { to, ..message.clone() }));
                    }
                }
                Ok(())
            }
            PushOutcome::Rejected(rejection) => self.judge(&rejection),
            _ => Ok(()),
        }
    }

    /// Honest peers are refused only for what they cannot know.
    pub(super) fn judge(&mut self, rejection: &Refusal) -> Result<(), Violation> {
        match rejection {
            Refusal::NotCertified => self.stats.uncertified += 1,
            Refusal::MissingContent => self.stats.content_missing += 1,
            Refusal::TooManyPieces { .. } if self.odds.max_pieces.is_some() => self.stats.too_many_pieces += 1,
            Refusal::Unreadable(_) if self.odds.old_releases > 0.0 => {}
            // These are alarms that bugs set off; what they spoil is for the other checks to find.
            Refusal::UncoveredWrite(_) | Refusal::ClaimsMyWrites { .. } if self.bug != Bug::None => {}
            other => return Err(Violation::new("an honest peer is refused", format!("{other}"))),
        }
        Ok(())
    }

    /// Rule 8's alarm goes off where a store was rolled back without its replica's noticing, and nowhere else. Other notices
    /// would be false: nothing is damaged here, and no clock is far off.
    pub(super) fn hear_alarms(&mut self, at: usize) -> Result<(), Violation> {
        while let Some(notice) = self.nodes[at].replica.poll_notice() {
            match notice {
                Notice::Renamed { .. } if self.bug != Bug::None || self.unnoticed == Some(at) => self.stats.alarms += 1,
                Notice::Unreadable { .. } | Notice::HoleFilled { .. } if self.odds.old_releases > 0.0 => {}
                _ if self.bug != Bug::None => {}
                // What others have under the names that were given up.
                Notice::NameUsedTwice { .. } if self.rolled_back => {}
                notice => return Err(Violation::new("false alarm", format!("replica {at}: {notice:?}"))),
            }
        }
        Ok(())
    }

    pub(super) fn sync(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        node.disk.sync();
        node.durable.clone_from(&node.ghost);
    }

    pub(super) fn crash(&mut self, at: usize) -> Result<(), Violation> {
        let mut continuity = [Continuity::Vouched, Continuity::Unproven][self.random.usize(0..2)];
        if self.random.bool() {
            continuity = self.close(at)?;
        }
        let node = &mut self.nodes[at];
        let (root, durable) = (node.replica.root(), node.durable.clone());
        let is_rolled_back = node.disk.crash();
        self.rolled_back |= is_rolled_back;
        self.forget(at, durable);
        let seed = self.fresh_seed();
        self.reopen(at, seed, continuity, is_rolled_back)?;
        if !is_rolled_back && self.nodes[at].replica.root() != root {
            return Err(Violation::new("reopened otherwise", format!("replica {at}")));
        }
        self.check(at)
    }

    pub(super) fn back_up(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let ghost = node.durable.clone();
        let (id, counter) = (node.replica.context().own_id(), node.replica.context().own_counter());
        let marker = node.closed_with;
        node.backups.push(Backup { store: node.disk.backup(), ghost, id, counter, marker, closed: false });
    }

    /// Closes a replica in order, and perhaps backs it up then; returns what continues it.
    fn close(&mut self, at: usize) -> Result<Continuity, Violation> {
        let closed = self.nodes[at].replica.seal();
        let marker = closed.map_err(|error| Violation::new("not closed", format!("replica {at}: {error}")))?;
        self.sync(at);
        self.nodes[at].closed_with = Some(marker);
        if self.random.bool() {
            self.back_up(at);
            self.nodes[at].backups.last_mut().expect("it was just made").closed = true;
        }
        Ok(Continuity::Marker(marker))
    }

    /// Puts a backup in place of the store. Nothing proves continuity, or a marker that shows that there is none: that of a
    /// later closing, or one that backups made after the opening no longer match.
    pub(super) fn restore(&mut self, at: usize) -> Result<(), Violation> {
        let Some(backup) = self.some_backup(at) else { return Ok(()) };
        let last = self.nodes[at].closed_with;
        let continuity = match (self.bug, last) {
            (Bug::InTheDriver(Fault::RestoredStoreIsVouchedFor), _) => Continuity::Vouched,
            (Bug::InTheDriver(Fault::MarkerIsUsedTwice), Some(marker)) => Continuity::Marker(marker),
            (_, Some(marker)) if (!backup.closed || backup.marker != last) && self.random.bool() => {
                Continuity::Marker(marker)
            }
            _ => Continuity::Unproven,
        };
        self.put_back(at, backup, continuity)
    }

    /// Puts a backup in place of the store under its old id, writes a little, and meets all peers. Rule 8 has to notice if
    /// one of them knows more of that id's writes; so this is done only where one does, or none were lost.
    pub(super) fn restore_unnoticed(&mut self, at: usize) -> Result<(), Violation> {
        let Some(backup) = self.some_backup(at) else { return Ok(()) };
        let (id, counter) = (backup.id, backup.counter);
        let mut others: Vec<usize> = (0..self.nodes.len()).filter(|other| *other != at).collect();
        let known = |other: &usize| self.nodes[*other].replica.context().max_counter(id);
        let most = others.iter().map(known).max().unwrap_or(0);
        if self.history.last_counter(id) > counter && most <= counter {
            return Ok(());
        }
        if most > counter {
            others.sort_by_key(|other| core::cmp::Reverse(known(other)));
        }
        self.put_back(at, backup, Continuity::Vouched)?;
        self.unnoticed = Some(at);
        for _ in 1..most.saturating_sub(counter).min(4) {
            self.write_in_doubt(at)?;
        }
        for other in others {
            self.synchronise(at, other)?;
        }
        self.unnoticed = None;
        self.in_doubt.clear();
        Ok(())
    }

    /// A write or delete under a name that others may know for another one. Nobody hears of it before the alarm.
    fn write_in_doubt(&mut self, at: usize) -> Result<(), Violation> {
        let key = self.random_of_copies.usize(0..self.history.keys.len());
        let is_delete = self.random_of_copies.u8(0..3) == 0;
        let event = self.history.events_at(key);
        if event >= MAX_EVENTS {
            return Ok(());
        }
        let part = Part::from(alloc::vec![self.random_of_copies.u8(0..3); 40]);
        let item = Item { key: self.history.keys[key].0, event: event.try_into().unwrap(), new: false, part };
        let held = self.history.held(&self.nodes[at].replica, key)?;
        let now = self.now(at);
        let replica = &mut self.nodes[at].replica;
        let written = if is_delete { replica.delete(&item.key, now)? } else { Some(replica.write(item, now)?) };
        let Some(written) = written else { return Ok(()) };
        let event = self.history.record_again(key, written.dot, !is_delete, held);
        self.nodes[at].ghost.known[key] |= 1 << event;
        self.in_doubt.push((key, event));
        Ok(())
    }

    /// Rule 8, before anything is joined: each side hears what the other has seen of its own writes.
    pub(super) fn compare_claims(&mut self, one: usize, other: usize) -> Result<(), Violation> {
        for (at, peer) in [(one, other), (other, one)] {
            let claim = self.nodes[peer].replica.claim_of(self.nodes[at].replica.id().first_eight());
            match self.nodes[at].replica.notice_claim(claim) {
                Ok(()) => {}
                Err(NotTaken::Refused(_) | NotTaken::Unreadable(_)) => self.settle_names(at)?,
                Err(NotTaken::Failed(error)) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// After the alarm, what was written since the store was put back has new names: versions that are alive their own,
    /// and all else the first one.
    fn settle_names(&mut self, at: usize) -> Result<(), Violation> {
        self.hear_alarms(at)?;
        let node = &mut self.nodes[at];
        node.context = node.replica.context().clone();
        node.bases.clear();
        let first = Dot { replica: node.replica.id(), counter: 1 };
        for (key, event) in core::mem::take(&mut self.in_doubt) {
            let read = node.replica.read(&self.history.keys[key].0)?;
            let held = read.siblings().iter().find(|version| usize::from(version.value.event) == event);
            self.stats.named_anew += u64::from(held.is_some());
            self.stats.names_given_up += u64::from(held.is_none());
            self.history.rename(key, event, held.map_or(first, |version| version.dot));
        }
        self.check(at)
    }

    pub(super) fn wipe(&mut self, at: usize) -> Result<(), Violation> {
        let nothing = Ghost::nothing(self.history.keys.len());
        let seed = if self.has(Fault::WipedStoreKeepsItsId) { self.nodes[at].seed.clone() } else { self.fresh_seed() };
        self.roll_back(at, MemoryStore::new(), nothing, seed, Continuity::Unproven)?;
        self.nodes[at].tokens.clear();
        self.nodes[at].backups.clear();
        self.check(at)
    }

    fn some_backup(&mut self, at: usize) -> Option<Backup> {
        let backups = &self.nodes[at].backups;
        (!backups.is_empty()).then(|| backups[self.random.usize(0..backups.len())].clone())
    }

    fn put_back(&mut self, at: usize, backup: Backup, continuity: Continuity) -> Result<(), Violation> {
        let seed = self.fresh_seed();
        self.roll_back(at, backup.store, backup.ghost, seed, continuity)?;
        self.check(at)
    }

    fn roll_back(
        &mut self,
        at: usize,
        store: MemoryStore,
        ghost: Ghost,
        seed: Seed,
        continuity: Continuity,
    ) -> Result<(), Violation> {
        self.rolled_back = true;
        self.forget(at, ghost);
        self.nodes[at].disk.restore(store);
        self.reopen(at, seed, continuity, true)
    }

    /// A replica goes back to an earlier state. What nobody else knows is lost for good, and nobody's fault.
    fn forget(&mut self, at: usize, earlier: Ghost) {
        for key in 0..self.history.keys.len() {
            let others = (0..self.nodes.len()).filter(|other| *other != at);
            let elsewhere = others.fold(0, |known, other| known | self.nodes[other].ghost.known[key]);
            self.history.excused[key] |= self.nodes[at].ghost.known[key] & !earlier.known[key] & !elsewhere;
        }
        self.nodes[at].ghost = earlier;
    }

    pub(super) fn reopen(
        &mut self,
        at: usize,
        seed: Seed,
        continuity: Continuity,
        is_rolled_back: bool,
    ) -> Result<(), Violation> {
        let is_upgraded = self.nodes[at].is_old && self.random_of_bases.f64() < 0.2;
        let node = &mut self.nodes[at];
        node.is_old &= !is_upgraded;
        let id = node.replica.id();
        node.replica = open(&node.disk, seed.clone(), continuity, self.odds.max_pieces)?;
        if node.replica.id() != id {
            node.seed = seed;
        }
        if is_rolled_back {
            node.context = node.replica.context().clone();
        }
        node.bases.clear();
        node.life += 1;
        // What the opening itself writes is durable: it is no write that could be lost.
        self.sync(at);
        Ok(())
    }
}
