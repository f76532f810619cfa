//! A recorder that keeps what it is told, by name and labels: `name{label=value,...}`, the labels in order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

use metrics::{Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, SharedString, Unit};

/// The recorder of the whole process: engines have threads of their own.
pub(crate) fn recorder() -> &'static Recorder {
    static RECORDER: LazyLock<Recorder> = LazyLock::new(|| {
        let recorder = Recorder::default();
        metrics::set_global_recorder(recorder.clone()).expect("the first one");
        recorder
    });
    &RECORDER
}

#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    described: BTreeSet<(String, String, String)>,
    counters: BTreeMap<String, u64>,
    gauges: BTreeMap<String, f64>,
    histograms: BTreeMap<String, Vec<f64>>,
}

/// One metric of a recorder.
struct Metric(Arc<Mutex<Told>>, String);

impl Recorder {
    fn told_so_far(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap()
    }

    /// Name, kind and description of all that was described.
    pub(crate) fn described(&self) -> BTreeSet<(String, String, String)> {
        self.told_so_far().described.clone()
    }

    /// The names of all metrics with this label that have a value.
    pub(crate) fn told(&self, label: &str) -> BTreeSet<String> {
        let told = self.told_so_far();
        let all = told.counters.keys().chain(told.gauges.keys()).chain(told.histograms.keys());
        let named = all.filter_map(|metric| metric.strip_suffix('}')?.split_once('{'));
        let labelled = named.filter(|(_, labels)| labels.split(',').any(|one| one == label));
        labelled.map(|(name, _)| name.to_string()).collect()
    }

    pub(crate) fn counter(&self, metric: &str) -> Option<u64> {
        self.told_so_far().counters.get(metric).copied()
    }

    pub(crate) fn gauge(&self, metric: &str) -> Option<f64> {
        self.told_so_far().gauges.get(metric).copied()
    }

    pub(crate) fn histogram(&self, metric: &str) -> Vec<f64> {
        self.told_so_far().histograms.get(metric).cloned().unwrap_or_default()
    }

    fn describe(&self, name: &KeyName, kind: &str, description: &SharedString) {
        let row = (name.as_str().to_string(), kind.to_string(), description.to_string());
        self.told_so_far().described.insert(row);
    }

    fn metric(&self, key: &Key) -> Arc<Metric> {
        let mut labels: Vec<String> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        labels.sort();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        Arc::new(Metric(Arc::clone(&self.0), format!("{}{labels}", key.name())))
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, name: KeyName, _unit: Option<Unit>, description: SharedString) {
        self.describe(&name, "counter", &description);
    }
    fn describe_gauge(&self, name: KeyName, _unit: Option<Unit>, description: SharedString) {
        self.describe(&name, "gauge", &description);
    }
    fn describe_histogram(&self, name: KeyName, _unit: Option<Unit>, description: SharedString) {
        self.describe(&name, "histogram", &description);
    }
    fn register_counter(&self, key: &Key, _metadata: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.metric(key))
    }
    fn register_gauge(&self, key: &Key, _metadata: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.metric(key))
    }
    fn register_histogram(&self, key: &Key, _metadata: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.metric(key))
    }
}

impl CounterFn for Metric {
    fn increment(&self, value: u64) {
        *self.0.lock().unwrap().counters.entry(self.1.clone()).or_default() += value;
    }
    fn absolute(&self, value: u64) {
        self.0.lock().unwrap().counters.insert(self.1.clone(), value);
    }
}

impl GaugeFn for Metric {
    fn increment(&self, value: f64) {
        *self.0.lock().unwrap().gauges.entry(self.1.clone()).or_default() += value;
    }
    fn decrement(&self, value: f64) {
        GaugeFn::increment(self, -value);
    }
    fn set(&self, value: f64) {
        self.0.lock().unwrap().gauges.insert(self.1.clone(), value);
    }
}

impl HistogramFn for Metric {
    fn record(&self, value: f64) {
        self.0.lock().unwrap().histograms.entry(self.1.clone()).or_default().push(value);
    }
}
