//! Embeddings, in the bytes in which they are kept and sent.

use std::fmt;

use anti_entropy::value::{DecodeError, Part};
use half::f16;
use serde::{Deserialize, Serialize};

use crate::Problem;

/// How embeddings are kept and sent. It is chosen where a pattern enters the space, so that all replicas hold the same
/// bytes; nothing is encoded again on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Encoding {
    /// Four bytes a component, exactly as they were.
    #[default]
    F32,
    /// Two bytes a component: IEEE 754 binary16, to nearest, ties to even. A component changes by at most 2⁻¹¹ of itself
    /// (0.05 %), or 2⁻²⁵ if it is smaller than 2⁻¹⁴. From ±65520 on, which would be rounded to infinity, it is refused.
    F16,
    /// One byte a component and four for the step: 8-bit scalar quantisation, to the nearest of 255 steps between minus and
    /// plus the largest magnitude. A component changes by at most half a step, 1/254 (0.4 %) of the embedding's largest one,
    /// and 2⁻²³ of that for what `f32` rounds. If the largest one is smaller than 2⁻¹¹⁹, steps get coarse, and below
    /// 2⁻¹⁴³ nothing is left; `f32::MAX` itself is refused, since its 127 steps would be rounded to infinity.
    I8,
}

impl Encoding {
    /// What stands for it where it is hashed or sent.
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

/// A vector that says what a pattern means. Cheap to clone: clones share it.
///
/// Every component is a finite number. Bytes: docs/protocol.md, "Patterns".
#[derive(Clone, PartialEq, Eq)]
pub struct Embedding {
    encoding: Encoding,
    part: Part,
}

/// The largest magnitude of a quantised component.
const STEPS: i8 = 127;

impl Embedding {
    /// An embedding with these components. O(components)
    ///
    /// # Errors
    /// If there are none, or one of them is not finite or too large for the encoding.
    pub fn new(components: &[f32], encoding: Encoding) -> Result<Self, Problem> {
        if components.is_empty() {
            return Err(Problem::Empty);
        }
        let not_finite = components.iter().position(|component| !component.is_finite());
        if let Some(index) = not_finite {
            return Err(Problem::ComponentNotFinite { index, value: components[index] });
        }
        let mut bytes = Vec::new();
        encode(components, encoding, &mut bytes);
        let embedding = Self { encoding, part: bytes.into() };
        match embedding.to_vec().iter().position(|component| !component.is_finite()) {
            Some(index) => Err(Problem::ComponentTooLarge { index, value: components[index] }),
            None => Ok(embedding),
        }
    }

    /// The embedding that these bytes are, which come from a peer or a file.
    pub(crate) fn from_part(part: &Part, encoding: Encoding) -> Result<Self, DecodeError> {
        let whole = match (encoding, part.as_bytes()) {
            (Encoding::F32, bytes) => bytes.len().is_multiple_of(4) && !bytes.is_empty(),
            (Encoding::F16, bytes) => bytes.len().is_multiple_of(2) && !bytes.is_empty(),
            (Encoding::I8, bytes) => bytes.len() > 4 && bytes[4..].iter().all(|step| step.cast_signed() >= -STEPS),
        };
        let embedding = Self { encoding, part: part.clone() };
        // The step of quantised components has no sign, and its multiples are finite.
        let step = embedding.step().is_sign_positive();
        if whole && step && embedding.to_vec().iter().all(|component| component.is_finite()) {
            Ok(embedding)
        } else {
            Err(DecodeError::new("the embedding has bytes that no embedding has"))
        }
    }

    pub(crate) fn part(&self) -> &Part {
        &self.part
    }

    /// How its components are kept.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// How many components it has.
    pub fn dimension(&self) -> usize {
        let bytes = self.part.as_bytes().len();
        match self.encoding {
            Encoding::F32 => bytes / 4,
            Encoding::F16 => bytes / 2,
            Encoding::I8 => bytes - 4,
        }
    }

    /// Its components, as they were decoded. O(components)
    pub fn to_vec(&self) -> Vec<f32> {
        let bytes = self.part.as_bytes();
        match self.encoding {
            Encoding::F32 => bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            Encoding::F16 => bytes.as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
            Encoding::I8 => {
                let step = self.step();
                bytes.iter().skip(4).map(|steps| f32::from(steps.cast_signed()) * step).collect()
            }
        }
    }

    /// The step of quantised components; 0 for others.
    fn step(&self) -> f32 {
        match (self.encoding, self.part.as_bytes().first_chunk()) {
            (Encoding::I8, Some(step)) => f32::from_le_bytes(*step),
            _ => 0.0,
        }
    }

    /// Whether these components, encoded in the same way, are this embedding. O(components)
    pub(crate) fn is_of(&self, components: &[f32]) -> bool {
        if self.encoding == Encoding::F32 {
            let (own, _) = self.part.as_bytes().as_chunks();
            // Without a branch for each: what is compared is mostly equal, and processors compare many at once.
            let differing =
                |all: u32, (own, other): (&[u8; 4], &f32)| all | (u32::from_le_bytes(*own) ^ other.to_bits());
            return own.len() == components.len() && own.iter().zip(components).fold(0, differing) == 0;
        }
        // What is no number would be so many steps as a zero: none.
        let finite = |all: bool, component: &f32| all & component.is_finite();
        if self.encoding == Encoding::I8 && !components.iter().fold(true, finite) {
            return false;
        }
        let mut bytes = Vec::new();
        encode(components, self.encoding, &mut bytes);
        self.part.as_bytes() == bytes
    }
}

/// Appends the bytes of finite components.
fn encode(components: &[f32], encoding: Encoding, bytes: &mut Vec<u8>) {
    match encoding {
        Encoding::F32 => {
            bytes.reserve_exact(4 * components.len());
            bytes.extend(components.iter().flat_map(|component| component.to_le_bytes()));
        }
        Encoding::F16 => {
            bytes.reserve_exact(2 * components.len());
            bytes.extend(components.iter().flat_map(|component| f16::from_f32(*component).to_le_bytes()));
        }
        Encoding::I8 => {
            bytes.reserve_exact(4 + components.len());
            let largest = components.iter().fold(0.0, |largest: f32, component| largest.max(component.abs()));
            let step = largest / f32::from(STEPS);
            bytes.extend(step.to_le_bytes());
            bytes.extend(components.iter().map(|component| steps_of(*component, step).cast_unsigned()));
        }
    }
}

/// How many steps a component is, to the nearest; ties away from zero.
fn steps_of(component: f32, step: f32) -> i8 {
    // Numbers so small that their step vanishes are zero.
    let steps = if step > 0.0 { (component / step).round() } else { 0.0 };
    let limit = f32::from(STEPS);
    #[expect(clippy::cast_possible_truncation, reason = "a whole number within -127 to 127")]
    let steps = steps.clamp(-limit, limit) as i8;
    steps
}

impl fmt::Debug for Embedding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Embedding({:?} x {})", self.encoding, self.dimension())
    }
}
