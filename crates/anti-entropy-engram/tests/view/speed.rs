//! How long it takes: `cargo test --release -p anti-entropy-engram --test view -- --ignored --nocapture speed`.

use std::time::{Duration, Instant};

use anti_entropy_engram::{MemorySpace, Pattern, SemanticPattern};

use crate::common::{semantic, version};
use crate::{Set, assert_same, changed, set, view_of};

const PATTERNS: usize = 10_000;
/// Patterns of one topic resemble each other.
const TOPICS: usize = 500;
const DIMENSION: usize = 768;

/// Numbers that look random: xorshift64*, from -1 to 1.
struct Numbers(u64);

impl Numbers {
    fn integer(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    fn next(&mut self) -> f32 {
        (self.integer() as f64 / (1u64 << 52) as f64 - 1.0) as f32
    }

    fn vector(&mut self) -> Vec<f32> {
        (0..DIMENSION).map(|_| self.next()).collect()
    }
}

fn pattern(topics: &[Vec<f32>], id: usize, numbers: &mut Numbers) -> SemanticPattern {
    let topic = id % TOPICS;
    let noise = numbers.next().abs();
    let embedding: Vec<f32> = topics[topic].iter().map(|component| component + noise * numbers.next()).collect();
    let mut episodes: Vec<String> = (0..4).map(|_| format!("episode_{topic}_{}", numbers.integer() % 30)).collect();
    episodes.sort();
    episodes.dedup();
    let episodes: Vec<&str> = episodes.iter().map(String::as_str).collect();
    semantic(&format!("pattern_{id}"), &embedding, &episodes, numbers.next().abs())
}

#[test]
#[ignore = "takes long, and its numbers depend on the machine"]
fn speed() {
    let space = MemorySpace::new("default");
    let mut numbers = Numbers(7);
    let topics: Vec<Vec<f32>> = (0..TOPICS).map(|_| numbers.vector()).collect();
    let replicated = |id, numbers: &mut Numbers| Pattern::new(&pattern(&topics, id, numbers), "n", &space).unwrap();
    let mut set: Set = set((0..PATTERNS).map(|id| replicated(id, &mut numbers)));
    println!("resident before: {} MB", resident_mb());

    let begun = Instant::now();
    let mut view = view_of(&space, &set);
    println!("built in {:?}: {:?}, {} items", begun.elapsed(), view.counts(), view.len());
    println!("resident: {} MB", resident_mb());
    let begun = Instant::now();
    let hash = view.hash();
    println!("hashed in {:?}: {hash}", begun.elapsed());

    let mut times = Vec::new();
    for round in 0..300 {
        let one = replicated(round * 31 % PATTERNS, &mut numbers);
        let id = one.id().to_owned();
        set.insert(id.clone(), vec![version(1, one)]);
        let change = changed([(&id, set.get(&id))]);
        let begun = Instant::now();
        view.apply(change).unwrap();
        times.push(begun.elapsed());
    }
    report("a changed embedding", times);

    let mut times = Vec::new();
    for round in 0..300 {
        let id = format!("pattern_{}", round * 37 % PATTERNS);
        let surer = SemanticPattern { schema_confidence: 0.5, ..SemanticPattern::from(&set[&id][0].value) };
        set.insert(id.clone(), vec![version(1, Pattern::new(&surer, "n", &space).unwrap())]);
        let change = changed([(&id, set.get(&id))]);
        let begun = Instant::now();
        view.apply(change).unwrap();
        times.push(begun.elapsed());
    }
    report("a changed confidence", times);
    assert_same(&view, &view_of(&space, &set));
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    println!("{what}: median {:?}, worst {:?}", times[times.len() / 2], times[times.len() - 1]);
}

/// Of the process, on Linux.
fn resident_mb() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096 / 1_000_000
}
