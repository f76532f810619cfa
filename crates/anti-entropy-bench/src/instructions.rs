//! Scenarios whose instructions callgrind counts. `.ci/instructions` compares the counts with the committed ones.
//!
//! On a shared machine, times vary by a tenth or more. Counts of instructions vary by less than a thousandth, as long
//! as a scenario reads no clock, starts no thread and draws random numbers from a fixed seed alone.

use std::error::Error;
use std::hint::black_box;

use anti_entropy::clock::Seed;
use anti_entropy::engine::{Engine, EngineOutput};
use anti_entropy::summary::MerkleTree;
use anti_entropy::{GossipConfig, LastWriterWins, MemoryStore, Opening, PeerId, Replica};
use anti_entropy_bench::{Entry, Item, Pair, entries, filled, item, key, known_to_many, now, synchronise};
use clap::ValueEnum;

/// How many entries the trees and replicas have.
const ENTRIES: u64 = 20_000;
/// How many entries are changed one by one.
const CHANGES: u64 = 2000;

/// How many versions there are before those that are counted, and how many are written then. In all, no more than a
/// replica allows by default.
const SIBLINGS: u64 = 1000;
const OTHERS: u64 = 20;
/// How many pushes are taken in.
const PUSHES: u64 = 200;
/// How many ids a clock may have there.
const MAX_IDS: usize = 2048;

/// The work whose instructions are counted.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Scenario {
    /// Building a Merkle tree from hashes, and its root.
    Build,
    /// Putting changed entries into a Merkle tree, with the root after each.
    Update,
    /// Opening a replica from a store that holds entries, which builds its tree and its sketch.
    Open,
    /// Writing changed values to a replica, each in a transaction of its own.
    Write,
    /// Writing values beside a thousand others at the same key, which none of them has seen.
    #[value(name = "write-sibling")]
    WriteSibling,
    /// Taking in pushes, each in a frame of its own, where the clock has ten ids.
    #[value(name = "push-10")]
    Push10,
    /// The same where the clock has a thousand ids.
    #[value(name = "push-1000")]
    Push1000,
    /// A hundred sessions between replicas that differ at one key.
    #[value(name = "session-1")]
    Session1,
    /// Two sessions between replicas that differ at a thousand keys.
    #[value(name = "session-1000")]
    Session1000,
}

/// Runs a scenario. Its set-up is not counted.
///
/// # Errors
/// If a replica's store fails, which one in memory does not.
pub(crate) fn run(scenario: Scenario) -> Result<(), Box<dyn Error>> {
    match scenario {
        Scenario::Build => build(),
        Scenario::Update => update(),
        Scenario::Open => open()?,
        Scenario::Write => write()?,
        Scenario::WriteSibling => write_sibling()?,
        Scenario::Push10 => pushes(10)?,
        Scenario::Push1000 => pushes(1000)?,
        Scenario::Session1 => sessions(100, 1)?,
        Scenario::Session1000 => sessions(2, 1000)?,
    }
    Ok(())
}

fn build() {
    let entries = entries(0..ENTRIES, 0);
    count(|| tree(entries));
}

fn update() {
    let mut tree = tree(entries(0..ENTRIES, 0));
    let changed = entries(0..CHANGES, 1);
    count(|| {
        for (key, fingerprint) in changed {
            tree.insert(key, fingerprint);
            black_box(tree.root());
        }
    });
}

/// A tree whose root is known.
fn tree(entries: Vec<Entry>) -> MerkleTree {
    let mut tree = MerkleTree::from_entries(entries);
    tree.root();
    tree
}

fn open() -> Result<(), Box<dyn Error>> {
    let store = filled(ENTRIES, |number| item(number, 0), |_| {})?;
    count(|| replica(store))?;
    Ok(())
}

fn write() -> Result<(), Box<dyn Error>> {
    let mut replica = replica(filled(ENTRIES, |number| item(number, 0), |_| {})?)?;
    let changed: Vec<Item> = (0..CHANGES).map(|number| item(number, 1)).collect();
    count(|| changed.into_iter().try_for_each(|item| replica.write(item, now()).map(|_| ())))?;
    Ok(())
}

fn write_sibling() -> Result<(), Box<dyn Error>> {
    let mut replica = replica(MemoryStore::new())?;
    let nothing = replica.read(&key(0))?.seen();
    for version in 0..SIBLINGS {
        replica.write_seen(item(0, version), &nothing, now())?;
    }
    let others: Vec<Item> = (SIBLINGS..SIBLINGS + OTHERS).map(|version| item(0, version)).collect();
    count(|| others.into_iter().try_for_each(|item| replica.write_seen(item, &nothing, now()).map(|_| ())))?;
    Ok(())
}

/// Takes in the pushes of one writer where the clock has this number of other ids.
fn pushes(ids: u64) -> Result<(), Box<dyn Error>> {
    let [reader, writer] = ["reader", "writer"].map(PeerId::from);
    let engine = |store, seed, peer: &PeerId| -> Result<Engine<Item>, Box<dyn Error>> {
        let opening = Opening::from(Seed::from_bytes([seed; 32]));
        let opening = opening.with(|opening| opening.config.max_clock_replicas = MAX_IDS);
        let config = GossipConfig::default();
        let mut engine = Engine::new(Replica::open(store, LastWriterWins, opening)?, config, seed.into(), now())?;
        engine.add_peer(peer.clone(), None);
        Ok(engine)
    };
    let mut writing = engine(MemoryStore::new(), 1, &reader)?;
    let mut frames = Vec::new();
    for number in 0..PUSHES {
        writing.write(item(number, 0), now())?;
        match writing.poll_output(now()) {
            EngineOutput::Send { frame, .. } => frames.push(frame),
            output => return Err(format!("no push, but {output:?}").into()),
        }
    }
    let mut reading = engine(known_to_many(ids, MAX_IDS)?, 2, &writer)?;
    count(|| frames.iter().for_each(|frame| reading.handle_frame(&writer, frame, now())));
    assert_eq!(reading.stats().pushes_taken, PUSHES, "all are taken in");
    Ok(())
}

fn replica(store: MemoryStore) -> Result<Replica<Item>, anti_entropy::Error> {
    Replica::open(store, LastWriterWins, Seed::from_bytes([1; 32]))
}

/// Runs sessions one after the other. Each finds the replicas different at other keys.
///
/// A single session at one key would count mostly the allocator, which tidies up once after the stores were filled.
fn sessions(sessions: u32, differences: u64) -> Result<(), Box<dyn Error>> {
    let mut random = fastrand::Rng::with_seed(1);
    let mut pair = Pair::new(ENTRIES, |_| {})?;
    for _ in 0..sessions {
        pair.differ_elsewhere(differences, &mut random)?;
        count(|| synchronise(&mut pair.ours, &mut pair.theirs, |_| {}))?;
    }
    Ok(())
}

/// Runs `work` while instructions are counted. Its result is returned, so that dropping it is not counted.
fn count<T>(work: impl FnOnce() -> T) -> T {
    let (mut work, mut result) = (Some(work), None);
    counted(&mut || result = work.take().map(|work| work()));
    result.expect("it was done")
}

/// The function between whose start and end callgrind counts. `.ci/instructions` passes its name.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
    // Without this the call is a tail call, which the compiler may turn into a jump: counting would end before the
    // work.
    black_box(());
}
