//! The metrics that engram's roadmap names, from what an engine counts.

use anti_entropy::clock::Now;

use super::consolidation_gossiper::ConsolidationGossiper;

/// Engram's metrics of a space, to be handed to its registry.
///
/// | name | kind | from |
/// |---|---|---|
/// | `engram_consolidation_gossip_rounds_total` | counter | rounds that this node began |
/// | `engram_consolidation_deltas_transferred_bytes` | counter | bytes of patterns that it sent |
/// | `engram_consolidation_gossip_bandwidth_bytes` | counter | bytes of all frames that it sent and received |
/// | `engram_consolidation_patterns_merged_total` | counter | patterns that sessions and pushes changed here |
/// | `engram_consolidation_conflicts_total` | gauge, label `type`: `1` to `4` | conflicts in the view that was noted last; they come and go |
///
/// `engram_consolidation_merkle_compare_seconds` is the histogram `anti_entropy_compare_seconds`, and
/// `consolidation_gossip_divergent_ranges` the gauge `anti_entropy_peer_differences`; both come with the cargo feature `metrics`
/// of `anti-entropy`.
///
/// ```
/// # use anti_entropy::clock::Seed;
/// # use anti_entropy::{Clock, GossipConfig, MemoryStore, SystemClock};
/// # use anti_entropy_engram::MemorySpace;
/// # use anti_entropy_engram::gossiper::ConsolidationGossiper;
/// use anti_entropy_engram::gossiper::{EngramMetrics, Sample};
/// # let (clock, seed) = (SystemClock::new(), Seed::from_os()?);
/// # let config = GossipConfig::test();
/// # let mut gossiper =
/// #     ConsolidationGossiper::open(MemorySpace::new("default"), "a", MemoryStore::new(), seed, config, clock.now())?;
///
/// let mut metrics = EngramMetrics::default();
/// for sample in metrics.sample(&mut gossiper, clock.now()) {
///     match sample {
///         Sample::Increment { name, by } => println!("{name} += {by}"), // metrics::increment_counter(name, by)
///         Sample::Gauge { name, label: (key, of), value } => println!("{name}{{{key}={of}}} = {value}"),
///         _ => {}
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct EngramMetrics {
    /// What the counters had when they were sampled last.
    before: [u64; COUNTERS.len()],
}

/// One thing to report.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Sample {
    /// A counter has grown since the last sample.
    Increment {
        /// The metric's name.
        name: &'static str,
        /// By how much.
        by: u64,
    },
    /// A gauge has this value.
    Gauge {
        /// The metric's name.
        name: &'static str,
        /// The label's key and value.
        label: (&'static str, &'static str),
        /// The value.
        value: f64,
    },
}

const COUNTERS: [&str; 4] = [
    "engram_consolidation_gossip_rounds_total",
    "engram_consolidation_deltas_transferred_bytes",
    "engram_consolidation_gossip_bandwidth_bytes",
    "engram_consolidation_patterns_merged_total",
];
const CONFLICTS: &str = "engram_consolidation_conflicts_total";

impl EngramMetrics {
    /// What to report of this gossiper since the last call for it: counters that grew, and gauges once there is a view.
    pub fn sample(&mut self, gossiper: &mut ConsolidationGossiper, now: Now) -> Vec<Sample> {
        let status = gossiper.engine.status(now).engine;
        let counted = [
            status.rounds,
            status.value_bytes_sent,
            status.bytes_sent + status.bytes_received,
            status.keys_changed + status.pushes_taken,
        ];
        let mut samples = Vec::new();
        for ((name, before), now) in COUNTERS.into_iter().zip(&mut self.before).zip(counted) {
            let by = now.saturating_sub(*before);
            *before = now;
            if by > 0 {
                samples.push(Sample::Increment { name, by });
            }
        }
        if let Some(view) = gossiper.view {
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
            let gauge = |(of, count): (&'static str, usize)| Sample::Gauge {
                name: CONFLICTS,
                label: ("type", of),
                value: count as f64,
            };
            samples.extend([("1", view.type1), ("2", view.type2), ("3", view.type3), ("4", view.type4)].map(gauge));
        }
        samples
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use anti_entropy::clock::Seed;
    use anti_entropy::engine::EngineOutput;
    use anti_entropy::{GossipConfig, MemoryStore};

    use super::*;
    use crate::MemorySpace;
    use crate::view::{SemanticView, ViewConfig};

    #[test]
    fn counters_grow_and_gauges_follow_the_view() {
        let space = MemorySpace::new("default");
        let start = Now { elapsed: Duration::ZERO, unix_ms: 1_700_000_000_000 };
        let seed = Seed::from_bytes([1; 32]);
        let store = MemoryStore::new();
        let mut gossiper =
            ConsolidationGossiper::open(space.clone(), "alice", store, seed, GossipConfig::test(), start).unwrap();
        let mut metrics = EngramMetrics::default();
        assert_eq!(metrics.sample(&mut gossiper, start), []);

        gossiper.engine.add_peer("bob".into(), None);
        let later = Now { elapsed: Duration::from_mins(5), unix_ms: 1_700_000_300_000 };
        gossiper.engine.handle_timeout(later);
        while !matches!(gossiper.engine.poll_output(later), EngineOutput::Wait(_)) {}
        let names = |samples: &[Sample]| -> Vec<&str> {
            samples
                .iter()
                .map(|sample| match sample {
                    Sample::Increment { name, .. } | Sample::Gauge { name, .. } => *name,
                })
                .collect()
        };
        let samples = metrics.sample(&mut gossiper, later);
        assert_eq!(samples[0], Sample::Increment { name: COUNTERS[0], by: 1 });
        assert!(names(&samples).contains(&COUNTERS[2]), "{samples:?}");
        assert_eq!(metrics.sample(&mut gossiper, later), [], "nothing has grown since");

        gossiper.note_view(SemanticView::new(space, ViewConfig::default()).unwrap().counts());
        assert_eq!(names(&metrics.sample(&mut gossiper, later)), [CONFLICTS; 4]);
    }
}
