//! Patterns under simulation: clusters of nodes that consolidate the same patterns differently, with every fault; all
//! invariants are checked in each, and that all nodes of a converged core have one view within its documented bounds.
//!
//! ```sh
//! cargo run --release --example simulate_engram [SEEDS [FIRST_SEED]]   # 1,000 seeds from 0 by default
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::thread;

use anti_entropy::summary::Snapshot;
use anti_entropy::{ChangedEntries, Entry, KeyHash, MemoryStore, Replica};
use anti_entropy_engram::view::{SemanticView, ViewConfig, ViewItem};
use anti_entropy_engram::{MemorySpace, Pattern, Resolution, SemanticPattern};
use anti_entropy_sim::campaign;
use anti_entropy_sim::scenario::Profile;
use anti_entropy_sim::subject::Subject;
use chrono::DateTime;

/// Few dimensions and episodes, so that conflicts of every type are common.
const DIMENSIONS: usize = 8;
const EPISODES: u64 = 12;
/// How many nodes' names patterns come under.
const ORIGINS: u64 = 5;

/// What a replica holds, as a view takes it in.
type Entries = BTreeMap<KeyHash, Option<Entry<Pattern>>>;

/// Semantic patterns, resolved by confidence voting.
pub(crate) struct Patterns(pub(crate) MemorySpace);

impl Patterns {
    pub(crate) fn new() -> Self {
        let dimension = DIMENSIONS.try_into().expect("not zero");
        Self(MemorySpace::new("simulated").with(|space| space.dimension = dimension))
    }

    /// Judges what the nodes of a converged core hold: that each has a sound view of it, and all the same.
    pub(crate) fn judge<'a>(
        &self,
        nodes: impl IntoIterator<Item = (&'a Replica<Pattern>, Entries)>,
    ) -> Result<(), String> {
        let mut views = BTreeSet::new();
        for (replica, entries) in nodes {
            let mut view = SemanticView::new(self.0.clone(), ViewConfig::default()).expect("the space makes sense");
            let changed = ChangedEntries { since: <Snapshot>::default().root(), entries, until: Snapshot::default() };
            view.apply(changed).expect("a few patterns have few pairs");
            check(&view, replica)?;
            views.insert(view.hash());
        }
        if views.len() > 1 { Err(format!("there are {} different views", views.len())) } else { Ok(()) }
    }
}

/// Everything that a replica holds. How it came there makes no difference to a view.
pub(crate) fn entries(replica: &Replica<Pattern>) -> Result<Entries, String> {
    let mut entries = Entries::new();
    let read = replica.for_each(|id, read| {
        let entry = Entry { key: id.clone(), siblings: read.siblings().to_vec() };
        entries.insert(KeyHash::of(id), Some(entry));
        ControlFlow::Continue(())
    });
    read.map(|()| entries).map_err(|error| error.to_string())
}

/// What the documentation promises of a view: every pattern is in one item, and confidence is within its bounds.
fn check(view: &SemanticView, replica: &Replica<Pattern>) -> Result<(), String> {
    let named: Vec<&String> = view.items().flat_map(ViewItem::patterns).collect();
    let distinct: BTreeSet<&String> = named.iter().copied().collect();
    if named.len() != distinct.len() || named.len() as u64 != replica.len() {
        return Err(format!("{} patterns are held, and the view names {}", replica.len(), named.len()));
    }
    for item in view.items() {
        let mut highest: f32 = 0.0;
        for id in item.patterns() {
            let read = replica.read(id).map_err(|error| error.to_string())?;
            let confidences = read.siblings().iter().map(|version| version.value.confidence());
            highest = confidences.fold(highest, f32::max);
        }
        let (base, confidence) = (item.base_confidence(), item.confidence());
        if !(base / 4.0 <= confidence && confidence <= base && base <= highest) {
            return Err(format!("{:?}: confidence {confidence}, base {base}, {highest}", item.patterns()));
        }
    }
    Ok(())
}

impl Subject for Patterns {
    type Value = Pattern;
    type Store = MemoryStore;
    type Resolver = Resolution;

    fn store(&self) -> MemoryStore {
        MemoryStore::new()
    }

    fn resolver(&self) -> Resolution {
        self.0.resolution
    }

    /// A pattern has its episodes from its id, as in engram. Embeddings differ a little from write to write, and confidences
    /// a lot; the time tells each write from all others.
    fn value(&self, key: u32, write: u64) -> Pattern {
        let draw = |of: (&str, u64, u64), below: u16| {
            let drawn = KeyHash::of(&of).prefix_u64() % u64::from(below);
            u16::try_from(drawn).expect("it is below a number of 16 bits")
        };
        let key_u64 = u64::from(key);
        let episodes = (0..EPISODES).filter(|episode| draw(("episode", key_u64 / 2, *episode), 3) == 0);
        let component = |index| {
            let (core, noise) = (draw(("core", key_u64 / 3, index), 1000), draw(("noise", write, index), 200));
            f32::from(core + noise) / 1000.0 - 0.5
        };
        let pattern = SemanticPattern {
            id: format!("pattern_{key}"),
            embedding: (0..DIMENSIONS as u64).map(component).collect(),
            source_episodes: episodes.map(|episode| format!("episode_{episode:02}")).collect(),
            strength: 0.5,
            schema_confidence: f32::from(draw(("confidence", write, 0), 1001)) / 1000.0,
            last_consolidated: DateTime::from_timestamp(write.cast_signed(), 0).expect("within a calendar's years"),
        };
        Pattern::new(&pattern, &format!("node{}", write % ORIGINS), &self.0).expect("every field is valid")
    }

    fn inspect(&self, core: &[&Replica<Pattern>]) -> Result<(), String> {
        let nodes = core.iter().map(|replica| Ok((*replica, entries(replica)?)));
        self.judge(nodes.collect::<Result<Vec<_>, String>>()?)
    }
}

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let (Ok(seeds), Ok(first)) = (numbers.next().unwrap_or(Ok(1000)), numbers.next().unwrap_or(Ok(0))) else {
        eprintln!("usage: simulate_engram [SEEDS [FIRST_SEED]]");
        return ExitCode::from(2);
    };
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let range = first..first.saturating_add(seeds);
    let totals = campaign(range, threads, &Patterns::new(), |seed| Profile::Swarm.draw(seed, 3..=7), |_| true);
    println!("{} seeds, {} operations, {} crashes", totals.seeds, totals.operations, totals.crashes);
    for (seed, violation) in &totals.failures {
        println!("seed {seed}: {}: {}", violation.invariant, violation.detail);
    }
    if totals.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
