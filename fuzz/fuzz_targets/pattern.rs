//! Patterns from any bytes, what several of them mean together, and root announcements.
#![no_main]

use std::collections::BTreeMap;

use anti_entropy::clock::{Dot, ReplicaId, Timestamp};
use anti_entropy::summary::Snapshot;
use anti_entropy::value::Encoded;
use anti_entropy::{ChangedEntries, Entry, KeyHash, Replicated, Version};
use anti_entropy_engram::gossiper::RootAnnouncement;
use anti_entropy_engram::view::{SemanticView, ViewConfig};
use anti_entropy_engram::{MemorySpace, Pattern, vote};
use libfuzzer_sys::fuzz_target;

/// Raw bytes of a body, or its fields; then the parts.
type Input = (u8, Result<Vec<u8>, Fields>, Vec<u8>, Vec<String>);
/// Encoding, origin, strength, confidence, seconds and nanoseconds.
type Fields = (u8, String, f32, f32, i64, u32);

fuzz_target!(|input: (Vec<Input>, bool, Vec<u8>)| {
    let (inputs, sorted, announcement) = input;
    let mut entries: BTreeMap<KeyHash, Option<Entry<Pattern>>> = BTreeMap::new();
    for (number, input) in (1..).zip(inputs) {
        let Some(value) = decode(input, sorted) else { continue };
        let entry = entries.entry(KeyHash::of(&value.key())).or_default();
        let entry = entry.get_or_insert_with(|| Entry { key: value.key(), siblings: Vec::new() });
        let dot = Dot { replica: ReplicaId::from_u128(number), counter: 1 };
        entry.siblings.push(Version { dot, timestamp: Timestamp::MIN, value });
    }
    for entry in entries.values().flatten() {
        let vote = vote(&entry.siblings).expect("there are versions");
        let highest = entry.siblings.iter().map(|version| version.value.confidence()).fold(0.0, f32::max);
        assert!((0.0..=1.0).contains(&vote.agreement), "{vote:?}");
        assert!((0.0..=highest).contains(&vote.pattern.confidence()), "{vote:?}");
        assert!(Pattern::decode(&vote.pattern.key(), &vote.pattern.encode()).is_ok(), "{vote:?}");
    }
    let mut view = SemanticView::new(MemorySpace::new("fuzz"), ViewConfig::default()).expect("the space makes sense");
    let changed =
        ChangedEntries { since: <Snapshot>::default().root(), entries: entries.clone(), until: Snapshot::default() };
    view.apply(changed).expect("a few patterns have few pairs");
    let named: usize = view.items().map(|item| item.patterns().len()).sum();
    assert_eq!(named, entries.len());
    for item in view.items() {
        assert!(item.confidence() <= item.base_confidence(), "{item:?}");
    }
    if let Ok(read) = RootAnnouncement::from_bytes(&announcement) {
        assert_eq!(read.to_bytes()[..], announcement);
    }
});

/// A pattern, if the input is one; and then it has these bytes and no others.
fn decode(input: Input, sorted: bool) -> Option<Pattern> {
    let (id, body, embedding, mut episodes) = input;
    if sorted {
        episodes.sort();
        episodes.dedup();
    }
    let body = body.unwrap_or_else(|fields| postcard::to_allocvec(&fields).expect("fields encode"));
    let episodes = postcard::to_allocvec(&episodes).expect("texts encode");
    let encoded = Encoded { body, parts: vec![embedding.into(), episodes.into()] };
    let pattern = Pattern::decode(&format!("pattern_{}", id % 8), &encoded).ok()?;
    assert_eq!(pattern.encode(), encoded);
    Some(pattern)
}
