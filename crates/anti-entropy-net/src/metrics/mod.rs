//! The counters of this crate as metrics, by the facade `metrics`.

pub(crate) mod counters;
mod transport;

pub use transport::TransportMetrics;
pub(crate) use transport::describe_transport_metrics;
