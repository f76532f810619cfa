//! Discovery: finding where two replicas differ.
//!
//! [`strategy`] chooses the way that takes the fewest bytes. [`search`] goes that way, and returns a stream of
//! [`Difference`](crate::summary::Difference)s.

mod search;
mod strategy;

pub(crate) use search::{Progress, Search, Sketching};
pub(crate) use strategy::{OwnCells, end_of_whole_batch, first_cells, holds_little, max_sketch_cells};
