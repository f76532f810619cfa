//! Writing a snapshot of a node's consolidation into the space.

use std::cmp::Reverse;
use std::collections::HashSet;

use anti_entropy::clock::Now;
use anti_entropy::{Error, ReplicaConfig, Replicated, Transaction};
use postcard::experimental::serialized_size;

use super::consolidation_gossiper::ConsolidationGossiper;
use super::own::{OwnPattern, OwnPatterns, Stored};
use crate::{
    ConsolidationSnapshot, InvalidPattern, MemorySpace, Pattern, PatternField, PatternProblem, SemanticPattern,
};

/// What a rebuild does with this node's patterns that the snapshot no longer has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vanished {
    /// They stay: consolidation sees a window of episodes, and patterns from outside of it are not wrong.
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
    /// The patterns that were refused. Versions of them that are stored already stay.
    pub refused: Vec<InvalidPattern>,
    /// How many rebuilds have changed something since the gossiper was opened, this one included.
    pub generation: u64,
}

impl ConsolidationGossiper {
    /// Writes a snapshot of this node's consolidation, and keeps patterns that it no longer has:
    /// [`rebuild_with`](Self::rebuild_with) and [`Vanished::Keep`].
    ///
    /// # Errors
    /// As for [`rebuild_with`](Self::rebuild_with).
    pub fn rebuild_from_snapshot(&mut self, snapshot: &ConsolidationSnapshot, now: Now) -> Result<Rebuilt, Error> {
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
    /// - A pattern that is not valid is refused, and the others are written. Of two patterns with one id the first counts.
    ///
    /// All changes are one transaction, ordered by the importance of their [hints](Self::hint) and then by id. The engine
    /// pushes the first [`max_pushes`](anti_entropy::GossipConfig::max_pushes) at once and leaves the others to the
    /// rounds.
    ///
    /// O(size of the snapshot) to compare bytes. It hashes, encodes and writes only what changed since the last rebuild,
    /// here or at a peer.
    ///
    /// # Errors
    /// As for [`Replica::commit`](anti_entropy::Replica::commit), above all if the store fails or a record is
    /// damaged. Nothing was written, unless the error says that the store may have kept the change. The next rebuild starts
    /// from the same previous snapshot and the same hints.
    pub fn rebuild_with(
        &mut self,
        snapshot: &ConsolidationSnapshot,
        vanished: Vanished,
        now: Now,
    ) -> Result<Rebuilt, Error> {
        self.own.follow(self.engine.replica_mut())?;
        self.rebuilds += 1;
        let rebuild = self.rebuilds;
        let mut plan = Plan::new(&self.space, self.node.as_str(), self.engine.replica().config());
        plan.take(snapshot, &mut self.own, rebuild);
        plan.take_vanished(vanished, &self.own, rebuild);
        let Plan { mut changes, mut rebuilt, .. } = plan;
        changes.sort_by_cached_key(|change| (Reverse(self.hints.rank_of(change.id())), change.id().to_owned()));
        let transaction = self.transaction(&changes)?;
        let written = self.engine.commit(transaction, now)?;
        for change in changes {
            match change {
                Change::Write(pattern) => self.own.wrote(pattern, rebuild),
                Change::Delete(id) => self.own.deleted(&id),
            }
        }
        self.own.rebuilt(rebuild, self.engine.replica_mut());
        self.hints.clear();
        self.generation += u64::from(!written.is_empty());
        self.last_snapshot = Some(snapshot.generated_at);
        self.refused_patterns = rebuilt.refused.len();
        rebuilt.generation = self.generation;
        Ok(rebuilt)
    }

    /// The changes, each of which replaces this node's versions only.
    fn transaction(&self, changes: &[Change]) -> Result<Transaction<Pattern>, Error> {
        let mut transaction = Transaction::new();
        for change in changes {
            let id = change.id().to_owned();
            let read = self.engine.replica().read(&id)?;
            let own = read.seen_where(|version| version.value.origin() == self.node.as_str());
            transaction = match change {
                Change::Write(pattern) => transaction.write_seen(pattern.clone(), &own),
                Change::Delete(_) => transaction.delete_seen(id, &own),
            };
        }
        Ok(transaction)
    }
}

/// A change of one of this node's patterns.
enum Change {
    Write(Pattern),
    Delete(String),
}

impl Change {
    fn id(&self) -> &str {
        match self {
            Self::Write(pattern) => pattern.id(),
            Self::Delete(id) => id,
        }
    }
}

/// The changes that bring a snapshot into the space.
struct Plan<'a> {
    space: &'a MemorySpace,
    node: &'a str,
    limits: &'a ReplicaConfig,
    changes: Vec<Change>,
    rebuilt: Rebuilt,
}

impl<'a> Plan<'a> {
    fn new(space: &'a MemorySpace, node: &'a str, limits: &'a ReplicaConfig) -> Self {
        Self { space, node, limits, changes: Vec::new(), rebuilt: Rebuilt::default() }
    }

    fn take(&mut self, snapshot: &ConsolidationSnapshot, own: &mut OwnPatterns, rebuild: u64) {
        let mut new = HashSet::new();
        for pattern in &snapshot.patterns {
            let known = own.patterns.get_mut(&pattern.id);
            let repeated = match &known {
                Some(known) => known.rebuild == rebuild,
                None => !new.insert(pattern.id.as_str()),
            };
            if repeated {
                let problem = PatternProblem::Repeated { value: pattern.id.clone() };
                self.rebuilt.refused.push(InvalidPattern { id: pattern.id.clone(), field: PatternField::Id, problem });
            } else {
                self.take_pattern(pattern, known, rebuild);
            }
        }
    }

    fn take_pattern(&mut self, pattern: &SemanticPattern, known: Option<&mut OwnPattern>, rebuild: u64) {
        let mut several = None;
        if let Some(known) = known {
            known.rebuild = rebuild;
            if known.stored == Stored::Often {
                several = Some(known);
            } else if known.says(pattern, self.space) {
                self.rebuilt.unchanged += 1;
                return;
            }
        }
        match (self.check(pattern), several) {
            (Ok(pattern), _) => self.write(pattern),
            (Err(invalid), several) => {
                self.rebuilt.refused.push(invalid);
                if let Some(several) = several {
                    self.unite(&several.pattern);
                }
            }
        }
    }

    /// The pattern in its replicated form, if it is valid and short enough.
    fn check(&self, pattern: &SemanticPattern) -> Result<Pattern, InvalidPattern> {
        self.check_id(&pattern.id)?;
        let checked = Pattern::new(pattern, self.node, self.space)?;
        self.check_len(&checked)?;
        Ok(checked)
    }

    /// Refuses an id that is too long. In a transaction it would make all changes fail, even if it is deleted.
    fn check_id(&self, id: &str) -> Result<(), InvalidPattern> {
        let (bytes, limit) = (serialized_size(id).expect("a string serialises"), self.limits.max_key_bytes);
        if bytes <= limit {
            return Ok(());
        }
        let problem = PatternProblem::TooLong { bytes, limit, setting: "max_key_bytes" };
        Err(InvalidPattern { id: id.to_owned(), field: PatternField::Id, problem })
    }

    /// Refuses a pattern that is too long. In a transaction it would make all changes fail.
    fn check_len(&self, pattern: &Pattern) -> Result<(), InvalidPattern> {
        let (bytes, limit) = (pattern.encode().len_bytes(), self.limits.max_value_bytes);
        if bytes <= limit {
            return Ok(());
        }
        let [embedding, episodes] =
            [pattern.embedding.part(), pattern.episodes.part()].map(|part| part.as_bytes().len());
        let field = if episodes > embedding { PatternField::SourceEpisodes } else { PatternField::Embedding };
        let problem = PatternProblem::TooLong { bytes, limit, setting: "max_value_bytes" };
        Err(InvalidPattern { id: pattern.id.clone(), field, problem })
    }

    /// Replaces several versions by this node by the latest of them.
    fn unite(&mut self, last: &Pattern) {
        // The limits may be lower than when it was written. Then the versions stay.
        if self.check_id(last.id()).and_then(|()| self.check_len(last)).is_ok() {
            self.write(last.clone());
        }
    }

    fn write(&mut self, pattern: Pattern) {
        self.rebuilt.written += 1;
        self.changes.push(Change::Write(pattern));
    }

    fn take_vanished(&mut self, vanished: Vanished, own: &OwnPatterns, rebuild: u64) {
        let vanished_now = |own: &&OwnPattern| own.rebuild != rebuild && own.stored != Stored::Gone;
        for own in own.patterns.values().filter(vanished_now) {
            match vanished {
                Vanished::Keep => {
                    self.rebuilt.kept += 1;
                    if own.stored == Stored::Often {
                        self.unite(&own.pattern);
                    }
                }
                Vanished::Delete => match self.check_id(own.pattern.id()) {
                    Ok(()) => {
                        self.rebuilt.deleted += 1;
                        self.changes.push(Change::Delete(own.pattern.id.clone()));
                    }
                    Err(invalid) => self.rebuilt.refused.push(invalid),
                },
            }
        }
    }
}
