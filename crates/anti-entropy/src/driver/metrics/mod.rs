//! What a driver tells of its engine by the facade `metrics`: the feature `metrics`. Without it all of this is empty, so
//! that the engine's thread reads the same either way.

#[cfg(feature = "metrics")]
mod counts;
#[cfg(feature = "metrics")]
mod names;
#[cfg(not(feature = "metrics"))]
mod off;
#[cfg(feature = "metrics")]
mod on;
#[cfg(feature = "metrics")]
mod reasons;

#[cfg(feature = "metrics")]
pub use names::describe_metrics;
#[cfg(not(feature = "metrics"))]
pub(super) use off::Metrics;
#[cfg(feature = "metrics")]
pub(super) use on::Metrics;
