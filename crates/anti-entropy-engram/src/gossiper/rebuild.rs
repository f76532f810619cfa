//! Taking a snapshot of consolidation into the space.

use std::cmp::Reverse;
use std::collections::HashSet;

use anti_entropy::clock::Now;
use anti_entropy::{Error, ReplicaConfig, Replicated, Transaction};
use postcard::experimental::serialized_size;

use super::ConsolidationGossiper;
use super::own::{OwnPattern, OwnPatterns, Stored};
use crate::{ConsolidationSnapshot, Field, InvalidPattern, Pattern, Problem, SemanticPattern, Space};

/// What a rebuild does with patterns of this node that are not in the snapshot any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vanished {
    /// They stay: consolidation sees a window of episodes, and what lies outside of it is not wrong.
    #[default]
    Keep,
    /// This node's own versions are deleted, those of other nodes stay.
    Delete,
}

/// What a rebuild did.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Rebuilt {
    /// How many patterns were written: those that are new or changed, and those of which the store held several versions of
    /// this node.
    pub written: usize,
    /// How many are as they were in the previous snapshot; also those that somebody deleted since.
    pub unchanged: usize,
    /// How many vanished from the snapshot, and were deleted.
    pub deleted: usize,
    /// How many vanished from the snapshot, and stay.
    pub kept: usize,
    /// What was left out. What was held of these patterns stays.
    pub refused: Vec<InvalidPattern>,
    /// How many rebuilds have changed something since the gossiper was opened, this one included.
    pub generation: u64,
}

impl ConsolidationGossiper {
    /// Takes in a snapshot of this node's consolidation, and keeps what vanished from it:
    /// [`rebuild_with`](Self::rebuild_with)[`(Vanished::Keep)`](Vanished::Keep).
    ///
    /// # Errors
    /// As for [`rebuild_with`](Self::rebuild_with).
    pub fn rebuild_from_snapshot(&mut self, snapshot: &ConsolidationSnapshot, now: Now) -> Result<Rebuilt, Error> {
        self.rebuild_with(snapshot, Vanished::Keep, now)
    }

    /// Takes in a snapshot of this node's consolidation: writes what it says otherwise than this node's previous snapshot.
    ///
    /// - It is compared with *this node's previous snapshot*, not with what others wrote, and only this node's own versions
    ///   are replaced. So nodes that consolidate differently come to rest, with at most one version a node at each pattern,
    ///   instead of overwriting each other for ever.
    /// - After a restart the previous snapshot is what the store holds of this node, by its name.
    /// - A pattern that somebody deleted, and that the snapshot has as before, is not written again; after a restart it
    ///   is. One that the snapshot has otherwise than before is.
    /// - Where the store holds several versions of this node, as after a backup was restored, one takes their place.
    /// - An invalid pattern is left out, and nothing else; of two with one id, the first counts.
    ///
    /// All changes are one transaction, in the order of the [hints](Self::hint) and then of the ids. Of these, the first
    /// [`max_pushes`](anti_entropy::GossipConfig::max_pushes) are pushed at once, and the others left to the rounds.
    ///
    /// O(size of the snapshot) to compare bytes; hashing, encoding and writing only for what changed, here or at a peer,
    /// since the last rebuild.
    ///
    /// # Errors
    /// As for [`Replica::commit`](anti_entropy::Replica::commit), above all if the store fails or a record is
    /// damaged. Unless the store may have kept the change all the same, nothing was written. The next rebuild starts from
    /// the same previous snapshot, and from the same hints.
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

    /// The changes, each in place of this node's own versions.
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

/// What has to change at a pattern of this node.
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

/// What has to change so that the space has what a snapshot says.
struct Plan<'a> {
    space: &'a Space,
    node: &'a str,
    limits: &'a ReplicaConfig,
    changes: Vec<Change>,
    rebuilt: Rebuilt,
}

impl<'a> Plan<'a> {
    fn new(space: &'a Space, node: &'a str, limits: &'a ReplicaConfig) -> Self {
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
                let problem = Problem::Repeated { value: pattern.id.clone() };
                self.rebuilt.refused.push(InvalidPattern { id: pattern.id.clone(), field: Field::Id, problem });
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

    /// The pattern as it would be written, if it can be.
    fn check(&self, pattern: &SemanticPattern) -> Result<Pattern, InvalidPattern> {
        self.check_id(&pattern.id)?;
        let checked = Pattern::new(pattern, self.node, self.space)?;
        self.check_len(&checked)?;
        Ok(checked)
    }

    /// Refuses an id that is too long: it would make the whole transaction fail, of deletes too.
    fn check_id(&self, id: &str) -> Result<(), InvalidPattern> {
        let (bytes, limit) = (serialized_size(id).expect("a string serialises"), self.limits.max_key_bytes);
        if bytes <= limit {
            return Ok(());
        }
        let problem = Problem::TooLong { bytes, limit, setting: "max_key_bytes" };
        Err(InvalidPattern { id: id.to_owned(), field: Field::Id, problem })
    }

    /// Refuses a pattern that is too long: it would make the whole transaction fail.
    fn check_len(&self, pattern: &Pattern) -> Result<(), InvalidPattern> {
        let (bytes, limit) = (pattern.encode().len_bytes(), self.limits.max_value_bytes);
        if bytes <= limit {
            return Ok(());
        }
        let [embedding, episodes] =
            [pattern.embedding.part(), pattern.episodes.part()].map(|part| part.as_bytes().len());
        let field = if episodes > embedding { Field::SourceEpisodes } else { Field::Embedding };
        let problem = Problem::TooLong { bytes, limit, setting: "max_value_bytes" };
        Err(InvalidPattern { id: pattern.id.clone(), field, problem })
    }

    /// Writes the last of several own versions in place of all.
    fn unite(&mut self, last: &Pattern) {
        // The limits may be lower than when it was written; the versions stay then.
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
