//! Decoding: finding the symbols that only one side has.

use alloc::collections::{BinaryHeap, VecDeque};
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::hash::{Hash, Hasher};
use core::{fmt, mem};

use sha2::Sha256;

use crate::{ConfigError, Difference, HashFunction};

use super::MAX_CELLS;
use super::cell::{Cell, ONE};
use super::chunk::Chunk;
use super::decoded::{DecodeFailure, DecodedSymbol, Side};
use super::differences::differences;
use super::encoder::Encoder;
use super::estimate::{Estimator, cells_by_progress, cells_for};
use super::symbol::{Indices, Symbol};

/// How much a [`Decoder`] does at most, whatever cells a peer sends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecoderLimits {
    /// How many cells are taken in at most, each of which costs about 120 bytes of memory. 2^17 by default, which find
    /// 48,000 changed keys. From 1 to [`MAX_CELLS`].
    pub max_cells: usize,
    /// How many symbols are read off at most. 2^17 by default; at least 1. There are never more symbols than cells.
    pub max_symbols: usize,
    /// How many cells are touched at most, for each cell that was taken in. 64 by default; at least 1. Decoding *d* honest
    /// symbols touches about 2 ln *d* cells for each, which is 20 if there are 27,000.
    pub max_steps_per_cell: u32,
}

impl DecoderLimits {
    /// The same settings with some changed.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Checks every field's range. What takes limits calls this.
    ///
    /// # Errors
    /// The first field that is out of its range, with its value and its bound.
    pub fn validate(&self) -> Result<(), ConfigError> {
        ConfigError::at_least("max_cells", self.max_cells, 1)?;
        ConfigError::at_most("max_cells", self.max_cells, MAX_CELLS)?;
        ConfigError::at_least("max_symbols", self.max_symbols, 1)?;
        ConfigError::at_least("max_steps_per_cell", self.max_steps_per_cell, 1)
    }
}

impl Default for DecoderLimits {
    fn default() -> Self {
        Self { max_cells: 1 << 17, max_symbols: 1 << 17, max_steps_per_cell: 64 }
    }
}

/// How far decoding has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum DecodeStatus {
    /// All cells are empty: the symbols that were found are the difference of the two sets.
    ///
    /// This is certain enough to act on, but no proof. Cell 0 is the sum of all symbols, so that symbols which were
    /// missed would have to sum up to zero, with their checksums. That happens by chance once in 2^144 cases; a peer
    /// can make it happen on purpose. Compare the roots of the two sets in the end.
    Complete,
    /// More cells are needed, from the index after the last one on.
    NeedsMore {
        /// About how many, at least one. Estimated from the number of empty cells and the counts of the others.
        cells: usize,
    },
    /// Decoding failed. What was found may be wrong, and more cells do not help: compare the trees.
    Failed(DecodeFailure),
}

/// Takes in the cells of a peer's sketch, chunk by chunk, and finds the symbols that only one of the two sides has.
///
/// Decoding is *peeling*. If count and checksum of a cell show that it holds a single symbol, that symbol is read off
/// and removed from all cells that it falls into, including those that have not arrived yet. Only cells that were
/// touched are looked at again, so that d symbols take O(d log d) steps in all.
///
/// In honest cells nothing is left where a symbol was read off. If such a cell is touched again, the cells are forged,
/// and decoding fails. So no symbol is read off twice, and there are never more symbols than cells.
///
/// See the [module](super) for an example.
#[derive(Clone)]
pub struct Decoder<D = Sha256> {
    ours: Encoder<D>,
    limits: DecoderLimits,
    /// Own cells less the peer's, less what was found.
    cells: Vec<Cell>,
    states: Vec<State>,
    /// Cells to be looked at.
    queue: VecDeque<u32>,
    found: Vec<DecodedSymbol>,
    /// What was found and is in cells to come.
    waiting: BinaryHeap<Waiting>,
    /// Cells in which something is left.
    open: usize,
    steps: u64,
    estimator: Estimator,
    failure: Option<DecodeFailure>,
    /// Indices of the symbol at hand; kept for its memory.
    touched: Vec<usize>,
}

/// What there is to do about a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Queued,
    /// A symbol was read off, so that nothing may be left.
    Spent,
}

/// A symbol that is to be taken out of a cell to come.
#[derive(Clone, Debug)]
struct Waiting {
    indices: Indices,
    symbol: Symbol,
    checksum: u16,
    sign: u8,
}

impl<D: HashFunction> Decoder<D> {
    /// A decoder that finds the difference between a peer's set and that of `ours`.
    ///
    /// # Errors
    /// If a limit is out of its range.
    pub fn new(ours: Encoder<D>, limits: DecoderLimits) -> Result<Self, ConfigError> {
        limits.validate()?;
        Ok(Self {
            ours,
            limits,
            cells: Vec::new(),
            states: Vec::new(),
            queue: VecDeque::new(),
            found: Vec::new(),
            waiting: BinaryHeap::new(),
            open: 0,
            steps: 0,
            estimator: Estimator::default(),
            failure: None,
            touched: Vec::new(),
        })
    }

    /// Takes in the next cells. Ignores cells that were taken in before, and all cells once decoding is
    /// [complete](DecodeStatus::Complete) or has failed.
    ///
    /// Computes as many own cells as the chunk reaches to. The caller must not hand in more cells than it asked the
    /// peer for.
    pub fn handle_chunk(&mut self, chunk: &Chunk) -> DecodeStatus {
        if !self.is_over() {
            self.failure = self.take_in(chunk).and_then(|()| self.peel()).err();
            if !self.is_over() && self.cells.len() >= self.limits.max_cells {
                self.failure = Some(DecodeFailure::TooManyCells);
            }
        }
        self.status()
    }

    /// How far decoding has come.
    pub fn status(&self) -> DecodeStatus {
        match self.failure {
            Some(failure) => DecodeStatus::Failed(failure),
            None if self.is_over() => DecodeStatus::Complete,
            None => DecodeStatus::NeedsMore { cells: self.cells_needed() },
        }
    }

    /// The number of cells that were taken in, which is the index of the next one that is needed.
    pub fn cells(&self) -> usize {
        self.cells.len()
    }

    /// The symbols found so far, in no particular order. They are all only once decoding is
    /// [complete](DecodeStatus::Complete).
    pub fn found(&self) -> &[DecodedSymbol] {
        &self.found
    }

    /// The differences found so far, in ascending order of the keys.
    ///
    /// O(d log d) for d symbols, and O(depth) for each.
    ///
    /// # Errors
    /// [`DecodeFailure::Inconsistent`] if a symbol contradicts the entries on this side,
    /// [`DecodeFailure::SharedPrefix`] if two keys cannot be told apart. Compare the trees then.
    pub fn differences(&self) -> Result<Vec<Difference>, DecodeFailure> {
        differences(&self.found, self.ours.snapshot(), self.ours.range())
    }

    /// The encoder of this side's cells.
    pub fn ours(&self) -> &Encoder<D> {
        &self.ours
    }

    /// The encoder of this side's cells, so that cells which were computed before can be [provided](Encoder::provide).
    pub fn ours_mut(&mut self) -> &mut Encoder<D> {
        &mut self.ours
    }

    /// Hashes the state that determines the decoder's behaviour from here on. For checkers that explore states.
    #[doc(hidden)]
    pub fn hash_state(&self, hasher: &mut impl Hasher) {
        (&self.cells, &self.found, self.failure).hash(hasher);
    }

    /// An estimate, from the cells so far, of how many symbols the two sets differ in.
    pub fn estimate(&self) -> usize {
        self.estimator.symbols().max(self.found.len())
    }

    fn is_over(&self) -> bool {
        self.failure.is_some() || (self.open == 0 && !self.cells.is_empty())
    }

    /// At least a sixteenth of what there is, and no fewer than what is little beside a round trip, so that an estimate that
    /// is too low does not take many; at most eight times of what there is in all, so that one that is too high, by few
    /// cells, does not cost much.
    fn cells_needed(&self) -> usize {
        const WORTH_A_ROUND_TRIP: usize = 16;
        let received = self.cells.len();
        let by_progress = cells_by_progress(received, self.found.len());
        let least = (received / if by_progress.is_some() { 64 } else { 16 }).max(WORTH_A_ROUND_TRIP);
        let symbols = || self.estimator.symbols_at_most().max(self.found.len());
        let wanted = by_progress.unwrap_or_else(|| cells_for(symbols())).saturating_sub(received);
        let most = (7 * received).max(64);
        wanted.clamp(least, most).min(self.limits.max_cells.saturating_sub(received))
    }

    fn max_steps(&self) -> u64 {
        u64::from(self.limits.max_steps_per_cell).saturating_mul(self.cells.len() as u64)
    }

    /// Adds the chunk's cells that are new, less the own ones and what was found.
    fn take_in(&mut self, chunk: &Chunk) -> Result<(), DecodeFailure> {
        let start = self.cells.len();
        let known = start.checked_sub(chunk.start()).ok_or(DecodeFailure::Gap)?;
        let theirs = chunk.cells().get(known..).unwrap_or(&[]);
        let end = start + theirs.len();
        if end > self.limits.max_cells {
            return Err(DecodeFailure::TooManyCells);
        }
        for (index, (ours, theirs)) in (start..).zip(self.ours.cells(start..end).iter().zip(theirs)) {
            let difference = ours.minus(theirs);
            self.estimator.add(index, &difference);
            self.cells.push(difference);
        }
        self.states.resize(end, State::Idle);
        let max_steps = self.max_steps();
        while let Some(mut waiting) = self.waiting.peek_mut().filter(|waiting| waiting.indices.peek() < end) {
            self.steps += 1;
            if self.steps > max_steps {
                return Err(DecodeFailure::TooManySteps);
            }
            let Waiting { symbol, checksum, sign, .. } = *waiting;
            if let Some(cell) = waiting.indices.next().and_then(|index| self.cells.get_mut(index)) {
                cell.add(symbol, checksum, sign.wrapping_neg());
            }
        }
        for index in start..end {
            self.open += usize::from(!self.cells[index].is_zero());
            self.enqueue(index);
        }
        Ok(())
    }

    /// Has a cell looked at, if there may be one symbol left.
    fn enqueue(&mut self, index: usize) {
        if self.states[index] == State::Idle && self.cells[index].only().is_some() {
            self.states[index] = State::Queued;
            self.queue.extend(u32::try_from(index));
        }
    }

    /// Reads off symbols as long as there are cells that give one away.
    fn peel(&mut self) -> Result<(), DecodeFailure> {
        let max_steps = self.max_steps();
        while let Some(index) = self.queue.pop_front() {
            let index = index as usize;
            self.states[index] = State::Idle;
            let Some((symbol, sign, stated)) = self.cells[index].only() else { continue };
            let (checksum, mut indices) = symbol.spread();
            self.steps += 1;
            if checksum == stated {
                let mut touched = mem::take(&mut self.touched);
                touched.clear();
                while indices.peek() < self.cells.len() {
                    touched.extend(indices.next());
                }
                self.steps += touched.len() as u64;
                // What does not belong into this cell is several symbols that look like one.
                if touched.contains(&index) {
                    self.take_out(index, Waiting { indices, symbol, checksum, sign }, &touched)?;
                }
                self.touched = touched;
            }
            if self.steps > max_steps {
                return Err(DecodeFailure::TooManySteps);
            }
        }
        Ok(())
    }

    /// Takes a symbol that was read off at `index` out of all cells.
    fn take_out(&mut self, index: usize, found: Waiting, touched: &[usize]) -> Result<(), DecodeFailure> {
        if self.found.len() >= self.limits.max_symbols {
            return Err(DecodeFailure::TooManySymbols);
        }
        for &at in touched {
            if self.states[at] == State::Spent {
                return Err(DecodeFailure::Inconsistent);
            }
            let cell = &mut self.cells[at];
            let before = cell.is_zero();
            cell.add(found.symbol, found.checksum, found.sign.wrapping_neg());
            // One more that is open, or one less, or neither.
            self.open = self.open + usize::from(before) - usize::from(cell.is_zero());
            self.enqueue(at);
        }
        self.states[index] = State::Spent;
        let side = if found.sign == ONE { Side::Ours } else { Side::Theirs };
        self.found.push(DecodedSymbol { symbol: found.symbol, side });
        self.waiting.push(found);
        Ok(())
    }
}

impl<D> fmt::Debug for Decoder<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("cells", &self.cells.len())
            .field("open", &self.open)
            .field("found", &self.found.len())
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

/// Whoever is in the lowest cell comes first out of the heap.
impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        other.indices.peek().cmp(&self.indices.peek())
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}
