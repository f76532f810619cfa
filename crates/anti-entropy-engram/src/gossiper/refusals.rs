//! Which refusals were told already.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use super::prepare::Refused;
use crate::InvalidPattern;

/// The refusals that stand: those of the last snapshot, as far as they were told.
#[derive(Debug)]
pub(super) struct Refusals {
    most: usize,
    /// What was told of an id: the sum of its marks, whatever their order.
    told: HashMap<String, u64>,
    /// How many stand, told or not.
    standing: usize,
}

impl Refusals {
    pub(super) fn new(most: NonZeroUsize) -> Self {
        Self { most: most.get(), told: HashMap::new(), standing: 0 }
    }

    /// How many refusals stand.
    pub(super) fn standing(&self) -> usize {
        self.standing
    }

    /// Takes the refusals of a snapshot, ordered by id, in place of those before. Returns those that were not told yet, or
    /// that have changed; of ids beyond the limit none, until there is room.
    pub(super) fn replace(&mut self, refused: &[Refused]) -> Vec<InvalidPattern> {
        self.standing = refused.len();
        let before = std::mem::take(&mut self.told);
        let mut news = Vec::new();
        for of_id in refused.chunk_by(|a, b| a.invalid.id == b.invalid.id).take(self.most) {
            let mark = of_id.iter().fold(0, |sum: u64, refused| sum.wrapping_add(refused.mark));
            let id = &of_id[0].invalid.id;
            if before.get(id) != Some(&mark) {
                // However often an id is repeated, it is told a few times.
                news.extend(of_id.iter().take(MOST_OF_AN_ID).map(|refused| refused.invalid.clone()));
            }
            self.told.insert(id.clone(), mark);
        }
        news
    }
}

/// How many refusals of one id are told: that of the pattern, and that of a repetition.
const MOST_OF_AN_ID: usize = 2;
