//! When comparing trees is cheaper than sending a sketch, and how well sessions choose between the two.

use anti_entropy::summary::sketch::{Cell, DecodeStatus, Decoder, DecoderLimits, Encoder};
use anti_entropy::{Error, Transaction};
use anti_entropy_bench::{Finding, Pair, by_tree, find, find_with, item, now};
use serde::Serialize;

use crate::measure::{Progress, float};

/// The cost of finding with a sketch, with the trees, and with the one that a session chooses.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Row {
    entries: u64,
    differences: u64,
    differing: &'static str,
    found_exact: bool,
    bytes: u64,
    round_trips: u32,
    cpu_us: f64,
    sketch_bytes: u64,
    sketch_round_trips: u32,
    tree_bytes: u64,
    tree_round_trips: u32,
    tree_cpu_us: f64,
    /// How many more bytes the session's choice takes than the cheaper of the two.
    excess_percent: f64,
}

impl Row {
    pub(crate) const HEADERS: [&str; 10] = [
        "entries",
        "differ",
        "keys",
        "exact",
        "session",
        "sketch",
        "tree",
        "more than the better",
        "CPU",
        "CPU of the tree",
    ];

    pub(crate) fn cells(&self) -> Vec<String> {
        let cost = |bytes: u64, trips: u32| format!("{bytes} B, {trips}");
        vec![
            self.entries.to_string(),
            self.differences.to_string(),
            self.differing.to_string(),
            if self.found_exact { "yes" } else { "NO" }.to_string(),
            cost(self.bytes, self.round_trips),
            cost(self.sketch_bytes, self.sketch_round_trips),
            cost(self.tree_bytes, self.tree_round_trips),
            format!("{:.0} %", self.excess_percent),
            format!("{:.1} ms", self.cpu_us / 1e3),
            format!("{:.1} ms", self.tree_cpu_us / 1e3),
        ]
    }
}

const ENTRIES: [u64; 3] = [1000, 10_000, 100_000];
/// How many of a thousand keys differ.
const SHARES: [u64; 10] = [1, 10, 50, 100, 200, 300, 400, 500, 700, 1000];

/// Measures keys that were changed at the opener, keys that only the opener holds, and keys that only the answerer
/// holds.
///
/// # Errors
/// If a replica fails.
pub(crate) fn measure(progress: &Progress, mut each: impl FnMut(Row)) -> Result<(), Error> {
    for differing in ["changed", "at the opener alone", "at the answerer alone"] {
        for entries in ENTRIES {
            for share in SHARES {
                let differences = entries * share / 1000;
                progress.show(&format!("{differences} of {entries} keys {differing}"));
                each(measure_point(entries, differences, differing)?);
            }
        }
    }
    Ok(())
}

fn measure_point(entries: u64, differences: u64, differing: &'static str) -> Result<Row, Error> {
    let changed = differing == "changed";
    let mut pair = Pair::new(if changed { entries } else { entries - differences }, |_| {})?;
    let numbers = if changed { 0..differences } else { entries - differences..entries };
    let symbols = if changed { 2 * differences } else { differences };
    let writer = if differing == "at the answerer alone" { &mut pair.theirs } else { &mut pair.ours };
    for number in numbers {
        let written = writer.commit(Transaction::new().write(item(number, 1)), now())?;
        pair.differing.extend(written.into_iter().map(|written| written.key));
    }
    let (sketch_bytes, sketch_round_trips) = by_sketch(&mut pair, symbols);
    let session = again(&mut pair, find)?;
    let tree = again(&mut pair, |pair| find_with(pair, by_tree()))?;
    let better = sketch_bytes.min(tree.bytes);
    Ok(Row {
        entries,
        differences,
        differing,
        found_exact: session.is_of(&pair.differing) && tree.is_of(&pair.differing),
        bytes: session.bytes,
        round_trips: session.round_trips,
        cpu_us: session.cpu.as_secs_f64() * 1e6,
        sketch_bytes,
        sketch_round_trips,
        tree_bytes: tree.bytes,
        tree_round_trips: tree.round_trips,
        tree_cpu_us: tree.cpu.as_secs_f64() * 1e6,
        excess_percent: (float(session.bytes) / float(better) - 1.0) * 100.0,
    })
}

/// Finds twice, and returns the second result: the first run fills the caches.
fn again(pair: &mut Pair, find: impl Fn(&mut Pair) -> Result<Finding, Error>) -> Result<Finding, Error> {
    find(pair)?;
    find(pair)
}

/// The bytes and round trips of a sketch, also where a session would compare trees. Sends as many cells as are mostly
/// enough for this number of symbols, then as many as the decoder asks for, and counts the frames around them.
fn by_sketch(pair: &mut Pair, symbols: u64) -> (u64, u32) {
    /// The bytes without cells of the opening frame and its reply, and of each further request and its reply.
    const FRAMES_BYTES: [u64; 2] = [159, 60];
    let limits = DecoderLimits::default().with(|config| {
        config.max_cells = 1 << 20;
        config.max_symbols = 1 << 20;
    });
    let mut decoder = Decoder::new(Encoder::new(pair.ours.summary()), limits).expect("2^20 cells are allowed");
    let mut peer = Encoder::new(pair.theirs.summary());
    let few = symbols.min(60);
    let first = (few + (32 * few).isqrt()).max(symbols * 87 / 64 + (4 * symbols).isqrt() + 8 * u64::from(symbols > 60));
    let mut wanted = usize::try_from(first).unwrap_or(usize::MAX);
    let mut trips = 0;
    loop {
        trips += 1;
        match decoder.handle_chunk(&peer.chunk(decoder.cells(), wanted)) {
            DecodeStatus::NeedsMore { cells } => wanted = cells,
            _ => break,
        }
    }
    let frames = FRAMES_BYTES[0] + FRAMES_BYTES[1] * u64::from(trips - 1);
    ((decoder.cells() * Cell::LEN) as u64 + frames, trips)
}
