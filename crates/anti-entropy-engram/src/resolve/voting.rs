//! Confidence voting.

use std::cmp::Ordering;

use anti_entropy::clock::Dot;
use anti_entropy::{Resolver, Version};

use crate::{Embedding, Encoding, Episodes, Pattern};

/// Merges concurrent versions of a pattern; the version with the highest confidence decides.
///
/// - *Strength, time and origin* are those of the version with the highest confidence; ties go to the greater strength,
///   then the later consolidation, then the greater dot.
/// - *Episodes* are the union over all versions.
/// - The *embedding* is the mean of all, weighted by confidence (equally if all confidences are 0).
/// - The *confidence* is the highest one times the [agreement](Vote::agreement) of the versions: equal to the highest if all
///   versions are alike, and never above it.
///
/// All sums are in the order of the dots, in `f64`, without fused operations, so that every platform computes the same bits.
/// The versions stay stored. O(siblings · dimensions + n log n), where n counts the episodes of all versions
#[derive(Clone, Copy, Debug, Default)]
pub struct ConfidenceVoting;

impl Resolver<Pattern> for ConfidenceVoting {
    fn resolve(&self, _id: &String, siblings: &[Version<Pattern>]) -> Option<Pattern> {
        vote(siblings).map(|vote| vote.pattern)
    }
}

/// The result of a vote.
#[derive(Clone, Debug, PartialEq)]
pub struct Vote {
    /// The version that decided.
    pub winner: Dot,
    /// The merged pattern. Its embedding has the encoding [`Encoding::F32`], unless all versions say the same: then it is that,
    /// bit for bit.
    pub pattern: Pattern,
    /// How much the versions agree, 0 to 1: the product of
    ///
    /// - the length of the mean of their embeddings' directions, weighted by confidence: 1 if all point the same way, 0 if
    ///   they cancel out. (The mean resultant length; Mardia and Jupp, *Directional Statistics*, 2000, section 9.2.)
    /// - 1 less the standard deviation of their confidences, which is at most ½.
    pub agreement: f64,
}

/// Holds a vote among the versions of a pattern, which are in the order of their dots. `None` if there are no versions.
///
/// Versions whose embedding has another dimension than the winner's do not count in the embedding. Valid patterns of one space
/// all have the same dimension.
pub fn vote(siblings: &[Version<Pattern>]) -> Option<Vote> {
    let winner = siblings.iter().max_by(|a, b| by_certainty(&a.value, &b.value).then(a.dot.cmp(&b.dot)))?;
    if let [only] = siblings {
        return Some(Vote { winner: only.dot, pattern: only.value.clone(), agreement: 1.0 });
    }
    if siblings.iter().all(|sibling| sibling.value.says_same(&winner.value)) {
        return Some(Vote { winner: winner.dot, pattern: winner.value.clone(), agreement: 1.0 });
    }
    let voters = siblings.iter().map(|sibling| &sibling.value);
    let mean = Mean::of(voters.clone(), &winner.value);
    let agreement = mean.resultant_length * (1.0 - deviation(voters.clone().map(Pattern::confidence)));
    let pattern = Pattern {
        embedding: mean.embedding,
        episodes: Episodes::union(voters.map(Pattern::episodes)),
        confidence: lowered(winner.value.confidence, agreement),
        ..winner.value.clone()
    };
    Some(Vote { winner: winner.dot, pattern, agreement })
}

/// Orders patterns by confidence, then by strength, then by time.
pub(crate) fn by_certainty(a: &Pattern, b: &Pattern) -> Ordering {
    let confidence = a.confidence.total_cmp(&b.confidence);
    let strength = || a.strength.total_cmp(&b.strength);
    confidence.then_with(strength).then_with(|| a.last_consolidated.cmp(&b.last_consolidated))
}

/// A confidence times a factor of 0 to 1: in `f64`, then rounded to `f32`.
pub(crate) fn lowered(confidence: f32, factor: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "rounding is meant")]
    let lowered = (f64::from(confidence) * factor.clamp(0.0, 1.0)) as f32;
    lowered
}

/// The mean of embeddings, weighted by confidence, and the agreement of their directions.
pub(crate) struct Mean {
    pub(crate) embedding: Embedding,
    pub(crate) resultant_length: f64,
}

impl Mean {
    /// Of the patterns whose embedding has the dimension of the decider's, summed in the given order. Embeddings that are all
    /// zeros have no direction and do not count in the resultant length; if there are no others, it is 1.
    pub(crate) fn of<'a>(patterns: impl Iterator<Item = &'a Pattern>, decider: &Pattern) -> Self {
        let dimension = decider.embedding.dimension();
        let heard: Vec<&Pattern> = patterns.filter(|pattern| pattern.embedding.dimension() == dimension).collect();
        let mut mean = vec![0.0; dimension];
        let mut direction = vec![0.0; dimension];
        let mut directed = 0.0;
        for (voter, weight) in heard.iter().zip(weights(&heard)) {
            let components = voter.embedding.to_vec();
            let norm = norm(components.iter().map(|component| f64::from(*component)));
            let unit = if norm > 0.0 { weight / norm } else { 0.0 };
            directed += if norm > 0.0 { weight } else { 0.0 };
            for ((component, mean), direction) in components.iter().zip(&mut mean).zip(&mut direction) {
                let component = f64::from(*component);
                *mean += weight * component;
                *direction += unit * component;
            }
        }
        let resultant_length = if directed > 0.0 { (norm(direction.into_iter()) / directed).min(1.0) } else { 1.0 };
        #[expect(clippy::cast_possible_truncation, reason = "rounding is meant")]
        let mean: Vec<f32> = mean.into_iter().map(|component: f64| component as f32).collect();
        // A mean lies between its terms, which are finite.
        let embedding = Embedding::new(&mean, Encoding::F32).unwrap_or_else(|_| decider.embedding.clone());
        Self { embedding, resultant_length }
    }
}

/// The confidences divided by their sum; equal weights if all are 0.
fn weights(voters: &[&Pattern]) -> Vec<f64> {
    let confidences: Vec<f64> = voters.iter().map(|voter| f64::from(voter.confidence)).collect();
    let sum: f64 = confidences.iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "there are far fewer than 2^53 voters")]
    let equal = 1.0 / voters.len() as f64;
    confidences.into_iter().map(|confidence| if sum > 0.0 { confidence / sum } else { equal }).collect()
}

/// The length of a vector.
fn norm(components: impl Iterator<Item = f64>) -> f64 {
    components.map(|component| component * component).sum::<f64>().sqrt()
}

/// The standard deviation.
fn deviation(numbers: impl ExactSizeIterator<Item = f32> + Clone) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "there are far fewer than 2^53 voters")]
    let count = numbers.len() as f64;
    let mean = numbers.clone().map(f64::from).sum::<f64>() / count;
    // Not `powi`, whose rounding differs from platform to platform.
    norm(numbers.map(|number| f64::from(number) - mean)) / count.sqrt()
}
