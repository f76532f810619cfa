//! Keeping the first cells of a changing set up to date.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU32;
use core::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{ConfigError, Difference, Fingerprint, KeyHash, KeyRange};

use super::MAX_CELLS;
use super::cell::{Cell, MINUS_ONE, ONE, toggle};
use super::symbol::{Symbol, prefix_u64};

/// How many cells a [`Sketch`] keeps: `min_cells`, doubled as often as the number of entries and `max_cells` allow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SketchConfig {
    /// The fewest cells, however few entries there are. 64 by default, which take 1.5 KB and find about 40 symbols: small
    /// stores seldom differ in more. At most `max_cells`.
    pub min_cells: NonZeroU32,
    /// The most cells, however many entries there are. 2^15 by default, which take 786 KB and find 10,000 changed keys. For
    /// more, an [`Encoder`](super::Encoder) reads all entries once for each doubling. At most [`MAX_CELLS`].
    pub max_cells: NonZeroU32,
    /// How many entries there are for each cell at least, above `min_cells`. 30 by default: a cell takes 24 bytes, so that
    /// cells take up to 0.8 bytes an entry while entries are added, and up to 1.2 while they are removed.
    pub entries_per_cell: NonZeroU32,
}

impl Default for SketchConfig {
    fn default() -> Self {
        let some = |number| NonZeroU32::new(number).expect("it is not zero");
        Self { min_cells: some(64), max_cells: some(1 << 15), entries_per_cell: some(30) }
    }
}

impl SketchConfig {
    /// The same settings with some changed.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Checks every field's range, and the relations between fields. What takes a configuration calls this.
    ///
    /// # Errors
    /// The first field that is out of its range, with its value and its bound.
    pub fn validate(&self) -> Result<(), ConfigError> {
        ConfigError::at_most("max_cells", self.max_cells.get() as usize, MAX_CELLS)?;
        ConfigError::at_most_field("min_cells", self.min_cells, "max_cells", self.max_cells)
    }

    /// The number of cells for so many entries.
    fn cells(&self, entries: u64) -> usize {
        let wanted = (entries / u64::from(self.entries_per_cell.get())).min(self.max_cells.get().into());
        let mut cells = u64::from(self.min_cells.get());
        while 2 * cells <= wanted {
            cells *= 2;
        }
        usize::try_from(cells).expect("it is at most the greatest number of cells")
    }
}

/// The first cells of the sketch of a set, kept up to date while the set changes.
///
/// The cells depend on the set and their number alone, not on the order of changes. Their number grows with that of the
/// entries; see [`SketchConfig`]. New cells are computed little by little:
///
/// ```
/// use anti_entropy_summary::KeyHash;
/// use anti_entropy_summary::sketch::{Sketch, SketchConfig};
/// use anti_entropy_summary::{Fingerprint, MerkleTree};
///
/// let mut tree: MerkleTree = MerkleTree::new();
/// let mut sketch = Sketch::new(SketchConfig::default())?;
/// for number in 0..10_000 {
///     let (key, fingerprint) = (KeyHash::from_u128(number << 64), Fingerprint::from_bytes([3; 32]));
///     let before = tree.insert(key, fingerprint);
///     sketch.update(key, before, Some(fingerprint));
///     // Sixteen entries a change are enough to keep up.
///     if let Some(range) = sketch.missing() {
///         sketch.grow(tree.range(&range), 16);
///     }
/// }
/// assert_eq!(sketch.cells().len(), 256);
/// let afresh = Sketch::from_entries(&tree.snapshot(), SketchConfig::default())?;
/// assert_eq!(sketch.cells(), afresh.cells());
/// # Ok::<(), anti_entropy_summary::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Sketch {
    config: SketchConfig,
    cells: Vec<Cell>,
    entries: u64,
    growth: Option<Growth>,
}

/// Cells that are being made.
#[derive(Clone)]
struct Growth {
    /// Those behind the ones that there are, of the entries below `done`.
    cells: Vec<Cell>,
    done: KeyHash,
}

impl Sketch {
    /// The sketch of an empty set.
    ///
    /// # Errors
    /// If a setting is out of its range or contradicts another one.
    pub fn new(config: SketchConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let cells = vec![Cell::default(); config.cells(0)];
        Ok(Self { config, cells, entries: 0, growth: None })
    }

    /// The sketch of these entries, in which each key occurs once. O(n log m) for m cells.
    ///
    /// # Errors
    /// If a setting is out of its range or contradicts another one.
    pub fn from_entries<I>(entries: I, config: SketchConfig) -> Result<Self, ConfigError>
    where
        I: IntoIterator<Item = (KeyHash, Fingerprint), IntoIter: Clone>,
    {
        config.validate()?;
        let all = entries.into_iter();
        let entries = all.clone().count() as u64;
        let mut cells = vec![Cell::default(); config.cells(entries)];
        for (key, fingerprint) in all {
            toggle(&mut cells, 0, Symbol::new(key, fingerprint), ONE);
        }
        Ok(Self { config, cells, entries, growth: None })
    }

    /// The cells, from the first one on.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// The cells with these indices as they were before changes: `since` says at which keys the set now (`ours`) differs
    /// from the set then (`theirs`). No more than there [are](Self::cells).
    ///
    /// O(log m) for m cells, for each change.
    pub fn cells_before(&self, indices: Range<usize>, since: impl IntoIterator<Item = Difference>) -> Vec<Cell> {
        let end = indices.end.min(self.cells.len());
        let mut cells = self.cells.get(indices.start..end).unwrap_or(&[]).to_vec();
        for Difference { key, ours, theirs, .. } in since {
            let (ours, theirs) = (ours.map(prefix_u64), theirs.map(|theirs| theirs.prefix_u64()));
            for (fingerprint, sign) in [(ours, MINUS_ONE), (theirs, ONE)] {
                if let Some(fingerprint) = fingerprint {
                    let symbol = Symbol { key: key.prefix_u64(), fingerprint };
                    toggle(&mut cells, indices.start, symbol, sign);
                }
            }
        }
        cells
    }

    /// The number of entries.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Follows a change at a key: `before` is what the set held there, `after` what it holds now. O(log m) for m cells,
    /// for each of the two.
    ///
    /// `before` must be right, as what [`MerkleTree::insert`](crate::MerkleTree::insert) returns is. Otherwise
    /// the cells are those of no set from here on, and peers find differences that there are not.
    pub fn update(&mut self, key: KeyHash, before: Option<Fingerprint>, after: Option<Fingerprint>) {
        if before == after {
            return;
        }
        for (fingerprint, sign) in [(before, MINUS_ONE), (after, ONE)] {
            if let Some(fingerprint) = fingerprint {
                let symbol = Symbol::new(key, fingerprint);
                toggle(&mut self.cells, 0, symbol, sign);
                if let Some(growth) = self.growth.as_mut().filter(|growth| key < growth.done) {
                    toggle(&mut growth.cells, self.cells.len(), symbol, sign);
                }
            }
        }
        self.entries = self.entries.wrapping_add(u64::from(after.is_some())).wrapping_sub(u64::from(before.is_some()));
        self.resize();
    }

    /// The range of which entries are wanted for cells that are being made; `None` if there are enough cells.
    pub fn missing(&self) -> Option<KeyRange> {
        let growth = self.growth.as_ref()?;
        KeyRange::new(growth.done, None)
    }

    /// Takes at most `most` of the entries of the range that is [`missing`](Self::missing): all that the set holds
    /// there now, in ascending order. When they end, the new cells are there. O(log m) an entry.
    pub fn grow(&mut self, entries: impl IntoIterator<Item = (KeyHash, Fingerprint)>, most: usize) {
        let Some(growth) = &mut self.growth else { return };
        let mut entries = entries.into_iter();
        for _ in 0..most {
            let next = entries.next().and_then(|(key, fingerprint)| {
                toggle(&mut growth.cells, self.cells.len(), Symbol::new(key, fingerprint), ONE);
                key.to_u128().checked_add(1)
            });
            match next {
                Some(next) => growth.done = KeyHash::from_u128(next),
                None => return self.finish_growth(),
            }
        }
    }

    fn finish_growth(&mut self) {
        if let Some(mut growth) = self.growth.take() {
            self.cells.reserve_exact(growth.cells.len());
            self.cells.append(&mut growth.cells);
        }
        self.resize();
    }

    /// Drops half of the cells where there are far too many, begins to make as many again where there are too few.
    fn resize(&mut self) {
        let cells = self.cells.len();
        let wanted = self.config.cells(self.entries);
        // Half as many entries again as the cells were made for are missing before cells go, so that they do not come
        // and go with every change.
        if self.config.cells(self.entries.saturating_add(self.entries / 2)) < cells {
            self.cells.truncate(cells / 2);
            self.cells.shrink_to_fit();
            self.growth = None;
        } else if wanted > cells && self.growth.is_none() {
            self.growth = Some(Growth { cells: vec![Cell::default(); cells], done: KeyHash::MIN });
        }
    }
}

impl fmt::Debug for Sketch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sketch")
            .field("entries", &self.entries)
            .field("cells", &self.cells.len())
            .finish_non_exhaustive()
    }
}
