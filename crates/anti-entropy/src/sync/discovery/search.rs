//! How an opener finds differences, and those that it has found so far.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use super::strategy::{is_dearer_than_trees, max_sketch_cells};
use crate::KeyHash;
use crate::replica::{Replica, Replicated};
use crate::summary::compare::{Ask, Comparison};
use crate::summary::sketch::{Chunk, DecodeStatus, Decoder, DecoderLimits, Encoder, MAX_CELLS, cells_for};
use crate::summary::{Difference, Snapshot, Width};
use crate::sync::SessionConfig;

/// How often more cells are asked for, before trees are compared: an honest sketch is rarely asked for three times.
const MAX_REQUESTS: u32 = 8;

/// The way in which differences are found.
#[derive(Clone, Debug, Hash)]
pub(crate) enum Search {
    /// A sketch is decoded from the answerer's cells.
    Sketch(Box<Sketching>),
    /// Trees are compared.
    Trees(Comparison),
    /// All differences are known. Those that have not been taken yet, in order.
    Found(VecDeque<Difference>),
    /// No differences are looked for, since batches list all entries. `entries` is how many entries the answerer says
    /// it holds.
    Bulk { entries: u64 },
}

impl Search {
    /// Of nothing: all is known.
    pub(crate) fn nothing() -> Self {
        Self::Found(VecDeque::new())
    }

    /// By comparing trees, which begins with an answer about all of the space.
    pub(crate) fn trees(ours: Snapshot, width: Width) -> Self {
        Self::Trees(Comparison::new(ours, width))
    }

    /// The next differences that were found, as many as are wanted, and up to where all are known.
    pub(crate) fn take(&mut self, wanted: usize) -> (Vec<Difference>, Option<KeyHash>) {
        match self {
            Self::Trees(comparison) => {
                let found = comparison.take_found(None, wanted);
                (found, comparison.resolved_up_to())
            }
            Self::Found(found) => (found.drain(..wanted.min(found.len())).collect(), None),
            Self::Sketch(_) => (Vec::new(), Some(KeyHash::MIN)),
            Self::Bulk { .. } => (Vec::new(), None),
        }
    }

    /// Whether there is nothing more to be asked.
    pub(crate) fn is_complete(&self) -> bool {
        match self {
            Self::Sketch(_) => false,
            Self::Trees(comparison) => comparison.is_complete(),
            Self::Found(_) | Self::Bulk { .. } => true,
        }
    }

    /// What to ask next of the answerer's tree.
    pub(crate) fn next_ask(&mut self, max_prefixes: usize) -> Option<Ask> {
        match self {
            Self::Trees(comparison) => comparison.next_ask(max_prefixes),
            _ => None,
        }
    }

    /// How many differences are known and were not taken yet.
    pub(crate) fn waiting(&self) -> u64 {
        match self {
            Self::Found(found) => found.len() as u64,
            _ => 0,
        }
    }

    pub(crate) fn is_bulk(&self) -> bool {
        matches!(self, Self::Bulk { .. })
    }

    /// The last range had no entries: the next batch may cover twice as much. So the session ends, whatever number the
    /// answerer gave.
    pub(crate) fn skip_faster(&mut self) {
        if let Self::Bulk { entries } = self {
            *entries /= 2;
        }
    }
}

/// An opener's sketch, while it takes in the answerer's cells.
#[derive(Clone, Debug)]
pub(crate) struct Sketching {
    decoder: Decoder,
    /// What the answerer was asked for: to the index behind the last cell.
    asked: usize,
    requests: u32,
}

/// How far a sketch has come.
#[derive(Debug)]
pub(crate) enum Progress {
    /// All that differs is known.
    Found(Vec<Difference>),
    /// More cells are needed.
    Ask { start: u32, count: u32 },
    /// Trees have to be compared.
    Failed,
}

impl Sketching {
    /// `asked` is how many cells the answerer was told that it may send.
    pub(crate) fn new<V: Replicated>(
        ours: Snapshot,
        asked: usize,
        replica: &Replica<V>,
        config: &SessionConfig,
    ) -> Self {
        // One more than is ever asked for: at its own limit, a decoder fails even if the next answer would complete it.
        let max_cells = max_sketch_cells(replica, config).saturating_add(1).min(MAX_CELLS);
        let limits =
            DecoderLimits::default().with(|limits| (limits.max_cells, limits.max_symbols) = (max_cells, max_cells));
        let decoder = Decoder::new(Encoder::new(ours), limits).expect("1 to MAX_CELLS cells are allowed");
        Self { decoder, asked, requests: 0 }
    }

    /// Takes in cells. `None` if they are not those that were asked for.
    pub(crate) fn handle_chunk<V: Replicated>(
        &mut self,
        chunk: &Chunk,
        replica: &mut Replica<V>,
        config: &SessionConfig,
    ) -> Option<Progress> {
        let before = self.decoder.cells();
        if chunk.start() != before || chunk.end() > self.asked {
            return None;
        }
        replica.provide_cells(self.decoder.ours_mut(), chunk.end());
        Some(match self.decoder.handle_chunk(chunk) {
            DecodeStatus::Complete => self.found(),
            // A peer that has no more cells to give.
            DecodeStatus::NeedsMore { .. } if chunk.end() == before => Progress::Failed,
            DecodeStatus::NeedsMore { cells } => self.ask(cells, max_sketch_cells(replica, config), replica.len()),
            DecodeStatus::Failed(_) => Progress::Failed,
        })
    }

    fn ask(&mut self, cells: usize, max: usize, entries: u64) -> Progress {
        let start = self.decoder.cells();
        let end = start.saturating_add(cells);
        self.requests += 1;
        // A decoder that knows little does not ask for all at once.
        let in_all = end.max(cells_for(self.decoder.estimate()));
        if in_all > max || self.requests > MAX_REQUESTS || is_dearer_than_trees(in_all - start, entries) {
            return Progress::Failed;
        }
        self.asked = end;
        match (u32::try_from(start), u32::try_from(cells)) {
            (Ok(start), Ok(count)) => Progress::Ask { start, count },
            _ => Progress::Failed,
        }
    }

    fn found(&self) -> Progress {
        match self.decoder.differences() {
            Ok(differences) => Progress::Found(differences),
            Err(_) => Progress::Failed,
        }
    }
}

impl Hash for Sketching {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.decoder.hash_state(state);
        (self.asked, self.requests).hash(state);
    }
}
