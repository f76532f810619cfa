//! The cost of patterns and of the semantic view.

mod pinged;
mod reported;
mod traffic;

use std::error::Error;
use std::hint::black_box;
use std::num::NonZeroUsize;

use anti_entropy::clock::{Dot, ReplicaId, Seed, Timestamp};
use anti_entropy::{GossipConfig, MemoryStore, Replica, Transaction, Version};
use anti_entropy_bench::{Revision, made_up_pattern, now, synchronise};
use anti_entropy_engram::gossiper::ConsolidationGossiper;
use anti_entropy_engram::view::{SemanticView, ViewConfig};
use anti_entropy_engram::{ConsolidationSnapshot, MemorySpace, Pattern, Resolution, SemanticPattern, vote};
use chrono::DateTime;
use serde::Serialize;

use crate::measure::{Progress, Samples, Unit, float, processor_time};

/// A figure and its goal. The goal is met if the median meets it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    figure: String,
    unit: &'static str,
    goal: Option<f64>,
    median: f64,
    worst: f64,
    samples: usize,
}

impl Row {
    pub(crate) const HEADERS: [&str; 6] = ["", "goal", "median", "worst", "samples", "met"];

    fn new(figure: impl Into<String>, unit: &'static str, goal: Option<f64>, samples: &mut Samples) -> Self {
        let (median, worst, samples) = (samples.median(), samples.greatest(), samples.len());
        Self { figure: figure.into(), unit, goal, median, worst, samples }
    }

    pub(crate) fn cells(&self) -> Vec<String> {
        let shown = |number: f64| {
            let digits = if number.abs() < 10.0 { 2 } else { 0 };
            format!("{number:.digits$} {}", self.unit)
        };
        vec![
            self.figure.clone(),
            self.goal.map(|goal| format!("<= {goal} {}", self.unit)).unwrap_or_default(),
            shown(self.median),
            shown(self.worst),
            self.samples.to_string(),
            self.goal.map_or("", |goal| if self.median <= goal { "yes" } else { "NO" }).to_string(),
        ]
    }
}

const MICROSECOND: f64 = 1e3;
const MILLISECOND: f64 = 1e6;
const SECOND: f64 = 1e9;

/// Measures everything with `count` patterns, of which one in a hundred changes. Calls `each` with each result.
///
/// # Errors
/// If a replica fails.
pub(crate) fn measure(count: u64, progress: &Progress, mut each: impl FnMut(Row)) -> Result<(), Box<dyn Error>> {
    let mut unit = Unit::default();
    for (siblings, goal) in [(2, Some(5.0)), (5, None)] {
        each(measure_vote(siblings, goal, &mut unit));
    }
    measure_rebuilds(count, progress, &mut each)?;
    reported::measure(count, progress, &mut each)?;
    pinged::measure(count, progress, &mut each)?;
    measure_view(count, progress, &mut each)?;
    traffic::measure(count, progress, &mut each)?;
    each(Row::new("SHA-256 of 64 bytes, for comparison", "ns", None, unit.samples()));
    Ok(())
}

/// A call of `vote` on versions of a pattern that different nodes made of the same episodes.
fn measure_vote(siblings: u64, goal: Option<f64>, unit: &mut Unit) -> Row {
    const VOTES: u32 = 100;
    let version = |writer: u64| {
        let revision = Revision { embedding: writer, metadata: writer };
        let dot = Dot { replica: ReplicaId::from_u128(writer.into()), counter: 1 };
        let timestamp = Timestamp { wall_ms: now().unix_ms, logical: 0 };
        Version { dot, timestamp, value: replicated(&made_up_pattern(0, revision), "node") }
    };
    let versions: Vec<Version<Pattern>> = (1..=siblings).map(version).collect();
    let mut samples = Samples::default();
    for _ in 0..500 {
        unit.sample();
        let (time, ()) = processor_time(|| {
            for _ in 0..VOTES {
                black_box(vote(black_box(&versions)));
            }
        });
        samples.add(time / f64::from(VOTES) / MICROSECOND);
    }
    Row::new(format!("vote of {siblings}"), "us", goal, &mut samples)
}

/// Applying snapshots in which every pattern is new, in which none has changed, and in which one in a hundred has.
fn measure_rebuilds(count: u64, progress: &Progress, each: &mut impl FnMut(Row)) -> Result<(), Box<dyn Error>> {
    const REBUILDS: u64 = 20;
    let [mut first, mut unchanged, mut changed] = [(); 3].map(|()| Samples::default());
    let mut snapshot = ConsolidationSnapshot {
        generated_at: DateTime::UNIX_EPOCH,
        patterns: (0..count).map(|number| made_up_pattern(number, Revision::default())).collect(),
    };
    let (store, seed) = (MemoryStore::new(), Seed::from_bytes([1; 32]));
    let mut gossiper =
        ConsolidationGossiper::open(MemorySpace::new("default"), "node", store, seed, GossipConfig::default(), now())?;
    let mut rebuild = |snapshot: &ConsolidationSnapshot, samples: &mut Samples| {
        let (time, rebuilt) = processor_time(|| gossiper.rebuild_from_snapshot(snapshot, now()));
        samples.add(time / MILLISECOND);
        rebuilt.map(|rebuilt| rebuilt.written)
    };
    progress.show(&format!("{count} patterns: rebuilding"));
    assert_eq!(rebuild(&snapshot, &mut first)? as u64, count);
    for round in 1..=REBUILDS {
        let numbers = draw(count, round);
        for number in &numbers {
            let revision = Revision { embedding: round, metadata: round };
            snapshot.patterns[index(*number)] = made_up_pattern(*number, revision);
        }
        assert_eq!(rebuild(&snapshot, &mut changed)?, numbers.len());
        assert_eq!(rebuild(&snapshot, &mut unchanged)?, 0);
    }
    each(Row::new(format!("rebuild of {count}, all new"), "ms", None, &mut first));
    each(Row::new(format!("rebuild of {count}, unchanged"), "ms", Some(25.0), &mut unchanged));
    each(Row::new(format!("rebuild of {count}, 1 % changed"), "ms", Some(25.0), &mut changed));
    let mut ratio = Samples::default();
    ratio.add(unchanged.median() / first.median() * 100.0);
    each(Row::new("unchanged, of all new", "%", None, &mut ratio));
    Ok(())
}

/// Building the semantic view, and updating it after a pattern has changed.
fn measure_view(count: u64, progress: &Progress, each: &mut impl FnMut(Row)) -> Result<(), Box<dyn Error>> {
    const CHANGES: u64 = 200;
    progress.show(&format!("{count} patterns: building the view"));
    let mut replica = with_siblings(count)?;
    let [mut built, mut built_alone, mut changed] = [(); 3].map(|()| Samples::default());
    let alone = ViewConfig::default().with(|config| config.search_threads = NonZeroUsize::MIN);
    let mut view = SemanticView::new(MemorySpace::new("default"), alone)?;
    let (time, followed) = processor_time(|| view.follow(&mut replica));
    followed?;
    built_alone.add(time / SECOND);
    let hash = view.hash();
    let mut view = SemanticView::new(MemorySpace::new("default"), ViewConfig::default())?;
    let (elapsed, followed) = crate::measure::time(|| view.follow(&mut replica));
    followed?;
    assert_eq!(view.hash(), hash, "bit for bit, on any number of threads");
    built.add(elapsed / SECOND);
    let counts = view.counts();
    let mut random = fastrand::Rng::with_seed(1);
    for round in 1..=CHANGES {
        progress.show(&format!("{count} patterns: change {round} of the view"));
        let revision = Revision { embedding: round, metadata: round };
        replica.write(replicated(&made_up_pattern(random.u64(..count), revision), "node"), now())?;
        let (time, followed) = processor_time(|| view.follow(&mut replica));
        assert!(followed?, "the change is new");
        changed.add(time / MILLISECOND);
    }
    each(Row::new(format!("view of {count}, from nothing, elapsed"), "s", Some(3.0), &mut built));
    each(Row::new("on one thread, processor time", "s", None, &mut built_alone));
    each(Row::new(format!("view of {count}, a pattern changed"), "ms", Some(5.0), &mut changed));
    let types = [counts.type1, counts.type2, counts.type3, counts.type4];
    for (conflicts, kind) in types.into_iter().zip(1..) {
        let mut samples = Samples::default();
        samples.add(float(conflicts as u64));
        each(Row::new(format!("conflicts of type {kind} in it"), "", None, &mut samples));
    }
    Ok(())
}

/// A replica with `count` patterns, of which two nodes have written one in fifty at the same time.
fn with_siblings(count: u64) -> Result<Replica<Pattern>, Box<dyn Error>> {
    let (mut replica, mut other) = (open(1)?, open(2)?);
    write(&mut replica, 0..count, Revision::default())?;
    write(&mut other, (0..count).step_by(50), Revision { embedding: 1 << 20, metadata: 1 << 20 })?;
    synchronise(&mut replica, &mut other, |_| {})?;
    Ok(replica)
}

fn open(seed: u8) -> Result<Replica<Pattern>, anti_entropy::Error> {
    Replica::open(MemoryStore::new(), Resolution::ConfidenceVoting, Seed::from_bytes([seed; 32]))
}

/// Writes the generated patterns with these numbers in one transaction.
fn write(
    replica: &mut Replica<Pattern>,
    numbers: impl IntoIterator<Item = u64>,
    revision: Revision,
) -> Result<(), anti_entropy::Error> {
    replica.commit(transaction(numbers, revision), now())?;
    Ok(())
}

fn transaction(numbers: impl IntoIterator<Item = u64>, revision: Revision) -> Transaction<Pattern> {
    let patterns = numbers.into_iter().map(|number| replicated(&made_up_pattern(number, revision), "node"));
    patterns.fold(Transaction::new(), Transaction::write)
}

fn replicated(pattern: &SemanticPattern, node: &str) -> Pattern {
    Pattern::new(pattern, node, &MemorySpace::new("default")).expect("made-up patterns are valid")
}

/// A random hundredth of the numbers; at least one.
fn draw(count: u64, seed: u64) -> Vec<u64> {
    let mut numbers: Vec<u64> = (0..count).collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut numbers);
    numbers.truncate(index(count / 100).max(1));
    numbers
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("patterns fit into memory")
}
