//! How the components of embeddings are stored and sent.

use serde::{Deserialize, Serialize};

/// How embeddings are stored and sent. A pattern is encoded once, where it enters the space, so that all replicas hold the
/// same bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Encoding {
    /// Four bytes a component, without loss.
    #[default]
    F32,
    /// Two bytes a component: IEEE 754 binary16, rounded to nearest, ties to even. A component changes by at most 2⁻¹¹ of
    /// its value (0.05 %), or by 2⁻²⁵ if it is smaller than 2⁻¹⁴. A component of magnitude 65520 or more would become
    /// infinite, and its pattern is refused.
    F16,
    /// One byte a component and four for the step: 8-bit scalar quantisation, to the nearest of 255 steps between minus and
    /// plus the largest magnitude. A component changes by at most half a step, which is 1/254 (0.4 %) of the embedding's
    /// largest magnitude, and by 2⁻²³ of that for the rounding of `f32`. If the largest magnitude is below 2⁻¹¹⁹, steps
    /// become coarse; below 2⁻¹⁴³ every component becomes 0. `f32::MAX` is refused, since 127 steps of it would become
    /// infinite.
    I8,
}

impl Encoding {
    /// The number that is hashed and sent for it.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::I8 => 2,
        }
    }

    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::F32),
            1 => Some(Self::F16),
            2 => Some(Self::I8),
            _ => None,
        }
    }
}
