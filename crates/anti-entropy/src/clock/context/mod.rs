mod codec;
mod digest;
mod holes;
mod raised;
mod tally;
#[cfg(test)]
mod tests;

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use crate::clock::{CounterExhausted, Dot, RangeClocks, ReplicaId, ReplicaIdTaken, VectorClock};
use crate::{KeyHash, KeyRange};

pub use digest::ContextHash;
pub(crate) use holes::Fill;
use raised::Index;
pub(crate) use raised::{Base, Raised};
pub(crate) use tally::Tally;

/// The writes that a replica has seen: a [`VectorClock`] for each range of key hashes.
///
/// Normally a context has one piece, for all key hashes. An interrupted transfer leaves two pieces: in the range that
/// arrived, more has been seen than in the rest. A context only ever grows. Neighbouring pieces are merged if their
/// clocks are *equal*, and only then. The maximum of two unequal clocks would claim writes that have not been seen,
/// which then count as deleted. Their minimum would forget deletes, and deleted values would come back.
///
/// A *hole* is a single key hash at which less has been seen than in the piece around it: what a peer holds at that key
/// could not be taken in, and everything else was. Holes are kept beside the pieces, and do not count as such.
///
/// The replica's own counter is kept once, outside the pieces, since a replica has seen all its own writes at every
/// key. So an own write changes no piece. No piece names the own id.
///
/// A clone shares the pieces, and costs O(1).
///
/// Causal contexts are from Almeida, Shoker, Baquero, "Delta State Replicated Data Types" (2018). One clock for each
/// range is an addition of this framework, so that a transfer can be applied in parts.
///
/// ```
/// use anti_entropy::clock::{Context, ReplicaId};
/// use anti_entropy::{KeyHash, KeyRange};
///
/// let mut alice = Context::new(ReplicaId::from_u128(1));
/// let mut bob = Context::new(ReplicaId::from_u128(2));
/// let write = alice.mint()?;
///
/// // Bob takes in the lower half of the space only.
/// let middle = KeyHash::from_u128(1 << 127);
/// let lower = KeyRange::new(KeyHash::MIN, Some(middle)).unwrap();
/// bob.join(&alice.pieces(&lower));
/// assert!(bob.covers(KeyHash::MIN, write) && !bob.covers(middle, write));
/// assert_eq!(bob.cuts().collect::<Vec<_>>(), [middle]);
///
/// // With the rest the pieces become equal, and one.
/// bob.join(&alice.pieces(&KeyRange::ALL));
/// assert_eq!(bob.pieces_len(), 1);
/// # Ok::<(), anti_entropy::clock::CounterExhausted>(())
/// ```
#[derive(Clone, Debug)]
pub struct Context {
    own: ReplicaId,
    counter: u64,
    /// Ascending, the first at the lowest hash, neighbours unequal, without the own id.
    pieces: Arc<Vec<Piece>>,
    /// Ascending. Each is a piece of its own for a single hash, with less in its clock than the piece before it has, or
    /// else the one behind it.
    holes: Arc<Vec<Piece>>,
    /// Of the pieces and holes as they are here.
    index: Arc<Index>,
    /// What was pushed lately, and is not in the pieces yet.
    raised: Raised,
}

/// What has been seen from `start` to where the next piece starts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Piece {
    start: KeyHash,
    clock: Arc<VectorClock>,
}

impl Context {
    /// The context of a new replica, which has neither made nor seen any write.
    pub fn new(own: ReplicaId) -> Self {
        Self::of(own, 0, vec![Piece { start: KeyHash::MIN, clock: Arc::default() }])
    }

    /// The context with these pieces, which ascend from the lowest hash.
    fn of(own: ReplicaId, counter: u64, pieces: Vec<Piece>) -> Self {
        let (pieces, holes, index) = (Arc::new(pieces), Arc::default(), Arc::default());
        let mut context = Self { own, counter, pieces, holes, index, raised: Raised::default() };
        context.fold();
        context
    }

    /// The id under which this replica writes.
    pub const fn own_id(&self) -> ReplicaId {
        self.own
    }

    /// The number of dots that have been made under the own id.
    pub const fn own_counter(&self) -> u64 {
        self.counter
    }

    /// Makes the dot of the next own write, and covers it at every key.
    ///
    /// # Errors
    /// [`CounterExhausted`] if the own counter has its greatest value. Nothing is changed then.
    pub fn mint(&mut self) -> Result<Dot, CounterExhausted> {
        let counter = self.counter.checked_add(1).ok_or(CounterExhausted { replica: self.own })?;
        self.counter = counter;
        Ok(Dot { replica: self.own, counter })
    }

    /// Whether the write named by `dot` has been seen at the key with this hash. Logarithmic in the number of pieces.
    pub fn covers(&self, at: KeyHash, dot: Dot) -> bool {
        dot.counter <= self.counter(at, dot.replica)
    }

    /// The highest counter of `replica` that has been seen at this hash, or 0. Logarithmic.
    pub fn counter(&self, at: KeyHash, replica: ReplicaId) -> u64 {
        if replica == self.own {
            return self.counter;
        }
        self.raised.of(replica, self.piece_at(at).clock.get(replica))
    }

    /// Whether `dot` is exactly the next one of its writer at the key with this hash, as a pushed write must be.
    pub fn is_next(&self, at: KeyHash, dot: Dot) -> bool {
        self.counter(at, dot.replica).checked_add(1) == Some(dot.counter)
    }

    /// The highest counter of `replica` that has been seen at any key. Linear in the number of pieces.
    pub fn max_counter(&self, replica: ReplicaId) -> u64 {
        if replica == self.own {
            return self.counter;
        }
        self.pieces.iter().map(|piece| self.raised.of(replica, piece.clock.get(replica))).max().unwrap_or(0)
    }

    /// The same for the replica whose id begins with these eight bytes. Linear in the counters of all pieces.
    pub(crate) fn max_counter_of_first_eight(&self, first_eight: u64) -> u64 {
        let settled = self.settled();
        let seen = settled.pieces.iter().flat_map(|piece| piece.clock.iter()).chain([(self.own, self.counter)]);
        seen.filter(|(replica, _)| replica.first_eight() == first_eight).map(|(_, counter)| counter).max().unwrap_or(0)
    }

    /// The clock at this hash, with the own counter. Copies a clock, and the pieces if writes were pushed lately.
    pub fn clock_at(&self, at: KeyHash) -> VectorClock {
        self.with_own(&self.settled().piece_at(at).clock)
    }

    /// The clock of all keys, with the own counter, if there is a single piece and no hole. Copies a clock.
    pub fn whole_clock(&self) -> Option<VectorClock> {
        match self.settled().pieces.as_slice() {
            [piece] if self.holes.is_empty() => Some(self.with_own(&piece.clock)),
            _ => None,
        }
    }

    /// The clocks of `range`, with the own counter, as a batch of this range has them. Each hole is a piece there.
    ///
    /// Copies the clock of each piece inside the range.
    pub fn pieces(&self, range: &KeyRange) -> RangeClocks {
        let all = self.unfolded();
        let (first, end) = (holding(&all, range.lo()), starting_from(&all, range.hi()));
        let mut pieces = vec![(range.lo(), self.with_own(&all[first].clock))];
        let further = all.iter().take(end).skip(first + 1);
        pieces.extend(further.map(|piece| (piece.start, self.with_own(&piece.clock))));
        RangeClocks::from_valid(*range, pieces)
    }

    /// Covers what `clock` has seen, inside `range` and nowhere else.
    ///
    /// The caller must have taken in everything that the clock covers in the range, deletes included. The clock's
    /// counter of the own id is ignored. If it is higher than the own counter, the id is in use twice, and the caller
    /// must have [renamed](Self::rename) this replica before. Linear in the counters of the pieces inside the range,
    /// and in the number of pieces.
    pub fn join_range(&mut self, range: &KeyRange, clock: &VectorClock) {
        self.join_ranges([(*range, clock)].into_iter());
    }

    /// Covers what a peer has seen in a range: each clock inside its piece, as [`join_range`](Self::join_range) does.
    pub fn join(&mut self, clocks: &RangeClocks) {
        self.join_ranges(clocks.iter());
    }

    /// Covers what a peer has seen in some ranges, as [`join_range`](Self::join_range) does for each.
    pub(crate) fn join_ranges<'a>(&mut self, clocks: impl Iterator<Item = (KeyRange, &'a VectorClock)>) {
        self.settle();
        self.unfold();
        for (range, clock) in clocks {
            self.raise_range(&range, clock);
        }
        self.fold();
    }

    /// Covers a pushed write or delete at the key with this hash, if it [is the next one](Self::is_next) of its writer
    /// there.
    ///
    /// Returns whether it was the next one. If not, nothing is changed, and the push must not be applied. The caller
    /// has to check that the context covers everything that the write replaces.
    ///
    /// Other pieces cover the write too if they lack exactly this dot: its key lies elsewhere, so that nothing is
    /// missing from them. Where earlier writes are missing, they would be covered without having been seen.
    ///
    /// A dot of the own id is never covered this way. O(log n) in the number of pieces and counters, except for one in 4
    /// to 64 calls, which is linear in the counters, and while there are holes or pieces for a single hash.
    ///
    /// ```
    /// use anti_entropy::KeyHash;
    /// use anti_entropy::clock::{Context, Dot, ReplicaId};
    ///
    /// let mut context = Context::new(ReplicaId::from_u128(1));
    /// let writer = ReplicaId::from_u128(2);
    /// assert!(!context.raise(KeyHash::MIN, Dot { replica: writer, counter: 2 }), "the first is missing");
    /// assert!(context.raise(KeyHash::MIN, Dot { replica: writer, counter: 1 }));
    /// assert!(context.raise(KeyHash::MIN, Dot { replica: writer, counter: 2 }));
    /// ```
    pub fn raise(&mut self, at: KeyHash, dot: Dot) -> bool {
        if dot.replica == self.own || !self.is_next(at, dot) {
            return false;
        }
        self.note_raise(dot);
        true
    }

    /// Continues under a new id. The old id becomes that of a writer whose writes have been seen at every key.
    ///
    /// # Errors
    /// [`ReplicaIdTaken`] if the new id is the present one or has been seen in any piece. Nothing is changed then.
    pub fn rename(&mut self, new: ReplicaId) -> Result<(), ReplicaIdTaken> {
        self.renounce(new, self.counter)
    }

    /// Continues under a new id, and keeps of the old one only the writes up to `kept`: the later ones count as never
    /// seen. The caller must give another name to those of them that it still holds. Not beyond the own counter.
    pub(crate) fn renounce(&mut self, new: ReplicaId, kept: u64) -> Result<(), ReplicaIdTaken> {
        if new == self.own || self.names(new) {
            return Err(ReplicaIdTaken { replica: new });
        }
        // The old id is in no piece, so this makes no unequal neighbours equal.
        let kept = kept.min(self.counter);
        self.settle();
        if kept > 0 {
            let pieces = Arc::make_mut(&mut self.pieces).iter_mut();
            for piece in pieces.chain(Arc::make_mut(&mut self.holes)) {
                Arc::make_mut(&mut piece.clock).set(self.own, kept);
            }
            self.index();
        }
        (self.own, self.counter) = (new, 0);
        Ok(())
    }

    /// Goes on from a later own counter, which is kept apart since every own write changes it. Never goes back.
    pub(crate) fn resume(&mut self, counter: u64) {
        self.counter = self.counter.max(counter);
    }

    /// The number of replicas that the context names. O(1).
    pub fn replicas_len(&self) -> usize {
        self.others_len() + usize::from(self.counter > 0)
    }

    /// The number of replicas that the context would name if these, too, had made a write.
    pub(crate) fn replicas_len_with(&self, others: impl Iterator<Item = ReplicaId>) -> usize {
        let mut has_own = self.counter > 0;
        let others = others.inspect(|replica| has_own |= *replica == self.own);
        let others = self.other_replicas_with(others);
        others + usize::from(has_own)
    }

    /// The number of pieces, at least one. Holes are not counted.
    pub fn pieces_len(&self) -> usize {
        self.settled().pieces.len()
    }

    /// The hashes at which one piece ends and the next starts, in ascending order.
    pub fn cuts(&self) -> impl ExactSizeIterator<Item = KeyHash> + use<> {
        let starts = self.settled().pieces.iter().skip(1).map(|piece| piece.start).collect::<Vec<_>>();
        starts.into_iter()
    }

    /// How many pieces a join of this range could add: 0, 1 or 2. Logarithmic.
    pub fn would_cut(&self, range: &KeyRange) -> usize {
        [Some(range.lo()), range.hi()].into_iter().flatten().filter(|&at| !self.is_start(at)).count()
    }

    /// How many pieces a [`join`](Self::join) of these clocks could add.
    ///
    /// It adds fewer if neighbouring clocks become equal.
    pub fn would_cut_by(&self, clocks: &RangeClocks) -> usize {
        let starts = clocks.iter().map(|(range, _)| range.lo());
        starts.chain(clocks.range().hi()).filter(|&at| !self.is_start(at)).count()
    }

    /// At most how many counters the context would have after a [`join`](Self::join) of these clocks.
    pub(crate) fn counters_with(&self, clocks: &RangeClocks) -> usize {
        let pieces = self.pieces.len().saturating_add(self.would_cut_by(clocks));
        pieces.saturating_mul(self.other_replicas_with(clocks.replicas()))
    }

    /// The number of replicas that the context would name after a [`join`](Self::join) of these clocks.
    ///
    /// The own id counts once it has made a write. Linear in the counters of the clocks, times a logarithm.
    pub fn replicas_with(&self, clocks: &RangeClocks) -> usize {
        self.replicas_with_all(clocks.replicas())
    }

    fn replicas_with_all(&self, others: impl Iterator<Item = ReplicaId>) -> usize {
        self.other_replicas_with(others) + usize::from(self.counter > 0)
    }

    /// The number of replicas but for the own one, with these.
    fn other_replicas_with(&self, others: impl Iterator<Item = ReplicaId>) -> usize {
        let mut new: Vec<_> = others.filter(|&replica| replica != self.own && !self.names(replica)).collect();
        new.sort_unstable();
        new.dedup();
        self.others_len() + new.len()
    }

    /// Whether this context has seen everything that `other` has, at every key.
    ///
    /// Linear in the number of pieces of both, times the number of replicas.
    pub fn includes(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.unfolded(), other.unfolded());
        let mut starts = mine.iter().chain(theirs.iter()).map(|piece| piece.start);
        starts.all(|at| self.clock_at(at).includes(&other.clock_at(at)))
    }

    /// Raises the pieces inside `range`, cutting those that reach out of it. May leave equal neighbours.
    fn raise_range(&mut self, range: &KeyRange, clock: &VectorClock) {
        // A range that is empty can be decoded, though not built.
        if range.hi().is_some_and(|hi| hi <= range.lo()) {
            return;
        }
        let mut seen = clock.clone();
        seen.set(self.own, 0);
        let (first, end) = (holding(&self.pieces, range.lo()), starting_from(&self.pieces, range.hi()));
        if self.pieces[first..end].iter().all(|piece| piece.clock.includes(&seen)) {
            return;
        }
        let first = self.cut(range.lo());
        let end = range.hi().map_or(self.pieces.len(), |hi| self.cut(hi));
        for piece in &mut Arc::make_mut(&mut self.pieces)[first..end] {
            piece.join(&seen);
        }
    }

    /// Makes a piece start at `at`, and returns its index.
    fn cut(&mut self, at: KeyHash) -> usize {
        let holding = holding(&self.pieces, at);
        if self.pieces[holding].start == at {
            return holding;
        }
        let clock = Arc::clone(&self.pieces[holding].clock);
        Arc::make_mut(&mut self.pieces).insert(holding + 1, Piece { start: at, clock });
        holding + 1
    }

    /// Merges equal neighbours, and only equal ones.
    fn coalesce(&mut self) {
        Arc::make_mut(&mut self.pieces).dedup_by(|next, kept| {
            plant!(coalesce(&mut kept.clock, &next.clock));
            next.clock == kept.clock
        });
    }

    fn is_start(&self, at: KeyHash) -> bool {
        self.pieces.binary_search_by_key(&at, |piece| piece.start).is_ok()
    }

    fn with_own(&self, clock: &VectorClock) -> VectorClock {
        let mut clock = clock.clone();
        clock.set(self.own, self.counter);
        clock
    }
}

/// Of what has been seen, whether it is noted in the pieces or beside them.
impl PartialEq for Context {
    fn eq(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.settled(), other.settled());
        (mine.own, mine.counter) == (theirs.own, theirs.counter)
            && mine.pieces == theirs.pieces
            && mine.holes == theirs.holes
    }
}

impl Eq for Context {}

impl Hash for Context {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let settled = self.settled();
        (settled.own, settled.counter, &settled.pieces, &settled.holes).hash(state);
    }
}

/// The index of the piece that holds `at`: there is one, since the first starts at the lowest hash.
fn holding(pieces: &[Piece], at: KeyHash) -> usize {
    pieces.partition_point(|piece| piece.start <= at).saturating_sub(1)
}

/// The index of the first piece that starts at `end` or behind it; `None` is the top.
fn starting_from(pieces: &[Piece], end: Option<KeyHash>) -> usize {
    end.map_or(pieces.len(), |end| pieces.partition_point(|piece| piece.start < end))
}

impl Piece {
    fn join(&mut self, seen: &VectorClock) {
        plant!(join_piece(&mut self.clock, seen));
        if !self.clock.includes(seen) {
            Arc::make_mut(&mut self.clock).join(seen);
        }
    }
}
