//! The bandwidth of a cluster that is equal but for a change now and then.

use anti_entropy::ConfigError;
use serde::Serialize;

use super::spread::Tracker;
use super::{Blobs, MeasureError, check_nodes, quiet, ratio};
use crate::history::Record;
use crate::random::stream;
use crate::scenario::{Gossip, Links, Preset};
use crate::world::{Detail, World};

/// What is measured, with the default settings of gossip, whose interval is 60 seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BandwidthSettings {
    /// How many nodes there are: 2 to [`Scenario::MAX_NODES`](crate::scenario::Scenario::MAX_NODES).
    pub nodes: u32,
    /// How many entries each node has from the beginning; at least 1.
    pub entries: u32,
    /// How many bytes each value has; at least [`Blobs::MIN_VALUE_BYTES`].
    pub value_bytes: usize,
    /// How many entries change in an hour, at random times and nodes.
    pub changes_per_hour: u32,
    /// Whether changes are pushed.
    pub push: bool,
    /// How many minutes are simulated; at least 1.
    pub minutes: u32,
    /// The seed of everything random.
    pub seed: u64,
}

impl Default for BandwidthSettings {
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

/// The measured bandwidth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BandwidthReport {
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
    /// Bytes that a node sent in a second on average, without values.
    pub digest_bytes_per_s: f64,
    /// Bytes that a node sent in a second on average, with values.
    pub total_bytes_per_s: f64,
    /// The same in the minute with the most bytes.
    pub peak_bytes_per_s: f64,
    /// Minutes from the last change until all nodes were equal, or until a day had passed.
    pub minutes_to_converge: f64,
    /// Minutes from a change until all nodes had it, for half of the changes.
    pub median_minutes_to_spread: f64,
    /// Minutes from a change until all nodes had it, for the slowest change.
    pub max_minutes_to_spread: f64,
    /// The bandwidth over time.
    #[serde(skip)]
    pub minutes: Vec<Minute>,
}

/// The bandwidth of a node in one gossip interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Minute {
    /// When the interval ended, in minutes.
    pub minute: f64,
    /// Bytes in a second without values.
    pub digest_bytes_per_s: f64,
    /// Bytes of values in a second.
    pub value_bytes_per_s: f64,
}

const MINUTE_US: u64 = 60_000_000;

impl BandwidthSettings {
    /// Checks that every setting is in its range.
    ///
    /// # Errors
    /// The first setting that is not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_nodes(self.nodes)?;
        ConfigError::at_least("entries", self.entries, 1)?;
        ConfigError::at_least("value_bytes", self.value_bytes, Blobs::MIN_VALUE_BYTES)?;
        ConfigError::at_least("minutes", self.minutes, 1)
    }

    /// The amount of work, for progress bars: the number of changes.
    pub fn work(&self) -> u64 {
        u64::from(self.changes_per_hour) * u64::from(self.minutes) / 60
    }
}

/// Measures the bandwidth. Calls `done` after each change.
///
/// # Errors
/// If a setting is out of its range, or the entries cannot be written.
pub fn measure(settings: &BandwidthSettings, done: &dyn Fn()) -> Result<BandwidthReport, MeasureError> {
    settings.validate()?;
    let subject = Blobs::new(settings.value_bytes).with_entries(settings.entries)?;
    let gossip = Gossip { preset: Preset::Default, push: Some(settings.push), ..Gossip::default() };
    let scenario = quiet(settings.nodes, settings.entries, gossip, Links::default());
    let mut world = World::new(&scenario, settings.seed, subject, Detail::Roots);
    let mut tracker = Tracker::default();
    let mut random = stream(settings.seed, &[5]);
    let duration = u64::from(settings.minutes) * MINUTE_US;
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
    // To the end of an interval, when sent bytes are counted.
    let end = equal_at.max(duration).next_multiple_of(MINUTE_US);
    world.run_until(end);
    Ok(BandwidthReport {
        minutes_to_converge: ratio(equal_at - last, MINUTE_US),
        ..report(settings, &mut world, &tracker, end)
    })
}

/// After this time, nodes that are not equal count as equal.
const PATIENCE_US: u64 = 24 * 60 * MINUTE_US;

fn report(settings: &BandwidthSettings, world: &mut World<Blobs>, tracker: &Tracker, end: u64) -> BandwidthReport {
    let minutes: Vec<Minute> =
        world.take_records().iter().filter_map(|record| minute_of(settings.nodes, record)).collect();
    let total = |minute: &Minute| minute.digest_bytes_per_s + minute.value_bytes_per_s;
    let spread = tracker.spread(world.now(), MINUTE_US);
    let (counts, seconds) = (world.counts(), end / 1_000_000 * u64::from(settings.nodes));
    BandwidthReport {
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
    // A value may be counted in the interval before the one in which its frame is sent.
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
        let small =
            BandwidthSettings { nodes: 6, entries: 50, value_bytes: 100, minutes: 10, ..BandwidthSettings::default() };
        for push in [true, false] {
            let settings = BandwidthSettings { push, ..small.clone() };
            let report = measure(&settings, &|| {}).unwrap();
            assert_eq!(report.changes, settings.work());
            assert!(report.minutes.len() >= 10);
            assert!(report.minutes_to_converge < 10.0 && report.max_minutes_to_spread < 10.0, "{report:?}");
            assert!(report.total_bytes_per_s > report.digest_bytes_per_s, "{report:?}");
            assert!(report.total_bytes_per_s < 1000.0, "{report:?}");
        }
    }
    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let with = |change: fn(&mut BandwidthSettings)| {
            let mut settings = BandwidthSettings::default();
            change(&mut settings);
            settings
        };
        let refused = [
            (with(|settings| settings.nodes = 1), "nodes"),
            (with(|settings| settings.nodes = 10_001), "nodes"),
            (with(|settings| settings.entries = 0), "entries"),
            (with(|settings| settings.value_bytes = 7), "value_bytes"),
            (with(|settings| settings.minutes = 0), "minutes"),
        ];
        for (settings, field) in refused {
            assert_eq!(settings.validate().unwrap_err().field, field);
            assert!(matches!(measure(&settings, &|| {}), Err(MeasureError::Config(error)) if error.field == field));
        }
        assert_eq!(BandwidthSettings::default().validate(), Ok(()));
    }
}
