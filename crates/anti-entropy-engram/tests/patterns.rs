//! Patterns: the laws of their traits, their bytes, and what is refused.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    reason = "what does not hold here ends the test; the same bits, and rounding, are meant"
)]

mod common;

use std::collections::BTreeMap;

use anti_entropy::clock::Timestamp;
use anti_entropy::value::{ContentHash, Encoded};
use anti_entropy::{Digest, Replicated};
use anti_entropy_conformance::check_items;
use anti_entropy_engram::{
    Encoding, InvalidPattern, MemorySpace, Pattern, PatternField, PatternProblem, SemanticPattern,
};
use chrono::{DateTime, TimeZone, Timelike, Utc};
use common::{encoded_space, real_patterns, semantic, space};

const ENCODINGS: [Encoding; 3] = [Encoding::F32, Encoding::F16, Encoding::I8];

/// Patterns that differ in one thing each.
fn samples() -> Vec<Pattern> {
    let plain = semantic("a", &[0.5, -0.25, 0.0], &["e1", "e2"], 0.5);
    let change = |change: fn(&mut SemanticPattern)| {
        let mut changed = plain.clone();
        change(&mut changed);
        changed
    };
    let all = [
        plain.clone(),
        change(|pattern| pattern.id = "b".repeat(300)),
        change(|pattern| pattern.embedding[2] = f32::MIN_POSITIVE),
        change(|pattern| pattern.embedding = vec![0.0; 3]),
        change(|pattern| pattern.embedding = vec![-0.0; 3]),
        change(|pattern| pattern.embedding = vec![60_000.0, 1e-45, -1.0]),
        change(|pattern| pattern.source_episodes.clear()),
        change(|pattern| pattern.source_episodes = vec!["e1e2".into()]),
        change(|pattern| pattern.strength = -1e30),
        change(|pattern| pattern.schema_confidence = 0.0),
        change(|pattern| pattern.schema_confidence = 1.0),
        change(|pattern| pattern.last_consolidated = DateTime::<Utc>::MIN_UTC),
        change(|pattern| pattern.last_consolidated = DateTime::<Utc>::MAX_UTC),
        change(|pattern| pattern.last_consolidated = leap_second()),
    ];
    let spaces = ENCODINGS.map(|encoding| encoded_space(3, encoding));
    let patterns = spaces.iter().flat_map(|space| all.iter().map(|sample| Pattern::new(sample, "node-1", space)));
    let elsewhere = Pattern::new(&plain, "node-2", &spaces[0]);
    let patterns: Vec<Pattern> = patterns.chain([elsewhere]).collect::<Result<_, _>>().unwrap();
    // Some differences are lost where embeddings are rounded.
    let bytes = |pattern: &Pattern| {
        let Encoded { body, parts } = pattern.encode();
        (pattern.key(), body, parts.iter().map(|part| part.as_bytes().to_vec()).collect::<Vec<_>>())
    };
    let different: BTreeMap<_, _> = patterns.into_iter().map(|pattern| (bytes(&pattern), pattern)).collect();
    different.into_values().collect()
}

fn leap_second() -> DateTime<Utc> {
    let second = Utc.with_ymd_and_hms(2016, 12, 31, 23, 59, 59).unwrap();
    second.with_nanosecond(1_500_000_000).unwrap()
}

#[test]
fn patterns_keep_the_laws_of_replicated_values() {
    let samples = samples();
    assert!(samples.len() > 30);
    check_items(&samples).unwrap();
    let real: Vec<Pattern> = real_patterns(1, 2)
        .iter()
        .take(4)
        .map(|pattern| Pattern::new(pattern, "node-1", &MemorySpace::new("default")).unwrap())
        .collect();
    check_items(&real).unwrap();
}

#[test]
fn what_goes_in_comes_out() {
    for pattern in real_patterns(1, 1) {
        let held = Pattern::new(&pattern, "node-1", &MemorySpace::new("default")).unwrap();
        assert_eq!(SemanticPattern::from(&held), pattern);
        let received = Pattern::decode(&held.key(), &held.encode()).unwrap();
        assert_eq!(received, held);
    }
}

/// Bytes worked out by hand from docs/protocol.md.
#[test]
fn the_bytes_are_these() {
    let plain = semantic("a", &[1.0, -0.5], &["e1", "e22"], 0.5);
    let encoded = |encoding| {
        let space = encoded_space(2, encoding);
        Pattern::new(&plain, "n1", &space).unwrap().encode()
    };
    let body = |encoding: u8| {
        let mut body = vec![encoding, 2, b'n', b'1'];
        body.extend([0, 0, 0, 0x3f, 0, 0, 0, 0x3f]);
        // 1,700,000,000 doubled, in groups of seven bits; no nanoseconds.
        body.extend([0x80, 0xc4, 0x9f, 0xd5, 0x0c, 0]);
        body
    };
    let embeddings: [&[u8]; 3] = [
        &[0, 0, 0x80, 0x3f, 0, 0, 0, 0xbf],
        &[0, 0x3c, 0, 0xb8],
        // 1/127, then 127 steps and 63.5, which is rounded away from zero.
        &[0x04, 0x02, 0x01, 0x3c, 127, 0xc0],
    ];
    for (encoding, embedding) in ENCODINGS.into_iter().zip(embeddings) {
        let Encoded { body: found, parts } = encoded(encoding);
        assert_eq!(found, body(encoding as u8), "{encoding:?}");
        assert_eq!(parts[0].as_bytes(), embedding, "{encoding:?}");
        assert_eq!(parts[1].as_bytes(), b"\x02\x02e1\x03e22", "{encoding:?}");
    }
}

/// What is hashed, as docs/protocol.md has it.
#[test]
fn the_digest_is_fed_these_bytes() {
    struct Fed(Vec<u8>);
    impl digest::Update for Fed {
        fn update(&mut self, bytes: &[u8]) {
            self.0.extend(bytes);
        }
    }
    for sample in samples() {
        let Encoded { body, parts } = sample.encode();
        let with_length = |bytes: &[u8]| [&(bytes.len() as u64).to_be_bytes(), bytes].concat();
        let hashes = parts.iter().flat_map(|part| part.hash().to_bytes()).collect();
        let mut fed = Fed(Vec::new());
        sample.digest(&mut fed);
        assert_eq!(fed.0, [with_length(sample.id().as_bytes()), with_length(&body), hashes].concat());
    }
}

#[test]
fn everything_is_in_the_digest() {
    let samples = samples();
    let content = |pattern| ContentHash::of(Timestamp { wall_ms: 0, logical: 0 }, pattern);
    let mut hashes: Vec<ContentHash> = samples.iter().map(content).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), samples.len());
}

/// The error that says what is wrong with a pattern that `change` made out of a valid one.
fn refused(change: impl FnOnce(&mut SemanticPattern)) -> InvalidPattern {
    refused_in(&space(3), change)
}

fn refused_in(space: &MemorySpace, change: impl FnOnce(&mut SemanticPattern)) -> InvalidPattern {
    let mut pattern = semantic("pattern_1", &[0.5, -0.25, 0.0], &["e1", "e2"], 0.5);
    change(&mut pattern);
    Pattern::new(&pattern, "node-1", space).expect_err("it is not valid")
}

#[test]
fn bad_input_is_refused_by_name_and_field() {
    let field = |error: InvalidPattern, field: PatternField, problem: PatternProblem| {
        assert_eq!((error.field, &error.problem), (field, &problem));
        let text = error.to_string();
        assert!(text.contains(&error.id) && text.contains(&field.to_string()), "{text}");
    };
    field(refused(|pattern| pattern.id.clear()), PatternField::Id, PatternProblem::Empty);
    let wrong = PatternProblem::WrongDimension { found: 2, expected: 3 };
    field(refused(|pattern| pattern.embedding.truncate(2)), PatternField::Embedding, wrong);
    let infinite = PatternProblem::ComponentNotFinite { index: 1, value: f32::INFINITY };
    field(refused(|pattern| pattern.embedding[1] = f32::INFINITY), PatternField::Embedding, infinite);
    let unsorted = PatternProblem::Unsorted { episode: "e0".into() };
    field(refused(|pattern| pattern.source_episodes.push("e0".into())), PatternField::SourceEpisodes, unsorted);
    let repeated = PatternProblem::Repeated { value: "e2".into() };
    field(refused(|pattern| pattern.source_episodes.push("e2".into())), PatternField::SourceEpisodes, repeated);
    let strength = PatternProblem::NotFinite(f32::NEG_INFINITY);
    field(refused(|pattern| pattern.strength = f32::NEG_INFINITY), PatternField::Strength, strength);
    for confidence in [-0.01, 1.01] {
        let problem = PatternProblem::OutOfRange(confidence);
        field(refused(|pattern| pattern.schema_confidence = confidence), PatternField::SchemaConfidence, problem);
    }
    let endless = PatternProblem::NotFinite(f32::INFINITY);
    field(refused(|pattern| pattern.schema_confidence = f32::INFINITY), PatternField::SchemaConfidence, endless);
}

#[test]
fn not_a_number_is_refused_wherever_it_stands() {
    let embedding = refused(|pattern| pattern.embedding[2] = f32::NAN);
    assert!(matches!(embedding.problem, PatternProblem::ComponentNotFinite { index: 2, .. }), "{embedding}");
    let strength = refused(|pattern| pattern.strength = f32::NAN);
    assert!(matches!(
        strength,
        InvalidPattern { field: PatternField::Strength, problem: PatternProblem::NotFinite(_), .. }
    ));
    let confidence = refused(|pattern| pattern.schema_confidence = f32::NAN);
    assert!(matches!(
        confidence,
        InvalidPattern { field: PatternField::SchemaConfidence, problem: PatternProblem::NotFinite(_), .. }
    ));
}

#[test]
fn a_leap_second_in_the_middle_of_a_minute_is_refused() {
    let time = leap_second() - chrono::Duration::seconds(10);
    let time = time.with_nanosecond(1_500_000_000).unwrap();
    let error = refused(|pattern| pattern.last_consolidated = time);
    assert_eq!((error.field, error.problem), (PatternField::LastConsolidated, PatternProblem::NoSuchTime(time)));
}

/// What the parts and the body of a peer's pattern may not be.
#[test]
fn bytes_that_no_pattern_has_are_refused() {
    let plain = semantic("a", &[1.0, -0.5], &["e1"], 0.5);
    let valid = |encoding| Pattern::new(&plain, "n1", &encoded_space(2, encoding)).unwrap().encode();
    let refused = |encoded: &Encoded, what: &str| {
        assert!(Pattern::decode(&"a".into(), encoded).is_err(), "{what}");
    };
    let (nan, infinite) = (f32::NAN.to_le_bytes(), f32::INFINITY.to_le_bytes());
    let step = |step: f32| [&step.to_le_bytes()[..], &[127, 0xc0]].concat();
    let embeddings: [(Encoding, Vec<u8>); 14] = [
        (Encoding::F32, vec![]),
        (Encoding::F32, vec![0; 7]),
        (Encoding::F32, [nan, [0; 4]].concat()),
        (Encoding::F32, [[0; 4], infinite].concat()),
        (Encoding::F16, vec![]),
        (Encoding::F16, vec![0; 3]),
        (Encoding::F16, vec![0, 0x7c]),
        (Encoding::F16, vec![1, 0xfc]),
        (Encoding::I8, vec![]),
        (Encoding::I8, vec![0; 4]),
        (Encoding::I8, vec![0, 0, 0, 0, 0x80]),
        (Encoding::I8, step(-0.0)),
        (Encoding::I8, step(f32::NAN)),
        (Encoding::I8, step(f32::MAX)),
    ];
    for (encoding, bytes) in embeddings {
        let mut encoded = valid(encoding);
        assert!(Pattern::decode(&"a".into(), &encoded).is_ok());
        encoded.parts[0] = bytes.as_slice().into();
        refused(&encoded, &format!("{encoding:?} {bytes:?}"));
    }
    // The body: encoding, "n1", strength, confidence, time.
    let body = |change: fn(&mut Vec<u8>), what| {
        let mut encoded = valid(Encoding::F32);
        change(&mut encoded.body);
        refused(&encoded, what);
    };
    body(|body| body[0] = 3, "an encoding that there is not");
    body(|body| body[4..8].copy_from_slice(&f32::NAN.to_le_bytes()), "strength NaN");
    body(|body| body[4..8].copy_from_slice(&(-0.0f32).to_le_bytes()), "strength -0");
    body(|body| body[8..12].copy_from_slice(&1.5f32.to_le_bytes()), "confidence above 1");
    body(|body| body[8..12].copy_from_slice(&(-0.0f32).to_le_bytes()), "confidence -0");
    body(|body| *body.last_mut().unwrap() = 0x80, "nanoseconds that do not end");
    body(|body| body.push(0), "more than there is");
    let mut encoded = valid(Encoding::F32);
    assert!(Pattern::decode(&String::new(), &encoded).is_err(), "no id");
    encoded.parts.pop();
    refused(&encoded, "one part");
}

#[test]
fn what_an_encoding_cannot_hold_is_refused() {
    let halves = encoded_space(3, Encoding::F16);
    let error = refused_in(&halves, |pattern| pattern.embedding[1] = 65_520.0);
    assert_eq!(error.problem, PatternProblem::ComponentTooLarge { index: 1, value: 65_520.0 });
    let mut largest = semantic("a", &[65_504.0, f32::MAX, 1e-45], &[], 0.5);
    assert!(Pattern::new(&largest, "n", &encoded_space(3, Encoding::F32)).is_ok());
    assert!(Pattern::new(&largest, "n", &halves).is_err());
    largest.embedding[1] = -65_504.0;
    assert!(Pattern::new(&largest, "n", &halves).is_ok());
    // What is to be rounded down is held yet.
    largest.embedding[1] = 65_520f32.next_down();
    assert_eq!(Pattern::new(&largest, "n", &halves).unwrap().embedding().to_vec()[1], 65_504.0);
    // 127 steps of the greatest number of all are too much, and of no other.
    let steps = encoded_space(3, Encoding::I8);
    let error = refused_in(&steps, |pattern| pattern.embedding[2] = f32::MIN);
    assert_eq!(error.problem, PatternProblem::ComponentTooLarge { index: 2, value: f32::MIN });
    largest.embedding[1] = f32::MAX.next_down();
    assert!(Pattern::new(&largest, "n", &steps).is_ok());
}

/// What becomes of a component beside the largest one.
fn kept(encoding: Encoding, largest: f32, component: f32) -> [f32; 2] {
    let space = encoded_space(2, encoding);
    let pattern = Pattern::new(&semantic("a", &[largest, component], &[], 0.5), "n", &space).unwrap();
    pattern.embedding().to_vec().try_into().unwrap()
}

/// The most that a component changes by, as the documentation of the encoding states it.
fn promised(encoding: Encoding, largest: f32, component: f32) -> f64 {
    let [largest, component] = [largest, component].map(|number| f64::from(number.abs()));
    match encoding {
        Encoding::F16 if component < 2f64.powi(-14) => 2f64.powi(-25),
        Encoding::F16 => component / 2048.0,
        Encoding::I8 => largest / 254.0 + largest * 2f64.powi(-23),
        _ => 0.0,
    }
}

#[test]
fn encodings_keep_their_promises() {
    for pattern in real_patterns(2, 1).iter().take(20) {
        let largest = pattern.embedding.iter().fold(0.0, |largest: f32, component| largest.max(component.abs()));
        for encoding in ENCODINGS {
            let space = MemorySpace::new("default").with(|space| space.encoding = encoding);
            let held = Pattern::new(pattern, "n", &space).unwrap().embedding().to_vec();
            for (was, is) in pattern.embedding.iter().zip(held) {
                let change = (f64::from(*was) - f64::from(is)).abs();
                assert!(change <= promised(encoding, largest, *was), "{encoding:?}: {was} became {is}");
            }
        }
    }
}

#[test]
fn encodings_keep_their_promises_at_the_edges() {
    // Halves: around zero, the smallest one and half of it, where the exponent begins to vary, at ties, and at the end.
    let [half_of_least, least, normal] = [-25, -24, -14].map(|exponent| 2f32.powi(exponent));
    let ties = [half_of_least, 3.0 * half_of_least, normal, 1.0 + 1.0 / 2048.0, 1.0 + 3.0 / 2048.0, 65_488.0];
    let edges = [f32::from_bits(1), f32::MIN_POSITIVE, least, 65_504.0, 65_520f32.next_down()];
    for number in ties.into_iter().chain(edges) {
        for number in [number.next_down(), number, number.next_up()].into_iter().filter(|number| *number < 65_520.0) {
            let [is, negative] = kept(Encoding::F16, number, -number);
            let change = (f64::from(number) - f64::from(is)).abs();
            assert!(change <= promised(Encoding::F16, number, number), "{number} became {is}");
            assert_eq!(is.to_bits(), (-negative).to_bits());
        }
    }
    let halves = |number| kept(Encoding::F16, 1.0, number)[1];
    assert_eq!([half_of_least, 3.0 * half_of_least].map(halves), [0.0, 2.0 * least], "ties go to even");
    assert_eq!([1.0 + 1.0 / 2048.0, 1.0 + 3.0 / 2048.0].map(halves), [1.0, 1.0 + 4.0 / 2048.0], "ties go to even");

    // Steps: around each tie, for largest components from where steps have all their bits to the greatest.
    for largest in [2f32.powi(-119), 0.013, 1.0, 1.999_999_9, 1.342_650_9, 3e38, f32::MAX.next_down()] {
        for tie in 0..127u8 {
            let tie = ((f64::from(tie) + 0.5) * f64::from(largest) / 127.0) as f32;
            for number in [tie.next_down(), tie, -tie, tie.next_up(), largest] {
                let [_, is] = kept(Encoding::I8, largest, number);
                let change = (f64::from(number) - f64::from(is)).abs();
                assert!(change <= promised(Encoding::I8, largest, number), "{number} of {largest} became {is}");
            }
        }
    }
    // Below that the step itself is coarse, and at last nothing is left.
    for bits in [1, 63, 64, 190, 300, 1000] {
        let [is, _] = kept(Encoding::I8, f32::from_bits(bits), 0.0);
        assert!(is <= f32::from_bits(bits));
    }
    assert_eq!(kept(Encoding::I8, f32::from_bits(63), 0.0), [0.0, 0.0]);
}
