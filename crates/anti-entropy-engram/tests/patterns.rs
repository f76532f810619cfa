//! Patterns: the laws of their traits, their bytes, and what is refused.

#![allow(clippy::unwrap_used, reason = "what does not hold here ends the test")]

mod common;

use std::collections::BTreeMap;

use anti_entropy::clock::Timestamp;
use anti_entropy::conformance::check_items;
use anti_entropy::replica::{ContentHash, Encoded, Replicated};
use anti_entropy_engram::{Encoding, Field, InvalidPattern, Pattern, Problem, SemanticPattern, Space};
use chrono::{DateTime, TimeZone, Timelike, Utc};
use common::{real_patterns, semantic, space};

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
    let spaces = ENCODINGS.map(|encoding| Space { encoding, ..space(3) });
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
        .map(|pattern| Pattern::new(pattern, "node-1", &Space::new("default")).unwrap())
        .collect();
    check_items(&real).unwrap();
}

#[test]
fn what_goes_in_comes_out() {
    for pattern in real_patterns(1, 1) {
        let held = Pattern::new(&pattern, "node-1", &Space::new("default")).unwrap();
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
        let space = Space { encoding, ..space(2) };
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

fn refused_in(space: &Space, change: impl FnOnce(&mut SemanticPattern)) -> InvalidPattern {
    let mut pattern = semantic("pattern_1", &[0.5, -0.25, 0.0], &["e1", "e2"], 0.5);
    change(&mut pattern);
    Pattern::new(&pattern, "node-1", space).expect_err("it is not valid")
}

#[test]
fn bad_input_is_refused_by_name_and_field() {
    let field = |error: InvalidPattern, field: Field, problem: Problem| {
        assert_eq!((error.field, &error.problem), (field, &problem));
        let text = error.to_string();
        assert!(text.contains(&error.id) && text.contains(&field.to_string()), "{text}");
    };
    field(refused(|pattern| pattern.id.clear()), Field::Id, Problem::Empty);
    let wrong = Problem::WrongDimension { found: 2, expected: 3 };
    field(refused(|pattern| pattern.embedding.truncate(2)), Field::Embedding, wrong);
    let infinite = Problem::ComponentNotFinite { index: 1, value: f32::INFINITY };
    field(refused(|pattern| pattern.embedding[1] = f32::INFINITY), Field::Embedding, infinite);
    let unsorted = Problem::Unsorted { episode: "e0".into() };
    field(refused(|pattern| pattern.source_episodes.push("e0".into())), Field::SourceEpisodes, unsorted);
    let repeated = Problem::Repeated { value: "e2".into() };
    field(refused(|pattern| pattern.source_episodes.push("e2".into())), Field::SourceEpisodes, repeated);
    let strength = Problem::NotFinite(f32::NEG_INFINITY);
    field(refused(|pattern| pattern.strength = f32::NEG_INFINITY), Field::Strength, strength);
    for confidence in [-0.01, 1.01] {
        let problem = Problem::OutOfRange(confidence);
        field(refused(|pattern| pattern.schema_confidence = confidence), Field::SchemaConfidence, problem);
    }
    let endless = Problem::NotFinite(f32::INFINITY);
    field(refused(|pattern| pattern.schema_confidence = f32::INFINITY), Field::SchemaConfidence, endless);
}

#[test]
fn not_a_number_is_refused_wherever_it_stands() {
    let embedding = refused(|pattern| pattern.embedding[2] = f32::NAN);
    assert!(matches!(embedding.problem, Problem::ComponentNotFinite { index: 2, .. }), "{embedding}");
    let strength = refused(|pattern| pattern.strength = f32::NAN);
    assert!(matches!(strength, InvalidPattern { field: Field::Strength, problem: Problem::NotFinite(_), .. }));
    let confidence = refused(|pattern| pattern.schema_confidence = f32::NAN);
    assert!(matches!(
        confidence,
        InvalidPattern { field: Field::SchemaConfidence, problem: Problem::NotFinite(_), .. }
    ));
}

#[test]
fn a_leap_second_in_the_middle_of_a_minute_is_refused() {
    let time = leap_second() - chrono::Duration::seconds(10);
    let time = time.with_nanosecond(1_500_000_000).unwrap();
    let error = refused(|pattern| pattern.last_consolidated = time);
    assert_eq!((error.field, error.problem), (Field::LastConsolidated, Problem::NoSuchTime(time)));
}

#[test]
fn what_an_encoding_cannot_hold_is_refused() {
    let halves = Space { encoding: Encoding::F16, ..space(3) };
    let error = refused_in(&halves, |pattern| pattern.embedding[1] = 65_520.0);
    assert_eq!(error.problem, Problem::ComponentTooLarge { index: 1, value: 65_520.0 });
    let mut largest = semantic("a", &[65_504.0, f32::MAX, 1e-45], &[], 0.5);
    assert!(Pattern::new(&largest, "n", &Space { encoding: Encoding::F32, ..space(3) }).is_ok());
    assert!(Pattern::new(&largest, "n", &halves).is_err());
    largest.embedding[1] = -65_504.0;
    assert!(Pattern::new(&largest, "n", &halves).is_ok());
}

/// The error of an encoding is at most what its documentation states.
#[test]
fn encodings_keep_their_promises() {
    for pattern in real_patterns(2, 1).iter().take(20) {
        let largest = pattern.embedding.iter().fold(0.0, |largest: f32, component| largest.max(component.abs()));
        for encoding in ENCODINGS {
            let space = Space { encoding, ..Space::new("default") };
            let held = Pattern::new(pattern, "n", &space).unwrap().embedding().to_vec();
            for (was, is) in pattern.embedding.iter().zip(held) {
                let allowed = match encoding {
                    Encoding::F16 => (was.abs() / 2048.0).max(2f32.powi(-25)),
                    // A hair more, since the step itself is rounded.
                    Encoding::I8 => largest / 254.0 * 1.000_001,
                    _ => 0.0,
                };
                assert!((was - is).abs() <= allowed, "{encoding:?}: {was} became {is}");
            }
        }
    }
}
