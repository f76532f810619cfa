//! Keeping the tree and the sketch up to date with the store.

use super::{Replica, Replicated};
use crate::KeyHash;
use crate::summary::Fingerprint;
use crate::summary::sketch::Encoder;

impl<V: Replicated> Replica<V> {
    /// Has the summary follow a change at a key: `after` is what is held there now.
    pub(crate) fn summarise(&mut self, key: KeyHash, after: Option<Fingerprint>) {
        // So many entries a change are enough for new cells to be there before the store has doubled again.
        const GROWN_AT_A_TIME: usize = 16;
        plant!(summarise(after));
        let before = match after {
            Some(fingerprint) => self.tree.insert(key, fingerprint),
            None => self.tree.remove(key),
        };
        self.sketch.update(key, before, after);
        if let Some(range) = self.sketch.missing() {
            self.sketch.grow(self.tree.range(&range), GROWN_AT_A_TIME);
        }
    }

    /// Whether the kept cells are those of the entries that there are.
    #[cfg(test)]
    pub(crate) fn sketch_is_sound_for_test(&mut self) -> bool {
        let kept = self.cells_kept();
        self.sketch.cells() == Encoder::new(self.tree.snapshot()).cells(0..kept)
    }

    /// How many cells are kept: those further on take a pass over all entries.
    pub(crate) fn cells_kept(&self) -> usize {
        self.sketch.cells().len()
    }

    /// Provides the cells below `end` that are kept, less what has changed since the encoder's snapshot was taken.
    ///
    /// O(cells + changes · log n).
    pub(crate) fn provide_cells(&mut self, encoder: &mut Encoder, end: usize) {
        let (made, end) = (encoder.made(), end.min(self.cells_kept()));
        if made < end {
            let live = self.tree.snapshot();
            let cells = self.sketch.cells_before(made..end, live.diff(encoder.snapshot()));
            encoder.provide(&cells);
        }
    }
}
