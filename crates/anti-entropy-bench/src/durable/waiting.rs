//! What waits for a replica at the same time: committed together, and one by one.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use anti_entropy::clock::Seed;
use anti_entropy::engine::{Engine, EngineOutput};
use anti_entropy::store::Commit;
use anti_entropy::{
    GossipConfig, Keyed, LastWriterWins, MemoryNetwork, MemoryStore, Node, Opening, PeerId, Replica, ReplicaConfig,
    Store, Transaction,
};
use anti_entropy_bench::now;
use anti_entropy_redb::RedbFile;
use futures::executor::block_on;
use futures::future::join_all;
use redb::Database;
use serde::Serialize;

use super::{commit_bare, config, recorded};
use crate::measure::Samples;

type Item = Keyed<u32, u8>;
type Failure = Box<dyn Error>;

/// As many pushes as one member has put into a frame of 64 KiB.
const WRITES: u32 = 1_857;
/// Longer than these pushes are together.
const FRAME_BYTES: usize = 256 << 10;
/// How often what is committed together is measured; what is committed one by one, once.
const ROUNDS: usize = 9;

/// How long it takes to make durable what waits at once.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct WaitingRow {
    what: &'static str,
    writes: u32,
    commits: usize,
    milliseconds: f64,
    /// Of redb alone, which makes the same commits.
    bare_milliseconds: f64,
    ratio: f64,
}

impl WaitingRow {
    pub(crate) const HEADERS: [&str; 6] = ["what waits", "writes", "commits", "ms", "redb alone", "ratio"];

    pub(crate) const GOALS: [&str; 6] = ["goal", "", "", "<= 50", "", ""];

    pub(crate) fn cells(&self) -> Vec<String> {
        vec![
            self.what.to_string(),
            self.writes.to_string(),
            self.commits.to_string(),
            format!("{:.1}", self.milliseconds),
            format!("{:.1}", self.bare_milliseconds),
            format!("{:.2}", self.ratio),
        ]
    }
}

/// One way to hand in writes: how many seconds a replica over this store takes for them.
type HandIn = fn(Box<dyn Store>, ReplicaConfig) -> Result<f64, Failure>;

pub(super) fn measure(directory: &Path, mut each: impl FnMut(WaitingRow)) -> Result<(), Failure> {
    let together = ReplicaConfig::default();
    let one_by_one = together.clone().with(|config| config.max_commit_writes = 1.try_into().expect("not zero"));
    let ways: [(&str, HandIn, &ReplicaConfig, usize); 4] = [
        ("pushes of a frame", take_in, &together, ROUNDS),
        ("pushes, one by one", take_in, &one_by_one, 1),
        ("writes of handles", write, &together, ROUNDS),
        ("writes, one by one", write, &one_by_one, 1),
    ];
    for (what, hand_in, config, rounds) in ways {
        let [mut ours, mut bare] = [(); 2].map(|()| Samples::default());
        let mut commits = 0;
        for _ in 0..rounds {
            let (seconds, made) = of_ours(directory, hand_in, config)?;
            ours.add(seconds * 1e3);
            bare.add(of_redb(directory, &made)? * 1e3);
            commits = made.len();
        }
        let (milliseconds, bare_milliseconds) = (ours.median(), bare.median());
        let ratio = bare_milliseconds / milliseconds;
        each(WaitingRow { what, writes: WRITES, commits, milliseconds, bare_milliseconds, ratio });
    }
    Ok(())
}

/// The seconds that a replica in a new file takes, and what it committed.
fn of_ours(directory: &Path, hand_in: HandIn, limits: &ReplicaConfig) -> Result<(f64, Vec<Commit>), Failure> {
    let directory = tempfile::tempdir_in(directory)?;
    let file = RedbFile::create(directory.path().join("ours.redb"), config())?;
    let (recorder, receiver) = recorded(file.space("s")?);
    let seconds = hand_in(Box::new(recorder), limits.clone())?;
    // But for those of opening and closing.
    Ok((seconds, receiver.iter().filter(|commit| !commit.records.is_empty()).collect()))
}

fn of_redb(directory: &Path, commits: &[Commit]) -> Result<f64, Failure> {
    let directory = tempfile::tempdir_in(directory)?;
    let path = directory.path().join("bare.redb");
    let database = Database::builder().set_cache_size(config().cache_bytes).create(path)?;
    let started = Instant::now();
    for commit in commits {
        commit_bare(&database, commit)?;
    }
    Ok(started.elapsed().as_secs_f64())
}

fn item(number: u32) -> Item {
    Keyed::new(number, number.to_le_bytes()[0])
}

fn take_in(store: Box<dyn Store>, limits: ReplicaConfig) -> Result<f64, Failure> {
    let opening = Opening::from(Seed::from_os()?).with(|opening| opening.config = limits);
    let replica: Replica<Item> = Replica::open(store, LastWriterWins, opening)?;
    let mut reader = Engine::new(replica, gossip(), 1, now())?;
    let writer = PeerId::from("writer");
    reader.add_peer(writer.clone(), None);
    let frame = frame_of_pushes()?;
    let started = Instant::now();
    reader.handle_frame(&writer, &frame, now());
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!(reader.stats().pushes_taken, u64::from(WRITES), "all are taken in");
    Ok(seconds)
}

fn gossip() -> GossipConfig {
    GossipConfig::default().with(|config| {
        config.max_pushes = WRITES as usize;
        config.max_queued_pushes = WRITES as usize;
        config.session.max_frame_bytes = FRAME_BYTES;
    })
}

fn frame_of_pushes() -> Result<Vec<u8>, Failure> {
    let replica: Replica<Item> = Replica::open(MemoryStore::new(), LastWriterWins, Seed::from_os()?)?;
    let mut writer = Engine::new(replica, gossip(), 2, now())?;
    writer.add_peer(PeerId::from("reader"), None);
    writer.commit((0..WRITES).map(item).fold(Transaction::new(), Transaction::write), now())?;
    match writer.poll_output(now()) {
        EngineOutput::Send { frame, .. } => Ok(frame),
        output => Err(format!("no pushes, but {output:?}").into()),
    }
}

fn write(store: Box<dyn Store>, limits: ReplicaConfig) -> Result<f64, Failure> {
    let node = Node::<Item>::new(store, LastWriterWins).replica(limits);
    let handle = node.spawn(MemoryNetwork::new(1).join("alone".into()))?;
    block_on(handle.status())?;
    let started = Instant::now();
    let written = block_on(join_all((0..WRITES).map(|number| handle.write(item(number)))));
    let seconds = started.elapsed().as_secs_f64();
    written.into_iter().collect::<Result<Vec<_>, _>>()?;
    block_on(handle.shutdown(std::time::Duration::ZERO))?;
    Ok(seconds)
}
