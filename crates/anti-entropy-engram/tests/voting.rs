//! Confidence voting, and the other resolvers.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "what does not hold here ends the test; the same bits are meant"
)]

mod common;

use std::sync::LazyLock;

use anti_entropy::{Replicated, Resolver, Version};
use anti_entropy_conformance::check_resolver;
use anti_entropy_engram::{
    ConfidenceVoting, Encoding, LastConsolidated, Pattern, Resolution, SemanticPattern, Vote, vote,
};
use chrono::TimeDelta;
use common::{NODES, all_real_patterns, encoded_space, pattern, real_patterns, semantic, version};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

fn voted(siblings: &[Version<Pattern>]) -> Vote {
    let vote = vote(siblings).unwrap();
    assert_eq!(ConfidenceVoting.resolve(&"a".into(), siblings).as_ref(), Some(&vote.pattern));
    vote
}

/// Versions of one pattern by as many nodes, with these embeddings and confidences.
fn siblings(of: &[(&[f32], f32)]) -> Vec<Version<Pattern>> {
    let version_of = |(writer, (embedding, confidence)): (u128, &(&[f32], f32))| {
        let value = semantic("a", embedding, &["e1"], *confidence);
        version(writer, pattern(&format!("node-{writer}"), &value))
    };
    (1..).zip(of).map(version_of).collect()
}

#[test]
fn where_all_say_the_same_nothing_is_lowered() {
    let same = siblings(&[(&[0.3, 0.1], 0.7), (&[0.3, 0.1], 0.7), (&[0.3, 0.1], 0.7)]);
    let vote = voted(&same);
    assert!((vote.agreement - 1.0).abs() < 1e-12);
    assert_eq!(vote.pattern.confidence(), 0.7);
    assert_eq!(vote.pattern.embedding().to_vec(), [0.3, 0.1]);
    assert_eq!(vote.winner, same[2].dot, "the greatest dot breaks a tie");
}

#[test]
fn what_all_say_alike_is_that_bit_for_bit_in_its_encoding() {
    let space = encoded_space(2, Encoding::I8);
    let value = Pattern::new(&semantic("a", &[0.3, 0.1], &["e1"], 0.7), "n", &space).unwrap();
    let versions: Vec<_> = (1..=3).map(|writer| version(writer, value.clone())).collect();
    let vote = voted(&versions);
    assert_eq!((vote.pattern, vote.agreement, vote.winner), (value, 1.0, versions[2].dot));
}

#[test]
fn the_surest_wins_and_disagreement_lowers_its_confidence() {
    let vote = voted(&siblings(&[(&[1.0, 0.0], 0.9), (&[1.0, 0.0], 0.3)]));
    // The confidences deviate by 0.3.
    assert!((vote.agreement - 0.7).abs() < 1e-6, "{}", vote.agreement);
    assert!((vote.pattern.confidence() - 0.63).abs() < 1e-6);
    assert_eq!(vote.pattern.origin(), "node-1");

    let orthogonal = voted(&siblings(&[(&[1.0, 0.0], 0.5), (&[0.0, 2.0], 0.5)]));
    assert!((orthogonal.agreement - 0.5f64.sqrt()).abs() < 1e-6, "two directions at a right angle");
    assert_eq!(orthogonal.pattern.embedding().to_vec(), [0.5, 1.0]);

    let opposite = voted(&siblings(&[(&[1.0, 0.0], 0.5), (&[-1.0, 0.0], 0.5)]));
    assert!(opposite.pattern.confidence() < 1e-6, "they cancel out");
}

#[test]
fn the_mean_is_weighted_by_confidence() {
    let vote = voted(&siblings(&[(&[1.0, 0.0], 0.75), (&[0.0, 1.0], 0.25)]));
    assert_eq!(vote.pattern.embedding().to_vec(), [0.75, 0.25]);
    let unsure = voted(&siblings(&[(&[1.0, 0.0], 0.0), (&[0.0, 1.0], 0.0)]));
    assert_eq!(unsure.pattern.embedding().to_vec(), [0.5, 0.5], "nobody is sure: all count the same");
    assert_eq!(unsure.pattern.confidence(), 0.0);
}

#[test]
fn embeddings_without_a_direction_agree_with_all() {
    let vote = voted(&siblings(&[(&[0.0, 0.0], 0.5), (&[0.0, 0.0], 0.5)]));
    assert_eq!((vote.agreement, vote.pattern.confidence()), (1.0, 0.5));
    let vote = voted(&siblings(&[(&[0.0, 0.0], 0.5), (&[0.0, 3.0], 0.5)]));
    assert!((vote.agreement - 1.0).abs() < 1e-12);
}

#[test]
fn extreme_embeddings_stay_finite() {
    let vote = voted(&siblings(&[(&[f32::MAX, -f32::MAX], 0.3), (&[f32::MAX, f32::MAX], 0.7)]));
    assert!(vote.pattern.embedding().to_vec().iter().all(|component| component.is_finite()));
}

#[test]
fn ties_go_to_strength_then_time_then_dot() {
    let base = semantic("a", &[1.0, 0.0], &["e1"], 0.5);
    let stronger = SemanticPattern { strength: 0.6, ..base.clone() };
    let later = SemanticPattern { last_consolidated: base.last_consolidated + TimeDelta::seconds(1), ..base.clone() };
    let winner = |values: [&SemanticPattern; 3]| {
        let versions: Vec<_> = (1..).zip(values).map(|(writer, value)| version(writer, pattern("n", value))).collect();
        let winner = voted(&versions).winner;
        versions.iter().position(|version| version.dot == winner).unwrap()
    };
    assert_eq!(winner([&stronger, &base, &later]), 0);
    assert_eq!(winner([&base, &later, &base]), 1);
    assert_eq!(winner([&base, &base, &base]), 2);
}

#[test]
fn episodes_are_united() {
    let versions = [&["e1", "e3"][..], &["e2", "e3"]].map(|episodes| semantic("a", &[1.0], episodes, 0.5));
    let versions: Vec<_> = (1..).zip(&versions).map(|(writer, value)| version(writer, pattern("n", value))).collect();
    let united = voted(&versions).pattern;
    assert_eq!(united.episodes().iter().collect::<Vec<_>>(), ["e1", "e2", "e3"]);
}

/// Two by two, each union as long as all before it, these would take minutes.
#[test]
fn the_episodes_of_very_many_versions_are_united_at_once() {
    let versions: Vec<_> = (0..40_000u128)
        .map(|writer| version(writer, pattern("n", &semantic("a", &[1.0], &[&format!("episode_{writer:06}")], 0.5))))
        .collect();
    assert_eq!(voted(&versions).pattern.episodes().len(), versions.len());
}

#[test]
fn versions_of_another_dimension_have_no_say_in_the_embedding() {
    let vote = voted(&siblings(&[(&[1.0, 0.0], 0.9), (&[1.0, 1.0, 1.0], 0.3)]));
    assert_eq!(vote.pattern.embedding().to_vec(), [1.0, 0.0]);
}

#[test]
fn the_last_consolidated_wins_where_that_is_asked_for() {
    let base = semantic("a", &[1.0], &["e1"], 0.9);
    let later = SemanticPattern {
        last_consolidated: base.last_consolidated + TimeDelta::nanoseconds(1),
        schema_confidence: 0.1,
        ..base.clone()
    };
    let versions = [version(1, pattern("n1", &later)), version(2, pattern("n2", &base))];
    let resolved = LastConsolidated.resolve(&"a".into(), &versions).unwrap();
    assert_eq!(SemanticPattern::from(&resolved), later);
}

static REAL: LazyLock<Vec<SemanticPattern>> = LazyLock::new(|| all_real_patterns().into_values().take(30).collect());

/// How much of its confidence each node keeps.
const DOUBTS: [f32; NODES] = [0.6, 0.7, 0.8, 0.9, 1.0];

/// Several nodes' versions of real patterns: the data's own, and with other confidences and embeddings.
fn disputed() -> Vec<Pattern> {
    let files = (1..=NODES).flat_map(|node| [1, 2].map(|generation| (node, generation)));
    files
        .flat_map(|(node, generation)| {
            real_patterns(node, generation).into_iter().take(3).map(move |mut value| {
                value.schema_confidence = (value.schema_confidence * DOUBTS[node - 1]).min(1.0);
                value.embedding.rotate_left(node * generation);
                value.id = "pattern_disputed".into();
                pattern(&format!("node-{node}"), &value)
            })
        })
        .collect()
}

#[test]
fn all_resolvers_keep_the_laws() {
    let values = disputed();
    for resolution in [Resolution::ConfidenceVoting, Resolution::LastConsolidated, Resolution::KeepAll] {
        check_resolver(|| resolution, &values).unwrap();
    }
}

/// The bits that voting among real patterns gives on every platform, in debug and in release.
#[test]
fn the_bits_are_these() {
    let versions: Vec<_> = (1..).zip(disputed()).map(|(writer, value)| version(writer, value)).collect();
    let mut hash = Sha256::new();
    for siblings in versions.windows(4) {
        let encoded = voted(siblings).pattern.encode();
        hash.update(&encoded.body);
        hash.update(encoded.parts[0].as_bytes());
        hash.update(encoded.parts[1].as_bytes());
    }
    let found: [u8; 32] = hash.finalize().into();
    assert_eq!(u64::from_be_bytes(*found.first_chunk().unwrap()), 0x59fc_dac9_646e_d8f8);
}

/// Any numbers that an encoding holds, from the smallest to the greatest.
fn any_embedding() -> impl Strategy<Value = (Vec<f32>, Encoding)> {
    use prop::num::f32::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    let extremes = prop::sample::select(vec![f32::MAX, f32::MIN, f32::MIN_POSITIVE, f32::from_bits(1), 1.0, -0.0]);
    let wide = prop::collection::vec(prop_oneof![POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO, extremes], 1..4);
    let narrow = prop::collection::vec(-65_504.0f32..65_504.0, 1..4);
    let narrow_encoding = prop::sample::select(vec![Encoding::F16, Encoding::I8]);
    prop_oneof![wide.prop_map(|components| (components, Encoding::F32)), (narrow, narrow_encoding)]
}

proptest! {
    /// Whatever a peer may send: any numbers, dimensions and encodings, side by side.
    #[test]
    fn votes_among_anything_are_valid(
        all in prop::collection::vec((any_embedding(), 0.0f32..=1.0, prop::num::f32::NORMAL), 2..6)
    ) {
        let versions: Vec<_> = (1..).zip(&all).map(|(writer, ((embedding, encoding), confidence, strength))| {
            let value = SemanticPattern { strength: *strength, ..semantic("a", embedding, &["e"], *confidence) };
            let space = encoded_space(embedding.len(), *encoding);
            version(writer, Pattern::new(&value, "n", &space).unwrap())
        }).collect();
        let vote = voted(&versions);
        let highest = versions.iter().map(|version| version.value.confidence()).fold(0.0, f32::max);
        prop_assert!((0.0..=1.0).contains(&vote.agreement));
        prop_assert!((0.0..=highest).contains(&vote.pattern.confidence()));
        let encoded = vote.pattern.encode();
        prop_assert_eq!(Pattern::decode(&vote.pattern.key(), &encoded).unwrap().encode(), encoded);
        let embedding = vote.pattern.embedding().to_vec();
        let heard = versions.iter().map(|version| version.value.embedding().to_vec());
        let heard: Vec<Vec<f32>> = heard.filter(|other| other.len() == embedding.len()).collect();
        for (index, component) in embedding.iter().enumerate() {
            let least = heard.iter().map(|other| other[index]).fold(f32::INFINITY, f32::min);
            let greatest = heard.iter().map(|other| other[index]).fold(f32::NEG_INFINITY, f32::max);
            prop_assert!((least..=greatest).contains(component), "{least} to {greatest}: {component}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever nodes say of real patterns, the vote stays within its bounds.
    #[test]
    fn votes_stay_within_bounds(
        picks in prop::collection::vec((any::<prop::sample::Index>(), 0.0f32..=1.0, -2.0f32..2.0), 1..6)
    ) {
        let versions: Vec<_> = (1..).zip(picks).map(|(writer, (pick, confidence, scale))| {
            let mut value = pick.get(&REAL).clone();
            value.id = "pattern_disputed".into();
            value.schema_confidence = confidence;
            value.embedding.iter_mut().for_each(|component| *component *= scale);
            version(writer, pattern("n", &value))
        }).collect();
        let vote = voted(&versions);
        let highest = versions.iter().map(|version| version.value.confidence()).fold(0.0, f32::max);
        prop_assert!((0.0..=1.0).contains(&vote.agreement));
        prop_assert!((0.0..=highest).contains(&vote.pattern.confidence()));
        let encoded = vote.pattern.encode();
        prop_assert_eq!(Pattern::decode(&vote.pattern.key(), &encoded).unwrap().encode(), encoded);
        for version in &versions {
            let episodes: Vec<&str> = vote.pattern.episodes().iter().collect();
            prop_assert!(version.value.episodes().iter().all(|episode| episodes.contains(&episode)));
        }
    }
}
