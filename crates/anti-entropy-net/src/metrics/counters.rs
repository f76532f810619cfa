//! Publishing counters, of transports and of the membership alike.

use std::time::Duration;

use ::metrics::{Key, Label, Level, Metadata, with_recorder};

/// How often counters are published: as often as the driver does with its own.
const EVERY: Duration = Duration::from_secs(1);

pub(crate) static METADATA: Metadata<'static> =
    Metadata::new("anti_entropy_net", Level::INFO, Some("anti_entropy_net"));

/// A counter's name, its own label if it has one, and its value.
pub(crate) type Count = (&'static str, Option<(&'static str, &'static str)>, u64);

/// When to publish counters.
pub(crate) fn ticks() -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks
}

/// Publishes counters by how much they have grown.
#[derive(Debug)]
pub(crate) struct CounterMetrics {
    /// The labels that all of them have.
    labels: Vec<Label>,
    /// The counters as they were published last.
    published: Vec<u64>,
}

impl CounterMetrics {
    pub(crate) fn new(labels: Vec<Label>) -> Self {
        Self { labels, published: Vec::new() }
    }

    /// Publishes what was counted since the last time. The counters come in the same order each time.
    pub(crate) fn publish(&mut self, counts: Vec<Count>) {
        self.published.resize(counts.len(), 0);
        for ((name, label, value), before) in counts.into_iter().zip(&mut self.published) {
            let own = label.map(|(key, value)| Label::from_static_parts(key, value));
            let key = Key::from_parts(name, self.labels.iter().cloned().chain(own).collect::<Vec<_>>());
            let more = value.saturating_sub(*before);
            *before = value.max(*before);
            with_recorder(|recorder| recorder.register_counter(&key, &METADATA).increment(more));
        }
    }
}
