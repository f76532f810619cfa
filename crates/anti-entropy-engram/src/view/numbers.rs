//! Numbers that stand for patterns and episodes inside a view.
//!
//! A number is used again after its pattern or episode is gone. Results must not depend on the order of the numbers.

/// A pattern's number.
pub(super) type Slot = usize;

/// An episode's number.
pub(super) type Episode = usize;
