//! Work whose instructions callgrind counts. `.ci/instructions` runs it and compares the counts with the committed ones.
//!
//! A time tells a change of a tenth at best on a machine that others use too; a count of instructions tells one of a
//! hundredth on any machine of the same architecture. Hence nothing here reads a clock, starts a thread or is random.

use std::error::Error;
use std::hint::black_box;

use anti_entropy::clock::Seed;
use anti_entropy::summary::MerkleTree;
use anti_entropy::{LastWriterWins, MemoryStore, Replica};
use anti_entropy_bench::{Entry, Item, Pair, entries, filled, item, now, synchronise};
use clap::ValueEnum;

/// How many entries there are when counting starts. Under callgrind everything takes some 50 times as long.
const ENTRIES: u64 = 20_000;
/// How many entries are changed one by one.
const CHANGES: u64 = 2000;

/// What is done while instructions are counted.
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

/// Does the work of a scenario. What it needs beforehand is not counted.
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

/// So many sessions, each between replicas that differ at other keys.
fn sessions(sessions: u32, differences: u64) -> Result<(), Box<dyn Error>> {
    let mut random = fastrand::Rng::with_seed(1);
    let mut pair = Pair::new(ENTRIES, |_| {})?;
    for _ in 0..sessions {
        // It also runs a session, so that none that is counted has to tidy up the heap that is left by filling stores.
        pair.differ_elsewhere(differences, &mut random)?;
        count(|| synchronise(&mut pair.ours, &mut pair.theirs, |_| {}))?;
    }
    Ok(())
}

/// Does the work while instructions are counted. What it results in is dropped afterwards.
fn count<T>(work: impl FnOnce() -> T) -> T {
    let (mut work, mut result) = (Some(work), None);
    counted(&mut || result = work.take().map(|work| work()));
    result.expect("it was done")
}

/// `.ci/instructions` names this function to callgrind, which counts from its start to its end.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
    // Otherwise the call might become a jump, and this function's end be the start of the work.
    black_box(());
}
