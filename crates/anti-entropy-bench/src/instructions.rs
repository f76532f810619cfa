//! Scenarios whose instructions callgrind counts. `.ci/instructions` compares the counts with the committed ones.
//!
//! On a shared machine, times vary by a tenth or more. Counts of instructions vary by less than a thousandth, as long
//! as a scenario reads no clock, starts no thread and draws random numbers from a fixed seed alone.

use std::error::Error;
use std::hint::black_box;

use anti_entropy::clock::Seed;
use anti_entropy::summary::MerkleTree;
use anti_entropy::{LastWriterWins, MemoryStore, Replica};
use anti_entropy_bench::{Entry, Item, Pair, entries, filled, item, now, synchronise};
use clap::ValueEnum;

/// How many entries the trees and replicas have.
const ENTRIES: u64 = 20_000;
/// How many entries are changed one by one.
const CHANGES: u64 = 2000;

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
