//! What a cluster sends while it is equal but for a change now and then.

use anti_entropy::Error;
use serde::Serialize;

use super::spread::Tracker;
use super::{Blobs, quiet, ratio};
use crate::history::Record;
use crate::random::stream;
use crate::scenario::{Gossip, Links, Preset};
use crate::world::{Detail, World};

/// What is measured, with the default settings of gossip: an interval of 60 seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many nodes there are.
    pub nodes: u32,
    /// How many entries all of them have from the beginning.
    pub entries: u32,
    /// How many bytes each value has.
    pub value_bytes: usize,
    /// How many entries change in an hour, at random times and nodes.
    pub changes_per_hour: u32,
    /// Whether changes are pushed.
    pub push: bool,
    /// For how long it goes on.
    pub minutes: u32,
    /// The seed.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            nodes: 100,
            entries: 10_000,
            value_bytes: 3_200,
            changes_per_hour: 100,
            push: true,
            minutes: 60,
            seed: 1,
        }
    }
}

/// What it cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// How many nodes there were.
    pub nodes: u32,
    /// How many entries each had.
    pub entries: u32,
    /// How many bytes a value had.
    pub value_bytes: usize,
    /// How many changes there were.
    pub changes: u64,
    /// Whether they were pushed.
    pub push: bool,
    /// What a node sent a second on average, without values.
    pub digest_bytes_per_s: f64,
    /// What a node sent a second on average, with values.
    pub total_bytes_per_s: f64,
    /// The same in the minute in which most was sent.
    pub peak_bytes_per_s: f64,
    /// From the last change until all nodes were equal, or were given up after a day.
    pub minutes_to_converge: f64,
    /// From a change until all nodes had it, for half of the changes.
    pub median_minutes_to_spread: f64,
    /// From a change until all nodes had it, for the slowest.
    pub max_minutes_to_spread: f64,
    /// What was sent over time.
    #[serde(skip)]
    pub minutes: Vec<Minute>,
}

/// What a node sent a second on average, in one gossip interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Minute {
    /// When the interval was over.
    pub minute: f64,
    /// Without values.
    pub digest_bytes_per_s: f64,
    /// Only values.
    pub value_bytes_per_s: f64,
}

const MINUTE_US: u64 = 60_000_000;

impl Settings {
    /// How much there is to do: the number of changes.
    pub fn work(&self) -> u64 {
        u64::from(self.changes_per_hour) * u64::from(self.minutes) / 60
    }
}

/// Measures it. `done` is called after each change.
///
/// # Errors
/// If the entries cannot be written.
pub fn measure(settings: &Settings, done: &dyn Fn()) -> Result<Report, Error> {
    let subject = Blobs::new(settings.value_bytes).with_entries(settings.entries)?;
    let gossip = Gossip { preset: Preset::Default, push: Some(settings.push), ..Gossip::default() };
    let scenario = quiet(settings.nodes, settings.entries, gossip, Links::default());
    let mut world = World::new(&scenario, settings.seed, subject, Detail::Roots);
    let mut tracker = Tracker::default();
    let mut random = stream(settings.seed, &[5]);
    let duration = u64::from(settings.minutes.max(1)) * MINUTE_US;
    let mut times: Vec<u64> = (0..settings.work()).map(|_| random.u64(0..duration)).collect();
    times.sort_unstable();
    for at in times {
        tracker.run_until(&mut world, at);
        tracker.write(&mut world, random.u32(0..settings.nodes), random.u32(0..settings.entries));
        done();
    }
    let last = world.now();
    tracker.run_until_everywhere(&mut world, last + PATIENCE_US);
    let equal_at = world.run_until_equal(last + PATIENCE_US).unwrap_or(last + PATIENCE_US);
    // To the end of an interval, when what was sent is counted.
    let end = equal_at.max(duration).next_multiple_of(MINUTE_US);
    world.run_until(end);
    Ok(Report { minutes_to_converge: ratio(equal_at - last, MINUTE_US), ..report(settings, &mut world, &tracker, end) })
}

/// After so long in vain the nodes count as equal.
const PATIENCE_US: u64 = 24 * 60 * MINUTE_US;

fn report(settings: &Settings, world: &mut World<Blobs>, tracker: &Tracker, end: u64) -> Report {
    let minutes: Vec<Minute> =
        world.take_records().iter().filter_map(|record| minute_of(settings.nodes, record)).collect();
    let total = |minute: &Minute| minute.digest_bytes_per_s + minute.value_bytes_per_s;
    let spread = tracker.spread(world.now(), MINUTE_US);
    let (counts, seconds) = (world.counts(), end / 1_000_000 * u64::from(settings.nodes));
    Report {
        nodes: settings.nodes,
        entries: settings.entries,
        value_bytes: settings.value_bytes,
        changes: tracker.writes(),
        push: settings.push,
        digest_bytes_per_s: ratio(counts.bytes - counts.value_bytes, seconds),
        total_bytes_per_s: ratio(counts.bytes, seconds),
        peak_bytes_per_s: minutes.iter().map(total).fold(0.0, f64::max),
        minutes_to_converge: 0.0,
        median_minutes_to_spread: spread.median,
        max_minutes_to_spread: spread.max,
        minutes,
    }
}

fn minute_of(nodes: u32, record: &Record) -> Option<Minute> {
    let Record::Traffic(traffic) = record else { return None };
    let seconds = (traffic.to - traffic.from) / 1_000_000 * u64::from(nodes);
    // A value can be counted in the interval before its frame has left.
    let digest = traffic.bytes.saturating_sub(traffic.value_bytes);
    Some(Minute {
        minute: ratio(traffic.to, MINUTE_US),
        digest_bytes_per_s: ratio(digest, seconds),
        value_bytes_per_s: ratio(traffic.value_bytes, seconds),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_cluster_is_cheap_and_soon_equal() {
        let small = Settings { nodes: 6, entries: 50, value_bytes: 100, minutes: 10, ..Settings::default() };
        for push in [true, false] {
            let settings = Settings { push, ..small.clone() };
            let report = measure(&settings, &|| {}).unwrap();
            assert_eq!(report.changes, settings.work());
            assert!(report.minutes.len() >= 10);
            assert!(report.minutes_to_converge < 10.0 && report.max_minutes_to_spread < 10.0, "{report:?}");
            assert!(report.total_bytes_per_s > report.digest_bytes_per_s, "{report:?}");
            assert!(report.total_bytes_per_s < 1000.0, "{report:?}");
        }
    }
}
