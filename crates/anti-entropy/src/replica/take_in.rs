//! Counting and reporting what is unusual in data from peers.

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::claims::Claim;
use super::confirmed::Confirmed;
use super::version::{Record, Sibling};
use super::{Change, Error, Notice, Replica, Replicated, Staged};
use crate::clock::{Context, Dot, Now, ReplicaId, Seed};
use crate::refusal::{NotTaken, Refusal};
use crate::{KeyHash, KeyRange};

/// The names of an id that this replica gave up, of which it does not know whether somebody else has used them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Disputed {
    id: ReplicaId,
    /// Up to here, the names are not disputed.
    kept: u64,
    made: u64,
}

impl Disputed {
    /// How many are remembered, to report what comes in under them.
    const LIMIT: usize = 16;

    fn has(&self, dot: Dot) -> bool {
        dot.replica == self.id && self.kept < dot.counter && dot.counter <= self.made
    }
}

/// What came of taking another id.
struct Renaming<K> {
    from: ReplicaId,
    to: ReplicaId,
    /// How many writes there were under the old id.
    made: u64,
    /// The keys of the versions that were written anew.
    reissued: Vec<K>,
}

impl<V: Replicated> Replica<V> {
    /// Rule 8: a peer has seen `claimed` writes under the present id. If that is more than this replica made, or if the last
    /// of them is another one, its store or its memory was put back without notice. It takes another id then, and what
    /// the peer says is refused: by the next session, this replica's writes have names that nobody else has used. If it may
    /// take none, the peer is refused all the same, until it may.
    pub(crate) fn notice_claim(&mut self, claim: Claim) -> Result<(), NotTaken> {
        plant!(notice_claim());
        let (made, claimed) = (self.context.own_counter(), claim.knows);
        let is_in_use = claim == Claim::ID_IN_USE || self.is_another_write(claim);
        if !is_in_use && claimed <= made {
            return Ok(());
        }
        if !self.may_take_new_id() {
            return Err(Refusal::NoNewIdLeft.into());
        }
        let is_other = claim != Claim::ID_IN_USE && is_in_use;
        self.take_new_id(if is_other { claimed.saturating_sub(1) } else { u64::MAX })?;
        Err(if is_in_use { Refusal::IdInUse } else { Refusal::ClaimsMyWrites { claimed, made } }.into())
    }

    /// Whether this replica may take another id because of the peer that it listens to; if so, that counts. An id under
    /// which nothing was written takes no place in any clock, and counts as none.
    fn may_take_new_id(&mut self) -> bool {
        let is_unused = self.context.own_counter() == 0;
        let Some(speaker) = self.speaker.as_mut().filter(|_| !is_unused) else { return true };
        let left = speaker.new_ids_left.checked_sub(1);
        speaker.new_ids_left = left.unwrap_or(0);
        left.is_some()
    }

    /// A peer has seen so many writes under the present id, and they are this replica's: the two have compared what there
    /// is to tell copies by.
    pub(crate) fn confirm(&mut self, seen: u64) {
        let name = self.speaker.as_ref().map(|speaker| &speaker.name);
        self.confirmed.note(name, seen.min(self.context.own_counter()));
    }

    /// A peer is in the same state: it has seen all writes under the present id.
    pub(crate) fn confirm_all(&mut self) {
        self.confirm(u64::MAX);
    }

    /// Goes on under a new id and in a new life, since the process was put back to an earlier state of its memory, or runs
    /// twice. Call it as soon as that is known, before anything is written.
    ///
    /// Versions that no peer is known to have seen are written anew, as after [`Notice::Renamed`]: here it is
    /// [`Notice::PutBack`]. Where an engine runs the replica, call
    /// [`Engine::put_back`](crate::engine::Engine::put_back), which forgets its sessions too. O(n) if there are such
    /// versions.
    ///
    /// `seed` is fresh randomness: what this process would draw, another one has drawn.
    ///
    /// # Errors
    /// If the store fails, or is not in the state that this replica left it in, as where memory was put back and the disk
    /// was not. Nothing was changed then, and the replica has stopped, since it must not write under its old id: open its
    /// store again.
    pub fn put_back(&mut self, seed: Seed) -> Result<(), Error> {
        self.seed = seed;
        (self.ids_made, self.life.opening) = (0, 0);
        let renamed = self.rename(self.confirmed.by_any()).inspect_err(|error| self.stop_since(error.to_string()));
        let Renaming { from, to, made, reissued } = renamed?;
        self.notices.push(Notice::PutBack { from, to, made, reissued });
        Ok(())
    }

    /// Goes on under another id, since a peer has shown that somebody else makes or has made writes under the present one.
    /// Of the present names, none above `most` is kept.
    pub(crate) fn take_new_id(&mut self, most: u64) -> Result<(), Error> {
        let safe = self.confirmed.by_all_with(self.speaker.as_ref().map(|speaker| &speaker.name));
        let Renaming { from, to, made, reissued } = self.rename(safe.min(most))?;
        self.notices.push(Notice::Renamed { from, to, made, reissued });
        Ok(())
    }

    /// Takes another id.
    ///
    /// Versions that were written under it get names of the new id if they are above `most`: others may know their names
    /// for other writes. Those names count as never seen here, so that the other writes come in. What is not above it
    /// keeps its name; if a peer holds it no longer, it has been replaced or deleted.
    fn rename(&mut self, most: u64) -> Result<Renaming<V::Key>, Error> {
        let (from, made) = (self.id(), self.context.own_counter());
        let kept = most.min(made);
        plant!(let kept = kept_names(kept, made));
        let mut context = self.context.clone();
        let to = self.fresh_id(&mut context, kept);
        let records = self.reissue(Disputed { id: from, kept, made }, &mut context)?;
        let reissued: Vec<V::Key> = records.values().map(|record| record.key.clone()).collect();
        let tags = Self::reissued_tags(to, &records);
        self.persist(Staged { records, context, context_changed: true })?;
        self.tags.forget_own();
        self.note_own(tags);
        for key in &reissued {
            self.announce(Change::Local(key.clone()));
        }
        if self.disputed.len() == Disputed::LIMIT {
            self.disputed.pop_front();
        }
        self.disputed.push_back(Disputed { id: from, kept, made });
        self.confirmed = Confirmed::new(0);
        self.life.began_at = 0;
        self.stats.renamings += 1;
        Ok(Renaming { from, to, made, reissued })
    }

    /// The records with versions of disputed names, under new names. O(n) if there are such names.
    fn reissue(&self, disputed: Disputed, context: &mut Context) -> Result<BTreeMap<KeyHash, Record<V>>, Error> {
        let mut records = BTreeMap::new();
        if disputed.kept == disputed.made {
            return Ok(records);
        }
        mint_for_deletes(context)?;
        for (hash, _) in self.tree.range(&KeyRange::ALL) {
            let Some(mut record) = self.load(hash)? else { continue };
            let mut is_changed = false;
            for sibling in record.siblings.iter_mut().filter(|sibling| disputed.has(sibling.dot())) {
                sibling.version.dot = context.mint()?;
                is_changed = true;
            }
            if is_changed {
                record.siblings.sort_by_key(Sibling::dot);
                records.insert(hash, record);
            }
        }
        Ok(records)
    }

    /// Takes out what comes back under a name that this replica gave up, and is held under a new one. Says whether there
    /// was any: then one name of this replica's has to be used up for it, or a peer that has seen as much and holds it would
    /// take that for damage.
    pub(crate) fn drop_reissued(&self, old: &[Sibling<V>], new: &mut Vec<Sibling<V>>) -> bool {
        let is_held = |sibling: &Sibling<V>| old.iter().any(|held| held.content == sibling.content);
        let before = new.len();
        new.retain(|sibling| {
            let is_new = old.iter().all(|held| held.dot() != sibling.dot());
            !(is_new && is_held(sibling) && self.disputed.iter().any(|disputed| disputed.has(sibling.dot())))
        });
        new.len() < before
    }

    /// Counts and completes versions that are new here; says whether the siblings changed at all. `old` is in canonical
    /// order.
    pub(crate) fn take_in(&mut self, key: KeyHash, old: &[Sibling<V>], new: &mut [Sibling<V>], now: Now) -> bool {
        let same = |sibling: &Sibling<V>| {
            let held = old.binary_search_by_key(&sibling.dot(), Sibling::dot);
            held.is_ok_and(|held| old[held].content == sibling.content)
        };
        let mut changed = old.len() != new.len();
        for index in 0..new.len() {
            let (earlier, rest) = new.split_at_mut(index);
            let sibling = &mut rest[0];
            if same(sibling) {
                continue;
            }
            changed = true;
            sibling.inherit(old);
            self.note_tag(sibling.dot(), key, Some(sibling.content));
            let new = sibling.new_bytes(earlier);
            self.stats.value_bytes_needed += new.all;
            self.stats.part_bytes_needed += new.parts;
            if self.disputed.iter().any(|disputed| disputed.has(sibling.dot())) {
                self.notices.push(Notice::NameUsedTwice { key: sibling.version.value.key(), dot: sibling.dot() });
            }
            if let Err(skew) = self.clock.observe(sibling.version.timestamp, now.unix_ms) {
                self.notices.push(Notice::ClockSkew(skew));
            }
        }
        changed
    }

    pub(crate) fn report_clashes(&mut self, clashes: Vec<(V::Key, Dot)>) {
        for (key, dot) in clashes {
            self.stats.content_clashes += 1;
            self.notices.push(Notice::ContentClash { key, dot });
        }
    }
}

/// Deletes give up their names and leave nothing to be written anew. What they deleted is dead here all the same, and a
/// peer that has seen as much and holds it would take that for damage: one new name makes the difference.
fn mint_for_deletes(context: &mut Context) -> Result<(), Error> {
    plant!(mint_for_deletes());
    context.mint()?;
    Ok(())
}
