//! Checking, normalising and encoding a snapshot, which needs no engine and so can be done on another thread.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use anti_entropy::{KeyHash, ReplicaConfig, Replicated};
use chrono::{DateTime, Utc};
use postcard::experimental::serialized_size;

use crate::pattern::Normalised;
use crate::{
    InputPolicy, InvalidPattern, MemorySpace, Pattern, PatternField, PatternProblem, PatternRef, SnapshotSource,
};

/// Prepares snapshots for a [`ConsolidationGossiper`](super::ConsolidationGossiper), on any thread: checks, normalises and
/// encodes what changed since the snapshot that it prepared last, so that the engine's thread only compares and writes.
///
/// It keeps the patterns of the last snapshot. They share their embeddings and episodes with what it returns, and with what
/// the gossiper keeps.
#[derive(Debug)]
pub struct SnapshotPreparer {
    rules: Rules,
    known: HashMap<KeyHash, Pattern>,
}

impl SnapshotPreparer {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, known: HashMap::new() }
    }

    /// Prepares a snapshot. O(size of the snapshot) to compare bytes; it encodes only what changed since the last call, and
    /// copies no embedding that did not.
    pub fn prepare(&mut self, snapshot: &impl SnapshotSource) -> PreparedSnapshot {
        let prepared = self.rules.prepare(snapshot, |key| self.known.get(&key).map(Known::Once));
        self.known = prepared.patterns.iter().map(|(key, pattern)| (*key, pattern.clone())).collect();
        prepared
    }
}

/// A snapshot that was checked, normalised and encoded. [`SnapshotPreparer::prepare`] makes it, and
/// [`begin_rebuild`](super::ConsolidationGossiper::begin_rebuild) takes it. Cheap to clone in relation to what it holds:
/// clones share embeddings and episodes.
#[derive(Clone, Debug)]
pub struct PreparedSnapshot {
    pub(super) generated_at: DateTime<Utc>,
    /// In ascending order of the ids, each once.
    pub(super) patterns: Vec<(KeyHash, Pattern)>,
    /// Those that are known to be as the gossiper holds them; see [`Known::Held`].
    pub(super) unchanged: Vec<KeyHash>,
    /// In ascending order of the ids.
    pub(super) refused: Vec<Refused>,
    pub(super) normalised: usize,
    pub(super) clamped: usize,
}

impl PreparedSnapshot {
    /// When the snapshot was made.
    pub fn generated_at(&self) -> DateTime<Utc> {
        self.generated_at
    }

    /// How many patterns are valid.
    pub fn len(&self) -> usize {
        self.patterns.len()
    }

    /// Whether no pattern is valid.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }
}

/// A pattern that was refused.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) key: KeyHash,
    pub(super) invalid: InvalidPattern,
    /// A hash of the refusal and of the pattern's fields: another one if either changes.
    pub(super) mark: u64,
}

/// What was held of a pattern before a snapshot.
#[derive(Clone, Copy)]
pub(super) enum Known<'a> {
    /// The gossiper holds it: if the snapshot says the same, there is nothing more to look at.
    Held(&'a Pattern),
    /// It was held once, or has to be written again in any case: if the snapshot says the same, this spares the encoding.
    Once(&'a Pattern),
}

/// What decides about a pattern.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) space: MemorySpace,
    /// The node that consolidates.
    pub(super) node: String,
    pub(super) limits: ReplicaConfig,
    pub(super) input: InputPolicy,
}

impl Rules {
    /// Prepares a snapshot. `known` gives what was held of a pattern before, which spares the encoding if it is unchanged.
    pub(super) fn prepare<'k>(
        &self,
        snapshot: &impl SnapshotSource,
        known: impl Fn(KeyHash) -> Option<Known<'k>>,
    ) -> PreparedSnapshot {
        let mut prepared = PreparedSnapshot {
            generated_at: snapshot.generated_at(),
            patterns: Vec::new(),
            unchanged: Vec::new(),
            refused: Vec::new(),
            normalised: 0,
            clamped: 0,
        };
        let mut seen = HashSet::new();
        for given in snapshot.patterns() {
            let key = KeyHash::of(given.id);
            let checked = if seen.insert(key) { self.check(given, known(key)) } else { Err(repeated(given.id)) };
            match checked {
                Ok((pattern, normalised)) => {
                    prepared.normalised += usize::from(normalised.episodes);
                    prepared.clamped += usize::from(normalised.numbers);
                    match pattern {
                        Some(pattern) => prepared.patterns.push((key, pattern)),
                        None => prepared.unchanged.push(key),
                    }
                }
                Err(invalid) => {
                    let mark = mark(&invalid, given);
                    prepared.refused.push(Refused { key, invalid, mark });
                }
            }
        }
        prepared.patterns.sort_unstable_by(|(_, a), (_, b)| a.id.cmp(&b.id));
        prepared.refused.sort_by(|a, b| a.invalid.id.cmp(&b.invalid.id));
        prepared
    }

    /// The pattern in its replicated form, if it is valid and short enough; `None` if the gossiper holds it unchanged.
    fn check(
        &self,
        given: PatternRef<'_>,
        known: Option<Known<'_>>,
    ) -> Result<(Option<Pattern>, Normalised), InvalidPattern> {
        let says = |pattern: &Pattern| pattern.says(given, &self.space, self.input);
        match known {
            Some(Known::Held(held)) => {
                if let Some(normalised) = says(held) {
                    return Ok((None, normalised));
                }
            }
            Some(Known::Once(once)) => {
                if let Some(normalised) = says(once) {
                    return Ok((Some(once.clone()), normalised));
                }
            }
            None => {}
        }
        self.check_id(given.id)?;
        let (pattern, normalised) = Pattern::from_input(given, &self.node, &self.space, self.input)?;
        self.check_len(&pattern)?;
        Ok((Some(pattern), normalised))
    }

    /// Whether a replica takes a write of this pattern.
    pub(super) fn allow(&self, pattern: &Pattern) -> bool {
        self.check_id(pattern.id()).and_then(|()| self.check_len(pattern)).is_ok()
    }

    /// Refuses an id that is too long. In a transaction it would make all changes fail, even if it is deleted.
    pub(super) fn check_id(&self, id: &str) -> Result<(), InvalidPattern> {
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
}

fn repeated(id: &str) -> InvalidPattern {
    let problem = PatternProblem::Repeated { value: id.to_owned() };
    InvalidPattern { id: id.to_owned(), field: PatternField::Id, problem }
}

fn mark(invalid: &InvalidPattern, given: PatternRef<'_>) -> u64 {
    let mut hash = DefaultHasher::new();
    // NaN is not equal to itself, but is written in one way.
    format!("{invalid:?}").hash(&mut hash);
    given.embedding.iter().for_each(|component| component.to_bits().hash(&mut hash));
    given.source_episodes.hash(&mut hash);
    (given.strength.to_bits(), given.schema_confidence.to_bits(), given.last_consolidated).hash(&mut hash);
    hash.finish()
}
