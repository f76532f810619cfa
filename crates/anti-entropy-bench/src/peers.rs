//! Compares anti-entropy with other libraries that find the differences between two sets or maps. docs/benchmarks.md
//! says what is counted, and what each library leaves out.

mod anti_entropy;
mod data;
mod merkle_search_tree;
mod negentropy;
mod plot;
mod rbsr;
mod reconcile;
mod riblt;
mod summary;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bincode::Options;
use cpu_time::ThreadTime;
use data::{Data, Entry, entry};
pub(crate) use plot::draw;
use serde::Serialize;
use serde::de::DeserializeOwned;
use stats_alloc::Region;

use crate::ALLOCATOR;
use crate::measure::{Progress, Samples, float, live_bytes, processor_time};

/// A library as this benchmark uses it. Each has a file of its own, so that it is easy to check that it is used well.
pub(crate) trait Peer {
    const NAME: &'static str;
    /// What the library leaves out, what it does besides, and how the benchmark uses it.
    const NOTES: &'static str;
    /// What the memory of a side consists of.
    const MEMORY: &'static str;
    /// How many bytes of an entry's memory are the data itself. They are not counted.
    const DATA_BYTES: u64;
    /// Whether finding the differences also makes the sides equal.
    const FINDS_ONCE: bool = false;
    /// What one side keeps in order to be compared.
    type Side;
    /// Two sides, and what else a comparison needs.
    type Pair;

    /// Builds a side that is ready to be compared.
    fn build(entries: &[Entry]) -> Self::Side;

    /// Changes the value of an entry and makes the side ready again: its root is hashed, its vector sealed.
    fn upsert(side: &mut Self::Side, entry: Entry);

    /// Two sides that differ. It may change the sides `fewer_differences` instead of building new ones.
    fn pair(data: Data, fewer_differences: Option<Self::Pair>) -> Self::Pair;

    /// Finds what differs. It may be called again, and finds the same again.
    fn reconcile(pair: &mut Self::Pair) -> Finding;

    /// How this library's findings name the key with a number.
    fn name(number: u64) -> u128 {
        data::name(number)
    }
}

/// What was found, and what it took.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// All keys that the library reported, with all keys of the ranges that it reported.
    pub(crate) keys: BTreeSet<u128>,
    /// The bytes of both directions.
    pub(crate) bytes: u64,
    /// How many messages waited for the one before; two are a round trip.
    pub(crate) messages: u64,
    /// Processor time of both sides.
    pub(crate) cpu: Duration,
}

impl Finding {
    /// Measures a search whose messages are sent over `Wire`.
    pub(crate) fn measure(find: impl FnOnce(&mut Wire) -> Vec<u128>) -> Self {
        let mut wire = Wire::default();
        let started = ThreadTime::now();
        let keys = find(&mut wire);
        let cpu = started.elapsed();
        Self { keys: keys.into_iter().collect(), bytes: wire.bytes, messages: wire.messages, cpu }
    }
}

/// Counts messages and their bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wire {
    bytes: u64,
    messages: u64,
}

impl Wire {
    /// Counts a message that the library has encoded.
    pub(crate) fn count(&mut self, message: &[u8]) {
        self.bytes += message.len() as u64;
        self.messages += 1;
    }

    /// Encodes, counts and decodes a message of a library that leaves the encoding to its user. The encoding is bincode
    /// with integers of variable length, as `reconcile` uses it for `rbsr`; riblt's example uses fixed length, which is
    /// longer.
    pub(crate) fn send<T: DeserializeOwned>(&mut self, message: &(impl Serialize + ?Sized)) -> T {
        let bytes = bincode::DefaultOptions::new().serialize(message).expect("plain data can be encoded");
        self.count(&bytes);
        bincode::DefaultOptions::new().deserialize(&bytes).expect("what was encoded can be decoded")
    }
}

/// A library's figures for one number of entries and one of differences.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    peer: &'static str,
    entries: u64,
    differences: u64,
    #[serde(flatten)]
    outcome: Outcome,
    notes: &'static str,
}

#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Outcome {
    Found(Found),
    Skipped {
        /// Why.
        skipped: String,
    },
}

#[derive(Clone, Copy, Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "`found_exact` is what the other reports call it")]
struct Found {
    found_exact: bool,
    /// Keys that were told to differ, and do not.
    keys_too_many: u64,
    /// Keys that differ, and were not told.
    keys_missed: u64,
    bytes: u64,
    round_trips: f64,
    cpu_us: f64,
    /// How often it was measured; `cpu_us` is the median.
    runs: usize,
    #[serde(flatten)]
    side: Side,
}

/// What keeping one side costs; the same for all numbers of differences.
#[derive(Clone, Copy, Debug, Serialize)]
struct Side {
    build_ns_per_entry: f64,
    upsert_root_ns: f64,
    bytes_per_entry: f64,
    /// What `bytes_per_entry` counts.
    memory: &'static str,
}

impl Row {
    pub(crate) const HEADERS: [&str; 10] = [
        "library",
        "entries",
        "differ",
        "found exactly",
        "bytes",
        "round trips",
        "CPU, both sides",
        "build, an entry",
        "change + root",
        "memory, an entry",
    ];

    pub(crate) fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.peer.to_string(), self.entries.to_string(), self.differences.to_string()];
        match &self.outcome {
            Outcome::Skipped { skipped } => cells.push(format!("skipped: {skipped}")),
            Outcome::Found(found) => cells.extend([
                found.exactness(),
                found.bytes.to_string(),
                found.round_trips.to_string(),
                duration(found.cpu_us * 1e3),
                format!("{:.0} ns", found.side.build_ns_per_entry),
                duration(found.side.upsert_root_ns),
                format!("{:.1} B", found.side.bytes_per_entry),
            ]),
        }
        cells
    }

    fn found(&self) -> Option<&Found> {
        match &self.outcome {
            Outcome::Found(found) => Some(found),
            Outcome::Skipped { .. } => None,
        }
    }
}

impl Found {
    fn exactness(&self) -> String {
        match (self.keys_too_many, self.keys_missed) {
            (0, 0) => "yes".to_string(),
            (too_many, 0) => format!("and {too_many} more"),
            (too_many, missed) => format!("NO: {missed} missed, {too_many} too many"),
        }
    }
}

fn duration(nanoseconds: f64) -> String {
    match nanoseconds {
        under if under < 1e4 => format!("{:.1} us", under / 1e3),
        under if under < 1e6 => format!("{:.0} us", under / 1e3),
        under if under < 1e7 => format!("{:.1} ms", under / 1e6),
        under if under < 1e9 => format!("{:.0} ms", under / 1e6),
        over => format!("{:.1} s", over / 1e9),
    }
}

/// What stands under the table: the library, what its memory counts, and its notes.
pub(crate) fn legend(rows: &[Row]) -> String {
    let mut seen = BTreeSet::new();
    let first = rows.iter().filter(|row| seen.insert(row.peer));
    let line = |row: &Row| {
        let memory = row.found().map_or("", |found| found.side.memory);
        format!("{}: {}; memory: {memory}\n", row.peer, row.notes)
    };
    first.map(line).collect()
}

/// What the sketch's figures are beside those of others, where all were measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Ratios {
    entries: u64,
    differences: u64,
    negentropy_bytes: f64,
    rbsr_cpu: f64,
    over_least_bytes: f64,
}

impl Ratios {
    pub(crate) const HEADERS: [&str; 5] = [
        "entries",
        "differ",
        "bytes of negentropy / sketch",
        "CPU of rbsr / sketch",
        "bytes of sketch / least possible",
    ];

    /// For each number of entries and of differences but none.
    pub(crate) fn of(rows: &[Row]) -> Vec<Self> {
        let sketches = rows.iter().filter(|row| row.peer == anti_entropy::Sketched::NAME && row.differences > 0);
        let ratios = |row: &Row| {
            let at = |peer| {
                rows.iter()
                    .find(|other| {
                        other.peer == peer && (other.entries, other.differences) == (row.entries, row.differences)
                    })
                    .and_then(Row::found)
            };
            let ours = row.found()?;
            Some(Self {
                entries: row.entries,
                differences: row.differences,
                negentropy_bytes: float(at(negentropy::Vector::NAME)?.bytes) / float(ours.bytes),
                rbsr_cpu: at(rbsr::Ranges::NAME)?.cpu_us / ours.cpu_us,
                over_least_bytes: float(ours.bytes) / Data::floor_bytes(row.differences),
            })
        };
        sketches.filter_map(ratios).collect()
    }

    pub(crate) fn cells(&self) -> Vec<String> {
        let ratios = [self.negentropy_bytes, self.rbsr_cpu, self.over_least_bytes];
        let counts = [self.entries, self.differences].map(|count| count.to_string());
        counts.into_iter().chain(ratios.map(|ratio| format!("{ratio:.1}"))).collect()
    }
}

/// Measures all libraries at these numbers of entries and of differences, in ascending order; more differences than
/// entries are left out. `each` gets the results one by one.
pub(crate) fn measure(entries: &[u64], differences: &[u64], progress: &Progress, mut each: impl FnMut(Row)) {
    let [mut entries, mut differences] = [entries.to_vec(), differences.to_vec()];
    entries.sort_unstable();
    differences.sort_unstable();
    let points = Points { entries, differences };
    points.of::<anti_entropy::Sketched>(progress, &mut each);
    points.of::<anti_entropy::Tree>(progress, &mut each);
    points.of::<summary::Sketched>(progress, &mut each);
    points.of::<summary::Tree>(progress, &mut each);
    points.of::<merkle_search_tree::SearchTree>(progress, &mut each);
    points.of::<rbsr::Ranges>(progress, &mut each);
    points.of::<reconcile::Replicated>(progress, &mut each);
    points.of::<negentropy::Vector>(progress, &mut each);
    points.of::<riblt::Coded>(progress, &mut each);
}

/// A library for which a point takes more processor time, with building both sides, is not asked for points with as
/// many entries and differences or more.
const SLOW: Duration = Duration::from_secs(60);

struct Points {
    entries: Vec<u64>,
    differences: Vec<u64>,
}

impl Points {
    fn of<P: Peer>(&self, progress: &Progress, each: &mut impl FnMut(Row)) {
        let mut slow: Vec<Data> = Vec::new();
        for &entries in &self.entries {
            progress.show(&format!("{}: {entries} entries, building", P::NAME));
            let side = measure_side::<P>(entries);
            let mut pair = None;
            for &differences in self.differences.iter().filter(|&&differences| differences <= entries) {
                progress.show(&format!("{}: {entries} entries, finding {differences} differences", P::NAME));
                let data = Data { entries, differences };
                let at_least = |slow: &&Data| slow.entries <= entries && slow.differences <= differences;
                let outcome = if let Some(slow) = slow.iter().find(at_least) {
                    let Data { entries, differences } = slow;
                    let limit = SLOW.as_secs();
                    Outcome::Skipped { skipped: format!("{differences} of {entries} took more than {limit} s") }
                } else {
                    let (found, took) = measure_finding::<P>(data, &mut pair, side);
                    slow.extend((took > SLOW).then_some(data));
                    Outcome::Found(found)
                };
                each(Row { peer: P::NAME, entries, differences, outcome, notes: P::NOTES });
            }
        }
    }
}

fn measure_side<P: Peer>(count: u64) -> Side {
    let entries = Data { entries: count, differences: 0 }.ours();
    let mut build = Samples::default();
    let region = Region::new(ALLOCATOR);
    let (time, mut side) = processor_time(|| P::build(&entries));
    let change = region.change();
    build.add(time);
    for _ in 0..2 {
        build.add(processor_time(|| P::build(&entries)).0);
    }
    let live = live_bytes(change);
    Side {
        build_ns_per_entry: build.median() / float(count),
        upsert_root_ns: measure_upserts::<P>(&mut side, count),
        bytes_per_entry: float(live as u64) / float(count) - float(P::DATA_BYTES),
        memory: P::MEMORY,
    }
}

/// The mean time of changing an entry anywhere.
fn measure_upserts<P: Peer>(side: &mut P::Side, count: u64) -> f64 {
    const ENOUGH_NS: f64 = 5e8;
    let mut random = fastrand::Rng::with_seed(1);
    let (mut total, mut upserts) = (0.0, 0);
    while total < ENOUGH_NS && upserts < 50_000 {
        // The clock is slow to read.
        let at_once = if upserts == 0 || total > 1e6 * float(upserts) { 1 } else { 500 };
        let changed: Vec<Entry> = (0..at_once).map(|change| entry(random.u64(..count), 2 + upserts + change)).collect();
        let (time, ()) = processor_time(|| changed.into_iter().for_each(|entry| P::upsert(side, entry)));
        total += time;
        upserts += at_once;
    }
    total / float(upserts)
}

/// Finds again and again, for a second; at least twice where it can be repeated, and the first time does not count.
/// Also gives the processor time until the first finding.
fn measure_finding<P: Peer>(data: Data, pair: &mut Option<P::Pair>, side: Side) -> (Found, Duration) {
    const ENOUGH: Duration = Duration::from_secs(1);
    let started = Instant::now();
    let first = ThreadTime::now();
    let fewer = pair.take().filter(|_| !P::FINDS_ONCE);
    let mut current = P::pair(data, fewer);
    let mut finding = P::reconcile(&mut current);
    let first = first.elapsed();
    let mut cpu = Samples::default();
    // The first time fills the caches, and hashes what is hashed when it is read.
    let started = if P::FINDS_ONCE {
        cpu.add(micros(finding.cpu));
        started
    } else {
        Instant::now()
    };
    while cpu.len() == 0 || (started.elapsed() < ENOUGH && cpu.len() < 101) {
        if P::FINDS_ONCE {
            drop(current);
            current = P::pair(data, None);
        }
        finding = P::reconcile(&mut current);
        cpu.add(micros(finding.cpu));
    }
    *pair = Some(current);
    let differing = data.differing(P::name);
    let too_many = finding.keys.difference(&differing).count();
    let missed = differing.difference(&finding.keys).count();
    let found = Found {
        found_exact: too_many == 0 && missed == 0,
        keys_too_many: too_many as u64,
        keys_missed: missed as u64,
        bytes: finding.bytes,
        round_trips: float(finding.messages) / 2.0,
        runs: cpu.len(),
        cpu_us: cpu.median(),
        side,
    };
    (found, first)
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an adapter's test is to call if the library finds single keys.
    pub(super) fn finds_exactly<P: Peer>() {
        for differences in [0, 1, 2, 10, 100] {
            let data = Data { entries: 3000, differences };
            let found = P::reconcile(&mut P::pair(data, None));
            assert_eq!(found.keys, data.differing(P::name), "{differences}");
            assert!(found.bytes > 0 && found.messages >= 2, "{differences}");
        }
        let entries = Data { entries: 100, differences: 0 }.ours();
        P::upsert(&mut P::build(&entries), entry(7, 1));
    }

    #[test]
    fn all_libraries_are_measured_at_all_points_that_there_are() {
        let mut rows = Vec::new();
        measure(&[200], &[10, 0, 1000], &Progress::new(), |row| rows.push(row));
        assert_eq!(rows.len(), 18);
        assert!(rows.iter().all(|row| row.found().is_some_and(|found| found.keys_missed == 0)));
    }
}
