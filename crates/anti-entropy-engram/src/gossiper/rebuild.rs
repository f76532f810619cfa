//! Writing a snapshot of a node's consolidation into the space.

use anti_entropy::clock::Now;
use anti_entropy::{Error, KeyHash, Transaction};

use super::consolidation_gossiper::ConsolidationGossiper;
use super::hints::Hints;
use super::own::{OwnPattern, Stored};
use super::prepare::{Known, PreparedSnapshot, Refused};
use crate::{InvalidPattern, Pattern, SnapshotSource};

/// What a rebuild does with this node's patterns that the snapshot no longer has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vanished {
    /// They stay. The default: engram keeps its patterns in memory and has none after a restart, and consolidation sees a
    /// window of episodes, so that a pattern which is missing from a snapshot is rarely wrong.
    #[default]
    Keep,
    /// This node's versions are deleted. Versions of other nodes stay.
    Delete,
}

/// What a rebuild did.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Rebuilt {
    /// How many patterns were written: new and changed ones, and those of which the store had several versions by this node.
    pub written: usize,
    /// How many patterns are unchanged since the previous snapshot, those that were deleted since included.
    pub unchanged: usize,
    /// How many patterns are no longer in the snapshot and were deleted.
    pub deleted: usize,
    /// How many patterns are no longer in the snapshot and stay.
    pub kept: usize,
    /// How many patterns of the snapshot named episodes out of order or more than once, and were taken all the same; see
    /// [`InputPolicy::Normalise`](crate::InputPolicy::Normalise).
    pub normalised: usize,
    /// How many patterns of the snapshot had a confidence or strength out of 0 to 1, and were taken all the same.
    pub clamped: usize,
    /// The patterns that were refused and of which this was not told yet: not by an earlier rebuild, or with another problem or
    /// other contents. Versions of them that are stored already stay. The
    /// [status](super::ConsolidationStatus::refused_patterns) counts all that stand.
    pub refused: Vec<InvalidPattern>,
    /// How many rebuilds have changed something since the gossiper was opened, this one included.
    pub generation: u64,
}

/// How far a rebuild has come.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum RebuildProgress {
    /// It is not finished. Go on when other work has had its turn.
    Ongoing,
    /// It is finished.
    Finished(Rebuilt),
    /// There is no rebuild to go on with.
    Idle,
}

impl ConsolidationGossiper {
    /// Writes a snapshot of this node's consolidation, and keeps patterns that it no longer has:
    /// [`rebuild_with`](Self::rebuild_with) and [`Vanished::Keep`].
    ///
    /// # Errors
    /// As for [`rebuild_with`](Self::rebuild_with).
    pub fn rebuild_from_snapshot(&mut self, snapshot: &impl SnapshotSource, now: Now) -> Result<Rebuilt, Error> {
        self.rebuild_with(snapshot, Vanished::Keep, now)
    }

    /// Writes a snapshot of this node's consolidation: every pattern that differs from this node's previous snapshot.
    ///
    /// - The snapshot is compared with *this node's previous snapshot*, not with patterns of other nodes, and a write
    ///   replaces only versions of this node. Nodes that consolidate differently therefore come to rest, with at most one
    ///   version by each node of a pattern, instead of overwriting each other for ever.
    /// - After a restart, the versions in the store whose origin is this node's name take the place of the previous snapshot.
    /// - A pattern that was deleted, and that is unchanged in the snapshot, is not written again until the gossiper is opened
    ///   anew. A pattern that was deleted and has changed is written.
    /// - Where the store has several versions by this node, as after a backup was restored, one write replaces them.
    /// - [`GossiperConfig::input`](super::GossiperConfig::input) says what is normalised. A pattern that is not valid is
    ///   refused, and the others are written. Of two patterns with one id the first counts.
    /// - What came out of a [view](crate::view) is refused; see [`VIEW_MARK`](crate::VIEW_MARK).
    ///
    /// All changes are one transaction, ordered by the importance of their [hints](Self::hint) and then by id, deletes last.
    /// The engine pushes the first [`max_pushes`](anti_entropy::GossipConfig::max_pushes) at once and leaves the others to
    /// the rounds.
    ///
    /// O(size of the snapshot) to compare bytes. It hashes, encodes and writes only what changed since the last rebuild,
    /// here or at a peer. All of it is done in this call: where others wait for the engine, as on the engine's thread, a large
    /// snapshot is better written in steps, by a [`SnapshotReporter`](super::SnapshotReporter) or by
    /// [`begin_rebuild`](Self::begin_rebuild).
    ///
    /// # Errors
    /// As for [`Replica::commit`](anti_entropy::Replica::commit), above all if the store fails or a record is
    /// damaged. Nothing was written, unless the error says that the store may have kept the change. The next rebuild starts
    /// from the same previous snapshot and the same hints.
    pub fn rebuild_with(
        &mut self,
        snapshot: &impl SnapshotSource,
        vanished: Vanished,
        now: Now,
    ) -> Result<Rebuilt, Error> {
        while !self.own.follow(self.engine.replica_mut(), usize::MAX)? {}
        let known = |key| {
            self.own.patterns.get(&key).map(|own| match own.stored {
                Stored::Several => Known::Once(&own.pattern),
                Stored::Once | Stored::Gone => Known::Held(&own.pattern),
            })
        };
        let prepared = self.rules.prepare(snapshot, known);
        self.begin_rebuild(prepared, vanished);
        loop {
            match self.step(usize::MAX, now) {
                Ok(RebuildProgress::Finished(rebuilt)) => return Ok(rebuilt),
                Ok(RebuildProgress::Ongoing) => {}
                Ok(RebuildProgress::Idle) => return Ok(Rebuilt::default()),
                Err(error) => {
                    self.hints =
                        self.ongoing.take().map_or_else(|| Hints::new(self.max_hints), |ongoing| ongoing.hints);
                    return Err(error);
                }
            }
        }
    }

    /// Begins a rebuild in steps, each of which [`continue_rebuild`](Self::continue_rebuild) makes. A rebuild that has begun
    /// earlier and is not finished is dropped: what it has written stays, and this one makes up for the rest.
    ///
    /// For [`rebuild_with`](Self::rebuild_with) the snapshot is one transaction. Here each step is one, so that a reader, or a
    /// peer, may see some patterns of the new snapshot beside some of the old one. That is what a replica sees of other nodes
    /// anyway: patterns do not depend on each other, and each is whole.
    pub fn begin_rebuild(&mut self, snapshot: PreparedSnapshot, vanished: Vanished) {
        self.rebuilds += 1;
        let hints = std::mem::replace(&mut self.hints, Hints::new(self.max_hints));
        self.ongoing = Some(Ongoing::new(self.rebuilds, snapshot, vanished, hints));
    }

    /// Makes the next step of the rebuild that [`begin_rebuild`](Self::begin_rebuild) has begun: reads, compares and writes at
    /// most [`max_step`](super::GossiperConfig::max_step) changed patterns.
    ///
    /// # Errors
    /// As for [`rebuild_with`](Self::rebuild_with). What earlier steps have written stays; this step wrote nothing, unless the
    /// error says that the store may have kept the change. Go on to try the step again, or begin anew.
    pub fn continue_rebuild(&mut self, now: Now) -> Result<RebuildProgress, Error> {
        self.step(self.max_step.get(), now)
    }

    fn step(&mut self, limit: usize, now: Now) -> Result<RebuildProgress, Error> {
        let Some(mut ongoing) = self.ongoing.take() else { return Ok(RebuildProgress::Idle) };
        match self.advance(&mut ongoing, limit, now) {
            Ok(true) => Ok(RebuildProgress::Finished(self.finish(ongoing))),
            Ok(false) => {
                self.ongoing = Some(ongoing);
                Ok(RebuildProgress::Ongoing)
            }
            Err(error) => {
                self.ongoing = Some(ongoing);
                Err(error)
            }
        }
    }

    /// Returns whether nothing is left to do.
    fn advance(&mut self, ongoing: &mut Ongoing, limit: usize, now: Now) -> Result<bool, Error> {
        if !ongoing.followed {
            ongoing.followed = self.own.follow(self.engine.replica_mut(), limit)?;
            if ongoing.followed {
                self.compare(ongoing);
            }
        } else if ongoing.next < ongoing.work.len() {
            self.write_some(ongoing, limit, now)?;
        } else {
            return Ok(true);
        }
        Ok(false)
    }

    /// Compares the ids of the snapshot with those before: notes which patterns it has, and adds what has to be done with
    /// those that were refused or are gone.
    fn compare(&mut self, ongoing: &mut Ongoing) {
        ongoing.rebuilt.unchanged += ongoing.snapshot.unchanged.len();
        let changed = ongoing.snapshot.patterns.iter().map(|(key, _)| key);
        for key in changed.chain(&ongoing.snapshot.unchanged) {
            if let Some(known) = self.own.patterns.get_mut(key) {
                known.rebuild = ongoing.number;
            }
        }
        for refused in &ongoing.snapshot.refused {
            // Of two patterns with one id the first counts, and this may be the second.
            let known = self.own.patterns.get_mut(&refused.key).filter(|known| known.rebuild != ongoing.number);
            if let Some(known) = known {
                known.rebuild = ongoing.number;
                // The limits may be lower than when it was written. Then the versions stay.
                if known.stored == Stored::Several && self.rules.allow(&known.pattern) {
                    ongoing.work.push(Work::Unite(refused.key));
                }
            }
        }
        self.list_vanished(ongoing);
    }

    fn list_vanished(&self, ongoing: &mut Ongoing) {
        let vanished = self.own.patterns.iter().filter(|(_, own)| own.rebuild != ongoing.number);
        let mut listed: Vec<(&str, Work)> = Vec::new();
        for (key, own) in vanished.filter(|(_, own)| own.stored != Stored::Gone) {
            match ongoing.vanished {
                Vanished::Keep => {
                    ongoing.rebuilt.kept += 1;
                    if own.stored == Stored::Several && self.rules.allow(&own.pattern) {
                        listed.push((own.pattern.id(), Work::Unite(*key)));
                    }
                }
                Vanished::Delete => match self.rules.check_id(own.pattern.id()) {
                    Ok(()) => listed.push((own.pattern.id(), Work::Delete(*key))),
                    Err(invalid) => ongoing.snapshot.refused.push(Refused { key: *key, invalid, mark: 0 }),
                },
            }
        }
        listed.sort_unstable_by_key(|(id, _)| *id);
        ongoing.work.extend(listed.into_iter().map(|(_, work)| work));
        ongoing.snapshot.refused.sort_by(|a, b| a.invalid.id.cmp(&b.invalid.id));
    }

    /// Decides about the next patterns, and writes those of them that changed.
    fn write_some(&mut self, ongoing: &mut Ongoing, limit: usize, now: Now) -> Result<(), Error> {
        let (mut changes, mut unchanged, mut next) = (Vec::new(), 0, ongoing.next);
        let examined = next.saturating_add(limit.saturating_mul(EXAMINED_FOR_EACH_WRITTEN));
        while next < ongoing.work.len().min(examined) && changes.len() < limit {
            match self.decide(ongoing, ongoing.work[next]) {
                Some(change) => changes.push(change),
                None => unchanged += usize::from(matches!(ongoing.work[next], Work::Pattern(_))),
            }
            next += 1;
        }
        self.commit(ongoing, changes, now)?;
        ongoing.rebuilt.unchanged += unchanged;
        ongoing.next = next;
        Ok(())
    }

    fn decide(&mut self, ongoing: &Ongoing, work: Work) -> Option<Change> {
        match work {
            Work::Pattern(index) => {
                let (key, pattern) = &ongoing.snapshot.patterns[index];
                let unchanged = self.own.patterns.get_mut(key).is_some_and(|known| known.is_unchanged(pattern));
                (!unchanged).then(|| Change { key: *key, id: pattern.id.clone(), pattern: Some(pattern.clone()) })
            }
            Work::Unite(key) => {
                let known = &self.own.patterns.get(&key)?.pattern;
                Some(Change { key, id: known.id.clone(), pattern: Some(known.clone()) })
            }
            Work::Delete(key) => {
                let known = &self.own.patterns.get(&key)?.pattern;
                Some(Change { key, id: known.id.clone(), pattern: None })
            }
        }
    }

    /// Makes these changes together. Each replaces this node's versions only.
    fn commit(&mut self, ongoing: &mut Ongoing, changes: Vec<Change>, now: Now) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut transaction = Transaction::new();
        let mut others: Vec<Vec<Pattern>> = Vec::new();
        for change in &changes {
            let read = self.engine.replica().read(&change.id)?;
            let own = read.seen_where(|version| version.value.origin() == self.node.as_str());
            let versions = read.siblings().iter().map(|version| &version.value);
            others.push(versions.filter(|value| value.origin() != self.node.as_str()).cloned().collect());
            transaction = match &change.pattern {
                Some(pattern) => transaction.write_seen(pattern.clone(), &own),
                None => transaction.delete_seen(change.id.clone(), &own),
            };
        }
        let before = self.engine.replica_mut().summary();
        // What is pushed first is what matters most; the rest of a rebuild is left to the rounds.
        let written = if ongoing.written < self.max_pushes {
            self.engine.commit(transaction, now)?
        } else {
            self.engine.replica_mut().commit(transaction, now)?
        };
        ongoing.written += written.len();
        let after = self.engine.replica_mut().summary();
        let keys: Vec<KeyHash> = changes.iter().map(|change| change.key).collect();
        for (change, others) in changes.into_iter().zip(&others) {
            if let Some(pattern) = change.pattern {
                ongoing.rebuilt.written += 1;
                self.own.wrote(change.key, pattern, others, ongoing.number);
            } else {
                ongoing.rebuilt.deleted += 1;
                self.own.deleted(change.key, others);
            }
        }
        self.own.stored(keys, &before, after);
        Ok(())
    }

    fn finish(&mut self, ongoing: Ongoing) -> Rebuilt {
        let Ongoing { number, snapshot, mut rebuilt, written, .. } = ongoing;
        self.own.rebuilt(number);
        self.generation += u64::from(written > 0);
        self.last_snapshot = Some(snapshot.generated_at);
        (rebuilt.normalised, rebuilt.clamped) = (snapshot.normalised, snapshot.clamped);
        rebuilt.refused = self.refusals.replace(&snapshot.refused);
        rebuilt.generation = self.generation;
        rebuilt
    }
}

/// To look at a pattern that has not changed costs far less than to write one that has: some 0.3 us against 20 us.
const EXAMINED_FOR_EACH_WRITTEN: usize = 16;

/// A rebuild that is not finished.
pub(super) struct Ongoing {
    number: u64,
    snapshot: PreparedSnapshot,
    vanished: Vanished,
    pub(super) hints: Hints,
    /// Whether all changes of the store have been read.
    followed: bool,
    work: Vec<Work>,
    /// Where in `work` to continue.
    next: usize,
    /// How many writes and deletes were committed.
    written: usize,
    rebuilt: Rebuilt,
}

/// What is to be looked at.
#[derive(Clone, Copy)]
enum Work {
    /// A pattern of the snapshot, by its index.
    Pattern(usize),
    /// A pattern that stays as it is, but of which the store has several versions by this node.
    Unite(KeyHash),
    /// A pattern that is to be deleted.
    Delete(KeyHash),
}

impl Ongoing {
    fn new(number: u64, snapshot: PreparedSnapshot, vanished: Vanished, hints: Hints) -> Self {
        let mut patterns: Vec<(u64, usize)> =
            snapshot.patterns.iter().map(|(_, pattern)| hints.rank_of(pattern.id())).zip(0..).collect();
        // Those without a hint stay in the order of their ids.
        patterns.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
        let work = patterns.into_iter().map(|(_, index)| Work::Pattern(index)).collect();
        let rebuilt = Rebuilt::default();
        Self { number, snapshot, vanished, hints, followed: false, work, next: 0, written: 0, rebuilt }
    }
}

impl OwnPattern {
    /// Whether a rebuild has nothing to write, since the snapshot has the pattern as the previous one had it.
    fn is_unchanged(&mut self, pattern: &Pattern) -> bool {
        let unchanged = self.stored != Stored::Several && self.pattern == *pattern;
        let share = |a: &[u8], b: &[u8]| std::ptr::eq(a, b);
        if unchanged && !share(self.pattern.embedding.part().as_bytes(), pattern.embedding.part().as_bytes()) {
            // From the store, after a restart: from here on the two share one embedding, which is fast to compare.
            self.pattern.clone_from(pattern);
        }
        unchanged
    }
}

/// A change of one of this node's patterns.
struct Change {
    key: KeyHash,
    id: String,
    /// `None` deletes.
    pattern: Option<Pattern>,
}
