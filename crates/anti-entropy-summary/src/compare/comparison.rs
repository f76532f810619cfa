//! The asking side of a comparison.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};

use sha2::Sha256;
use thiserror::Error;

use crate::{Difference, HashFunction, KeyHash, KeyRange, Snapshot, TruncatedFingerprint, Width};

use super::answer::split;
use super::prefix::Prefix;
use super::wire::{Answer, Ask, MAX_LEVELS, MAX_LISTED, Part};

/// Why an answer was refused. The comparison has not changed, and the same question may be asked again; but a peer that
/// sends such an answer is broken or hostile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// No question is open.
    #[error("an answer came that was not asked for")]
    NotAsked,
    /// The answer is empty.
    #[error("an answer came that answers nothing")]
    Empty,
    /// The answer has more prefixes than the question.
    #[error("an answer came to {got} prefixes, but {asked} were asked for")]
    TooMany {
        /// The number of prefixes answered.
        got: usize,
        /// The number of prefixes asked for.
        asked: usize,
    },
    /// A list of entries is cut off, too long, out of order, or outside of its prefix.
    #[error("the entries listed in an answer are malformed")]
    Entries,
    /// The number of digests, or of the parts that they stand for, is wrong.
    #[error("the digests in an answer are malformed")]
    Digests,
}

/// Finds the keys whose fingerprints differ between a snapshot here and one at a peer.
///
/// [`next_ask`](Self::next_ask) returns the next question, [`handle_answer`](Self::handle_answer) takes its answer, and
/// [`take_found`](Self::take_found) returns the differences found so far. One question is open at a time; at the start
/// it is that for [`Prefix::ALL`]. Lower key hashes are asked for first, so that all differences are known up to
/// [`resolved_up_to`](Self::resolved_up_to).
///
/// Takes memory for O(prefixes asked at a time * depth), and for listed entries until they are taken. A peer can
/// prolong a comparison without end by inventing differences; the caller has to limit the round trips.
pub struct Comparison<D = Sha256> {
    snapshot: Snapshot<D>,
    width: Width,
    /// What is known to differ, or not known at all; no two overlap.
    pending: BTreeSet<Prefix>,
    /// The open question: some of `pending`, in ascending order.
    asked: Vec<Prefix>,
    /// What is known, by its start; no two overlap, none overlaps what is pending.
    resolved: BTreeMap<KeyHash, Resolved>,
}

/// A stretch of the space of which all entries of the peer are known. What differs there is worked out when it is
/// taken: the peer may have nothing where there are a million entries here.
#[derive(Clone, Hash)]
struct Resolved {
    end: Option<KeyHash>,
    theirs: Vec<(KeyHash, TruncatedFingerprint)>,
}

/// What one part of an answer means.
enum Outcome {
    Entries(Vec<(KeyHash, TruncatedFingerprint)>),
    Parts { differ: Vec<Prefix>, absent: Vec<Prefix> },
}

impl<D: HashFunction> Comparison<D> {
    /// A comparison whose open question is for [`Prefix::ALL`]; see [`first_answer`](super::first_answer).
    pub fn new(snapshot: Snapshot<D>, width: Width) -> Self {
        let asked = vec![Prefix::ALL];
        Self { snapshot, width, pending: BTreeSet::from([Prefix::ALL]), asked, resolved: BTreeMap::new() }
    }

    /// This side's snapshot.
    pub fn snapshot(&self) -> &Snapshot<D> {
        &self.snapshot
    }

    /// The next question, for at most `max_prefixes` prefixes (at least 1) of at most 18 bytes each. `None` if
    /// everything is known. Replaces the open question: its answer must not be handed in any more.
    pub fn next_ask(&mut self, max_prefixes: usize) -> Option<Ask> {
        self.asked = self.pending.iter().take(max_prefixes.max(1)).copied().collect();
        (!self.asked.is_empty()).then(|| Ask::new(self.asked.iter().copied(), self.width))
    }

    /// Takes the answer to the open question, and closes the question.
    ///
    /// # Errors
    /// If the answer does not fit the question. Nothing has changed then, and the question stays open.
    pub fn handle_answer(&mut self, answer: &Answer) -> Result<(), AnswerError> {
        let (got, asked) = (answer.parts.len(), self.asked.len());
        if asked == 0 {
            return Err(AnswerError::NotAsked);
        } else if got == 0 {
            return Err(AnswerError::Empty);
        } else if got > asked {
            return Err(AnswerError::TooMany { got, asked });
        }
        let outcomes: Vec<_> = self
            .asked
            .iter()
            .zip(answer.parts.iter())
            .map(|(prefix, part)| self.read(prefix, &part))
            .collect::<Result<_, _>>()?;
        for (prefix, outcome) in core::mem::take(&mut self.asked).into_iter().zip(outcomes) {
            self.pending.remove(&prefix);
            match outcome {
                Outcome::Entries(theirs) => self.resolve(&prefix, theirs),
                Outcome::Parts { differ, absent } => {
                    self.pending.extend(differ);
                    for prefix in &absent {
                        self.resolve(prefix, Vec::new());
                    }
                }
            }
        }
        Ok(())
    }

    /// The hash below which all differences are known; `None` if all are.
    pub fn resolved_up_to(&self) -> Option<KeyHash> {
        self.pending.first().map(Prefix::start)
    }

    /// Whether all differences are known.
    pub fn is_complete(&self) -> bool {
        self.pending.is_empty()
    }

    /// Takes at most `max` of the known differences below `up_to` (`None` for no bound), in ascending order. None of
    /// them lies at or above [`resolved_up_to`](Self::resolved_up_to).
    pub fn take_found(&mut self, up_to: Option<KeyHash>, max: usize) -> Vec<Difference> {
        let limit = lower_end(up_to, self.resolved_up_to());
        let mut found = Vec::new();
        while found.len() < max {
            let Some(first) = self.resolved.first_entry() else { break };
            if limit.is_some_and(|limit| limit <= *first.key()) {
                break;
            }
            let (start, resolved) = first.remove_entry();
            if let Some((start, rest)) = self.merge(start, resolved, limit, max, &mut found) {
                self.resolved.insert(start, rest);
            }
        }
        found
    }

    /// Compares a resolved stretch below `limit` until there are `max` differences, and returns what is left of it.
    fn merge(
        &self,
        start: KeyHash,
        mut resolved: Resolved,
        limit: Option<KeyHash>,
        max: usize,
        found: &mut Vec<Difference>,
    ) -> Option<(KeyHash, Resolved)> {
        let end = lower_end(resolved.end, limit);
        let mut ours = self.snapshot.range(&KeyRange::new(start, end)?).peekable();
        let mut taken = 0;
        let rest_from = loop {
            let their = resolved.theirs.get(taken).filter(|(key, _)| end.is_none_or(|end| *key < end));
            let (key, side) = match (ours.peek(), their) {
                (None, None) => break end,
                (Some((mine, _)), None) => (*mine, Ordering::Less),
                (None, Some((other, _))) => (*other, Ordering::Greater),
                (Some((mine, _)), Some((other, _))) => (*mine.min(other), mine.cmp(other)),
            };
            if found.len() >= max {
                break Some(key);
            }
            let theirs = their.filter(|_| side.is_ge()).map(|(_, fingerprint)| *fingerprint);
            taken += usize::from(side.is_ge());
            let ours = if side.is_le() { ours.next().map(|(_, fingerprint)| fingerprint) } else { None };
            let equal = ours.zip(theirs).is_some_and(|(ours, theirs)| theirs.matches(&ours));
            if !equal {
                found.push(Difference::at(key, ours, theirs));
            }
        };
        // Where both ends are the top there is no rest.
        let rest_from = rest_from.filter(|from| resolved.end.is_none_or(|end| *from < end))?;
        resolved.theirs.drain(..taken);
        Some((rest_from, resolved))
    }

    /// Notes that `theirs` is all that the peer has under a prefix.
    fn resolve(&mut self, prefix: &Prefix, theirs: Vec<(KeyHash, TruncatedFingerprint)>) {
        if !theirs.is_empty() || !self.snapshot.under(prefix.start(), prefix.bits()).is_empty() {
            self.resolved.insert(prefix.start(), Resolved { end: prefix.end(), theirs });
        }
    }

    /// Checks one part of an answer and says what it means.
    fn read(&self, prefix: &Prefix, part: &Part) -> Result<Outcome, AnswerError> {
        match part {
            Part::Entries(bytes) => read_entries(prefix, bytes, self.width).map(Outcome::Entries),
            Part::Digests { levels, empty, digests } => self.read_digests(prefix, *levels, *empty, digests),
        }
    }

    fn read_digests(&self, prefix: &Prefix, levels: u8, empty: u64, digests: &[u8]) -> Result<Outcome, AnswerError> {
        let possible = (Prefix::MAX_BITS - prefix.bits()) / 2;
        if levels == 0 || levels > MAX_LEVELS.min(possible) {
            return Err(AnswerError::Digests);
        }
        let parts = 1_usize << (2 * levels);
        let full = parts.saturating_sub(empty.count_ones() as usize);
        let beyond = u64::MAX.checked_shl(1 << (2 * levels)).unwrap_or(0);
        if empty & beyond != 0 || digests.len() != full * self.width.bytes() {
            return Err(AnswerError::Digests);
        }
        let mut digests = digests.chunks_exact(self.width.bytes());
        let (mut differ, mut absent) = (Vec::new(), Vec::new());
        let ours = split(self.snapshot.under(prefix.start(), prefix.bits()), prefix.bits(), levels);
        for (index, ours) in ours.into_iter().enumerate() {
            let part = prefix.descendant(levels, index).ok_or(AnswerError::Digests)?;
            if empty >> index & 1 == 1 {
                absent.push(part);
            } else {
                let theirs = digests.next().ok_or(AnswerError::Digests)?;
                if ours.is_empty() || !ours.digest::<D>().starts_with(theirs) {
                    differ.push(part);
                }
            }
        }
        Ok(Outcome::Parts { differ, absent })
    }
}

/// The entries that are listed for a prefix.
fn read_entries(
    prefix: &Prefix,
    bytes: &[u8],
    width: Width,
) -> Result<Vec<(KeyHash, TruncatedFingerprint)>, AnswerError> {
    let implied = prefix.whole_bytes();
    let key_bytes = KeyHash::LEN - implied;
    let entry_bytes = key_bytes + width.bytes();
    if !bytes.len().is_multiple_of(entry_bytes) || bytes.len() / entry_bytes > MAX_LISTED {
        return Err(AnswerError::Entries);
    }
    let entries: Vec<_> = bytes
        .chunks_exact(entry_bytes)
        .map(|entry| {
            let (tail, fingerprint) = entry.split_at(key_bytes);
            let mut key = prefix.start().to_bytes();
            key[implied..].copy_from_slice(tail);
            (KeyHash::from_bytes(key), TruncatedFingerprint::from_prefix(fingerprint, width))
        })
        .collect();
    let inside = entries.iter().all(|(key, _)| prefix.span().contains(*key));
    let ascending = entries.is_sorted_by(|a, b| a.0 < b.0);
    if inside && ascending { Ok(entries) } else { Err(AnswerError::Entries) }
}

/// The lower of two ends of ranges, of which `None` is the top.
fn lower_end(a: Option<KeyHash>, b: Option<KeyHash>) -> Option<KeyHash> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

impl<D> Clone for Comparison<D> {
    fn clone(&self) -> Self {
        Self {
            snapshot: self.snapshot.clone(),
            width: self.width,
            pending: self.pending.clone(),
            asked: self.asked.clone(),
            resolved: self.resolved.clone(),
        }
    }
}

impl<D> Hash for Comparison<D> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { snapshot, width, pending, asked, resolved } = self;
        (snapshot, width, pending, asked, resolved).hash(state);
    }
}

impl<D> fmt::Debug for Comparison<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Comparison")
            .field("snapshot", &self.snapshot)
            .field("width", &self.width)
            .field("pending", &self.pending.len())
            .field("resolved", &self.resolved.len())
            .finish_non_exhaustive()
    }
}
