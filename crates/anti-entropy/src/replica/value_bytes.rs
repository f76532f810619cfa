//! Counting the bytes of values that are sent.

use core::iter::Sum;
use core::ops::{Add, AddAssign, Sub};

/// The bytes of some values, and how many of them belong to parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ValueBytes {
    pub(crate) all: u64,
    pub(crate) parts: u64,
}

impl ValueBytes {
    /// The bytes of a body and of these parts.
    pub(crate) fn of(body: &[u8], parts: impl Iterator<Item = usize>) -> Self {
        let parts = parts.sum::<usize>() as u64;
        Self { all: body.len() as u64 + parts, parts }
    }
}

impl Add for ValueBytes {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { all: self.all + other.all, parts: self.parts + other.parts }
    }
}

impl AddAssign for ValueBytes {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for ValueBytes {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { all: self.all - other.all, parts: self.parts - other.parts }
    }
}

impl Sum for ValueBytes {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}
