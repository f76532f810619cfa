//! Confidence voting.

use std::cmp::Ordering;

use anti_entropy::clock::Dot;
use anti_entropy::{Resolver, Version};

use crate::{Embedding, Encoding, Episodes, Pattern};

/// Concurrent versions of one pattern are merged, and the surest of them decides.
///
/// - *Strength, time and origin* are those of the version with the highest confidence; ties go to the greater strength,
///   then the later consolidation, then the greater dot.
/// - *Episodes* are those of all versions.
/// - The *embedding* is the mean of all, weighted by confidence (equally, if nobody is sure of anything).
/// - The *confidence* is the highest one, times the [agreement](Vote::agreement) of the versions: it is not lowered where
///   all say the same, and never above the highest.
///
/// All sums are in the order of the dots, in `f64`, without fused operations, so that every platform gets the same bits.
/// Siblings stay stored, so that nothing is lost. O(siblings · dimensions + n log n) for n episodes of all together
#[derive(Clone, Copy, Debug, Default)]
pub struct ConfidenceVoting;

impl Resolver<Pattern> for ConfidenceVoting {
    fn resolve(&self, _id: &String, siblings: &[Version<Pattern>]) -> Option<Pattern> {
        vote(siblings).map(|vote| vote.pattern)
    }
}

/// What voting came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Vote {
    /// The version that decided.
    pub winner: Dot,
    /// What the versions stand for together. Its embedding is exact ([`Encoding::F32`]), whatever theirs are.
    pub pattern: Pattern,
    /// How much the versions agree, 0 to 1: the product of
    ///
    /// - the length of the mean of their embeddings' directions, weighted by confidence: 1 if all point the same way, 0 if
    ///   they cancel out. (The mean resultant length; Mardia and Jupp, *Directional Statistics*, 2000, section 9.2.)
    /// - 1 less the standard deviation of their confidences, which is at most ½.
    pub agreement: f64,
}

/// Holds a vote among versions of one pattern, in the order of their dots; nothing comes of no versions.
///
/// Versions whose embedding has another dimension than the winner's have no say in the embedding: of a space's own
/// patterns there are none.
pub fn vote(siblings: &[Version<Pattern>]) -> Option<Vote> {
    let winner = siblings.iter().max_by(|a, b| by_certainty(&a.value, &b.value).then(a.dot.cmp(&b.dot)))?;
    if let [only] = siblings {
        return Some(Vote { winner: only.dot, pattern: only.value.clone(), agreement: 1.0 });
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

/// Who is surer: by confidence, then by strength, then by time.
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

/// The mean of embeddings, weighted by confidence, and how much their directions agree.
pub(crate) struct Mean {
    pub(crate) embedding: Embedding,
    pub(crate) resultant_length: f64,
}

impl Mean {
    /// Of those patterns whose embedding has as many dimensions as the decider's, summed in the order given. Embeddings without
    /// a direction, all zero, do not count in the resultant length; if there are no others, they agree.
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

/// The confidences, in proportion, to a sum of 1; equal ones if all are zero.
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
