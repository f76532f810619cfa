//! What a ping takes while a rebuild is being written to a disk.

use std::error::Error;
use std::sync::mpsc::{TryRecvError, channel};
use std::time::Duration;

use anti_entropy::clock::Seed;
use anti_entropy::engine::drive;
use anti_entropy::{DriverConfig, GossipConfig, Handle, MemoryNetwork, SystemClock};
use anti_entropy_bench::{Revision, made_up_pattern, now};
use anti_entropy_engram::gossiper::{ConsolidationGossiper, RootAnnouncement, SnapshotReporter, background};
use anti_entropy_engram::swim::{PingTrailers, PingTrailersConfig};
use anti_entropy_engram::{ConsolidationSnapshot, MemorySpace, Pattern};
use anti_entropy_redb::{RedbConfig, RedbFile, Schema};
use chrono::DateTime;
use futures::executor::block_on;

use super::{MICROSECOND, MILLISECOND, Row};
use crate::measure::{Progress, Samples, time};

/// The time between two pings.
const PERIOD: Duration = Duration::from_millis(1);

/// Measures what goes behind a ping, read from the cell, and then as a call of the engine would answer it.
///
/// # Errors
/// If the store fails, or the engine stops.
pub(super) fn measure(count: u64, progress: &Progress, each: &mut impl FnMut(Row)) -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let file = RedbFile::create(directory.path().join("patterns.redb"), RedbConfig::new(Schema::new("patterns", 1)))?;
    let (space, seed) = (MemorySpace::new("default"), Seed::from_bytes([1; 32]));
    let config = GossipConfig::default();
    let gossiper = ConsolidationGossiper::open(space.clone(), "node", file.space("s")?, seed, config, now())?;
    let preparer = gossiper.preparer();
    let transport = MemoryNetwork::new(1).join("node".into());
    let (engine, driver) = drive(gossiper, transport, SystemClock::new(), DriverConfig::default())?;
    std::thread::spawn(|| block_on(driver));
    let (told, outcomes) = channel();
    let tell = move |outcome| drop(told.send(outcome));
    let reporter = SnapshotReporter::new(engine.clone(), preparer, background("consolidation")?, tell);

    let rebuild_and = |version, mut ping: Box<dyn FnMut() -> Result<f64, Box<dyn Error>> + '_>| {
        progress.show(&format!("{count} patterns: pinging during rebuild {version}"));
        let mut samples = Samples::default();
        reporter.report(snapshot(count, version), vec![]);
        loop {
            match outcomes.try_recv() {
                Ok(outcome) => {
                    assert_eq!(outcome?.written as u64, count);
                    return Ok::<_, Box<dyn Error>>(samples);
                }
                Err(TryRecvError::Empty) => samples.add(ping()?),
                Err(error) => return Err(error.into()),
            }
            std::thread::sleep(PERIOD);
        }
    };
    let mut trailers = PingTrailers::new("node", "127.0.0.1:7947".parse()?, PingTrailersConfig::default())?;
    let mut from_cell = rebuild_and(1, Box::new(|| Ok(trailer(&engine, &space, &mut trailers) / MICROSECOND)))?;
    let mut from_engine = rebuild_and(2, Box::new(|| Ok(awaited(&engine)? / MILLISECOND)))?;
    each(Row::new(format!("trailer of a ping while {count} are written to redb"), "us", Some(1_000.0), &mut from_cell));
    each(Row::new("root from the engine meanwhile, awaited", "ms", None, &mut from_engine));
    block_on(engine.shutdown(Duration::from_secs(1)))?;
    Ok(())
}

/// The elapsed time of what a ping needs, in nanoseconds.
fn trailer(engine: &Handle<Pattern, ConsolidationGossiper>, space: &MemorySpace, trailers: &mut PingTrailers) -> f64 {
    let mut datagram = vec![0; 100];
    let (elapsed, ()) = time(|| {
        let announced = engine.announced().ok();
        trailers.append(&mut datagram, 1, |_| {
            announced.map(|held| RootAnnouncement::new(space, held.root, held.generation))
        });
    });
    assert!(datagram.len() > 100 + RootAnnouncement::LEN, "the engine runs");
    elapsed
}

/// The elapsed time until the engine has answered a call, in nanoseconds.
fn awaited(engine: &Handle<Pattern, ConsolidationGossiper>) -> Result<f64, Box<dyn Error>> {
    let (elapsed, announced) = time(|| block_on(engine.with(|gossiper, _| gossiper.root_announcement())));
    announced?;
    Ok(elapsed)
}

fn snapshot(count: u64, version: u64) -> ConsolidationSnapshot {
    let revision = Revision { embedding: version, metadata: version };
    let patterns = (0..count).map(|number| made_up_pattern(number, revision)).collect();
    ConsolidationSnapshot { generated_at: DateTime::UNIX_EPOCH, patterns }
}
