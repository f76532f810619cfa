//! Snapshots in an application's own type, with each episode twice, prepared off the engine's thread and written in steps.

use std::error::Error;

use anti_entropy::clock::Seed;
use anti_entropy::{GossipConfig, MemoryStore};
use anti_entropy_bench::{Revision, made_up_pattern, now};
use anti_entropy_engram::gossiper::{ConsolidationGossiper, PreparedSnapshot, RebuildProgress, Vanished};
use anti_entropy_engram::{MemorySpace, PatternRef, SemanticPattern, SnapshotSource};
use anti_entropy_redb::{RedbConfig, RedbFile, Schema};
use chrono::{DateTime, Utc};

use super::{MILLISECOND, Row};
use crate::measure::{Progress, Samples, processor_time, time};

/// As engram-core has it: the embedding in the pattern itself, and every episode twice.
#[derive(Clone)]
struct OwnPattern {
    id: String,
    embedding: [f32; 768],
    source_episodes: Vec<String>,
    strength: f32,
    schema_confidence: f32,
    last_consolidated: DateTime<Utc>,
}

impl From<SemanticPattern> for OwnPattern {
    fn from(pattern: SemanticPattern) -> Self {
        let twice = pattern.source_episodes.into_iter().flat_map(|episode| [episode.clone(), episode]);
        Self {
            id: pattern.id,
            embedding: pattern.embedding.try_into().expect("768 components were made up"),
            source_episodes: twice.collect(),
            strength: pattern.strength,
            schema_confidence: pattern.schema_confidence,
            last_consolidated: pattern.last_consolidated,
        }
    }
}

#[derive(Clone)]
struct OwnSnapshot(Vec<OwnPattern>);

impl SnapshotSource for OwnSnapshot {
    fn generated_at(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }

    fn patterns(&self) -> impl Iterator<Item = PatternRef<'_>> {
        self.0.iter().map(|own| PatternRef {
            id: &own.id,
            embedding: &own.embedding,
            source_episodes: &own.source_episodes,
            strength: own.strength,
            schema_confidence: own.schema_confidence,
            last_consolidated: own.last_consolidated,
        })
    }
}

/// What one report of a snapshot takes, in milliseconds.
#[derive(Default)]
struct Report {
    whole: Samples,
    longest_step: Samples,
}

/// The time of a step on the engine's thread, in nanoseconds.
#[derive(Clone, Copy)]
struct Step {
    processor: f64,
    elapsed: f64,
}

/// Measures a first snapshot, and the same one reported again and again.
///
/// # Errors
/// If a replica fails.
pub(super) fn measure(count: u64, progress: &Progress, each: &mut impl FnMut(Row)) -> Result<(), Box<dyn Error>> {
    const REPORTS: usize = 20;
    progress.show(&format!("{count} patterns: reporting"));
    let made = |number| OwnPattern::from(made_up_pattern(number, Revision::default()));
    let given = OwnSnapshot((0..count).map(made).collect());
    let (store, seed) = (MemoryStore::new(), Seed::from_bytes([1; 32]));
    let mut gossiper =
        ConsolidationGossiper::open(MemorySpace::new("default"), "node", store, seed, GossipConfig::default(), now())?;
    let mut preparer = gossiper.preparer();
    let [mut first, mut again] = [Report::default(), Report::default()];
    for round in 0..=REPORTS {
        let report = if round == 0 { &mut first } else { &mut again };
        // A copy, as a decorator makes it, which gets it by reference.
        let (preparing, snapshot) = processor_time(|| preparer.prepare(&given.clone()));
        let (steps, written) = in_steps(&mut gossiper, snapshot)?;
        assert_eq!(written as u64, if round == 0 { count } else { 0 });
        let processor = || steps.iter().map(|step| step.processor);
        report.whole.add((preparing + processor().sum::<f64>()) / MILLISECOND);
        report.longest_step.add(processor().fold(0.0, f64::max) / MILLISECOND);
    }
    each(Row::new(format!("report of {count}, all new, in all"), "ms", None, &mut first.whole));
    each(Row::new("longest step on the engine's thread", "ms", Some(20.0), &mut first.longest_step));
    each(Row::new(format!("report of {count}, unchanged, in all"), "ms", Some(80.0), &mut again.whole));
    each(Row::new("longest step on the engine's thread", "ms", Some(20.0), &mut again.longest_step));
    measure_on_disk(&given, each)
}

/// The longest of the steps that write a first snapshot to redb, each of which waits for the disk.
fn measure_on_disk(given: &OwnSnapshot, each: &mut impl FnMut(Row)) -> Result<(), Box<dyn Error>> {
    const FILES: u8 = 5;
    let [mut longest, mut working, mut all] = [(); 3].map(|()| Samples::default());
    for number in 1..=FILES {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("patterns.redb");
        let file = RedbFile::create(path, RedbConfig::new(Schema::new("patterns", 1)))?;
        let (store, seed, config) = (file.space("s")?, Seed::from_bytes([number; 32]), GossipConfig::default());
        let mut gossiper =
            ConsolidationGossiper::open(MemorySpace::new("default"), "node", store, seed, config, now())?;
        let snapshot = gossiper.preparer().prepare(given);
        let (steps, written) = in_steps(&mut gossiper, snapshot)?;
        assert_eq!(written, given.0.len());
        longest.add(steps.iter().map(|step| step.elapsed).fold(0.0, f64::max) / MILLISECOND);
        working.add(steps.iter().map(|step| step.processor).fold(0.0, f64::max) / MILLISECOND);
        all.add(steps.iter().map(|step| step.elapsed).sum::<f64>() / MILLISECOND);
    }
    each(Row::new("the same on redb, all new, all steps, elapsed", "ms", None, &mut all));
    each(Row::new("longest step on the engine's thread, elapsed", "ms", Some(20.0), &mut longest));
    each(Row::new("the same, processor time", "ms", None, &mut working));
    Ok(())
}

/// The time of each step, and how many patterns were written.
fn in_steps(
    gossiper: &mut ConsolidationGossiper,
    prepared: PreparedSnapshot,
) -> Result<(Vec<Step>, usize), Box<dyn Error>> {
    let (processor, (elapsed, ())) = processor_time(|| time(|| gossiper.begin_rebuild(prepared, Vanished::Keep)));
    let mut steps = vec![Step { processor, elapsed }];
    loop {
        // What the driver does after each call: it takes what is to be sent, and publishes the root.
        let make_step = || {
            let step = gossiper.continue_rebuild(now());
            gossiper.engine_mut().replica_mut().root();
            step
        };
        let (processor, (elapsed, step)) = processor_time(|| time(make_step));
        steps.push(Step { processor, elapsed });
        if let RebuildProgress::Finished(rebuilt) = step? {
            return Ok((steps, rebuilt.written));
        }
    }
}
