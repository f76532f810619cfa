//! How much lossy encodings save, and how much they lose.

use std::error::Error;

use anti_entropy::Replicated;
use anti_entropy_bench::RealPatterns;
use anti_entropy_engram::{Encoding, MemorySpace, Pattern};
use serde::Serialize;

use crate::measure::float;

/// An encoding of embeddings.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LossyRow {
    encoding: String,
    /// Of one embedding.
    bytes: usize,
    /// The greatest difference of a component from the original.
    worst_component_error: f64,
    /// One minus the cosine to the original.
    worst_cosine_loss: f64,
    mean_cosine_loss: f64,
}

impl LossyRow {
    pub(crate) const HEADERS: [&str; 5] =
        ["encoding", "bytes", "worst component error", "1 - cosine, worst", "1 - cosine, mean"];

    pub(crate) fn cells(&self) -> Vec<String> {
        vec![
            self.encoding.clone(),
            self.bytes.to_string(),
            format!("{:.1e}", self.worst_component_error),
            format!("{:.1e}", self.worst_cosine_loss),
            format!("{:.1e}", self.mean_cosine_loss),
        ]
    }
}

/// Measures each encoding over all patterns.
///
/// # Errors
/// If a pattern is not valid.
pub(super) fn measure(patterns: &RealPatterns, mut each: impl FnMut(LossyRow)) -> Result<(), Box<dyn Error>> {
    for encoding in [Encoding::F32, Encoding::F16, Encoding::I8] {
        let space = MemorySpace::new("default").with(|space| space.encoding = encoding);
        let (mut bytes, mut worst_error, mut losses) = (0, 0.0f64, Vec::new());
        for (node, pattern) in patterns.values() {
            let encoded = Pattern::new(pattern, node, &space)?;
            bytes = bytes.max(encoded.encode().parts[0].as_bytes().len());
            let decoded = encoded.embedding().to_vec();
            let errors = pattern.embedding.iter().zip(&decoded).map(|(a, b)| f64::from((a - b).abs()));
            worst_error = errors.fold(worst_error, f64::max);
            losses.push(1.0 - cosine(&pattern.embedding, &decoded));
        }
        let mean = losses.iter().sum::<f64>() / float(losses.len() as u64);
        each(LossyRow {
            encoding: format!("{encoding:?}"),
            bytes,
            worst_component_error: worst_error,
            worst_cosine_loss: losses.into_iter().fold(0.0, f64::max),
            mean_cosine_loss: mean.max(0.0),
        });
    }
    Ok(())
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
