//! Writes that were pushed lately, beside the pieces: so a push costs the same whatever the pieces look like.
//!
//! A push adds one write to every piece that lacked just this one. To put it into the pieces would copy a clock each. Instead
//! it is noted here, and read along with the pieces; the pieces are left as they are, in memory as in the store. Once
//! there are many notes, all of them are put into the pieces at once.

use alloc::borrow::Cow;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::{Context, Piece, holes};
use crate::clock::growing::growing_vec;
use crate::clock::{Dot, ReplicaId};

/// Raises that are not in the pieces yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Raised(
    /// Ascending by replica; those of one replica in the order in which they were made.
    Vec<Run>,
);

/// Raises by consecutive counters of one replica, without another of this replica in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    replica: ReplicaId,
    first: u64,
    last: u64,
}

impl Run {
    /// What becomes of a piece's counter: it is raised from wherever it was within the run, or just before it.
    fn raises(&self, counter: u64) -> bool {
        self.first - 1 <= counter && counter < self.last
    }
}

/// The pieces of a context as they were when the last notes were put into them. Two contexts with the same base differ in
/// their notes and their own counters alone.
#[derive(Clone, Debug)]
pub(crate) struct Base {
    own: ReplicaId,
    pieces: Arc<Vec<Piece>>,
    holes: Arc<Vec<Piece>>,
}

impl Base {
    /// Whether the two are the same one, not only equal. O(1).
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.own == other.own && Arc::ptr_eq(&self.pieces, &other.pieces) && Arc::ptr_eq(&self.holes, &other.holes)
    }
}

impl Raised {
    /// At most so many notes are kept: each takes some 20 bytes in the store, at every push.
    const MAX: usize = 64;
    /// So many are kept however few counters there are.
    const MIN: usize = 4;

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What becomes of a piece's counter of `replica`. Logarithmic in the notes, and linear in those of this replica.
    pub(super) fn of(&self, replica: ReplicaId, counter: u64) -> u64 {
        let from = self.0.partition_point(|run| run.replica < replica);
        let runs = self.0[from..].iter().take_while(|run| run.replica == replica);
        runs.fold(counter, |counter, run| if run.raises(counter) { run.last } else { counter })
    }

    fn note(&mut self, dot: Dot) {
        let end = self.0.partition_point(|run| run.replica <= dot.replica);
        let last = end.checked_sub(1).and_then(|last| self.0.get_mut(last)).filter(|run| run.replica == dot.replica);
        match last {
            Some(run) if run.last.checked_add(1) == Some(dot.counter) => run.last = dot.counter,
            _ => self.0.insert(end, Run { replica: dot.replica, first: dot.counter, last: dot.counter }),
        }
    }

    /// The replicas that are named, each as often as it has notes, in ascending order.
    fn replicas(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        self.0.iter().map(|run| run.replica)
    }
}

/// Refuses what [`Raised`] cannot have been.
impl<'de> Deserialize<'de> for Raised {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let runs: Vec<Run> = growing_vec(deserializer)?;
        let ascending = runs.is_sorted_by(|a, b| a.replica <= b.replica);
        let is_sound = ascending && runs.iter().all(|run| 0 < run.first && run.first <= run.last);
        if is_sound { Ok(Self(runs)) } else { Err(de::Error::custom("notes of pushes are out of order")) }
    }
}

/// What the pieces name, collected once whenever they change.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// Ascending: the replicas that a piece or a hole names.
    replicas: Vec<ReplicaId>,
    /// Whether there is a hole, or a piece for a single hash, which a push elsewhere may make a hole of.
    has_single_hashes: bool,
}

impl Index {
    /// Linear in the counters of the pieces, and for each piece in the replicas.
    fn of(pieces: &[Piece], holes: &[Piece]) -> Self {
        let mut replicas: Vec<ReplicaId> = Vec::new();
        for piece in pieces.iter().chain(holes) {
            let mut known = replicas.iter().copied().peekable();
            let is_new = |replica: &ReplicaId| {
                while known.next_if(|known| known < replica).is_some() {}
                known.peek() != Some(replica)
            };
            let new: Vec<ReplicaId> = piece.clock.iter().map(|(replica, _)| replica).filter(is_new).collect();
            if !new.is_empty() {
                replicas.extend(new);
                replicas.sort_unstable();
            }
        }
        Self { replicas, has_single_hashes: !holes.is_empty() || holes::has_single_hashes(pieces) }
    }

    fn names(&self, replica: ReplicaId) -> bool {
        self.replicas.binary_search(&replica).is_ok()
    }
}

impl Context {
    /// The pieces as they are without the latest notes.
    pub(crate) fn base(&self) -> Base {
        Base { own: self.own, pieces: Arc::clone(&self.pieces), holes: Arc::clone(&self.holes) }
    }

    /// What was raised since.
    pub(crate) const fn raised(&self) -> &Raised {
        &self.raised
    }

    /// Adds notes that the store kept. `false` if they name the own id, which is never raised.
    pub(crate) fn resume_raised(&mut self, raised: Raised) -> bool {
        if raised.replicas().any(|replica| replica == self.own) {
            return false;
        }
        self.raised = raised;
        self.settle();
        true
    }

    /// Notes a push that is the next of its writer at its key. Logarithmic, but for every so many-th.
    pub(super) fn note_raise(&mut self, dot: Dot) {
        self.raised.note(dot);
        let most = (self.counters_len() / 2).clamp(Raised::MIN, Raised::MAX);
        // What has seen less than its neighbours may do so no longer, and what has not may now.
        if self.raised.0.len() > most || self.index.has_single_hashes {
            self.settle();
        }
    }

    /// Puts the notes into the pieces. Linear in the counters.
    pub(crate) fn settle(&mut self) {
        if self.raised.is_empty() {
            return;
        }
        self.unfold();
        let raised = core::mem::take(&mut self.raised);
        plant!(let raised = settled_notes(raised));
        let mut replicas: Vec<ReplicaId> = raised.replicas().collect();
        replicas.dedup();
        for piece in Arc::make_mut(&mut self.pieces) {
            for &replica in &replicas {
                let (before, after) = (piece.clock.get(replica), raised.of(replica, piece.clock.get(replica)));
                if before != after {
                    Arc::make_mut(&mut piece.clock).set(replica, after);
                }
            }
        }
        self.fold();
    }

    /// This context with all notes in its pieces.
    pub(super) fn settled(&self) -> Cow<'_, Self> {
        if self.raised.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut settled = self.clone();
        settled.settle();
        Cow::Owned(settled)
    }

    /// Collects what the pieces name, after they have changed.
    pub(super) fn index(&mut self) {
        self.index = Arc::new(Index::of(&self.pieces, &self.holes));
    }

    /// Whether a write of this replica has been seen at any key. Logarithmic.
    pub(crate) fn names(&self, replica: ReplicaId) -> bool {
        if replica == self.own {
            return self.counter > 0;
        }
        self.index.names(replica) || self.raised.replicas().any(|raised| raised == replica)
    }

    /// The number of other replicas times the number of pieces: at least the number of counters that comparing, sending and
    /// keeping the context takes. O(1).
    pub fn counters_len(&self) -> usize {
        self.others_len() * self.pieces.len()
    }

    /// The same if one more replica had made a write. O(1).
    pub(crate) fn counters_with_another(&self) -> usize {
        (self.others_len() + 1) * self.pieces.len()
    }

    /// The number of replicas but for the own one. O(1).
    pub(super) fn others_len(&self) -> usize {
        self.index.replicas.len() + self.raised_anew()
    }

    /// How many replicas are named in notes alone.
    fn raised_anew(&self) -> usize {
        let mut last = None;
        let is_new = |replica: &ReplicaId| last.replace(*replica) != Some(*replica) && !self.index.names(*replica);
        self.raised.replicas().filter(is_new).count()
    }
}
