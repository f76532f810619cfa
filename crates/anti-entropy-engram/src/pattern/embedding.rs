//! Embeddings, in the bytes in which they are stored and sent.

use std::fmt;

use anti_entropy::value::{DecodeError, Part};
use half::f16;

use crate::{Encoding, PatternProblem};

/// A vector that stands for a pattern's meaning. Cheap to clone: clones share it.
///
/// Every component is a finite number. docs/protocol.md, "Patterns", defines the bytes.
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
    /// If there are no components, or if one is not finite or too large for the encoding.
    pub fn new(components: &[f32], encoding: Encoding) -> Result<Self, PatternProblem> {
        if components.is_empty() {
            return Err(PatternProblem::Empty);
        }
        let not_finite = components.iter().position(|component| !component.is_finite());
        if let Some(index) = not_finite {
            return Err(PatternProblem::ComponentNotFinite { index, value: components[index] });
        }
        let mut bytes = Vec::new();
        encode(components, encoding, &mut bytes);
        let embedding = Self { encoding, part: bytes.into() };
        match embedding.to_vec().iter().position(|component| !component.is_finite()) {
            Some(index) => Err(PatternProblem::ComponentTooLarge { index, value: components[index] }),
            None => Ok(embedding),
        }
    }

    /// Decodes an embedding, which may come from a peer or a file.
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

    /// How its components are encoded.
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

    /// Its decoded components. O(components)
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

    /// Whether these components have the same encoding as this embedding. O(components)
    pub(crate) fn is_of(&self, components: &[f32]) -> bool {
        if self.encoding == Encoding::F32 {
            let (own, _) = self.part.as_bytes().as_chunks();
            // Without a branch for each component: most embeddings are equal, and processors compare many at once.
            let differing =
                |all: u32, (own, other): (&[u8; 4], &f32)| all | (u32::from_le_bytes(*own) ^ other.to_bits());
            return own.len() == components.len() && own.iter().zip(components).fold(0, differing) == 0;
        }
        // NaN would be encoded as no steps, like zero.
        let finite = |all: bool, component: &f32| all & component.is_finite();
        if self.encoding == Encoding::I8 && !components.iter().fold(true, finite) {
            return false;
        }
        let mut bytes = Vec::new();
        encode(components, self.encoding, &mut bytes);
        self.part.as_bytes() == bytes
    }
}

/// Appends the encoded bytes of finite components.
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

/// A component in steps, rounded to nearest, ties away from zero.
fn steps_of(component: f32, step: f32) -> i8 {
    // Where all components are so small that the step is 0, they are encoded as 0.
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
